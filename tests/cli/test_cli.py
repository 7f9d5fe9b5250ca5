"""The command line as users see it: output, streams and exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from standard_streams import piped

import fastiam
from fastiam.cli.main import VERBS, run

ANA = "arn:aws:iam::111111111111:user/ana"
KEY = "arn:aws:s3:::bkt/key"

GOOD = """{"Version": "2012-10-17",
 "Statement": [
   {"Effect": "Allow", "Action": "s3:*", "Resource": "*"},
   {"Sid": "NoDelete", "Effect": "Deny", "Action": "s3:Delete*", "Resource": "*"}]}"""
TYPO = '{"Version": "2012-10-17",\n "Statement": {"Effect": "Allow", "Action": "s3GetObject", "Resource": "*"}}'
WARNED = '{"Statement": {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}}'
BROKEN = '{"Version": "2012-10-17",\n "Statement": oops}'

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with some documents, which is the working directory."""
    for name, text in {"good": GOOD, "typo": TYPO, "warned": WARNED, "broken": BROKEN}.items():
        (tmp_path / f"{name}.json").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    return tmp_path


@pytest.fixture
def call(files: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line: exit code, standard output, standard error."""

    def call(*arguments: str) -> tuple[int, str, str]:
        code = run(arguments)
        out, err = capsys.readouterr()
        return code, out, err

    return call


def test_version_is_that_of_the_package(call: Run) -> None:
    assert call("--version") == (0, f"fastiam {fastiam.__version__}\n", "")


def test_unknown_verb_is_an_error_with_the_nearest_verb(call: Run) -> None:
    code, _, err = call("explian")
    assert code == 64 and err.endswith("Error: `explian` is not a verb\nhelp: did you mean `explain`?\n")
    assert call("xyzzy")[2].endswith("Error: `xyzzy` is not a verb\n")


def test_help_names_every_verb_and_every_verb_has_help(call: Run) -> None:
    code, out, _ = call("--help")
    assert code == 0 and all(verb in out for verb in VERBS)
    for verb in VERBS:
        code, out, _ = call(verb, "--help")
        assert code == 0 and "--debug" in out, verb


@pytest.mark.parametrize("arguments", [["fly"], ["validate"], ["validate", "--kind", "cake", "good.json"], ["--fast"]])
def test_a_wrong_command_line_exits_with_64(arguments: list[str], call: Run) -> None:
    code, out, err = call(*arguments)
    assert (code, out) == (64, "") and "Error" in err


def test_missing_file_is_named(call: Run) -> None:
    code, out, err = call("validate", "absent.json")
    assert (code, out) == (1, "") and err == "error: absent.json: no such file or directory\n"


def test_debug_after_any_verb_shows_the_traceback(call: Run) -> None:
    for arguments in (["--debug", "validate", "absent.json"], ["validate", "absent.json", "--debug"]):
        code, _, err = call(*arguments)
        assert code == 1 and "Traceback" in err


# -- validate ----------------------------------------------------------------------------------------------------------

VALIDATED = [
    (["good.json"], 0, ""),
    (["warned.json"], 0, "[G20]"),
    (["warned.json", "--strict"], 2, "[G20]"),
    (["typo.json"], 3, "typo.json:2:45: error:"),
    (["typo.json", "--lenient"], 2, "[V24]"),
    (["broken.json"], 3, "broken.json:2:15: error:"),
    (["broken.json", "--lenient"], 3, "[V1]"),
    (["good.json", "warned.json", "typo.json"], 3, "[G20]"),
    (["typo.json", "--exit-zero"], 0, "[V24]"),
    (["good.json", "--kind", "resource"], 3, "[V9]"),
]


@pytest.mark.parametrize(("arguments", "expected", "found"), VALIDATED)
def test_validate_prints_findings_with_their_place(arguments: list[str], expected: int, found: str, call: Run) -> None:
    code, out, err = call("validate", *arguments)
    assert code == expected
    assert found in out
    assert f"{sum(name.endswith('.json') for name in arguments)} document" in err


def test_validate_points_at_the_value(call: Run) -> None:
    _, out, _ = call("validate", "typo.json")
    lines = out.splitlines()
    assert lines[1].endswith(TYPO.splitlines()[1])
    caret = lines[2].index("^") - lines[1].index(TYPO.splitlines()[1])
    assert TYPO.splitlines()[1][caret:].startswith('"s3GetObject"')


def test_validate_as_json_holds_the_whole_finding(call: Run) -> None:
    code, out, _ = call("validate", "good.json", "typo.json", "--format", "json")
    good, typo = json.loads(out)
    assert code == 3
    more = {"path": "", "documents": 1}
    assert good == {"file": "good.json", "kind": "identity", "rejected": False, "findings": []} | more
    assert (typo["rejected"], typo["findings"][0]["code"], typo["findings"][0]["path"]) == (True, "V24", "$.Statement.Action")


def test_validate_reads_standard_input(files: Path) -> None:
    with piped(TYPO.encode()) as output:
        assert run(["validate", "-"]) == 3
    assert output.data.startswith(b"<stdin>:2:45: error:")


# -- simulate ----------------------------------------------------------------------------------------------------------

SIMULATED = [
    (["--identity-policy", "good.json", "--action", "s3:GetObject"], 0, "ALLOWED", "#0  good.json:3:4"),
    (["--identity-policy", "good.json", "--action", "s3:DeleteObject"], 2, "DENIED by a statement", "NoDelete  good.json:4:4"),
    (["--identity-policy", "good.json", "--action", "sqs:SendMessage"], 2, "DENIED, nothing allows it", "layer identity"),
    (["--action", "s3:GetObject"], 2, "DENIED, nothing allows it", "layer identity"),
    (
        ["--identity-policy", "good.json", "--scp", "warned.json,good.json", "--scp", "good.json", "--action", "s3:PutObject"]
        + ["--lenient"],
        0,
        "ALLOWED",
        "layer identity",
    ),
    (
        ["--identity-policy", "good.json", "--scp", "good.json", "--scp", "warned.json", "--action", "s3:PutObject", "--lenient"],
        2,
        "DENIED, nothing allows it",
        "layer scp",
    ),
    (
        ["--identity-policy", "good.json", "--permissions-boundary", "warned.json", "--action", "s3:PutObject"],
        2,
        "DENIED, nothing allows it",
        "layer boundary",
    ),
    (["--identity-policy", "good.json", "--action", "s3:DeleteObject", "--exit-zero"], 0, "DENIED", "NoDelete"),
]


@pytest.mark.parametrize("engine", ["reference", "compiled"])
@pytest.mark.parametrize(("arguments", "expected", "verdict", "why"), SIMULATED)
def test_simulate_gives_verdict_reason_and_exit_code(
    arguments: list[str], expected: int, verdict: str, why: str, engine: str, call: Run
) -> None:
    code, out, _ = call("simulate", "--principal", ANA, "--resource", KEY, "--engine", engine, *arguments)
    assert code == expected
    assert out.startswith(verdict) and why in out


def test_simulate_reads_context_as_text_or_list(call: Run, files: Path) -> None:
    statement = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    condition = {"ForAllValues:StringEquals": {"aws:TagKeys": ["a", "b=c"]}, "StringEquals": {"aws:SourceVpc": "vpc-1"}}
    document = {"Version": "2012-10-17", "Statement": {**statement, "Condition": condition}}
    (files / "tags.json").write_text(json.dumps(document))
    base = ["simulate", "--principal", ANA, "--resource", KEY, "--action", "s3:PutObject", "--identity-policy", "tags.json"]
    base += ["--context", "aws:SourceVpc=vpc-1"]
    assert call(*base, "--context", "aws:TagKeys=a", "--context", "aws:TagKeys=b=c")[0] == 0
    assert call(*base, "--context", "aws:TagKeys=a", "--context", "aws:TagKeys=d")[0] == 2


def test_simulate_names_the_file_of_a_rejected_document(call: Run) -> None:
    arguments = ["simulate", "--principal", ANA, "--action", "s3:GetObject", "--resource", KEY]
    code, out, err = call(*arguments, "--identity-policy", "good.json", "--identity-policy", "typo.json")
    assert (code, out) == (3, "") and err.startswith("typo.json:2:45: error:")


def test_simulate_as_json_is_the_decision(call: Run) -> None:
    arguments = ["--identity-policy", "good.json", "--action", "s3:DeleteObject", "--format", "json"]
    code, out, _ = call("simulate", "--principal", ANA, "--resource", KEY, *arguments)
    answer = json.loads(out)
    assert (code, answer["outcome"], answer["layer"]) == (2, "EXPLICIT_DENY", "identity")
    assert [answer["statement"][name] for name in ("file", "line", "column")] == ["good.json", 4, 4]


def test_simulate_states_that_a_default_applied(call: Run, files: Path) -> None:
    statement = {"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Condition": {"Bool": {"aws:SecureTransport": "true"}}}
    (files / "tls.json").write_text(json.dumps({"Version": "2012-10-17", "Statement": statement}))
    base = ["simulate", "--principal", ANA, "--resource", KEY, "--action", "s3:GetObject", "--identity-policy", "tls.json"]
    code, out, err = call(*base)
    assert code == 2 and out.startswith("DENIED")
    assert "`aws:SecureTransport` is not given: its default applies, `false`" in err
    assert "default applies" not in call(*base, "--context", "aws:SecureTransport=true")[2]
    assert "default applies" not in call(*base, "--unknown", "aws:SecureTransport")[2]


def test_simulate_decides_each_combination(call: Run) -> None:
    actions, resources = ["s3:DeleteObject", "s3:GetObject"], [KEY, "arn:aws:s3:::other/key"]
    given = [f"--action={action}" for action in actions] + [f"--resource={resource}" for resource in resources]
    base = ["simulate", "--principal", ANA, "--identity-policy", "good.json"]
    code, out, _ = call(*base, *given)
    lines = out.splitlines()
    assert code == 2 and len(lines) == 4
    requests = [(action, resource) for action in actions for resource in resources]
    for line, (action, resource) in zip(lines, requests, strict=True):
        assert line.startswith("DENIED by a statement" if action == "s3:DeleteObject" else "ALLOWED")
        assert f"  {ANA}  {action} on {resource}  " in line
    code, out, _ = call(*base, *given, "--format", "json")
    assert [(each["action"], each["resource"]) for each in json.loads(out)] == requests
    assert [each["outcome"] for each in json.loads(out)] == ["EXPLICIT_DENY"] * 2 + ["ALLOW"] * 2
    assert call(*base, *given[1:])[0] == 0
    open_ = ["--unknown", "aws:SourceIp", "--identity-policy", "ip.json"]
    policy = {"Effect": "Allow", "Action": "sqs:*", "Resource": "*", "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}
    Path("ip.json").write_text(json.dumps({"Version": "2012-10-17", "Statement": policy}))
    assert call(*base, *given[1:], *open_, "--action", "sqs:SendMessage")[0] == 4


@pytest.mark.parametrize("option", ["--resource-policy", "--permissions-boundary"])
def test_document_that_would_be_replaced_is_wrong_usage(option: str, call: Run) -> None:
    request = ["--principal", ANA, "--action", "s3:GetObject", "--resource", KEY]
    code, _, err = call("simulate", *request, option, "good.json", option, "warned.json")
    assert code == 64 and "it is given twice" in err


@pytest.mark.parametrize(
    ("option", "value"), [("--now", "tomorrow"), ("--now", "2026-11-25T09:00:00"), ("--context", "novalue"), ("--context", "=x")]
)
def test_options_that_cannot_be_read_are_wrong_usage(option: str, value: str, call: Run) -> None:
    code, _, err = call("simulate", "--principal", ANA, "--action", "s3:GetObject", "--resource", KEY, option, value)
    assert code == 64 and option in err


# -- terminals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "is_coloured"), [({}, False), ({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False)]
)
def test_colours_follow_the_conventions(
    variables: dict[str, str], is_coloured: bool, call: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in {"TERM": "xterm-256color", **variables}.items():
        monkeypatch.setenv(name, value)
    _, out, _ = call("validate", "typo.json")
    assert ("\x1b[31m" in out or "\x1b[1;31m" in out) is is_coloured


def test_the_plain_path_loads_neither_rich_nor_duckdb(files: Path) -> None:
    code = (
        "import sys; from fastiam.cli.main import run; run(['validate', 'good.json']);"
        "print(sorted({'rich', 'duckdb', 'arro3', 'pyarrow', 'pandas'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=files)
    assert done.stdout.endswith("[]\n")
