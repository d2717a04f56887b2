"""The lock after repeated failures: counted in the database, so that every instance knows.

A *subject* is what is counted: an account, a network that requests come from, or a browser that has signed in to the
account before. Beyond its limit it is locked for 30 seconds, twice as long after each further failure, 15 minutes at
most. Attempts made while it is locked are refused unseen and not counted, so every lock ends by itself, and an hour
without a failure wipes the slate. That leaves an attacker some hundred guesses a day at one account. A known browser
(see `devices`) is counted apart, so that they do not keep the owner out; `forget` (a new password by the command line
or emergency access) ends the lock for every other one.
"""

from __future__ import annotations

import hashlib
import math
import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, ClassVar, NamedTuple

from sqlalchemy import Insert, case
from sqlmodel import col, delete, select
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.clock import SYSTEM_CLOCK, Clock
from fastopp.database.upsert import insert
from fastopp.errors import FastOppError
from fastopp.features.accounts.models import FailedAttempt, fold_email
from fastopp.web.languages import Message
from fastopp.web.middleware.forwarded import network_of

ACCOUNT_FAILURES = 5  # before an account is locked
MAILS = 5  # to one address and for one purpose, before more are refused for a while
ADDRESS_FAILURES = 20  # before an address is; an office or a proxy may share one
FIRST_LOCK = timedelta(seconds=30)
LONGEST_LOCK = timedelta(minutes=15)
FORGOTTEN_AFTER = timedelta(hours=1)  # longer than LONGEST_LOCK, or a lock would wipe its own count
MAX_SUBJECT = 200  # characters, the column's size
PRUNED_AT_ONCE = 100  # forgotten rows removed with each failure: more than one failure adds


class TooManyAttempts(FastOppError):
    """Too many failed attempts."""

    status: ClassVar[int] = 429

    def __init__(self, wait: timedelta) -> None:
        seconds = max(1, math.ceil(wait.total_seconds()))
        super().__init__(hint=_in_words(seconds))
        self.retry_after = seconds
        self.headers = {"Retry-After": str(seconds)}


class TooManyRequests(TooManyAttempts):
    """Too many requests."""


class Subject(NamedTuple):
    """The subject that failures are counted for, and the number allowed."""

    name: str
    limit: int


class Standing(NamedTuple):
    """The time for which some subjects are still locked (None: not at all), and the names of those with failures."""

    locked_for: timedelta | None
    failed: frozenset[str]


def account_subject(email: str) -> Subject:
    """Return the account of this email address, whether or not there is one."""
    return Subject(_subject_name("account", fold_email(email)), ACCOUNT_FAILURES)


def device_subject(name: str) -> Subject:
    """Return a browser that has signed in to the account before."""
    return Subject(_subject_name("device", name), ACCOUNT_FAILURES)


def factor_subject(user_id: uuid.UUID) -> Subject:
    """Return the second factor of an account, counted apart from its password."""
    return Subject(_subject_name("second factor", str(user_id)), ACCOUNT_FAILURES)


def address_subject(address: str, *, purpose: str = "address", limit: int = ADDRESS_FAILURES) -> Subject:
    """Return the network that requests come from, counted for each purpose apart."""
    return Subject(_subject_name(purpose, network_of(address)), limit)


def mail_subject(purpose: str, email: str) -> Subject:
    """Return an address that mails of one kind are asked for, whether or not there is an account."""
    return Subject(_subject_name(f"mail for {purpose}", fold_email(email)), MAILS)


async def read_standing(session: AsyncSession, *subjects: Subject, clock: Clock = SYSTEM_CLOCK) -> Standing:
    """Return the standing of the subjects at present. One query."""
    limits = {subject.name: subject.limit for subject in subjects}
    moment = clock.now()
    rows = (await session.exec(select(FailedAttempt).where(col(FailedAttempt.subject).in_(limits)))).all()
    waits = (row.last_failure + lock_duration(row.failures, limits[row.subject]) - moment for row in rows)
    locked_for = max((wait for wait in waits if wait > timedelta()), default=None)
    return Standing(locked_for, frozenset(row.subject for row in rows))


async def refuse_locked(session: AsyncSession, *subjects: Subject, clock: Clock = SYSTEM_CLOCK) -> None:
    """Raise TooManyAttempts when any of the subjects is locked."""
    standing = await read_standing(session, *subjects, clock=clock)
    if standing.locked_for:
        raise TooManyAttempts(standing.locked_for)


async def record_failure(session: AsyncSession, *subjects: Subject, clock: Clock = SYSTEM_CLOCK) -> None:
    """Count one failure for each subject, in one statement that loses none among concurrent ones.

    Give it a separate transaction: the count must be kept although the request fails.
    """
    moment = clock.now()
    forgotten = moment - FORGOTTEN_AFTER
    await session.exec(_count(session, subjects, moment, forgotten))
    # SKIP LOCKED (nothing on SQLite, which has one writer): waiting for each other's rows could end in a deadlock.
    stale = (
        select(FailedAttempt.subject)
        .where(col(FailedAttempt.last_failure) < forgotten)
        .limit(PRUNED_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    await session.exec(delete(FailedAttempt).where(col(FailedAttempt.subject).in_(stale)))


async def count_request(session: AsyncSession, *subjects: Subject, clock: Clock = SYSTEM_CLOCK) -> None:
    """Count a request that costs something, like a mail. Raises TooManyRequests, and counts nothing, beyond the limits.

    The count is kept with the session's transaction.
    """
    standing = await read_standing(session, *subjects, clock=clock)
    if standing.locked_for:
        raise TooManyRequests(standing.locked_for)
    await record_failure(session, *subjects, clock=clock)


async def forget(session: AsyncSession, *subjects: Subject) -> None:
    """Wipe the slate of the subjects, after a success."""
    names = [subject.name for subject in subjects]
    await session.exec(delete(FailedAttempt).where(col(FailedAttempt.subject).in_(names)))


def lock_duration(failures: int, limit: int) -> timedelta:
    """Return the time for which a subject is locked after its latest failure."""
    if failures < limit:
        return timedelta()
    doublings = min(failures - limit, 16)  # far beyond LONGEST_LOCK, and no overflow
    return min(FIRST_LOCK * (1 << doublings), LONGEST_LOCK)


def _count(session: AsyncSession, subjects: Iterable[Subject], moment: datetime, forgotten: datetime) -> Insert:
    rows: list[dict[str, Any]] = [
        {"subject": subject.name, "failures": 1, "last_failure": moment} for subject in subjects
    ]
    statement = insert(session, FailedAttempt).values(rows)
    fresh = case((col(FailedAttempt.last_failure) < forgotten, 1), else_=col(FailedAttempt.failures) + 1)
    return statement.on_conflict_do_update(index_elements=["subject"], set_={"failures": fresh, "last_failure": moment})


def _subject_name(kind: str, value: str) -> str:
    """Readable where it may be: what does not fit, or is no plain text, is stored as its digest."""
    name = f"{kind}:{value}"
    if len(name) <= MAX_SUBJECT and value.isprintable():
        return name
    return f"{kind}:sha256:{hashlib.sha256(value.encode(errors='surrogatepass')).hexdigest()}"


def _in_words(seconds: int) -> str:
    if seconds == 1:
        return Message("Try again in a second.")
    if seconds < 60:
        return Message("Try again in %(seconds)s seconds.", seconds=seconds)
    minutes = math.ceil(seconds / 60)
    return (
        Message("Try again in %(minutes)s minutes.", minutes=minutes)
        if minutes > 1
        else Message("Try again in a minute.")
    )
