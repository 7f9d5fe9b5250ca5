"""A wrong argument of a public call is an error of fastiam, whatever its type and size."""

from __future__ import annotations

import inspect
import io
import os
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from seeds import few_or_all

import fastiam
from fastiam.errors import FastiamError, RequestValueError
from fastiam.model.protocols import DecisionEngine

A = "111111111111"
ANA, APP = f"arn:aws:iam::{A}:user/ana", f"arn:aws:iam::{A}:role/app"
OBJECT = "arn:aws:s3:::bucket/key"
RUN = f"arn:aws:sts::{A}:assumed-role/app/run"
ALLOW = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
FAR = datetime.max.replace(tzinfo=timezone(timedelta(hours=-5)))


class Text(str):
    """Text of a class of its own, as NumPy's is."""


# no number small enough to be the number of an open file, which a call that took it for a path would close
WRONG: list[Any] = [
    None,
    True,
    5_000,
    -1,
    2**63,
    2**200,
    -(2**70),
    1.5,
    float("nan"),
    float("inf"),
    Decimal("1e999999"),
    Decimal("nan"),
    np.int64(5),
    "",
    "x",
    "*",
    "\ud800",
    "\0",
    "a b:c",
    b"x",
    b"\xff",
    [],
    [None],
    [5],
    [[5]],
    ["\ud800"],
    {},
    {5: 5},
    {"a": object()},
    {"a": [None]},
    {"a": 2**63},
    (),
    (1, 2),
    set(),
    {1},
    object(),
    object,
    io.BytesIO(b"x"),
    datetime(2020, 1, 1),
    FAR,
    date(2020, 1, 1),
    timedelta(1),
    range(3),
    np.zeros((2, 2)),
    np.array(["x"]),
    np.array("x"),
    {Text("app:k"): "x"},
    {np.str_("app:k"): np.str_("x")},
    ...,
]
TEXT = st.text(st.characters(exclude_characters="/."))  # a text may be taken for a path: no folder but the working directory
PLAIN = st.none() | st.booleans() | st.integers(min_value=3_000) | st.integers(max_value=-1) | st.floats() | TEXT | st.binary()
VALUES = st.sampled_from(WRONG) | st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT | st.integers(), inner, max_size=3), max_leaves=5
)


def new_directory() -> fastiam.Directory:
    directory = fastiam.Directory()
    directory.add_principal(ANA, identity_policies=[ALLOW])
    directory.add_principal(APP)
    directory.add_resource("arn:aws:s3:::bucket", account=A)
    directory.add_group("staff", account=A)
    return directory


DIRECTORY = new_directory()
ENGINE = DIRECTORY.compile()
CONTEXT: dict[str, Any] = {"app:k": "v"}
REQUEST: dict[str, Any] = {"principal": ANA, "action": "s3:GetObject", "resource": OBJECT}
KNOWN: dict[str, Any] = {"context": CONTEXT, "unknown": (), "resource_account": A, "now": None}
COLUMNS: dict[str, Any] = {"principals": [ANA], "actions": ["s3:GetObject"], "resources": [OBJECT], "context": {"app:k": ["v"]}}
BATCH: dict[str, Any] = {**COLUMNS, "unknown": (), "resource_accounts": [A], "sessions": {}, "now": None, "threads": 1}
OPTIONS: dict[str, Any] = {
    "unknown_owner": "principal",
    "context_defaults": {},
    "settings": fastiam.Settings(),
    "cache_bytes": 1_000_000,
}
SESSION: dict[str, Any] = {
    "arn": RUN,
    "kind": "ROLE",
    "issuer": APP,
    "policies": [ALLOW],
    "tags": {"team": "red"},
    "transitive_tags": ("team",),
    "issued_at": datetime(2026, 1, 1, tzinfo=UTC),
    "mfa_at": None,
    "source_identity": "ana",
    "context": {"saml:sub": "x"},
}
SIMULATED: dict[str, Any] = {
    **REQUEST,
    "context": CONTEXT,
    "now": None,
    "resource_account": None,
    "identity_policies": [ALLOW],
    "resource_policy": None,
    "permissions_boundary": None,
    "session_policies": None,
    "scps": None,
    "rcps": None,
    "vpc_endpoint_policies": None,
    "unknown": (),
    "engine": "compiled",
    "mode": "strict",
}


def write(name: str) -> Callable[..., object]:
    """A write to a directory of its own, which is compiled and written out afterwards."""

    def call(**arguments: Any) -> object:
        directory = new_directory()
        getattr(directory, name)(**arguments)
        return directory.compile(), directory.to_json()

    return call


