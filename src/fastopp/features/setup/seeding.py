"""Fill an empty database: tables, the first superuser, then what the project's apps bring.

Every step is one transaction and may be repeated, also by two processes at once: a step takes a lock that
ends with its transaction, looks again, and adds only what is missing.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from sqlalchemy import func
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.core.apps import SeedStep, StepResult
from fastopp.core.runtime import Runtime
from fastopp.database.migrations import migrate
from fastopp.database.migrations.errors import DataWouldBeLost
from fastopp.errors import FastOppError, NotFound
from fastopp.features.accounts.models import User
from fastopp.features.accounts.password_policy import check_new_password
from fastopp.features.accounts.passwords import hash_password
from fastopp.features.accounts.service import add_if_missing, check_email, superuser_exists
from fastopp.settings import Settings
from fastopp.storage.sweep import remove_leftovers

log = logging.getLogger(__name__)

LOCK = 0x5EEDF0BB  # any number that nothing else in the database uses for an advisory lock

DEVELOPMENT_PASSWORD = "admin123"  # noqa: S105 - published on purpose; exists on a developer's machine only
GENERATED_PASSWORD_BYTES = 15  # 20 characters, 120 bits


class UnknownStep(NotFound):
    """There is no such step."""


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """The progress of a step, as one line for people."""

    step: str
    status: Literal["running", "success", "skipped", "error"]
    message: str
    generated_password: str | None = field(default=None, repr=False)
    """Made by this step and kept nowhere else: show it once."""
    name: str = ""
    """The step's short name, like `db`."""

    def as_json(self) -> dict[str, str]:
        """The keys that clients know; without the password."""
        return {"step": self.step, "status": self.status, "message": self.message}


class InitReport(NamedTuple):
    """The result of an initialisation, step by step."""

    success: bool
    message: str
    results: list[StepOutcome]

    @property
    def generated_password(self) -> str | None:
        """The first superuser's password, if this run generated one."""
        return next((outcome.generated_password for outcome in self.results if outcome.generated_password), None)


class InitStep(NamedTuple):
    """One step of an initialisation, the framework's own or an app's."""

    name: str
    title: str
    run: Callable[[Runtime], Awaitable[StepOutcome]]
    destructive: bool = False


Progress = Callable[[StepOutcome], None]


def known_passwords_allowed(settings: Settings) -> bool:
    """Return whether accounts with published passwords may be made: on a developer's own machine only."""
    return settings.development and settings.platform.default_environment == "development"


def init_steps(runtime: Runtime) -> list[InitStep]:
    """All steps of this project in the order an initialisation takes them, destructive ones included."""
    steps = [
        InitStep("db", "Database Initialization", migrate_database),
        InitStep("superuser", "Superuser Creation", create_first_superuser),
    ]
    for app in runtime.apps:
        steps += [_app_step(step) for step in app.seed_steps()]
    return [*steps, InitStep("leftovers", "Leftover Files", remove_leftover_files)]


async def run_full_init(runtime: Runtime, *, progress: Progress | None = None) -> InitReport:
    """Run every step except destructive ones. Safe to repeat.

    Without tables no later step can work, so a failed first step ends the run; any other failure is
    reported and the rest goes on. `progress` is called as each step begins and ends.
    """
    results: list[StepOutcome] = []
    async with aclosing(full_init(runtime)) as outcomes:
        async for outcome in outcomes:
            if progress:
                progress(outcome)
            if outcome.status != "running":
                results.append(outcome)
    return init_report(results)


async def full_init(runtime: Runtime, *, done: Collection[str] = ()) -> AsyncGenerator[StepOutcome]:
    """The same, one step after the other: each step's outcome as it begins, and as it ends.

    `done` are the names of steps that an earlier run, which was interrupted, has done.
    """
    for step in init_steps(runtime):
        if step.destructive or step.name in done:
            continue
        yield StepOutcome(step.title, "running", "", name=step.name)
        outcome = await _guarded(step, runtime)
        yield outcome
        if step.name == "db" and outcome.status == "error":
            break


def init_report(results: list[StepOutcome]) -> InitReport:
    """Return the result of all steps together."""
    failed = [outcome.step for outcome in results if outcome.status == "error"]
    if failed:
        return InitReport(False, f"Initialisation is incomplete: {', '.join(failed)} failed.", results)
    return InitReport(True, "The project is initialised.", results)


