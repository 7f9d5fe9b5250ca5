"""One rule of output for all verbs: text by default, the same on a terminal and in a pipe, with no word broken."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from test_cli_terminal import ANA, seen

import fastiam
from fastiam.cli.main import VERBS, run
from fastiam.cli.main import fastiam as group
from fastiam.cli.render import write_rows

A = "111111111111"
FORMATS = ["text", "json", "jsonl", "csv", "sarif", "html", "junit", "github"]
WIDE = f"arn:aws:iam::{A}:role/{'service-role-' * 5}/{'long-' * 12}name"
ARN = re.compile(r"arn:aws:[a-z0-9-]+:[^\s,]*")
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def commands() -> Iterator[tuple[str, click.Command]]:
    for verb in VERBS:
        command = group.get_command(None, verb)  # type: ignore[arg-type]
        assert command is not None
        nested = getattr(command, "commands", None)
        for name, each in (nested or {"": command}).items():
            yield f"{verb} {name}".strip(), each


def test_formats_have_the_same_names_in_all_verbs() -> None:
    found = {}
    for name, command in commands():
        for param in command.params:
            if "--format" in param.opts:
                assert isinstance(param.type, click.Choice), name
                found[name] = list(param.type.choices)
                assert param.get_default(click.Context(command)) != "json", name
    assert len(found) > 100
    for name, choices in found.items():
        assert choices == [each for each in FORMATS if each in choices] and choices[:2] == ["text", "json"], name


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with two versions of the policies of a user, and of a role with a long name."""
    monkeypatch.chdir(tmp_path)
    names = {"StringEquals": {"aws:PrincipalTag/team": "blue", "aws:RequestedRegion": ["eu-west-1", "eu-central-1"]}}
    statements = [
        {"Sid": "Read", "Effect": "Allow", "Action": "s3:Get*", "Resource": "arn:aws:s3:::reports/*", "Condition": names},
        {"Sid": "Pass", "Effect": "Allow", "Action": "iam:PassRole", "Resource": WIDE},
    ]
    for file, kept in (("old.json", statements[:1]), ("new.json", statements)):
        made = fastiam.Directory()
        document = {"Version": "2012-10-17", "Statement": kept}
        for principal in (ANA, WIDE):
            made.add_principal(principal, identity_policies=[("Reports", document)])
        made.dump(file)
    assert run(["import", "new.json", "--store", "iam.db"]) == 0
    return tmp_path


CALLS = [
    ["explain", "--policies", "new.json", ANA, "s3:GetObject", "arn:aws:s3:::reports/may"],
    ["who-can", "--policies", "new.json", "s3:GetObject", "arn:aws:s3:::reports/may", "--unknown", "*"],
    ["what-can", "--policies", "new.json", ANA],
    ["diff", "--old", "old.json", "--new", "new.json"],
    ["escalations", "--policies", "new.json"],
    ["role", "list", "--store", "iam.db"],
    ["validate", "new.json"],
]


@pytest.mark.slow
@pytest.mark.parametrize("arguments", CALLS, ids=[each[0] for each in CALLS])
def test_pipe_has_what_the_terminal_shows(arguments: list[str], folder: Path) -> None:
    shown = COLOURS.sub("", seen(arguments)).replace("\r\n", "\n")
    command = [sys.executable, "-m", "fastiam", *arguments]
    environment = os.environ | {"COLUMNS": "200"}
    piped = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    assert sorted(piped.stdout.splitlines()) == sorted(shown.splitlines()) and shown


@pytest.mark.parametrize("width", [80, 200])
@pytest.mark.parametrize("arguments", CALLS, ids=[each[0] for each in CALLS])
def test_arn_is_on_one_line_at_each_width(
    arguments: list[str], width: int, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "5000")
    run(arguments)
    whole = set(ARN.findall(capsys.readouterr().out))
    monkeypatch.setenv("COLUMNS", str(width))
    run(arguments)
    out = capsys.readouterr().out
    assert set(ARN.findall(out)) == whole
    if arguments[0] in ("who-can", "what-can", "diff", "role"):
        assert whole
        for line in out.splitlines():
            assert len(line) <= width or WIDE in line


def test_rows_that_do_not_fit_are_blocks(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    rows = [
        {"principal": "p" * 40, "note": "one two three", "outcome": "ALLOW", "none": None},
        {"principal": "q" * 40, "note": "a note of several words that is longer than the width", "outcome": None, "none": ()},
    ]
    write_rows(("principal", "note", "outcome", "none"), rows, "text")
    assert capsys.readouterr().out == (
        f"principal  {'p' * 40}\n"
        "note       one two three\n"
        "outcome    ALLOW\n"
        "\n"
        f"principal  {'q' * 40}\n"
        "note       a note of several words that is longer than the\n"
        "           width\n"
    )
    monkeypatch.setenv("COLUMNS", "90")
    write_rows(("principal", "note", "outcome", "none"), rows, "text")
    assert capsys.readouterr().out == (
        f"principal{' ' * 33}note{' ' * 37}outcome\n"
        f"{'─' * 40}  {'─' * 39}  {'─' * 7}\n"
        f"{'p' * 40}  {'one two three':39}  ALLOW\n"
        f"{'q' * 40}  a note of several words that is longer\n"
        f"{' ' * 40}  than the width\n"
    )


def test_without_rows_there_is_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    write_rows(("principal",), [], "text")
    assert capsys.readouterr().out == ""
