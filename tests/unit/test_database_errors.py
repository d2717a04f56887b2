"""Why a database refuses, told in a sentence."""

from __future__ import annotations

import pytest

from fastopp.database.errors import unavailable


@pytest.mark.parametrize(
    "text",
    [
        "FATAL:  sorry, too many clients already",
        "FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute",
        'FATAL:  too many connections for role "app"',
        "FATAL:  no more connections allowed (max_client_conn)",  # PgBouncer's
    ],
)
def test_a_server_without_a_connection_left(text: str) -> None:
    error = unavailable("postgresql://app:***@host/db", ConnectionError(text))
    assert error.message == "The database cannot be reached at the moment. It has too many connections."
    assert error.status == 503


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('FATAL:  database "certificates" does not exist', "It has no database of that name."),
        ("FATAL: no such database: app", "It has no database of that name."),  # PgBouncer's
        ('FATAL:  role "too many" does not exist', "It refuses the user or the password."),
        ("failed to resolve host 'db': [Errno -2] Name or service not known", "The name of its host is unknown."),
    ],
)
def test_a_wrong_name(text: str, reason: str) -> None:
    assert unavailable("postgresql://app:***@host/db", ConnectionError(text)).message.endswith(f" {reason}")
