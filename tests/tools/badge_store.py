"""A record store that tests add to a directory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import fastiam
from fastiam.directory.transactions import Change, RecordStore

A = "111111111111"
ANA, BOB = (f"arn:aws:iam::{A}:user/{name}" for name in ("ana", "bob"))


@dataclass(frozen=True, slots=True)
class Badge:
    id: str
    owner: str
    color: str = "red"


@dataclass(slots=True)
class BadgeTables:
    badges: dict[str, Badge] = field(default_factory=dict)
    printer: Badge | None = None


class Badges(RecordStore[BadgeTables]):
    """A record store as another part of the package keeps one: an index, a rule over users, a cascade."""

    name = "badges"

    def __init__(self) -> None:
        self.of_owner: dict[str, set[str]] = defaultdict(set)
        super().__init__(BadgeTables())

    def changed(self, table: str, key: str, old: Badge | None, new: Badge | None) -> None:
        if table == "badges":
            if old is not None:
                self.of_owner[old.owner].discard(key)
            if new is not None:
                self.of_owner[new.owner].add(key)

    def before_commit(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if change.table == "entities" and change.new is not None and not change.new.tags:
                raise fastiam.DirectoryError(f"`{change.key}` has no tags")
            if change.table == "badges" and change.new is not None and change.key == "first":
                self.put("badges", "second", Badge("second", change.new.owner))
