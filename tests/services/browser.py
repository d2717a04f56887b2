"""Find this machine's Chromium, which the browser tests and `script/screenshots` drive."""

from __future__ import annotations

import shutil
import sys

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
"""What Debian, Ubuntu and Google call the program; a page costs the shell, which has no window, a third of the time."""

ARGUMENTS = [
    "--no-sandbox",  # tests run as root
    "--disable-gpu",
    "--in-process-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--renderer-process-limit=1",
]
"""Start no process for graphics, one for the pages of all windows, and ask no server of Google's."""

MISSING = "Chromium is not installed (on Debian: apt-get install chromium-headless-shell)."


def find_chromium() -> str | None:
    """Return the path of the first Chromium on `PATH`, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


if __name__ == "__main__":
    if find_chromium() is None:
        print(MISSING, "The browser tests are skipped.", file=sys.stderr)  # noqa: T201 - for script/test
