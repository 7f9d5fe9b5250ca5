"""Columns of a file of requests, and keys of `--context`, that no statement reads, so that a misspelt key is reported."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from fastiam.cli.console import note
from fastiam.compile.keys import is_read
from fastiam.engine.unreadable_values import UnreadableReport
from fastiam.errors import counted, nearest
from fastiam.frames.batch import with_constants
from fastiam.frames.nested import TAGS
from fastiam.model.arn import split_arn
from fastiam.model.key_names import letters
from fastiam.model.key_registry import fold, key_info, spelled
from fastiam.model.request import is_declared

if TYPE_CHECKING:
    from fastiam.api.engine import Engine

_SHOWN = 10  # columns in a summary
_MAX_NAMES = 1000  # names that are compared: lines of JSON may bring any number of them


class UnusedColumns:
    """The columns of a job that no statement reads, in the order of their batches.

    Parameters
    ----------
    read
        the keys that statements read, folded.
    others
        optional columns that have a meaning. The required ones are there already, so that no name is meant to be one.
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
        unused = [name for name in new if not self._is_read(name)]
        self.names += unused
        for name in unused[: _SHOWN - len(self._hints)]:
            self._hints[name] = self._hint(name, set(map(fold, names)))
        return unused[0] if unused else None

    def _is_read(self, name: str) -> bool:
        if name.endswith(TAGS):
            return any(key.startswith(fold(name[:-1])) for key in self._read)
        return is_read(name, self._read)

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
                meant.setdefault(letters(text), key)
        near = nearest(letters(name), meant)
        return f"did you mean `{meant[near]}`?" if near else ""


def note_defaults(engines: Iterable[Engine], given: Iterable[str], unknown: Iterable[str] = (), resource: str = "") -> None:
    """Print the defaults of keys that statements of engines read and no request gives (K2), for one resource if it is given."""
    note_defaults_of({key for engine in engines for key in engine.resolver.keys_read()}, given, unknown, resource)


def note_defaults_of(read: Collection[str], given: Iterable[str], unknown: Iterable[str] = (), resource: str = "") -> None:
    """Print the defaults of the folded keys `read` that no request gives (K2)."""
    names, declared = set(map(fold, given)), frozenset(map(fold, unknown))
    arn = split_arn(resource)
    for key, default in _DEFAULTS.items():
        folded = fold(key)
        if folded in read and folded not in names and not is_declared(declared, folded):
            if arn is not None and arn.region and folded == _REGION:
                default = f"`{arn.region}`, the Region of the resource"
            note(f"`{key}` is not given: its default applies, {default}")


_REGION = "aws:requestedregion"
_DEFAULTS = {
    "aws:SecureTransport": "`false`",
    "aws:RequestedRegion": "the Region in the ARN of the resource, `us-east-1` for a global service, else none",
}


def note_constants(engine: Engine, given: Mapping[str, Any]) -> None:
    """Print each key of `--context` that is unknown and that no statement reads, if it is like one that statements read.

    Where statements read no key at all, none is like it, and it is printed all the same. Values that tests cannot read are
    printed, too.
    """
    note_unreadable([engine], with_constants({}, given), 1)
    unused = UnusedColumns(engine.resolver.keys_read(), ())
    unused.add([name for name in given if key_info(fold(name)) is None])
    for name in unused.names:
        hint = unused.hint(name)
        if hint or not engine.resolver.keys_read():
            note(f"no statement reads the key `{name}`" + (f"\nhelp: {hint}" if hint else ""))


def note_unreadable(engines: Iterable[Engine], context: Mapping[str, Any], rows: int) -> None:
    """Print the values in the columns of a context that tests of statements cannot read (C22)."""
    found = {one: None for engine in engines for one in UnreadableReport(engine, context, rows).counts()}
    for one in found:
        note(f"{one}: a Deny that tests it applies, an Allow does not" + (f" ({counted(one.rows, 'row')})" if rows > 1 else ""))
