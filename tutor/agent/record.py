"""A finished turn as JSON: what the command line prints and the store keeps."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

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
        "settings": answer.settings.model_dump(),
        "usage": asdict(answer.usage),
        "timings": asdict(answer.timings),
        "stop_reason": answer.stop_reason,
    }


def exchange(question: str, text: str, record: str) -> Exchange:
    """A stored turn as the history of a later one; `record` may be empty (a cut answer)."""
    sources = json.loads(record).get("sources", []) if record else []
    return Exchange(question, text, sources[0]["passage_id"] if sources else None)
