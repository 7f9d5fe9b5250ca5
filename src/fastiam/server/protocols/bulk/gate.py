"""What the rows of a request may state (G4, G7, G160): texts, principals, owners, and condition keys with their values."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from fastiam.frames.arguments import OWNER, REQUEST
from fastiam.server.identity import Identity
from fastiam.server.mapping import (
    MAX_ACTION,
    MAX_ID,
    Key,
    MappingError,
    check_column_value,
    column_key,
    read_owner,
    read_principal,
    read_text,
)
from fastiam.server.protocols.bulk.rows import SESSION, Rows
from fastiam.server.protocols.bulk.stated_sessions import StatedSession

LIMITS: Final = {"principal": MAX_ID, "action": MAX_ACTION, "resource": MAX_ID}
RESERVED: Final = frozenset({*REQUEST, OWNER, SESSION})
_KEPT: Final = 8_192  # names and principals that are cached; all are dropped when there are more
_MAX_KEPT_TEXT: Final = 256
_ONE_KIND: Final = (frozenset({str}), frozenset({bool}), frozenset({int}), frozenset({float}))
_NO_TYPE: Final = frozenset({type(None)})


class Principals:
    """Reads principals. PERF: texts that were principals before, in any request, are not read again."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def faults(self, texts: Collection[Any], sessions: Collection[str]) -> dict[str, MappingError]:
        """Which of some texts are not principals, and why.

        Parameters
        ----------
        sessions
            names that the request states.
        """
        faults: dict[str, MappingError] = {}
        known = self._known  # another thread may replace it
        for text in set(texts) - known:
            if text is None or text in sessions:
                continue
            try:
                read_principal(text, "$.principal")
            except MappingError as fault:
                faults[text] = fault.as_value()
                continue
            if len(text) > _MAX_KEPT_TEXT:
                continue
            if len(known) >= _KEPT:
                self._known = known = set()
            known.add(text)
        return faults


class Gate:
    """Checks columns for one request."""

    def __init__(self, identity: Identity, principals: Principals, unknown: frozenset[str]) -> None:
        self.identity = identity
        self.sessions: Mapping[str, StatedSession] = {}
        self._principals, self._unknown = principals, unknown
        self._keys: dict[str, Key | MappingError] = {}

    def key(self, name: str) -> Key | MappingError:
        """The condition key of a column, or why a row may not state it."""
        found = self._keys.get(name)
        if found is None:
            if len(self._keys) >= _KEPT:
                self._keys.clear()
            found = self._keys[name] = self._read_key(name)
        return found

    def _read_key(self, name: str) -> Key | MappingError:
        try:
            key = column_key(self.identity, name)
        except MappingError as error:
            return error.as_value()
        if key.folded in self._unknown:
            return MappingError("bad_value", f"`{name}` is declared unknown, and given", f"$.{name}")
        return key

    def principal_faults(self, texts: Collection[Any]) -> dict[str, MappingError]:
        """Which of some texts are not principals, and why."""
        return self._principals.faults(texts, self.sessions)

    # -- columns of Python values ---------------------------------------------------------------------------------------

    def texts(self, rows: Rows, name: str, values: list[Any], *, may_have_controls: bool) -> list[Any]:
        """Check a column of texts. Rows whose text is missing or wrong are marked."""
        limit = LIMITS[name]
        if set(map(type, values)) == {str} and not may_have_controls:
            sizes = set(map(len, values))
            if 0 < min(sizes) and max(sizes) <= limit:
                return values
        checked: list[Any] = []
        for row, value in enumerate(values):
            try:
                checked.append(read_text({name: value}, name, "$", limit))
            except MappingError as error:
                rows.fail(row, error.as_value())
                checked.append(None)
        return checked

    def principals(self, rows: Rows, values: Sequence[Any]) -> None:
        """Mark the rows whose principal is none."""
        faults = self.principal_faults(values)
        if faults:
            for row, text in enumerate(values):
                fault = faults.get(text)
                if fault is not None:
                    rows.fail(row, fault)

    def named_sessions(self, rows: Rows, principals: list[Any], names: Sequence[Any]) -> list[Any]:
        """The principals of rows with a column `session`: the name of the session, where there is one."""
        found = list(principals)
        for row, name in enumerate(names):
            if name is None:
                continue
            stated = self.sessions.get(name) if type(name) is str else None
            if stated is None:
                rows.fail(row, MappingError("unmapped_subject", "the request states no session of this name", "$.session"))
            elif found[row] not in (None, name, stated.session.arn):
                rows.fail(row, MappingError("bad_value", "the principal is not that of the session", "$.principal"))
            found[row] = name if stated is not None else None
        return found

    def owners(self, rows: Rows, values: Sequence[Any]) -> list[str | None] | None:
        """The column of owners; None if no row has one. Rows that may not state one are marked."""
        checked: list[str | None] = []
        for row, value in enumerate(values):
            owner = None
            if value is not None:
                try:
                    owner = read_owner(self.identity, value, f"$.{OWNER}")
                except MappingError as error:
                    rows.fail(row, error.as_value())
            checked.append(owner)
        return checked if any(checked) else None

    def values(self, rows: Rows, key: Key, values: list[Any]) -> list[Any]:
        """Check a column of a condition key. Rows whose value is wrong are marked."""
        kinds = frozenset(map(type, values)) - _NO_TYPE
        if not kinds:
            return values
        if kinds in _ONE_KIND:  # PERF: each distinct value once
            faults = self.value_faults(key, set(values))
            if not faults:
                return values
            for row, value in enumerate(values):
                if value in faults:
                    rows.fail(row, faults[value])
            return [None if value in faults else value for value in values]
        checked = list(values)
        for row, value in enumerate(values):
            fault = None if value is None else _value_fault(key, value)
            if fault is not None:
                rows.fail(row, fault)
                checked[row] = None
        return checked

    def value_faults(self, key: Key, values: Iterable[Any]) -> dict[Any, MappingError]:
        """Which of some distinct values are none of a condition key, and why."""
        return {value: fault for value in values if value is not None and (fault := _value_fault(key, value))}

    def refuse(self, rows: Rows, fault: MappingError, stated: Iterable[int]) -> None:
        """Mark the rows that state what may not be stated."""
        for row in stated:
            rows.fail(row, fault)


def _value_fault(key: Key, value: Any) -> MappingError | None:
    try:
        check_column_value(key, value)
    except MappingError as error:
        return error.as_value()
    return None
