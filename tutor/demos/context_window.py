"""Lesson 4: a conversation that is too long for its window, and the fact that falls out of it.

The oldest messages go first, question and answer together, as chat programs do it. What the model
knows is measured, not judged: the probability that it goes on with the fact's answer when the
fact is in its input, and when it is not. Both prompts fit the same window.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from textwrap import wrap
from typing import Any, ClassVar

from pydantic import Field, ValidationInfo, field_validator

from tutor.demos.demo import Demo, DemoError, DemoInput, Prediction, Provenance, Run, Shown, spoken
from tutor.demos.figures import Bar, Bars, Figure, Table
from tutor.demos.tokens import shown
from tutor.demos.workbench import Workbench
from tutor.engine.engine import Engine
from tutor.engine.events import Message
from tutor.engine.memory import common_prefix
from tutor.engine.settings import Sampling

MOST_CHARACTERS = 60_000
_MESSAGE = 400
_REPLY = "Noted."
_FAR = math.log(10)
# So many tokens are read between two looks at whether the learner has stopped it.
_AT_ONCE = 128
_TOP = 3
_FIRST_ROWS, _LAST_ROWS = 6, 12

Pair = tuple[Message, Message]


class ContextWindowInput(DemoInput):
    """The fact, what is said after it, and the window."""

    window: int = Field(400, ge=64, le=2_048, description="How many tokens fit, answer included.")
    text: str | None = Field(
        None,
        min_length=1,
        max_length=MOST_CHARACTERS,
        description="What you say after the fact, a message a line; without it, a lesson is read.",
    )
    lesson: int = Field(4, ge=1, description="The lesson that is talked about.")
    sections: int = Field(4, ge=0, le=15, description="How many of its questions are asked.")
    fact: str = Field(
        "My cat's name is Biscuit.", min_length=3, max_length=200, description="Said first."
    )
    answer: str = Field(
        "",
        max_length=60,
        validate_default=True,
        description="The part of the fact to be known; by default its last word.",
    )
    question: str = Field(
        "What did I tell you at the beginning?",
        min_length=1,
        max_length=200,
        description="Asked last.",
    )

    @field_validator("answer")
    @classmethod
    def _in_fact(cls, answer: str, info: ValidationInfo) -> str:
        fact = info.data.get("fact", answer)
        answer = answer.strip() or (fact.split() or [""])[-1].strip(".!?,;:\"'()")
        if not answer or answer not in fact:
            raise ValueError("give a word that stands in the fact")
        return answer


class ContextWindow(Demo[ContextWindowInput]):
    """Fits the conversation, then asks."""

    name: ClassVar[str] = "context-window"
    lesson: ClassVar[int] = 4
    title: ClassVar[str] = "What falls out of the window"
    about: ClassVar[str] = "Choose a window and a conversation: see what the model no longer knows."
    input = ContextWindowInput
    text: ClassVar[str | None] = "text"

    def predict(self, inputs: ContextWindowInput) -> Prediction:
        after = (
            f"{inputs.sections} questions of lesson {inputs.lesson}"
            if inputs.text is None
            else f"{len(inputs.text.split())} words of yours"
        )
        return Prediction(
            f"{inputs.fact!r} is said first, then come {after}; {inputs.window} tokens fit. "
            f"What becomes of {inputs.answer!r}?",
            (
                "it falls out, and becomes more than 10 times less likely",
                "it falls out, but the model guesses it nearly as well",
                "it stays inside",
            ),
        )

    def run(self, bench: Workbench, inputs: ContextWindowInput, run: Run) -> Shown:
        engine = bench.engine
        if inputs.window > engine.n_ctx:
            raise DemoError(f"this model runs with 64 to {engine.n_ctx} tokens", "window")
        fact = _pair(inputs.fact)
        later = _conversation(bench, inputs)
        last = Message("user", inputs.question)
        lead, answer = _halves(engine, inputs)
        room = inputs.window - len(lead) - len(answer)
        if (need := len(_prompt(engine, [fact], last))) > room:
            raise DemoError(
                "the fact, the question and the answer alone need "
                f"{need + inputs.window - room} tokens, not {inputs.window}",
                "window",
            )
        fitted = _newest(engine, [fact, *later], last, room)
        fell_out = len(fitted) <= len(later)
        pinned = [fact, *_newest(engine, later, last, room, fact)]
        lost = fitted if fell_out else fitted[1:]
        inside = _knows(engine, _prompt(engine, pinned, last) + lead, answer, run, 0.0)
        outside = _knows(engine, _prompt(engine, lost, last) + lead, answer, run, 0.5)
        gain = inside["logprob"] - outside["logprob"]

        messages = _told(engine, [fact, *later], last, kept=len(fitted))
        gone = sum(not message["inside"] for message in messages)
        dropped = sum(message["tokens"] for message in messages[:gone])
        told = f"{gone} of {len(messages)} messages ({dropped:,} tokens) fell out of the window"
        told += ", the fact among them" if fell_out else "; the fact is still inside"
        return self.shown(
            inputs,
            2 if not fell_out else 0 if gain > _FAR else 1,
            {
                "messages": messages,
                "dropped_messages": gone,
                "dropped_tokens": dropped,
                "fact_fell_out": fell_out,
                "answer": [{"id": id, "text": shown(engine.token_bytes(id))} for id in answer],
                "with_fact": inside,
                "without_fact": outside,
                "difference_nats": gain,
            },
            _figures(inputs, messages, inside, outside),
            f"{told}. With the fact in its input the model goes on with {inputs.answer!r} with a "
            f"probability of {_chance(inside['probability'])}, without it {_chance(outside['probability'])}: "
            "it knows only what is in the window.",
            (
                "What happens when a conversation no longer fits the context window?",
                "What is the context window?",
                "How many tokens does a text have?",
            ),
            Provenance(
                engine.info.name,
                "llama.cpp",
                measured=(
                    "tokens of every message",
                    # Seen over ways to split one prompt into batches: -11.8 to -12.3; float32 -12.1.
                    "log-probability of the answer (rounding: about 0.3 nats where it is small)",
                ),
                calculated=("which messages fit, oldest out first", "probability of the answer"),
                illustration=("the conversation: its replies were not written by the model",),
            ),
        )


def _pair(said: str, reply: str = _REPLY) -> Pair:
    return Message("user", said), Message("assistant", reply)


def _conversation(bench: Workbench, inputs: ContextWindowInput) -> list[Pair]:
    """What is said between the fact and the last question."""
    if inputs.text is not None:
        lines = spoken(inputs.text).splitlines()
        return [_pair(part) for line in lines for part in wrap(line, _MESSAGE)]
    lessons = {lesson.number: lesson for lesson in bench.lessons}
    if inputs.lesson not in lessons:
        raise DemoError(
            f"there are {min(lessons)} to {max(lessons)}, not {inputs.lesson}", "lesson"
        )
    sections = lessons[inputs.lesson].sections[: inputs.sections]
    return [_pair(section.heading, section.text) for section in sections]


def _halves(engine: Engine, inputs: ContextWindowInput) -> tuple[list[int], list[int]]:
    """The fact's tokens before its answer, which the reply begins with, and the answer's own."""
    before, _, _ = inputs.fact.rpartition(inputs.answer)
    whole = engine.tokenize(before + inputs.answer)
    # The space before a word belongs to the word's token.
    shared = common_prefix(engine.tokenize(before.rstrip()), whole)
    return whole[:shared], whole[shared:]


def _prompt(engine: Engine, exchanges: Sequence[Pair], last: Message) -> list[int]:
    messages = [message for exchange in exchanges for message in exchange]
    return [id for segment in engine.render_chat([*messages, last]) for id in segment.ids]


def _newest(
    engine: Engine, exchanges: Sequence[Pair], last: Message, room: int, *pinned: Pair
) -> list[Pair]:
    """The newest exchanges that fit into `room` tokens behind those that are pinned."""
    kept: list[Pair] = []
    for exchange in reversed(exchanges):
        if len(_prompt(engine, [*pinned, exchange, *kept], last)) > room:
            break
        kept.insert(0, exchange)
    return kept


def _knows(
    engine: Engine, prompt: list[int], answer: list[int], run: Run, done: float
) -> dict[str, Any]:
    """Reads the prompt, then gives it the answer token by token; logarithms are natural."""
    greedy = Sampling(greedy=True, repeat_penalty=1.0)
    # How a prompt is split into batches moves its rounding: read whole, the same input gives the
    # same numbers.
    engine.forget()
    for end in range(_AT_ONCE, len(prompt), _AT_ONCE):
        run.report("reading", done + 0.4 * end / len(prompt))
        engine.next(prompt[:end], greedy, 1)
    first = engine.next(prompt, greedy, _TOP)
    logprobs = [float(first.logprobs[answer[0]])]
    for n, id in enumerate(answer[1:], start=1):
        run.report("asking for the answer", done + 0.4 + 0.1 * n / len(answer))
        logprobs.append(float(engine.next(prompt + answer[:n], greedy, 1).logprobs[id]))
    return {
        "prompt_tokens": len(prompt),
        "logprobs": logprobs,
        "logprob": sum(logprobs),
        "probability": math.exp(sum(logprobs)),
        "likeliest_first": [
            {"id": c.id, "text": shown(engine.token_bytes(c.id)), "p": c.p_full}
            for c in first.step.candidates[:_TOP]
        ],
    }


def _told(
    engine: Engine, exchanges: Sequence[Pair], last: Message, kept: int
) -> list[dict[str, Any]]:
    """All messages as data, the newest `kept` exchanges and the last one inside the window."""
    spoken = [message for exchange in exchanges for message in exchange]
    return [
        {
            "role": message.role,
            "text": message.content,
            "tokens": engine.count(message.content),
            "inside": n >= 2 * (len(exchanges) - kept),
        }
        for n, message in enumerate((*spoken, last))
    ]


def _chance(p: float) -> str:
    """A probability in words, with no more digits than rounding leaves it."""
    if p >= 0.01:
        return f"{p:.0%}"
    return f"about 1 in {float(f'{1 / p:.0e}'):,.0f}" if p > 1e-9 else "under 1 in a billion"


def _figures(
    inputs: ContextWindowInput,
    messages: Sequence[dict[str, Any]],
    inside: dict[str, Any],
    outside: dict[str, Any],
) -> tuple[Figure, ...]:
    rows = [
        (
            "in" if m["inside"] else "out",
            m["role"],
            f"{m['tokens']:,}",
            " ".join(wrap(m["text"], 44)[:1]),
        )
        for m in messages
    ]
    if (hidden := len(rows) - _FIRST_ROWS - _LAST_ROWS) > 1:
        rows[_FIRST_ROWS:-_LAST_ROWS] = [("", "", "", f"… {hidden} more messages …")]
    cases = (("with the fact", inside), ("without it", outside))
    return (
        Table(
            f"the conversation in a window of {inputs.window} tokens",
            ("window", "who", "tokens", "begins"),
            tuple(rows),
        ),
        Bars(
            f"how likely {inputs.answer!r} is in a reply that begins as the fact does",
            tuple(
                Bar(name, known["probability"], f"{known['logprob']:.1f} nats")
                for name, known in cases
            ),
            digits=5,
        ),
        Table(
            "the model's own first choices there",
            ("", *(f"choice {n + 1}" for n in range(_TOP))),
            tuple(
                (name, *(f"{token['text']} {token['p']:.3f}" for token in known["likeliest_first"]))
                for name, known in cases
            ),
        ),
    )
