"""Accounts, as a superuser manages them on the Oppman page."""

from __future__ import annotations

import uuid
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import JSONResponse
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.core.dependencies import ClockDep, PrimarySessionDep, SettingsDep
from fastopp.errors import Conflict, NotFound
from fastopp.features.accounts import audit
from fastopp.features.accounts import service as accounts
from fastopp.features.accounts.client import client_of
from fastopp.features.accounts.current_user import SuperUser
from fastopp.features.accounts.detached import DetachedSuperUser
from fastopp.features.accounts.models import MAX_NAME, PRIVATE, User
from fastopp.features.accounts.passwords import MAX_PASSWORD
from fastopp.features.accounts.sign_in import may_sign_in
from fastopp.features.accounts.user_sessions import revoke_all
from fastopp.settings import Settings
from fastopp.web.answers import NO_STORE, OperationRoute, is_htmx, outcome
from fastopp.web.api_docs import problems
from fastopp.web.forms import CleanText, EmptyIsNone
from fastopp.web.templating import render

CHANGED = "users-changed"  # the event on which the page loads its table of users again

GROUPS = ("admin", "marketing", "sales", "support")  # offered by the page; any other name is accepted too
NO_GROUP = "none"  # takes an account out of its group; an empty text leaves them in it
MAX_GROUP = 50  # characters

Role = Literal["user", "staff", "superuser"]

Email = Annotated[CleanText, Form(max_length=accounts.MAX_EMAIL)]
Password = Annotated[CleanText, Form(max_length=MAX_PASSWORD)]
Group = Annotated[CleanText | None, EmptyIsNone, Form(max_length=MAX_GROUP)]
Name = Annotated[CleanText | None, EmptyIsNone, Form(max_length=MAX_NAME)]

router = APIRouter(
    prefix="/oppman",
    tags=["oppman"],
    route_class=OperationRoute,
    responses=problems(400, 401, 403, 404, 409, 422, 503),
)


class UserMissing(NotFound):
    """There is no such account."""


class OwnAccount(Conflict):
    """You cannot take your own rights away."""

    hint = "Ask another superuser to do it."


class LastSuperuser(Conflict):
    """This is the last active superuser, and at least one must be able to sign in."""

    hint = "Make another account a superuser first."


@router.get("/users", summary="Every account")
async def users(request: Request, session: PrimarySessionDep, superuser: SuperUser) -> Response:
    """JSON, or the rows of the page's table for HTMX. Of more than 200 accounts, superusers and staff."""
    listing = await accounts.list_for_page(session)
    if is_htmx(request):
        context = {"users": listing.users, "complete": listing.complete, "groups": GROUPS, "no_group": NO_GROUP}
        return render(request, "ops/_users.html", context)
    answer: dict[str, Any] = {"users": [describe(user) for user in listing.users]}
    if not listing.complete:
        answer["complete"] = False
    return JSONResponse(answer, headers=NO_STORE)


@router.post("/users", summary="Create an account")
async def create_user(
    request: Request,
    session: PrimarySessionDep,
    superuser: DetachedSuperUser,
    email: Email,
    password: Password,
    role: Annotated[Role, Form()] = "user",
    group: Group = None,
    name: Name = None,
) -> Response:
    """An active account with a role and a group."""
    user = await accounts.create_user(
        session,
        email=email,
        password=password,
        is_superuser=role == "superuser",
        is_staff=role != "user",
        group=group,
        name=name,
    )
    changes = {"email": user.email, "role": role, "group": group, "name": name}
    await audit.record(session, superuser, "create", "User", user.id, changes, request)
    return outcome(request, f"The account {user.email} was created.", refresh=CHANGED, keys={"user": describe(user)})


