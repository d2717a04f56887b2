"""Checks of leapcell.yaml."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath

from fastopp.checks.check import Problem, Subject, check
from fastopp.checks.context import CheckContext, is_fastopp_project
from fastopp.checks.errors import CannotCheck
from fastopp.platforms.leapcell import LEAPCELL
from fastopp.platforms.leapcell_manifest import FILE_NAME, KEYS, RUNTIMES, Manifest, ManifestError, read_manifest

DOCUMENTED = "https://docs.leapcell.io/service"
EXAMPLE = (
    "Write one with `runtime: python`, `buildCommand: pip install -r requirements.txt`, "
    "`startCommand: uvicorn main:app --host 0.0.0.0 --port 8080`, `port: 8080` and `memory: 512mb`, each on its line. "
    f"See {DOCUMENTED}."
)
LOOPBACK = ("127.0.0.1", "localhost", "::1")
COMPILES = ("oppman.py leapcell build", "oppman.py compile", "compileall")


@dataclass(frozen=True, slots=True)
class Listening:
    """The address of a start command; None: not given, or the platform's PORT."""

    host: str | None
    port: int | None


@check(
    "fastopp.E301",
    "leapcell.yaml is missing or invalid",
    fix="Run `python oppman.py leapcell init`, or fix the line.",
    subject=Subject.MANIFEST,
    scope=LEAPCELL.name,
)
def unusable(context: CheckContext) -> Iterator[Problem]:
    """It defines how the service is built and started. Memory must be 128 to 7076 MB, port a number."""
    try:
        read_manifest(context.folder)
    except ManifestError as error:
        missing = not (context.folder / FILE_NAME).is_file()
        if not is_fastopp_project(context.folder):
            yield Problem(error.message, error.hint or EXAMPLE)
        else:
            yield Problem(error.message, None if missing or not error.hint else error.hint)


@check(
    "fastopp.W302",
    "leapcell.yaml has an unknown key",
    fix=f"The keys are {', '.join(KEYS)}; runtime is one of {', '.join(RUNTIMES)}.",
    subject=Subject.MANIFEST,
    scope=LEAPCELL.name,
)
def unknown_keys(context: CheckContext) -> Iterator[Problem]:
    """There is no published list of keys. No official example uses others than these five, so they may do nothing."""
    for warning in manifest_of(context).warnings:
        if warning.startswith(FILE_NAME):
            yield Problem(warning)


@check(
    "fastopp.E303",
    "The start command listens on another port",
    fix="Set the same port in both places; every official example uses 8080.",
    subject=Subject.MANIFEST,
    scope=LEAPCELL.name,
)
def other_port(context: CheckContext) -> Iterator[Problem]:
    """LeapCell probes the port in leapcell.yaml until it answers. With another port the service never starts."""
    manifest = manifest_of(context)
    listening = listens(manifest.start_command)
    if listening.port not in (None, manifest.port):
        yield Problem(f"The start command listens on {listening.port}, leapcell.yaml says {manifest.port}.")


@check(
    "fastopp.W304",
    "The start command listens on this machine only",
    fix="Add --host 0.0.0.0 to the start command (gunicorn: -b 0.0.0.0:8080).",
    subject=Subject.MANIFEST,
    scope=LEAPCELL.name,
)
def loopback_only(context: CheckContext) -> Iterator[Problem]:
    """LeapCell's documents require 0.0.0.0. One of its examples runs without it, but this is not guaranteed."""
    host = listens(manifest_of(context).start_command).host
    if host in LOOPBACK:
        yield Problem(f"The start command listens on {host}.")


@check(
    "fastopp.W305",
    "Byte code is not compiled by the build",
    fix="Add `&& python oppman.py leapcell build --no-install` to the build command.",
    subject=Subject.MANIFEST,
    scope=LEAPCELL.name,
)
def byte_code(context: CheckContext) -> Iterator[Problem]:
    """The disk is read-only later, so every cold start compiles every module again, which takes seconds."""
    manifest = manifest_of(context)
    if manifest.runtime == "python" and not any(words in manifest.build_command for words in COMPILES):
        hint = (
            None if is_fastopp_project(context.folder) else "Add `&& python -m compileall -q .` to the build command."
        )
        yield Problem("The build command compiles no byte code.", hint)


def installs_requirements(context: CheckContext) -> bool:
    """Return whether the build installs requirements.txt: always for FastOpp, for others if the command names it."""
    if is_fastopp_project(context.folder):
        return True
    try:
        manifest = read_manifest(context.folder)
    except ManifestError:
        return False
    return manifest.runtime == "python" and "requirements.txt" in manifest.build_command


def manifest_of(context: CheckContext) -> Manifest:
    """Return the project's leapcell.yaml. Raises CannotCheck; `fastopp.E301` says why."""
    try:
        return read_manifest(context.folder)
    except ManifestError as error:
        raise CannotCheck("leapcell.yaml is invalid.") from error


def listens(command: str) -> Listening:
    """Return where a start command listens, as far as it says, or its program does by default."""
    try:
        words = shlex.split(command)
    except ValueError:
        words = command.split()
    names = {PurePath(word).name for word in words}
    host = _option(words, "--host")
    port = _option(words, "--port") or _option(words, "-p")
    for flag in ("--bind", "-b"):
        if bind := _option(words, flag):
            host, _, port = bind.rpartition(":")
            host = host or "0.0.0.0"  # noqa: S104 - what gunicorn makes of `:8080`
    if "uvicorn" in names:
        return Listening(host or "127.0.0.1", _number(port, default=8000))
    if "gunicorn" in names:
        return Listening(host or "127.0.0.1", _number(port, default=8000))
    return Listening(host, _number(port, default=None))


def _option(words: list[str], flag: str) -> str | None:
    for index, word in enumerate(words):
        if word == flag and index + 1 < len(words):
            return words[index + 1]
        if word.startswith(f"{flag}="):
            return word.partition("=")[2]
    return None


def _number(text: str | None, *, default: int | None) -> int | None:
    """The port that is written there; None for `$PORT` and the like, which LeapCell fills in."""
    if text is None:
        return default
    return int(text) if re.fullmatch(r"[0-9]{1,5}", text) else None
