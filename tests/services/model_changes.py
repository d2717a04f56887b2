"""Changes of models, for a matrix of them: tables before and after, and rows that are there in between."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import shutil
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from fastopp.database.migrations.questions import Answers
from tests.services.migrations import ROOT

Build = Callable[[sa.MetaData], None]

MODELS: dict[str, sa.MetaData] = {}
"""The models that the `env.py` of a folder compares."""


def models(build: Build) -> sa.MetaData:
    """Return the models of one side of a change."""
    metadata = sa.MetaData()
    build(metadata)
    return metadata


class Project:
    """A folder of migrations for models that are given, not imported."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "project/alembic"
        (self.folder / "versions").mkdir(parents=True)
        shutil.copy(ROOT / "alembic/script.py.mako", self.folder)
        (self.folder / "env.py").write_text(
            "from alembic import context\nfrom fastopp.database.migrations.alembic_env import run\n"
            f"from tests.services.model_changes import MODELS\nrun(context, lambda: MODELS[{str(self.folder)!r}])\n"
        )

    def use(self, metadata: sa.MetaData) -> None:
        """Let the migrations compare with these models."""
        MODELS[str(self.folder)] = metadata


class Mood(enum.Enum):
    """An Enum whose values are stored by their names."""

    good = "Good"
    bad = "Bad"


class Money(sa.TypeDecorator[decimal.Decimal]):
    """A type of a project's own."""

    impl = sa.Numeric(10, 2)
    cache_ok = True


def mood(*values: str) -> sa.Enum:
    return sa.Enum(*(values or ("good", "bad")), name="mood")


def table(*parts: Any, name: str = "things") -> Build:
    """Return what adds a table with a key and these parts, as new objects at each call."""

    def build(metadata: sa.MetaData) -> None:
        copies = [each() if callable(each) and not isinstance(each, sa.schema.SchemaItem) else each for each in parts]
        sa.Table(name, metadata, sa.Column("id", sa.Integer, primary_key=True), *copies)

    return build


def column(name: str, type_: Any, *parts: Any, **options: Any) -> Callable[[], sa.Column[Any]]:
    return lambda: sa.Column(name, type_, *(each() for each in parts), **options)


def many(*builds: Build) -> Build:
    def build(metadata: sa.MetaData) -> None:
        for each in builds:
            each(metadata)

    return build


@dataclass(frozen=True)
class Change:
    """A change of models."""

    before: Build
    after: Build
    rows: Mapping[str, Sequence[Mapping[str, Any]]] = field(
        default_factory=lambda: {"things": [{"id": 1, "name": "a"}]}
    )
    """Rows that are there before the change."""
    then: Mapping[str, Any] = field(default_factory=dict)
    """What the first row of `things` has after it."""
    answers: Answers = field(default_factory=Answers)
    allow_drop: bool = False
    loses: bool = False
    """Whether rows lose data, so that migrating has to be allowed."""


NAME = column("name", sa.String(40))
PLAIN = table(NAME)
OTHER = table(name="others")
OTHER_ROWS = {"others": [{"id": 7}], "things": [{"id": 1, "name": "a"}]}
MOODY = table(NAME, column("mood", mood(), nullable=False))
MOODY_ROWS = {"things": [{"id": 1, "name": "a", "mood": "good"}]}


def added(type_: Any, *parts: Any, then: Any = None, fill: str | None = None, **options: Any) -> Change:
    """A new column."""
    answers = Answers(fills={"things.new": fill}) if fill is not None else Answers()
    return Change(PLAIN, table(NAME, column("new", type_, *parts, **options)), then={"new": then}, answers=answers)


def altered(old: Any, new: Any, value: Any, then: Any, **options: Any) -> Change:
    """A column with another type."""
    rows = {"things": [{"id": 1, "value": value}]}
    return Change(table(column("value", old)), table(column("value", new)), rows, {"value": then}, **options)


