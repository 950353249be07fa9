"""A finished turn as JSON: what the command line prints and the store keeps."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from typing import Any

from corpus.intents import QUESTION
from tutor.agent.turn import Answer, Exchange


def answer_record(answer: Answer) -> dict[str, Any]:
    """An answer under the field names of the command line's contract."""
    return {
        "id": answer.id,
        "question": answer.question,
        "answer": answer.text,
        "answer_source": answer.answer_source,
        "model_text": answer.model_text,
        "refused": answer.refused,
        "intent": answer.intent,
        "demo": answer.demo,
        "sources": [asdict(source) for source in answer.sources],
        "quotes": [asdict(quote) for quote in answer.quotes],
        "grounding": {
            "supported": answer.supported,
            "sentences": [asdict(sentence) for sentence in answer.sentences],
        },
        "model": answer.model,
        "adapter": answer.adapter,
        "adapter_scale": answer.adapter_scale,
        "settings": answer.settings.model_dump(),
        "usage": asdict(answer.usage),
        "timings": asdict(answer.timings),
        "stop_reason": answer.stop_reason,
    }


def kept_record(stored: str) -> dict[str, Any] | None:
    """A finished turn as the store has it; None where there is none, or a damaged one."""
    try:
        record = json.loads(stored)
        return record if _is_whole(record) else None
    # Too many brackets are a RecursionError; of another kind, it has other fields or none at all.
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _is_whole(record: dict[str, Any]) -> bool:
    """Whether all that is read of a kept record is there. Raises KeyError or TypeError."""
    texts = [record[name] for name in ("answer", "answer_source", "model_text", "stop_reason")]
    for source in record["sources"]:
        texts += [source["section"], source["passage_id"], f"{source['lesson']:d}"]
    for sentence in record["grounding"]["sentences"]:
        texts += [sentence["text"], f"{sentence['supported']:d}"]
    texts += [record.get("adapter") or "", f"{record.get('adapter_scale', 1):g}"]
    return all(isinstance(text, str) for text in texts)


def exchange(question: str, text: str, record: str) -> Exchange:
    """A stored turn as the history of a later one: what was shown as the answer.

    `record` may be empty (a cut answer) or damaged; then `text` stands for it.
    """
    if (kept := kept_record(record)) is None:
        return Exchange(question, text)
    sources = kept["sources"]
    best = sources[0]["passage_id"] if sources else None
    return Exchange(question, kept["answer"], best, kept.get("intent", QUESTION) != QUESTION)


def struck(record: dict[str, Any]) -> str:
    """The model's own words as Markdown; what nothing in the lessons supports is struck through."""
    words: str = record["model_text"]
    sentences = record["grounding"]["sentences"]
    # Lines that run on were joined into one sentence: then the words are given sentence by sentence.
    if any(sentence["text"] not in words for sentence in sentences):
        words = "\n\n".join(sentence["text"] for sentence in sentences)
    done, rest = "", words
    for sentence in sentences:
        before, text, rest = rest.partition(sentence["text"])
        done += before + (text if sentence["supported"] else _LINE.sub(r"\1~~\2~~ [?]", text))
    return done + rest


_LINE = re.compile(r"^(\s*(?:[-*+]\s|\d+[.)]\s)?)(.+)$", re.DOTALL)