@router.post("/users/{user_id}", summary="Change an account's rights")
async def update_user(
    request: Request,
    session: PrimarySessionDep,
    superuser: SuperUser,
    user_id: uuid.UUID,
    active: Annotated[bool | None, Form()] = None,
    role: Annotated[Role | None, EmptyIsNone, Form()] = None,
    group: Group = None,
    name: Name = None,
) -> Response:
    """Change the given values and keep the others."""
    changes: dict[str, Any] = {}
    if active is not None:
        changes["is_active"] = active
    if role is not None:
        changes |= {"is_staff": role != "user", "is_superuser": role == "superuser"}
    if group is not None:
        changes["group"] = None if group == NO_GROUP else group
    if name is not None:
        changes["name"] = name
    user = await change_rights(session, superuser, user_id, changes)
    await audit.record(session, superuser, "update", "User", user.id, changes, request)
    return outcome(request, f"The account {user.email} was changed.", refresh=CHANGED, keys={"user": describe(user)})


@router.post("/users/{user_id}/sign-out", summary="Sign an account out everywhere")
async def sign_out(
    request: Request, session: PrimarySessionDep, superuser: SuperUser, clock: ClockDep, user_id: uuid.UUID
) -> Response:
    """End its sessions and API tokens; of a superuser, emergency access too."""
    user = await session.get(User, user_id)
    if user is None:
        raise UserMissing
    ended = await revoke_all(session, user, client_of(request), by=superuser, clock=clock)
    return outcome(request, f"{user.email} is signed out everywhere.", refresh=CHANGED, keys={"sessions": ended})


@router.post("/change-password", summary="Set an account's password")
async def change_password(
    request: Request, session: PrimarySessionDep, superuser: DetachedSuperUser, email: Email, new_password: Password
) -> Response:
    """Ends every sign-in under the old password."""
    user = await accounts.change_password(session, email=email, password=new_password)
    await audit.record(session, superuser, "change password", "User", user.id, request=request)
    return outcome(request, f"The password of {user.email} was changed.")


@router.post("/user-management", summary="Check the accounts")
async def user_management(
    request: Request,
    session: PrimarySessionDep,
    settings: SettingsDep,
    superuser: SuperUser,
    command: Annotated[Literal["check_users", "test_auth", "list_users"], Form()],
) -> Response:
    """The reports of the command line, as text in `stdout`."""
    report = summarise(await accounts.list_for_page(session), command, settings)
    keys = {"stdout": report, "stderr": "", "command": command}
    return outcome(request, report.splitlines()[0], context={"output": report}, keys=keys)


async def change_rights(session: AsyncSession, actor: User | None, user_id: uuid.UUID, changes: dict[str, Any]) -> User:
    """Change `is_active`, `is_staff`, `is_superuser`, `group` or `name` of an account.

    `actor` is None for the command line. Raises UserMissing, and OwnAccount or LastSuperuser when the change would
    lock everyone out.
    """
    # Locked, so that two superusers cannot demote each other in the same moment.
    statement = select(User).where(col(User.is_superuser).is_(True), col(User.is_active).is_(True))
    superusers = (await session.exec(statement.order_by(col(User.id)).with_for_update())).all()
    user = await session.get(User, user_id)
    if user is None:
        raise UserMissing
    loses_power = user in superusers and not (
        changes.get("is_active", user.is_active) and changes.get("is_superuser", user.is_superuser)
    )
    if loses_power and actor is not None and user.id == actor.id:
        raise OwnAccount
    if loses_power and len(superusers) == 1:
        raise LastSuperuser
    for name, value in changes.items():
        setattr(user, name, value)
    session.add(user)
    await session.flush()
    return user


def describe(user: User) -> dict[str, Any]:
    """An account as JSON; never its hash."""
    return user.model_dump(mode="json", exclude=PRIVATE)


def summarise(listing: accounts.Listing, command: str, settings: Settings) -> str:
    """A report in lines of text: the first says it all."""
    everyone = listing.users
    among = "" if listing.complete else " with rights; accounts without are not listed"
    active = [user for user in everyone if user.is_active]
    if command == "test_auth":
        may = [user for user in everyone if may_sign_in(user, settings)]
        first = f"{len(may)} of {len(everyone)} account(s){among} may sign in."
        return "\n".join([first, *(user.email for user in may)])
    lines = [f"{len(everyone)} account(s){among}, {len(active)} active."]
    for user in everyone:
        role = "superuser" if user.is_superuser else "staff" if user.is_staff else "user"
        lines.append(f"{user.email}  {role}  {user.group or '-'}  {'active' if user.is_active else 'inactive'}")
    return "\n".join(lines)
