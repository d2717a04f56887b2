"""`oppman.py user`: accounts, their sessions and their API tokens."""

from __future__ import annotations

import secrets
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.console.options import JsonOption
from fastopp.console.output import command, emit_json, fail, print_table, say
from fastopp.console.project import load_project
from fastopp.core.runtime import open_runtime
from fastopp.features.accounts import service as accounts
from fastopp.features.accounts.api_tokens import Scope, create_api_token, describe_token
from fastopp.features.accounts.client import Client
from fastopp.features.accounts.commands import list_users
from fastopp.features.accounts.factors import reset_factors
from fastopp.features.accounts.management import Role, change_rights
from fastopp.features.accounts.models import UserSession
from fastopp.features.accounts.user_sessions import SIGN_INS, list_sessions, revoke_all, revoke_session
from fastopp.features.mail.service import open_mail
from fastopp.features.sign_up.invite_command import invite

HERE = Client("command line")  # in the audit log

app = typer.Typer(help="Manage accounts, their sessions and their API tokens.", no_args_is_help=True)
token_app = typer.Typer(help="Manage the API tokens of an account.", no_args_is_help=True)
app.add_typer(token_app, name="token")
app.command("list")(list_users)
app.command("invite")(invite)

EmailArgument = Annotated[str, typer.Argument(metavar="EMAIL", help="Email address of the account.")]
IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The id, as the list shows it.")]


@asynccontextmanager
async def _transaction() -> AsyncIterator[AsyncSession]:
    project = load_project()
    async with open_runtime(project.settings, project.apps) as runtime, runtime.database.transaction() as session:
        yield session


@app.command()
@command
async def create(
    email: EmailArgument,
    *,
    role: Annotated[Role, typer.Option(help="What the account may do.")] = "user",
    group: Annotated[str | None, typer.Option(help="Its group.")] = None,
    name: Annotated[str | None, typer.Option(help="The name of its user.")] = None,
    password_stdin: Annotated[bool, typer.Option(help="Read the password from standard input.")] = False,
    generate: Annotated[bool, typer.Option(help="Generate a password and print it.")] = False,
) -> None:
    """Create an account. Prompts for the password without showing it."""
    if generate:
        password = secrets.token_urlsafe(12)
    elif password_stdin:
        password = sys.stdin.readline().rstrip("\n")
    else:
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    async with _transaction() as session:
        user = await accounts.create_user(
            session,
            email=email,
            password=password,
            is_staff=role != "user",
            is_superuser=role == "superuser",
            group=group,
            name=name,
        )
    say(f"The account {user.email} was created.")
    if generate:
        say(f"Its password, shown this once: {password}")


@app.command("set-role")
@command
async def set_role(email: EmailArgument, role: Annotated[Role, typer.Argument(help="The new role.")]) -> None:
    """Make an account a plain user, staff or superuser."""
    await _change(email, {"is_staff": role != "user", "is_superuser": role == "superuser"})
    say(f"The role of {email} is {role}.")


@app.command()
@command
async def disable(email: EmailArgument) -> None:
    """Deactivate an account, which ends its sessions and API tokens at once."""
    await _change(email, {"is_active": False})
    say(f"The account {email} is deactivated, and signed out everywhere.")


@app.command()
@command
async def enable(email: EmailArgument) -> None:
    """Activate an account."""
    await _change(email, {"is_active": True})
    say(f"The account {email} is active.")


@app.command()
@command
async def delete(
    email: EmailArgument, *, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False
) -> None:
    """Delete an account and what belongs to it, as its user could. Its changes stay in the audit log."""
    from fastopp.features.account.deletion import delete_account  # noqa: PLC0415 - that feature depends on this one

    if not yes:
        typer.confirm(f"Delete {email} for good?", abort=True)
    project = load_project()
    async with open_runtime(project.settings, project.apps) as runtime, runtime.database.transaction() as session:
        user = await accounts.get_user(session, email)
        await delete_account(session, user.id, runtime.apps, HERE)
    say(f"The account {email} is deleted.")


@app.command()
@command
async def sessions(email: EmailArgument, *, as_json: JsonOption = False) -> None:
    """List the browsers and programs that are signed in to an account."""
    rows = await _sessions_of(email, token=False)
    if as_json:
        emit_json([row.model_dump(mode="json", exclude={"secret_digest", "name", "scopes"}) for row in rows])
        return
    shown = [[str(row.id), row.kind, _time(row.last_seen_at), row.address or "", row.user_agent or ""] for row in rows]
    print_table(["Id", "Kind", "Last seen", "Address", "Program"], shown)


