"""The values of a test file: texts with variables, lists, objects with known keys, and errors at their places."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
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


class TestFileErrors(SourceError):
    """The errors of one test file. `errors` has each; the place is that of the first."""

    __test__ = False  # of pytest: this is not a test class

    def __init__(self, errors: Sequence[SourceError]) -> None:
        first = errors[0]
        place = {"source": first.source, "path": first.path, "line": first.line, "column": first.column}
        super().__init__(first.message, **place, hint=first.hint)  # type: ignore[arg-type]
        self.errors = tuple(errors)
        self.args = ("\n".join(map(str, errors)),)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.errors,)


@dataclass(slots=True)
class ErrorCollector:
    """Collects the errors of a test file, so that all are reported at once."""

    errors: dict[str, SourceError] = field(default_factory=dict)  # by text: the examples of a test share values

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Collect the error of a block, and go on after it."""
        try:
            yield
        except SourceError as failed:
            for each in getattr(failed, "errors", (failed,)):
                self.errors.setdefault(str(each), each)

    def check(self) -> None:
        """Raise what was collected."""
        found = tuple(self.errors.values())
        if found:
            raise found[0] if len(found) == 1 else TestFileErrors(found)


def error(given: LocatedValue, message: str, code: str, *, hint: str = "") -> SourceError:
    """Return an error at a value, with its code."""
    return given.error(f"{message} [{code}]", hint=hint)


def known_keys(given: LocatedValue, names: Sequence[str]) -> None:
    """Refuse the keys that are not among names."""
    errors = ErrorCollector()
    for name, value in given.object().items():
        if name not in names:
            with errors.collecting():
                raise error(given.child(name, value), f"unknown key `{name}`", "TEST-KEY", hint=did_you_mean(name, names))
    errors.check()


def listed(given: LocatedValue | None) -> list[LocatedValue]:
    """Return the items of a list, or one value as a list."""
    if given is None:
        return []
    return given.items() if isinstance(given.value, list) else [given]
