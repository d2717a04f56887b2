"""Ask axe-core, https://github.com/dequelabs/axe-core, what people with disabilities cannot use on a page."""

from __future__ import annotations

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.async_api import Page as AsyncPage
from playwright.sync_api import Page

IMPACTS = {"serious", "critical"}

# Colours of a transition are those of no state. No policy forbids a style sheet that a script constructs.
_STILL = """() => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync("*, *::before, *::after { transition: none !important; animation: none !important; }");
    document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
}"""

SCRIPT = Axe().axe_script
_MISSING = "!('axe' in window)"
_RUN = """([inside, alike, options]) => {
    const known = new Set(), again = [];
    for (const element of alike ? document.querySelectorAll(alike) : [])
        if (known.has(element.className)) again.push(element);
        else known.add(element.className);
    const context = inside ? { include: [[inside]] } : { include: [document], exclude: again };
    return axe.run(context, options).then(results => results.violations);
}"""
_CONTRAST = "color-contrast"


def hold_still(page: Page) -> None:
    """End all transitions and animations of the page."""
    page.evaluate(_STILL)


async def hold_still_async(page: AsyncPage) -> None:
    """End all transitions and animations of the page."""
    await page.evaluate(_STILL)


def complaints(page: Page, *, colours: bool = False, inside: str | None = None, alike: str | None = None) -> list[str]:
    """Return the serious and critical violations that the page has now.

    colours: ask for the contrast of colours alone.
    inside: a selector of the part to look at.
    alike: a selector of elements that have the same colours where they have the same class; a contrast takes axe long.
    """
    if page.evaluate(_MISSING):  # half a megabyte: once for each page
        page.evaluate(SCRIPT)
    found = []
    if alike and not colours:
        others = {"resultTypes": ["violations"], "rules": {_CONTRAST: {"enabled": False}}}
        found = _serious(page.evaluate(_RUN, [inside, None, others]))
        colours = True
    return found + _serious(page.evaluate(_RUN, [inside, alike, _options(colours=colours)]))


async def complaints_async(page: AsyncPage) -> list[str]:
    """Return the same for a page of Playwright's asynchronous API."""
    if await page.evaluate(_MISSING):
        await page.evaluate(SCRIPT)
    return _serious(await page.evaluate(_RUN, [None, None, _options()]))


def _options(*, colours: bool = False) -> dict[str, Any]:
    only = {"runOnly": {"type": "rule", "values": [_CONTRAST]}} if colours else {}
    return {"resultTypes": ["violations"], **only}


def _serious(violations: list[dict[str, Any]]) -> list[str]:
    return [
        f"{rule['id']}: {node['target'][0]} {node['html'][:160]} {node['failureSummary'].partition(chr(10))[2].strip()}"
        for rule in violations
        if rule["impact"] in IMPACTS
        for node in rule["nodes"]
    ]
