"""The user of a request, as dependencies for handlers: `OptionalUser`, `StaffUser`, `SuperUser`, `Operator`.

A token only identifies an account and a session. Both rows are read on every request, in one query, so that an account
that is demoted, deactivated or given a new password loses its permissions at once, and so does a session that ends.
"""

from __future__ import annotations

import hmac
import uuid
from collections.abc import Iterator
from contextlib import suppress
from typing import Annotated

from fastapi import Depends, Request
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.clock import SYSTEM_CLOCK, Clock
from fastopp.core.dependencies import (
    READ_ONLY_METHODS,
    ClockDep,
    DatabaseDep,
    PrimarySessionDep,
    SettingsDep,
    get_runtime,
)
from fastopp.database.errors import DatabaseUnavailable, TablesMissing
from fastopp.database.session import Database
from fastopp.errors import Forbidden, Unauthorized
from fastopp.features.accounts.api_tokens import APIToken, Scope, check_scope
from fastopp.features.accounts.authenticate import (
    SignedIn,
    find_before_migration,
    find_signed_in,
    note_use,
    read_credential,
)
from fastopp.features.accounts.client import client_address
from fastopp.features.accounts.lockout import TooManyAttempts, address_subject, read_standing, record_failure
from fastopp.features.accounts.models import User, UserSession
from fastopp.features.accounts.tokens import Claims, read_token
from fastopp.recording import current_work
from fastopp.settings import Settings
from fastopp.web.bearer import bearer_token
from fastopp.web.cookies import read_cookie
from fastopp.web.csrf_tokens import TOKEN_COOKIE
from fastopp.web.doors import guarded_by
from fastopp.web.own_machine import is_local_development


class NotSignedIn(Unauthorized):
    """You are not signed in."""

    hint = "Sign in at /login, or send `Authorization: Bearer <token>`."


class StaffOnly(Forbidden):
    """This is for staff."""

    hint = "Sign in with an account that is staff or superuser."


class SuperusersOnly(Forbidden):
    """This is for superusers."""

    hint = "Sign in with an account that is superuser."


class BrowsersOnly(Forbidden):
    """Tokens and sessions are managed in a browser."""

    hint = "Sign in at /login, or use `python oppman.py user`."


class NotAnOperator(Unauthorized):
    """This is for operators."""

    hint = "Sign in as a superuser, or send `Authorization: Bearer <OPS_TOKEN>`."


async def load_user(
    request: Request,
    session: AsyncSession,
    settings: Settings,
    *,
    clock: Clock = SYSTEM_CLOCK,
    scope: Scope | None = None,
) -> User | None:
    """The active user whose token the request carries. One query if there is a genuine token, else none.

    A bearer token counts alone; without one, the first genuine token of the cookie and the session. Whom another
    dependency of this request has loaded is not loaded again. Raises DatabaseUnavailable, and ScopeMissing when an
    API token may not do this: `scope`, by default `read` for safe methods and `write` for others.
    """
    signed_in: SignedIn | None = getattr(request.state, "signed_in", None)
    if signed_in is None:
        signed_in = await find_request_user(request, session, settings, clock=clock)
        if signed_in is None:
            return None
        request.state.signed_in = signed_in
        if (work := current_work.get()) is not None:
            work.user = str(signed_in.user.id)
        if signed_in.session is not None:
            note_use(get_runtime(request), signed_in.session)
    check_scope(signed_in.session, scope or ("read" if request.method in READ_ONLY_METHODS else "write"))
    return signed_in.user


async def find_request_user(
    request: Request, session: AsyncSession, settings: Settings, *, clock: Clock = SYSTEM_CLOCK
) -> SignedIn | None:
    """Return the account and the session of the request's token, regardless of its scopes."""
    credential = _credential_of(request, settings, clock)
    if credential is None:
        return None
    try:
        return await find_signed_in(session, credential, settings, clock=clock)
    except TablesMissing:
        if isinstance(credential, APIToken):
            return None
    # A superuser who is signed in has to be able to migrate. The request's own transaction may have failed just now.
    try:
        async with get_runtime(request).database.read() as separate:
            return await find_before_migration(separate, credential, settings)
    except TablesMissing:
        return None  # emptied after this token was issued: there are no accounts


def sessions_of_cookies(request: Request, settings: Settings, *, clock: Clock = SYSTEM_CLOCK) -> list[uuid.UUID]:
    """Return the ids of sessions in genuine tokens that a browser sends by itself. They may have ended."""
    read = [read_token(token, settings, clock=clock) for token in _cookie_tokens(request)]
    return [claims.session_id for claims in read if claims is not None and claims.session_id is not None]


def session_of(request: Request) -> UserSession | None:
    """Return the session of a request whose user was loaded; None for a token of an earlier release."""
    signed_in: SignedIn | None = getattr(request.state, "signed_in", None)
    return signed_in.session if signed_in else None


async def user_door(request: Request) -> User:
    """Door of `current_user`, with a separate short session."""
    runtime = get_runtime(request)
    async with runtime.database.read() as session:
        return await current_user(request, session, runtime.settings, runtime.clock)


