"""Results name documents and hold none, and have one JSON form, which a schema describes."""

from __future__ import annotations

import copy
import dataclasses
import gc
import io
import json
import pickle
import weakref
from collections.abc import Callable, Iterator
from enum import Enum
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import fastapi
import jsonschema
import orjson
import pydantic
import pytest
from cloudtrail_records import record, write_log
from fastapi.testclient import TestClient
from surroundings import SHARED

import fastiam
from fastiam import Decision, Engine, Explanation, MatchClass, Outcome, Reason, StatementRef
from fastiam.analysis.access.decision_changes import Change
from fastiam.analysis.access.replay import Verdict
from fastiam.credentials.sts_errors import AccessDeniedError
from fastiam.model.result import Result

A = "111111111111"
ANA, APP = f"arn:aws:iam::{A}:user/ana", f"arn:aws:iam::{A}:role/app"
BUCKET, KEY = "arn:aws:s3:::reports", "arn:aws:s3:::reports/may"
HIDDEN = "HiddenFromAnswers"  # the Sid of statements that no answer here rests on
READ = {"Sid": "Read", "Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
ALL = {"Sid": "All", "Effect": "Allow", "Action": "s3:*", "Resource": "*"}
OFFICE = {"IpAddress": {"aws:SourceIp": "198.51.100.0/24"}}


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def directory(*, is_new: bool = False) -> fastiam.Directory:
    out = fastiam.Directory()
    read = {"Sid": "Read", "Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}
    keep = {"Sid": "Keep", "Effect": "Deny", "Action": "s3:DeleteObject", "Resource": "*"}
    office = {"Sid": "Office", "Effect": "Allow", "Action": "s3:PutObject", "Resource": f"{BUCKET}/*", "Condition": OFFICE}
    out.add_principal(ANA, identity_policies=[("Ana", document(read, keep, {**office, "Action": "s3:ListBucket"}))])
    out.add_principal(APP, identity_policies=[("App", document({**office, **({"Condition": {}} if is_new else {})}))])
    for number in range(300):
        hidden = {"Sid": f"{HIDDEN}{number}", "Effect": "Allow", "Action": "ec2:*", "Resource": "*"}
        out.add_principal(f"arn:aws:iam::{A}:user/u{number}", identity_policies=[(f"P{number}", document(hidden))])
    out.add_resource(BUCKET, account=A)
    return out


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Engine]:
    """An engine over a file of many policies, and the same from a saved file."""
    folder = tmp_path_factory.mktemp("results")
    directory().dump(folder / "d.json")
    engine = fastiam.load(folder / "d.json").compile()
    engine.save(folder / "d.engine")
    return {"compiled": engine, "saved": Engine.load(folder / "d.engine")}


@pytest.fixture(params=["compiled", "saved"])
def engine(request: pytest.FixtureRequest, engines: dict[str, Engine]) -> Engine:
    return engines[request.param]


def replayed(engine: Engine, tmp_path: Path) -> fastiam.Replay:
    log = write_log(tmp_path / "log.json", record("s3:GetObject", user="ana"), record("signin:ConsoleLogin"))
    return engine.replay(fastiam.read_cloudtrail(log))


def batch(engine: Engine) -> fastiam.Decisions:
    actions = ["s3:GetObject", "s3:DeleteObject", "s3:ListBucket", "not an action"]
    return engine.decide_many(ANA, actions, KEY, unknown=["aws:SourceIp"], reasons=True, on_error="deny")


def denied_error(engine: Engine) -> AccessDeniedError:
    decision = engine.decide(ANA, "s3:DeleteObject", KEY)
    return AccessDeniedError("no", principal=ANA, action="x", resource="*", layer="identity", decision=decision)


def changed(engine: Engine) -> fastiam.Diff:
    return fastiam.diff(engine, directory(is_new=True).compile())


RESULTS: dict[str, Callable[[Engine], Any]] = {
    "Decision": lambda e: e.decide(ANA, "s3:DeleteObject", KEY),
    "Decision that depends": lambda e: e.decide(APP, "s3:PutObject", KEY, unknown=["aws:SourceIp"]),
    "Explanation": lambda e: e.explain(ANA, "s3:DeleteObject", KEY),
    "Explanation of a denial": lambda e: e.explain(ANA, "s3:PutObject", KEY),
    "Explanation that depends": lambda e: e.explain(APP, "s3:PutObject", KEY, unknown=["aws:SourceIp"]),
    "PrincipalAccess": lambda e: next(c for c in e.who_can("s3:PutObject", KEY, unknown=["*"]) if c.outcome is Outcome.DEPENDS),
    "WhoCanResult": lambda e: e.who_can("s3:PutObject", KEY, unknown=["*"]),
    "AllowedAction": lambda e: e.what_can(APP, KEY, actions=["s3:PutObject"], unknown=["*"])[0],
    "Grant": lambda e: e.what_can(ANA)[0],
    "Decisions": batch,
    "RowDecision": lambda e: batch(e)[1],
    "RowDecision with an error": lambda e: batch(e)[3],
    "Summary": lambda e: batch(e).summary(),
    "Diff": changed,
    "DiffGroup": lambda e: changed(e).groups[0],
    "Proof": lambda _: fastiam.no_new_access(document(READ), document(ALL)),
    "Proof of nothing new": lambda _: fastiam.no_new_access(document(ALL), document(READ)),
    "ProofRequest": lambda _: fastiam.no_new_access(document(READ), document(ALL)).request,
}
NAMES = sorted(RESULTS)


@cache
def schema() -> dict[str, Any]:
    found = json.loads(files("fastiam").joinpath("schema/results-v1.json").read_text())
    jsonschema.Draft202012Validator.check_schema(found)
    return found


def check(name: str, result: object) -> None:
    """Check that a JSON form matches the schema of a result of this name."""
    whole = schema() | {"$ref": f"#/$defs/{name}"}
    jsonschema.Draft202012Validator(whole).validate(result)


# -- JSON forms and pickles -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_json_form_matches_schema_without_documents(name: str, engine: Engine) -> None:
    form = RESULTS[name](engine).to_dict()
    assert json.loads(json.dumps(form)) == form, "only types of JSON"
    check(name.partition(" ")[0], form)
    assert HIDDEN not in json.dumps(form) and len(json.dumps(form)) < 5_000


@pytest.mark.parametrize("name", NAMES)
def test_pickled_result_is_equal_without_documents(name: str, engine: Engine) -> None:
    result = RESULTS[name](engine)
    data = pickle.dumps(result)
    assert HIDDEN.encode() not in data and len(data) < 5_000
    assert pickle.loads(data).to_dict() == result.to_dict()


@pytest.mark.parametrize("name", NAMES)
def test_orjson_writes_the_json_form_of_each_result(name: str, engine: Engine) -> None:
    """The call of docs/results.md. Without it, orjson refuses results whose fields are not plain."""
    result = RESULTS[name](engine)
    written = orjson.dumps(result, default=lambda each: each.to_dict(), option=orjson.OPT_PASSTHROUGH_DATACLASS)
    assert orjson.loads(written) == result.to_dict()


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("WhoCanResult", "Decisions", "Diff", "Summary")])
def test_dataclass_serializers_write_no_document(name: str, engine: Engine) -> None:
    result = RESULTS[name](engine)
    assert HIDDEN not in str(dataclasses.asdict(RESULTS[name](engine)))
    assert HIDDEN not in str(dataclasses.astuple(RESULTS[name](engine)))
    assert HIDDEN.encode() not in orjson.dumps(result)
    assert HIDDEN not in pydantic.TypeAdapter(type(result)).dump_json(result).decode()
    assert copy.deepcopy(result).to_dict() == result.to_dict()


