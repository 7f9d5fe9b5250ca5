"""A hint is written for its API: Python names arguments, the command line options."""

from __future__ import annotations

import ast
import json
import pickle
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import fastiam
from fastiam.cli.main import run
from fastiam.errors import FastiamError, Finding, Hint, PolicyError, Severity

SOURCES = Path(fastiam.__file__).parent
OPTION = re.compile(r"`--[a-z]|`fastiam [a-z]")
PYTHON = re.compile(r"fastiam\.\w+\(|`\w+=|\w+\(\.\.\.\)")


def hints(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """The texts of hints, without those of `Hint`, which has one for each."""
    for node in ast.walk(tree):
        values: list[ast.expr] = []
        if isinstance(node, ast.keyword) and node.arg == "hint":
            values = [node.value]
        elif isinstance(node, ast.Assign) and any("hint" in ast.unparse(target).lower() for target in node.targets):
            values = [node.value]
        for value in values:
            if isinstance(value, ast.Call) and ast.unparse(value.func) == "Hint":
                continue
            for each in ast.walk(value):
                if isinstance(each, ast.Constant) and isinstance(each.value, str):
                    yield each.lineno, each.value


def test_hint_of_one_text_fits_every_api() -> None:
    """The server has its configuration alone."""
    wrong = []
    for path in SOURCES.rglob("*.py"):
        name = path.relative_to(SOURCES)
        foreign = PYTHON if name.parts[0] == "cli" else OPTION
        for line, text in hints(ast.parse(path.read_text())) if name.parts[0] != "server" else ():
            if foreign.search(text) and not text.startswith("export JSON: "):  # an option of the AWS CLI
                wrong.append((str(name), line, text))
    assert wrong == []


def two_stores(folder: Path) -> list[str]:
    fastiam.Directory.open(folder / "a.db").close()
    (folder / "d.json").write_text(fastiam.Directory().to_json())
    return ["a.db", "d.json"]


def engine_file(folder: Path) -> list[str]:
    fastiam.Directory().compile().save(folder / "e.fastiam")
    return ["e.fastiam"]


def policy_output(folder: Path) -> list[str]:
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*"}]}
    (folder / "out.json").write_text(json.dumps({"Policy": json.dumps(policy)}))
    return ["out.json"]


@pytest.mark.parametrize(
    ("make", "python", "cli"),
    [
        (two_stores, "`fastiam.load(*files, into=directory)`", "`fastiam import`"),
        (engine_file, "`fastiam.Engine.load` maps it", "pass it as `--engine`"),
        (policy_output, "`resource_of={'out.json': arn}`", "`--resource-of out.json=ARN`"),
    ],
)
def test_one_error_has_a_hint_for_each_api(
    make: Callable[[Path], list[str]],
    python: str,
    cli: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    paths = make(tmp_path)
    with pytest.raises(FastiamError) as raised:
        fastiam.load(*paths)
    assert python in str(raised.value) and cli not in str(raised.value)
    options = [word for path in paths for word in ("--policies", path)]
    assert run(["explain", *options, "ana", "s3:GetObject", "*"]) == 1
    shown = capsys.readouterr().err
    assert cli in shown and python not in shown


def test_skipped_file_has_a_hint_for_each_api(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "other.json").write_text('{"foo": 1}')
    with pytest.raises(FastiamError) as raised:
        fastiam.load(tmp_path)
    assert "`skip_unknown=True` skips other files" in str(raised.value) and "--skip" not in str(raised.value)
    run(["lint", str(tmp_path)])
    captured = capsys.readouterr()
    shown = captured.out + captured.err
    assert "`--skip-unknown` skips other files" in shown and "skip_unknown=True" not in shown


def test_hints_of_both_survive_pickling() -> None:
    hint = Hint("pass `a=1`", "pass `--a`")
    finding = Finding("V1", Severity.ERROR, "it is wrong", "p.json", "$", hint=hint)
    for error in (fastiam.SourceError("it is wrong", source="p.json", hint=hint), PolicyError([finding])):
        for each in (error, pickle.loads(pickle.dumps(error))):
            assert str(each).endswith("help: pass `a=1`") and each.cli_text().endswith("help: pass `--a`")
