"""HTML of the playground: templates with autoescape, static files, and the header fields of every page (G203, G204, G206)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup, escape

from fastiam.server.http import Response

_POLICY: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; form-action 'self'; connect-src 'self'; "
    b"base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final = (
    (b"content-security-policy", _POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
_TYPES: Final = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
_VISIBLE: Final = frozenset("\n\t\r")


@dataclass(frozen=True, slots=True)
class Span:
    """Characters `[start, end)` of a text to highlight; `kind` is `allow`, `deny` or `near`, and `label` says why."""

    start: int
    end: int
    kind: str
    label: str


class Renderer:
    """The templates and static files of the package, read once."""

    def __init__(self, templates: Mapping[str, str], static: Mapping[str, bytes]) -> None:
        self._environment = Environment(
            loader=DictLoader(templates), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        self.static = {
            name: Response(200, body, _TYPES[name[name.rindex(".") :]], HEADERS) for name, body in static.items()
        }  # a fixed table: no path of a request is joined to a folder

    @classmethod
    def of_package(cls) -> Renderer:
        """The renderer of the files next to this module."""
        folder = files(__package__)
        templates = {
            file.name: file.read_text("utf-8") for file in (folder / "templates").iterdir() if file.name.endswith(".html")
        }
        suffixes = tuple(_TYPES)
        static = {file.name: file.read_bytes() for file in (folder / "static").iterdir() if file.name.endswith(suffixes)}
        return cls(templates, static)

    def page(self, template: str, status: int = 200, **values: Any) -> Response:
        """A page. All values are escaped but `Markup` of `highlighted`."""
        body = self._environment.get_template(template).render(**values)
        # lone surrogates cannot come from a form, and must not break the answer if they do
        return Response(status, body.encode("utf-8", "backslashreplace"), "text/html; charset=utf-8", HEADERS)


def highlighted(text: str, spans: Sequence[Span]) -> Markup:
    """A text with spans in `<mark>`, escaped; control and bidirectional characters become visible marks. Spans may nest."""
    parts: list[Markup] = []
    cuts = sorted({0, len(text), *(span.start for span in spans), *(span.end for span in spans)})
    for start, end in zip(cuts, cuts[1:], strict=False):
        piece = _visible(text[start:end])
        within = [span for span in spans if span.start <= start and end <= span.end]
        if within:
            kind = "deny" if any(span.kind == "deny" for span in within) else within[0].kind
            label = "; ".join(dict.fromkeys(span.label for span in within))
            piece = Markup('<mark class="{}" title="{}">{}</mark>').format(kind, label, piece)
        parts.append(piece)
    return Markup("").join(parts)


def _visible(text: str) -> Markup:
    if text.isascii() and text.isprintable():
        return escape(text)
    parts = []
    for char in text:
        if char.isprintable() or char in _VISIBLE:
            parts.append(escape(char))
        else:
            name = f"U+{ord(char):04X}"
            parts.append(Markup('<span class="control" title="{}">{}</span>').format(name, name))
    return Markup("").join(parts)
