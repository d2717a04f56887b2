"""`oppman.py remote`: a deployed project, driven over HTTP with its operations token, where there is no shell."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from fastopp.cli.remote_release import smoke_test, wait
from fastopp.cli.remote_target import Target, backup_key, carry_out, chosen_target, token_works
from fastopp.console.options import JsonOption, YesOption
from fastopp.console.output import EXIT_FAILED, confirm, print_table, say
from fastopp.console.remote_site import Answer, RemoteSite, WrongToken
from fastopp.features.database_backups.encrypted_file import encrypted

TOKEN = "OPS_TOKEN"  # noqa: S105 - the name of a variable

app = typer.Typer(
    help="Manage a deployed project without a shell: state, migrations, data, backups, tasks, errors, slow queries.",
    no_args_is_help=True,
)


@app.callback()
def remote(
    context: typer.Context,
    url: Annotated[str, typer.Option(help="Address of the site, like https://your-app.example.com.")] = "",
    token_env: Annotated[str, typer.Option(help="Name of the variable that holds the operations token.")] = TOKEN,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds to follow an operation.")] = 3600,
) -> None:
    """Drive a deployed project over HTTP. The token comes from the environment, or is asked for; it is no option."""
    context.obj = Target(url, token_env, timeout)


@app.command("status")
def status(
    context: typer.Context,
    *,
    alert: Annotated[
        bool, typer.Option("--alert", help="With the token: evaluate the rules of alerts too, and fail if one is true.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Report whether database, migrations and storage work. Status 1 if one does not. Needs no token."""
    from fastopp.cli import remote_alerts  # noqa: PLC0415 - only here

    target = chosen_target(context)

    def ask(site: RemoteSite) -> Answer:
        answer = site.health()
        if target.token_at_hand:
            answer["token"] = token_works(site)
        if alert and answer.get("token") and answer["checks"].get("database", {}).get("status") == "healthy":
            answer["alerts"] = remote_alerts.ask(site)
        return answer

    answer = carry_out(target, target.token_at_hand, ask, as_json=as_json)
    if not as_json:
        release = f", release {answer['release']}" if answer.get("release") else ""
        say(f"{target.url}: {answer.get('status')}, on {answer.get('platform', 'an unknown platform')}{release}")
        rows = [[name, str(check.get("status")), _details(check)] for name, check in answer["checks"].items()]
        print_table(["check", "status", "details"], rows)
        if "token" in answer:
            say(
                "The operations token is accepted."
                if answer["token"]
                else f"The operations token is not accepted. {WrongToken.hint}"
            )
        if "alerts" in answer:
            remote_alerts.tell(answer["alerts"])
        elif alert and "token" not in answer:
            say(f"The rules of alerts were not evaluated: {target.token_env} is not set.")
    if (
        answer.get("status") != "healthy"
        or answer.get("token") is False
        or remote_alerts.is_loud(answer.get("alerts", {}))
    ):
        raise typer.Exit(EXIT_FAILED)


app.command("wait")(wait)
app.command("check")(smoke_test)


