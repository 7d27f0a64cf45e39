"""The pages in a real browser: nothing is fetched, everything can be read, on paper, in the dark and on a phone."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.fix import demonstrations, diagnoses

from pgrunbook.report import demonstration, html

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PAGES: dict[str, Callable[[], str]] = {
    "sick": lambda: html.render(diagnoses.sick()),
    "clean": lambda: html.render(diagnoses.clean()),
    "hostile": lambda: html.render(diagnoses.hostile()),
    "demonstration": lambda: demonstration.html(demonstrations.result()),
}
CONTRAST_MIN = 4.5  # WCAG AA for text of ordinary size

# Every element with text of its own: its colour (SVG: its fill) against what is painted behind it.
_CONTRASTS = r"""
() => {
  const canvas = document.createElement("canvas"); canvas.width = canvas.height = 1;
  const context = canvas.getContext("2d", {willReadFrequently: true});
  const rgba = (text) => { context.clearRect(0, 0, 1, 1); context.fillStyle = text; context.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = context.getImageData(0, 0, 1, 1).data; return [r, g, b, a / 255]; };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
  const light = (c) => { const [r, g, b] = c.slice(0, 3).map((v) => { v /= 255;
    return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = (element) => { const layers = [];
    for (let e = element; e; e = e.parentElement) { const style = getComputedStyle(e);
      if (e instanceof HTMLElement) layers.push(rgba(style.backgroundColor)); }
    let colour = rgba(getComputedStyle(document.documentElement).colorScheme.includes("dark") &&
      matchMedia("(prefers-color-scheme: dark)").matches ? "#000" : "#fff");
    for (const layer of layers.reverse()) colour = over(layer, colour);
    const circle = element.closest("svg.mark") && element.closest("svg.mark").querySelector("rect");
    return circle ? over(rgba(getComputedStyle(circle).fill), colour) : colour; };
  const found = [];
  for (const element of document.body.querySelectorAll("*")) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || ["SCRIPT", "STYLE", "title"].includes(element.tagName)) continue;
    if (!element.getClientRects().length) continue;
    const style = getComputedStyle(element), ground = behind(element);
    const ink = over(rgba(element instanceof SVGElement ? style.fill : style.color), ground);
    const [high, low] = [light(ink), light(ground)].sort((a, b) => b - a);
    found.push({text: element.textContent.trim().slice(0, 40), class: element.getAttribute("class"),
      ratio: (high + 0.05) / (low + 0.05)});
  }
  return found;
}
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed: apt-get install chromium")
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - only where a browser is

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield started
        started.close()


class Shown:
    """A page in the browser, with all that it asked for and complained of."""

    def __init__(self, browser: Browser, path: Path, **options: Any) -> None:
        self.context = browser.new_context(**options)
        self.page: Page = self.context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(dialog.message) or dialog.dismiss())
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri(), wait_until="load")


@pytest.fixture(params=sorted(PAGES))
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"{request.param}.html"
    path.write_text(PAGES[request.param](), encoding="utf-8")
    return path


@pytest.fixture
def show(browser: Browser) -> Iterator[Callable[..., Shown]]:
    shown: list[Shown] = []

    def open_page(path: Path, **options: Any) -> Shown:
        shown.append(Shown(browser, path, **options))
        return shown[-1]

    yield open_page
    for one in shown:
        one.context.close()


def test_nothing_is_fetched_and_nothing_complains(file: Path, show: Callable[..., Shown]) -> None:
    shown = show(file)
    assert [url for url in shown.requests if not url.startswith(("file:", "data:"))] == []
    assert [url for url in shown.requests if url.startswith("file:")] == [file.as_uri()]
    assert shown.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_its_ground(file: Path, show: Callable[..., Shown], scheme: str) -> None:
    shown = show(file, color_scheme=scheme)
    contrasts = shown.page.evaluate(_CONTRASTS)
    assert len(contrasts) > 10
    assert [one for one in contrasts if one["ratio"] < CONTRAST_MIN] == []


