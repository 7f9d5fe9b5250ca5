"""The plugin for pytest, in runs of pytest of their own."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import fastiam.api.engine  # noqa: F401  (NumPy loads once a process, and not in each run)

pytest_plugins = ["pytester"]
ROOT = Path(__file__).resolve().parents[3]
FILE = """\
version: 1
policies: account.json
tests:
  - name: lea reads
    principal: lea
    resource: arn:aws:s3:::reports/may.csv
    allowed: [s3:GetObject, s3:PutObject]
"""
PLUGIN = ("-p", "fastiam.testing.pytest_plugin", "-p", "no:cacheprovider")


@pytest.fixture
def folder(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    shutil.copy(ROOT / "examples/account.json", pytester.path)
    (pytester.path / "a.iamtest.yaml").write_text(FILE)
    return pytester


def test_each_example_is_an_item(folder: pytest.Pytester) -> None:
    result = folder.runpytest(*PLUGIN, "-v")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["*a.iamtest.yaml::lea reads[[]0[]] PASSED*", "*lea reads[[]1[]] FAILED*", "expected allowed", "actual   implicit_deny"]
    )
    folder.runpytest(*PLUGIN, "-k", "lea and 0").assert_outcomes(passed=1, deselected=1)


def test_setting_turns_collection_off(folder: pytest.Pytester) -> None:
    folder.makeini("[pytest]\niam_tests = false\n")
    assert folder.runpytest(*PLUGIN).ret == pytest.ExitCode.NO_TESTS_COLLECTED


def test_test_of_many_requests_is_one_item(folder: pytest.Pytester) -> None:
    resources = ", ".join(f'"arn:aws:s3:::reports/{n}"' for n in range(1_001))
    (folder.path / "a.iamtest.yaml").write_text(
        FILE.replace("allowed: [s3:GetObject, s3:PutObject]", "allowed: [s3:GetObject]").replace(
            "resource: arn:aws:s3:::reports/may.csv", f"resource: [{resources}]"
        )
    )
    folder.runpytest(*PLUGIN).assert_outcomes(passed=1)


def test_broken_file_is_an_error_of_collection(folder: pytest.Pytester) -> None:
    (folder.path / "a.iamtest.yaml").write_text("version: 1\ntests: [{nam: x}]\n")
    result = folder.runpytest(*PLUGIN)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*unknown key `nam` [[]TEST-KEY[]]*"])


def test_fixture_compiles_the_same_content_once(folder: pytest.Pytester) -> None:
    folder.makepyfile(
        """
        from fastiam.testing import assert_allowed

        def test_engine(iam_engine):
            engine = iam_engine("account.json")
            assert engine is iam_engine("account.json")
            assert_allowed(engine, "arn:aws:iam::111111111111:user/lea", "s3:GetObject", "arn:aws:s3:::reports/a")
        """
    )
    folder.runpytest(*PLUGIN, "-k", "test_engine").assert_outcomes(passed=1, deselected=2)


def test_plugin_imports_no_other_module_of_the_package() -> None:  # TA24, T38
    code = "import sys, pytest, fastiam.testing.pytest_plugin; print(sorted(m for m in sys.modules if m.startswith('fastiam')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['fastiam', 'fastiam.testing', 'fastiam.testing.pytest_plugin']"


def test_plugin_is_an_entry_point_of_pytest() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"fastiam": "fastiam.testing.pytest_plugin"}


CALLS = """\
import botocore.session
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

LEA = "arn:aws:iam::111111111111:user/lea"


@pytest.fixture
def s3():
    session = botocore.session.Session()
    session.set_credentials("AKIAEXAMPLE", "secret")
    client = session.create_client("s3", region_name="eu-west-1")
    with Stubber(client) as stubber:
        stubber.add_response("get_object", {})
        stubber.add_response("put_object", {})
        yield client


def test_enforced(iam_enforced, s3):
    calls = iam_enforced(LEA, "account.json")
    s3.get_object(Bucket="reports", Key="may.csv")
    with pytest.raises(ClientError, match="not authorized to perform: s3:PutObject"):
        s3.put_object(Bucket="reports", Key="may.csv", Body=b"")
    assert len(calls.requests) == 2


def test_recorded(iam_recorded, s3):
    calls = iam_recorded("account.json", LEA)
    s3.get_object(Bucket="reports", Key="may.csv")
    assert calls.policy().lost == 0
"""


def test_fixtures_decide_and_record_the_calls_of_boto3(folder: pytest.Pytester) -> None:
    """T39."""
    folder.makepyfile(test_calls=CALLS)
    folder.runpytest(*PLUGIN, "test_calls.py").assert_outcomes(passed=2)
