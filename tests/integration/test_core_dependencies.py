"""The session of a request: autocommit for a GET, one transaction that ends before the answer for anything else."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, MutableMapping
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI, HTTPException
from fastapi.exceptions import FastAPIError
from fastapi.responses import StreamingResponse
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.core.dependencies import SessionDep, get_session
from fastopp.core.runtime import Runtime, open_runtime
from fastopp.settings import load_settings


class Site:
    """An application with notes, which looks at the database from outside when an answer begins."""

    def __init__(self, runtime: Runtime) -> None:
        self.application = FastAPI()
        self.application.state.runtime = runtime
        self.pool: Any = runtime.database.engine.pool
        self.file = runtime.database.url.database
        self.kept_at_start: list[str] = []
        self.in_use_at_start = -1

    def notes(self) -> list[str]:
        connection = sqlite3.connect(str(self.file))
        try:
            return [note for (note,) in connection.execute("SELECT note FROM notes")]
        finally:
            connection.close()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def look(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                self.kept_at_start, self.in_use_at_start = self.notes(), self.pool.checkedout()
            await send(message)

        await self.application(scope, receive, look)

    async def request(self, method: str) -> httpx.Response:
        transport = httpx.ASGITransport(self, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.request(method, "/")


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    environ = {"DATABASE_URL": f"sqlite:///{tmp_path}/t.db", "UPLOAD_DIR": f"{tmp_path}/up"}
    async with open_runtime(load_settings(environ)) as runtime:
        async with runtime.database.transaction() as session:
            await write(session, None)
        yield Site(runtime)


async def write(session: AsyncSession, note: str | None) -> None:
    connection = await session.connection()
    if note is None:
        await connection.execute(text("CREATE TABLE notes (note TEXT PRIMARY KEY)"))
    else:
        await connection.execute(text("INSERT INTO notes VALUES (:note)"), {"note": note})


async def same_session(session: SessionDep) -> AsyncSession:
    return session


async def label(session: SessionDep) -> AsyncIterator[str]:
    """A dependency that still uses the session when the handler has returned."""
    yield "a"
    await write(session, "later")


async def test_a_change_is_committed_before_the_answer(site: Site) -> None:
    @site.application.post("/")
    async def add(session: SessionDep) -> None:
        await write(session, "a")
        assert site.notes() == []

    assert (await site.request("POST")).status_code == 200
    assert (site.kept_at_start, site.in_use_at_start) == (["a"], 0)


@pytest.mark.parametrize("error", [HTTPException(409), RuntimeError("a bug")])
async def test_an_error_rolls_back(site: Site, error: Exception) -> None:
    @site.application.post("/")
    async def add(session: SessionDep) -> None:
        await write(session, "a")
        raise error

    assert (await site.request("POST")).status_code in (409, 500)
    assert (site.notes(), site.pool.checkedout()) == ([], 0)


async def test_a_commit_that_fails_is_no_success(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(session: AsyncSession) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(AsyncSession, "commit", fail)

    @site.application.post("/")
    async def add(session: SessionDep) -> None:
        await write(session, "a")

    assert (await site.request("POST")).status_code == 500
    assert (site.notes(), site.pool.checkedout()) == ([], 0)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_long_answer_holds_no_connection(site: Site, method: str) -> None:
    in_use = []

    async def pieces() -> AsyncIterator[str]:
        in_use.append(site.pool.checkedout())
        yield "all"

    @site.application.api_route("/", methods=[method])
    async def stream(session: SessionDep) -> StreamingResponse:
        await (await session.connection()).execute(text("SELECT note FROM notes"))
        in_use.append(site.pool.checkedout())
        return StreamingResponse(pieces())

    assert (await site.request(method)).text == "all"
    assert in_use == [1, 0]


async def test_a_get_reads_in_autocommit(site: Site) -> None:
    @site.application.get("/")
    async def read(session: SessionDep) -> None:
        await write(session, "a")
        assert site.notes() == ["a"]

    assert (await site.request("GET")).status_code == 200


async def test_all_dependencies_of_a_request_share_the_session(site: Site) -> None:
    @site.application.get("/")
    async def read(session: SessionDep, same: Annotated[AsyncSession, Depends(same_session)]) -> bool:
        return session is same

    assert (await site.request("GET")).json() is True


async def test_a_request_that_is_cancelled_leaves_nothing_behind(site: Site) -> None:
    written = asyncio.Event()

    @site.application.post("/")
    async def add(session: SessionDep) -> None:
        await write(session, "a")
        written.set()
        await asyncio.Event().wait()

    request = asyncio.create_task(site.request("POST"))
    await written.wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert (site.notes(), site.pool.checkedout()) == ([], 0)


async def test_a_dependency_that_outlives_the_session_cannot_have_it(site: Site) -> None:
    async def read(name: Annotated[str, Depends(label)]) -> None: ...

    with pytest.raises(FastAPIError, match="cannot depend on dependencies with scope"):
        site.application.get("/")(read)

    @site.application.post("/")
    async def add(name: Annotated[str, Depends(label, scope="function")]) -> str:
        return name

    assert (await site.request("POST")).json() == "a"
    assert site.kept_at_start == ["later"]


async def test_a_test_may_bring_another_session(site: Site) -> None:
    async def other() -> AsyncIterator[str]:
        yield "another"

    site.application.dependency_overrides[get_session] = other

    @site.application.post("/")
    async def add(session: SessionDep) -> Any:
        return session

    assert (await site.request("POST")).json() == "another"