def indexed(*expressions: Any, **options: Any) -> Change:
    return Change(PLAIN, table(NAME, lambda: sa.Index("ix_things_name", *(expressions or ("name",)), **options)))


def referring(ondelete: str | None, **options: Any) -> Change:
    key = column("other_id", sa.Integer, lambda: sa.ForeignKey("others.id", ondelete=ondelete), **options)
    return Change(many(OTHER, PLAIN), many(OTHER, table(NAME, key)), OTHER_ROWS, {"other_id": None})


def links(metadata: sa.MetaData) -> None:
    """Add the table of a many-to-many relation."""
    sa.Table(
        "links", metadata,
        sa.Column("thing_id", sa.ForeignKey("things.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("other_id", sa.ForeignKey("others.id", ondelete="CASCADE"), primary_key=True),
    )  # fmt: skip


JSON_VARIANT = sa.JSON().with_variant(JSONB(), "postgresql")
ARRAY_VARIANT = sa.JSON().with_variant(ARRAY(sa.String(20)), "postgresql")
UTC = dt.UTC
WHEN = dt.datetime(2027, 1, 2, 3, 4, 5, tzinfo=UTC)
ID = uuid.UUID(int=5)

CHANGES: dict[str, Change] = {
    # A new column
    "nullable": added(sa.String(20), nullable=True),
    "nullable with default": added(sa.Integer, default=3, nullable=True, then=3),
    "default": added(sa.Boolean, default=True, nullable=False, then=True),
    "default false": added(sa.Boolean, default=False, nullable=False, then=False),
    "default text": added(sa.Text, default="it's: 50 %", nullable=False, then="it's: 50 %"),
    "default float": added(sa.Float, default=1.5, nullable=False, then=1.5),
    "default numeric": added(
        sa.Numeric(10, 2), default=decimal.Decimal("1.50"), nullable=False, then=decimal.Decimal("1.50")
    ),
    "default date": added(sa.Date, default=WHEN.date(), nullable=False, then=WHEN.date()),
    "default time": added(sa.Time, default=WHEN.time(), nullable=False, then=WHEN.time()),
    "default datetime": added(
        sa.DateTime, default=WHEN.replace(tzinfo=None), nullable=False, then=WHEN.replace(tzinfo=None)
    ),
    "default interval": added(
        sa.Interval, default=dt.timedelta(days=1, seconds=5), nullable=False,
        then=dt.timedelta(days=1, seconds=5),
    ),
    "default uuid": added(sa.Uuid, default=ID, nullable=False, then=ID),
    "default bytes": added(sa.LargeBinary, default=b"\0'\xff", nullable=False, then=b"\0'\xff"),
    "default json": added(sa.JSON, default={"a": [1]}, nullable=False, then={"a": [1]}),
    "default jsonb": added(JSON_VARIANT, default={"a": "b"}, nullable=False, then={"a": "b"}),
    "default array": added(ARRAY_VARIANT, default=["a"], nullable=False, then=["a"]),
    "default of the project's type": added(Money, default=decimal.Decimal(2), nullable=False, then=decimal.Decimal(2)),
    "default enum": added(sa.Enum(Mood), default=Mood.bad, nullable=False, then=Mood.bad),
    "server default": added(sa.Integer, server_default="4", nullable=False, then=4),
    "answer": added(sa.String(20), nullable=False, fill="x", then="x"),
    "answer number": added(sa.Integer, nullable=False, fill="12", then=12),
    "answer bool": added(sa.Boolean, nullable=False, fill="true", then=True),
    "answer enum": added(sa.Enum(Mood), nullable=False, fill="good", then=Mood.good),
    "answer json": added(sa.JSON, nullable=False, fill='{"a": null}', then={"a": None}),
    "answer date": added(sa.Date, nullable=False, fill="2027-01-02", then=WHEN.date()),
    "unique": added(sa.String(20), unique=True, nullable=True),
    "unique answer": added(sa.String(20), unique=True, nullable=False, fill="x", then="x"),
    "indexed": added(sa.String(20), index=True, nullable=True),
    "interval": added(sa.Interval, nullable=True),
    "computed": added(sa.Integer, lambda: sa.Computed("id + 1"), then=2),
    # Indexes
    "index": indexed(),
    "unique index": indexed(unique=True),
    "index of two": indexed("name", "id"),
    "partial index": indexed(
        "name", sqlite_where=sa.text("name > 'b'"), postgresql_where=sa.text("name > 'b'")
    ),
    "index using": indexed("name", postgresql_using="hash"),
    "index including": indexed("name", postgresql_include=["id"]),
    "index of an expression": indexed(sa.text("lower(name)")),
    "index descending": indexed(sa.text("name DESC")),
    # Constraints
    "check": Change(PLAIN, table(NAME, lambda: sa.CheckConstraint("name <> ''", name="things_named"))),
    "check dropped": Change(
        table(NAME, lambda: sa.CheckConstraint("name <> ''", name="things_named")), PLAIN, allow_drop=True
    ),
    "unique of two": Change(PLAIN, table(NAME, lambda: sa.UniqueConstraint("name", "id"))),
    "unique later": Change(PLAIN, table(column("name", sa.String(40), unique=True))),
    "unique dropped": Change(table(column("name", sa.String(40), unique=True)), PLAIN, allow_drop=True),
    "not null": Change(
        PLAIN, table(column("name", sa.String(40), nullable=False)), {"things": [{"id": 1, "name": None}]},
        {"name": "x"}, Answers(fills={"things.name": "x"}),
    ),
    "not null with default": Change(
        PLAIN, table(column("name", sa.String(40), nullable=False, default="d")),
        {"things": [{"id": 1, "name": None}]}, {"name": "d"},
    ),
    "null": Change(table(column("name", sa.String(40), nullable=False)), PLAIN, then={"name": "a"}),
    # Relations
    "foreign key": referring(None),
    "foreign key cascade": referring("CASCADE"),
    "foreign key set null": referring("SET NULL"),
    "foreign key restrict": referring("RESTRICT"),
    "foreign key set default": referring("SET DEFAULT"),
    "ondelete changed": Change(
        many(OTHER, table(column("other_id", sa.Integer, lambda: sa.ForeignKey("others.id")))),
        many(OTHER, table(column("other_id", sa.Integer, lambda: sa.ForeignKey("others.id", ondelete="CASCADE")))),
        {"others": [{"id": 7}], "things": [{"id": 1, "other_id": 7}]}, {"other_id": 7},
    ),
    "foreign key required": Change(
        many(OTHER, PLAIN),
        many(OTHER, table(NAME, column("other_id", sa.Integer, lambda: sa.ForeignKey("others.id"), nullable=False))),
        OTHER_ROWS, {"other_id": 7}, Answers(fills={"things.other_id": "7"}),
    ),
    "self-relation": Change(PLAIN, table(NAME, column("parent_id", sa.Integer, lambda: sa.ForeignKey("things.id")))),
    "many-to-many": Change(
        many(OTHER, PLAIN),
        many(
            OTHER, PLAIN,
            links,
        ),
        OTHER_ROWS,
    ),
    # Enums
    "enum": added(mood(), nullable=True),
    "enum of a table": Change(OTHER, many(OTHER, MOODY), {}),
    "enum shared": Change(
        MOODY, many(MOODY, table(column("mood", mood()), name="others")), MOODY_ROWS, {"mood": "good"}
    ),
    "enum shared in one": Change(
        OTHER, many(OTHER, MOODY, table(column("mood", mood()), name="more")), {}
    ),
    "enum with more": Change(
        MOODY, table(NAME, column("mood", mood("good", "fine", "bad"), nullable=False)), MOODY_ROWS, {"mood": "good"}
    ),
    "enum with less": Change(
        MOODY, table(NAME, column("mood", mood("good"), nullable=False)), MOODY_ROWS, {"mood": "good"},
        allow_drop=True,
    ),
    "enum with others": Change(
        MOODY, table(NAME, column("mood", mood("good", "sad"), nullable=False)), MOODY_ROWS, {"mood": "good"},
        allow_drop=True,
    ),
    "enum of another name": Change(
        MOODY, table(NAME, column("mood", sa.Enum("good", "bad", name="feeling"), nullable=False)), MOODY_ROWS,
        {"mood": "good"}, allow_drop=True,
    ),
    "enum dropped": Change(MOODY, PLAIN, MOODY_ROWS, {"name": "a"}, allow_drop=True, loses=True),
    "enum not native": added(sa.Enum("good", "bad", name="mood", native_enum=False), nullable=True),
    "enum to text": altered(mood(), sa.String(20), "good", "good"),
    "text to enum": altered(sa.String(20), mood(), "good", "good", allow_drop=True),
    # Other types
    "longer": altered(sa.String(20), sa.String(40), "a", "a"),
    "shorter": altered(sa.String(40), sa.String(20), "a", "a", allow_drop=True),
    "number to text": altered(sa.Integer, sa.Text, 5, "5"),
    "text to number": altered(sa.String(20), sa.Integer, "5", 5, allow_drop=True),
    "integer to bigint": altered(sa.Integer, sa.BigInteger, 5, 5),
    "integer to numeric": altered(sa.Integer, sa.Numeric(12, 2), 5, decimal.Decimal("5.00")),
    "numeric scale": altered(
        sa.Numeric(10, 2), sa.Numeric(12, 4), decimal.Decimal("1.25"), decimal.Decimal("1.2500")
    ),
    "json to jsonb": altered(sa.JSON, JSON_VARIANT, {"a": 1}, {"a": 1}),
    "index kept in a copy": Change(
        table(NAME, lambda: sa.Index("ix_things_name", sa.text("lower(name)"))),
        table(NAME, lambda: sa.Index("ix_things_name", sa.text("lower(name)")), lambda: sa.UniqueConstraint("name")),
    ),
    "index of another expression": Change(
        table(NAME, lambda: sa.Index("ix_things_name", sa.text("lower(name)"))),
        table(NAME, lambda: sa.Index("ix_things_name", sa.text("upper(name)"))),
    ),
    # Names, and drops
    "renamed": Change(
        PLAIN, table(column("title", sa.String(40))), then={"title": "a"},
        answers=Answers(renamed={"things.name": "title"}),
    ),
    "renamed and changed": Change(
        table(column("name", sa.String(40), nullable=False, index=True)),
        table(column("title", sa.String(80), nullable=True, index=True)), then={"title": "a"},
        answers=Answers(renamed={"things.name": "title"}),
    ),
    "renamed enum": Change(
        MOODY, table(NAME, column("feeling", mood("good", "bad", "new"), nullable=False)), MOODY_ROWS,
        {"feeling": "good"}, Answers(renamed={"things.mood": "feeling"}),
    ),
    "table renamed": Change(
        table(NAME, name="old things"), PLAIN, {"old things": [{"id": 1, "name": "a"}]}, {"name": "a"},
        Answers(renamed={"old things": "things"}),
    ),
    "referred table renamed": Change(
        many(OTHER, table(column("other_id", sa.Integer, lambda: sa.ForeignKey("others.id")))),
        many(table(name="rest"), table(column("other_id", sa.Integer, lambda: sa.ForeignKey("rest.id")))),
        {"others": [{"id": 7}], "things": [{"id": 1, "other_id": 7}]}, {"other_id": 7},
        Answers(renamed={"others": "rest"}),
    ),
    "dropped": Change(PLAIN, table(), then={"id": 1}, allow_drop=True, loses=True),
    "dropped table": Change(many(OTHER, PLAIN), PLAIN, OTHER_ROWS, {"name": "a"}, allow_drop=True, loses=True),
    "dropped jsonb": Change(
        table(column("new", JSON_VARIANT)), table(), {"things": [{"id": 1, "new": {}}]}, {"id": 1}, allow_drop=True,
        loses=True,
    ),
}  # fmt: skip
