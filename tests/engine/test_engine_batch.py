"""`Engine.decide_many`: columns in, columns out, whatever library they come from.

A row means what it means alone (`test_engine.py` compares both on random worlds); here is what only batches have: forms of
columns, broadcasting, nulls, rows in error, named sessions, threads, reasons as columns, and what the summary says.
"""

from __future__ import annotations

import sqlite3
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import fastiam
from fastiam import Layer, Outcome, Session
from fastiam.engine.decisions import COLUMNS
from fastiam.errors import PolicyError, RequestValueError

A, B = "111111111111", "222222222222"
ANA, BO, APP = f"arn:aws:iam::{A}:user/ana", f"arn:aws:iam::{A}:user/bo", f"arn:aws:iam::{A}:role/app"
OBJECT = "arn:aws:s3:::bucket/key"
NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
OK, NO, DENY, ERROR = Outcome.ALLOW, Outcome.IMPLICIT_DENY, Outcome.EXPLICIT_DENY, Outcome.ERROR


def document(*statements):
    return {"Version": "2012-10-17", "Statement": list(statements)}


def statement(effect, action, resource="*", sid=None, **condition):
    one = {"Effect": effect, "Action": action, "Resource": resource, **({"Condition": condition} if condition else {})}
    return one if sid is None else {"Sid": sid, **one}


WORK = document(
    statement("Allow", "s3:Get*", sid="Read"),
    statement("Deny", "s3:GetSecret*", sid="NoSecrets"),
    statement("Allow", "sqs:*", StringEquals={"app:stage": "live"}),
)


@pytest.fixture(scope="module")
def directory():
    directory = fastiam.Directory()
    directory.add_principal(ANA, identity_policies=[("Work", WORK)])
    directory.add_principal(
        BO, identity_policies=[("Little", document(statement("Allow", "s3:GetObject", "arn:aws:s3:::bucket/*")))]
    )
    directory.add_principal(APP, identity_policies=[("Work", WORK)])
    directory.add_resource("arn:aws:s3:::bucket", account=A)
    return directory


@pytest.fixture(scope="module")
def engine(directory):
    return directory.compile()


ROWS = [
    (ANA, "s3:GetObject", OBJECT, "live", OK),
    (BO, "s3:GetObject", OBJECT, None, OK),
    (BO, "s3:GetBucketAcl", "arn:aws:s3:::bucket", "test", NO),
    (ANA, "s3:getsecretobject", OBJECT, "live", DENY),
    (ANA, "sqs:SendMessage", "*", "live", OK),
    (ANA, "sqs:SendMessage", "*", "test", NO),
    (ANA, "sqs:SendMessage", "*", None, NO),
    (f"arn:aws:sts::{A}:assumed-role/app/run", "s3:GetObject", OBJECT, None, OK),
    (f"arn:aws:iam::{A}:user/nobody", "s3:GetObject", OBJECT, None, NO),
    ("*", "s3:GetObject", OBJECT, "", NO),
]
PRINCIPALS, ACTIONS, RESOURCES, STAGES, OUTCOMES = map(list, zip(*ROWS, strict=True))


def objects(values):
    out = np.empty(len(values), dtype=object)
    out[:] = values
    return out


FORMS = {
    "lists": list,
    "tuples": tuple,
    "NumPy objects": objects,
    "Arrow": pa.array,
    "Arrow, large": lambda values: pa.array(values, pa.large_string()),
    "Arrow, views": lambda values: pa.array(values, pa.string_view()),
    "Arrow, coded": lambda values: pa.array(values).dictionary_encode(),
    "Arrow, coded, in batches": lambda values: pa.chunked_array(
        [coded[at : at + 3] for coded in [pa.array(values).dictionary_encode()] for at in range(0, len(values), 3)]
    ),
    "Arrow, sliced": lambda values: pa.array(["x", *values, None])[1:-1],
    "Arrow, in chunks": lambda values: pa.chunked_array([values[:3], values[3:4], [], values[4:]], pa.string()),
    "Polars": pl.Series,
    "Polars, categorical": lambda values: pl.Series(values, dtype=pl.Categorical),
    "pandas": lambda values: pd.Series(values, dtype=object),
    "pandas, Arrow": lambda values: pd.Series(values, dtype="string[pyarrow]"),
}


# -- what goes in ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_columns_of_each_library_decide_equally(engine, form):
    got = engine.decide_many(form(PRINCIPALS), form(ACTIONS), form(RESOURCES), {"app:stage": form(STAGES)}, now=NOW)
    assert got.outcome.tolist() == OUTCOMES
    assert got.outcome.dtype == np.uint8 and got.allowed.dtype == bool
    assert got.allowed.tolist() == [outcome is OK for outcome in OUTCOMES]


