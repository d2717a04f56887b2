"""`oppman.py user invite` and `reset-factor`, `mail test` and `mail list`, as an operator at a shell runs them."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest

from tests.services.ops_project import PRODUCTION
from tests.services.site import copy_project, run_command, succeed

SITE = {"SITE_URL": "https://shop.example.com"}
MAIL = {"MAIL_URL": "file:mails", "MAIL_FROM": "Shop <shop@example.com>"}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, seeded_project: Path) -> Path:
    folder = copy_project(tmp_path_factory.mktemp("cli") / "project")
    with (
        closing(sqlite3.connect(seeded_project / "test.db")) as source,
        closing(sqlite3.connect(folder / "test.db")) as copy,
    ):
        source.backup(copy)
    return folder


def fail(project: Path, *words: str, environ: dict[str, str] | None = None) -> str:
    """Run a command that must fail with a message; return the message."""
    done = run_command(project, "oppman.py", *words, environ=environ)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def query(project: Path, statement: str, *values: object) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(project / "test.db")) as connection, connection:
        return connection.execute(statement, values).fetchall()


def test_a_second_factor_is_reset(project: Path) -> None:
    [(user,)] = query(project, "SELECT id FROM users WHERE email = 'staff@example.com'")
    moment = "2026-01-01 00:00:00.000000"
    query(
        project,
        "INSERT INTO second_factors (user_id, secret, last_step, created_at) VALUES (?, 'x', 1, ?)",
        user,
        moment,
    )
    query(
        project,
        "INSERT INTO recovery_codes (id, user_id, digest, created_at) VALUES (?, ?, 'x', ?)",
        "1" * 32,
        user,
        moment,
    )
    query(
        project,
        "INSERT INTO sessions (id, user_id, kind, created_at) VALUES (?, ?, 'browser', ?)",
        "2" * 32,
        user,
        moment,
    )
    assert "no" in fail(project, "user", "reset-factor", "nobody@example.com")
    assert query(project, "SELECT count(*) FROM second_factors") == [(1,)]
    assert "password alone" in succeed(
        project, "oppman.py", "user", "reset-factor", "Staff@example.com", environ=SITE | MAIL
    )
    for table in ("second_factors", "recovery_codes", "sessions"):
        assert query(project, f"SELECT count(*) FROM {table} WHERE user_id = ?", user) == [(0,)], table
    actions = query(project, "SELECT action, ip_address FROM audit_logs WHERE user_id = ? ORDER BY timestamp", user)
    assert ("reset factors", "command line") in actions
    assert query(project, "SELECT recipient FROM mail_messages") == [("staff@example.com",)], "its owner hears of it"


def test_an_invitation(project: Path) -> None:
    words, to = ("user", "invite"), "mary@example.com"
    assert "SIGN_UP is closed" in fail(project, *words, to)
    invite = SITE | {"SIGN_UP": "invite"}
    printed = succeed(
        project, "oppman.py", *words, to, "--role", "staff", "--group", "sales", environ=invite | PRODUCTION
    )
    assert re.search(r"https://shop\.example\.com/\S+token=[\w.-]{40,}", printed)
    [(email, details)] = query(project, "SELECT email, details FROM account_links WHERE purpose = 'invite'")
    assert (email, json.loads(str(details))["role"]) == (to, "staff")
    assert "on its way" in succeed(project, "oppman.py", *words, "jo@example.com", environ=invite | MAIL)
    assert fail(project, *words, "no address", environ=invite | MAIL)
    assert fail(project, *words, "staff@example.com", environ=invite | MAIL)  # who has an account
    listed = json.loads(succeed(project, "oppman.py", "mail", "list", "--state", "queued", "--json"))
    [mail] = [each for each in listed if each["recipient"] == "jo@example.com"]
    assert mail["template"] == "accounts/mail/invitation"
    assert mail.keys().isdisjoint({"text", "html", "subject"})


def test_a_test_mail(project: Path) -> None:
    assert "handed over" in succeed(project, "oppman.py", "mail", "test", "jo@example.com", environ=SITE | MAIL)
    [path] = (project / "mails").glob("*.eml")
    mail = message_from_bytes(path.read_bytes(), policy=default)
    assert (mail["to"], mail["from"]) == ("jo@example.com", "Shop <shop@example.com>")
    away = SITE | MAIL | {"MAIL_URL": "smtp://shop:s3cret@localhost:1?starttls=never"}
    said = fail(project, "mail", "test", "jo@example.com", environ=away)
    assert "localhost" in said
    assert "s3cret" not in said
    assert fail(project, "mail", "test", "no address", environ=SITE | MAIL)


def test_mails_are_listed(project: Path) -> None:
    insert = """
        INSERT INTO mail_messages
            (created_at, template, recipient, reply_to, subject, text, language, message_id, state, attempts, error)
        VALUES ('2026-01-01 00:00:00.000000', 'shop/mail/order', ?, '', 'Your secret', 'A link', 'en', ?, ?, 1, ?)
    """
    for number in range(3):
        query(project, insert, f"list{number}@example.com", f"<{number}@x>", "failed" if number else "sent", "550 no")
    shown = succeed(project, "oppman.py", "mail", "list")
    assert "list0@example.com" in shown
    assert "550 no" in shown
    assert "Your secret" not in shown
    [newest] = json.loads(succeed(project, "oppman.py", "mail", "list", "--state", "failed", "--limit", "1", "--json"))
    assert newest["recipient"] == "list2@example.com"
    assert "There is no state lost" in fail(project, "mail", "list", "--state", "lost")
