"""`Diff`: the decision changes between two engines, with the statements that cause them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastiam.analysis.access.decision_changes import CHANGES, GAINING, Change, DiffGroup
from fastiam.engine.decisions import NO_STATEMENT, DictionaryColumn
from fastiam.kernel.columns.table import stream_of, table_array
from fastiam.model.decision import Outcome
from fastiam.runtime.forking import cached_property

if TYPE_CHECKING:
    from fastiam.model.result import Json

_NAMES = {int(outcome): outcome.name for outcome in Outcome}
_REQUEST = ("principal", "action", "resource")


class Diff:
    """The decision changes between two engines.

    Attributes
    ----------
    n_rows
        number of compared rows.
    rows
        numbers of the changed rows, ascending, int64, shape (k,).
    old_outcome, new_outcome
        their outcomes, uint8, shape (k,).
    groups
        the flipping statements, gained access first; `group` has the index of the group of each changed row, shape (k,).
    undecidable
        number of rows that depend on unknown keys in both engines, so that a change cannot be determined.
    n_errors
        number of rows that cannot be decided, with `on_error="deny"`.
    unknown_principals
        number of rows whose principal is in neither directory, so that both engines deny them.
    unseen
        changes that can give access and that no row can show, if no requests are given.
    missing_keys
        keys that statements read and that no request has, with the number of rows in which a decision may depend on them.

    Notes
    -----
    An Arrow consumer reads it as a table with one row for each change: `row`, `principal`, `action`, `resource`, `change`,
    `old_outcome`, `new_outcome`, `layer`, `policy`, `sid`.
    """

    def __init__(
        self,
        n_rows: int,
        rows: npt.NDArray[np.int64],
        outcomes: tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]],
        groups: tuple[DiffGroup, ...],
        group: npt.NDArray[np.int32],
        take: Callable[[str, Sequence[int]], list[str]],
        undecidable: int = 0,
        n_errors: int = 0,
        unseen: tuple[str, ...] = (),
        unknown_principals: int = 0,
        missing_keys: Mapping[str, int] | None = None,
    ) -> None:
        """Internal. `take` returns texts of a request column."""
        self.n_rows, self.rows, self.groups, self.group = n_rows, rows, groups, group
        self.old_outcome, self.new_outcome = outcomes
        self.undecidable, self.n_errors, self.unseen = undecidable, n_errors, unseen
        self.unknown_principals, self.missing_keys = unknown_principals, dict(missing_keys or {})
        self._take = take

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        counts = ", ".join(f"{count:,} {change.value}" for change, count in self.counts.items())
        return f"<Diff: {self.n_rows:,} rows, {counts or 'no changes'}>"

    def __reduce__(self) -> tuple[Any, ...]:
        texts = {name: self._take(name, self.rows.tolist()) for name in _REQUEST}
        arguments = self.n_rows, self.rows, (self.old_outcome, self.new_outcome), self.groups, self.group
        counts = self.undecidable, self.n_errors, self.unseen, self.unknown_principals, self.missing_keys
        return _unpickled, (texts, arguments, counts)

    @property
    def counts(self) -> dict[Change, int]:
        """Number of rows by kind of change."""
        found: dict[Change, int] = {}
        for group in self.groups:
            found[group.change] = found.get(group.change, 0) + group.rows
        return found

    @property
    def is_gained(self) -> bool:
        """Whether a request that was denied is allowed, or can be allowed."""
        return any(group.change in GAINING for group in self.groups)

    def request(self, row: int) -> tuple[str, str, str]:
        """Return principal, action and resource of a row by its number; after unpickling, of changed rows only."""
        return self.requests([row])[0]

    def requests(self, rows: Sequence[int]) -> list[tuple[str, str, str]]:
        """Return principal, action and resource of rows by their numbers; after unpickling, of changed rows only."""
        principals, actions, resources = (self._take(name, rows) for name in _REQUEST)
        return list(zip(principals, actions, resources, strict=True))

    @cached_property
    def change(self) -> DictionaryColumn:
        """The kind of change of each changed row."""
        codes = np.array([CHANGES.index(group.change) for group in self.groups], np.uint8)
        return DictionaryColumn("change", codes[self.group], CHANGES)

    def to_dict(self) -> dict[str, Json]:
        """Return the JSON form: the counts, and the groups with the request of their first rows."""
        counts: dict[str, Json] = {change.value: count for change, count in self.counts.items()}
        found: dict[str, Json] = {"n_rows": self.n_rows, "counts": counts, "undecidable": self.undecidable}
        found |= {"n_errors": self.n_errors, "unknown_principals": self.unknown_principals, "unseen": list(self.unseen)}
        return found | {"groups": [self.group_to_dict(group) for group in self.groups]}

    def group_to_dict(self, group: DiffGroup) -> dict[str, Json]:
        """Return the JSON form of a group, with the request of its first row."""
        return group.to_dict() | dict(zip(_REQUEST, self.request(group.example), strict=True))

    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]:
        """Return a struct array with one row for each change. `requested_schema` is ignored, as the protocol allows."""
        columns: list[Any] = [("row", self.rows, None, None)]
        columns += [_coded(name, self._take(name, self.rows.tolist())).as_table_column() for name in _REQUEST]
        columns.append(self.change.as_table_column())
        for name, codes in (("old_outcome", self.old_outcome), ("new_outcome", self.new_outcome)):
            columns.append(_coded(name, [_NAMES[code] for code in codes.tolist()]).as_table_column())
        refs = [group.statement for group in self.groups]
        for name, texts in (
            ("layer", [group.layer and group.layer.value for group in self.groups]),
            ("policy", [ref and ref.policy for ref in refs]),
            ("sid", [ref and ref.label for ref in refs]),
        ):
            columns.append(_coded(name, [texts[code] for code in self.group.tolist()]).as_table_column())
        return table_array(columns, (), len(self))

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Return a table of one batch."""
        return stream_of(*self.__arrow_c_array__())


def _unpickled(texts: Mapping[str, Sequence[str]], arguments: tuple[Any, ...], counts: tuple[Any, ...]) -> Diff:
    places = {row: place for place, row in enumerate(arguments[1].tolist())}
    n_rows, rows, outcomes, groups, group = arguments
    return Diff(n_rows, rows, outcomes, groups, group, lambda name, wanted: [texts[name][places[row]] for row in wanted], *counts)


def _coded(name: str, texts: Sequence[str | None]) -> DictionaryColumn:
    places: dict[str, int] = {}
    codes = [NO_STATEMENT if text is None else places.setdefault(text, len(places)) for text in texts]
    return DictionaryColumn(name, np.array(codes, np.int32), list(places))
