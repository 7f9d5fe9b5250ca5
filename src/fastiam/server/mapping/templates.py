"""Templates: texts with placeholders that make an ARN or a name out of foreign ids, and ids out of ARNs (G51, G77)."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Final
from urllib.parse import quote, unquote

from fastiam.errors import SourceError
from fastiam.server.mapping.faults import MappingError

_PLACEHOLDER = re.compile(r"\{([A-Za-z0-9_.-]+)\}")
_SAFE: Final = "._~@+=,-"  # next to letters and digits
_IS_SAFE = re.compile(r"[A-Za-z0-9._~@+=,-]+")
_ENCODED = r"([A-Za-z0-9._~@+=,%-]+)"


def encode(text: str) -> str:
    """Percent-encode everything outside `A-Z a-z 0-9 . _ ~ @ + = , -`, so that a text stays within its segment and field."""
    return text if _IS_SAFE.fullmatch(text) else quote(text, safe=_SAFE)


class Template:
    """A text with placeholders `{name}`, compiled once.

    Parameters
    ----------
    text : for example `arn:aws:record:::record/{id}`.
    names : the placeholders that it may have.
    at : place in the configuration, for messages.

    Raises
    ------
    SourceError: another placeholder, a brace elsewhere, or two placeholders that neither `/` nor `:` separates (G77).
    """

    __slots__ = ("_literals", "_names", "_pattern", "text")

    def __init__(self, text: object, names: Collection[str], at: str) -> None:
        if not isinstance(text, str) or not text:
            raise config_error("a template must be text", at, "write for example `arn:aws:iam::111111111111:user/{id}`")
        parts = _PLACEHOLDER.split(text)
        self.text = text
        self._literals, self._names = tuple(parts[::2]), tuple(parts[1::2])
        for name in self._names:
            if name not in names:
                known = ", ".join(f"`{{{known}}}`" for known in sorted(names))
                raise config_error(f"`{{{name}}}` is not a placeholder of this template", at, f"use one of {known}")
        if any("{" in literal or "}" in literal for literal in self._literals):
            raise config_error(f"`{text}` has a brace outside a placeholder", at, "write placeholders as `{id}`")
        for left, literal, right in zip(self._names, self._literals[1:-1], self._names[1:], strict=False):
            if "/" not in literal and ":" not in literal:
                raise config_error(
                    f"`{{{left}}}` and `{{{right}}}` are not separated by `/` or `:`",
                    at,
                    "two pairs of ids would give one text: write for example `{ns}/{sa}`",
                )
        self._pattern = re.compile(_ENCODED.join(map(re.escape, self._literals)))

    def __repr__(self) -> str:
        return f"Template({self.text!r})"

    @property
    def names(self) -> tuple[str, ...]:
        """The placeholders in order; a name may occur more than once."""
        return self._names

    def sample(self) -> str:
        """The text with `xx` in each placeholder: its fields are those of every text that the template makes."""
        return "xx".join(self._literals)

    def render(self, values: Mapping[str, str], at: str = "$", encoded: Mapping[str, str] = {}) -> str:
        """Insert percent-encoded values. `encoded` has those that are encoded already, such as paths of several segments.

        Raises
        ------
        MappingError: a value is missing or empty (`missing`), or has a lone surrogate (`bad_character`).
        """
        parts = [self._literals[0]]
        for name, literal in zip(self._names, self._literals[1:], strict=True):
            value = values.get(name)
            if not value:
                raise MappingError("missing", f"there is no value for `{name}`", at)
            try:
                parts.append(encoded[name] if name in encoded else encode(value))
            except UnicodeEncodeError:
                raise MappingError("bad_character", f"the value of `{name}` has a lone surrogate", at) from None
            parts.append(literal)
        return "".join(parts)

    def reverse(self, text: str) -> dict[str, str] | None:
        """The values that make this text, or None if there are none: rendering them gives exactly the text."""
        found = self._pattern.fullmatch(text)
        if found is None:
            return None
        values: dict[str, str] = {}
        for name, encoded in zip(self._names, found.groups(), strict=True):
            value = unquote(encoded, errors="replace")
            if encode(value) != encoded or values.setdefault(name, value) != value:
                return None
        return values


def config_error(message: str, at: str, hint: str = "") -> SourceError:
    """An error of the configuration; `at` is the place in it, such as `authzen.subjects.user.principal`."""
    return SourceError(message, source="configuration", path=at, hint=hint)