def test_fixed_width_numpy_text(engine):
    got = engine.decide_many(np.array(PRINCIPALS), np.array(ACTIONS), np.array(RESOURCES))
    assert got.outcome.tolist() == [NO if action == "sqs:SendMessage" else o for (_, action, _, _, o) in ROWS]


def test_libraries_may_be_mixed(engine):
    forms = list(FORMS.values())
    for i in range(len(forms)):
        columns = [forms[(i + k) % len(forms)](values) for k, values in enumerate((PRINCIPALS, ACTIONS, RESOURCES, STAGES))]
        assert engine.decide_many(*columns[:3], {"app:stage": columns[3]}).outcome.tolist() == OUTCOMES


def test_scalar_applies_to_all_rows(engine):
    assert engine.decide_many(ANA, ACTIONS, OBJECT, {"app:stage": "live"}).outcome.tolist() == [
        engine.decide(ANA, action, OBJECT, {"app:stage": "live"}).outcome for action in ACTIONS
    ]
    assert engine.decide_many(PRINCIPALS, "s3:GetObject", OBJECT).outcome.tolist() == [
        engine.decide(principal, "s3:GetObject", OBJECT).outcome for principal in PRINCIPALS
    ]
    assert engine.decide_many(ANA, "s3:GetObject", OBJECT).outcome.tolist() == [OK]
    assert engine.decide_many(ANA, "sqs:SendMessage", ["*"] * 3, {"app:stage": None}).outcome.tolist() == [NO] * 3
    assert len(engine.decide_many(ANA, "s3:GetObject", [])) == 0


def test_batch_of_one_row_equals_the_row_of_a_larger_batch(engine):
    whole = engine.decide_many(PRINCIPALS, ACTIONS, RESOURCES, {"app:stage": STAGES}, reasons=True, now=NOW)
    for i in range(len(ROWS)):
        alone = engine.decide_many(
            PRINCIPALS[i : i + 1],
            ACTIONS[i : i + 1],
            RESOURCES[i : i + 1],
            {"app:stage": STAGES[i : i + 1]},
            reasons=True,
            now=NOW,
        )
        assert alone[0] == whole[i]


def test_rows_of_a_batch_are_independent(engine):
    """Any order, any company."""
    rng = np.random.default_rng(1)
    order = rng.integers(0, len(ROWS), 70_000)  # more than one chunk
    columns = [pa.array(values).take(pa.array(order)) for values in (PRINCIPALS, ACTIONS, RESOURCES, STAGES)]
    expected = np.array(OUTCOMES, np.uint8)[order]
    for threads in (1, 2):
        got = engine.decide_many(*columns[:3], {"app:stage": columns[3]}, threads=threads)
        assert np.array_equal(got.outcome, expected)


ZONED = pa.timestamp("us", "Europe/Zurich")
TYPED = {
    "bools": ("Bool", "true", [True, False, None], [OK, NO, NO]),
    "NumPy bools": ("Bool", "true", np.array([True, False, True]), [OK, NO, OK]),
    "Arrow bools": ("Bool", "true", pa.array([True, False, None]), [OK, NO, NO]),
    "integers": ("NumericLessThan", "10", [9, 10, None], [OK, NO, NO]),
    "NumPy integers": ("NumericLessThan", "10", np.array([9, 10, -1], np.int16), [OK, NO, OK]),
    "Arrow integers": ("NumericEquals", "18446744073709551615", pa.array([2**64 - 1, 0, None], pa.uint64()), [OK, NO, NO]),
    "floats": ("NumericEquals", "0.1", np.array([0.1, 0.2, 1e300]), [OK, NO, NO]),
    "Arrow floats": ("NumericEquals", "0.5", pa.array([0.5, None, 2.0], pa.float32()), [OK, NO, NO]),
    "decimals": ("NumericEquals", "1.5", [Decimal("1.50"), Decimal("1.51"), None], [OK, NO, NO]),
    "Arrow decimals": ("NumericEquals", "1.5", pa.array([Decimal("1.50"), None], pa.decimal128(9, 2)), [OK, NO]),
    "datetimes": ("DateLessThan", "2030-01-01T00:00:00Z", [NOW - timedelta(days=1), NOW, None], [OK, NO, NO]),
    "Arrow timestamps": (
        "DateLessThan",
        "2030-01-01T00:00:00Z",
        pa.array([NOW - timedelta(days=1), NOW, None], ZONED),
        [OK, NO, NO],
    ),
    "lists": ("ForAnyValue:StringEquals", "v", [["u", "v"], ["u"], [], None], [OK, NO, NO, NO]),
    "Arrow lists": ("ForAllValues:StringEquals", "v", pa.array([["v", "v"], ["u"], [], None]), [OK, NO, OK, OK]),
    "absence": ("Null", "true", [None, "", "v"], [OK, OK, NO]),
    "Arrow absence": ("Null", "true", pa.array([None, "v"]), [OK, NO]),
    "negation of absence": ("StringNotEquals", "v", [None, "v", "w"], [OK, NO, OK]),
    "absence if exists": ("StringEqualsIfExists", "v", [None, "v", "w"], [OK, OK, NO]),
    "only nulls": ("Null", "true", pa.nulls(2), [OK, OK]),
    "addresses": ("IpAddress", "10.0.0.0/8", ["10.1.2.3", "11.0.0.0", "no address"], [OK, NO, NO]),
}


