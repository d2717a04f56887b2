"""A project that runs in the process of its tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlmodel import SQLModel, select

from fastopp.cache.cache import Cache
from fastopp.clock import Clock
from fastopp.core.application import FastOpp
from fastopp.core.runtime import Runtime
from fastopp.database.session import Database
from fastopp.features.accounts.models import User
from fastopp.features.accounts.service import find_user, get_user
from fastopp.features.mail.models import MailMessage
from fastopp.settings import Settings
from fastopp.storage.base import Storage
from fastopp.tasks.queue.status import TaskStatus
from fastopp.tasks.service import TaskService
from fastopp.tasks.worker.drain import drain

Row = TypeVar("Row", bound=SQLModel)

NO_PASSWORD = "!"  # noqa: S105 - a hash that fits no password


@dataclass(frozen=True, slots=True)
class Project:
    """The application, and what it works with."""

    application: FastOpp
    """To be called as an ASGI application."""
    runtime: Runtime

    @property
    def settings(self) -> Settings:
        """The settings."""
        return self.runtime.settings

    @property
    def database(self) -> Database:
        """The database: `async with project.database.transaction() as session`."""
        return self.runtime.database

    @property
    def storage(self) -> Storage:
        """The storage of uploaded files."""
        return self.runtime.storage

    @property
    def cache(self) -> Cache:
        """The cache: `await project.cache.clear()`. With the setting CACHE_URL="off" there is none."""
        return self.runtime.shared_cache

    @property
    def tasks(self) -> TaskService:
        """The task service: `await project.tasks.queue("shop.send", order=1)`."""
        return self.runtime.tasks

    async def add(self, *rows: SQLModel) -> None:
        """Write rows to the database. They keep their values, the keys that the database gave them included."""
        async with self.database.transaction() as session:
            session.add_all(rows)

    async def all(self, model: type[Row], *conditions: Any) -> Sequence[Row]:  # noqa: ANN401 - SQLAlchemy's
        """Return a table's rows, as they are in the database now."""
        async with self.database.read() as session:
            return (await session.exec(select(model).where(*conditions))).all()

    async def mails(self, *conditions: Any) -> Sequence[MailMessage]:  # noqa: ANN401 - SQLAlchemy's
        """Return the mails that were queued, in order: `recipient`, `subject`, `text`, `html`, `state` …"""
        return sorted(await self.all(MailMessage, *conditions), key=lambda mail: mail.id or 0)

    async def drain(self) -> list[TaskStatus]:
        """Run the tasks that wait, and those that they queue; return what has become of them, in order.

        Tasks that are to start later, and periodic ones, are not run.
        """
        worked: list[TaskStatus] = []
        while waiting := await self.tasks.list(status="waiting"):
            for job in reversed(waiting):
                await drain(self.runtime, None, only=job.id, schedules=False)
                worked.append(await self.tasks.get(job.id))
        return worked

    async def user(self, who: User | str) -> User:
        """Return an account.

        Parameters
        ----------
        who: an account, added if it is new; the email address of one that is there; or a role, whose account
            `<role>@example.com` is added if it is missing: `superuser`, `staff`, `user` for no role, or a group.

        Raises
        ------
        AccountMissing: there is no account with this email address.
        """
        async with self.database.transaction() as session:
            if isinstance(who, str) and "@" in who:
                return await get_user(session, who)
            given = _account(who) if isinstance(who, str) else who
            found = await find_user(session, given.email)
            if found is None:
                session.add(given)
            return found or given


def _account(role: str) -> User:
    return User(
        email=f"{role}@example.com",
        hashed_password=NO_PASSWORD,
        is_superuser=role == "superuser",
        is_staff=role != "user",
        group=None if role in ("superuser", "staff", "user") else role,
    )


@asynccontextmanager
async def open_project(
    apps: Iterable[str], settings: Settings, *, clock: Clock, storage: Storage | None = None
) -> AsyncIterator[Project]:
    """Start a project, and stop it in the end."""
    application = FastOpp(apps, settings=settings, clock=clock, storage=storage)
    async with application.running() as started:
        yield Project(application, started.state.runtime)
