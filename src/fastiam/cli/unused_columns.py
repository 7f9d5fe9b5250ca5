"""Columns of a file of requests that no statement reads, so that a misspelt key is reported."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import islice

from fastiam.compile.keys import is_read
from fastiam.errors import nearest
from fastiam.model.key_registry import fold, spelled

_SHOWN = 10  # columns in a summary
_MAX_NAMES = 1000  # names that are compared: lines of JSON may bring any number of them


class UnusedColumns:
    """The columns of a job that no statement reads, in the order of their batches.

    Parameters
    ----------
    read : the keys that statements read, folded.
    others : further columns that have a meaning.
    """

    def __init__(self, read: Collection[str], others: Sequence[str]) -> None:
        self._read, self._others = read, others
        self._seen: set[str] = set()
        self.names: list[str] = []
        self._hints: dict[str, str] = {}

    def add(self, names: Collection[str]) -> str | None:
        """Add names of columns that are read as condition keys; return the first that no statement reads, or None."""
        new = [name for name in islice(names, _MAX_NAMES) if name not in self._seen] if len(self._seen) < _MAX_NAMES else []
        self._seen.update(new)
        unused = [name for name in new if not is_read(name, self._read)]
        self.names += unused
        for name in unused[: _SHOWN - len(self._hints)]:
            self._hints[name] = self._hint(name, set(map(fold, names)))
        return unused[0] if unused else None

    def hint(self, name: str) -> str:
        """The nearest key or column that is read, as a question, or ""."""
        return self._hints.get(name, "")

    def lines(self) -> Iterable[str]:
        """The lines of the summary; none if every column is read."""
        if not self.names:
            return
        yield "columns that no statement reads:"
        for name, hint in self._hints.items():
            yield f"  `{name}`: {hint}" if hint else f"  `{name}`"
        if len(self.names) > len(self._hints):
            yield f"  and {len(self.names) - len(self._hints)} more"

    def _hint(self, name: str, given: Collection[str]) -> str:
        meant: dict[str, str] = {}
        for key in (*self._others, *map(spelled, sorted(set(self._read) - set(given)))):
            for text in (key, key.partition(":")[2]):
                meant.setdefault(_letters(text), key)
        near = nearest(_letters(name), meant)
        return f"did you mean `{meant[near]}`?" if near else ""


def _letters(name: str) -> str:
    """Only letters and digits, so that `source_ip` is like `aws:SourceIp`."""
    return "".join(filter(str.isalnum, fold(name)))
