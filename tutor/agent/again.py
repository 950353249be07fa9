"""The last answer once more, shorter or plainer, in the lessons' own words; and a question to try."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from corpus.gold import GoldQuestion
from index.passages import Passage, split_sentences, without_markup
from tutor.agent.ground import CITATION
from tutor.agent.outline import named_lesson
from tutor.agent.turn import Exchange, Performed

_EXAMPLE = re.compile(r"\b(?:for example|such as|take|imagine|suppose|is like)\b", re.IGNORECASE)
_NOTHING_YET = "There is no answer yet to say again: ask something first."


def shorter(history: Sequence[Exchange]) -> Performed:
    """The first sentence of the last answer: our answers open with what matters most."""
    said = split_sentences(CITATION.sub("", history[-1].answer)) if history else []
    if not said:
        return Performed(_NOTHING_YET)
    return Performed(f"In short: {said[0]}", passage_id=history[-1].passage_id)


def plainer(history: Sequence[Exchange], passages: Sequence[Passage]) -> Performed:
    """The sentence that opens the section of the last answer, and its example if it has one."""
    if not history:
        return Performed(_NOTHING_YET)
    section = next((p for p in passages if p.passage_id == history[-1].passage_id), None)
    if section is None or not section.sentences:
        return shorter(history)
    opening, *others = section.sentences
    example = next((s for s in others if _EXAMPLE.search(s)), None)
    told = f"In the lesson's plainest words: {opening}"
    return Performed(f"{told} {example}" if example else told, passage_id=section.passage_id)


def quizzed(
    text: str,
    history: Sequence[Exchange],
    bank: Sequence[GoldQuestion],
    seed: int,
    about: str | None = None,
) -> Performed:
    """A question of the bank: of the lesson that `text` names, of the passage that it is `about`,
    or else of the last answer's lesson."""
    named, last = named_lesson(text), history[-1].passage_id if history else None
    lesson = int(last.partition("/")[0]) if named is None and last else named
    cards = [c for c in bank if c.section and not c.history]
    own = [c for c in cards if c.section == about] if named is None else []
    own = own or [c for c in cards if c.lesson == lesson]
    if named is not None and not own:
        return Performed(f"There is no lesson {lesson} to ask from.")
    # Another one each time, also after the last one.
    drawn_by = f"{seed} {len(history)} {history[-1].answer if history else ''}"
    card = random.Random(drawn_by).choice(own or cards)
    return Performed(
        f"A question from lesson {card.lesson}: **{without_markup(card.question)}**\n\n"
        "Answer it for yourself first. Then ask it here, and see what the lesson says.",
        passage_id=card.section,
    )
