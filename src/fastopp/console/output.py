"""Shared code of every command: where it prints, how it asks, how it fails."""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import os
import re
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NoReturn, ParamSpec, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from fastopp.core.faults import fault_of
from fastopp.core.garbage import no_last_search
from fastopp.errors import FastOppError

P = ParamSpec("P")
T = TypeVar("T")

EXIT_FAILED = 1
EXIT_MISUSED = 2

THREADS_END = 1.0  # seconds that a thread gets to end when its program does

# `soft_wrap` leaves long lines whole in a pipe, where a program reads them; a file may be called `:ok:`.
console = Console(soft_wrap=not sys.stdout.isatty(), highlight=False, emoji=False)
error_console = Console(stderr=True, soft_wrap=not sys.stderr.isatty(), highlight=False, emoji=False)

_CONTROL = re.compile("[\\x00-\\x1f\\x7f-\\x9f]")


def run_program(app: typer.Typer) -> None:
    """Run a command line and end the process, even if threads are running.

    Python would wait for each of them: for one in which a task's function never returns, and for one that Ctrl+C has
    hit at its start, before anything was printed.
    """
    try:
        app()
    except SystemExit as end:
        for thread in threading.enumerate():
            if thread is not threading.current_thread() and not thread.daemon:
                thread.join(THREADS_END)
                if thread.is_alive():
                    sys.stdout.flush()
                    sys.stderr.flush()
                    os._exit(end.code if isinstance(end.code, int) else EXIT_FAILED)
        raise
    except Exception as error:  # the edge: a mistake in the project's code is answered in two sentences
        fault = fault_of(error, Path.cwd())
        if fault is None or is_debugging():
            raise
        error_console.print(fault.message, style="red", markup=False)
        error_console.print(f"{fault.hint} DEBUG=true shows the traceback.", markup=False)
        sys.exit(EXIT_FAILED)
    finally:
        no_last_search()


def is_debugging() -> bool:
    """Return whether a traceback is wanted: DEBUG is set, be the other settings right or wrong."""
    from fastopp.settings import read_variables  # noqa: PLC0415 - imports Pydantic

    return read_variables()[0].get("DEBUG", "").lower() in ("1", "true", "yes", "on")


def command(function: Callable[P, Awaitable[T]]) -> Callable[P, T]:
    """Make an async function a Typer command; our own errors end it with one message and status 1."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        async def main() -> T:
            return await function(*args, **kwargs)

        if logging.lastResort:
            logging.lastResort.addFilter(_is_not_said_anyway)
        try:
            return asyncio.run(main())
        except FastOppError as error:
            fail(error, as_json=bool(kwargs.get("as_json")))

    return run


def plain_command(function: Callable[P, T]) -> Callable[P, T]:
    """The same for a function that needs no event loop."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except FastOppError as error:
            fail(error, as_json=bool(kwargs.get("as_json")))

    return run


def _is_not_said_anyway(record: logging.LogRecord) -> bool:
    """Whether a record is news: what the Object Storage refuses is the command's own message, or in its report."""
    return not hasattr(record, "s3_status")


def fail(error: FastOppError | str, *, status: int = EXIT_FAILED, as_json: bool = False) -> NoReturn:
    """Print what is wrong and how to fix it on standard error, and end with `status`.

    With `as_json`, a program that reads standard output gets the error there, too.
    """
    if isinstance(error, FastOppError):
        if as_json:
            emit_json({"status": "error", "message": error.message, "hint": error.hint, **error.extensions})
        complain(error)
    else:
        error_console.print(error, style="red", markup=False)
    raise typer.Exit(status)


def complain(error: FastOppError) -> None:
    """Print what is wrong and how to fix it on standard error."""
    error_console.print(error.message, style="red", markup=False)
    if error.hint:
        error_console.print(error.hint, markup=False)


def say(text: str, *, style: str | None = None) -> None:
    """Print a line for people. Markup in it is not interpreted, since it may contain user data."""
    console.print(text, style=style, markup=False)


def in_one_line(name: str) -> str:
    """Return a name with its control characters escaped as in Python, since a terminal would obey them."""
    return _CONTROL.sub(lambda found: repr(found[0])[1:-1], name)


def emit_json(value: Any) -> None:  # noqa: ANN401 - any JSON value
    """Print a value for programs."""
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something that cannot be undone; `--yes` or a "y" goes on, anything else ends with status 1."""
    if yes:
        return
    if not sys.stdin.isatty():
        fail(f"{question} No terminal to ask on: add --yes to confirm.")
    if not typer.confirm(question, default=False):
        say("Nothing was changed.")
        raise typer.Exit(EXIT_FAILED)


def print_table(columns: list[str], rows: list[list[str]], *, title: str | None = None) -> None:
    """Print rows as a table; in a pipe, as tab-separated lines that `cut` and `awk` can read."""
    if not sys.stdout.isatty():
        for row in [columns, *rows]:
            sys.stdout.write("\t".join(row) + "\n")
        return
    table = Table(*columns, title=title, title_justify="left", header_style="bold")
    for row in rows:
        table.add_row(*row)
    console.print(table)
