"""Ask axe-core, https://github.com/dequelabs/axe-core, what people with disabilities cannot use on a page."""

from __future__ import annotations

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

IMPACTS = {"serious", "critical"}

_AXE = Axe()

# Colours of a transition are those of no state. No content security policy forbids a style sheet that a script constructs.
_STILL = """() => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync("*, *::before, *::after { transition: none !important; animation: none !important; }");
    document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
}"""


def hold_still(page: Page) -> None:
    """End all transitions and animations of the page."""
    page.evaluate(_STILL)


def complaints(page: Page, *rules: str) -> list[str]:
    """Return the serious and critical violations that the page has now, of all rules or of `rules`."""
    options: dict[str, Any] = {"resultTypes": ["violations"]}
    if rules:
        options["runOnly"] = {"type": "rule", "values": list(rules)}
    found = _AXE.run(page, options=options).response["violations"]
    return [
        f"{rule['id']}: {node['target'][0]} {node['html'][:160]} {node['failureSummary'].partition(chr(10))[2].strip()}"
        for rule in found
        if rule["impact"] in IMPACTS
        for node in rule["nodes"]
    ]
