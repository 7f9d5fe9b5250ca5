"""Columns out: the answers of a batch, for NumPy, iteration, pickling, and every consumer of Arrow."""

from __future__ import annotations

import gc
import pickle
import weakref
from collections.abc import Sequence
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import fastiam
from fastiam.engine.decisions import COLUMNS, LAYERS, NO_CODE, REASONS, Decisions, DictionaryColumn, RowDecision
from fastiam.engine.summary import Summary
from fastiam.errors import RequestValueError
from fastiam.model.decision import Layer, Outcome, StatementRef

ACCOUNT = "111111111111"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/work"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/work/s"
SCP = StatementRef(Layer.SCP, 1, "Guardrails", 0, sid="NoLeave")
INLINE = StatementRef(Layer.IDENTITY, 0, "Inline", 1)
SHARED_SID = StatementRef(Layer.BOUNDARY, 0, "Boundary", 3, sid="NoLeave")
UNUSED = StatementRef(Layer.RESOURCE, 0, "Elsewhere", 7)
STATEMENTS = (UNUSED, SCP, INLINE, SHARED_SID)
BROKEN = RequestValueError("`x` is not an action", column="actions", row=5)

OUTCOMES = [0, 1, 2, 2, 0, 255, 2]
POLICIES = [None, "Inline", "Guardrails", "Boundary", None, None, "Guardrails"]
SIDS = [None, "#1", "NoLeave", "NoLeave", None, None, "NoLeave"]
IN_LAYERS = ["identity", "identity", "scp", "boundary", "credential", None, "scp"]
ROWS = {
    "outcome": [Outcome(outcome).name for outcome in OUTCOMES],
    "allowed": [outcome == 1 for outcome in OUTCOMES],
    "layer": IN_LAYERS,
    "policy": POLICIES,
    "sid": SIDS,
    "reason": [None, None, None, None, "unknown_principal", None, None],
    "assumed_owner": [True, False, False, True, False, False, False],
    "error_code": [None, None, None, None, None, "bad_action", None],
    "error": [None, None, None, None, None, "`x` is not an action - at `actions`", None],
    "depends_on": [None] * 7,
}


def codes(values: Sequence[str | None], table: Sequence[str]) -> np.ndarray[Any, Any]:
    return np.array([NO_CODE if value is None else table.index(value) for value in values], np.uint8)


def decisions() -> Decisions:
    return Decisions(
        np.array(OUTCOMES, np.uint8),
        layer=codes(IN_LAYERS, LAYERS),
        statement=np.array([-1, 2, 1, 3, -1, -1, 1], np.int32),
        statements=STATEMENTS,
        reason=codes([None, None, None, None, "unknown_principal", None, None], REASONS),
        assumed_owner=np.array([True, False, False, True, False, False, False]),
        errors={5: BROKEN},
        missing_keys={"aws:SourceIp": 3, "aws:RequestedRegion": 7},
    )


def bare(outcomes: Sequence[int] = (0, 1, 2)) -> Decisions:
    return Decisions(np.array(outcomes, np.uint8))


def test_row_equals_its_columns() -> None:
    rows = list(decisions())
    assert rows[0] == RowDecision(Outcome.IMPLICIT_DENY, Layer.IDENTITY, assumed_owner=True)
    assert rows[2] == RowDecision(Outcome.EXPLICIT_DENY, Layer.SCP, SCP, assumed_owner=False)
    assert rows[4].reason == "unknown_principal"
    assert (rows[5].outcome, rows[5].error, rows[5].layer) == (Outcome.ERROR, BROKEN.text, None)
    assert [row.allowed for row in rows] == ROWS["allowed"]
    assert decisions()[-1] == rows[6]
    with pytest.raises(IndexError):
        decisions()[7]


SLICES = [slice(None), slice(2, 6), slice(-3, None), slice(None, None, -1), slice(5, 1, -2), slice(3, 3), slice(0, 100)]


