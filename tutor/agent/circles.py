"""An answer that begins to say again what it has said ends there: a small model may go on for ever."""

from __future__ import annotations

from index.material import runs
from index.passages import split_sentences
from tutor.engine.events import TokenEvent


class Circling:
    """A criterion to stop at: whether the words said so far go in circles."""

    def __init__(self) -> None:
        self._text = ""

    def __call__(self, event: TokenEvent) -> bool:
        self._text += event.text
        # The last word may not be whole yet.
        return loops(self._text.rpartition(" ")[0])


def loops(text: str) -> bool:
    """Whether a run of eight words stands in it twice."""
    found = runs(text)
    return len(set(found)) < len(found)


def before_circling(text: str) -> str:
    """The text up to the sentence with which it begins to go in circles; whole where none does.

    A first sentence that circles in itself is left: there is nothing else to show.
    """
    if not loops(text):
        return text
    end = 0
    for sentence in split_sentences(text):
        begin = text.find(sentence, end)
        if begin < 0:  # lines that run on were joined
            return text
        end = begin + len(sentence)
        if loops(text[:end]):
            return text[:begin].rstrip() or text
    return text