@pytest.mark.parametrize(("operator", "text", "column", "outcomes"), TYPED.values(), ids=TYPED)
def test_context_columns_of_every_type(operator, text, column, outcomes):
    """C24 and C4: a null is an absent key; the same values decide alike one by one."""
    directory = fastiam.Directory()
    directory.add_principal(ANA, identity_policies=[document(statement("Allow", "s3:*", **{operator: {"app:k": text}}))])
    engine = directory.compile()
    got = engine.decide_many(ANA, "s3:GetObject", ["*"] * len(outcomes), {"app:k": column}, now=NOW)
    assert got.outcome.tolist() == outcomes
    if isinstance(column, list):
        single = [engine.decide(ANA, "s3:GetObject", "*", {"app:k": value}, now=NOW).outcome for value in column]
        assert single == outcomes


@pytest.mark.parametrize(
    "column",
    [
        pa.array([datetime(2030, 1, 1), None]),
        np.array(["2030-01-01", "2030-01-02"], "datetime64[s]"),
        [datetime(2030, 1, 1), None],
        [date(2030, 1, 1), None],
    ],
    ids=["Arrow", "NumPy", "list", "dates"],
)
def test_an_instant_without_a_zone_is_refused(engine, column):
    """C42."""
    with pytest.raises(RequestValueError) as caught:
        engine.decide_many(ANA, "s3:GetObject", ["*", "*"], {"app:when": column})
    assert caught.value.column == "app:when" and caught.value.hint


# -- sessions ----------------------------------------------------------------------------------------------------------


def session(name, *policies, **more):
    return Session(f"arn:aws:sts::{A}:assumed-role/app/{name}", kind="ROLE", issuer=APP, policies=policies or None, **more)


def test_session_names_resolve_to_sessions(engine):
    """A name wins over the principal of that name; what is not a name is a principal."""
    narrow = session("run", document(statement("Allow", "s3:Get*", "arn:aws:s3:::bucket/own/*", sid="Own")))
    wide = session("run")
    sessions = {"narrow": narrow, "wide": wide, ANA: narrow}
    principals = ["narrow", "narrow", "wide", wide.arn, ANA, BO]
    resources = ["arn:aws:s3:::bucket/own/x", OBJECT, OBJECT, OBJECT, OBJECT, OBJECT]
    for form in (list, pa.array, lambda values: pa.array(values).dictionary_encode()):
        got = engine.decide_many(form(principals), "s3:GetObject", form(resources), sessions=sessions, reasons=True)
        assert got.outcome.tolist() == [OK, NO, OK, OK, NO, OK]
        assert got[1].layer == "session"
    for principal, resource, row in zip((narrow, narrow, wide), resources, got, strict=False):
        assert engine.decide(principal, "s3:GetObject", resource).outcome is row.outcome
    assert engine.decide_many(ANA, "s3:GetObject", OBJECT).outcome.tolist() == [OK]  # the names of a batch end with it


SESSIONS_BY_NAME = {f"run {i} é": session(f"run-{i}", context={"app:run": f"{i}"}) for i in range(100)} | {
    "broken": session("broken", "{"),
    "no session": 5,
}


@pytest.mark.parametrize("form", [*FORMS.values(), np.array], ids=[*FORMS, "NumPy"])
def test_batch_interns_only_sessions_in_its_rows(directory, form):
    engine = directory.compile()
    before = engine.stats()["principals"]
    names = ["run 7 é", APP, "run 8 é", "run 7 é", "run 9 é"]
    got = engine.decide_many(form(names), "s3:GetObject", OBJECT, sessions=SESSIONS_BY_NAME)
    assert got.outcome.tolist() == [OK] * 5
    assert engine.stats()["principals"] == before + 3


