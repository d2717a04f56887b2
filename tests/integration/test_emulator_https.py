"""A project served by https at its own host name, and the addresses that an application sees."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.services.emulator import RunningEmulator, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

NAME = "plain-fastapi.leapcell.localhost"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningEmulator]:
    https = tmp_path_factory.mktemp("authority")
    variables = {"SITE_URL": "${PUBLIC_URL}", "ALLOWED_HOSTS": "${PUBLIC_HOST}"}
    async with running("plain_fastapi", https=https, variables=variables, instances=1) as emulator:
        yield emulator


async def ask(service: RunningEmulator, path: str, method: str = "GET", **options: Any) -> httpx.Response:
    """A request as a browser sends it, which knows that the name is this machine's."""
    url = httpx.URL(service.emulator.url)
    assert service.emulator.authority is not None
    trusting = ssl.create_default_context(cafile=str(service.emulator.authority))
    headers = {"Host": url.netloc.decode(), **options.pop("headers", {})}
    async with httpx.AsyncClient(verify=trusting) as client:
        return await client.request(
            method,
            url.copy_with(host="127.0.0.1", path=path),
            headers=headers,
            extensions={"sni_hostname": url.host},
            **options,
        )


async def test_an_application_sees_https_and_the_name(service: RunningEmulator) -> None:
    url = httpx.URL(service.emulator.url)
    assert (url.scheme, url.host) == ("https", NAME)
    seen = (await ask(service, "/headers")).json()["headers"]
    assert seen["x-forwarded-proto"] == "https"
    assert seen["host"] == seen["x-forwarded-host"] == url.netloc.decode()
    variables = (await ask(service, "/environment")).json()
    assert (variables["SITE_URL"], variables["ALLOWED_HOSTS"]) == (service.emulator.url, NAME)


async def test_what_runs_on_this_machine_needs_no_certificate(service: RunningEmulator) -> None:
    async with httpx.AsyncClient(base_url=service.emulator.local_url) as client:
        assert (await client.get("/headers")).json()["headers"]["x-forwarded-proto"] == "https"
    number = str((await ask(service, "/__emulator/state")).json()["requests"][-1]["number"])
    assert "was answered with 200" in await service.emulator.act("replay", number)


async def test_the_page_at_the_name(service: RunningEmulator) -> None:
    order = {"action": "wipe", "instance": "i1"}
    origin = {"X-Leapcell-Emulator": "1", "Origin": service.emulator.url}
    assert (await ask(service, "/__emulator")).status_code == 200
    assert (await ask(service, "/__emulator/act", "POST", json=order, headers=origin)).status_code == 200
    for other in (service.emulator.url.replace("https", "http"), "https://other.leapcell.localhost"):
        refused = await ask(service, "/__emulator/act", "POST", json=order, headers={**origin, "Origin": other})
        assert refused.status_code == 403
    foreign = await ask(service, "/__emulator", headers={"Host": "localhost.example.com"})
    assert foreign.status_code == 403


async def test_programs_get_the_authorities(service: RunningEmulator) -> None:
    trust = service.emulator.trust
    assert set(trust) == {"SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"}
    bundle = await asyncio.to_thread(Path(trust["SSL_CERT_FILE"]).read_bytes)
    assert service.emulator.authority is not None
    assert await asyncio.to_thread(service.emulator.authority.read_bytes) in bundle
    assert bundle.count(b"BEGIN CERTIFICATE") > 10