def test_server_sends_a_returned_decision(engine: Engine) -> None:
    app = fastapi.FastAPI()

    @app.get("/plain")
    def plain() -> Any:
        return engine.decide(ANA, "s3:DeleteObject", KEY)

    @app.get("/typed")
    def typed() -> Decision:
        return engine.decide(ANA, "s3:DeleteObject", KEY)

    client = TestClient(app)
    for path in ("/plain", "/typed"):
        answer = client.get(path)
        assert len(answer.content) < 1_000 and HIDDEN not in answer.text
        statement = answer.json()["statement"]
        assert (statement["sid"], statement["index"], statement["line"] is not None) == ("Keep", 1, True)


def test_error_with_a_decision_pickles_without_documents(engine: Engine) -> None:
    data = pickle.dumps(denied_error(engine))
    assert HIDDEN.encode() not in data and pickle.loads(data).statement.sid == "Keep"


def test_a_replay_has_the_form_of_the_schema(engine: Engine, tmp_path: Path) -> None:
    found = replayed(engine, tmp_path)
    form = found.to_dict()
    check("Replay", form)
    assert form["records"] == 2 and form["groups"][0]["outcome"]
    data = pickle.dumps(found)
    assert HIDDEN.encode() not in data and pickle.loads(data).to_dict() == form


