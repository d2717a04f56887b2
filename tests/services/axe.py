"""Ask axe-core, https://github.com/dequelabs/axe-core, what people with disabilities cannot use on a page."""

from __future__ import annotations

from typing import Any

from axe_playwright_python import async_playwright, sync_playwright
from axe_playwright_python.base import AxeResults
from playwright.async_api import Page as AsyncPage
from playwright.sync_api import Page

IMPACTS = {"serious", "critical"}

# Colours of a transition are those of no state. No policy forbids a style sheet that a script constructs.
_STILL = """() => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync("*, *::before, *::after { transition: none !important; animation: none !important; }");
    document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
}"""


def hold_still(page: Page) -> None:
    """End all transitions and animations of the page."""
    page.evaluate(_STILL)


async def hold_still_async(page: AsyncPage) -> None:
    """End all transitions and animations of the page."""
    await page.evaluate(_STILL)


def complaints(page: Page, *rules: str) -> list[str]:
    """Return the serious and critical violations that the page has now, of all rules or of `rules`."""
    return _serious(sync_playwright.Axe().run(page, options=_options(rules)))


async def complaints_async(page: AsyncPage, *rules: str) -> list[str]:
    """Return the same for a page of Playwright's asynchronous API."""
    return _serious(await async_playwright.Axe().run(page, options=_options(rules)))


def _options(rules: tuple[str, ...]) -> dict[str, Any]:
    only = {"runOnly": {"type": "rule", "values": list(rules)}} if rules else {}
    return {"resultTypes": ["violations"], **only}


def _serious(results: AxeResults) -> list[str]:
    return [
        f"{rule['id']}: {node['target'][0]} {node['html'][:160]} {node['failureSummary'].partition(chr(10))[2].strip()}"
        for rule in results.response["violations"]
        if rule["impact"] in IMPACTS
        for node in rule["nodes"]
    ]
