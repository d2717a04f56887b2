"""The names of browsers and programs."""

from __future__ import annotations

import pytest

from fastopp.features.account.programs import MAX_NAME, describe_program

CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0"
WEBKIT = "AppleWebKit/605.1.15 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("user_agent", "name", "system"),
    [
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Firefox/128.0", "Firefox", "Windows"),
        (f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {CHROME} Safari/537.36 Edg/126.0.0.0", "Edge", "Windows"),
        (f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {CHROME} Safari/537.36", "Chrome", "macOS"),
        (f"Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) {WEBKIT} Version/17.5 Safari/605.1.15", "Safari", "macOS"),
        (f"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) {WEBKIT} CriOS/126 Safari/604.1", "Chrome", "iPhone"),
        (f"Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) {WEBKIT} FxiOS/127.0 Safari/605.1.15", "Firefox", "iPad"),
        (
            "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 SamsungBrowser/25.0 Chrome/121.0 Safari/537.36",
            "Samsung Internet",
            "Android",
        ),
        (f"Mozilla/5.0 (X11; Linux x86_64) {CHROME} Safari/537.36 OPR/111.0.0.0", "Opera", "Linux"),
        (f"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {CHROME} Safari/537.36", "Chrome", "ChromeOS"),
        ("Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko", "Internet Explorer", "Windows"),
        ("Mozilla/5.0 (compatible)", None, None),
        ("curl/8.5.0", "curl", None),
        ("python-httpx/0.27.0", "python-httpx", None),
        ("x" * 300, "x" * MAX_NAME, None),
        ("<script>alert(1)</script>", None, None),
        ("", None, None),
        (None, None, None),
    ],
)
def test_names(user_agent: str | None, name: str | None, system: str | None) -> None:
    assert describe_program(user_agent) == (name, system)
