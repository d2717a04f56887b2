"""Values of every type that SQLAlchemy and SQLModel offer on both databases, from one to the other and back.

A value is either refused, with its table, column and row, or it is the same afterwards.
"""

from __future__ import annotations

import asyncio
import enum
import math
import struct
import uuid
import warnings
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel.sql.sqltypes import AutoString, UTCDateTime

from fastopp.database.migrations import migrate
from fastopp.features.database_backups.dump.dump import DatabaseDump
from fastopp.features.database_backups.dump.errors import ValueDoesNotFit
from fastopp.features.database_backups.dump.restore import restore
from fastopp.settings.database_url import DatabaseURL
from tests.gate import only_full
from tests.services.migrations import settings_for

METADATA = sa.MetaData()


class Mood(enum.Enum):
    HAPPY = "happy"
    SAD = "so sad"


class Days(sa.TypeDecorator[timedelta]):
    """A project's own type."""

    impl = sa.Interval
    cache_ok = True


TYPES: dict[str, sa.types.TypeEngine[Any]] = {
    "boolean": sa.Boolean(), "small": sa.SmallInteger(), "integer": sa.Integer(), "big": sa.BigInteger(),
    "float": sa.Float(), "float5": sa.Float(5), "real": sa.REAL(), "double": sa.Double(),
    "numeric": sa.Numeric(12, 4), "decimal": sa.DECIMAL(10, 2), "anynumeric": sa.Numeric(),
    "string": sa.String(), "short": sa.String(10), "fixed": sa.CHAR(5), "text": sa.Text(), "unicode": sa.Unicode(20),
    "auto": AutoString(), "date": sa.Date(), "moment": sa.DateTime(), "moment_tz": sa.DateTime(timezone=True),
    "timestamp": sa.TIMESTAMP(), "utc": UTCDateTime(), "time": sa.Time(), "time_tz": sa.Time(timezone=True),
    "interval": sa.Interval(), "interval_plain": sa.Interval(native=False), "days": Days(),
    "blob": sa.LargeBinary(), "pickled": sa.PickleType(), "mood": sa.Enum(Mood), "words": sa.Enum("a", "b c", name="w"),
    "varchar_enum": sa.Enum(Mood, native_enum=False), "json": sa.JSON(),
    "jsonb": sa.JSON().with_variant(JSONB(), "postgresql"), "uuid": sa.Uuid(), "uuid_char": sa.Uuid(native_uuid=False),
    "uuid_text": sa.Uuid(as_uuid=False), "uuid_upper": sa.UUID(),
}  # fmt: skip
TABLE = sa.Table(
    "every_type", METADATA, sa.Column("id", sa.Integer, primary_key=True), *(sa.Column(*each) for each in TYPES.items())
)


def shortest(number: float) -> float:
    """Return a float of 32 bits as PostgreSQL writes it."""
    single = struct.pack("<f", number)
    written = (float(f"{number:.{digits}g}") for digits in range(1, 10))
    return next(each for each in written if struct.pack("<f", each) == single)


PLAIN = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8).map(lambda text: text.rstrip(" "))
DATES = st.datetimes(datetime.fromisoformat("0001-01-02"), datetime.fromisoformat("9999-12-30"))
SPANS = st.timedeltas(timedelta(days=-700_000), timedelta(days=2_900_000))
SINGLES = st.floats(-(2.0**126), 2.0**126, width=32).filter(lambda number: number or math.copysign(1, number) > 0).map(
    shortest
) | st.sampled_from([math.inf, -math.inf])
DOUBLES = st.floats(allow_nan=False).filter(lambda number: number or math.copysign(1, number) > 0)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(0.001, 1e6) | PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PLAIN, inner, max_size=3),
    max_leaves=5,
)


def integers(bits: int) -> st.SearchStrategy[int]:
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


