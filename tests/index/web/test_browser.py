"""The pages as people see them: in a real Chromium, on a desk and on a telephone, by day and by night."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe

from chromium import chromium
from index_server import index_server
from shop_window import BUILT, FAILED, dress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page, ViewportSize

pytestmark = pytest.mark.slow

PAGES = [
    "/",
    "/search?q=a",
    "/project/my-spam/",
    "/project/my-spam/1.0/",
    "/builds/",
    f"/builds/{BUILT}/",
    f"/builds/{FAILED}/",
    "/spool/",
]
DESK: ViewportSize = {"width": 1280, "height": 900}
TELEPHONE: ViewportSize = {"width": 390, "height": 844}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    browser: Browser
    url: str


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("shop")
    dress(folder)
    with chromium() as browser, index_server(folder, "--no-mirror") as server:
        yield Shop(browser=browser, url=server.url)


def watched(page: Page) -> list[str]:
    """Collect what a page complains of."""
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("requestfailed", lambda request: said.append(request.url))
    return said


@pytest.mark.parametrize(("size", "colours"), [(DESK, "light"), (TELEPHONE, "dark")], ids=["desk", "telephone"])
@pytest.mark.parametrize("url", PAGES)
def test_page__by_day_and_by_night__fits_and_can_be_read_by_all(
    shop: Shop, url: str, size: ViewportSize, colours: Literal["light", "dark"]
) -> None:
    context = shop.browser.new_context(viewport=size, color_scheme=colours)
    page = context.new_page()
    said = watched(page)
    page.goto(shop.url + url)

    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    assert not said
    page.evaluate("document.querySelectorAll('details').forEach(it => { it.open = true; })")
    # axe is brought in by the debugger, which the page's policy does not bind.
    found = Axe().run(page).response["violations"]
    assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found] == []
    context.close()


def test_search__without_javascript__finds(shop: Shop) -> None:
    context = shop.browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(shop.url + "/")

    page.get_by_label("Search projects").fill("SPAM")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="my-spam").click()

    assert page.get_by_role("heading", level=1).inner_text() == "my-spam 2.0"
    assert page.get_by_text(f"--index-url {shop.url}/simple/ my-spam").is_visible()
    assert page.get_by_role("button", name="Copy").count() == 0
    context.close()


def test_copy__takes_the_line(shop: Shop) -> None:
    context = shop.browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto(shop.url + "/project/my-spam/")

    page.get_by_role("button", name="Copy the lines for uv").click()

    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == f"uv pip install --default-index {shop.url}/simple/ my-spam"
    context.close()


def test_keyboard__focus_is_seen_and_the_first_stop_skips_the_menu(shop: Shop) -> None:
    page = shop.browser.new_page()
    page.goto(shop.url + "/project/my-spam/")
    stops = []
    for _ in range(12):
        page.keyboard.press("Tab")
        stops.append(
            page.evaluate(
                "(() => { const it = document.activeElement, seen = getComputedStyle(it);"
                " const { left } = it.getBoundingClientRect();"
                " return [it.textContent.trim(), seen.outlineStyle, parseFloat(seen.outlineWidth), left >= 0]; })()"
            )
        )

    assert stops[0][0] == "Skip to the content"
    assert all(style == "solid" and width >= 2 and inside for _, style, width, inside in stops)

    page.goto(shop.url + "/project/my-spam/")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.close()


def test_grid__a_cell__leads_to_its_file(shop: Shop) -> None:
    page = shop.browser.new_page()
    page.goto(shop.url + "/project/my-spam/")
    page.get_by_role("link", name="musl 1.2+").click()
    assert page.locator("tr:target").inner_text().startswith("my_spam-2.0-cp313-cp313-musllinux_1_2_aarch64.whl")
    page.close()
