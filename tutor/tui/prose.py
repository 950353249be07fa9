"""Markdown as one piece of content, where Textual makes a widget of each paragraph and cell."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from markdown_it import MarkdownIt
from markdown_it.token import Token
from rich.theme import Theme
from textual.content import Content, Span
from textual.visual import VisualType

RICH_THEME = Theme(
    {
        "markdown.code": "bold",
        "markdown.link": "none",
        "markdown.link_url": "none",
        "markdown.block_quote": "italic",
    }
)
"""Rich's styles where its own would stand out on a light screen or promise that a click does something."""

_STYLES = {"strong": "bold", "em": "italic", "s": "strike"}
_SIGNS = {"softbreak": " ", "hardbreak": "\n"}


def marked_up(text: str) -> VisualType:
    """The text as it is drawn: as content, which can be selected, or as Rich draws Markdown."""
    content = prose(text)
    if content is not None:
        return content
    from rich.markdown import Markdown  # with pygments: the first frame goes without them

    return Markdown(text, code_theme="ansi_light", hyperlinks=False)


def prose(text: str) -> Content | None:
    """The text as it is drawn; None where it has lists, tables, code or what else is no prose."""
    paragraphs: list[Content] = []
    for token in _markdown().parse(text):
        if token.type == "inline":
            paragraph = _inline(token.children or ())
            if paragraph is None:
                return None
            paragraphs.append(paragraph)
        elif token.type not in ("paragraph_open", "paragraph_close"):
            return None
    return Content("\n\n").join(paragraphs)


def _inline(tokens: Sequence[Token]) -> Content | None:
    text = ""
    spans: list[Span] = []
    opened: list[int] = []
    for token in tokens:
        kind, _, side = token.type.rpartition("_")
        if kind in _STYLES and side == "open":
            opened.append(len(text))
        elif kind in _STYLES and side == "close":
            spans.append(Span(opened.pop(), len(text), _STYLES[kind]))
        elif kind == "link":
            continue  # it leads nowhere here: only its words count
        elif token.type == "code_inline":
            spans.append(Span(len(text), len(text) + len(token.content), "bold"))
            text += token.content
        elif token.type in _SIGNS:
            text += _SIGNS[token.type]
        elif token.type in ("text", "text_special"):
            text += token.content
        else:
            return None
    return Content(text, spans)


@cache
def _markdown() -> MarkdownIt:
    return MarkdownIt("gfm-like")  # as Textual's own
