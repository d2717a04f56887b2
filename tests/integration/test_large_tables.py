"""No page reads a large table: asserted by the databases' plans of every statement that the pages execute."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from sqlalchemy import event

from fastopp.database.session import Database
from tests.gate import only_full
from tests.services.databases import url_on
from tests.services.demo import APPS, TEST_PASSWORD, demo
from tests.services.large_walk import ADMIN, EVERYBODY, SUPERUSER
from tests.services.many_rows import LARGE, analyse, fill
from tests.services.ops_project import BROWSER, Project, running

ROWS = 20_000
MOST_READ = 10_001  # rows of one table that a statement may read: what counting stops at
STEPS = 900_000  # of SQLite's machine: /metrics ranks the durations of the newest tasks in 810,000
SORT = "USE TEMP B-TREE FOR ORDER BY"  # in SQLite's plans, of all that is found; ties alone are a "LAST TERM OF" it

DEMO = ("products", "webinar_registrants")
BOUNDED_COUNT = re.compile(r"SELECT count\(\*\) AS count_1\s+FROM \(SELECT .* LIMIT \S+\) AS anon_1$", re.DOTALL)
INDEX = re.compile(r"INDEX (\w+)")

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


class Verdict(NamedTuple):
    """The plan of a statement, judged."""

    address: str
    why: str
    """The parts that read too many rows; empty if there are none."""
    indexes: frozenset[str]
    """The indexes that are read."""


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
        async with project.signed_in("sales@example.com", TEST_PASSWORD) as client:
            await walk(client, "/webinar-registrants", "/webinar-registrants?page=2")
        async with project.signed_in() as client:
            await walk(client, *SUPERUSER, *ADMIN)
            last = [address.replace("page=300", "page=400") for address in ADMIN if "page=300" in address]
            await walk(client, *last, "/database-demo?page=1000", "/webinar-registrants?page=833", follow=True)
        assert len(found) > 80
        read = _read_on_sqlite if database.engine.dialect.name == "sqlite" else _read_on_postgresql
        verdicts = [await read(database, *each) for each in [*found.items()]]  # which are statements themselves
        too_much = {each.address: each.why for each in verdicts if each.why}
        unused = await _indexes(database) - {name for each in verdicts for name in each.indexes}
    assert not too_much, json.dumps(too_much, indent=1)
    assert not unused


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
        assert (await read(database, bad, ((), ""))).why, bad
    for good in (
        "SELECT id FROM products ORDER BY price LIMIT 10",
        "SELECT count(*) FROM (SELECT 1 FROM products LIMIT 10000) AS first_rows",
    ):
        assert not (await read(database, good, ((), ""))).why, good


async def _indexes(database: Database) -> set[str]:
    """The indexes of the demo's tables that migrations have made for its pages."""
    names = {
        "sqlite": "SELECT name FROM sqlite_master WHERE tbl_name = '{}' AND type = 'index' AND sql IS NOT NULL",
        "postgresql": "SELECT indexname FROM pg_indexes "
        "WHERE tablename = '{}' AND NOT starts_with(indexdef, 'CREATE UNIQUE')",
    }[database.engine.dialect.name]
    async with database.engine.connect() as connection:
        return {name for table in DEMO for name in (await connection.exec_driver_sql(names.format(table))).scalars()}


async def _read_on_postgresql(database: Database, statement: str, context: tuple[Any, str]) -> Verdict:
    """Say what reads too many rows, by the plan that real statistics lead to, and the rows that were really read."""
    parameters, address = context
    plan = await _plan(database, statement, parameters)
    why = "; ".join(_big_nodes(plan, statement))
    if why and BOUNDED_COUNT.match(statement):
        # Where a third of 20,000 rows fits, reading all is cheaper, and ends with the table; of a larger one it reads
        # the index, whose first rows end the count.
        plan = await _plan(database, statement, parameters, "SET LOCAL enable_seqscan = off")
        why = "; ".join(_big_nodes(plan, statement))
    return Verdict(address, why, frozenset(_index_names(plan)))


async def _plan(database: Database, statement: str, parameters: Any, setting: str = "SELECT 1") -> dict[str, Any]:
    async with database.engine.begin() as connection:
        await connection.exec_driver_sql(setting)
        explained = await connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters or ())
        plan = explained.scalar_one()
    found: dict[str, Any] = (json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]
    return found


def _index_names(node: dict[str, Any]) -> Iterator[str]:
    if "Index Name" in node:
        yield node["Index Name"]
    for child in node.get("Plans", ()):
        yield from _index_names(child)


def _big_nodes(node: dict[str, Any], statement: str) -> Iterator[str]:
    if "Relation Name" in node:
        removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
        rows = (node["Actual Rows"] + removed) * node["Actual Loops"]
        if rows > MOST_READ:
            yield f"{node['Node Type']} reads {rows:.0f} rows of {node['Relation Name']}: {statement[:1500]}"
    for child in node.get("Plans", ()):
        yield from _big_nodes(child, statement)


async def _read_on_sqlite(database: Database, statement: str, context: tuple[Any, str]) -> Verdict:
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
    used = frozenset(name for *_, line in plan for name in INDEX.findall(line))
    sorted_ = {parent for _, parent, _, line in plan if line == SORT}
    for _, parent, _, line in plan:
        scan = line.startswith("SCAN ") and line.split()[1] in LARGE
        if scan and (" LIMIT " not in text or parent in sorted_):
            return Verdict(address, f"{line}: {statement[:1500]}", used)
    return Verdict(address, f"{steps} steps: {statement[:1500]}" if steps > STEPS else "", used)