# name -> (call, its arguments; the test replaces one of them)
CALLS: dict[str, tuple[Callable[..., object], dict[str, Any]]] = {
    "is_allowed": (ENGINE.is_allowed, {**REQUEST, **KNOWN}),
    "decide": (ENGINE.decide, {**REQUEST, **KNOWN}),
    "explain": (ENGINE.explain, {**REQUEST, **KNOWN}),
    "are_allowed": (ENGINE.are_allowed, {"requests": [tuple(REQUEST.values())], "unknown": (), "now": None}),
    "decide_each": (ENGINE.decide_each, {"requests": [tuple(REQUEST.values())], "unknown": (), "now": None}),
    "decide_each of": (lambda **row: ENGINE.decide_each([tuple(row.values())]), {**REQUEST, "context": CONTEXT}),
    "decide_many": (ENGINE.decide_many, {**BATCH, "reasons": False, "on_error": "raise"}),
    "decide_many, denying": (ENGINE.decide_many, {**BATCH, "reasons": True, "on_error": "deny"}),
    "a context value": (lambda value: ENGINE.decide(*REQUEST.values(), {"app:k": value}), {"value": "v"}),
    "a context column": (lambda column: ENGINE.decide_many(*REQUEST.values(), {"app:k": column}), {"column": ["v"]}),
    "who_can": (lambda **given: list(ENGINE.who_can(**given)), {"action": "s3:GetObject", "resource": OBJECT, **KNOWN}),
    "what_can": (ENGINE.what_can, {"principal": ANA, "context": CONTEXT}),
    "what_can on": (ENGINE.what_can, {"principal": ANA, "resource": OBJECT, "actions": ["s3:GetObject"], **KNOWN}),
    "replay": (ENGINE.replay, {"log": [], "threads": 1}),
    "updated": (ENGINE.updated, {"directory": DIRECTORY}),
    "diff": (fastiam.diff, {"old": ENGINE, "new": ENGINE, **BATCH}),
    "diff of what changed": (
        lambda **given: fastiam.diff(ENGINE, ENGINE, **given),
        {"context": {}, "unknown": None, "now": None},
    ),
    "simulate": (fastiam.simulate, SIMULATED),
    "Session": (fastiam.Session, SESSION),
    "a Session asks": (lambda **given: ENGINE.decide(fastiam.Session(**given), "s3:GetObject", OBJECT), SESSION),
    "compile": (DIRECTORY.compile, OPTIONS),
    "a default": (lambda value: DIRECTORY.compile(context_defaults={"app:k": value}), {"value": "v"}),
    "LiveEngine": (lambda **given: fastiam.LiveEngine(**given).close(), {"source": DIRECTORY, "mode": "lenient", **OPTIONS}),
    "Directory": (fastiam.Directory, {"mode": "strict", "quotas": None}),
    "load": (lambda path, mode: fastiam.load(path, mode=mode), {"path": "nowhere.json", "mode": "lenient"}),
    "load an engine": (fastiam.Engine.load, {"path": "nowhere", "cache_bytes": None}),
    "read_cloudtrail": (lambda path: list(fastiam.read_cloudtrail(path)), {"path": "nowhere.json"}),
    "open": (
        partial(fastiam.Directory.open, create=False),
        {"path": "nowhere/store", "mode": "strict", "quotas": None, "timeout": 0.1},
    ),
    "add_account": (write("add_account"), {"id": "222222222222", "name": "x", "canonical_id": None, "partition": "aws"}),
    "add_principal": (
        write("add_principal"),
        {
            "arn": f"arn:aws:iam::{A}:role/new",
            "identity_policies": [ALLOW],
            "permissions_boundary": None,
            "tags": {"a": "b"},
            "unique_id": "new",
            "trust_policy": None,
            "groups": (),
            "max_session_duration": 3600,
        },
    ),
    "add_group": (write("add_group"), {"group": "g", "identity_policies": (), "account": A, "unique_id": "new"}),
    "add_resource": (write("add_resource"), {"arn": "arn:aws:s3:::b", "account": A, "policy": None, "tags": {}}),
    "add_managed_policy": (
        write("add_managed_policy"),
        {"arn": f"arn:aws:iam::{A}:policy/p", "document": ALLOW, "versions": None, "default_version": "v1", "tags": {}},
    ),
    "add_endpoint": (write("add_endpoint"), {"id": "vpce-1", "policy": None, "account": A, "gateway": False}),
    "set_organization": (
        write("set_organization"),
        {
            "id": "o-1",
            "management_account": A,
            "root": "r-1",
            "organizational_units": {"ou-1-1": "r-1"},
            "accounts": {A: None},
            "delegated_administrators": (),
            "scps": {},
            "rcps": {},
            "policy_types": (),
        },
    ),
    "set_scps": (write("set_scps"), {"account": A, "levels": [[ALLOW]]}),
    "put_inline_policy": (write("put_inline_policy"), {"arn": ANA, "name": "n", "document": ALLOW}),
    "tag": (write("tag"), {"arn": ANA, "tags": {"a": "b"}}),
    "untag": (write("untag"), {"arn": ANA, "keys": ["a"]}),
    "rename": (write("rename"), {"arn": ANA, "name": "zoe", "path": None}),
}


