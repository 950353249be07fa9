"""`tutor next` and `tutor compare`: the distribution and its chain, and answers side by side."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from tutor.cli.decoding import settings_of
from tutor.cli.main import UseError
from tutor.cli.output import known_lesson, print_json, progress_bars, read_text
from tutor.home import Home
from tutor.text import visible

if TYPE_CHECKING:
    from tutor.agent.compare import Compared
    from tutor.engine.engine import Engine
    from tutor.engine.events import NextToken

_BAR = 30
_STAGE_CANDIDATES = 1_000
"""A stage that keeps more than this lists only its likeliest."""


def run_next(arguments: argparse.Namespace) -> int:
    """What could follow a text: the candidates, and what each stage of the chain keeps."""
    text = read_text(arguments.prompt, "a text")
    if not text:
        raise UseError("the text is empty: give at least one character")
    if arguments.top > _STAGE_CANDIDATES:
        raise UseError(f"--top is 1 to {_STAGE_CANDIDATES}")
    home = Home.locate().create()
    settings = settings_of(arguments, home)

    from tutor.agent.opening import model_path
    from tutor.agent.variants import use_variant
    from tutor.engine.engine import Engine
    from tutor.engine.events import Message
    from tutor.settings import NONE

    with progress_bars() as report:
        path = model_path(home, settings, report)
    with Engine(path, n_ctx=settings.n_ctx, n_threads=settings.threads or None) as engine:
        # The model's own numbers, unless an adapter is asked for: they can be compared elsewhere.
        wanted = settings.adapter if arguments.adapter else NONE
        use_variant(engine, home, wanted, settings.adapter_scale)
        if arguments.chat:
            segments = engine.render_chat([Message("user", text)])
            prompt = [id for segment in segments for id in segment.ids]
        else:
            prompt = engine.tokenize(text)
        found = engine.next(prompt, settings.sampling, arguments.top)
        if arguments.json:
            print_json(_next_json(engine, found))
        else:
            _print_next(engine, found)
    return 0


def _next_json(engine: Engine, found: NextToken) -> dict[str, Any]:
    stages = []
    for stage in found.stages:
        order = stage.p.argsort(kind="stable")[::-1][: min(stage.kept, _STAGE_CANDIDATES)]
        p = stage.p
        stages.append(
            {
                "name": stage.name,
                "kept": stage.kept,
                "candidates": [
                    {
                        "id": int(stage.ids[i]),
                        "text": engine.token_text(int(stage.ids[i])),
                        "logit": float(stage.logits[i]),
                        "p": float(p[i]),
                    }
                    for i in order
                ],
            }
        )
    acting = engine.adapter
    return {
        "model": engine.info.name,
        "adapter": acting.name if acting else None,
        "adapter_scale": acting.scale if acting else 0.0,
        "stages": stages,
        "entropy_bits": found.step.entropy,
        "entropy_final_bits": found.step.entropy_final,
        "chosen": {"id": found.step.chosen, "text": engine.token_text(found.step.chosen)},
        "candidates": [
            {
                "id": c.id,
                "text": engine.token_text(c.id),
                "logit": c.logit,
                "logprob": float(found.logprobs[c.id]),
                "p_full": c.p_full,
                "p_final": c.p_final,
                "cut_by": c.cut_by,
            }
            for c in found.step.candidates
        ],
    }


def _print_next(engine: Engine, found: NextToken) -> None:
    from rich.table import Table

    from tutor.cli.console import PlainConsole

    console = PlainConsole()
    table = Table("token", "id", "logit", "p (all)", "p (drawn)", "", box=None, pad_edge=False)
    for c in found.step.candidates:
        mark = "drawn" if c.id == found.step.chosen else f"cut by {c.cut_by}" if c.cut_by else ""
        bar = "█" * round(_BAR * c.p_full) or "▏"
        cells = (
            visible(engine.token_text(c.id)),
            str(c.id),
            f"{c.logit:.2f}",
            f"{c.p_full:.3f}",
            f"{c.p_final:.3f}" if not c.cut_by else "-",
        )
        table.add_row(*cells, f"{bar} {mark}", style="bold" if mark == "drawn" else None)
    console.print(table)
    kept = "  ".join(f"{stage.name} {stage.kept:,}" for stage in found.stages)
    console.print(f"candidates after each stage: {kept}")
    step = found.step
    console.print(f"entropy {step.entropy:.2f} bits, after the chain {step.entropy_final:.2f}")
    acting = engine.adapter
    variant = f" + {acting.name} x{acting.scale:g}" if acting else ""
    console.print(f"{engine.info.name}{variant}", style="dim")


def run_compare(arguments: argparse.Namespace) -> int:
    """One question under two to four settings, with where and why the answers part."""
    question = read_text(arguments.question, "a question")
    home = Home.locate().create()
    settings = settings_of(arguments, home)
    known_lesson(arguments.lesson)
    if not 1 <= len(arguments.columns) <= 3:
        raise UseError("give one to three further columns, for example --with temperature=1.5")

    from tutor.agent.compare import Compared, column_of, compare
    from tutor.agent.opening import open_tutor

    columns = [column_of(settings, text) for text in ("", *arguments.columns)]

    with progress_bars() as report:
        tutor = open_tutor(home, settings, report)
    try:
        *_, compared = compare(tutor, question, columns, lesson=arguments.lesson)
        assert isinstance(compared, Compared)
    finally:
        tutor.close()
    if arguments.json:
        print_json(_compare_json(question, compared))
    else:
        _print_compare(compared)
    return 0


def _compare_json(question: str, compared: Compared) -> dict[str, Any]:
    columns = []
    for result, parting in zip(compared.results, compared.partings, strict=True):
        stats = result.stats
        columns.append(
            {
                "text": result.text,
                "rag": result.column.rag,
                "adapter": stats.adapter.name if stats and stats.adapter else None,
                "adapter_scale": stats.adapter.scale if stats and stats.adapter else 0.0,
                "settings": result.column.sampling.model_dump(),
                "tokens": [event.id for event in result.events],
                "mean_surprise_bits": result.mean_surprise,
                "supported": sum(s.supported for s in result.sentences),
                "sentences": len(result.sentences),
                "prompt_tokens": stats.prompt_tokens if stats else 0,
                "cached_tokens": stats.cached_tokens if stats else 0,
                "completion_tokens": stats.completion_tokens if stats else 0,
                "tokens_per_second": stats.tokens_per_second if stats else 0.0,
                "parts_at": parting.index if parting else None,
                "parts_because": parting.reason if parting else None,
            }
        )
    return {"question": question, "columns": columns}


def _print_compare(compared: Compared) -> None:
    from rich.columns import Columns
    from rich.panel import Panel
    from rich.text import Text

    from tutor.agent.compare import difference
    from tutor.cli.console import PlainConsole

    console = PlainConsole()
    base = compared.results[0].column
    panels = []
    for n, (result, parting) in enumerate(
        zip(compared.results, compared.partings, strict=True), start=1
    ):
        text = Text()
        for event in result.events:
            parted = parting is not None and event.index == parting.index
            text.append(visible(event.text, keep=" \n"), style="reverse" if parted else "")
        panels.append(Panel(text, title=Text(f"{n}: {difference(base, result.column)}"), width=56))
    console.print(Columns(panels))
    for n, (result, parting) in enumerate(
        zip(compared.results, compared.partings, strict=True), start=1
    ):
        held = sum(s.supported for s in result.sentences)
        console.print(
            f"{n}: {len(result.events)} tokens, {result.mean_surprise:.2f} bits a token, "
            f"{held} of {len(result.sentences)} sentences supported"
        )
        if parting:
            console.print(f"   parts from 1 at token {parting.index + 1}: {parting.reason}")
