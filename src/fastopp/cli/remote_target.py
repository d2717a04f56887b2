"""The site that `oppman.py remote` calls."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import typer

from fastopp.console.output import EXIT_MISUSED, fail
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