@pytest.fixture(autouse=True, scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An empty working directory."""
    before = os.getcwd()
    os.chdir(tmp_path_factory.mktemp("calls"))
    yield
    os.chdir(before)


@pytest.mark.parametrize("name", CALLS)
@settings(max_examples=few_or_all(30, 150), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_wrong_argument_of_a_public_call_raises_fastiam_error(name: str, data: st.DataObject) -> None:
    call, arguments = CALLS[name]
    argument = data.draw(st.sampled_from(sorted(arguments)), "argument")
    value = data.draw(VALUES, "value")
    try:
        call(**{**arguments, argument: value})
    except FastiamError as error:
        assert str(error)


# (call, the argument, a value that must be refused)
REFUSED: list[tuple[str, str, Any]] = [
    *(
        (name, "now", now)
        for name in ("is_allowed", "decide", "explain", "are_allowed", "who_can", "what_can on", "decide_many", "diff")
        for now in (2**63, 5_000, True, 1.5, "2026-01-01T00:00:00Z", FAR, datetime(2026, 1, 1))
    ),
    ("explain", "principal", []),
    ("what_can", "principal", []),
    ("what_can on", "actions", 5),
    ("what_can on", "actions", [5]),
    ("replay", "log", None),
    ("replay", "log", ["x"]),
    ("decide_many", "reasons", np.zeros((2, 2))),
    ("decide_many", "reasons", "no"),
    ("diff", "old", DIRECTORY),
    ("updated", "directory", ENGINE),
    ("compile", "settings", 5_000),
    ("compile", "context_defaults", "x"),
    *(
        ("Session", argument, value)
        for argument, value in (
            ("arn", 5_000),
            ("kind", "ROLES"),
            ("kind", None),
            ("issuer", 5_000),
            ("policies", 5_000),
            ("tags", None),
            ("tags", {5: "x"}),
            ("tags", {"x": None}),
            ("transitive_tags", "team"),
            ("transitive_tags", [5]),
            ("issued_at", 5_000),
            ("mfa_at", FAR),
            ("source_identity", 5_000),
            ("context", None),
        )
    ),
]


@pytest.mark.parametrize(("name", "argument", "value"), REFUSED)
def test_a_wrong_type_or_number_is_a_request_value_error(name: str, argument: str, value: object) -> None:
    call, arguments = CALLS[name]
    call(**arguments)
    with pytest.raises(RequestValueError) as caught:
        call(**{**arguments, argument: value})
    assert caught.value.column.startswith(argument[:6]), caught.value


def test_a_number_is_not_a_path(tmp_path: Path) -> None:
    """It would be taken for the number of an open file, which is read and closed."""
    (tmp_path / "file").write_text("{}")
    with (tmp_path / "file").open() as file:
        for call in (fastiam.load, fastiam.Engine.load, fastiam.LiveEngine, fastiam.Directory.open, ENGINE.save, DIRECTORY.dump):
            with pytest.raises(FastiamError):
                call(file.fileno())  # type: ignore[operator]
        assert file.read() == "{}"


def test_a_generator_of_texts_is_read_once() -> None:
    session = fastiam.Session(RUN, kind="ROLE", tags={"team": "red"}, transitive_tags=(tag for tag in ["team"]))  # type: ignore[arg-type]
    assert session.transitive_tags == ("team",)
    directory = new_directory()
    directory.add_principal(f"arn:aws:iam::{A}:user/new", groups=(f"arn:aws:iam::{A}:group/{name}" for name in ["staff"]))
    assert "group/staff" in directory.to_json().split("user/new")[1]


@pytest.mark.parametrize("engine", [fastiam.Engine, fastiam.LiveEngine])
def test_engine_accepts_the_columns_of_its_protocol(engine: type) -> None:
    expected = inspect.signature(DecisionEngine.decide_many).parameters
    actual = inspect.signature(engine.decide_many).parameters
    assert [(p.name, p.kind, p.default) for p in actual.values()] == [(p.name, p.kind, p.default) for p in expected.values()]
