"""A directory, and a fixture that runs command lines on it, for tests of the analysis commands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fastiam
from fastiam.cli.main import run

A = "111111111111"
ANA, APP = f"arn:aws:iam::{A}:user/ana", f"arn:aws:iam::{A}:role/app"
BUCKET, KEY = "arn:aws:s3:::reports", "arn:aws:s3:::reports/may"
Run = Callable[..., tuple[int, str, str]]


def statement(effect: str, action: str, resource: str = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def directory(*of_app: dict[str, Any]) -> fastiam.Directory:
    out = fastiam.Directory()
    out.add_principal(ANA, identity_policies=[("Ana", document(statement("Allow", "s3:Get*")))])
    office = {"IpAddress": {"aws:SourceIp": "198.51.100.0/24"}}
    own = of_app or (statement("Allow", "s3:PutObject", f"{BUCKET}/*", Sid="Office", Condition=office),)
    out.add_principal(APP, identity_policies=[("App", document(*own))])
    out.add_resource(BUCKET, account=A)
    return out


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line in a folder with `d.json`: exit code, standard output, standard error."""
    directory().dump(tmp_path / "d.json")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FORCE_COLOR", raising=False)

    def call(*arguments: str) -> tuple[int, str, str]:
        code = run(arguments)
        out, err = capsys.readouterr()
        return code, out, err

    return call