@pytest.mark.parametrize("rows", SLICES, ids=str)
def test_slice_has_the_decisions_of_its_rows(rows: slice) -> None:
    whole, part = decisions(), decisions()[rows]
    assert isinstance(part, Decisions) and list(part) == list(whole)[rows]
    assert [row.error for row in part] == [row.error for row in whole][rows]
    assert pa.table(part).to_pydict() == {name: values[rows] for name, values in ROWS.items()}
    assert part.summary().rows == len(part) == len(list(whole)[rows])
    assert list(part.layer) == list(whole.layer[rows]) == list(whole.layer)[rows]
    assert list(pickle.loads(pickle.dumps(part))) == list(part)


def test_a_slice_without_reasons_has_none() -> None:
    assert pa.table(bare()[1:]).column_names == pa.table(bare()).column_names
    assert not hasattr(bare()[1:], "layer")


def test_decisions_are_a_sequence() -> None:
    whole = decisions()
    rows = list(whole)
    assert list(reversed(whole)) == rows[::-1] and rows[3] in whole
    assert (whole.index(rows[3]), whole.count(rows[3])) == (3, 1)
    assert whole[np.int64(2)] == rows[2] and len(whole) == 7
    with pytest.raises(ValueError):
        whole.index(RowDecision(Outcome.DEPENDS))


def test_pandas_constructor_raises_with_the_right_call() -> None:
    with pytest.raises(TypeError, match=r"pandas.DataFrame.from_arrow\(decisions\)"):
        pd.DataFrame(decisions())
    assert list(pd.DataFrame.from_arrow(decisions()).columns) == list(COLUMNS)


def test_outcomes_are_names_in_arrow_and_numbers_in_python() -> None:
    table = pa.table(decisions())
    assert table["outcome"].type == pa.dictionary(pa.uint8(), pa.string())
    assert table["outcome"].chunk(0).dictionary.to_pylist() == [outcome.name for outcome in Outcome]
    assert decisions().outcome.dtype == np.uint8 and decisions().allowed.dtype == bool
    assert tuple(table.column_names) == COLUMNS
    answers = decisions()
    assert duckdb.sql("from answers").columns == list(COLUMNS) and len(answers) == 7
    for name in COLUMNS:
        column = getattr(answers, name)
        values = [Outcome(code).name for code in column] if name == "outcome" else list(column)
        assert values == ROWS[name], "the same names in Python"


def test_row_as_truth_value_raises() -> None:
    with pytest.raises(TypeError, match="allowed"):
        bool(bare()[0])


def test_reasons_are_columns_of_codes_and_texts() -> None:
    result = decisions()
    assert (list(result.layer), list(result.policy), list(result.sid)) == (IN_LAYERS, POLICIES, SIDS)
    assert result.sid.values == ("NoLeave", "#1")
    assert (result.policy[1], result.policy[-7], len(result.policy)) == ("Inline", None, 7)
    assert "Elsewhere" not in result.policy.values, "only statements that answers rest on"


def test_decisions_without_reasons_have_no_reason_columns() -> None:
    for name in ("layer", "policy", "sid", "reason"):
        assert not hasattr(bare(), name)
    with pytest.raises(AttributeError, match="reasons=True"):
        bare().layer  # noqa: B018
    assert list(bare())[1] == RowDecision(Outcome.ALLOW)


def test_arrays_cannot_be_written_to() -> None:
    outcome = np.zeros(3, np.uint8)
    result = Decisions(outcome)
    for array in (result.outcome, result.allowed, decisions().layer.codes):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    assert outcome.flags.writeable, "the caller's own array is left as it was"
    assert (result.outcome.dtype, result.allowed.dtype) == (np.uint8, bool)


CONSUMERS = {
    "Polars": lambda d: pl.DataFrame(d).to_dict(as_series=False),
    "pyarrow table": lambda d: pa.table(d).to_pydict(),
    "pyarrow array": lambda d: pa.RecordBatch.from_struct_array(pa.array(d)).to_pydict(),
    "pyarrow batch": lambda d: pa.record_batch(d).to_pydict(),
    "pyarrow reader": lambda d: pa.RecordBatchReader.from_stream(d).read_all().to_pydict(),
    "pandas": lambda d: pd.DataFrame.from_arrow(d).astype(object).replace({np.nan: None}).to_dict("list"),
    "DuckDB": lambda d: dict(zip(ROWS, map(list, zip(*duckdb.sql("select * from d").fetchall(), strict=True)), strict=True)),
}


