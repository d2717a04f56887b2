"""Whether memory grows with each request: pages, the API, sign-ins, uploads. FastOpp 0.4.8 grew by 157 KB a request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import httpx

from benchmarks.project import BACKENDS, project
from benchmarks.server import ROOT, Server, compile_byte_code, serve
from fastopp.features.setup.seeding import DEVELOPMENT_PASSWORD

EMAIL = "admin@example.com"
PHOTO = min((ROOT / "demo/webinars/sample_photos").glob("*.jpg"))
WARM = 300  # requests that are not counted: caches, pools and the allocator fill

Send = Callable[[], Awaitable[httpx.Response]]


async def run() -> None:
    """Print the table."""
    compile_byte_code()
    print(f"Resident memory after {WARM} requests of a kind and after more. Peer: FastOpp 0.4.8, 157 KB a request.\n")
    print(f"{'':12}{'':20}{'requests':>9}{'before':>11}{'after':>11}{'each':>13}")
    for backend in BACKENDS:
        async with project(backend) as environ, serve("main:app", environ) as server:
            await server.first_answer("/")
            async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
                for name, requests, send in await _kinds(client):
                    before, after = await _resident(server, send, requests)
                    each = (after - before) / requests
                    print(f"{backend:12}{name:20}{requests:9,}{before / 2**20:8.1f}MiB{after / 2**20:8.1f}MiB"
                          f"{each:7.0f} bytes", flush=True)  # fmt: skip


async def _kinds(client: httpx.AsyncClient) -> list[tuple[str, int, Send]]:
    async def sign_in() -> httpx.Response:
        client.cookies.clear()  # a stranger each time
        return await client.post("/login", data={"username": EMAIL, "password": DEVELOPMENT_PASSWORD})

    answer = await client.post("/api/token", data={"username": EMAIL, "password": DEVELOPMENT_PASSWORD})
    operator = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    registrants = (await client.get("/api/registrants", headers=operator)).json()["registrants"]
    upload = f"/upload-photo/{registrants[0]['id']}"
    files = {"photo": ("photo.jpg", PHOTO.read_bytes(), "image/jpeg")}
    return [
        ("page, nobody", 3_000, partial(client.get, "/database-demo")),
        ("page, signed in", 2_000, partial(client.get, "/webinar-registrants", headers=operator)),
        ("API", 5_000, partial(client.get, "/api/products")),
        ("page not found", 2_000, partial(client.get, "/no-such-page", headers={"Accept": "text/html"})),
        ("sign-in", 300, sign_in),
        ("upload", 600, partial(client.post, upload, headers=operator, files=files)),
    ]


async def _resident(server: Server, send: Send, requests: int) -> tuple[int, int]:
    for _ in range(WARM):
        _check(await send())
    before = server.resident_bytes()
    for _ in range(requests):
        _check(await send())
    return before, server.resident_bytes()


def _check(answer: httpx.Response) -> None:
    expected = answer.url.path == "/no-such-page" and answer.status_code == 404
    if answer.status_code >= 400 and not expected:
        raise SystemExit(f"{answer.url.path} answered {answer.status_code}: {answer.text[:500]}")
