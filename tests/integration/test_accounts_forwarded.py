"""The lock behind a platform's proxy: a client's own words about where it is do not escape it."""

from __future__ import annotations

import pytest
from sqlmodel import col, delete

from fastopp.database.migrations import migrate
from fastopp.features.accounts.models import FailedAttempt
from tests.gate import only_full
from tests.services.databases import url_on
from tests.services.ops_project import PRODUCTION, running

url = url_on("sqlite", *only_full("psycopg"))


@pytest.mark.parametrize("ipv6", [False, True])
async def test_made_up_addresses_are_locked_all_the_same(url, tmp_path, ipv6):
    behind_proxy = PRODUCTION | {"FASTOPP_PLATFORM": "leapcell-persistent"}
    separator = "&" if "?" in url else "?"
    url = f"{url}{separator}sslmode=disable" if url.startswith("postgresql") else url
    async with running(url, tmp_path, behind_proxy) as project, project.client() as client:
        await migrate.upgrade(project.runtime.database)

        async def guess(number: int) -> int:
            # What the client writes, then the line of the proxy.
            real = f"2001:db8:1:2::{number:x}" if ipv6 else "198.51.100.7"
            lines = [("X-Forwarded-For", f"203.0.113.{number}"), ("X-Forwarded-For", real)]
            data = {"username": f"nobody{number}@example.com", "password": "wrong1"}
            client.cookies.clear()  # with the form token of the page that said no
            return (await client.post("/login", data=data, headers=lines)).status_code

        answers = [await guess(number) for number in range(26)]
        assert answers == [401] * 20 + [429] * 6
        async with project.runtime.database.transaction() as session:
            counted = await session.exec(
                delete(FailedAttempt).where(col(FailedAttempt.subject).startswith("address:203"))
            )
        assert counted.rowcount == 0
