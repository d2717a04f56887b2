"""Which host name and origin passkeys are bound to."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.requests import Request

from fastopp.features.passkeys.relying_party import PasskeysNeedName, relying_party
from fastopp.settings import load_settings

PRODUCTION = {"ENVIRONMENT": "production", "SECRET_KEY": "a-key-of-these-tests-of-forty-characters"}


def found(host: str, **environ: str) -> Any:
    scope = {"type": "http", "scheme": "http", "path": "/", "query_string": b"", "headers": [(b"host", host.encode())]}
    return tuple(relying_party(Request(scope), load_settings(environ)))


def test_the_url_of_the_site_and_never_the_requests_host() -> None:
    for url, origin in (
        ("https://shop.example.com", "https://shop.example.com"),
        ("https://Shop.example.com:443/", "https://shop.example.com"),
        ("https://shop.example.com:8443/x", "https://shop.example.com:8443"),
    ):
        assert found("evil.test", SITE_URL=url, **PRODUCTION) == ("shop.example.com", origin)
        assert found("localhost", SITE_URL=url, **PRODUCTION) == ("shop.example.com", origin)


def test_localhost_in_development() -> None:
    assert found("localhost:8000") == ("localhost", "http://localhost:8000")
    assert found("shop.localhost:8000") == ("shop.localhost", "http://shop.localhost:8000")
    assert found("127.0.0.1:8000", SITE_URL="https://a.test") == ("a.test", "https://a.test")


@pytest.mark.parametrize(
    ("host", "environ"),
    [
        ("127.0.0.1:8000", {}),
        ("evil.test", {}),
        ("localhost", PRODUCTION),
        ("localhost", PRODUCTION | {"SITE_URL": "https://192.0.2.1"}),
        ("localhost", PRODUCTION | {"SITE_URL": "https://[2001:db8::1]"}),
    ],
)
def test_no_name(host: str, environ: dict[str, str]) -> None:
    with pytest.raises(PasskeysNeedName):
        found(host, **environ)
