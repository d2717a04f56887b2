"""Sign-up and password reset in the tests: the mails' links, and the work that a request costs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event

from fastopp.features.accounts import passwords
from fastopp.features.mail.models import MailMessage
from fastopp.testing import ManualClock
from tests.services.ops_project import PRODUCTION, Project

SITE = "https://shop.example.com"
WITH_MAIL = PRODUCTION | {"MAIL_URL": "console:", "SITE_URL": SITE}
BUDGET = timedelta(seconds=20)
PASSWORD = "correct horse battery"


async def mails(project: Project) -> list[MailMessage]:
    """The mails that were queued, in order."""
    return sorted(await project.all(MailMessage), key=lambda mail: mail.id or 0)


def path_in(mail: MailMessage) -> str:
    """The path and query of the link in a mail."""
    found = re.search(rf"^{re.escape(SITE)}(/\S+)$", mail.text or "", re.MULTILINE)
    assert found, mail.text
    return found[1]


def token_in(mail: MailMessage) -> str:
    """The token of the link in a mail."""
    return path_in(mail).partition("token=")[2]


@dataclass
class Work:
    """What a request costs."""

    queries: list[str] = field(default_factory=list)
    hashes: list[bytes] = field(default_factory=list)

    def shape(self) -> tuple[list[str], int]:
        """The statements without their values, and the number of hashes."""
        return [" ".join(query.split()[:3]) for query in self.queries], len(self.hashes)


@contextmanager
def measured(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[Work]:
    """Record the queries and the hashes of what is done inside."""
    work, engine = Work(), project.runtime.database.engine.sync_engine
    hashing, verifying = passwords._hash, passwords._verify

    def note_query(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        work.queries.append(statement)

    def note_hash(password: bytes) -> str:
        work.hashes.append(password)
        return hashing(password)

    def note_verification(password: bytes, hashed: str) -> passwords.Verification:
        work.hashes.append(password)
        return verifying(password, hashed)

    event.listen(engine, "before_cursor_execute", note_query)
    with monkeypatch.context() as patch:
        patch.setattr(passwords, "_hash", note_hash)
        patch.setattr(passwords, "_verify", note_verification)
        yield work
    event.remove(engine, "before_cursor_execute", note_query)


def later(clock: ManualClock, **duration: float) -> None:
    """Let time pass."""
    clock.advance(timedelta(**duration).total_seconds())