@app.command("sign-out")
@command
async def sign_out(
    email: EmailArgument,
    *,
    session: Annotated[str | None, typer.Option(help="Only the session with this id.")] = None,
) -> None:
    """End every session and API token of an account, or one session."""
    async with _transaction() as transaction:
        user = await accounts.get_user(transaction, email)
        if session is not None:
            await revoke_session(transaction, user, _id(session), HERE)
            message = f"The session of {user.email} has ended."
        else:
            ended = await revoke_all(transaction, user, HERE)
            message = f"{user.email} is signed out everywhere; {ended} sessions and API tokens have ended."
    say(message)


@app.command("reset-factor")
@command
async def reset_factor(email: EmailArgument) -> None:
    """Remove the second factor, the recovery codes and the passkeys of an account, which ends its sessions."""
    project = load_project()
    async with open_runtime(project.settings, project.apps) as runtime, runtime.database.transaction() as session:
        user = await accounts.get_user(session, email)
        await reset_factors(session, user, by=None, client=HERE, mail=open_mail(runtime, session))
    say(f"{user.email} signs in with the password alone now, and is signed out everywhere.")


@app.command("renew-factors")
@command
async def renew_factors() -> None:
    """Encrypt the secrets of second factors with SECRET_KEY that are encrypted with SECRET_KEY_PREVIOUS."""
    from fastopp.features.second_factor.renewal import Renewal, renew_some  # noqa: PLC0415 - only this command

    project, renewal = load_project(), Renewal()
    async with open_runtime(project.settings, project.apps) as runtime:
        while renewal.after is not None:
            await renew_some(runtime.database, project.settings, renewal)
    say(renewal.message)


@token_app.command("create")
@command
async def create_token(
    email: EmailArgument,
    name: Annotated[str, typer.Argument(help="What the token is for.")],
    *,
    write: Annotated[bool, typer.Option("--write", help="It may change data.")] = False,
    operations: Annotated[bool, typer.Option("--operations", help="It may run operations, for a superuser.")] = False,
    days: Annotated[int | None, typer.Option(min=1, help="Days until it expires; without it, never.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Create an API token, which may read, and print it, this once."""
    added: list[tuple[Scope, bool]] = [("read", True), ("write", write), ("operations", operations)]
    scopes = [scope for scope, wanted in added if wanted]
    lifetime = None if days is None else timedelta(days=days)
    async with _transaction() as session:
        user = await accounts.get_user(session, email)
        made = await create_api_token(session, user, name, scopes, HERE, lifetime=lifetime)
    if as_json:
        emit_json(describe_token(made.row).model_dump(mode="json") | {"token": made.text})
    else:
        say(made.text)


@token_app.command("list")
@command
async def list_tokens(email: EmailArgument, *, as_json: JsonOption = False) -> None:
    """List the API tokens of an account, without their secrets."""
    rows = await _sessions_of(email, token=True)
    if as_json:
        emit_json([describe_token(row).model_dump(mode="json") for row in rows])
        return
    shown = [
        [str(row.id), row.name or "", row.scopes or "", _time(row.last_seen_at), _time(row.expires_at)] for row in rows
    ]
    print_table(["Id", "Name", "Scopes", "Last use", "Expires"], shown)


@token_app.command("revoke")
@command
async def revoke_token(email: EmailArgument, token_id: IdArgument) -> None:
    """Revoke an API token, which is refused from now on."""
    async with _transaction() as session:
        await revoke_session(session, await accounts.get_user(session, email), _id(token_id), HERE)
    say("The token is revoked.")


async def _change(email: str, changes: dict[str, Any]) -> None:
    async with _transaction() as session:
        user = await accounts.get_user(session, email)
        await change_rights(session, None, user.id, changes)


async def _sessions_of(email: str, *, token: bool) -> list[UserSession]:
    async with _transaction() as session:
        user = await accounts.get_user(session, email)
        return list(await list_sessions(session, user.id, ("token",) if token else SIGN_INS))


def _id(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        fail("This is not an id. Copy it from the list.")


def _time(moment: datetime | None) -> str:
    return "never" if moment is None else f"{moment:%Y-%m-%d %H:%M}"
