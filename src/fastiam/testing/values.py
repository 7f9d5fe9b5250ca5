"""The values of a test file: texts with variables, lists, objects with known keys, and errors at their places."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fastiam.errors import SourceError, did_you_mean
from fastiam.sources.located_values import LocatedValue

_MAX_TEXT = 1 << 16
_VARIABLE = re.compile(r"<<|<([A-Za-z_][A-Za-z0-9_-]*)>")
QUOTES = (
    "write it in quotes: text that begins with `*`, `?`, `:`, `{`, `[`, `&` or `!`, or has them inside `[]` and `{}`, needs them"
)


@dataclass(slots=True)
class Variables:
    """The texts that replace `<name>`, once: a value is not searched again (T4)."""

    values: Mapping[str, str] = field(default_factory=dict)

    def text(self, given: LocatedValue) -> str:
        """Return a text with its variables replaced."""
        if given.file.marks is not None and isinstance(given.value, dict) and list(given.value.values()) == [None]:
            raise error(given, "a text that ends in `:` is a mapping in YAML", "TEST-KEY", hint=QUOTES)
        text = given.text()
        if len(text) > _MAX_TEXT:
            raise error(given, f"a text has at most {_MAX_TEXT:,} characters", "TEST-LIMIT")
        return _VARIABLE.sub(lambda match: self._value(match, given), text)

    def _value(self, match: re.Match[str], given: LocatedValue) -> str:
        name = match[1]
        if name is None:
            return "<"
        if name not in self.values:
            raise error(given, f"the variable `{name}` is not defined", "TEST-VARIABLE", hint=did_you_mean(name, self.values))
        return self.values[name]


def error(given: LocatedValue, message: str, code: str, *, hint: str = "") -> SourceError:
    """Return an error at a value, with its code."""
    return given.error(f"{message} [{code}]", hint=hint)


def known_keys(given: LocatedValue, names: Sequence[str]) -> None:
    """Refuse a key that is not among names."""
    for name in given.object():
        if name not in names:
            raise error(
                given.child(name, given.object()[name]), f"unknown key `{name}`", "TEST-KEY", hint=did_you_mean(name, names)
            )


def listed(given: LocatedValue | None) -> list[LocatedValue]:
    """Return the items of a list, or one value as a list."""
    if given is None:
        return []
    return given.items() if isinstance(given.value, list) else [given]
