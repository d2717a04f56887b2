"""Which caller's address is believed, and what failures from it are counted for."""

from __future__ import annotations

import pytest

from fastopp.features.accounts.lockout import address_subject
from fastopp.web.middleware.forwarded import ForwardedMiddleware, network_of

FORGED, REAL, INNER = "6.6.6.6", "198.51.100.7", "10.0.0.2"


async def address_seen(header: str | None, lines: list[tuple[str, str]], proxies: int = 1) -> str:
    seen = []

    async def inner(scope, receive, send) -> None:
        seen.append(scope["client"][0])

    middleware = ForwardedMiddleware(inner, address_header=header, proxies=proxies)
    raw = [(name.encode(), value.encode()) for name, value in lines]
    await middleware({"type": "http", "client": ("127.0.0.1", 5), "headers": raw}, None, None)
    return seen[0]


@pytest.mark.parametrize(
    ("trusted", "sent", "seen"),
    [
        (None, {"x-forwarded-for": FORGED}, "127.0.0.1"),
        ("x-forwarded-for", {"x-forwarded-for": f"{FORGED}, {REAL}"}, REAL),
        ("fly-client-ip", {"x-forwarded-for": FORGED, "fly-client-ip": "2001:db8::1"}, "2001:db8::1"),
        ("fly-client-ip", {"x-forwarded-for": FORGED}, "127.0.0.1"),
        ("fly-client-ip", {"fly-client-ip": "x" * 500}, "x" * 45),
    ],
)
async def test_the_callers_address_comes_from_the_platforms_own_proxy(trusted, sent, seen) -> None:
    assert await address_seen(trusted, list(sent.items())) == seen


@pytest.mark.parametrize(
    ("lines", "proxies", "seen"),
    [
        ([FORGED, REAL], 1, REAL),
        ([f"{FORGED}, {FORGED}", REAL], 1, REAL),
        ([FORGED, f"{FORGED},{REAL}"], 1, REAL),
        ([FORGED, REAL, INNER], 2, REAL),
        ([f"{FORGED}, {REAL}, {INNER}"], 2, REAL),
        ([REAL], 2, REAL),
        (["", REAL], 1, REAL),
        ([FORGED, f"{REAL}:4711"], 1, REAL),
        ([FORGED, "[2001:db8::1]:4711"], 1, "2001:db8::1"),
        ([FORGED, "2001:DB8:0::1"], 1, "2001:db8::1"),
    ],
)
async def test_all_lines_count_from_the_right(lines: list[str], proxies: int, seen: str) -> None:
    assert await address_seen("x-forwarded-for", [("x-forwarded-for", line) for line in lines], proxies) == seen


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:198.51.100.7", REAL),
        (REAL, REAL),
        ("::1", "::1"),
        ("unknown", "unknown"),
    ],
)
def test_ipv6_addresses_are_counted_by_their_network(address: str, network: str) -> None:
    assert network_of(address) == network
    assert address_subject(address).name == f"address:{network}"
