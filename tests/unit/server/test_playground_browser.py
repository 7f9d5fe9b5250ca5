"""The playground in a real browser: with and without script, by keyboard, light and dark, on a phone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import server_process

import fastiam

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed here")]
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-sync")
SECRET = "not-in-any-log"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[server_process.Server]:
    folder = tmp_path_factory.mktemp("playground")
    directory = fastiam.Directory()
    directory.add_principal("arn:aws:iam::111111111111:user/ana")
    directory.compile().save(folder / "engine.fastiam")
    with server_process.running(folder, folder / "engine.fastiam", server_process.FREE_PORTS, "--door", "playground") as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield running
        running.close()


def _page(browser: Any, **options: Any) -> tuple[Any, list[str]]:
    """A page, and the messages of its console."""
    page = browser.new_context(**options).new_page()
    page.set_default_timeout(20_000)
    messages: list[str] = []
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    return page, messages


def _url(server: server_process.Server) -> str:
    return f"http://{server.address()}/playground/"


@pytest.mark.parametrize(("scheme", "width"), [("light", 1100), ("dark", 1100), ("light", 360), ("dark", 360)])
def test_page_decides_without_leaving_or_scrolling_sideways(browser: Any, server: Any, scheme: str, width: int) -> None:
    page, messages = _page(browser, color_scheme=scheme, viewport={"width": width, "height": 900})
    page.goto(_url(server))
    page.click("button[type=submit]")
    page.wait_for_selector("#answer h2")
    assert "Denied by a statement" in page.inner_text("#answer h2")
    assert page.url == _url(server), "htmx replaces the answer alone"
    assert page.inner_text("pre.source mark.deny").startswith('{"Sid": "OfficeOnly"')
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert messages == []


def test_gc243_page_works_by_keyboard_without_script(browser: Any, server: Any) -> None:
    page, _ = _page(browser, java_script_enabled=False)
    page.goto(_url(server))
    page.focus("input[name=principal]")
    page.keyboard.press("Enter")
    page.wait_for_url("**/playground/decide")
    assert "Denied by a statement" in page.inner_text("#answer h2")
    assert not page.is_visible("#share"), "without script there is no link to share"


def test_gc243_share_link_holds_the_form_in_its_fragment(browser: Any, server: Any) -> None:
    page, _ = _page(browser)
    page.goto(_url(server))
    page.fill("input[name=principal]", f"arn:aws:iam::111111111111:user/{SECRET}")
    page.click("#share")
    page.wait_for_function("location.hash.length > 1")
    link = page.url
    assert SECRET not in link.partition("#")[0]
    other, _ = _page(browser)
    other.goto(link)
    other.wait_for_function(f"document.querySelector('input[name=principal]').value.endsWith('{SECRET}')")
    other.click("button[type=submit]")
    other.wait_for_selector("#answer h2")
    assert "Denied" in other.inner_text("#answer h2")
    everywhere = [file for file in Path(server.folder).rglob("*") if file.is_file() and SECRET.encode() in file.read_bytes()]
    assert everywhere == []
    assert not any(SECRET in str(line) for line in server.lines)


def test_gc238_pasted_markup_runs_nothing(browser: Any, server: Any) -> None:
    page, messages = _page(browser)
    page.goto(_url(server))
    page.fill(
        "textarea[name=identity]",
        '{"Statement": [{"Sid": "<img src=x onerror=document.title=1>", "Effect": "Allow", "Action": "*", "Resource": "*"}]}',
    )
    page.click("button[type=submit]")
    page.wait_for_selector("#answer h2")
    assert "<img src=x" in page.inner_text("pre.source")
    assert page.title() == "Decide - fastiam playground"
    assert page.query_selector("#answer img") is None
    assert messages == []


def test_g208_text_has_enough_contrast(browser: Any, server: Any) -> None:
    for scheme in ("light", "dark"):
        page, _ = _page(browser, color_scheme=scheme)
        page.goto(_url(server))
        page.click("button[type=submit]")
        page.wait_for_selector("#answer h2")
        low = page.evaluate(_CONTRAST)
        assert low == [], scheme


# the ratio of WCAG for each element with text of its own, over the nearest background that is not transparent
_CONTRAST = """() => {
  const parse = (text) => {
    const m = text.match(/[0-9.]+/g).map(Number);
    return {rgb: m.slice(0, 3), a: m.length > 3 ? m[3] : 1};
  };
  const channel = (v) => v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4;
  const light = (rgb) => 0.2126 * channel(rgb[0]) + 0.7152 * channel(rgb[1]) + 0.0722 * channel(rgb[2]);
  const low = [];
  for (const element of document.querySelectorAll("body *")) {
    if (![...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim())) continue;
    let at = element, back = null;
    while (at && !back) {
      const color = parse(getComputedStyle(at).backgroundColor);
      if (color.a > 0) back = color.rgb;
      at = at.parentElement;
    }
    const one = light(parse(getComputedStyle(element).color).rgb), two = light(back || [255, 255, 255]);
    const ratio = (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
    if (ratio < 4.5) low.push(element.tagName + " " + element.textContent.trim().slice(0, 30) + " " + ratio.toFixed(2));
  }
  return low;
}"""
