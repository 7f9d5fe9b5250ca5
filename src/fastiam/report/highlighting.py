"""Policies in HTML with statements highlighted. Everything is escaped; invisible characters become visible marks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import groupby
from typing import Final

from markupsafe import Markup, escape

_CODE: Final = re.compile("`([^`]*)`")
_VISIBLE: Final = frozenset("\n\t\r")


@dataclass(frozen=True, slots=True)
class Span:
    """Characters `[start, end)` of a text to highlight; `kind` is `allow`, `deny` or `near`, and `label` says why."""

    start: int
    end: int
    kind: str
    label: str


def highlighted(text: str, spans: Sequence[Span]) -> Markup:
    """A text with spans in `<mark>`, escaped; control and bidirectional characters become visible marks. Spans may nest."""
    parts: list[Markup] = []
    cuts = sorted({0, len(text), *(span.start for span in spans), *(span.end for span in spans)})
    for start, end in zip(cuts, cuts[1:], strict=False):
        piece = visible(text[start:end])
        within = [span for span in spans if span.start <= start and end <= span.end]
        if within:
            kind = "deny" if any(span.kind == "deny" for span in within) else within[0].kind
            label = "; ".join(dict.fromkeys(span.label for span in within))
            piece = Markup('<mark class="{}" title="{}">{}</mark>').format(kind, label, piece)
        parts.append(piece)
    return Markup("").join(parts)


def prose(text: str) -> Markup:
    """A text, escaped, with text in backticks as code."""
    parts = _CODE.split(text)
    shown = (Markup("<code>{}</code>").format(visible(part)) if i % 2 else visible(part) for i, part in enumerate(parts))
    return Markup("").join(shown)


def visible(text: str) -> Markup:
    """A text, escaped, in which control and bidirectional characters are visible marks."""
    if text.isascii() and text.isprintable():
        return escape(text)
    parts: list[Markup] = []
    for is_visible, run in groupby(text, _is_visible):
        if is_visible:
            parts.append(escape("".join(run)))
            continue
        names = [f"U+{ord(char):04X}" for char in run]
        parts += [Markup('<span class="control" title="{}">{}</span>').format(name, name) for name in names]
    return Markup("").join(parts)


def _is_visible(char: str) -> bool:
    return char.isprintable() or char in _VISIBLE


@cache
def static_text(name: str) -> str:
    """Return a style sheet or script of this package."""
    return (files(__package__) / "static" / name).read_text("utf-8")
