"""Log lines are for people in development, and JSON with the request's id in production."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from fastopp import logs
from fastopp.database.errors import DatabaseUnavailable
from fastopp.settings import Settings, load_settings

LINK = "074c83bd466f421eb6fb6baf5b6e996f"
PRODUCTION = {"ENVIRONMENT": "production", "SECRET_KEY": "k" * 16 + "0123456789abcdefXYZ"}


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    """Begin with logging as in a new process, whatever a test has started here; put it back in the end."""
    names = ("", *logs.SERVER_LOGGERS, "sqlalchemy.engine", logs.REQUESTS)
    loggers = [logging.getLogger(name) for name in names]
    before = [(each, each.handlers[:], each.level, each.propagate, each.filters[:]) for each in loggers]
    for each in loggers[1:]:
        each.handlers[:], each.propagate, each.filters[:] = [], True, []
        each.setLevel(logging.NOTSET)
    yield
    for each, handlers, level, propagate, filters in before:
        each.handlers[:], each.propagate, each.filters[:] = handlers, propagate, filters
        each.setLevel(level)


def configure(**environ: str) -> Settings:
    settings = load_settings(environ)
    logging.getLogger().handlers.clear()  # the test runner's own
    logs.configure(settings)
    return settings


def test_development_is_for_people(capsys):
    configure()
    logging.getLogger("shop").warning("low on %s", "tea")
    assert capsys.readouterr().err == "WARNING  shop: low on tea\n"


def test_production_is_json(capsys):
    configure(**PRODUCTION)
    token = logs.request_id.set("abc123")
    try:
        1 / 0  # noqa: B018 - for its traceback
    except ZeroDivisionError:
        logging.getLogger("shop").exception("no tea", extra={"cups": 3})
    finally:
        logs.request_id.reset(token)
    line = json.loads(capsys.readouterr().err)
    assert (line["level"], line["logger"], line["message"]) == ("ERROR", "shop", "no tea")
    assert (line["request_id"], line["cups"]) == ("abc123", 3)
    assert "ZeroDivisionError" in line["exc_info"]
    assert line["timestamp"]


@pytest.mark.parametrize(("environ", "is_json"), [
    ({}, False), (PRODUCTION, True), ({"LOG_FORMAT": "JSON"}, True), (PRODUCTION | {"LOG_FORMAT": "text"}, False),
])  # fmt: skip
def test_the_format_is_a_setting(capsys, environ, is_json):
    configure(**environ)
    logging.getLogger("shop").warning("x")
    assert capsys.readouterr().err.startswith("{") == is_json


def test_a_server_that_logs_no_requests_logs_slow_ones(capsys):
    access, requests = logging.getLogger(logs.ACCESS), logging.getLogger(logs.REQUESTS)
    access.handlers, access.propagate = [], False  # what uvicorn's --no-access-log does
    configure(**PRODUCTION)
    requests.info("fast")
    requests.warning("slow", extra={"request_id": "abc"})
    (line,) = map(json.loads, capsys.readouterr().err.splitlines())
    assert (line["message"], line["request_id"]) == ("slow", "abc")


def test_in_production_our_line_takes_the_place_of_the_servers(capsys):
    access = logging.getLogger(logs.ACCESS)
    access.addHandler(logging.StreamHandler())
    configure(**PRODUCTION)
    assert not access.hasHandlers()  # then uvicorn does not even make a line
    logging.getLogger(logs.REQUESTS).info("GET /")
    assert json.loads(capsys.readouterr().err)["message"] == "GET /"


def test_an_outage_is_one_line(capsys):
    configure()
    for error, name in (
        (DatabaseUnavailable(target="postgresql://host/shop"), "shop"),
        (ConnectionResetError("reset by peer\nand more"), "fastopp.database.pool.BoundedPool"),
    ):
        try:
            try:
                raise error
            except (OSError, DatabaseUnavailable) as cause:
                raise RuntimeError("The worker cannot go on.") from cause
        except RuntimeError:
            logging.getLogger(name).exception("It broke off")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all("It broke off: RuntimeError: The worker cannot go on." in line for line in lines)


@pytest.mark.parametrize(("level", "kept"), [("error", 0), ("warning", 1), ("info", 2), ("DEBUG", 3)])
def test_the_level_is_honoured(capsys, level, kept):
    configure(LOG_LEVEL=level)
    for method in ("debug", "info", "warning"):
        getattr(logging.getLogger("shop"), method)("x")
    assert len(capsys.readouterr().err.splitlines()) == kept


def test_debug_shows_sql(capsys):
    configure(DEBUG="true")
    logging.getLogger("sqlalchemy.engine.Engine").info("SELECT 1")
    assert "SELECT 1" in capsys.readouterr().err


def test_health_checks_are_no_news(capsys):
    configure(LOG_FORMAT="text", **PRODUCTION)
    access = logging.getLogger("uvicorn.access")
    access.setLevel(logging.INFO)
    for path in ("/kaithhealth", "/healthz", "/login"):
        access.info('%s - "%s %s HTTP/%s" %d', "127.0.0.1:0", "GET", path, "1.1", 200)
    (line,) = capsys.readouterr().err.splitlines()
    assert "/login" in line


@pytest.mark.parametrize(
    ("address", "logged"),
    [
        ("/reset-password?token=s3cret", "/reset-password?token=***"),
        ("/x?a=1&token=s3cret&b=2", "/x?a=1&token=***&b=2"),
        ("/x?csrf_token=s3cret", "/x?csrf_token=***"),
        ("/login/with/oidc/callback?code=s3cret&state=s3cret", "/login/with/oidc/callback?code=***&state=***"),
        ("/login?next=/account/address/confirm%3Ftoken%3Ds3cret", "/login?next=/account/address/confirm%3Ftoken%3D***"),
        ("/login?next=%2Fx%3Fa%3D1%26token%3ds3cret%26b%3D2", "/login?next=%2Fx%3Fa%3D1%26token%3d***%26b%3D2"),
        ("/login?next=/login%3Fnext%3D/x%253Ftoken%253Ds3cret", "/login?next=/login%3Fnext%3D/x%253Ftoken%253D***"),
        (f"/account/address/undo/{LINK}_{'s' * 43}", f"/account/address/undo/{LINK}_***"),
        (f"/login?next=/account/address/confirm/{LINK}_{'s' * 43}", f"/login?next=/account/address/confirm/{LINK}_***"),
        ("/token?q=token&zipcode=10115", "/token?q=token&zipcode=10115"),
    ],
)
def test_secrets_in_addresses_are_masked(caplog, address, logged):
    configure()
    server = logging.getLogger("uvicorn.access")
    with caplog.at_level(logging.INFO, "uvicorn.access"):
        server.addHandler(caplog.handler)
        server.info('%s - "%s %s HTTP/%s" %d', "203.0.113.9:1", "GET", address, "1.1", 200)
    assert caplog.messages[0] == f'203.0.113.9:1 - "GET {logged} HTTP/1.1" 200'
