"""Every private name of a third-party library that FastOpp and the emulator use.

`tests/unit/test_private_names.py` checks them. A library may change a private name in any release, so `pyproject.toml`
gives each of these an upper bound. Prefer a public API to a line here.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PrivateName:
    """A private name, who owns it, and what for it is used."""

    owner: str
    """The module, or the module and the class: `package.module` or `package.module:Class`."""
    name: str
    used_in: str
    """The module of FastOpp, as a path below `src/fastopp`."""
    why: str

    @property
    def library(self) -> str:
        """The distribution, as `pyproject.toml` names it."""
        return self.owner.partition(":")[0].partition(".")[0]


def _names(owner: str, used_in: str, **reasons: str) -> tuple[PrivateName, ...]:
    return tuple(PrivateName(owner, name, used_in, why) for name, why in reasons.items())


PRIVATE_NAMES = (
    *_names(
        "aiosqlite:Connection",
        "database/drivers/one_trip.py",
        _conn="sqlite3's connection, to run a statement in the driver's thread in one trip",
        _execute="runs a function in the driver's thread",
        _thread="is made a daemon, as SQLAlchemy's own dialect does, and joined after a failure",
    ),
    *_names(
        "alembic.script:ScriptDirectory",
        "database/migrations/alembic_project.py",
        _downgrade_revs="what alembic.command.downgrade calls, which would take a folder instead of our revisions",
        _stamp_revs="as alembic.command.stamp",
        _upgrade_revs="as alembic.command.upgrade",
    ),
    *_names(
        "asyncpg.connection:Connection",
        "features/database/live_checks.py",
        _transport="says whether the connection uses TLS; behind a pooler the server's tables cannot",
    ),
    *_names(
        "asyncpg.connection:Connection",
        "database/drivers/asyncpg.py",
        _transport="has the socket, for TCP keepalive",
    ),
    *_names(
        "fastapi",
        "web/light_fastapi.py",
        _compat="imports pydantic.v1 for every application, which costs 50 ms of a cold start",
    ),
    *_names(
        "psycopg.errors",
        "database/drivers/psycopg.py",
        _WaitTimeout="raised by waiting.wait_async after its timeout",
    ),
    *_names(
        "sqladmin.application:Admin",
        "features/admin/site.py",
        _handle_form_data="overridden to refuse files and NUL bytes in fields that take none",
    ),
    *_names(
        "sqladmin.models:ModelView",
        "features/admin/long_lists.py",
        _get_default_sort="the view's own order, which settles ties",
        _list_relations="what SQLAdmin's own `list` loads with the rows",
        _stmt_by_identifier="the row at which a page begins",
    ),
    *_names(
        "sqladmin.pagination:Pagination",
        "features/admin/long_lists.py",
        _add_page_control="adds the link to a page, as `add_pagination_urls`, which is overridden",
    ),
    *_names(
        "sqlalchemy.sql.selectable:GenerativeSelect",
        "features/admin/long_lists.py",
        _order_by_clauses="the order of a list, which settles after which row a page begins",
    ),
    *_names(
        "sqladmin.models:ModelView",
        "features/admin/views.py",
        _build_url_for="overridden to quote keys that are text",
        _identity_for_object="the view of a related row, for its address",
        _stmt_by_identifier="overridden to answer 404 to a key that cannot be one",
    ),
    *_names(
        "sqlalchemy.dialects.postgresql.base:PGDialect",
        "database/drivers/dialect.py",
        _backslash_escapes="set from what the server said in its greeting",
        _get_default_schema_name="overridden to ask two questions in one round trip",
        _get_server_version_info="overridden to take the version from the greeting",
        _set_backslash_escapes="overridden to ask nothing",
    ),
    *_names(
        "sqlalchemy.dialects.postgresql.psycopg:PGDialectAsync_psycopg",
        "database/drivers/psycopg.py",
        _isolation_lookup="psycopg's value of an isolation level",
    ),
    *_names(
        "sqlalchemy.dialects.sqlite.aiosqlite:AsyncAdapt_aiosqlite_connection",
        "database/drivers/one_trip.py",
        _cursor_cls="the class of cursors, replaced by ours",
        _execute_mutex="held while a statement runs, as by SQLAlchemy's own cursors",
    ),
    *_names(
        "sqlalchemy.dialects.sqlite.aiosqlite:AsyncAdapt_aiosqlite_cursor",
        "database/drivers/one_trip.py",
        _adapt_connection="leads to the connection's mutex",
        _aenter_cursor="overridden: the driver's thread makes the cursor with the first statement",
        _async_soft_close="overridden: the driver's thread has closed the cursor",
        _connection="the driver's connection",
        _cursor="the driver's cursor, whose description and counts SQLAlchemy reads",
        _execute_async="overridden to execute and fetch in one trip",
        _executemany_async="as above",
        _make_new_cursor="overridden, as _aenter_cursor",
        _rows="the rows that are fetched",
    ),
    *_names(
        "sqlalchemy.types:TypeEngine",
        "database/migrations/rendered_types.py",
        _variant_mapping="the types by database, which Alembic reads too, to write both into a migration",
    ),
    *_names(
        "sqlalchemy.pool.impl:QueuePool",
        "database/pool.py",
        _dec_overflow="counts a connection out that is closed instead of returned",
        _do_return_conn="overridden to close connections beyond the pool's size only after the load has passed",
        _timeout="the time limit that the pool was made with",
    ),
)
