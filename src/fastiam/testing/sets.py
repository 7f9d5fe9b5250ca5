"""The named lists of a test file: `set:NAME` among principals, actions or resources is the list of that name (T5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fastiam.errors import did_you_mean
from fastiam.sources.located_values import LocatedValue
from fastiam.testing.file_values import error, known_keys, listed

KINDS = ("principals", "actions", "resources")
MAX_ENTRIES = 10_000  # of one set
_PREFIX = "set:"


@dataclass(frozen=True, slots=True)
class Sets:
    """The sets of a file by kind and name. Their entries may have variables, which are replaced where an entry is used."""

    by_kind: Mapping[str, Mapping[str, Sequence[LocatedValue]]] = field(default_factory=dict)

    def expanded(self, kind: str, given: Sequence[LocatedValue]) -> list[LocatedValue]:
        """Return a list with the entries of its sets in their places.

        Raises
        ------
        SourceError
            the file has no set of that kind and name.
        """
        found: list[LocatedValue] = []
        for each in given:
            name = each.value.removeprefix(_PREFIX) if isinstance(each.value, str) and each.value.startswith(_PREFIX) else None
            found += [each] if name is None else self._set(kind, name, each)
        return found

    def _set(self, kind: str, name: str, given: LocatedValue) -> Sequence[LocatedValue]:
        known = self.by_kind.get(kind, {})
        if name in known:
            return known[name]
        other = next((each for each, sets in self.by_kind.items() if name in sets), None)
        hint = f"it is a set of {other}" if other else did_you_mean(name, known)
        raise error(given, f"the file has no set `{name}` of {kind}", "TEST-SET", hint=hint)


def read_sets(given: LocatedValue | None) -> Sets:
    """Read the value of `sets`.

    Raises
    ------
    SourceError
        an unknown kind, an empty set, one with too many entries, or a set in a set.
    """
    if given is None:
        return Sets()
    known_keys(given, KINDS)
    found: dict[str, dict[str, Sequence[LocatedValue]]] = {}
    for kind, sets in given.members():
        of_kind = found.setdefault(kind, {})
        for name, entries in sets.members():
            of_kind[name] = listed(entries)
            if not of_kind[name]:
                raise error(entries, f"the set `{name}` is empty", "TEST-SET")
            if len(of_kind[name]) > MAX_ENTRIES:
                raise error(entries, f"a set has at most {MAX_ENTRIES:,} entries", "TEST-LIMIT")
            for entry in of_kind[name]:
                if isinstance(entry.value, str) and entry.value.startswith(_PREFIX):
                    raise error(entry, "a set has no sets in it", "TEST-SET")
    return Sets(found)
