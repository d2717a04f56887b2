"""A whole project for the tests of operations: settings, a running application, and clients that are signed in."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from sqlmodel import select

from fastopp.clock import SYSTEM_CLOCK, Clock
from fastopp.core.application import FastOpp
from fastopp.core.runtime import Runtime
from fastopp.features.setup.seeding import run_full_init
from fastopp.settings import load_settings

ADMIN = ("admin@example.com", "admin123")
OPS_TOKEN = "operations-token-of-the-tests"
BEARER = {"Authorization": f"Bearer {OPS_TOKEN}"}
BROWSER = {"Accept": "text/html,*/*;q=0.8"}
HTMX = {"HX-Request": "true"}
PRODUCTION = {"ENVIRONMENT": "production", "SECRET_KEY": "6c0f6e1b9a4d4c7e8f2a1b3c5d7e9f00"}
QUIET = {"MONITOR": "false"}
"""For tests that count statements and connections: figures are written at moments of their own."""
LOOPBACK, ELSEWHERE = "127.0.0.1", "203.0.113.9"


@dataclass
class Project:
    """A running application."""

    asgi: FastOpp
    app: FastAPI

    @property
    def runtime(self) -> Runtime:
        runtime: Runtime = self.app.state.runtime
        return runtime

    def client(self, address: str = ELSEWHERE, **options: Any) -> httpx.AsyncClient:
        """A caller from an address; not this machine's, unless the test says so."""
        transport = httpx.ASGITransport(app=self.asgi, client=(address, 1234))
        host = "localhost:8000" if address == LOOPBACK else "site.test"
        return httpx.AsyncClient(transport=transport, base_url=f"http://{host}", **options)

    @asynccontextmanager
    async def signed_in(self, email: str = ADMIN[0], password: str = ADMIN[1]) -> AsyncIterator[httpx.AsyncClient]:
        """A browser with the cookies and the form token of an account."""
        async with self.client() as client:
            answer = await client.post("/login", data={"username": email, "password": password})
            assert answer.status_code == 302, answer.text
            await use_form_token(client, "/a page that is not there")  # which costs least
            yield client

    async def all(self, model: type[Any]) -> Sequence[Any]:
        """Every row of a table."""
        async with self.runtime.database.read() as session:
            return (await session.exec(select(model))).all()


async def use_form_token(client: httpx.AsyncClient, page: str) -> None:
    """Send the page's form token with every further request, as its script does."""
    answer = await client.get(page, headers=BROWSER)
    found = re.search(r'name="csrf[-_]token" (?:content|value)="([^"]+)"', answer.text)
    assert found, answer.text
    client.headers["X-CSRF-Token"] = found[1]


def settings_of(url: str, folder: Path, environ: Mapping[str, str] | None = None) -> Any:
    """The settings of a project with this database and nothing else of this machine's environment."""
    own = {"DATABASE_URL": url, "UPLOAD_DIR": str(folder / "uploads"), "OPS_TOKEN": OPS_TOKEN}
    own["ALLOWED_HOSTS"] = "site.test, localhost, 127.0.0.1"
    return load_settings(own | dict(environ or {}), env_file=folder / "no.env")


async def initialised(url: str, folder: Path) -> None:
    """Fill a template with the framework's tables and the demo's accounts."""
    async with running(url, folder, apps=["demo.users"]) as project:
        report = await run_full_init(project.runtime)
        assert report.success, report


@asynccontextmanager
async def running(
    url: str,
    folder: Path,
    environ: Mapping[str, str] | None = None,
    apps: Sequence[str] = (),
    *,
    clock: Clock = SYSTEM_CLOCK,
) -> AsyncIterator[Project]:
    """Start the application, and stop it in the end."""
    asgi = FastOpp(apps, settings=settings_of(url, folder, environ), clock=clock)
    async with asgi.running() as app:
        yield Project(asgi, app)
