"""A report in a real browser without a network: sorting, filtering, folding, links, dark and on a phone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import fastiam
from fastiam.report.page import Report, ReportTable, render

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed here")]
EVIL = "<img src=x onerror=alert(1)>\u202e"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = fastiam.Directory()
    allow = {"Version": "2012-10-17", "Statement": [{"Sid": "Read", "Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    directory.add_principal("arn:aws:iam::111111111111:user/ana", identity_policies=[("own", json.dumps(allow))])
    engine = directory.compile()
    ref = engine.decide("arn:aws:iam::111111111111:user/ana", "s3:GetObject", "*").statement
    rows = [[f"name {i}", i, [f"item {j}" for j in range(i % 12)], ref] for i in range(700)]
    table = ReportTable("Rows", ("name", "n", "items", "statement"), [*rows, [EVIL, 1000, [], None]])
    path = tmp_path_factory.mktemp("report") / "report.html"
    page = render(Report("A report", [EVIL], [table], engine.snapshot.policies()), datetime(2026, 11, 29, tzinfo=UTC))
    path.write_text(page, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield running
        running.close()


@pytest.fixture
def opened(browser: Any, file: Path) -> Iterator[tuple[Any, list[str]]]:
    """A page without a network, and all errors, dialogs and requests except for the file."""
    context = browser.new_context(offline=True, viewport={"width": 390, "height": 844}, color_scheme="dark")
    page, problems = context.new_page(), []
    page.set_default_timeout(10_000)
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("dialog", lambda dialog: (problems.append("dialog"), dialog.dismiss()))
    page.on("request", lambda request: problems.append(request.url) if request.url != file.as_uri() else None)
    page.goto(file.as_uri())
    yield page, problems
    context.close()


def first(page: Any, column: int) -> str:
    return str(page.locator("tbody tr").first.locator("td").nth(column).text_content())


def test_report_sorts_by_number_and_text(opened: tuple[Any, list[str]]) -> None:
    page, problems = opened
    button = page.locator("th button", has_text="n").nth(1)
    button.focus()
    page.keyboard.press("Enter")
    assert first(page, 1) == "0" and page.locator("th[aria-sort=ascending]").count() == 1
    page.keyboard.press("Enter")
    assert first(page, 1) == "1,000" and page.locator("th[aria-sort=descending]").count() == 1
    page.locator("th button", has_text="name").click()
    assert [first(page, 0)[:4], page.locator("tbody tr").count()] == ["<img", 500]
    assert problems == []


def test_report_filters_and_shows_more_rows(opened: tuple[Any, list[str]]) -> None:
    page, problems = opened
    assert page.locator("output").text_content() == "701 of 701 rows"
    page.locator("button", has_text="Show 201 more rows").click()
    assert page.locator("tbody tr").count() == 701
    page.locator("input").fill("name 69")
    assert page.locator("tbody tr").count() == 11 and page.locator("output").text_content() == "11 of 701 rows"
    assert problems == []


def test_report_folds_lists_and_opens_documents(opened: tuple[Any, list[str]]) -> None:
    page, problems = opened
    page.locator("input").fill("name 11")
    page.locator("tbody details summary").first.click()
    # The list is made when the browser reports that it was opened, which is later than the click.
    sync_api.expect(page.locator("tbody tr").first.locator("li")).to_have_count(11, timeout=10_000)
    page.locator("tbody a").first.click()
    assert page.locator("details#document-0").get_attribute("open") is not None
    assert page.locator("mark.allow", has_text="Read").is_visible() and problems == []


def test_report_shows_hostile_values_as_text_on_a_phone(opened: tuple[Any, list[str]]) -> None:
    page, problems = opened
    page.locator("input").fill("onerror")
    assert page.locator("tbody td").first.text_content() == "<img src=x onerror=alert(1)>U+202E"
    assert page.locator(".control").count() == 2 and page.locator("img").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 22, 26)" and problems == []
