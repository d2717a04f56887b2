"""The beginning and the end of a sign-in: its row, what the browser's session holds, and the token's cookie."""

from __future__ import annotations

import logging

from fastapi import Request, Response
from sqlmodel import col, delete

from fastopp.core.runtime import Runtime
from fastopp.database.errors import DatabaseUnavailable, TablesMissing
from fastopp.features.accounts import audit
from fastopp.features.accounts.client import client_of
from fastopp.features.accounts.current_user import find_request_user, sessions_of_cookies
from fastopp.features.accounts.devices import remember_device
from fastopp.features.accounts.models import SessionKind, User, UserSession
from fastopp.features.accounts.tokens import issue_token, token_lifetime
from fastopp.features.accounts.user_sessions import (
    SessionMissing,
    add_session,
    end_emergency,
    end_old_tokens,
    revoke_session,
)
from fastopp.web.cookies import delete_cookie, set_cookie
from fastopp.web.csrf_tokens import TOKEN_COOKIE

log = logging.getLogger(__name__)


async def open_session(request: Request, user: User, kind: SessionKind, runtime: Runtime) -> str:
    """Put a sign-in on record, and return its token. A browser's sign-in before it ends.

    Raises AccountChanged, DatabaseUnavailable.
    """
    settings, clock, client = runtime.settings, runtime.clock, client_of(request)
    before = [] if kind != "browser" else sessions_of_cookies(request, settings, clock=clock)
    async with runtime.database.transaction() as session:
        row = await add_session(session, user, kind, client, lifetime=token_lifetime(settings), clock=clock)
        if before:
            await session.exec(delete(UserSession).where(col(UserSession.id).in_(before)))
        await audit.record(session, user, "sign in", "User", user.id, {"kind": kind}, client=client)
    return issue_token(user, settings, row.id, clock=clock)


async def begin_session(request: Request, response: Response, user: User, runtime: Runtime) -> None:
    """Sign the browser in: a session that keeps nothing of the one before, and the token's cookie.

    Nothing reads rights from the session: its entries are for templates and programs that FastOpp 0.4.8 served.
    Raises AccountChanged, DatabaseUnavailable.
    """
    settings = runtime.settings
    token = await open_session(request, user, "browser", runtime)
    request.session.clear()
    request.session.update(
        {
            "token": token,
            "is_authenticated": True,
            "is_superuser": user.is_superuser,
            "is_staff": user.is_staff,
            "user_id": str(user.id),
            "user_email": user.email,
            "group": user.group,
        }
    )
    for app in runtime.apps:
        request.session.update({key: entry(user) for key, entry in app.session_entries().items()})
    set_cookie(request, response, TOKEN_COOKIE, token, max_age=int(token_lifetime(settings).total_seconds()))
    remember_device(request, response, user, settings)


async def end_session(request: Request, response: Response, runtime: Runtime) -> None:
    """Sign the browser out: its session ends at once, and everything in the cookie goes, emergency access included.

    A browser is signed out even while the database is down; a copy of its token is then good until it expires.
    """
    try:
        await _revoke_own(request, runtime)
        await end_emergency(runtime.database, request.session)
    except (DatabaseUnavailable, TablesMissing) as error:
        log.warning("A session was not revoked: %s", type(error).__name__, extra={"action": "sign_out_unrecorded"})
    forget_cookies(request, response)


def forget_cookies(request: Request, response: Response) -> None:
    """Have the browser forget its token and everything in the session."""
    request.session.clear()
    delete_cookie(request, response, TOKEN_COOKIE)


async def _revoke_own(request: Request, runtime: Runtime) -> None:
    settings, clock, client = runtime.settings, runtime.clock, client_of(request)
    async with runtime.database.read() as session:
        signed_in = await find_request_user(request, session, settings, clock=clock)
    if signed_in is None:
        return
    user, row = signed_in
    if row is not None and row.kind == "token":
        return  # a program that follows a link; tokens are revoked by their owner
    async with runtime.database.transaction() as session:
        if row is None:
            await end_old_tokens(session, user, clock=clock)
            await audit.record(session, user, "sign out", "User", user.id, client=client)
            return
        try:
            await revoke_session(session, user, row.id, client, action="sign out")
        except SessionMissing:
            return  # by another tab, in the same moment
