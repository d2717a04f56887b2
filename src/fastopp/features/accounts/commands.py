"""Commands about accounts, shared by oppman.py and oppdemo.py."""

from __future__ import annotations

import sys
import uuid
from typing import Annotated

import typer

from fastopp.console.options import JsonOption
from fastopp.console.output import command, emit_json, fail, print_table, say
from fastopp.console.project import Project, load_project
from fastopp.core.runtime import open_runtime
from fastopp.features.accounts import service as accounts
from fastopp.features.accounts.models import PRIVATE, User
from fastopp.features.accounts.sign_in import may_sign_in
from fastopp.features.accounts.tokens import issue_token, read_token


async def _users(project: Project | None = None) -> list[User]:
    project = project or load_project()
    async with open_runtime(project.settings, project.apps) as runtime, runtime.database.read() as session:
        return list(await accounts.list_users(session))


def _yes(flag: object) -> str:
    return "yes" if flag else "no"


def _as_dict(user: User) -> dict[str, object]:
    return user.model_dump(mode="json", exclude=PRIVATE)


@command
async def list_users(*, as_json: JsonOption = False) -> None:
    """List all accounts with their permissions."""
    users = await _users()
    if as_json:
        emit_json([_as_dict(user) for user in users])
        return
    rows = [
        [user.email, _yes(user.is_active), _yes(user.is_superuser), _yes(user.is_staff), user.group or ""]
        for user in users
    ]
    print_table(["Email", "Active", "Superuser", "Staff", "Group"], rows, title=f"{len(rows)} accounts")


@command
async def check_users() -> None:
    """Count the accounts; fails if no superuser can sign in."""
    project = load_project()
    users = await _users(project)
    able = [user for user in users if may_sign_in(user, project.settings)]
    superusers = [user for user in able if user.is_superuser]
    say(f"{len(users)} accounts: {len(able)} can sign in, {len(superusers)} of them as superusers.")
    if not superusers:
        fail("No superuser can sign in. Create one with `python oppman.py superuser`.")


@command
async def test_auth() -> None:
    """Create and verify a token for an account that can sign in. It has no session, so it opens nothing."""
    project = load_project()
    user = next((user for user in await _users(project) if may_sign_in(user, project.settings)), None)
    if user is None:
        fail("No account can sign in, so no token can be created.")
    claims = read_token(issue_token(user, project.settings, uuid.uuid4()), project.settings)
    if claims is None or not claims.fits(user, project.settings):
        fail("The created token could not be verified. Check this machine's clock.")
    say(f"Created and verified a token for {user.email}.")


@command
async def change_password(
    email: Annotated[str | None, typer.Option(help="Email address of the account; prompted for if omitted.")] = None,
    *,
    password_stdin: Annotated[bool, typer.Option(help="Read the new password from standard input.")] = False,
) -> None:
    """Set a new password for an account. Prompts for the password without showing it."""
    if email is None:
        email = typer.prompt("Email")
    if password_stdin:
        password = sys.stdin.readline().rstrip("\n")
    else:
        password = typer.prompt("New password", hide_input=True, confirmation_prompt=True)
    project = load_project()
    async with open_runtime(project.settings, project.apps) as runtime, runtime.database.transaction() as session:
        await accounts.change_password(session, email=email, password=password)
    say(f"The password of {email} was changed. Existing sessions have ended.")