def test_scalar_session_name_interns_only_its_session(directory):
    engine = directory.compile()
    before = engine.stats()["principals"]
    assert engine.decide_many("run 7 é", "s3:GetObject", [OBJECT] * 600, sessions=SESSIONS_BY_NAME).allowed.all()
    assert engine.decide_many([], "s3:GetObject", [], sessions=SESSIONS_BY_NAME).outcome.tolist() == []
    assert engine.stats()["principals"] == before + 1


@pytest.mark.parametrize("n", [1, 50, 200, 600], ids=lambda n: f"{n} rows")
def test_unreadable_session_is_an_error_of_its_rows(engine, n):
    """With few rows beside the sessions as with many."""
    wrong = {"broken": PolicyError, "no session": RequestValueError}
    assert engine.decide_many(["run 1 é"] * n, "s3:GetObject", OBJECT, sessions=SESSIONS_BY_NAME).allowed.all()
    for name, error in wrong.items():
        with pytest.raises(error):
            engine.decide_many(["run 1 é"] * n + [name], "s3:GetObject", OBJECT, sessions=SESSIONS_BY_NAME)
    names = pa.array(["run 1 é"] * n + [None, *wrong])
    for column in (names, names.dictionary_encode(), names.to_pylist()):
        got = engine.decide_many(column, "s3:GetObject", OBJECT, sessions=SESSIONS_BY_NAME, on_error="deny")
        assert got.outcome.tolist() == [OK] * n + [ERROR] * 3
        assert [type(error) for error in got.errors.values()] == [RequestValueError, *wrong.values()]


BROKEN_PRINCIPALS = {
    "text": pa.Array.from_buffers(pa.string(), 2, [None, *pa.array([b"run 1 ", b"\xff"]).buffers()[1:]]),
    "codes": pa.DictionaryArray.from_arrays(pa.array([0, 7], pa.int32()), pa.array(["run 1 é"]), safe=False),
}


@pytest.mark.parametrize("column", BROKEN_PRINCIPALS.values(), ids=BROKEN_PRINCIPALS)
def test_broken_principals_raise_with_and_without_sessions(engine, column):
    messages = []
    for sessions in (None, {"run 1 é": session("run-1")}, SESSIONS_BY_NAME):
        with pytest.raises(RequestValueError) as caught:
            engine.decide_many(column, "s3:GetObject", [OBJECT] * 2, sessions=sessions)
        messages.append(str(caught.value))
    assert len(set(messages)) == 1 and "`principals`" in messages[0]


# -- what comes out ----------------------------------------------------------------------------------------------------


def test_new_session_key_contradicting_its_column_is_refused():
    """K1, also in the first batch that names the session."""
    directory = fastiam.Directory(quotas=None)
    directory.add_principal(APP, identity_policies=[document(statement("Allow", "s3:*"))])
    engine, columns = directory.compile(), (["who"] * 600, "s3:GetObject", OBJECT, {"app:stage": ["live"] * 600})
    for stage, expected in ((None, OK), (None, OK), ("test", ERROR), ("live", OK), ("test", ERROR)):
        arn, carried = f"arn:aws:sts::{A}:assumed-role/app/{stage}", {"app:stage": stage} if stage else {}
        who = Session(arn, kind="ROLE", issuer=APP, context=carried)
        assert set(engine.decide_many(*columns, sessions={"who": who}, on_error="deny").outcome) == {expected}, stage


def test_reasons_are_columns(engine):
    got = engine.decide_many(PRINCIPALS, ACTIONS, RESOURCES, {"app:stage": STAGES}, reasons=True, now=NOW)
    for i, (principal, action, resource, stage, _) in enumerate(ROWS):
        one = engine.decide(principal, action, resource, {"app:stage": stage}, now=NOW)
        assert (got[i].outcome, got[i].layer, got[i].statement, got[i].reason) == (
            one.outcome,
            one.layer,
            one.statement,
            one.reason,
        )
        assert got.layer[i] == one.layer
        assert got.policy[i] == (one.statement.policy if one.statement else None)
        assert got.statement[i] == ((one.statement.sid or f"#{one.statement.index}") if one.statement else None)
    assert got[-1] == got[len(ROWS) - 1]
    with pytest.raises(IndexError):
        got[len(ROWS)]


def test_reasons_of_a_batch_without_reasons_raise(engine):
    got = engine.decide_many(PRINCIPALS, ACTIONS, RESOURCES)
    for name in ("layer", "policy", "sid"):
        with pytest.raises(AttributeError, match="pass `reasons=True` to `decide_many`"):
            getattr(got, name)
    assert got[0].layer is None and got[0].statement is None