@pytest.fixture(scope="module")
def lab() -> dict[str, Engine]:
    """The lab account, compiled and from a saved file."""
    if not SHARED.is_dir():
        pytest.skip(f"no shared data at {SHARED}")
    engine = fastiam.load(SHARED / "gaad-lab-account.json.gz").compile()
    return {"compiled": engine, "pickled": pickle.loads(pickle.dumps(engine))}


@pytest.mark.parametrize("kind", ["compiled", "pickled"])
def test_answers_over_an_account_are_small(kind: str, lab: dict[str, Engine]) -> None:
    engine, asked = lab[kind], (("s3:GetObject", KEY), ("iam:PassRole", APP), ("ec2:RunInstances", "*"))
    n_statements = 0
    for name in list(engine.snapshot.names())[::3]:
        for action, resource in asked:
            decision, explanation = (ask(name[0], action, resource) for ask in (engine.decide, engine.explain))
            n_statements += decision.statement is not None
            for result, most in ((decision, 2_000), (explanation, 50_000)):
                sizes = len(orjson.dumps(result.to_dict())), len(orjson.dumps(result)), len(pickle.dumps(result))
                assert max(sizes) < most, (name, action, sizes)
    assert n_statements > 10


# -- the form ---------------------------------------------------------------------------------------------------------


def result_types() -> Iterator[type]:
    """The records that `fastiam` exports and that have a JSON form."""
    for name in fastiam.__all__:
        value = getattr(fastiam, name)
        if isinstance(value, type) and issubclass(value, Result):
            yield value


@pytest.mark.parametrize("record_type", list(result_types()), ids=lambda t: t.__name__)
def test_the_schema_has_every_field_of_a_record(record_type: type) -> None:
    own = {field.name for field in dataclasses.fields(record_type)} | set(record_type._derived)
    of_a_diff = {"principal", "action", "resource"} if record_type is fastiam.DiffGroup else set()
    assert set(schema()["$defs"][record_type.__name__]["properties"]) == own | of_a_diff


ENUMS = {
    "layer": fastiam.Layer,
    "effect": fastiam.Effect,
    "reason": Reason,
    "match_class": MatchClass,
    "principal_kind": fastiam.PrincipalKind,
    "change": Change,
    "verdict": Verdict,
}


@pytest.mark.parametrize("name", ENUMS)
def test_the_schema_has_every_value_of_an_enumeration(name: str) -> None:
    values: list[Enum] = list(ENUMS[name])
    assert schema()["$defs"][name]["enum"] == [value.value for value in values]


def test_the_schema_names_outcomes() -> None:
    assert schema()["$defs"]["outcome"]["enum"] == [outcome.name for outcome in Outcome]


def test_json_form_uses_public_names_and_keys(engine: Engine) -> None:
    form = RESULTS["Decision that depends"](engine).to_dict()
    assert (form["outcome"], form["allowed"], form["depends_on"]) == ("DEPENDS", False, ["aws:SourceIp"])
    residual = RESULTS["PrincipalAccess"](engine).to_dict()["conditions"][0]
    assert residual["keys"] == ["aws:SourceIp"]
    assert residual["conditions"] == [{"operator": "IpAddress", "key": "aws:SourceIp", "values": ["198.51.100.0/24"]}]
    summary = RESULTS["Summary"](engine).to_dict()
    assert [(row["statement"]["sid"], row["rows"]) for row in summary["denies"]] == [("Keep", 1)]
    failed = RESULTS["RowDecision with an error"](engine).to_dict()
    assert (failed["error_code"], failed["error"]) == ("bad_action", "`not an action` is not an action - at `actions`")


# -- references -------------------------------------------------------------------------------------------------------


def test_statement_reference_has_line_and_column(engine: Engine, tmp_path: Path) -> None:
    statement = RESULTS["Decision"](engine).statement
    assert statement.path.endswith(".Statement[1]") and statement.file.endswith("d.json")
    assert statement.position == f"{statement.file}:{statement.line}:{statement.column}"
    lines = Path(statement.file).read_text().splitlines()
    assert '"Keep"' in "".join(lines[statement.line - 1 : statement.line + 5])[statement.column - 1 :][:200]


