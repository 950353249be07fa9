"""What the tutor knows of itself: passages made from the model's file, searched like lessons.

They stand under lesson 0. Their sentences are written here, their numbers are read from the file
and from the settings that count at the moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from index.passages import Passage, passage_from
from index.retriever import Found
from tutor.agent.turn import OWN
from tutor.engine.events import Adapter
from tutor.engine.gguf import ModelInfo
from tutor.engine.prepare import NAME
from tutor.engine.settings import Sampling

TITLE = "The tutor's own model"
NEARLY_THE_SAME = 0.9
"""The cosine from which a question is one of the own ones in other words."""
SETTINGS = "How are your settings right now?"


def own_passages(info: ModelInfo) -> list[Passage]:
    """The passages about the model that `info` describes."""
    file_mb = info.file_bytes / 1e6
    heads = f"{info.heads} attention heads in each layer for the queries"
    if info.kv_heads != info.heads:
        heads += f" and {info.kv_heads} heads for the keys and values, so several queries share one"
    shipped = why = ""
    if info.name == NAME:
        shipped = ", shipped with about 4 bits each,"
        why = ", because this processor reads them faster that way"
    facts: Sequence[tuple[str, str, tuple[str, ...]]] = (
        (
            "Which model are you?",
            f"I run {info.name}, a language model in a file on this computer. "
            f"The file is {file_mb:,.0f} MB in size. Nothing is sent over a network.",
            ("what model is this", "which llm do you use", "what are you running on"),
        ),
        (
            "How many parameters do you have?",
            f"My model has {info.parameters:,} parameters. "
            f"They are stored in the format {info.quantization}, in a file of {file_mb:,.0f} MB.",
            ("how big are you", "how many weights do you have", "what is your size"),
        ),
        (
            "How many layers do you have?",
            f"My model has {info.layers} layers. Each layer is a Transformer block.",
            (
                "how many layers have you got",
                "how deep are you",
                "your number of blocks",
                "how many transformer blocks has your model",
            ),
        ),
        (
            "How many attention heads do you have?",
            f"My model has {heads}.",
            ("your number of heads", "how many kv heads does your model use"),
        ),
        (
            "How wide are your vectors?",
            f"Every token is a vector of {info.width} numbers inside my model.",
            ("your embedding size", "what is your hidden size", "dimension of your embeddings"),
        ),
        (
            "How large is your vocabulary?",
            f"My vocabulary has {info.n_vocab:,} tokens.",
            ("how many tokens do you know", "what is your vocab size"),
        ),
        (
            "How long is your context window?",
            f"My model was trained for a context of {info.n_ctx_train:,} tokens. "
            "How much of it is in use stands in the line below the conversation.",
            ("how much text can you read at once", "what is your context length"),
        ),
        (
            "How are you quantized?",
            f"My model's weights{shipped} are stored as {info.quantization}, in a file of "
            f"{file_mb:,.0f} MB{why}.",
            ("what is your quantization", "how many bits do your weights have"),
        ),
        (
            "How do you check your own words?",
            "I check my answers by comparing every sentence of my own words with the lessons' "
            "sentences, and those that the lessons do not say are struck. Above them stand answers "
            "that people checked, and sentences of the lessons.",
            (
                "how does the tutor check its answers",
                "how do you know that what you say is true",
                "can i trust your answers",
                "why are some sentences struck through or crossed out",
                "what does unchecked mean",
            ),
        ),
    )
    found = [passage_from(OWN, TITLE, heading, text, asked) for heading, text, asked in facts]
    return [*found, settings_passage(Sampling(), None)]


def settings_passage(sampling: Sampling, adapter: Adapter | None) -> Passage:
    """The passage on the settings as they are now; what it is found by never changes."""
    draw = (
        "I always take the most probable token (greedy)."
        if sampling.greedy or sampling.temperature == 0
        else f"My temperature is {sampling.temperature:g}, top_k {sampling.top_k}, "
        f"top_p {sampling.top_p:g}, min_p {sampling.min_p:g} and the seed {sampling.seed}."
    )
    text = (
        f"{draw} My repeat penalty is {sampling.repeat_penalty:g}, and an answer has at most "
        f"{sampling.max_tokens} tokens. "
        + (
            f"The adapter {adapter.name} is on, at a scale of {adapter.scale:g}."
            if adapter
            else "No adapter is on."
        )
    )
    asked = (
        "what is your temperature",
        "what temperature are you using right now",
        "which settings do you use at the moment",
        "what seed are you on",
        "is an adapter active right now",
        "which adapter is on",
    )
    return passage_from(OWN, TITLE, SETTINGS, text, asked)


def with_current(found: Found, sampling: Sampling, adapter: Adapter | None) -> Found:
    """What was found, with the settings that count now where they were found."""
    current = settings_passage(sampling, adapter)
    hits = [
        replace(hit, passage=current) if hit.passage.passage_id == current.passage_id else hit
        for hit in found.hits
    ]
    # Asked nearly word for word about itself, it answers of itself before it explains.
    hits.sort(key=lambda hit: not (hit.passage.lesson == OWN and hit.cosine >= NEARLY_THE_SAME))
    ranked = tuple(replace(hit, rank=rank) for rank, hit in enumerate(hits, start=1))
    return replace(found, hits=ranked)