# What both databases hold.
ORDINARY: dict[str, st.SearchStrategy[Any]] = {
    "boolean": st.booleans(), "small": integers(16), "integer": integers(32), "big": integers(64),
    "float": DOUBLES, "float5": SINGLES, "real": SINGLES, "double": DOUBLES,
    "numeric": st.decimals(-99_999_999, 99_999_999, places=4, allow_nan=False),
    "decimal": st.decimals(-99_999_999, 99_999_999, places=2, allow_nan=False),
    "anynumeric": st.decimals(-1000, 1000, places=3, allow_nan=False),
    "string": PLAIN, "short": PLAIN, "fixed": PLAIN.map(lambda text: text[:5].rstrip(" ")), "text": PLAIN,
    "unicode": PLAIN, "auto": PLAIN, "date": st.dates(), "moment": DATES,
    "moment_tz": DATES.map(lambda moment: moment.replace(tzinfo=UTC)), "timestamp": DATES,
    "utc": DATES.map(lambda moment: moment.replace(tzinfo=UTC)), "time": st.times(),
    "time_tz": st.times(timezones=st.just(UTC)), "interval": SPANS, "interval_plain": SPANS, "days": SPANS,
    "blob": st.binary(max_size=8), "pickled": JSON, "mood": st.sampled_from(Mood),
    "words": st.sampled_from(["a", "b c"]),
    "varchar_enum": st.sampled_from(Mood), "json": JSON, "jsonb": JSON, "uuid": st.uuids(), "uuid_char": st.uuids(),
    "uuid_text": st.uuids().map(str), "uuid_upper": st.uuids(),
}  # fmt: skip

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=25)
NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**25), max_value=10**25, places=10)
TINY = st.sampled_from([Decimal("1e-11"), Decimal("NaN"), Decimal("Infinity"), Decimal("1e30")])
HUGE_JSON = JSON | st.floats() | st.integers() | st.just({"a": -0.0}) | st.just({"\0": "\0"}) | TEXTS
ZONES = st.timezones().map(lambda zone: timezone(zone.utcoffset(datetime.fromisoformat("2026-07-01")) or timedelta()))

# What one of them may not.
ODD: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "sqlite": {
        "small": integers(64), "integer": integers(64), "float5": st.floats(allow_nan=False),
        "real": st.floats(allow_nan=False), "numeric": NUMBERS, "decimal": NUMBERS, "string": TEXTS, "short": TEXTS,
        "fixed": TEXTS, "unicode": TEXTS, "auto": TEXTS, "time_tz": st.times(), "json": HUGE_JSON, "jsonb": HUGE_JSON,
    },
    "postgresql": {
        "float": st.floats(), "double": st.floats(), "real": st.floats(width=32), "anynumeric": NUMBERS | TINY,
        "time_tz": st.times(timezones=ZONES), "interval": st.timedeltas(), "days": st.timedeltas(),
        "json": JSON | st.floats(allow_nan=False, allow_infinity=False) | st.integers(),
        "jsonb": JSON | st.floats(allow_nan=False, allow_infinity=False) | st.integers(),
    },
}  # fmt: skip