@app.command("migrate")
def migrate(
    context: typer.Context,
    *,
    allow_drop: Annotated[bool, typer.Option("--allow-drop", help="Allow a migration that deletes data.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Run all pending migrations."""
    arguments = {"allow_drop": True} if allow_drop else None
    answer = _operate(context, lambda site: site.run("/async/migrate", arguments=arguments), as_json=as_json)
    _report(answer, as_json=as_json)


@app.command("init")
def init(context: typer.Context, *, as_json: JsonOption = False) -> None:
    """Create the tables, the first superuser and the sample data; safe to repeat. Shows a generated password once."""
    answer = _operate(context, lambda site: site.run("/async/init-demo"), as_json=as_json)
    _report(answer, as_json=as_json)
    details = answer.get("details") or {}
    if not as_json:
        for step in details.get("results", []):
            say(f"  {step.get('status')}: {step.get('step')}: {step.get('message')}")
        if password := details.get("superuser_password"):
            say(f"Superuser {details.get('superuser_email')}, password {password}", style="bold")
            say("It is shown only once. Sign in and change it at /oppman/.")


@app.command("backup")
def backup(
    context: typer.Context,
    *,
    only: Annotated[
        Literal["database", "files"] | None, typer.Option(help="Back up only the database or only the files.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Back up the database, then the uploaded files, to the site's Object Storage."""

    def run(site: RemoteSite) -> Answer:
        answer: Answer = {}
        if only != "files":  # first: then no row of the backup names a file that came later
            answer["database"] = site.run("/async/backup-database")
        if only != "database":
            answer["files"] = site.run("/admin/backup-files")
        return answer

    _report_all(_operate(context, run, as_json=as_json), as_json=as_json)


@app.command("restore")
def restore(
    context: typer.Context,
    *,
    database: Annotated[
        str | None,
        typer.Option(
            metavar="KEY|FILE",
            help="Also restore this backup of the database: a key in the Object Storage, or a local file.",
        ),
    ] = None,
    key_env: Annotated[
        str, typer.Option(help="Name of the variable with the site's BACKUP_KEY or SECRET_KEY: encrypts a file.")
    ] = "BACKUP_KEY",
    force: Annotated[bool, typer.Option("--force", help="Replace existing rows.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Also replace newer files.")] = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Restore uploaded files from the Object Storage and, with --database, a backup of the database.

    An unencrypted FILE is encrypted before it is sent.
    """
    target = chosen_target(context)
    if database:
        doing = "Replace every row in" if force else "Fill"
        confirm(f"{doing} the database of {target.url} from {database}?", yes=yes)

    def run(site: RemoteSite) -> Answer:
        answer: Answer = {}
        path = "/admin/restore-database"
        parameters: Answer = {"confirm": "RESTORE", "force": force}
        if database and Path(database).is_file():
            with encrypted(Path(database), lambda: backup_key(key_env)) as file:
                answer["database"] = site.run(path, file=file, **parameters)
        elif database:
            answer["database"] = site.run(path, key=database, **parameters)
        answer["files"] = site.run("/admin/restore-files", data={"overwrite": str(overwrite).lower()})
        return answer

    _report_all(_operate(context, run, as_json=as_json), as_json=as_json)


@app.command("tasks")
def tasks(
    context: typer.Context,
    *,
    status: Annotated[str | None, typer.Option(help="List only tasks in this state, like failed.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """List the site's tasks, newest first."""
    parameters: dict[str, Any] = {"limit": limit} | ({"status": status} if status else {})
    answer = _operate(context, lambda site: site.get("/async/tasks", **parameters), as_json=as_json)
    if not as_json:
        rows = [
            [str(task["id"]), task["name"], task["status"], task["message"] or task["error"].partition("\n")[0]]
            for task in answer.get("tasks", [])
        ]
        print_table(["task", "name", "status", "message"], rows)


@app.command("errors")
def errors(
    context: typer.Context,
    error_id: Annotated[int | None, typer.Argument(metavar="[ID]", help="Show this error and its occurrence.")] = None,
    *,
    state: Annotated[str, typer.Option(help="List errors in this state: open, resolved, ignored, all.")] = "open",
    search: Annotated[str, typer.Option(help="A request's id, or a part of the type, message or place.")] = "",
    change: Annotated[
        Literal["resolve", "ignore", "reopen"] | None, typer.Option(help="Do this with the error.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List the site's errors, the last seen first; or show, resolve, ignore or reopen one."""
    from fastopp.cli.remote_errors import ask, tell  # noqa: PLC0415 - only here

    answer = _operate(context, lambda site: ask(site, error_id, change, state, search), as_json=as_json)
    if not as_json:
        tell(answer)


@app.command("slow")
def slow(
    context: typer.Context,
    span: Annotated[Literal["hour", "day", "week"], typer.Option(help="The time up to now.")] = "week",
    *,
    as_json: JsonOption = False,
) -> None:
    """List the site's slow queries, those with the most time in total first."""
    from fastopp.cli.remote_slow import ask, tell  # noqa: PLC0415 - only here

    answer = _operate(context, lambda site: ask(site, span), as_json=as_json)
    if not as_json:
        tell(answer)


def _operate(context: typer.Context, operation: Callable[[RemoteSite], Answer], *, as_json: bool) -> Answer:
    target = chosen_target(context)
    return carry_out(target, target.token(), operation, as_json=as_json)


def _details(check: Answer) -> str:
    return ", ".join(f"{name} {value}" for name, value in check.items() if name != "status")


def _report(answer: Answer, *, as_json: bool, title: str = "") -> None:
    if not as_json:
        say(f"{title}{answer.get('message') or answer.get('status')}", style="green")


def _report_all(answers: Answer, *, as_json: bool) -> None:
    for name, answer in answers.items():
        _report(answer, as_json=as_json, title=f"{name}: ")
