"""Emergency access over HTTP: the way in where there is no shell.

A first run on such a platform needs nothing else: check the database, migrate, create a superuser, sign in. The
routes exist only while EMERGENCY_ACCESS_ENABLED is true; otherwise their addresses are unknown like any other.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy import inspect, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette import status

from fastopp.core.dependencies import PrimarySessionDep, RuntimeDep
from fastopp.core.runtime import Runtime
from fastopp.errors import BadRequest, FastOppError
from fastopp.features.accounts import audit
from fastopp.features.accounts import service as accounts
from fastopp.features.accounts.client import client_address, client_of
from fastopp.features.accounts.factors import mail_of, reset_factors
from fastopp.features.accounts.management import Email, Password
from fastopp.features.accounts.models import User
from fastopp.features.emergency import grants as emergency
from fastopp.features.emergency.grants import EmergencySession
from fastopp.features.health.probes import HealthMonitor
from fastopp.features.setup.seeding import migrate_database
from fastopp.settings import Settings
from fastopp.tasks.dropping import drop_queue
from fastopp.web.answers import NO_STORE, OperationRoute, outcome
from fastopp.web.forms import CleanText
from fastopp.web.templating import render

log = logging.getLogger(__name__)

DASHBOARD = "/oppman/emergency/dashboard"
CONFIRMATION = "DROP"  # what has to be typed before every table goes
VERSION_TABLE = "alembic_version"  # left behind, later migrations would believe that nothing is to be done
CHANGED = "emergency-changed"  # the event on which the dashboard loads its state again


class NotConfirmed(BadRequest):
    """Nothing was dropped."""

    hint = f"Type {CONFIRMATION} to confirm (form field `confirm`)."


def create_router(settings: Settings) -> APIRouter:
    """The routes; none unless emergency access is enabled."""
    router = APIRouter(prefix="/oppman/emergency", tags=["emergency"], route_class=OperationRoute)
    if not settings.emergency_access_enabled:
        return router

    @router.get("", include_in_schema=False)
    async def form(request: Request, runtime: RuntimeDep) -> Response:
        if await emergency.read_grant(request, runtime):
            return _redirect(DASHBOARD)
        return render(request, "ops/emergency.html", headers=NO_STORE)

    @router.post("/verify", summary="Open emergency access for fifteen minutes")
    async def verify(
        request: Request, runtime: RuntimeDep, token: Annotated[CleanText, Form(max_length=200)]
    ) -> Response:
        address = client_address(request)
        await emergency.verify_emergency_token(runtime.database, runtime.settings, token, address, clock=runtime.clock)
        await emergency.grant(request, runtime)
        message = "Emergency access is open for fifteen minutes."
        return outcome(request, message, redirect_to=DASHBOARD, keys={"redirect_url": "/oppman/"})

    @router.get("/dashboard", include_in_schema=False)
    async def dashboard(request: Request, runtime: RuntimeDep) -> Response:
        if await emergency.read_grant(request, runtime) is None:
            return _redirect("/oppman/emergency")
        return render(request, "ops/emergency_dashboard.html", await _state(request, runtime), headers=NO_STORE)

    @router.get("/state", include_in_schema=False)
    async def state(request: Request, runtime: RuntimeDep, granted: EmergencySession) -> Response:
        return render(request, "ops/_emergency_state.html", await _state(request, runtime), headers=NO_STORE)

    @router.post("/migrate", summary="Make or update the tables")
    async def migrate(
        request: Request,
        runtime: RuntimeDep,
        granted: EmergencySession,
        allow_drop: Annotated[bool, Form(description="Allow a migration that deletes data.")] = False,  # noqa: FBT002 - a form's field
    ) -> Response:
        done = await migrate_database(runtime, allow_drop=allow_drop)
        if not granted.on_record:
            await emergency.put_on_record(request, runtime)
        log.warning("Migrated by emergency access", extra={"action": "emergency_migrate"})
        return outcome(request, done.message, refresh=CHANGED)

    @router.post("/reset-password", summary="Set an account's password")
    async def reset_password(
        request: Request, session: PrimarySessionDep, granted: EmergencySession, email: Email, new_password: Password
    ) -> Response:
        user = await emergency.reset_password(session, email=email, password=new_password)
        await audit.record(session, user, "emergency password", "User", user.id, request=request)
        return outcome(request, f"The password of {user.email} was changed.")

    @router.post("/reset-factor", summary="Reset the factors of an account")
    async def reset_factor(
        request: Request, runtime: RuntimeDep, session: PrimarySessionDep, granted: EmergencySession, email: Email
    ) -> Response:
        """Remove its second factor, recovery codes and passkeys, and end its sessions."""
        user, client, mail = (
            await accounts.get_user(session, email),
            client_of(request),
            mail_of(request, runtime, session),
        )
        await audit.record(session, user, "emergency factors", "User", user.id, request=request)
        await reset_factors(session, user, by=None, client=client, mail=mail, keep=granted.session_id)
        log.warning("Factors reset by emergency access", extra={"action": "emergency_factors"})
        return outcome(request, f"{user.email} signs in with the password alone now, and is signed out everywhere.")

    @router.post("/create-superuser", summary="Create a superuser")
    async def create_superuser(
        request: Request, runtime: RuntimeDep, granted: EmergencySession, email: Email, password: Password
    ) -> Response:
        accounts.check_email(email)
        await migrate_database(runtime)  # on a first run there are no tables yet
        if not granted.on_record:
            await emergency.put_on_record(request, runtime)
        async with runtime.database.transaction() as session:
            user = await emergency.create_superuser(session, email=email, password=password)
            await audit.record(session, user, "emergency create", "User", user.id, request=request)
        return outcome(request, f"The superuser {user.email} was created; sign in at /login.", refresh=CHANGED)

    @router.post("/drop-tables", summary="Drop every table of the project")
    async def drop(
        request: Request,
        runtime: RuntimeDep,
        granted: EmergencySession,
        confirm: Annotated[CleanText, Form(max_length=20)] = "",
    ) -> Response:
        if confirm.strip() != CONFIRMATION:
            raise NotConfirmed
        async with runtime.database.transaction() as session:
            dropped = await drop_tables(session)
        log.warning("Tables dropped by emergency access", extra={"action": "emergency_drop", "tables": dropped})
        message = f"{len(dropped)} table(s) were dropped. Migrate to create them again, empty."
        return outcome(request, message, refresh=CHANGED, keys={"tables": dropped})

    @router.post("/logout", summary="Close emergency access")
    async def logout(request: Request, runtime: RuntimeDep) -> Response:
        await emergency.revoke(request, runtime)
        return outcome(request, "Emergency access is closed.", redirect_to="/login")

    return router


async def drop_tables(session: AsyncSession) -> list[str]:
    """Drop the tables of the framework and the apps, and the record of their migrations; no others.

    Returns their names. All or nothing: both databases drop tables within a transaction.
    """
    connection = await session.connection()
    return await connection.run_sync(_drop_tables)


def _drop_tables(connection: Connection) -> list[str]:
    there = set(inspect(connection).get_table_names())
    known = [table for table in reversed(SQLModel.metadata.sorted_tables) if table.name in there]
    for table in known:
        table.drop(connection)
    queue = drop_queue(connection)
    if VERSION_TABLE in there:
        connection.execute(text(f"DROP TABLE {VERSION_TABLE}"))
    return [table.name for table in known] + queue + [VERSION_TABLE] * (VERSION_TABLE in there)


async def _state(request: Request, runtime: Runtime) -> dict[str, Any]:
    """Report the progress of the first run."""
    report = await HealthMonitor().report(runtime)
    users: Sequence[User] = []
    if report.checks["database"].healthy:
        try:
            async with runtime.database.read() as session:
                users = (await accounts.list_for_page(session)).users
        except (FastOppError, SQLAlchemyError):
            log.info("No accounts to show yet", extra={"action": "emergency_no_tables"})
    granted_at = float(request.session.get(emergency.GRANTED_AT, 0))
    return {
        "report": report,
        "users": users,
        "has_superuser": any(user.is_superuser and user.is_active for user in users),
        "minutes_left": max(0, int((granted_at + emergency.LIFETIME - runtime.clock.time()) / 60)),
        "confirmation": CONFIRMATION,
    }


def _redirect(address: str) -> RedirectResponse:
    return RedirectResponse(address, status.HTTP_302_FOUND, headers=NO_STORE)