def rows(values: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[list[dict[str, Any]]]:
    row = st.fixed_dictionaries({name: st.none() | value for name, value in values.items()})
    return st.lists(row, min_size=1, max_size=4)


class Databases:
    """One of PostgreSQL and two of SQLite, each with the table, and the loop that dumps and restores them."""

    def __init__(self, runner: asyncio.Runner, postgresql: str, folder: str) -> None:
        self.runner = runner
        self.urls = {"postgresql": postgresql, "sqlite": f"sqlite:///{folder}/a.db"}
        self.engines = {
            "postgresql": sa.create_engine(postgresql.replace("postgresql://", "postgresql+psycopg://")),
            "sqlite": sa.create_engine(self.urls["sqlite"]),
        }
        for kind, url in self.urls.items():
            runner.run(migrate.upgrade(settings_for(url)))
            METADATA.create_all(self.engines[kind])

    def fill(self, kind: str, values: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Replace the rows; return them as the database has them."""
        with self.engines[kind].begin() as connection, warnings.catch_warnings():
            warnings.simplefilter("ignore", sa.exc.SAWarning)  # SQLite has no decimals
            connection.execute(TABLE.delete())
            names = {name for row in values for name in row}
            same = [dict.fromkeys(names) | row | {"id": index} for index, row in enumerate(values, 7)]
            connection.execute(TABLE.insert(), same)
        return self.read(kind)

    def read(self, kind: str) -> list[dict[str, Any]]:
        """Return the rows as an application sees them."""
        with self.engines[kind].connect() as connection:
            found = connection.execute(TABLE.select().order_by(TABLE.c.id)).mappings().all()
        return [{name: comparable(name, value) for name, value in row.items()} for row in found]

    def move(self, source: str, target: str) -> None:
        """Dump one database and restore the other from that."""

        async def dumped() -> bytes:
            made = DatabaseDump(DatabaseURL.parse(self.urls[source]), METADATA)
            return b"".join([piece async for piece in made.chunks()])

        async def pieces(data: bytes) -> Any:
            yield data

        data = self.runner.run(dumped())
        self.runner.run(restore(DatabaseURL.parse(self.urls[target]), pieces(data), metadata=METADATA, force=True))

    def refused(self, source: str, target: str) -> str:
        """Move, and return why that was refused; nothing if it was not."""
        try:
            self.move(source, target)
        except ValueDoesNotFit as error:
            return error.message
        return ""


def comparable(name: str, value: Any) -> Any:
    """Return a value so that what PostgreSQL and SQLite read alike is equal, and what they do not is not."""
    if isinstance(value, datetime) and value.tzinfo:
        return value.astimezone(UTC).replace(tzinfo=None)
    if isinstance(value, time) and value.utcoffset() == timedelta():
        return value.replace(tzinfo=None)
    if name in ("json", "jsonb"):
        return repr(plain_numbers(value))
    if isinstance(value, Decimal):
        return repr(value.normalize()) if value.is_finite() and value else repr(float(value))
    if name == "fixed" and value is not None:
        return value.rstrip(" ")  # PostgreSQL pads it
    return repr(value) if isinstance(value, float) else value


def plain_numbers(value: Any) -> Any:
    """Return JSON with each number as one: 1.0 is 1 for SQLite and for jsonb."""
    if isinstance(value, dict):
        return {key: plain_numbers(each) for key, each in sorted(value.items())}
    if isinstance(value, list):
        return [plain_numbers(each) for each in value]
    if (isinstance(value, float) and value.is_integer() and math.copysign(1, value) > 0) or isinstance(value, int):
        return value if isinstance(value, bool) else int(value)
    return value


@pytest.fixture(scope="module")
def databases(postgres, tmp_path_factory):
    name = postgres.create_database()
    with asyncio.Runner() as runner:
        made = Databases(runner, postgres.url(name), str(tmp_path_factory.mktemp("round-trip")))
        yield made
        for engine in made.engines.values():
            engine.dispose()
    postgres.drop_database(name)


EXAMPLES = settings(
    deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
HOW_MANY = pytest.mark.parametrize("examples", [4, *only_full(100)])
OTHER = {"sqlite": "postgresql", "postgresql": "sqlite"}


@pytest.mark.timeout(900)
@HOW_MANY
@pytest.mark.parametrize("source", OTHER)
def test_what_both_hold_comes_through_and_back(databases, source, examples):
    @settings(EXAMPLES, max_examples=examples)
    @given(rows(ORDINARY))
    def check(values):
        before = databases.fill(source, values)
        databases.move(source, OTHER[source])
        assert databases.read(OTHER[source]) == before
        databases.move(OTHER[source], source)
        assert databases.read(source) == before

    check()


@pytest.mark.timeout(900)
@HOW_MANY
@pytest.mark.parametrize("source", OTHER)
def test_what_one_does_not_hold_is_refused_or_the_same(databases, source, examples):
    target = OTHER[source]

    @settings(EXAMPLES, max_examples=examples)
    @given(st.sampled_from(sorted(ODD[source])).flatmap(lambda name: rows({name: ODD[source][name]})))
    def check(values):
        kept = databases.fill(target, [{"integer": 5}])
        before = databases.fill(source, values)
        (name,) = values[0]
        if refused := databases.refused(source, target):
            assert f"every_type.{name} in row " in refused
            assert "(id " in refused
            assert databases.read(target) == kept
            return
        assert databases.read(target) == before
        databases.move(target, source)
        assert databases.read(source) == before

    check()


@pytest.mark.parametrize(
    ("source", "column", "value"),
    [
        ("sqlite", "short", "x" * 11), ("sqlite", "short", "x" * 10 + " "), ("sqlite", "fixed", "ab "),
        ("sqlite", "string", "a\0b"), ("sqlite", "small", 2**15), ("sqlite", "integer", -(2**31) - 1),
        ("sqlite", "decimal", Decimal("1.005")), ("sqlite", "real", 0.12345678901), ("sqlite", "real", 1e300),
        ("sqlite", "json", math.nan), ("sqlite", "jsonb", {"a": -0.0}), ("sqlite", "jsonb", {"a": "\0"}),
        ("postgresql", "float", -0.0), ("postgresql", "double", math.nan), ("postgresql", "interval", timedelta.max),
        ("postgresql", "anynumeric", Decimal("0.12345678901234567")), ("postgresql", "json", 10**30),
        ("postgresql", "json", -0.0),
        ("postgresql", "time_tz", time(1, 2, tzinfo=timezone(timedelta(hours=2)))),
    ],
)  # fmt: skip
def test_a_refusal_names_the_row(databases, source, column, value):
    target = OTHER[source]
    kept = databases.fill(target, [{"integer": 5}])
    databases.fill(source, [{"integer": 1}, {column: value}])
    with pytest.raises(ValueDoesNotFit, match=rf"every_type\.{column} in row 2 \(id 8\)"):
        databases.move(source, target)
    assert databases.read(target) == kept


@pytest.mark.parametrize(
    ("source", "column", "statement"),
    [
        ("sqlite", "mood", "UPDATE every_type SET mood = 'furious' WHERE id = 8"),
        ("sqlite", "moment", "UPDATE every_type SET moment = 'today' WHERE id = 8"),
        ("sqlite", "boolean", "UPDATE every_type SET boolean = 'yes' WHERE id = 8"),
        ("postgresql", "interval", "UPDATE every_type SET interval = '1 month' WHERE id = 8"),
        ("postgresql", "date", "UPDATE every_type SET date = 'infinity' WHERE id = 8"),
        ("postgresql", "time", "UPDATE every_type SET time = '24:00' WHERE id = 8"),
    ],
)
def test_a_refusal_of_what_no_application_writes(databases, source, column, statement):
    databases.fill(source, [{"integer": 1}, {"integer": 2}, {"integer": 3}])
    with databases.engines[source].begin() as connection:
        connection.execute(sa.text(statement))
    with pytest.raises(ValueDoesNotFit, match=rf"every_type\.{column} in row 2 \(id 8\)"):
        databases.move(source, OTHER[source])


def test_a_table_without_a_model(databases):
    """The columns' types of the target tell what is meant."""
    span = timedelta(days=-3, hours=1, microseconds=5)
    before = databases.fill("sqlite", [{"interval": span, "uuid": uuid.UUID(int=5), "date": date(2026, 1, 31)}])
    unknown = sa.MetaData()

    async def move(source, target):
        dump = DatabaseDump(DatabaseURL.parse(databases.urls[source]), unknown)
        data = b"".join([piece async for piece in dump.chunks()])

        async def pieces():
            yield data

        await restore(DatabaseURL.parse(databases.urls[target]), pieces(), metadata=unknown, force=True)

    databases.runner.run(move("sqlite", "postgresql"))
    assert databases.read("postgresql") == before
    databases.runner.run(move("postgresql", "sqlite"))
    assert [row["interval"] for row in databases.read("sqlite")] == [span]
