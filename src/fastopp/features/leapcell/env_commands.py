"""`oppman.py leapcell env`: from `.env.leapcell` to the dashboard, and whether the site has it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fastopp.console.checking import env_file_of
from fastopp.console.options import JsonOption
from fastopp.console.output import EXIT_FAILED, EXIT_MISUSED, command, emit_json, error_console, fail, print_table, say
from fastopp.console.remote_site import RemoteSite
from fastopp.features.deployment.site import TIMEOUT, compare_with
from fastopp.platforms.leapcell import LEAPCELL
from fastopp.settings import read_variables
from fastopp.settings.loading import read_own_variables

OPS_TOKEN = "OPS_TOKEN"  # noqa: S105 - the name of a variable
ENV_FILE = env_file_of(LEAPCELL)
LIMIT = LEAPCELL.max_environment or 0

app = typer.Typer(
    help="Print the variables of .env.leapcell for the dashboard, or compare them with the deployed site.",
    no_args_is_help=True,
)

FileOption = Annotated[Path, typer.Option("--env-file", help="The file with the variables.")]


@app.command()
@command
async def render(file: FileOption = ENV_FILE, *, as_json: JsonOption = False) -> None:
    """Print the variables as the dashboard takes them: no comments, no quotes, nothing empty. They are secret."""
    variables = _read(file)
    if broken := [name for name, value in variables.items() if "\n" in value]:
        fail(f"{', '.join(broken)}: a value with a line break cannot be pasted.")
    size = sum(len(f"{name}={value}".encode()) + 1 for name, value in variables.items())
    if size > LIMIT:
        fail(f"All variables together have {size:,} bytes; {LEAPCELL.title} allows {LIMIT:,}.")
    if as_json:
        emit_json(variables)
        return
    for name, value in variables.items():
        typer.echo(f"{name}={value}")
    error_console.print(f"{len(variables)} variables, {size:,} of {LIMIT:,} bytes.", markup=False)


@app.command()
@command
async def diff(
    url: Annotated[str, typer.Option(help="Address of the site. Default: SITE_URL of the file.")] = "",
    file: FileOption = ENV_FILE,
    token_env: Annotated[
        str, typer.Option(help="Name of the variable with the site's OPS_TOKEN. Default: the file's OPS_TOKEN.")
    ] = "",
    *,
    as_json: JsonOption = False,
) -> None:
    """Compare the variables with those of the deployed site, by fingerprints. Status 1 if one differs."""
    variables = _read(file)
    url = url or variables.get("SITE_URL", "")
    if not url:
        fail("Missing --url: https://your-app.example.com. SITE_URL in the file is the default.", status=EXIT_MISUSED)
    token = read_own_variables().get(token_env, "").strip() if token_env else variables.get(OPS_TOKEN, "")
    if not token:
        fail(f"There is no operations token: set {token_env or OPS_TOKEN}.", status=EXIT_MISUSED)
    with RemoteSite(url, token, timeout=TIMEOUT) as site:
        found = compare_with(site, token, variables)
    if as_json:
        emit_json({"variables": found.verdicts, "extra": found.extra})
    else:
        rows = [[name, verdict] for name, verdict in sorted(found.verdicts.items()) if verdict != "same"]
        rows += [[name, "only at the site"] for name in found.extra]
        if rows:
            print_table(["variable", "at the site"], rows)
        else:
            say(f"The site has the same {len(found.verdicts)} variables.", style="green")
    if found:
        raise typer.Exit(EXIT_FAILED)


def _read(file: Path) -> dict[str, str]:
    if not file.is_file():
        fail(f"There is no file {file}. `python oppman.py leapcell init` writes .env.leapcell.", status=EXIT_MISUSED)
    _, variables = read_variables({}, env_file=file)
    return {name: value.strip() for name, value in variables.items() if value.strip()}
