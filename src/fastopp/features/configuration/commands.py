"""Commands about the configuration: secrets, what is set, what can be set."""

from __future__ import annotations

import secrets as random
from typing import Annotated

import typer
from pydantic import SecretStr

from fastopp.console.main_file import project_settings
from fastopp.console.options import JsonOption
from fastopp.console.output import emit_json, fail, plain_command, print_table, say
from fastopp.settings import AppSettings, Settings, SettingsError, load_settings
from fastopp.settings.reference import env_example, markdown_table, variables

SECRET_BYTES = 32  # 256 bits, as HS256 wants (RFC 7518, 3.2)


@plain_command
def secrets() -> None:
    """Generate a SECRET_KEY and an OPS_TOKEN and print them. Writes nothing."""
    for name in ("SECRET_KEY", "OPS_TOKEN"):
        say(f"{name}={random.token_urlsafe(SECRET_BYTES)}")


@plain_command
def env(*, as_json: JsonOption = False) -> None:
    """Show the platform, how it was detected, and every setting with secrets masked. Status 2 if any is invalid."""
    kinds = project_settings()
    settings = _settings(kinds)
    values = dict(item for fields in (settings, *map(settings.of, kinds)) for item in fields)
    values["database_url"] = settings.database.masked
    shown = {variable.name: _shown(values[variable.name.lower()]) for variable in variables(kinds)}
    if as_json:
        emit_json({"platform": settings.platform.name, "evidence": settings.platform.evidence, "settings": shown})
        return
    say(f"Platform: {settings.platform.title} ({'; '.join(settings.platform.evidence)})")
    print_table(["Variable", "Value"], [[name, value] for name, value in shown.items()])


@plain_command
def settings(
    *,
    env_file: Annotated[bool, typer.Option("--env", help="Print the content of .env.example.")] = False,
) -> None:
    """Print all settings with defaults and meanings, as the Markdown table of docs/settings.md."""
    kinds = project_settings()
    typer.echo(env_example(kinds) if env_file else markdown_table(kinds), nl=False)


@plain_command
def emergency() -> None:
    """Print the token for /oppman/emergency, and how to use it."""
    from fastopp.features.emergency.grants import emergency_token  # noqa: PLC0415 - imports FastAPI

    settings = _settings(project_settings())
    say(f"Token: {emergency_token(settings)}")
    if not settings.emergency_access_enabled:
        say("1. Set EMERGENCY_ACCESS_ENABLED=true and restart; the page does not exist until then.")
    say("2. Open /oppman/emergency, enter the token, and create or recover the account within fifteen minutes.")
    say("3. Remove EMERGENCY_ACCESS_ENABLED and restart.")


def _settings(kinds: list[type[AppSettings]]) -> Settings:
    try:
        return load_settings(app_settings=kinds)
    except SettingsError as error:
        fail(error, status=2)


def _shown(value: object) -> str:
    if isinstance(value, SecretStr):
        return "set" if value.get_secret_value() else "not set"
    return str(value)