@pytest.mark.parametrize("name", CONSUMERS)
def test_every_consumer_of_arrow_gets_the_same_table(name: str) -> None:
    assert CONSUMERS[name](decisions()) == ROWS


def test_table_without_reasons_has_only_outcomes() -> None:
    outcomes = ["IMPLICIT_DENY", "ALLOW", "EXPLICIT_DENY"]
    answers = {"outcome": outcomes, "allowed": [False, True, False], "assumed_owner": [False] * 3}
    assert pa.table(bare()).to_pydict() == answers
    with_errors = Decisions(np.array([0, 1, 2], np.uint8), errors={})
    assert pa.table(with_errors).to_pydict() == answers | {"error_code": [None] * 3, "error": [None] * 3}


@pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 1_000])
def test_exported_arrow_of_any_length_validates(n: int) -> None:
    some = np.arange(n) % 3
    result = Decisions(
        some.astype(np.uint8), layer=some.astype(np.uint8), statement=(some - 1).astype(np.int32), statements=STATEMENTS
    )
    table = pa.table(result)
    table.validate(full=True)
    pa.array(result).validate(full=True)
    assert table.num_rows == len(result) == n
    assert table["sid"].to_pylist() == list(result.sid)
    assert table["allowed"].to_pylist() == result.allowed.tolist()
    assert pl.DataFrame(result).height == n


def test_decisions_without_statements_are_exported() -> None:
    result = Decisions(np.zeros(3, np.uint8), layer=np.full(3, NO_CODE, np.uint8), statement=np.full(3, -1, np.int32))
    assert pa.table(result)["policy"].to_pylist() == [None] * 3
    assert pl.DataFrame(result)["sid"].to_list() == [None] * 3
    assert duckdb.sql("select layer from result").fetchall() == [(None,)] * 3


def test_dictionary_columns_are_exported_separately() -> None:
    layer = decisions().layer
    array = pa.array(layer)
    array.validate(full=True)
    assert (array.to_pylist(), array.type.index_type) == (IN_LAYERS, pa.uint8())
    assert pl.Series(decisions().policy).to_list() == POLICIES
    assert DictionaryColumn("x", np.array([0, 1], np.int32), ["é", ""]).values == ("é", "")
    assert pa.array(DictionaryColumn("x", np.array([0, 1], np.int32), ["é", ""])).to_pylist() == ["é", ""]


def test_exported_outcomes_share_memory_that_outlives_decisions() -> None:
    outcome = np.array([0, 1, 2], np.uint8)
    address, gone = outcome.ctypes.data, weakref.ref(outcome)
    result = Decisions(outcome)
    table = pa.table(result)
    del outcome, result
    gc.collect()
    assert table["outcome"].chunk(0).indices.buffers()[1].address == address
    assert gone() is not None and table["outcome"].chunk(0).indices.to_pylist() == [0, 1, 2]
    del table
    gc.collect()
    assert gone() is None


def test_unconsumed_capsules_are_freed() -> None:
    outcome = np.array([0, 1, 2], np.uint8)
    gone = weakref.ref(outcome)
    result = Decisions(outcome)
    result.__arrow_c_array__()
    result.__arrow_c_stream__()
    result.__arrow_c_array__(requested_schema=None)
    del outcome, result
    gc.collect()
    assert gone() is None


def test_pickled_decisions_keep_determining_statements() -> None:
    result = decisions()
    again = pickle.loads(pickle.dumps(result))
    assert (again.outcome == result.outcome).all() and not again.outcome.flags.writeable
    assert [(row.layer, row.statement, row.reason) for row in again] == [(row.layer, row.statement, row.reason) for row in result]
    assert pa.table(again) == pa.table(result)
    assert (str(again.errors[5]), again.missing_keys) == (str(BROKEN), result.missing_keys)
    assert again.summary() == result.summary()
    assert pa.table(pickle.loads(pickle.dumps(bare()))) == pa.table(bare())