async def run_step(runtime: Runtime, name: str) -> StepOutcome:
    """Run the one step of that name. Raises UnknownStep; a step's own failure is in the outcome."""
    for step in init_steps(runtime):
        if step.name == name:
            return await _guarded(step, runtime)
    names = ", ".join(step.name for step in init_steps(runtime))
    raise UnknownStep(f"There is no step {name!r}.", hint=f"This project has: {names}.")


async def migrate_database(runtime: Runtime, *, allow_drop: bool = False) -> StepOutcome:
    """Run all pending migrations. Raises DataWouldBeLost unless `allow_drop`."""
    timeout = migrate.timeout_on(runtime.settings.platform)
    done = await migrate.upgrade(runtime.database, timeout=timeout, allow_drop=allow_drop)
    if not done.applied:
        return StepOutcome("Database Initialization", "success", "All tables are there and up to date.")
    message = f"{len(done.applied)} migration(s) were applied; the database is at {done.current}."
    return StepOutcome("Database Initialization", "success", message)


async def remove_leftover_files(runtime: Runtime) -> StepOutcome:
    """Remove what interrupted uploads, and rows that are gone, left behind."""
    title = "Leftover Files"
    removed = await remove_leftovers(runtime.database.engine, runtime.storage, clock=runtime.clock)
    if not removed:
        return StepOutcome(title, "skipped", "There is nothing to remove.")
    return StepOutcome(title, "success", f"{removed} file(s) of interrupted uploads and deleted rows were removed.")


async def create_first_superuser(runtime: Runtime) -> StepOutcome:
    """Make the account of SUPERUSER_EMAIL, unless there is a superuser already.

    Its password is SUPERUSER_PASSWORD, else `admin123` on a developer's machine, else a generated one that
    the outcome carries.
    """
    title = "Superuser Creation"
    exists = StepOutcome(title, "skipped", "There is a superuser already.")
    settings = runtime.settings
    email = check_email(settings.superuser_email)
    async with runtime.database.read() as session:
        if await superuser_exists(session):
            return exists
    given = settings.superuser_password.get_secret_value()
    known = DEVELOPMENT_PASSWORD if known_passwords_allowed(settings) else ""
    generated = None if given or known else secrets.token_urlsafe(GENERATED_PASSWORD_BYTES)
    # Hashed before the transaction begins: it takes long, and others may wait for the lock.
    if given and not settings.development:
        await check_new_password(given, email)
    hashed = await hash_password(given or known or generated or "")
    user = User(email=email, hashed_password=hashed, is_superuser=True)
    async with runtime.database.transaction() as session:
        await lock(session)
        if await superuser_exists(session):
            return exists
        created = await add_if_missing(session, user)
    if not created:
        message = f"{email} has an account that is not a superuser. Give it the role, or set another SUPERUSER_EMAIL."
        return StepOutcome(title, "error", message)
    return StepOutcome(title, "success", f"The superuser {email} was created.", generated)


async def lock(session: AsyncSession) -> None:
    """Wait until no other process seeds this database; the lock ends with the session's transaction.

    SQLite needs none: `Database.transaction` begins there as the only writer.
    """
    if session.get_bind().dialect.name == "postgresql":
        await session.exec(select(func.pg_advisory_xact_lock(LOCK)))


def _app_step(step: SeedStep) -> InitStep:
    async def run(runtime: Runtime) -> StepOutcome:
        async with runtime.database.transaction() as session:
            await lock(session)
            result: StepResult = await step.run(session, runtime.storage, runtime.settings)
            if result.status == "error":
                raise StepFailed(result.message)  # rolls back
        return StepOutcome(step.title, result.status, result.message)

    return InitStep(step.name, step.title, run, step.destructive)


class StepFailed(FastOppError):
    """This step failed."""


async def _guarded(step: InitStep, runtime: Runtime) -> StepOutcome:
    """Run a step; its failure becomes its outcome, so that the steps after it still run.

    Raises DataWouldBeLost: a person has to decide before anything can go on.
    """
    try:
        return replace(await step.run(runtime), name=step.name)
    except DataWouldBeLost:
        raise
    except FastOppError as error:
        log.warning("Seed step failed", extra={"action": "seed_failed", "step": step.name, "reason": error.message})
        message = " ".join(filter(None, (error.message, error.hint)))
    except (SQLAlchemyError, OSError):
        # The driver's text may carry values; it goes to the log, not to the page.
        log.exception("Seed step failed", extra={"action": "seed_failed", "step": step.name})
        message = "The database or the storage refused it; see the log. Check that the database is migrated."
    return StepOutcome(step.title, "error", message, name=step.name)