def test_decisions_convert_to_arrow_polars_and_pandas(engine):
    got = engine.decide_many(PRINCIPALS, ACTIONS, RESOURCES, {"app:stage": STAGES}, reasons=True)
    table = pa.table(got)
    assert tuple(table.column_names) == COLUMNS
    assert table["outcome"].to_pylist() == [Outcome(code).name for code in OUTCOMES]
    assert table["sid"].to_pylist() == list(got.sid)
    frame = pl.DataFrame(got)
    assert frame["allowed"].to_list() == got.allowed.tolist() and frame["policy"].to_list() == list(got.policy)
    assert table.to_pandas()["layer"].tolist() == [str(layer) for layer in got.layer]
    assert pa.array(got.layer).to_pylist() == list(got.layer)


def test_decisions_are_read_only(engine):
    got = engine.decide_many(PRINCIPALS, ACTIONS, RESOURCES)
    for array in (got.outcome, got.allowed):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_decisions_outlive_their_columns(engine):
    principals, actions, resources = (pa.array(values) for values in (PRINCIPALS, ACTIONS, RESOURCES))
    got = engine.decide_many(principals, actions, resources, {"app:stage": pa.array(STAGES)}, reasons=True)
    del principals, actions, resources
    assert got.outcome.tolist() == OUTCOMES and list(got.policy)[0] == "Work"


def test_rows_of_a_database_cursor(engine):
    """Tuples of a cursor, turned into columns."""
    connection = sqlite3.connect(":memory:")
    connection.execute("create table log (principal, action, resource)")
    connection.executemany("insert into log values (?, ?, ?)", [row[:3] for row in ROWS])
    columns = list(zip(*connection.execute("select * from log"), strict=True))
    connection.close()
    assert engine.decide_many(*columns, {"app:stage": STAGES}).outcome.tolist() == OUTCOMES


# -- what was not supplied ---------------------------------------------------------------------------------------------


def test_missing_keys_are_counted(directory):
    engine = directory.compile()
    rows = [ANA] * 5, ["sqs:A", "sqs:B", "s3:GetObject", "sqs:A", "sqs:A"], "*"
    assert engine.decide_many(*rows).missing_keys == {"app:stage": 4}
    assert engine.decide_many(*rows).missing_keys == {"app:stage": 4}  # rows that are there already count too
    assert engine.decide_many(*rows, {"app:stage": ["live", None, None, "live", "test"]}).missing_keys == {}
    assert engine.decide_many(*rows, {"APP:STAGE": "live"}).missing_keys == {}
    assert engine.decide_many(ANA, "s3:GetObject", [OBJECT] * 3).missing_keys == {}
    assert directory.compile(context_defaults={"app:stage": "live"}).decide_many(*rows).missing_keys == {}
    assert "app:stage" in str(engine.decide_many(*rows).summary())


def test_the_summary_counts(engine):
    got = engine.decide_many(PRINCIPALS, ACTIONS, RESOURCES, {"app:stage": STAGES}, reasons=True)
    summary = got.summary()
    assert summary.rows == len(ROWS) and summary.outcomes == {outcome: OUTCOMES.count(outcome) for outcome in (OK, NO, DENY)}
    assert sum(summary.layers.values()) == len(ROWS) and summary.layers[Layer.IDENTITY] == 8
    assert [(ref.sid, n) for ref, n in summary.denies.items()] == [("NoSecrets", 1)]
    assert summary.assumed_owner == sum(bool(row.assumed_owner) for row in got)
    assert (summary + summary).rows == 2 * len(ROWS)


def test_two_principals_with_equal_statements_keep_their_names():
    """Statements are shared inside, reasons are not (D51)."""
    directory = fastiam.Directory()
    for i in range(4):
        directory.add_principal(f"arn:aws:iam::{A}:user/u{i}", identity_policies=[(f"Policy{i}", WORK)])
    engine = directory.compile()
    assert engine.stats()["bodies"] == 3
    got = engine.decide_many([f"arn:aws:iam::{A}:user/u{i}" for i in range(4)], "s3:GetObject", OBJECT, reasons=True)
    assert list(got.policy) == [f"Policy{i}" for i in range(4)]


def test_column_of_an_unused_key_changes_nothing(engine):
    plain = engine.decide_many(PRINCIPALS, ACTIONS, RESOURCES, {"app:stage": STAGES})
    more = engine.decide_many(
        PRINCIPALS, ACTIONS, RESOURCES, {"app:stage": STAGES, "made:up": list("abcdefghij"), "aws:RequestTag/x": "y"}
    )
    assert np.array_equal(plain.outcome, more.outcome)
    assert len(more) == len(ROWS)
