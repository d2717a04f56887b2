"""The site that `oppman.py remote` calls, and what its commands share."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import typer
from rich.status import Status

from fastopp.console.output import EXIT_FAILED, EXIT_MISUSED, emit_json, error_console, fail
from fastopp.console.remote_site import Answer, RemoteSite, WrongToken, describe_error
from fastopp.errors import FastOppError
from fastopp.settings.loading import read_own_variables


@dataclass(frozen=True, slots=True)
class Target:
    """The site to call, and its credentials."""

    url: str
    token_env: str
    timeout: float

    @property
    def token_at_hand(self) -> str:
        """From the environment, not from the settings: this is another site's, and `.env` is about this project."""
        return read_own_variables().get(self.token_env, "").strip()

    def token(self) -> str:
        """That, else asked for. Never an option: everyone on the machine can read those."""
        token = self.token_at_hand
        if not token and sys.stdin.isatty():
            token = str(typer.prompt("Operations token", hide_input=True, err=True)).strip()
        if not token:
            fail(
                f"There is no operations token: set {self.token_env} to the OPS_TOKEN of the site.", status=EXIT_MISUSED
            )
        return token


def backup_key(variable: str) -> str:
    """Return the key under which the site opens backups, from the environment or asked for: it is no option."""
    key = read_own_variables().get(variable, "").strip()
    if not key and sys.stdin.isatty():
        key = str(typer.prompt("BACKUP_KEY or SECRET_KEY of the site", hide_input=True, err=True)).strip()
    if not key:
        fail(f"Set {variable} to the BACKUP_KEY, or else the SECRET_KEY, of the site.", status=EXIT_MISUSED)
    return key


def chosen_target(context: typer.Context) -> Target:
    """The chosen site. The option is not marked as needed, since `--help` of a command below needs none."""
    target: Target = context.obj
    if not target.url:
        fail("Missing --url. Pass it before the subcommand: --url https://your-app.example.com.", status=EXIT_MISUSED)
    return target


def carry_out(target: Target, token: str, operation: Callable[[RemoteSite], Answer], *, as_json: bool) -> Answer:
    """Do something with the site. What goes on is shown on standard error, the answer as JSON if that is wanted."""
    began = time.monotonic()
    try:
        with error_console.status(f"Waiting for {target.url}") as waiting:
            site = RemoteSite(target.url, token, timeout=target.timeout, report=_teller(waiting, began, quiet=as_json))
            with site:
                answer = operation(site)
    except FastOppError as error:
        if as_json:
            emit_json(describe_error(error))
            raise typer.Exit(EXIT_FAILED) from None
        fail(error)
    if as_json:
        emit_json(answer)
    return answer


def token_works(site: RemoteSite) -> bool:
    """Return whether a site accepts the token."""
    try:
        site.get("/debug/leapcell")
    except WrongToken:
        return False
    return True


def _teller(waiting: Status, began: float, *, quiet: bool) -> Callable[[str], None]:
    def tell(text: str) -> None:
        line = f"{time.monotonic() - began:.0f} s: {text}"
        waiting.update(line)
        if not quiet and not error_console.is_terminal:
            error_console.print(line, markup=False)

    return tell
