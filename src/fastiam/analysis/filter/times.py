"""The instants at which a test of the time changes its result: a filter holds until the first of them (H72)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from fastiam.analysis.filter.row_conditions import names_of_entry
from fastiam.analysis.filter.row_keys import RowKeys
from fastiam.model.key_registry import fold
from fastiam.model.policy import ConditionEntry, Statement
from fastiam.spec.resource_patterns import read_pattern
from fastiam.spec.unknown_keys import EPOCH, NOW
from fastiam.spec.values import read_date, read_number

AGE = "aws:multifactorauthage"
_CLOCKS = frozenset((NOW, EPOCH, AGE))
_START = datetime(1970, 1, 1, tzinfo=UTC)


def next_change(statement: Statement, variables: bool, keys: RowKeys) -> set[datetime]:
    """The first instant after `now` at which a test of a statement can change; empty if no test reads the clock."""
    now = keys.row.request.now
    reads = {key for key in _CLOCKS if _follows_clock(key, keys)}
    if not reads:
        return set()
    found: list[int] = []
    for entry in statement.conditions:
        key = fold(entry.key)
        if key in reads:
            found += _thresholds(entry, keys.principal.mfa_at or 0 if key == AGE else 0, now)
        if reads.intersection(names_of_entry(entry, variables)[1:]):
            found.append(now + 1)
    for text in statement.resources or ():
        if text.startswith("arn:") and reads.intersection(v.name for v in read_pattern(text, variables).variables if v.name):
            found.append(now + 1)
    later = [seconds for seconds in found if seconds > now]
    try:
        return {_START + timedelta(seconds=min(later))} if later else set()
    except OverflowError:  # after the year 9999
        return set()


def _follows_clock(key: str, keys: RowKeys) -> bool:
    """Whether the value of a key comes from `now`: neither the request nor a column gives it."""
    given = keys.row.request.context
    if key == AGE:
        return keys.principal.mfa_at is not None and key not in given
    return NOW not in given and EPOCH not in given


def _thresholds(entry: ConditionEntry, zero: int, now: int) -> Iterator[int]:
    """The whole seconds at which an entry can change; `zero` is the instant from which the key counts."""
    if entry.operator == "Null" or entry.undetermined:
        return
    for text in entry.values:
        if entry.operator.startswith("Date"):
            instant = read_date(text)
            value = None if instant is None else Decimal(instant[0]) + Decimal(instant[1]) / 10**9
        elif entry.operator.startswith("Numeric"):
            value = read_number(text)
        else:
            yield now + 1  # a test of the text can change with each second
            continue
        if value is not None:
            yield from (zero + math.ceil(value), zero + 1 - math.ceil(-value))
