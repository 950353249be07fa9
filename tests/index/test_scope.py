from __future__ import annotations

from index.retriever import Retriever
from index.scope import in_scope

ON_TOPIC = """what is a token|whats rag|how do i pick a learning rate|does my chat train the model
why do models make stuff up|what is top p|difference between lora and full finetuning|is bert able to chat
how much memory for 7b in 4 bit|what happens when the context is full|why is attention slow for long texts
whats an epoch|what does relu do|can i get the same answer twice|what is overfiting|why do we need a test set
what is a base model|how does bpe work|what did lstm fix|why take the smallest model|what are logits
is a bigger model always better|what is backprop|how do embeddings work|what is a chat template""".replace(
    "\n", "|"
).split("|")
OFF_TOPIC = """who won the world cup 2018|best pizza recipe|asdf qwer zxcv|price of cloud gpus on aws|hello there friend
what is the capital of france's gdp|how tall is mount everest|write me a love poem|when did rome fall
how do i fix my bike|what is photosynthesis|who is the pope|tell me a joke|recommend a movie|how to cook rice
what's the weather tomorrow|translate good morning into spanish|my cat is ill what should i do
how do volcanoes form|is bitcoin a good investment|lkjh poiu mnbv""".replace("\n", "|").split("|")


def answered(retriever: Retriever, questions: list[str]) -> list[str]:
    return [q for q in questions if in_scope(retriever.search(q, 3)).answerable]


def test_questions_on_topic_are_answered(retriever: Retriever) -> None:
    refused = set(ON_TOPIC) - set(answered(retriever, ON_TOPIC))
    assert len(refused) <= 0.05 * len(ON_TOPIC), refused


def test_questions_off_topic_are_refused(retriever: Retriever) -> None:
    taken = answered(retriever, OFF_TOPIC)
    assert len(taken) <= 0.25 * len(OFF_TOPIC), taken
