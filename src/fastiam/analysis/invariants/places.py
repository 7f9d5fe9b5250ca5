"""Places: the resources with a record, and all others of an owner (4.2).

INVARIANT: an ARN that a record governs matches one of the patterns of the record, so that it is in the place of the record.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from fastiam.analysis.filter.governed_arns import cases_below, spellings
from fastiam.analysis.filter.patterns import Part, Symbol
from fastiam.analysis.proof.cells import FieldWildcard, Symbols
from fastiam.directory.governing_resources import governing_resources_of, stored_arn
from fastiam.model.arn import is_account, split_arn
from fastiam.model.policy import Policy
from fastiam.resolve.snapshot import Snapshot
from fastiam.runtime.forking import cached_property
from fastiam.spec.wildcards import Wildcard

_OF_ONE = (Wildcard.ONE, FieldWildcard.ONE)
_MAX_KEPT = 50_000  # resources
# a segment as any text, so that a domain of `codeartifact` has a few ARNs more: `Case` does not take them
_WILDCARDS: dict[Symbol, Wildcard | FieldWildcard] = {
    Symbol.ANY: Wildcard.ANY, Symbol.ONE: Wildcard.ONE, Symbol.FIELD: FieldWildcard.ANY, Symbol.FIELD_ONE: FieldWildcard.ONE,
    Symbol.SEGMENT: Wildcard.ANY, Symbol.SEGMENT_ONE: Wildcard.ONE,
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """The ARNs that a record governs.

    Attributes
    ----------
    arn
        of the record.
    patterns
        of the ARNs; they can match a few more.
    """

    arn: str
    patterns: tuple[Symbols, ...]

    @property
    def globs(self) -> Iterator[str]:
        """The patterns as texts, in which a wildcard can match more."""
        for pattern in self.patterns:
            yield "".join(one if isinstance(one, str) else "?" if one in _OF_ONE else "*" for one in pattern)


def place_of(arn: str) -> Place:
    """Return the place of a record."""
    below = (case.whole_pattern for case in cases_below(arn, "x"))
    found = (*((one,) for one in spellings(arn)), *below)
    return Place(arn, tuple(dict.fromkeys(_symbols(one) for one in found)))


def _symbols(pattern: Iterable[Part]) -> Symbols:
    found: list[str | Wildcard | FieldWildcard] = []
    for part in pattern:
        if isinstance(part, str):
            found += part
        elif isinstance(part, Symbol):
            found.append(_WILDCARDS[part])
    return tuple(found)


class Records:
    """The records of a directory as places."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._places: dict[str, Place] = {}
        self.facts = lru_cache(_MAX_KEPT)(snapshot.facts)  # what the directory knows of a resource
        self._kept_of = lru_cache(_MAX_KEPT)(self._of)

    def place(self, arn: str) -> Place:
        """Return the place of a record."""
        found = self._places.get(arn)
        if found is None:
            found = self._places[arn] = place_of(arn)
        return found

    def with_policies(self) -> Iterator[tuple[str, tuple[Policy, ...]]]:
        """Yield the records with policies, trust policies included."""
        for arn, resource in self._snapshot.resources():
            if resource.policies:
                yield arn, tuple(stored.policy for stored in resource.policies)
        for arn in self._snapshot.entity_resources():
            trust = self._snapshot.tables.entities[arn].trust
            if trust is not None:
                yield arn, (trust.policy,)

    def policies(self, arn: str) -> tuple[Policy, ...]:
        """Return the policies of a record."""
        tables = self._snapshot.tables
        resource, entity = tables.resources.get(arn), tables.entities.get(arn)
        found = () if resource is None else tuple(stored.policy for stored in resource.policies)
        return found if entity is None or entity.trust is None else (*found, entity.trust.policy)

    def related(self, arn: str) -> list[str]:
        """Return a record, those that govern it, and those below it, whose policies can be in force at the same resources."""
        below = [one for one in self._below.get(arn, ()) if one != arn]
        return list(dict.fromkeys((arn, *self._above(arn), *below)))

    def below(self, arn: str) -> Iterator[Place]:
        """Yield the places of records with a policy or another owner below a record, which decide a part of its place."""
        owned = frozenset(self.of_other_owners(arn))
        below = (one for one in self._below.get(arn, ()) if one != arn)
        yield from (self.place(one) for one in below if one in owned or self.policies(one))

    def of_other_owners(self, arn: str) -> Iterator[str]:
        """Yield the records below a record that another account owns."""
        owner = self.owner(arn)
        yield from (one for one in self._below.get(arn, ()) if self.owner(one) != owner)

    def owner(self, arn: str) -> str | None:
        """Return the account that owns a resource, by its record, else by its ARN."""
        account, parts = self.facts(arn).account, split_arn(arn)
        return account or (parts.account if parts is not None and is_account(parts.account) else None)

    @cached_property
    def _below(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for arn, _ in self._snapshot.resources():
            for governing in self._above(arn):
                found.setdefault(governing, []).append(arn)
        return found

    def _above(self, arn: str) -> list[str]:
        """Return the records that govern a record, or what is below it: a domain of packages with that of their repository."""
        below = (one for case in cases_below(arn, "x") for one in self.of(case.sample))
        return list(dict.fromkeys((*self.of(arn), *(one for one in below if arn not in self.of(one)))))

    def of(self, arn: str) -> tuple[str, ...]:
        """Return the records that are or govern a resource."""
        return self._kept_of(arn)

    def _of(self, arn: str) -> tuple[str, ...]:
        facts = self.facts(arn)
        names = [stored_arn(facts.arn), *(one for group in governing_resources_of(facts.arn).groups for one in group)]
        return tuple(one for one in dict.fromkeys(names) if self._snapshot.has_record(one))
