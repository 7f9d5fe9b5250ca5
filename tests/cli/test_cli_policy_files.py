"""Files of policies on the command line: outputs of calls for one policy, and files that are not understood."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from account_exports import ANA, A, export, write

from fastiam.cli.main import run

BUCKET = "arn:aws:s3:::reports"
DENY = {"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": f"{BUCKET}/*"}}
OF_ANY = {
    "Version": "2012-10-17",
    "Statement": {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::rep*"},
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with an export in which ana may do everything."""
    write(tmp_path, "account.json", export())
    write(tmp_path, "requests.csv", f"principal,action,resource,resource_account\n{ANA},s3:GetObject,{BUCKET}/may,{A}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FASTIAM_STORE", raising=False)
    return tmp_path


EXPLAIN = ["explain", ANA, "s3:GetObject", f"{BUCKET}/may", "--resource-account", A, "--policies", "account.json"]


def test_bucket_policy_output_denies(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(EXPLAIN) == 0
    write(folder, "b/policy.json", {"Policy": json.dumps(DENY)})
    for path in ("b", "b/policy.json"):
        assert run([*EXPLAIN, "--policies", path]) == 2
    assert capsys.readouterr().err == ""


def test_resource_of_names_the_bucket(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder, "b/a=b.json", {"Policy": json.dumps(OF_ANY)})
    assert run([*EXPLAIN, "--policies", "b"]) == 1
    assert "--resource-of b/a=b.json=ARN" in capsys.readouterr().err
    assert run([*EXPLAIN, "--policies", "b", "--resource-of", f"b/a=b.json={BUCKET}"]) == 2
    assert run([*EXPLAIN, "--policies", "b", "--resource-of", f"b/c.json={BUCKET}"]) == 1
    assert run([*EXPLAIN, "--policies", "b", "--resource-of", "b/a=b.json"]) == 64
    assert run([*EXPLAIN, "--policies", "b", *(f"--resource-of=b/a=b.json={BUCKET}{i}" for i in "12")]) == 64
    capsys.readouterr()
    write(folder, "b/a=b.json", {"Policy": json.dumps(OF_ANY)}).rename(folder / "b/reports.json")
    assert run([*EXPLAIN, "--policies", "b"]) == 2
    assert f"the policy counts as that of `{BUCKET}`" in capsys.readouterr().err


DECIDING = [
    EXPLAIN,
    ["authorize", "--policies", "account.json", "--requests", "requests.csv", "--out", "-"],
    ["who-can", "--policies", "account.json", "s3:GetObject", f"{BUCKET}/may"],
    ["what-can", "--policies", "account.json", ANA],
    ["escalations", "--policies", "account.json"],
    ["compile", "account.json", "--out", "e.fastiam"],
    ["import", "account.json", "--store", "iam.db"],
    ["diff", "--old", "account.json", "--new", "account.json"],
    ["prove", "no-new-access", "--old", "account.json", "--new", "account.json"],
]


@pytest.mark.parametrize("arguments", DECIDING, ids=[each[0] for each in DECIDING])
def test_file_that_is_not_understood_ends_each_verb(
    arguments: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder, "other/package.json", {"name": "x"})
    write(folder, "other/policy.json", {"Policy": json.dumps(OF_ANY)})
    option = [] if arguments[0] in ("compile", "import") else ["--old" if "--old" in arguments else "--policies"]
    given = [*arguments, *option, "other"]
    name = ["--resource-of", f"other/policy.json={BUCKET}"]
    capsys.readouterr()
    assert run([*given, *name]) == 1
    assert "other/package.json:1:1: the format of the content is unknown" in capsys.readouterr().err
    assert run([*given, "--skip-unknown"]) == 1
    assert "does not say which resource has it" in capsys.readouterr().err
    assert run([*given, "--skip-unknown", *name]) in (0, 2, 4), capsys.readouterr().err


def test_compiled_engine_takes_no_reading_options(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compile", "account.json", "--out", "e.fastiam", "--quiet"]) == 0
    assert run(["what-can", "--engine", "e.fastiam", ANA, "--skip-unknown"]) == 64
    assert "an engine is compiled already" in capsys.readouterr().err