def test_statement_reference_without_source_text_has_no_line() -> None:
    allow = document({"Effect": "Allow", "Action": "*", "Resource": "*"})
    statement = fastiam.simulate(ANA, "s3:GetObject", KEY, identity_policies=[allow], resource_account=A).statement
    assert (statement.line, statement.column, statement.position) == (None, None, None)
    assert (statement.index, statement.label, statement.path) == (0, "#0", "$.Statement[0]")


def test_statement_reference_frees_the_text_after_location() -> None:
    text = json.dumps(document({"Effect": "Allow", "Action": "*", "Resource": "*"}))
    world = fastiam.Directory()
    world.add_principal(ANA, identity_policies=[text])
    statement = world.compile().decide(ANA, "s3:GetObject", KEY).statement
    assert statement.line == 1
    assert gc.get_referents(statement).count(None) == 3, "Sid, ARN and the source"
    assert not [part for part in gc.get_referents(statement) if not isinstance(part, (str, int, type, type(None)))]


def test_statement_references_compare_by_value() -> None:
    one, other = (StatementRef(fastiam.Layer.SCP, 1, "P", 0, file=file, line=1) for file in ("a", "b"))
    assert one == other and hash(one) == hash(other) and len({one, other}) == 1
    assert dataclasses.replace(one, file="c").position == "c:1:None"
    with pytest.raises(AttributeError, match="has no attribute `origin`"):
        one.origin  # noqa: B018


def test_conditions_are_computed_once_and_free_the_engine() -> None:
    engine = directory().compile()
    caller, doable = RESULTS["PrincipalAccess"](engine), RESULTS["AllowedAction"](engine)
    assert caller.conditions is caller.conditions and doable.conditions == caller.conditions
    gone = weakref.ref(engine.snapshot)
    del engine
    gc.collect()
    assert gone() is None and caller.conditions[0].ref.sid == "Office"


def test_reasons_and_match_classes_are_enumerations(engine: Engine) -> None:
    unknown = engine.decide(f"arn:aws:iam::{A}:user/missing", "s3:GetObject", KEY)
    assert unknown.reason is Reason.UNKNOWN_PRINCIPAL and unknown.reason == "unknown_principal"
    allow_ana = document({"Effect": "Allow", "Principal": {"AWS": ANA}, "Action": "s3:*", "Resource": f"{BUCKET}/*"})
    world = fastiam.Directory()
    world.add_principal(ANA)
    world.add_resource(BUCKET, account=A, policy=allow_ana)
    explanation = world.compile().explain(ANA, "s3:GetObject", KEY)
    assert explanation.statements[0].match_classes == (MatchClass.PRINCIPAL,)


def test_near_miss_of_a_long_statement_is_shortened() -> None:
    actions = [f"ec2:Action{number}" for number in range(300)] + ["s3:ListAllMyBuckets"]
    world = fastiam.Directory()
    world.add_principal(ANA, identity_policies=[document({"Effect": "Allow", "Action": actions, "Resource": "*"})])
    explanation: Explanation = world.compile().explain(ANA, "s3:GetObject", KEY)
    (miss,) = explanation.near_misses
    assert (miss.expected[0], len(miss.expected), miss.n_expected) == ("s3:ListAllMyBuckets", 20, 301)
    assert "and 297 more" in str(explanation)


# -- what the command line writes -------------------------------------------------------------------------------------

ROWS = ("--format", "jsonl")
VERBS = {
    "Decision": ("simulate", "--principal", ANA, "--action", "s3:GetObject", "--resource", KEY, "--identity-policy", "p.json",
                 "--format", "json"),
    "Explanation": ("explain", "--policies", "d.json", ANA, "s3:DeleteObject", KEY, *ROWS),
    "PrincipalAccess": ("who-can", "--policies", "d.json", "s3:PutObject", KEY, "--unknown", "*", *ROWS),
    "Grant": ("what-can", "--policies", "d.json", ANA, *ROWS),
    "AllowedAction": ("what-can", "--policies", "d.json", ANA, "--resource", KEY, "--action", "s3:GetObject", *ROWS),
    "DiffGroup": ("diff", "--old", "d.json", "--new", "new.json", *ROWS),
    "ReplayGroup": ("replay", "--policies", "d.json", "log.json", *ROWS),
}  # fmt: skip