def test_dark_is_dark_and_light_is_light(file: Path, show: Callable[..., Shown]) -> None:
    def ground(scheme: str) -> str:
        page = show(file, color_scheme=scheme).page
        colour: str = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return colour

    assert ground("light") == "rgb(246, 247, 249)"
    assert ground("dark") == "rgb(14, 17, 22)"


@pytest.mark.parametrize("width", [320, 390, 768, 1200])
def test_no_width_needs_scrolling_sideways(file: Path, show: Callable[..., Shown], width: int) -> None:
    page = show(file, viewport={"width": width, "height": 844}).page
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    beyond = page.evaluate(
        "(width) => [...document.querySelectorAll('main *')].filter((e) => !e.closest('.scroll') && !e.closest('svg')"
        " && e.getClientRects().length && e.getBoundingClientRect().right > width + 0.5).map((e) => e.outerHTML)",
        width,
    )
    assert beyond == []


def test_texts_of_a_chart_keep_their_size_on_a_phone(show: Callable[..., Shown], tmp_path: Path) -> None:
    path = tmp_path / "demonstration.html"
    path.write_text(PAGES["demonstration"](), encoding="utf-8")
    page = show(path, viewport={"width": 390, "height": 844}).page
    heights = page.evaluate(
        "[...document.querySelectorAll('svg.plot .tick')].filter((e) => e.getClientRects().length)"
        ".map((e) => e.getBoundingClientRect().height)"
    )
    assert len(heights) > 5
    assert min(heights) >= 11


def test_labels_below_a_chart_do_not_overlap(show: Callable[..., Shown], tmp_path: Path) -> None:
    path = tmp_path / "demonstration.html"
    path.write_text(PAGES["demonstration"](), encoding="utf-8")
    for width in (390, 1200):
        page = show(path, viewport={"width": width, "height": 844}).page
        overlaps = page.evaluate(
            "[...document.querySelectorAll('svg.plot')].flatMap((svg) => {"
            " const boxes = [...svg.querySelectorAll('.tick, .band-label')].filter((e) => e.getClientRects().length)"
            "   .map((e) => [e.textContent, e.getBoundingClientRect()]);"
            " return boxes.flatMap(([a, p], i) => boxes.slice(i + 1).filter(([b, q]) =>"
            "   p.left < q.right && q.left < p.right && p.top < q.bottom - 2 && q.top < p.bottom - 2)"
            "   .map(([b]) => [a, b])); })"
        )
        assert overlaps == []


def test_copying_gives_the_statement_and_nothing_else(show: Callable[..., Shown], tmp_path: Path) -> None:
    path = tmp_path / "sick.html"
    path.write_text(PAGES["sick"](), encoding="utf-8")
    shown = show(path, permissions=["clipboard-read", "clipboard-write"])
    block = shown.page.locator("pre.sql", has_text="DROP INDEX CONCURRENTLY public.orders_customer_idx2").first
    block.locator("button").click()
    shown.page.wait_for_function("document.querySelector('article pre.sql button').textContent !== ''")
    copied = shown.page.evaluate("navigator.clipboard.readText()")
    assert copied == "DROP INDEX CONCURRENTLY public.orders_customer_idx2;"


def test_paper_has_no_buttons_and_no_dark_ground(file: Path, show: Callable[..., Shown]) -> None:
    page = show(file, color_scheme="dark").page
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("[...document.querySelectorAll('.copy')].every((e) => !e.getClientRects().length)")
    assert [one for one in page.evaluate(_CONTRASTS) if one["ratio"] < CONTRAST_MIN] == []


def test_links_lead_to_their_finding(show: Callable[..., Shown], tmp_path: Path) -> None:
    path = tmp_path / "sick.html"
    path.write_text(PAGES["sick"](), encoding="utf-8")
    page = show(path).page
    link = page.locator("td a").first
    link.click()
    fingerprint = page.evaluate("location.hash").removeprefix("#")
    assert page.locator(f"[id='{fingerprint}'] h3").inner_text() == link.inner_text()
