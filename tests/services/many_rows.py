"""Fill every table of the framework and the demo with many rows, by one statement each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection, inspect, text

from fastopp.features.errors.storing import MAX_EVENTS, MAX_GROUPS
from fastopp.features.monitor.columns import VALUES

_UUID: Final = {"postgresql": "gen_random_uuid()", "sqlite": "lower(hex(randomblob(16)))"}
_BEFORE: Final = {
    "postgresql": "now() - (n) * interval '1 second'",
    "sqlite": "strftime('%Y-%m-%d %H:%M:%S.000000', 'now', '-' || (n) || ' seconds')",
}
_AFTER: Final = {
    "postgresql": "now() + (n) * interval '1 minute'",
    "sqlite": "strftime('%Y-%m-%d %H:%M:%S.000000', 'now', '+' || (n) || ' minutes')",
}
_STATUS: Final = {"postgresql": "'{}'::procrastinate_job_status", "sqlite": "'{}'"}
_EVENT: Final = {"postgresql": "'{}'::procrastinate_job_event_type", "sqlite": "'{}'"}
_SECONDS: Final = {"postgresql": "extract(epoch FROM now())::bigint", "sqlite": "unixepoch()"}
_MOST: Final = {"error_groups": MAX_GROUPS, "error_events": MAX_EVENTS}
_ANY_USER: Final = "(SELECT id FROM users WHERE email = 'admin@example.com')"


def fill(connection: Connection, rows: int, *, first: int = 1) -> dict[str, int]:
    """Add rows with the numbers from `first` to each table that is there; return how many each has got.

    Tables that the framework keeps small get as many as they may have.
    """
    dialect = connection.dialect.name
    there = set(inspect(connection).get_table_names())
    filled = {}
    for table, columns in _columns(dialect).items():
        if table not in there:
            continue
        number = min(rows, _MOST.get(table, rows))
        names = ", ".join(f'"{name}"' for name in columns)
        values = ", ".join(columns.values())
        last = first + number - 1
        numbers = {"postgresql": f"generate_series({first}, {last}) AS n", "sqlite": "numbers"}[dialect]
        series = (
            f"WITH RECURSIVE numbers(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM numbers WHERE n < {last}) "
            if dialect == "sqlite"
            else ""
        )
        statement = f"INSERT INTO {table} ({names}) {series}SELECT {values} FROM {numbers}"
        connection.execute(text(statement.replace(":", "\\:")))
        filled[table] = number
    return filled


def analyse(connection: Connection) -> None:
    """Let the database count what it has, as autovacuum and `PRAGMA optimize` do in time."""
    connection.execute(text("ANALYZE"))


def _columns(dialect: str) -> Mapping[str, dict[str, str]]:
    """The columns of each table, with the expression for row `n`."""
    id_, before, after = _UUID[dialect], _BEFORE[dialect], _AFTER[dialect]

    def one_of(*values: str) -> str:
        cases = " ".join(f"WHEN {number} THEN '{value}'" for number, value in enumerate(values))
        return f"CASE n % {len(values)} {cases} END"

    def when(condition: str) -> str:
        return f"({condition})"

    def made(**columns: Any) -> dict[str, str]:
        return {name.rstrip("_"): value for name, value in columns.items()}

    return {
        "users": made(
            id=id_, email="'user' || n || '@example.com'", hashed_password="'!'", is_active=when("n % 50 <> 0"),
            is_superuser=when("n % 100000 = 0"), is_staff=when("n % 1000 = 0"), name="'Name ' || n",
            group=one_of("marketing", "sales", "support"),
        ),
        "sessions": made(
            id=id_, user_id=_ANY_USER.replace("'admin@example.com'", "'user' || (1 + n % 1000) || '@example.com'"),
            kind="'browser'",
            created_at=before, expires_at=after,
        ),
        "account_links": made(
            id=id_, purpose=one_of("confirm", "reset", "invite"), email="'link' || n || '@example.com'", digest="'!'",
            created_at=before, expires_at=after,
        ),
        "audit_logs": made(
            id=id_, user_id=_ANY_USER, action=one_of("create", "update", "delete", "sign in"),
            model_name=one_of("Product", "User", "WebinarRegistrant"), record_id="'r' || n", timestamp=before,
        ),
        "failed_attempts": made(subject="'account:' || n", failures="1", last_failure=before),
        "file_evidence": made(key="'photos/' || n || '.jpg'", state="'pending'", due=after),
        "mail_messages": made(
            created_at=before, template="'accounts/mail/reset'", recipient="'m' || n || '@example.com'", subject="'Hi'",
            reply_to="''", language="'en'", message_id="'<' || n || '@x>'", state="'sent'", attempts="1", error="''",
        ),
        "products": made(
            id=id_, name="'Product ' || n", description="'The ' || n || 'th of many things, in a box of its own.'",
            price="5 + n * 7 % 900 + 0.5",
            category=one_of("Books", "Clothing", "Electronics", "Footwear", "Home & Kitchen", "Sports & Fitness"),
            in_stock=when("n % 7 <> 0"), created_at=before, updated_at=before,
        ),
        "webinar_registrants": made(
            id=id_, email="'r' || n || '@example.com'", name="'Somebody ' || n", company="'Company ' || (n % 5000)",
            webinar_title="'Webinar ' || (n % 40)", webinar_date=after.replace("(n)", "(n % 40)"),
            registration_date=before, status=one_of("registered", "confirmed", "attended", "cancelled", "no_show"),
            assigned_sales_rep="'rep' || (n % 100) || '@example.com'", group=one_of("a", "b"),
            is_public=when("n % 3 <> 0"),
            created_at=before, updated_at=before,
        ),
        "procrastinate_jobs": made(
            queue_name="'default'", task_name=one_of("mail.send", "clean-up", "backup-files"), priority="0",
            args="'{}'",
            status=f"CASE WHEN n % 1000 = 0 THEN {_STATUS[dialect].format('failed')} "
            f"ELSE {_STATUS[dialect].format('succeeded')} END",
            attempts="1", abort_requested=when("1 = 0"),
        ),
        "procrastinate_events": made(
            job_id="(SELECT max(id) FROM procrastinate_jobs) "
            "- n % (SELECT max(id) - min(id) + 1 FROM procrastinate_jobs)",
            type=_EVENT[dialect].format("succeeded"),
            at=before,
        ),
        "task_requests": made(digest="'d' || n", task="'mail.send'", claimed_at=before),
        "task_wakes": made(nonce="'n' || n", claim="'c'", claimed_at=before, expires_at=after),
        "error_groups": made(
            fingerprint="'f' || n", type="'ValueError'", message="'No. ' || n", place="'shop.py, line ' || n",
            state=one_of("open", "resolved", "ignored"), count="n", retries="0", stored="10", first_seen=before,
            last_seen=before, release="''", resolved_from="''",
        ),
        "error_events": made(
            group_id=f"(SELECT max(id) FROM error_groups) - n % {MAX_GROUPS}", slot=f"n / {MAX_GROUPS}", number="n",
            at=before, kind="'request'", message="'No.'", traceback="'Traceback'", context="'{}'",
            request_id="'request-' || n", method="'GET'", route="'/shop'", user_id="''", task="''", release="''",
            instance="''",
        ),
        "monitor_figures": made(
            period="CASE WHEN n <= 500 THEN 0 ELSE 60 END",
            since=f"CASE WHEN n <= 500 THEN 0 ELSE ({_SECONDS[dialect]} / 60 - n / 100) * 60 END",
            kind="'request'", name="'/route/' || (n % 500)", method="'GET'", outcome="'200'",
            **dict.fromkeys(VALUES, "1"),
        ),
        "monitor_instances": made(
            id="'instance-' || n", flush="1", platform="'local'", started_at=_SECONDS[dialect],
            seen_at=f"{_SECONDS[dialect]} - n * 60", frozen_seconds="0", processor_seconds="1", memory_limit="0",
            connections="1", connections_limit="5",
        ),
        "cache_entries": made(
            key="'key-' || n", value="NULL", versions="''", size="0", fresh_until="0", kept_until="0", stamp="''",
            lease="''", leased_until="0",
        ),
        "cache_tags": made(tag="'tag-' || n", version="'v'", changed_at="0"),
    }  # fmt: skip


LARGE: Final = frozenset(_columns("sqlite")) - frozenset(_MOST)
"""The tables that have as many rows as are asked for."""
