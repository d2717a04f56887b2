"""What is left in memory after 60,000 mixed requests of four clients: pages, the API, photos, sign-ins, uploads."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator

import httpx

from benchmarks.project import BACKENDS, project
from benchmarks.server import ROOT, Server, compile_byte_code, serve
from fastopp.features.setup.seeding import DEVELOPMENT_PASSWORD

EMAIL = "admin@example.com"
PHOTOS = sorted((ROOT / "demo/webinars/sample_photos").glob("*.jpg"))
CLIENTS = 4
REQUESTS = int(os.environ.get("SOAK_REQUESTS", "60000"))
STEPS = 6  # rows of the table
AIM = 170_000_000  # bytes: an instance of 192 MB survives its own users

LIMITS = httpx.Limits(keepalive_expiry=2)  # seconds: uvicorn closes an idle connection after five

Send = Callable[[], Awaitable[httpx.Response]]


async def run() -> None:
    """Print the table. Raises SystemExit when an answer is an error of the server."""
    compile_byte_code()
    print(f"Resident memory under {CLIENTS} clients that mix pages, API, photos, sign-ins and uploads.\n")
    print(f"{'':12}{'requests':>10}{'resident':>12}{'5xx':>6}{'aim':>14}")
    for backend in BACKENDS:
        async with project(backend) as environ, serve("main:app", environ) as server:
            await server.first_answer("/")
            await _soak(backend, server)


async def _soak(backend: str, server: Server) -> None:
    _print(backend, 0, server, Counter())
    numbers, statuses = itertools.count(1), Counter[int]()
    for step in range(1, STEPS + 1):
        last = REQUESTS * step // STEPS
        await asyncio.gather(*(_client(server, numbers, last, statuses) for _ in range(CLIENTS)))
        _print(backend, last, server, statuses)
    failed = sum(count for status, count in statuses.items() if status >= 500)
    if failed or server.resident_bytes() > AIM:
        raise SystemExit(f"{failed} answers were 5xx; {server.resident_bytes() / 1e6:.0f} MB are resident.")


async def _client(server: Server, numbers: Iterator[int], last: int, statuses: Counter[int]) -> None:
    chance = random.Random(last)
    async with httpx.AsyncClient(base_url=server.url, timeout=120, limits=LIMITS) as client:
        kinds, weights = await _kinds(client, chance)
        while next(numbers) <= last:
            (send,) = chance.choices(kinds, weights)
            statuses[(await send()).status_code] += 1


async def _kinds(client: httpx.AsyncClient, chance: random.Random) -> tuple[list[Send], list[int]]:
    """The requests, and of a hundred how many are of each kind."""
    signed_in = await client.post("/api/token", data={"username": EMAIL, "password": DEVELOPMENT_PASSWORD})
    staff = {"Authorization": f"Bearer {signed_in.json()['access_token']}"}
    people = (await client.get("/api/registrants", headers=staff)).json()["registrants"]
    pages = ("/", "/database-demo", "/webinar-demo", "/design-demo", "/ai-demo", "/login", "/no-such-page")
    interfaces = ("/api/products", "/api/webinar-attendees", "/health")
    shown = [person["photo_url"] for person in people if person["photo_url"]]

    async def sign_in() -> httpx.Response:
        client.cookies.clear()  # a stranger each time
        return await client.post("/login", data={"username": EMAIL, "password": DEVELOPMENT_PASSWORD})

    async def upload() -> httpx.Response:
        person, photo = chance.choice(people), chance.choice(PHOTOS)
        files = {"photo": (photo.name, photo.read_bytes(), "image/jpeg")}
        return await client.post(f"/upload-photo/{person['id']}", headers=staff, files=files)

    kinds: list[tuple[int, Send]] = [
        (35, lambda: client.get(chance.choice(pages), headers={"Accept": "text/html"})),
        (5, lambda: client.get("/webinar-registrants", headers=staff)),
        (25, lambda: client.get(chance.choice(interfaces))),
        (25, lambda: client.get(chance.choice(shown))),
        (5, sign_in),
        (5, upload),
    ]
    return [send for _, send in kinds], [weight for weight, _ in kinds]


def _print(backend: str, requests: int, server: Server, statuses: Counter[int]) -> None:
    failed = sum(count for status, count in statuses.items() if status >= 500)
    resident = server.resident_bytes() / 1e6
    print(f"{backend:12}{requests:10,}{resident:9.0f} MB{failed:6}{f'≤ {AIM / 1e6:.0f} MB':>14}", flush=True)
