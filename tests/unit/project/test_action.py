"""The GitHub action of `action.yml`: its shell steps on a small repository, as a runner runs them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
STEPS: list[dict[str, Any]] = ACTION["runs"]["steps"]
REVIEW = ("lint", "base", "diff", "prove", "Result")

pytestmark = pytest.mark.skipif(not (shutil.which("git") and shutil.which("bash")), reason="needs git and bash")


def statement(*actions: str, effect: str = "Allow") -> dict[str, Any]:
    return {"Sid": "Data", "Effect": effect, "Action": list(actions), "Resource": "arn:aws:s3:::data/*"}


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def account(*actions: str) -> str:
    """A directory with one user."""
    policy = {"name": "data", "document": json.loads(document(statement(*actions)))}
    user = {"arn": "arn:aws:iam::111111111111:user/ana", "inline_policies": [policy]}
    return json.dumps({"format": "fastiam-directory", "version": 1, "accounts": [{"id": "111111111111"}], "users": [user]})


@dataclass
class Runner:
    """A repository whose second commit is a pull request, and the steps of the action in it."""

    folder: Path
    given: dict[str, str]
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)
    log: str = ""

    @property
    def repository(self) -> Path:
        return self.folder / "repository"

    def git(self, *words: str) -> str:
        names = ["-c", "user.name=ana", "-c", "user.email=ana@example.com", "-c", "commit.gpgsign=false"]
        done = subprocess.run(["git", *names, *words], cwd=self.repository, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def commit(self, files: dict[str, str | None]) -> str:
        for name, text in files.items():
            path = self.repository / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if text is None:
                path.unlink()
            else:
                path.write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "change")
        return self.git("rev-parse", "HEAD")

    def value(self, text: str) -> str:
        """A text with its expressions replaced."""

        def replaced(found: re.Match[str]) -> str:
            kind, *names = found[1].strip().split(".")
            if kind == "inputs":
                return self.given.get(names[0], str(ACTION["inputs"][names[0]].get("default", "")))
            if kind == "steps":
                return self.outputs.get(names[0], {}).get(names[2], "")
            raise AssertionError(found[0])

        return re.sub(r"\$\{\{(.*?)\}\}", replaced, text)

    def applies(self, condition: str | None) -> bool:
        if condition is None:
            return True
        name, operator, wanted = re.fullmatch(r"inputs\.([\w-]+) (==|!=) '(\w+)'", condition).groups()  # type: ignore[union-attr]
        return (self.value(f"${{{{ inputs.{name} }}}}") == wanted) is (operator == "==")

    def run(self, *names: str) -> int:
        """Run some steps; the exit code of the last one that ran."""
        temp = self.folder / "temp"
        temp.mkdir(exist_ok=True)
        code = 0
        for step in STEPS:
            name = step.get("id") or step.get("name")
            if name not in names or "run" not in step or not self.applies(step.get("if")):
                continue
            output, summary, path = (temp / each for each in ("output", "summary", "path"))
            output.write_text("")
            environment = {
                **os.environ,
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
                "PYTHONPATH": str(ROOT / "src"),
                "RUNNER_TEMP": str(temp),
                "GITHUB_ACTION_PATH": str(ROOT),
                "GITHUB_OUTPUT": str(output),
                "GITHUB_STEP_SUMMARY": str(summary),
                "GITHUB_PATH": str(path),
                **{key: self.value(text) for key, text in step.get("env", {}).items()},
            }
            command = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", step["run"]]
            done = subprocess.run(command, cwd=self.repository, env=environment, capture_output=True, text=True)
            self.log += done.stdout + done.stderr
            code = done.returncode
            self.outputs[name] = dict(line.split("=", 1) for line in output.read_text().splitlines())
            if code:
                break
        return code

    @property
    def codes(self) -> tuple[str, str, str]:
        """Exit codes of lint, diff and prove; empty for one that did not run."""
        lint, diff, prove = (self.outputs.get(name, {}).get("code", "") for name in ("lint", "diff", "prove"))
        return lint, diff, prove


def review(folder: Path, before: dict[str, str | None], after: dict[str, str | None], **given: str) -> tuple[Runner, int]:
    """The action on a pull request that changes files."""
    inputs = {"policies": "policies", "sarif": "false"} | {name.replace("_", "-"): value for name, value in given.items()}
    runner = Runner(folder, inputs)
    runner.repository.mkdir()
    runner.git("init", "--quiet", "--initial-branch=main")
    base = runner.commit(before)
    runner.commit(after)
    runner.given.setdefault("base", base)
    return runner, runner.run(*REVIEW)


FILE = "policies/a policy.json"
READ, WRITE = statement("s3:GetObject"), statement("s3:GetObject", "s3:PutObject")
MORE = {"policies/more.json": document(WRITE)}
# what is compared, the files before and after, the exit codes of lint, diff and prove, and that of the job
REVIEWS = {
    "nothing changes": ("account", {FILE: account("s3:GetObject")}, {}, ("0", "0", "0"), 0),
    "access is gained": (
        "account",
        {FILE: account("s3:GetObject")},
        {FILE: account("s3:GetObject", "s3:PutObject")},
        ("0", "2", "2"),
        1,
    ),
    "access is lost": (
        "account",
        {FILE: account("s3:GetObject", "s3:PutObject")},
        {FILE: account("s3:GetObject")},
        ("0", "0", "0"),
        0,
    ),
    "a first file": ("account", {"README": ""}, {FILE: account("s3:GetObject")}, ("0", "4", "4"), 0),
    "a document is narrowed": ("documents", {FILE: document(WRITE)}, {FILE: document(READ)}, ("0", "", "0"), 0),
    "a document is widened": ("documents", {FILE: document(READ)}, {FILE: document(WRITE)}, ("0", "", "2"), 1),
    "a document is new": ("documents", {FILE: document(READ)}, MORE, ("0", "", "2"), 1),
    "a document is deleted": ("documents", {FILE: document(READ), **MORE}, {FILE: None}, ("0", "", "4"), 0),
    "no document changes": ("documents", {FILE: document(READ)}, {"README": "x"}, ("0", "", "0"), 0),
    "a document is rejected": ("documents", {FILE: document(READ)}, {FILE: document({"Effect": "No"})}, ("3", "", "3"), 1),
    "lint alone": ("none", {FILE: document(READ)}, {FILE: document(WRITE)}, ("0", "", ""), 0),
}


@pytest.mark.slow
@pytest.mark.parametrize("compare, before, after, codes, result", REVIEWS.values(), ids=REVIEWS)
def test_action_reviews_a_pull_request(
    tmp_path: Path, compare: str, before: dict[str, str | None], after: dict[str, str | None], codes: tuple[str, ...], result: int
) -> None:
    runner, code = review(tmp_path, before, after, compare=compare)
    assert (runner.codes, code) == (codes, result), runner.log
    summary = (tmp_path / "temp/summary").read_text()
    assert summary.count("### fastiam") == sum(each != "" for each in codes) and summary.count("```") % 2 == 0
    found = json.loads(Path(runner.outputs["lint"]["sarif"]).read_text())
    assert found["version"] == "2.1.0" and found["runs"][0]["tool"]["driver"]["name"] == "fastiam"
    report = runner.outputs.get("diff", {}).get("report")
    assert (report is not None) is (codes[1] in ("0", "2")) and (report is None or "<html" in Path(report).read_text())


@pytest.mark.parametrize(
    ("fail_on", "codes", "result"),
    [
        ("new-access", ("0", "0", "0"), 0),
        ("new-access", ("0", "4", "4"), 0),
        ("new-access", ("0", "2", "0"), 1),
        ("new-access", ("0", "0", "2"), 1),
        ("new-access", ("2", "0", "0"), 1),
        ("undetermined", ("0", "0", "4"), 1),
        ("undetermined", ("0", "4", "0"), 1),
        ("nothing", ("3", "2", "2"), 0),
        ("nothing", ("0", "1", "0"), 1),
        ("nothing", ("1", "0", "0"), 1),
        ("new-access", ("0", "3", "0"), 1),
        ("new-access", ("0", "", ""), 0),
        ("new-acces", ("0", "0", "0"), 1),
    ],
)
def test_result_follows_the_exit_codes(tmp_path: Path, fail_on: str, codes: tuple[str, ...], result: int) -> None:
    runner = Runner(tmp_path, {"fail-on": fail_on})
    runner.repository.mkdir()
    runner.outputs = {name: {"code": code} for name, code in zip(("lint", "diff", "prove"), codes, strict=True)}
    assert runner.run("Result") == result, runner.log
    assert ("::error::" in runner.log) is (result != 0)


def test_base_that_is_not_given_is_an_error(tmp_path: Path) -> None:
    runner = Runner(tmp_path, {"base": ""})
    runner.repository.mkdir()
    assert runner.run("base") == 1 and "there is no base to compare with" in runner.log


def test_steps_take_inputs_from_their_environment_alone() -> None:
    """A text of a pull request never becomes a part of a script."""
    scripts = [step["run"] for step in STEPS if "run" in step]
    assert len(scripts) > 5 and not any("${{" in script for script in scripts)
    assert all(step["shell"] == "bash" for step in STEPS if "run" in step)
    named = set(re.findall(r"\binputs\.([\w-]+)", (ROOT / "action.yml").read_text()))
    assert named == set(ACTION["inputs"])
