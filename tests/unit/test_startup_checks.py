"""The checks of a project's own code, beside tests/e2e/test_cli_mistakes.py."""

from __future__ import annotations

from pathlib import Path

from fastapi import Request

from fastopp.features.startup.checks.templates import GIVEN
from fastopp.settings.names import misspelled
from fastopp.web.templating import page_context
from tests.services.web_project import make_app


def test_the_names_that_every_page_has(tmp_path: Path) -> None:
    scope = {
        "type": "http",
        "app": make_app(tmp_path),
        "path": "/",
        "method": "GET",
        "headers": [],
        "query_string": b"",
    }
    assert page_context(Request(scope)).keys() | {"ui", "icon"} == GIVEN


def test_misspelled_names() -> None:
    wrong = {"DATBASE_URL": "DATABASE_URL", "S3_BUCKT": "S3_BUCKET", "LOGLEVEL": "LOG_LEVEL", "prot": "PORT"}
    assert misspelled(wrong) == {name: meant for name, meant in wrong.items() if name != "prot"}
    assert (
        misspelled(["DATABASE_URL", "database_url", "PATH", "HOME", "HOSTNAME", "PGHOST", "TERM", "SSH_AUTH_SOCK"])
        == {}
    )
