from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Iterator

import pytest
from procrastinate import exceptions, sql
from procrastinate.schema import SchemaManager

from fastopp.tasks.queue.sqlite import queries, schema_statements
from fastopp.tasks.queue.sqlite.statements import Operation, run
from fastopp.tasks.queue.sqlite.values import Values, moment


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    yield connection
    connection.close()


def test_every_query_of_procrastinate_is_known() -> None:
    no_query_for_a_connector = {"listen_queue"}
    assert set(sql.queries) - set(queries.by_name()) == no_query_for_a_connector


def test_what_a_later_procrastinate_may_ask_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sql.queries, "brand_new", "SELECT procrastinate_brand_new(%(a)s)")
    query = queries.by_text()["SELECT procrastinate_brand_new(%(a)s)"]
    with pytest.raises(exceptions.ConnectorException, match="'brand_new'"):
        query.operation(Values(), a=1)


@pytest.mark.parametrize("doubled", [True, False])
def test_procrastinates_schema_stands_for_ours(connection: sqlite3.Connection, *, doubled: bool) -> None:
    schema = SchemaManager.get_schema()
    query = queries.by_text()[schema.replace("%", "%%") if doubled else schema]
    assert query.atomic
    run(query.operation(Values()), connection, Values())
    (count,) = connection.execute("SELECT count(*) FROM sqlite_master WHERE sql IS NOT NULL").fetchone()
    assert count == len(schema_statements()) + 1  # sqlite_sequence


@pytest.mark.parametrize(
    ("query", "arguments", "expected"),
    [
        ("SELECT %(a)s AS x, :b AS y", {"a": 1, "b": "%(a)s"}, {"x": 1, "y": "%(a)s"}),
        ("SELECT '100%%' AS x", {}, {"x": "100%"}),
        ("SELECT %(a)s AS x", {"a": {"k": [1]}}, {"x": '{"k": [1]}'}),
        ("SELECT %(a)s AS args", {"a": {"k": [1]}}, {"args": {"k": [1]}}),
        ("SELECT 1 AS abort_requested", {}, {"abort_requested": True}),
        (
            "SELECT %(a)s AS at",
            {"a": dt.datetime(2026, 1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=2)))},
            {"at": dt.datetime(2025, 12, 31, 23, tzinfo=dt.UTC)},
        ),
    ],
)
def test_other_sql_passes(
    connection: sqlite3.Connection, query: str, arguments: dict[str, object], expected: dict[str, object]
) -> None:
    operation = queries.foreign(query).operation(Values(), **arguments)
    assert run(operation, connection, Values()) == [expected]


def test_a_moment_without_a_zone_is_none() -> None:
    with pytest.raises(exceptions.ConnectorException, match="time zone"):
        moment(dt.datetime(2026, 1, 1))  # noqa: DTZ001 - that is the point


def test_moments_compare_as_texts() -> None:
    moments = [dt.datetime(year, 1, 1, 0, 0, 0, micro, dt.UTC) for year in (1, 999, 2026, 9999) for micro in (0, 1)]
    assert sorted(map(moment, moments)) == [moment(value) for value in moments]


def test_an_operation_is_told_of_errors(connection: sqlite3.Connection) -> None:
    def operation() -> Operation:
        try:
            yield "SELECT * FROM nowhere", {}
        except sqlite3.OperationalError as error:
            return (yield "SELECT :text AS text", {"text": str(error)})
        raise AssertionError

    assert run(operation(), connection, Values()) == [{"text": "no such table: nowhere"}]


def test_an_operation_may_do_nothing(connection: sqlite3.Connection) -> None:
    def operation() -> Operation:
        yield from ()
        return [{"a": 1}]

    assert run(operation(), connection, Values()) == [{"a": 1}]
