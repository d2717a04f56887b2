"""`oppman.py leapcell build`: what LeapCell's build machine runs. Later the disk cannot be written to."""

from __future__ import annotations

import asyncio
import compileall
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Collection
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from fastopp.checks.catalogue import project_checks
from fastopp.checks.check import Level, Subject
from fastopp.checks.requirement_lines import REQUIREMENTS, UNHASHED, install_commands
from fastopp.checks.runner import run_checks, select
from fastopp.console.checking import print_report, read_context
from fastopp.console.main_file import find_project_apps
from fastopp.console.output import EXIT_FAILED, fail, plain_command, say
from fastopp.core.release_id import write_release
from fastopp.platforms.leapcell import LEAPCELL


@plain_command
def leapcell_build(
    context: typer.Context,
    *,
    install: Annotated[bool, typer.Option(help="Install requirements.txt first.")] = True,
    check: Annotated[bool, typer.Option(help="Run the checks that need no network.")] = True,
) -> None:
    """Install, check, compile and compress. This is LeapCell's build command."""
    if install:
        _install()
    if check:  # before the rest, which takes longer, since it may end the build
        _check()
    say(f"This is release {write_release(Path.cwd())}.")  # of what is in git, before the rest generates more
    _compile_packages()
    _run(context, "compile")
    _compress()
    _publish()


def _run(context: typer.Context, name: str) -> None:
    """Run another command of the program."""
    program = context.find_root()
    command: Any = program.command.get_command(program, name)  # type: ignore[attr-defined] # it is a group
    context.invoke(command.callback)


def _install() -> None:
    if not Path(REQUIREMENTS).is_file():
        fail(f"There is no {REQUIREMENTS}. `python oppman.py leapcell init` writes it.")
    pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "-q"]
    if find_spec("pip") is None:  # an environment that uv has made
        uv = shutil.which("uv")
        if uv is None:
            fail("Neither pip nor uv is installed.")
        pip = [uv, "pip", "install", "-q", "--python", sys.executable]
    for command in install_commands(pip, both=Path(UNHASHED).is_file()):
        if subprocess.run(command, check=False).returncode:  # noqa: S603 - a fixed command
            fail(f"The packages in {command[-1]} could not be installed; the reason is above.")
        say(f"Installed {command[-1]}.")


def _compile_packages() -> None:
    # pip has done it, uv does not. What does not compile is no module: templates and other Pythons' examples.
    for folder in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        compileall.compile_dir(folder, quiet=2, workers=0)


def _compress() -> None:
    from fastopp.web.setup import static_folders  # noqa: PLC0415 - imports FastAPI
    from fastopp.web.statics import compress_ahead  # noqa: PLC0415 - as above

    say(f"{compress_ahead(static_folders(find_project_apps(), Path.cwd()))} static files are compressed.")


def _publish() -> None:
    from fastopp.features.static_files.commands import publish_in_build  # noqa: PLC0415 - imports FastAPI
    from fastopp.settings import read_variables  # noqa: PLC0415 - imports Pydantic

    publish_in_build(read_variables()[0])


def _check() -> None:
    context = read_context(None, platform=LEAPCELL)
    checks = select(project_checks(context), platform=LEAPCELL, subjects=_subjects(context.variables))
    report = asyncio.run(run_checks(checks, context))
    print_report(report)
    if report.at_least(Level.ERROR):
        raise typer.Exit(EXIT_FAILED)


def _subjects(variables: Collection[str]) -> list[Subject]:
    """Return the subjects that a build can check: files, and settings where the platform provides them to a build."""
    files = [Subject.MANIFEST, Subject.REQUIREMENTS, Subject.SOURCE]
    return [*files, Subject.SETTINGS, Subject.DATABASE, Subject.STORAGE] if "DATABASE_URL" in variables else files
