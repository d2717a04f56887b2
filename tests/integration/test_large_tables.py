"""No page reads a large table: asserted by the databases' plans of every statement that the pages execute."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import event

from fastopp.database.session import Database
from tests.gate import only_full
from tests.services.databases import url_on
from tests.services.demo import APPS, demo
from tests.services.large_walk import ADMIN, EVERYBODY, SUPERUSER
from tests.services.many_rows import LARGE, analyse, fill
from tests.services.ops_project import BROWSER, Project, running

ROWS = 20_000
MOST_READ = 10_001  # rows of one table that a statement may read: what counting stops at
STEPS = 800_000  # of SQLite's machine: /metrics ranks the durations of the newest tasks in 666,000
SORT = "USE TEMP B-TREE FOR ORDER BY"  # in SQLite's plans, of all that is found; ties alone are a "LAST TERM OF" it

# Answers that follow a link take a row's name from the page before.
NEXT = re.compile(r'href="([^"]*[?&;]after=[^"]*)"')


async def large_demo(url: str, folder: Path) -> None:
    """Fill a template with the demo, and many rows in each table."""
    async with demo(url, folder) as project:
        async with project.runtime.database.engine.begin() as connection:
            await connection.run_sync(fill, ROWS)
        async with project.runtime.database.engine.begin() as connection:
            await connection.run_sync(analyse)


url = url_on(*only_full("sqlite"), "psycopg", fill=large_demo)


@pytest.fixture
async def project(url: str, tmp_path: Path) -> AsyncIterator[Project]:
    async with running(url, tmp_path, {"SIGN_UP": "open"}, apps=APPS) as site:
        yield site


@contextmanager
def statements(database: Database) -> Iterator[dict[str, tuple[Any, str]]]:
    """Collect each SELECT with its parameters, and the address that it was for."""
    found: dict[str, tuple[Any, str]] = {}

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.lstrip("( ").upper().startswith(("SELECT", "WITH")) and "pg_catalog" not in statement:
            found.setdefault(statement, (parameters, statements.address))  # type: ignore[attr-defined]

    event.listen(database.engine.sync_engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(database.engine.sync_engine, "before_cursor_execute", note)


async def walk(client: httpx.AsyncClient, *addresses: str, follow: bool = False) -> None:
    """Ask for each address as a browser does, and for the page after the last of a long list."""
    for address in addresses:
        statements.address = address  # type: ignore[attr-defined]
        answer = await client.get(address, headers=BROWSER)
        assert answer.status_code in (200, 302, 303, 307, 503), f"{address}: {answer.status_code}"
        assert answer.status_code != 503 or address.startswith("/health"), answer.text
        if follow:
            following = [found.replace("&amp;", "&") for found in NEXT.findall(answer.text)]
            for link in following[-1:]:
                path = httpx.URL(link)
                target = path.path if path.path != "/" or path.host else address.partition("?")[0]
                statements.address = f"{target}?{path.query.decode()}"  # type: ignore[attr-defined]
                answer = await client.get(statements.address, headers=BROWSER)  # type: ignore[attr-defined]
                assert answer.status_code == 200, f"{link}: {answer.status_code}"


async def test_no_page_reads_a_large_table(project: Project) -> None:
    database = project.runtime.database
    with statements(database) as found:
        async with project.client() as client:
            await walk(client, *EVERYBODY)
        async with project.signed_in() as client:
            await walk(client, *SUPERUSER, *ADMIN)
            last = [address.replace("page=300", "page=400") for address in ADMIN if "page=300" in address]
            await walk(client, *last, "/database-demo?page=1000", "/webinar-registrants?page=833", follow=True)
        assert len(found) > 80
        read = _read_on_sqlite if database.engine.dialect.name == "sqlite" else _read_on_postgresql
        verdicts = [await read(database, *each) for each in [*found.items()]]  # which are statements themselves
        too_much = {address: why for address, why in verdicts if why}
    assert not too_much, json.dumps(too_much, indent=1)


async def test_a_scan_is_noticed(project: Project) -> None:
    database = project.runtime.database
    on_sqlite = database.engine.dialect.name == "sqlite"
    read = _read_on_sqlite if on_sqlite else _read_on_postgresql
    # SQLite does not say how many rows it has read.
    far = (
        "SELECT id FROM audit_logs ORDER BY timestamp LIMIT 10 OFFSET 15000",
        "SELECT id FROM webinar_registrants WHERE notes = 'x' LIMIT 10",
    ) * (not on_sqlite)
    for bad in (
        "SELECT count(*) FROM products",
        "SELECT id FROM products ORDER BY description LIMIT 10",
        *far,
    ):
        assert (await read(database, bad, ((), "")))[1], bad
    for good in (
        "SELECT id FROM products ORDER BY price LIMIT 10",
        "SELECT count(*) FROM (SELECT 1 FROM products LIMIT 10000) AS first_rows",
    ):
        assert not (await read(database, good, ((), "")))[1], good


async def _read_on_postgresql(database: Database, statement: str, context: tuple[Any, str]) -> tuple[str, str]:
    """Say what reads too many rows, by the plan with the rows that were really read."""
    parameters, address = context
    async with database.engine.begin() as connection:
        # Where a third of 20,000 rows fits, reading all is cheaper; the question is whether an index can serve.
        await connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        explained = await connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters or ())
        plan = explained.scalar_one()
    plan = json.loads(plan) if isinstance(plan, str) else plan
    return address, "; ".join(_big_nodes(plan[0]["Plan"], statement))


def _big_nodes(node: dict[str, Any], statement: str) -> Iterator[str]:
    if "Relation Name" in node:
        removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
        rows = (node["Actual Rows"] + removed) * node["Actual Loops"]
        if rows > MOST_READ:
            yield f"{node['Node Type']} reads {rows:.0f} rows of {node['Relation Name']}: {statement[:1500]}"
    for child in node.get("Plans", ()):
        yield from _big_nodes(child, statement)


async def _read_on_sqlite(database: Database, statement: str, context: tuple[Any, str]) -> tuple[str, str]:
    """Say what reads too many rows: by its plan, and by the steps of SQLite's machine, where a LIMIT may end a scan."""
    parameters, address = context
    connection = sqlite3.connect(database.url.database or "")
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1000

    try:
        plan = connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters or ()).fetchall()
        connection.set_progress_handler(count, 1000)
        connection.execute(statement, parameters or ()).fetchall()
    finally:
        connection.close()
    text = " ".join(statement.split())
    sorted_ = {parent for _, parent, _, line in plan if line == SORT}
    for _, parent, _, line in plan:
        scan = line.startswith("SCAN ") and line.split()[1] in LARGE
        if scan and (" LIMIT " not in text or parent in sorted_):
            return address, f"{line}: {statement[:1500]}"
    if steps > STEPS:
        return address, f"{steps} steps: {statement[:1500]}"
    return address, ""
