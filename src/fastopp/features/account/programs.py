"""The name of a browser or program for people, from its User-Agent header: "Firefox" on "Windows".

A list of the browsers that people use, and not a library: the kept one, ua-parser, takes 0.4 s of a processor for the
first name, which an instance that has just started does not have. The page shows the whole header beside it.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

MAX_NAME: Final = 40  # characters of the name that a program gives itself

# The first that is found: most browsers claim to be others too, and Chrome to be Safari.
BROWSERS: Final = (
    (("Edg/", "EdgA/", "EdgiOS/", "Edge/"), "Edge"),
    (("OPR/", "OPT/", "OPX/", "Opera"), "Opera"),
    (("SamsungBrowser/",), "Samsung Internet"),
    (("Vivaldi/",), "Vivaldi"),
    (("YaBrowser/",), "Yandex Browser"),
    (("DuckDuckGo/", "Ddg/"), "DuckDuckGo"),
    (("HuaweiBrowser/",), "Huawei Browser"),
    (("UCBrowser/",), "UC Browser"),
    (("FxiOS/", "Firefox/", "Focus/"), "Firefox"),
    (("CriOS/", "Chrome/", "HeadlessChrome/"), "Chrome"),
    (("Chromium/",), "Chromium"),
    (("Trident/", "MSIE "), "Internet Explorer"),
    (("Safari/",), "Safari"),
)
SYSTEMS: Final = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Macintosh", "macOS"),
    ("FreeBSD", "FreeBSD"),
    ("Linux", "Linux"),
    ("X11", "Linux"),
)

_OWN_NAME = re.compile(r"[A-Za-z][\w.+-]*")


class Program(NamedTuple):
    """A browser or program, and the system that it runs on; either may be unknown."""

    name: str | None = None
    system: str | None = None


def describe_program(user_agent: str | None) -> Program:
    """Return the names of a program and its system. A program of no known browser is named as it names itself."""
    text = user_agent or ""
    system = next((name for mark, name in SYSTEMS if mark in text), None)
    browser = next((name for marks, name in BROWSERS if any(mark in text for mark in marks)), None)
    if browser is None and not text.startswith("Mozilla/") and (own := _OWN_NAME.match(text)):
        browser = own[0][:MAX_NAME]
    return Program(browser, system)