@pytest.mark.parametrize("name", VERBS)
def test_command_line_writes_the_json_form(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from fastiam.cli.main import run

    monkeypatch.chdir(tmp_path)
    directory().dump(tmp_path / "d.json")
    directory(is_new=True).dump(tmp_path / "new.json")
    (tmp_path / "p.json").write_text(json.dumps(document({"Effect": "Allow", "Action": "s3:*", "Resource": "*"})))
    write_log(tmp_path / "log.json", record("s3:GetObject", user="ana"))
    run(VERBS[name])
    out = capsys.readouterr().out
    rows = [json.loads(out)] if name == "Decision" else [json.loads(line) for line in io.StringIO(out)]
    assert rows
    for row in rows:
        check(name, row)


# -- which exception for what -----------------------------------------------------------------------------------------

WRONG: dict[str, Callable[[Engine], object]] = {
    "mode of a directory": lambda _: fastiam.Directory(mode="loose"),  # type: ignore[arg-type]
    "quotas of a directory": lambda _: fastiam.Directory(quotas=5),  # type: ignore[arg-type]
    "a quota": lambda _: fastiam.Quotas(groups_per_user=-1),
    "engine of a simulation": lambda _: fastiam.simulate(ANA, "s3:GetObject", KEY, engine="fast"),  # type: ignore[call-overload]
    "mode of a simulation": lambda _: fastiam.simulate(ANA, "s3:GetObject", KEY, identity_policies=[{}], mode="x"),  # type: ignore[arg-type]
    "unknown_owner": lambda _: fastiam.Directory().compile(unknown_owner="me"),  # type: ignore[arg-type]
    "cache_bytes": lambda _: fastiam.Directory().compile(cache_bytes=-1),
    "on_error": lambda e: e.decide_many(ANA, ["s3:GetObject"], KEY, on_error="skip"),  # type: ignore[arg-type]
    "settings": lambda _: fastiam.Directory().compile(settings=5),  # type: ignore[arg-type]
    "context_defaults": lambda _: fastiam.Directory().compile(context_defaults=5),  # type: ignore[arg-type]
    "threads": lambda e: e.decide_many(ANA, ["s3:GetObject"], KEY, threads=0),
    "principal": lambda e: e.decide(5, "s3:GetObject", KEY),
    "action": lambda e: e.decide(ANA, "s3:Get*", KEY),
    "resource": lambda e: e.decide(ANA, "s3:GetObject", "reports"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_argument_raises_a_request_value_error(name: str, engines: dict[str, Engine]) -> None:
    with pytest.raises(fastiam.RequestValueError) as caught:
        WRONG[name](engines["compiled"])
    assert isinstance(caught.value, ValueError) and caught.value.column
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


MISTAKEN: dict[str, Callable[[Engine], object]] = {
    "updated from a text": lambda e: e.updated("directory.json"),  # type: ignore[arg-type]
    "diff of directories": lambda e: fastiam.diff(directory(), e),  # type: ignore[arg-type]
    "replay of a path": lambda e: e.replay("log.json"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("name", MISTAKEN)
def test_an_object_of_another_class_raises_a_request_value_error(name: str, engines: dict[str, Engine]) -> None:
    with pytest.raises(fastiam.RequestValueError):
        MISTAKEN[name](engines["compiled"])


def test_load_of_a_number_leaves_the_file_descriptor_open(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file:
        with pytest.raises(fastiam.SourceError):
            fastiam.load(file.fileno())  # type: ignore[arg-type]
        file.write("still open")


@pytest.mark.parametrize("given", [{"tags": 5}, {"tags": {"a": 5}}, {"identity_policies": 5}], ids=str)
def test_a_wrong_argument_of_a_write_is_an_error_of_fastiam(given: dict[str, Any]) -> None:
    with pytest.raises(fastiam.FastiamError):
        fastiam.Directory().add_principal(ANA, **given)


def test_every_exception_has_a_row_in_the_page_of_errors() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs/errors.md").read_text()
    for name in fastiam.__all__:
        value = getattr(fastiam, name)
        if isinstance(value, type) and issubclass(value, Exception) and value is not fastiam.FastiamError:
            assert f"| `{name}`" in page, name


def test_each_result_type_is_exported() -> None:
    exported = {name for name in fastiam.__all__ if isinstance(getattr(fastiam, name), type)}
    assert exported >= {each.__name__ for each in result_types()}
    used = (
        "PrincipalAccess WhoCanResult Grant Limit GrantStatement AllowedAction Replay ReplayGroup Diff DiffGroup Summary "
        "RowDecision MatchedStatement Decisions"
    )
    assert exported >= {*used.split(), "Reason", "MatchClass", "Verdict", "Change", "DictionaryColumn"}
