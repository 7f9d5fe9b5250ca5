"""Pictures of a report in a real browser without a network, by keyboard alone: light, dark, a phone and a wide screen."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fastiam.report.page import Report, ReportTable, render
from fastiam.report.pictures import Graph, GraphEdge, HeatCell, HeatMap, Names, Sentences

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed here")]
A = "arn:aws:iam::111111111111:"
SCREENS = [(390, 844, "light"), (390, 844, "dark"), (1280, 900, "light"), (1280, 900, "dark"), (1920, 1080, "light")]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    services = [f"service{i}" for i in range(31)]
    users = [f"{A}user/{'a-long-name-of-a-user-' * 2}{i}" for i in range(60)]
    cells = [
        HeatCell(i, j, (j + 1) / 31, [f"{service}:Action{n}" for n in range(i + 1)])
        for i in range(60)
        for j, service in enumerate(services)
        if (i, j) != (0, 1)
    ]
    heat = HeatMap("Unused", "Choose a number.", "user", "unused actions", users, users, services, cells)
    edges = [GraphEdge(user, f"{A}role/admin", "assume-role", i % 2 == 0) for i, user in enumerate(users)]
    rows = [[user, Names([f"service0:Action{n}" for n in range(40)]), "x" * 300, "y" * 300, "z" * 300] for user in users]
    table = ReportTable("Rows", ("principal", "unused", "a", "b", "c"), rows)
    sentences = Sentences("Said", [f"`{users[0]}` can now `s3:GetObject` on `arn:aws:s3:::{'long' * 40}`."])
    pictures = [sentences, heat, Graph("Paths", "Whole lines are sure.", edges, [f"{A}role/admin"])]
    path = tmp_path_factory.mktemp("pictures") / "report.html"
    page = render(Report("A report", ["one"], [table], (), (), pictures, ["account.json"]), datetime(2026, 12, 1, tzinfo=UTC))
    path.write_text(page, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield running
        running.close()


def open_page(browser: Any, file: Path, width: int, height: int, scheme: str) -> tuple[Any, list[str]]:
    context = browser.new_context(offline=True, viewport={"width": width, "height": height}, color_scheme=scheme)
    page, problems = context.new_page(), []
    page.set_default_timeout(10_000)
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: problems.append(request.url) if request.url != file.as_uri() else None)
    page.goto(file.as_uri())
    return page, problems


@pytest.mark.parametrize(("width", "height", "scheme"), SCREENS)
def test_report_fits_the_screen_and_scrolls_within_it(browser: Any, file: Path, width: int, height: int, scheme: str) -> None:
    page, problems = open_page(browser, file, width, height, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    boxes = [page.locator(each).first.bounding_box() for each in (".heat", ".table")]
    assert boxes[0]["height"] <= height, "both scrollbars of the heat map are on the screen at once"
    if width > 640:
        assert boxes[1]["height"] <= height and boxes[1]["width"] > 0.9 * width
        assert page.locator("svg.graph").is_visible() and not page.locator(".listed").is_visible()
    else:
        assert page.locator(".listed").is_visible() and not page.locator("svg.graph").is_visible()
    assert problems == []
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_numbers_can_be_read_on_their_shades(browser: Any, file: Path, scheme: str) -> None:
    page, _ = open_page(browser, file, 1280, 900, scheme)
    ratios = page.evaluate("""() => {
      const luminance = (color) => {
        const [r, g, b] = color.match(/[0-9.]+/g).map(Number).map((v) => {
          v /= 255;
          return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
        });
        return .2126 * r + .7152 * g + .0722 * b;
      };
      return [0, 1, 2, 3, 4].map((i) => {
        const style = getComputedStyle(document.querySelector(".shade-" + i));
        const [one, two] = [luminance(style.color), luminance(style.backgroundColor)];
        return (Math.max(one, two) + .05) / (Math.min(one, two) + .05);
      });
    }""")
    assert min(ratios) >= 4.5
    page.context.close()


def focused(page: Any) -> str:
    return str(page.evaluate("document.activeElement.ariaLabel || document.activeElement.textContent"))


def test_heat_map_works_with_the_keyboard_alone(browser: Any, file: Path) -> None:
    page, problems = open_page(browser, file, 1280, 900, "light")
    for _ in range(10):
        page.keyboard.press("Tab")
        if "service0: 1 unused actions" in focused(page):
            break
    page.keyboard.press("ArrowRight")
    assert "service2: 1 unused actions" in focused(page), "an empty cell is skipped"
    page.keyboard.press("ArrowDown")
    assert "service2: 2 unused actions" in focused(page)
    page.keyboard.press("Enter")
    panel = page.locator(".panel")
    assert panel.is_visible() and panel.locator("li").all_text_contents() == ["service2:Action0", "service2:Action1"]
    assert page.evaluate("document.querySelector('.names').scrollWidth <= document.querySelector('.names').clientWidth")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert not panel.is_visible() and "service2: 2 unused actions" in focused(page)
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    assert "service2: 2 unused actions" in focused(page), "the map is one tab stop, at the last cell"
    page.keyboard.press("Tab")
    assert focused(page) == "Show 20 more rows"
    page.keyboard.press("Enter")
    assert page.locator(".heat tbody tr").count() == 60 and problems == []
    page.context.close()


def test_names_are_listed_on_demand(browser: Any, file: Path) -> None:
    page, problems = open_page(browser, file, 1280, 900, "dark")
    cell = page.locator(".table tbody tr").first.locator("td").nth(1)
    assert cell.locator("summary").text_content() == "40" and cell.locator("li").count() == 0
    cell.locator("summary").focus()
    page.keyboard.press("Enter")
    cell.locator("li").nth(39).wait_for()
    assert cell.locator("li").count() == 40 and problems == []
    page.locator("input").fill("Action39")
    assert page.locator(".table tbody tr").count() == 60, "the filter finds names that are not shown"
    page.context.close()
