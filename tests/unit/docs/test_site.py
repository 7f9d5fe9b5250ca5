"""The documentation as a site: public names have entries, parameters descriptions, and the search finds pages.

`make site` runs this; elsewhere it skips without mkdocs, and its searches without Chromium.
"""

from __future__ import annotations

import functools
import html
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import fastiam

pytest.importorskip("mkdocs", reason="mkdocs is not installed: `make site` installs it")
pytest.importorskip("mkdocstrings_handlers.python", reason="mkdocstrings is not installed: `make site` installs it")
pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
CHROMIUM = shutil.which("chromium")
ENTRY = re.compile(r'<h\d id="fastiam\.([^"]+)" class="doc')
ROW = re.compile(r'<tr class="doc-section-item">(.*?)</tr>', re.S)
CELL = re.compile(r"<td>(.*?)</td>", re.S)
CLASSES = (fastiam.Engine, fastiam.LiveEngine, fastiam.SharedEngine, fastiam.Directory, fastiam.Decisions, fastiam.Filter)
NOT_CALLED = {"names", "resolver"}  # attributes of the compiled core that other modules of the package read


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if built := os.environ.get("SITE"):  # `make site` has just built it
        return Path(built)
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def text(markup: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", markup)).split())


def test_each_public_name_has_an_entry(site: Path) -> None:
    entries = set(ENTRY.findall((site / "reference/api/index.html").read_text()))
    names = {name if f"errors.{name}" not in entries else f"errors.{name}" for name in fastiam.__all__ if name != "__version__"}
    methods = {f"{c.__name__}.{name}" for c in CLASSES for name in dir(c) if not name.startswith("_") and name not in NOT_CALLED}
    assert sorted((names | methods) - entries) == []


@pytest.mark.parametrize("page", ["api", "api-identities"])
def test_each_parameter_has_a_description(site: Path, page: str) -> None:
    rows = [
        [text(cell) for cell in CELL.findall(row)] for row in ROW.findall((site / f"reference/{page}/index.html").read_text())
    ]
    assert len(rows) > 50
    assert [row for row in rows if not (row[2] if len(row) > 2 else row[-1])] == []


@pytest.fixture(scope="module")
def searching(site: Path) -> Iterator[Any]:
    """A page of the site in Chromium."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed here")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(site))
    handler.log_message = lambda *_: None  # type: ignore[attr-defined]
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, sync_api.sync_playwright() as playwright:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        yield page
        browser.close()
        server.shutdown()


SEARCHES = {
    "SecureTransport": "cli",
    "--resume": "howto/authorize-a-table",
    "bucket policy": "howto/from-aws-simulator",
    "mypy": "frames",
    "install": "install",
    "decide_many": "reference/api",
    "is_allowed": "reference/api",
    "aws:PrincipalTag": "semantics",
    "permissions boundary": "python",
    "near miss": "howto/debug-a-denial",
    "who-can": "cli",
    "Trino": "opa",
    "ext_authz": "envoy",
    "GetCallerIdentity": "aws",
    "--policies": "cli",
    "missing_keys": "reference/api",
}


@pytest.mark.parametrize(("query", "found"), SEARCHES.items())
def test_search_finds_the_page(searching: Any, query: str, found: str) -> None:
    searching.reload()
    box = searching.locator("input.md-search__input")
    box.click()
    box.fill(query)
    searching.wait_for_function("() => document.querySelector('.md-search-result__list > li a')", timeout=60_000)
    links = searching.eval_on_selector_all(
        ".md-search-result__list > li", "items => items.map(item => item.querySelector('a').getAttribute('href'))"
    )
    assert any(f"/{found}/" in link for link in links), links
