"""HTML of the playground: templates with autoescape, static files, and the header fields of every page (G203, G204, G206)."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Final

from jinja2 import DictLoader, Environment, StrictUndefined

from fastiam.model.key_registry import spelled
from fastiam.report.highlighting import static_text
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


class Renderer:
    """The templates and static files of the package, read once."""

    def __init__(self, templates: Mapping[str, str], static: Mapping[str, bytes]) -> None:
        self._environment = Environment(
            loader=DictLoader(templates), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        self._environment.filters["spelled"] = spelled
        self.static = {
            name: Response(200, body, _TYPES[name[name.rindex(".") :]], HEADERS) for name, body in static.items()
        }  # a fixed table: no path of a request is joined to a folder

    @classmethod
    def of_package(cls) -> Renderer:
        """The renderer of the files next to this module, with the style sheet of reports."""
        folder = files(__package__)
        templates = {
            file.name: file.read_text("utf-8") for file in (folder / "templates").iterdir() if file.name.endswith(".html")
        }
        suffixes = tuple(_TYPES)
        static = {file.name: file.read_bytes() for file in (folder / "static").iterdir() if file.name.endswith(suffixes)}
        static["pages.css"] = static_text("pages.css").encode()
        return cls(templates, static)

    def page(self, template: str, status: int = 200, **values: Any) -> Response:
        """A page. All values are escaped but `Markup` of `highlighted`."""
        body = self._environment.get_template(template).render(**values)
        # lone surrogates cannot come from a form, and must not break the answer if they do
        return Response(status, body.encode("utf-8", "backslashreplace"), "text/html; charset=utf-8", HEADERS)
