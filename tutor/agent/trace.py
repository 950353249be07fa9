"""A traced answer: its exact prompt and every step, packed small enough to be kept for good."""

from __future__ import annotations

import json
import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from tutor.agent.prompt import Part, Piece, Prompt
from tutor.engine.events import Candidate, Step, TokenEvent
from tutor.engine.settings import Sampling

TOP = 10
"""Candidates that are kept of every step."""
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Trace:
    """What is needed to look inside an answer, also without the model that gave it.

    `pieces` are the bytes of every token id that occurs in it.
    """

    prompt: Prompt
    events: tuple[TokenEvent, ...]
    pieces: dict[int, bytes]

    def text(self, id: int) -> str:
        """A token as text; bytes that are no whole character are replaced."""
        return self.pieces.get(id, b"?").decode("utf-8", "replace")

    @property
    def settings_changed_at(self) -> tuple[int, ...]:
        """The indexes of the tokens that were the first under changed settings."""
        return tuple(
            n
            for n, (before, event) in enumerate(
                zip(self.events, self.events[1:], strict=False), start=1
            )
            if before.settings != event.settings
        )


def traced(
    prompt: Prompt, events: Sequence[TokenEvent], token_bytes: Callable[[int], bytes]
) -> Trace:
    """A trace of an answer, with the bytes of its tokens looked up."""
    ids = set(prompt.tokens)
    for event in events:
        ids.add(event.id)
        ids |= {candidate.id for candidate in event.step.candidates} if event.step else set()
    return Trace(prompt, tuple(events), {id: token_bytes(id) for id in sorted(ids)})


def event_record(event: TokenEvent, text: Callable[[int], str]) -> dict[str, Any]:
    """One token as `tutor ask --trace` writes it."""
    step = event.step
    return {
        "index": event.index,
        "id": event.id,
        "text": text(event.id),
        "bytes": list(event.bytes),
        "logprob": event.logprob,
        "entropy_bits": event.entropy,
        "entropy_final_bits": step.entropy_final if step else None,
        "kept": dict(step.kept) if step else {},
        "candidates": [
            {
                "id": c.id,
                "text": text(c.id),
                "logit": c.logit,
                "p_full": c.p_full,
                "p_final": c.p_final,
                "cut_by": c.cut_by,
            }
            for c in (step.candidates if step else ())
        ],
        "settings": event.settings.model_dump(),
    }


def pack(trace: Trace) -> bytes:
    """A trace as a few kilobytes: arrays instead of objects, six digits, compressed."""
    settings: list[Sampling] = []
    rows = []
    for event in trace.events:
        if not settings or settings[-1] != event.settings:
            settings.append(event.settings)
        rows.append(
            [
                event.id,
                event.text,
                _short(event.logprob),
                _short(event.entropy),
                len(settings) - 1,
                _packed_step(event.step) if event.step else None,
            ]
        )
    value = {
        "format": _FORMAT,
        "prompt": [[piece.part, piece.ids] for piece in trace.prompt.pieces],
        "dropped": [trace.prompt.dropped_exchanges, trace.prompt.dropped_notes],
        "settings": [s.model_dump() for s in settings],
        "events": rows,
        "pieces": {id: b64encode(data).decode() for id, data in trace.pieces.items()},
    }
    return zlib.compress(json.dumps(value, separators=(",", ":")).encode(), 6)


def unpack(data: bytes) -> Trace:
    """The trace again. Raises ValueError for data that is none, or of another format."""
    try:
        value = json.loads(zlib.decompress(data))
        if value["format"] != _FORMAT:
            raise ValueError(f"a trace of format {value['format']}")
        pieces = {int(id): b64decode(text) for id, text in value["pieces"].items()}
        settings = [Sampling.model_validate(s) for s in value["settings"]]
        events = tuple(
            TokenEvent(
                n, id, pieces[id], text, logprob, entropy, settings[at], step and _step(id, step)
            )
            for n, (id, text, logprob, entropy, at, step) in enumerate(value["events"])
        )
        parts = get_args(Part)
        if any(part not in parts for part, _ in value["prompt"]):
            raise ValueError("an unknown part of the prompt")
        prompt = Prompt(
            tuple(Piece(part, tuple(ids)) for part, ids in value["prompt"]), *value["dropped"]
        )
    except (zlib.error, KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"not a trace: {error}") from error
    return Trace(prompt, events, pieces)


def _packed_step(step: Step) -> list[Any]:
    return [
        _short(step.entropy),
        _short(step.entropy_final),
        step.kept,
        [
            [c.id, _short(c.logit), _short(c.p_full), _short(c.p_final), c.cut_by or ""]
            for c in step.candidates
        ],
    ]


def _step(chosen: int, packed: list[Any]) -> Step:
    entropy, entropy_final, kept, candidates = packed
    return Step(
        chosen,
        entropy,
        entropy_final,
        tuple((name, count) for name, count in kept),
        tuple(
            Candidate(id, logit, p_full, p_final, cut_by or None)
            for id, logit, p_full, p_final, cut_by in candidates
        ),
    )


def _short(value: float) -> float:
    return float(f"{value:.6g}")
