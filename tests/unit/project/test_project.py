"""What the project promises about itself: its face, its pages, its commands."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

import fastiam

ROOT = Path(__file__).resolve().parents[3]
FENCE = re.compile(r"^```python\n(.*?)^```", re.M | re.S)

# DESIGN section 4: checks outside the project call these
FACE = "simulate Session Directory load Engine Decision Decisions Explanation Outcome Layer Finding".split()


def loaded_by(statement: str, names: set[str]) -> list[str]:
    """Which of some modules a fresh interpreter has loaded after a statement."""
    code = f"import sys; {statement}; print(*sorted({names!r} & sys.modules.keys()))"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


def test_public_names_exist() -> None:
    assert set(FACE) <= set(fastiam.__all__)
    for name in fastiam.__all__:
        assert getattr(fastiam, name) is not None
        assert name in dir(fastiam)


def test_unknown_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute `Dictionary`"):
        fastiam.Dictionary  # noqa: B018


def test_every_error_class_is_public() -> None:
    from fastiam import errors

    tree = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, errors.FastiamError)}
    assert tree <= set(fastiam.__all__)


def test_import_of_package_loads_no_optional_module() -> None:
    heavy = {"numpy", "orjson", "ahocorasick", "click", "rich", "duckdb", "pyarrow", "json", "fastiam.api.engine"}
    assert loaded_by("import fastiam", heavy) == []


def test_authorize_loads_no_session_issuing_module() -> None:
    code = "import fastiam; fastiam.Directory().compile(); fastiam.load; fastiam.LiveEngine"
    assert loaded_by(code, {"cryptography", "argon2", "pyotp", "fastiam.sts"}) == []


def test_server_over_saved_engine_loads_no_directory_module(tmp_path: Path) -> None:  # G218
    file = tmp_path / "engine"
    fastiam.Directory().compile().save(file)
    source = f"decision_source.Source(config.load(None, {{}}, config.Flags(({str(file)!r},))))"
    code = f"from fastiam.server import config, decision_source, run; {source}"
    unused = {"fastiam.api.directory", "fastiam.sources", "fastiam.spec.evaluate", "fastiam.analysis.access.diff", "sqlite3"}
    assert loaded_by(code, unused | {"prometheus_client", "pyarrow", "cryptography", "http.server"}) == []


def test_directory_without_user_pools_loads_no_records_of_them() -> None:
    assert loaded_by("import fastiam; fastiam.Directory().compile()", {"fastiam.directory.user_pool_records", "zipfile"}) == []


def test_simulate_is_the_function_after_any_import() -> None:
    code = "import fastiam.simulation.simulate, fastiam; assert callable(fastiam.simulate)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_package_is_typed_and_defines_its_version_once() -> None:
    assert (ROOT / "src/fastiam/py.typed").exists()
    assert 'dynamic = ["version"]' in (ROOT / "pyproject.toml").read_text()


DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [ROOT / "README.md", *DOCS]
PROJECT_PAGES = [ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", ROOT / "changelog.d/README.md"]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", [page for page in PAGES if FENCE.search(page.read_text())], ids=name_of)
def test_page_examples_run_from_top_to_bottom(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)  # some write files
    shutil.copytree(ROOT / "examples", "examples")
    names: dict[str, object] = {}
    for block in FENCE.findall(page.read_text()):
        exec(compile(block, page.name, "exec"), names)


@pytest.mark.parametrize("page", [*PAGES, *PROJECT_PAGES], ids=name_of)
def test_page_links_lead_to_files(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_site_navigation_lists_every_page_once() -> None:
    listed = re.findall(r"^ +- ([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.M)
    assert sorted(listed) == sorted(str(page.relative_to(ROOT / "docs")) for page in DOCS)


def commands_of(page: Path) -> list[list[str]]:
    """Return the words of each `fastiam` command in the code blocks of a page that are not Python."""
    fences = re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(), re.M | re.S)
    blocks = [block for language, block in fences if language in ("", "sh")]
    lines = (line for block in blocks for line in block.replace("\\\n", " ").splitlines())
    parts = (part.strip() for line in lines for part in re.split(r"&&|\||;|credential_process = ", line))
    return [shlex.split(part, comments=True) for part in parts if part.startswith("fastiam ")]


@pytest.mark.parametrize("page", [page for page in PAGES if commands_of(page)], ids=name_of)
def test_page_commands_have_known_verbs_and_options(page: Path) -> None:
    from fastiam.cli.main import VERBS
    from fastiam.cli.main import fastiam as group

    for _, verb, *words in commands_of(page):
        if verb == "VERB":
            continue
        assert verb in VERBS, f"{page.name}: fastiam {verb}"
        command = group.get_command(None, verb)  # type: ignore[arg-type]
        if isinstance(command, click.Group):
            command = command.get_command(click.Context(command), words[0])
            assert command is not None, f"{page.name}: fastiam {verb} {words[0]}"
        known = {name for param in command.params for name in (*param.opts, *param.secondary_opts)}  # type: ignore[union-attr]
        for option in (word.partition("=")[0] for word in words if re.match(r"--\w", word)):
            assert option in known | {"--help"}, f"{page.name}: fastiam {verb} {option}"


def test_readme_set_up_commands_are_make_targets() -> None:
    readme = (ROOT / "README.md").read_text()
    commands = re.findall(r"^make (\w+)", readme, re.M)
    assert commands == ["demo", "test"]
    targets = set(re.findall(r"^(\w[\w-]*):", (ROOT / "Makefile").read_text(), re.M))
    assert {*commands, "bench", "lint", "types", "debug", "fuzz", "clean"} <= targets


def test_cli_page_names_every_verb_and_option() -> None:
    from fastiam.cli.main import VERBS
    from fastiam.cli.main import fastiam as group

    page = (ROOT / "docs/cli.md").read_text()
    for verb in VERBS:
        assert f"## {verb}: " in page
        command = group.get_command(None, verb)  # type: ignore[arg-type]
        assert command is not None
        for each in (command, *getattr(command, "commands", {}).values()):
            for option in (name for param in each.params for name in param.opts if name.startswith("--")):
                assert option in page, f"docs/cli.md lacks {option} of {verb}"


def test_demo_runs_with_small_input(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "examples/demo.py"), "--roles", "50", "--requests", "2000"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert "decisions a second" in done.stdout
    assert "ALLOWED" in done.stdout and "DENIED" in done.stdout


def test_acme_directory_is_reproducible() -> None:
    sys.path.insert(0, str(ROOT / "examples"))
    from acme import Acme

    one, two = (Acme(50, n_resources=2_000) for _ in range(2))
    assert one.roles == two.roles
    assert one.requests(500).resource.texts() == two.requests(500).resource.texts()
