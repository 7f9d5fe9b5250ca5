"""Templates: texts with placeholders that make an ARN or a name out of foreign ids, and ids out of ARNs (G51, G77)."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from fastiam.errors import SourceError
from fastiam.server.mapping.encodings import HASH_SIZE, MAX_NAME, PERCENT, Encoding, codec, is_hash
from fastiam.server.mapping.faults import MappingError

_PLACEHOLDER = re.compile(r"\{([A-Za-z0-9_.-]+)\}")
_ENCODED = r"([A-Za-z0-9._~@+=,%-]+)"
_SEPARATOR = re.compile(r"[/:]")


class Template:
    """A text with placeholders `{name}`, compiled once.

    Parameters
    ----------
    text
        for example `arn:aws:record:::record/{id}`.
    names
        the placeholders that it may have.
    at
        place in the configuration, for messages.
    encoding
        of the values.
    plain
        placeholders whose values are percent-encoded all the same.

    Raises
    ------
    SourceError
        another placeholder, a brace elsewhere, two placeholders that neither `/` nor `:` separates (G77), or a literal next to a
        placeholder that leaves no room for an encoded value.
    """

    __slots__ = ("_codecs", "_literals", "_names", "_pattern", "text")

    def __init__(
        self, text: object, names: Collection[str], at: str, encoding: Encoding = "percent", plain: Collection[str] = ()
    ) -> None:
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
        self._codecs = [
            PERCENT if encoding == "percent" or name in plain else codec(encoding, self._room(i, at))
            for i, name in enumerate(self._names)
        ]
        self._pattern = re.compile(_ENCODED.join(map(re.escape, self._literals)))

    def _room(self, index: int, at: str) -> int:
        """The characters that a name has left for the value of a placeholder."""
        around = _SEPARATOR.split(self._literals[index])[-1] + _SEPARATOR.split(self._literals[index + 1])[0]
        room = MAX_NAME - len(around)
        if room < HASH_SIZE:
            hint = f"a name has at most {MAX_NAME} characters, and a long id needs {HASH_SIZE} of them"
            raise config_error(f"`{around}` next to `{{{self._names[index]}}}` is too long for an encoded id", at, hint)
        return room

    @staticmethod
    def placeholders(text: object) -> list[str]:
        """The names of the placeholders in a text, whatever they are."""
        return _PLACEHOLDER.findall(text) if isinstance(text, str) else []

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
        """Insert encoded values. `encoded` has those that are encoded already, such as paths of several segments.

        Raises
        ------
        MappingError
            a value is missing or empty (`missing`), or has a lone surrogate (`bad_character`).
        """
        parts = [self._literals[0]]
        for name, literal, each in zip(self._names, self._literals[1:], self._codecs, strict=True):
            value = values.get(name)
            if not value:
                raise MappingError("missing", f"there is no value for `{name}`", at)
            try:
                parts.append(encoded[name] if name in encoded else each.encode(value))
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
        for name, encoded, each in zip(self._names, found.groups(), self._codecs, strict=True):
            value = each.decode(encoded)
            if value is None or values.setdefault(name, value) != value:
                return None
        return values

    def hides(self, text: str) -> bool:
        """Whether a text may be of values that it does not show: it has a hash."""
        found = self._pattern.fullmatch(text)
        return found is not None and any(
            each is not PERCENT and is_hash(part) for part, each in zip(found.groups(), self._codecs, strict=True)
        )


def no_principal(template: Template, at: str) -> SourceError:
    """The error of a template that makes no ARN of a principal."""
    name = next(iter(template.names), "id")
    hint = f"write the ARN of a user, role or session, for example `arn:aws:iam::111111111111:user/{{{name}}}`"
    return config_error(f"`{template.text}` does not make the ARN of a principal", at, hint)


def config_error(message: str, at: str, hint: str = "") -> SourceError:
    """An error of the configuration; `at` is the place in it, such as `authzen.subjects.user.principal`."""
    return SourceError(message, source="configuration", path=at, hint=hint)
