"""Request bodies: refused before they are read, and cheap for everyone who may not send them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from functools import cache
from pathlib import Path

import httpx
import pytest
from fastapi.routing import iter_route_contexts
from starlette.routing import Mount

from fastopp.console.main_file import list_apps
from fastopp.core.apps import find_apps
from fastopp.core.assembly import assemble
from fastopp.database.migrations import migrate
from fastopp.settings import load_settings
from fastopp.web.middleware.body_limit import MAX_BODY, MAX_OPEN_FORM
from tests.gate import only_full
from tests.services.ops_project import BEARER, PRODUCTION, Project, running
from tests.services.site import ROOT, Site, copy_project, succeed

MB = 1_000_000
MOST = 4 * MB  # of growth, against the same route with an empty body
APPS = ("demo.pages", "demo.products", "demo.webinars", "demo.chat", "demo.design")
ENVIRON = PRODUCTION | {"EMERGENCY_ACCESS_ENABLED": "true"}
OPEN = {  # what everyone may send a body to
    "/login",
    "/logout",
    "/api/token",
    "/oppman/emergency/verify",
    "/oppman/emergency/logout",
    "/marketing-demo",
    "/design-demo/slogan",
    "/api/chat",  # without a model, whose answers are for staff
    "/api/chat/stream",
}


@cache
def every_route() -> list[tuple[str, str]]:
    """Method and path of every route of the project, with something in place of each parameter."""
    settings = load_settings(ENVIRON, env_file=Path("/nonexistent"))
    application, _ = assemble(settings, find_apps(list_apps(ROOT / "main.py")))
    application.openapi()
    found = set()
    for route in iter_route_contexts(application.routes):
        if isinstance(route.original_route, Mount):
            continue
        path = (route.path or "").replace("{key:path}", "a/b.jpg")
        for name, value in (("_id}", "1"), ("id}", "1"), ("}", "clean-up")):
            while name in path:
                head, _, tail = path.partition(name)
                path = head.rpartition("{")[0] + value + tail
        found |= {(method, path) for method in set(route.methods or ()) - {"HEAD"}}
    admin = ["/admin/", "/admin/login", "/admin/user/create", "/admin/user/edit/1", "/admin/user/delete"]
    return sorted(found | {("POST", path) for path in [*admin, "/nowhere", "/static/app.css"]})


@asynccontextmanager
async def site_in(folder: Path) -> AsyncIterator[Project]:
    """The demo in production, with its tables."""
    async with running(f"sqlite:///{folder}/test.db", folder, ENVIRON, APPS) as project:
        await migrate.upgrade(project.runtime.database)
        yield project


class Caller:
    """Sends a request to the application and counts how much of its body was read."""

    def __init__(self, project: Project, size: int, kind: str, headers: dict[str, str]) -> None:
        self.project, self.size, self.kind, self.headers, self.read = project, size, kind, headers, 0

    async def __call__(self, method: str, path: str) -> tuple[int, int]:
        async def pieces() -> AsyncIterator[bytes]:
            while self.read < self.size:
                self.read += 64 * 1024
                yield b"x" * 64 * 1024

        headers = self.headers | {"Content-Type": self.kind, "Content-Length": str(self.size)}
        async with self.project.client() as client:
            request = client.build_request(method, path, headers=headers, content=pieces())
            self.read = 0
            response = await client.send(request)
        return response.status_code, self.read


KINDS = ["application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b"]


@pytest.mark.parametrize("kind", KINDS)
async def test_who_may_not_call_is_refused_before_the_body_is_read(tmp_path: Path, kind: str) -> None:
    async with site_in(tmp_path) as project:
        for headers in ({}, {"Authorization": "Bearer x.y.z"}):
            call = Caller(project, 7 * MB, kind, headers)
            for method, path in every_route():
                if method in ("GET", "OPTIONS") or path in (*OPEN, "/admin/login"):
                    continue
                status, read = await call(method, path)
                # 303: the step after the password leads back to the sign-in page.
                assert status in (303, 400, 401, 403, 404, 405, 410, 413, 429), (method, path, status)
                assert read == 0, (method, path, status)


@pytest.mark.parametrize("kind", KINDS)
async def test_an_open_route_takes_little(tmp_path: Path, kind: str) -> None:
    async with site_in(tmp_path) as project:
        for path in sorted(OPEN):
            status, read = await Caller(project, 7 * MB, kind, {})("POST", path)
            assert read == 0
            assert status in (200, 302, 413, 422), (path, status)


async def test_a_route_that_needs_more_declares_it(tmp_path: Path) -> None:
    async with site_in(tmp_path) as project, project.client() as client:

        async def status(path: str, size: int, kind: str = "application/json") -> int:
            content = json.dumps({"a": "x" * size}).encode()
            return (await client.post(path, content=content, headers=BEARER | {"Content-Type": kind})).status_code

        assert await status("/async/no-such-task", MB) == 404
        assert await status("/async/no-such-task", 6 * MB) == 413
        assert await status("/admin/restore-database?confirm=RESTORE", 9 * MB, "application/octet-stream") == 400


HOSTILE = {
    "objects": ("application/json", b'{"a":[' + b"{}," * (2_500_000) + b"{}]}"),
    "nested": ("application/json", b"[" * 7_500_000),
    "escapes": ("application/x-www-form-urlencoded", b"word=" + b"%41" * 2_500_000),
    "fields": ("application/x-www-form-urlencoded", b"a=1&" * 1_900_000),
    "parts": (
        "multipart/form-data; boundary=b",
        b"".join(
            b'--b\r\nContent-Disposition: form-data; name="a%d"\r\n\r\n%s\r\n' % (n, b"x" * 7000) for n in range(999)
        )
        + b"--b--\r\n",
    ),
    "files": (
        "multipart/form-data; boundary=b",
        b"".join(
            b'--b\r\nContent-Disposition: form-data; name="a"; filename="f"\r\n\r\n%s\r\n' % (b"x" * 900_000)
            for _ in range(8)
        )
        + b"--b--\r\n",
    ),
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    project = copy_project(tmp_path_factory.mktemp("bodies") / "project")
    succeed(project, "oppman.py", "migrate", "upgrade", environ=ENVIRON)
    with Site(project, ENVIRON) as running_site:
        yield running_site


def peak(site: Site, method: str, path: str, content: bytes, kind: str) -> int:
    """The most memory of the server's process during a request, in bytes."""
    assert site.process
    process = Path(f"/proc/{site.process.pid}")
    (process / "clear_refs").write_text("5")  # forget the peak so far: proc(5)
    # The server may refuse it before the client has sent everything.
    with site.client() as client, suppress(httpx.TransportError):
        client.request(method, path, content=content, headers={"Content-Type": kind})
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) * 1024


def growth(site: Site, method: str, path: str, kind: str, content: bytes) -> int:
    """Return the memory that a body costs, against the same request without one, in bytes."""
    peak(site, method, path, b"", kind)  # what the route imports
    empty = peak(site, method, path, b"", kind)
    return peak(site, method, path, content, kind) - empty


def test_no_anonymous_body_costs_memory(site: Site) -> None:
    grown = {
        f"{method} {path}": cost
        for method, path in every_route()
        if method not in ("GET", "OPTIONS") and (cost := growth(site, method, path, *HOSTILE["objects"])) > MOST
    }
    assert grown == {}


@pytest.mark.parametrize("name", ["files", *only_full(*sorted(HOSTILE.keys() - {"files"}))])
def test_no_body_that_everyone_may_send_costs_memory(site: Site, name: str) -> None:
    kind, content = HOSTILE[name]
    for path in [*sorted(OPEN), "/admin/login"]:
        assert growth(site, "POST", path, kind, content) <= MOST, path
        for most in (MAX_OPEN_FORM, MAX_BODY):
            assert growth(site, "POST", path, kind, content[:most]) <= MOST, path
