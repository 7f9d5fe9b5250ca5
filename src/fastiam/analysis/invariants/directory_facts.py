"""What the proofs of all invariants over one directory have in common, computed once (T85)."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from fastiam.analysis.invariants.subjects import Names, Subject, of_entity, start_of_sessions
from fastiam.analysis.proof.key_values import KeyTest, unresolved_variables
from fastiam.directory.account_records import Entity
from fastiam.model.key_registry import fold
from fastiam.model.policy import ConditionEntry
from fastiam.model.profile import PrincipalProfile
from fastiam.model.request import ContextValue
from fastiam.resolve.snapshot import Snapshot
from fastiam.spec.three_valued import Truth

if TYPE_CHECKING:
    from fastiam.analysis.invariants.universe import Home

_MAX_KEPT = 200_000  # results of one entry


class EntryResults:
    """A condition entry, with its results for the values of its key that were asked."""

    __slots__ = ("_kept", "_test", "entry", "key", "names", "variables")

    def __init__(self, entry: ConditionEntry, variables: bool) -> None:
        self.entry, self.variables, self.key = entry, variables, fold(entry.key)
        self.names = tuple(unresolved_variables(entry, variables))
        self._test = KeyTest(entry, variables)
        self._kept: dict[ContextValue | None, Truth] = {}

    def of(self, value: ContextValue | None) -> Truth:
        """Return the result for a value, None for an absent key; only without variables."""
        found = self._kept.get(value)
        if found is None:
            if len(self._kept) >= _MAX_KEPT:
                self._kept.clear()
            found = self._kept[value] = self._test.check(value)
        return found


class DirectoryFacts:
    """The principals of a directory, and the condition entries of its policies."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.profiles = tuple(snapshot.principals())
        self.homes: dict[str, Home] = {}
        self._subjects: dict[Hashable, tuple[Subject, ...]] = {}
        self._entries: dict[tuple[ConditionEntry, bool], EntryResults] = {}

    def entry(self, entry: ConditionEntry, variables: bool) -> EntryResults:
        """Return the results of an entry."""
        found = self._entries.get((entry, variables))
        if found is None:
            found = self._entries[entry, variables] = EntryResults(entry, variables)
        return found

    def subjects(self, profile: PrincipalProfile, entity: Entity | None, names: Names, membership: str) -> tuple[Subject, ...]:
        """Return the subjects of a root, user or role with a record, as `of_entity` does."""
        start = start_of_sessions(profile)
        known = tuple(names(start))
        name = profile.name, membership, known
        found = self._subjects.get(name)
        if found is None:
            found = self._subjects[name] = tuple(of_entity(profile, entity, lambda _: known, membership))
        return found


_FACTS: WeakKeyDictionary[Snapshot, DirectoryFacts] = WeakKeyDictionary()


def facts_of(snapshot: Snapshot) -> DirectoryFacts:
    """Return the facts of a snapshot, which does not change."""
    found = _FACTS.get(snapshot)
    if found is None:
        found = _FACTS[snapshot] = DirectoryFacts(snapshot)
    return found
