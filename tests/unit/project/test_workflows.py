"""The workflows of GitHub: they run the targets of `.ci/run`, with few rights, and their commands exist."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import fastiam

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / ".github/workflows"
WORKFLOWS: dict[str, dict[Any, Any]] = {path.stem: yaml.safe_load(path.read_text()) for path in FOLDER.glob("*.yml")}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
JOBS = [(name, job, given) for name, workflow in WORKFLOWS.items() for job, given in workflow["jobs"].items()]
CI_RUN = (ROOT / ".ci/run").read_text()
TARGETS = re.search(r"set -- (.*)$", CI_RUN, re.M)[1].replace("${SPARK:+test-spark} ", "").split()  # type: ignore[index]


def steps() -> list[dict[str, Any]]:
    return [step for _, _, job in JOBS for step in job["steps"]]


def test_ci_runs_each_target_of_the_script() -> None:
    matrix = WORKFLOWS["ci"]["jobs"]["targets"]["strategy"]["matrix"]
    assert matrix["target"] == TARGETS and {each["target"] for each in matrix["include"]} <= set(TARGETS)
    targets = set(re.findall(r"^([a-z-]+)(?: [a-z-]+)*:", (ROOT / "Makefile").read_text(), re.M))
    assert {"test", "test-slow", "lint"} < set(TARGETS)
    assert set(TARGETS) <= targets | {"types", "test-slow"}


def test_ci_runs_each_python_of_the_package() -> None:
    matrix = WORKFLOWS["ci"]["jobs"]["targets"]["strategy"]["matrix"]
    pythons = {*matrix["python"], *(each["python"] for each in matrix["include"])}
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["project"]["classifiers"]))
    built = [f"3.{minor}" for minor in re.findall(r"cp3(\d+)", PROJECT["tool"]["cibuildwheel"]["build"])]
    assert pythons == set(named) == set(built)


@pytest.mark.parametrize("name", WORKFLOWS)
def test_workflow_has_few_rights(name: str) -> None:
    workflow = WORKFLOWS[name]
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        writes = {right for right, kind in job.get("permissions", {}).items() if kind == "write"}
        assert writes <= {"id-token", "packages", "pages"}
    triggers = workflow[True]  # YAML 1.1 reads `on` as true
    assert "pull_request_target" not in triggers


def test_only_a_tag_releases() -> None:
    assert WORKFLOWS["release"][True] == {"push": {"tags": ["v*"]}}
    publishing = [step for step in WORKFLOWS["release"]["jobs"]["pypi"]["steps"] if "pypi-publish" in step.get("uses", "")]
    assert len(publishing) == 1 and "with" not in publishing[0], "trusted publishing has no password"


def test_scripts_take_no_text_of_a_request() -> None:
    for step in steps():
        for expression in re.findall(r"\$\{\{(.*?)\}\}", step.get("run", "")):
            assert expression.strip().startswith("matrix."), step


def run_step(workflow: str, job: str, name: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    step = next(step for step in WORKFLOWS[workflow]["jobs"][job]["steps"] if step.get("name") == name)
    command = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", step["run"]]
    return subprocess.run(command, cwd=folder, env=os.environ | environment, capture_output=True, text=True)


def test_tag_of_a_release_is_the_version_of_the_package() -> None:
    step = ("release", "version", "Compare the tag with the version", ROOT)
    assert run_step(*step, TAG=f"v{fastiam.__version__}").returncode == 0
    wrong = run_step(*step, TAG="v0.0.0")
    assert wrong.returncode == 1 and f"the version of the package is {fastiam.__version__}" in wrong.stdout


def test_image_takes_the_wheels_of_its_python(tmp_path: Path) -> None:
    (tmp_path / "deploy").mkdir()
    shutil.copy(ROOT / "deploy/Dockerfile", tmp_path / "deploy")
    python = re.search(r"FROM python:(\S+)-slim$", (ROOT / "deploy/Dockerfile").read_text(), re.M)[1]  # type: ignore[index]
    tag = "cp" + python.replace(".", "")
    machines = ("manylinux_2_28_x86_64", "manylinux_2_28_aarch64")
    (tmp_path / "wheels").mkdir()
    for each in (tag, "cp311"):
        for machine in (*machines, "musllinux_1_2_x86_64"):
            (tmp_path / f"wheels/fastiam-1.0-{each}-{each}-{machine}.whl").touch()
    assert run_step("release", "image", "Take the wheels of the Python of the image", tmp_path).returncode == 0
    taken = sorted(path.name for path in (tmp_path / "dist").iterdir())
    assert taken == sorted(f"fastiam-1.0-{tag}-{tag}-{machine}.whl" for machine in machines)
    for machine in machines:  # what the image installs, on each machine
        pattern = f'fastiam-*"{machine.partition("28_")[2]}".whl'
        found = subprocess.run(["bash", "-c", f"ls {pattern}"], cwd=tmp_path / "dist", capture_output=True, text=True, check=True)
        assert found.stdout.split() == [f"fastiam-1.0-{tag}-{tag}-{machine}.whl"]


@pytest.mark.parametrize(
    ("schema", "paths"), [("github-workflows", [*FOLDER.glob("*.yml")]), ("github-actions", [ROOT / "action.yml"])]
)
def test_workflows_have_the_form_that_github_publishes(schema: str, paths: list[Path]) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", *map(str, paths)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert f"check_jsonschema --builtin-schema vendor.{schema}" in (ROOT / "Makefile").read_text()


def test_workflows_pass_actionlint() -> None:
    beside = Path(sys.executable).parent / "actionlint"
    found = str(beside) if beside.exists() else shutil.which("actionlint")
    if found is None:
        pytest.skip("actionlint is not installed")
    done = subprocess.run([found, *map(str, FOLDER.glob("*.yml"))], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