REPORT = """\
7 rows
outcomes:
             3   42.9%  explicit deny
             2   28.6%  implicit deny
             1   14.3%  allow
             1   14.3%  error
decided in layer:
             2   28.6%  scp
             2   28.6%  identity
             1   14.3%  boundary
             1   14.3%  credential
top deny statements:
             2   28.6%  Guardrails NoLeave (scp)
             1   14.3%  Boundary NoLeave (boundary)
keys read but never supplied:
             7  100.0%  aws:RequestedRegion
             3   42.9%  aws:SourceIp
owner assumed: 2 rows
principal not in the directory: 1 row
error: `x` is not an action - at `actions`, row 5"""


def test_a_summary_counts_and_reads_as_a_report() -> None:
    summary = decisions().summary()
    assert summary.outcomes == {Outcome.EXPLICIT_DENY: 3, Outcome.IMPLICIT_DENY: 2, Outcome.ALLOW: 1, Outcome.ERROR: 1}
    assert summary.denies == {SCP: 2, SHARED_SID: 1}
    assert (summary.rows, summary.assumed_owner, summary.missing_keys) == (7, 2, {"aws:SourceIp": 3, "aws:RequestedRegion": 7})
    assert str(summary) == REPORT
    assert "3 rows" in str(bare().summary()) and "layer" not in str(bare().summary())
    assert str(bare([]).summary()) == "0 rows"


def test_summaries_of_chunks_add_up() -> None:
    whole = sum((decisions().summary(), bare([1, 1]).summary()), Summary())
    assert (whole.rows, whole.outcomes[Outcome.ALLOW], whole.denies[SCP], whole.assumed_owner) == (9, 3, 2, 2)
    assert whole.first_errors == decisions().summary().first_errors


def test_the_repr_is_short() -> None:
    assert repr(bare()) == "Decisions(3 rows: implicit deny 1, allow 1, explicit deny 1)"
    assert repr(decisions().layer) == "DictionaryColumn('layer', 7 rows, 9 values)"


def _engine(**options: Any) -> fastiam.Engine:
    made = fastiam.Directory(quotas=None)
    made.add_account(ACCOUNT)
    read = {"Sid": "Read", "Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": ACCOUNT}}
    made.add_principal(
        ROLE,
        identity_policies=[("read", {"Version": "2012-10-17", "Statement": [read]})],
        trust_policy={"Version": "2012-10-17", "Statement": [trust]},
    )
    return made.compile(**options)


def test_batches_of_one_engine_report_the_same_statements() -> None:
    engine = _engine()
    batches = [engine.decide_many([ROLE], ["s3:GetObject"], ["arn:aws:s3:::b/k"], reasons=True) for _ in range(2)]
    first, second = (batch.statement_refs[1] for batch in batches)
    assert first[0].sid == "Read" and first[0] is second[0]


@pytest.mark.parametrize("cache_bytes", [0, 1 << 24])
def test_statement_of_a_session_policy_is_its_own(cache_bytes: int) -> None:
    """The number of a policy is used again for another one when the run-time cache is evicted."""
    engine = _engine(cache_bytes=cache_bytes)
    for i in range(20):
        deny = {"Sid": f"Deny{i}", "Effect": "Deny", "Action": "*", "Resource": "*"}
        policy = {"Version": "2012-10-17", "Statement": [deny]}
        session = fastiam.Session(SESSION, kind="ROLE", issuer=ROLE, policies=[policy])
        batch = engine.decide_many(["s"], ["s3:GetObject"], ["arn:aws:s3:::b/k"], sessions={"s": session}, reasons=True)
        assert list(batch.sid) == [f"Deny{i}"] and batch[0].statement.sid == f"Deny{i}"


def test_outcome_is_shown_by_its_name() -> None:
    assert [str(outcome) for outcome in Outcome] == [outcome.name for outcome in Outcome]
    assert f"{Outcome.ALLOW}" == "ALLOW" and Outcome.ALLOW == 1