async def staff_door(request: Request) -> User:
    """Door of `staff_user`."""
    return await staff_user(await user_door(request))


async def superuser_door(request: Request) -> User:
    """Door of `superuser`."""
    return await superuser(await user_door(request))


async def operator_door(request: Request) -> User | None:
    """Door of `operator`."""
    runtime = get_runtime(request)
    async with runtime.database.read() as session:
        return await operator(request, session, runtime.database, runtime.settings, runtime.clock)


@guarded_by(user_door)
async def current_user(request: Request, session: PrimarySessionDep, settings: SettingsDep, clock: ClockDep) -> User:
    """Dependency: the signed-in user, with or without a role. Raises NotSignedIn, DatabaseUnavailable."""
    user = request.state.user = await load_user(request, session, settings, clock=clock)
    if user is None:
        raise NotSignedIn
    return user


async def optional_user(
    request: Request, session: PrimarySessionDep, settings: SettingsDep, clock: ClockDep
) -> User | None:
    """Dependency: the signed-in user, for display. None also while the database is down."""
    try:
        user = await load_user(request, session, settings, clock=clock)
    except DatabaseUnavailable:
        user = None
    request.state.user = user
    return user


async def present_user(request: Request, user: CurrentUser) -> User:
    """Dependency: the user, in a browser. A program cannot give itself rights that last. Raises BrowsersOnly."""
    if bearer_token(request):
        raise BrowsersOnly
    return user


@guarded_by(staff_door)
async def staff_user(user: CurrentUser) -> User:
    """Dependency: staff or superuser. Raises NotSignedIn, StaffOnly, DatabaseUnavailable."""
    if not (user.is_staff or user.is_superuser):
        raise StaffOnly
    return user


@guarded_by(superuser_door)
async def superuser(user: CurrentUser) -> User:
    """Dependency: superuser. Raises NotSignedIn, SuperusersOnly, DatabaseUnavailable."""
    if not user.is_superuser:
        raise SuperusersOnly
    return user


@guarded_by(operator_door)
async def operator(
    request: Request, session: PrimarySessionDep, database: DatabaseDep, settings: SettingsDep, clock: ClockDep
) -> User | None:
    """Dependency: a superuser, the holder of OPS_TOKEN, or any client on this machine in local development.

    Returns the superuser, or None for the other two, who need no database: it may be the thing to look at.
    The right OPS_TOKEN is never locked out, or any client could stop scheduled operations; wrong ones are counted
    and soon answered 429. Raises NotAnOperator, SuperusersOnly, TooManyAttempts, DatabaseUnavailable.
    """
    request.state.user = request.state.signed_in = None  # the door looked before the body came
    if holds_ops_token(request, settings):
        return None
    bearer = bearer_token(request)
    if is_local_development(request, settings):
        user = None if bearer else await optional_user(request, session, settings, clock)
        return user if user is not None and user.is_superuser else None
    if bearer is not None and read_credential(bearer, settings, clock=clock) is None:
        # Before the request's own session asks anything: on SQLite its transaction would be in the way.
        await _count_wrong_token(database, client_address(request), clock)
        raise NotAnOperator
    user = request.state.user = await load_user(request, session, settings, clock=clock, scope="operations")
    if user is None:
        raise NotAnOperator
    if not user.is_superuser:
        raise SuperusersOnly
    return user


def holds_ops_token(request: Request, settings: Settings) -> bool:
    """Return whether the request carries OPS_TOKEN, compared in constant time; never when none is set."""
    expected, given = settings.ops_token.get_secret_value(), bearer_token(request)
    if not expected or given is None:
        return False
    return hmac.compare_digest(given.encode(errors="surrogatepass"), expected.encode())


async def _count_wrong_token(database: Database, address: str, clock: Clock) -> None:
    subject = address_subject(address, purpose="operations")
    with suppress(DatabaseUnavailable):  # the answer is "no" in any case
        async with database.transaction() as session:
            standing = await read_standing(session, subject, clock=clock)
            if standing.locked_for is None:
                await record_failure(session, subject, clock=clock)
        if standing.locked_for:
            raise TooManyAttempts(standing.locked_for)


def _credential_of(request: Request, settings: Settings, clock: Clock) -> Claims | APIToken | None:
    # A bearer token excludes the cookies: the check of form tokens leaves such a request alone.
    if bearer := bearer_token(request):
        return read_credential(bearer, settings, clock=clock)
    read = (read_token(token, settings, clock=clock) for token in _cookie_tokens(request))
    return next((claims for claims in read if claims is not None), None)


def _cookie_tokens(request: Request) -> Iterator[str]:
    session_token = request.session.get("token") if "session" in request.scope else None
    for token in (read_cookie(request, TOKEN_COOKIE), session_token):
        if isinstance(token, str) and token:
            yield token


CurrentUser = Annotated[User, Depends(current_user)]
OptionalUser = Annotated[User | None, Depends(optional_user)]
PresentUser = Annotated[User, Depends(present_user)]
StaffUser = Annotated[User, Depends(staff_user)]
SuperUser = Annotated[User, Depends(superuser)]
Operator = Annotated[User | None, Depends(operator)]
