"""A developer's own machine, recognised by address, name and the absence of proxies."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from fastopp.settings import load_settings
from fastopp.web.own_machine import is_local_development


def request(client: str = "127.0.0.1", host: str = "localhost:8000", **headers: str) -> Request:
    fields = {"host": host} | {name.replace("_", "-"): value for name, value in headers.items()}
    return Request(
        {
            "type": "http",
            "method": "GET",
            "scheme": "http",
            "path": "/",
            "query_string": b"",
            "server": ("127.0.0.1", 8000),
            "client": (client, 50000),
            "headers": [(name.encode(), value.encode()) for name, value in fields.items()],
        }
    )


@pytest.fixture(scope="module")
def settings():
    return load_settings({}, env_file=None)


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1:8000", "[::1]:8000"])
def test_a_developer_asks_from_this_machine_by_its_name(settings, host):
    assert is_local_development(request(host=host, user_agent="curl", accept="*/*", x_requested_with="htmx"), settings)


@pytest.mark.parametrize(
    ("client", "host"),
    [("10.0.0.7", "localhost"), ("127.0.0.1", "evil.example"), ("127.0.0.1", "localhost.evil.example"), ("", "")],
)
def test_others_are_not(settings, client, host):
    assert not is_local_development(request(client, host), settings)


@pytest.mark.parametrize(
    "header",
    [
        "forwarded",
        "via",
        "x_forwarded_for",
        "x_forwarded_host",
        "x_forwarded_proto",
        "x_forwarded_port",
        "x_real_ip",
        "x_client_ip",
        "x_cluster_client_ip",
        "x_original_host",
        "cf_connecting_ip",
        "cf_ray",
        "true_client_ip",
        "tailscale_user_login",
    ],
)
def test_a_proxy_or_tunnel_is_none(settings, header):
    assert not is_local_development(request(**{header: "127.0.0.1"}), settings)


def test_production_is_none():
    settings = load_settings(
        {"ENVIRONMENT": "production", "SECRET_KEY": "0123456789abcdefghijklmnopqrstuvwxyz"}, env_file=None
    )
    assert not is_local_development(request(), settings)
