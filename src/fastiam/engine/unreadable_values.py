"""Values of condition keys that tests of statements cannot read (C22), such as `999.1.2.3` as an address.

A Deny with such a test applies and an Allow does not, so that the decision looks like one by a test that is true or false.
PERF: a batch is decided without this report, which is made when it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from fastiam.directory.account_model import AccountModel
from fastiam.engine.decisions import DictionaryColumn
from fastiam.engine.summary import MAX_VALUES, UnreadableValues
from fastiam.kernel.columns.read import TextColumn, read_column
from fastiam.model.decision import Outcome
from fastiam.model.key_registry import fold, spelled
from fastiam.resolve.snapshot import Snapshot

if TYPE_CHECKING:
    from fastiam.api.engine import Engine


class _Family(NamedTuple):
    """What a family of operators reads. No value is equal to both of two values, so that only `U` passes both tests."""

    kind: str
    operator: str
    values: tuple[str, str]


_FAMILIES: Final = {
    "numeric": _Family("number", "NumericEquals", ("0", "1")),
    "date": _Family("date", "DateEquals", ("1970-01-01", "1970-01-02")),
    "bool": _Family("boolean", "Bool", ("true", "false")),
    "binary": _Family("base64 text", "BinaryEquals", ("YQ==", "Yg==")),
    "ip": _Family("IP address", "IpAddress", ("192.0.2.1", "192.0.2.2")),
    "arn": _Family("ARN", "ArnEquals", ("arn:aws:s3:::a", "arn:aws:s3:::b")),
}
_KEY: Final = "fastiam:value"
_TAG: Final = "aws:resourcetag/"
_IAM_TAG: Final = "iam:resourcetag/"


class _Found(NamedTuple):
    key: str
    kind: str
    rows: npt.NDArray[np.intp]
    values: list[str]


class _Coded(NamedTuple):
    """A column of texts: the distinct ones, and the place of that of each row, as arrays of arro3."""

    distinct: Any
    codes: Any


class UnreadableReport:
    """The unreadable values in the columns of a batch.

    Parameters
    ----------
    engine
        what decided the batch. Its statements say what a key is read as.
    context
        the columns by key, as `decide_many` takes them.
    rows
        how many there are.
    denied
        the rows that are not allowed, ascending; None: all. The values of others do not matter: no Allow applies through `U`.
    """

    def __init__(
        self, engine: Engine, context: Mapping[str, object], rows: int, denied: npt.NDArray[np.intp] | None = None
    ) -> None:
        self._rows = rows
        self._found = list(_find(engine, context, np.arange(rows) if denied is None else denied, rows))

    def counts(self) -> tuple[UnreadableValues, ...]:
        """What a summary says of each key."""
        return tuple(
            UnreadableValues(one.key, one.kind, len(one.rows), tuple(dict.fromkeys(one.values))[:MAX_VALUES])
            for one in self._found
        )

    def column(self) -> DictionaryColumn:
        """The keys of each row whose value is unreadable, joined by `, `."""
        by_row: dict[int, dict[str, None]] = {}
        for one in self._found:
            for row in one.rows.tolist():
                by_row.setdefault(row, {})[one.key] = None
        return DictionaryColumn.of_rows("unreadable", self._rows, {row: ", ".join(keys) for row, keys in by_row.items()})


def _find(engine: Engine, context: Mapping[str, object], denied: npt.NDArray[np.intp], rows: int) -> Iterator[_Found]:
    read_as = engine.resolver.families_read()
    for name, values in context.items():
        families = {family for key in _names(fold(name)) for family in read_as.get(key, ())} & _FAMILIES.keys()
        if not families or not len(denied):
            continue
        column = _coded(values, denied, rows) or read_column(values, name, kind="context", errors={})
        for family in sorted(families):
            if isinstance(column, _Coded):
                at, texts = _of_codes(engine, column, family)
                at = denied[at]
            else:
                at, texts = _of_rows(engine, column, family, denied)
            if len(at):
                yield _Found(spelled(fold(name)), _FAMILIES[family].kind, at, texts)


def _names(folded: str) -> Sequence[str]:
    """The names under which statements read a key: IAM's key of a tag has the value of the global one (5.5)."""
    return [folded, _IAM_TAG + folded.removeprefix(_TAG)] if folded.startswith(_TAG) else [folded]


def _coded(values: object, denied: npt.NDArray[np.intp], rows: int) -> _Coded | None:
    """The texts of denied rows. None: other values, or arro3, which the command line needs, is not there.

    PERF: distinct texts are read in a fifth of the time of all.
    """
    try:
        from arro3.core import Array, DataType, dictionary_dictionary, dictionary_indices
    except ModuleNotFoundError:
        return None
    if not isinstance(values, Array) or values.type != DataType.utf8():
        return None
    part = values.take(Array.from_numpy(denied.astype(np.uint32))) if len(denied) < rows else values
    encoded = part.cast(DataType.dictionary(DataType.int32(), DataType.utf8()))
    return _Coded(dictionary_dictionary(encoded), dictionary_indices(encoded))


def _of_codes(engine: Engine, column: _Coded, family: str) -> tuple[npt.NDArray[np.intp], list[str]]:
    """The rows whose text no operator of a family reads, and these texts."""
    bad = _denied(engine, column.distinct, family)
    if not len(bad):
        return bad, []
    texts, codes = column.distinct.to_pylist(), np.array(column.codes.to_pylist(), np.float64)  # a null is NaN
    rows = np.flatnonzero(np.isin(codes, bad))
    return rows, [texts[int(code)] for code in codes[rows]]


def _of_rows(
    engine: Engine, column: TextColumn, family: str, denied: npt.NDArray[np.intp]
) -> tuple[npt.NDArray[np.intp], list[str]]:
    """The denied rows with a value that no operator of a family reads, and these values."""
    is_constant = column.length < 0
    if not column.is_list and not is_constant:
        rows = np.intersect1d(_denied(engine, column, family), denied, assume_unique=True)
        return rows, column.take(rows.tolist())
    taken = column.take([0] if is_constant else denied.tolist())
    lists = [[] if values is None else values if column.is_list else [values] for values in taken]
    distinct = list(dict.fromkeys(chain.from_iterable(lists)))
    bad = {distinct[at] for at in _denied(engine, distinct, family)} if distinct else set[str]()
    found = np.flatnonzero([not bad.isdisjoint(values) for values in lists])
    rows = denied if is_constant and len(found) else denied[found]
    return rows, [value for values in lists for value in values if value in bad]


def _denied(engine: Engine, values: object, family: str) -> npt.NDArray[np.intp]:
    """The rows whose value is unreadable. The compiled engine reads them as it does for a decision."""
    reader = _reader(type(engine))
    decisions = reader.decide_many(_principal(family), "s3:GetObject", "*", {_KEY: values})
    return np.flatnonzero(decisions.outcome == Outcome.EXPLICIT_DENY)


def _principal(family: str) -> str:
    return f"arn:aws:iam::111111111111:user/{family}"


@lru_cache(maxsize=4)
def _reader(kind: type[Engine]) -> Engine:
    """An engine in which the principal of a family is denied for each value that the family does not read."""
    model = AccountModel()
    for family, (_, operator, values) in _FAMILIES.items():
        tests = {f"{operator}{suffix}": {_KEY: value} for suffix, value in zip(("", "IfExists"), values, strict=True)}
        statement = {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": tests}
        document = {"Version": "2012-10-17", "Statement": [statement]}
        model.add_principal(_principal(family), identity_policies=[document])
    return kind.from_snapshot(Snapshot(model.tables))
