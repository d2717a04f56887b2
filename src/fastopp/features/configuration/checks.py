"""Checks of the settings, and of the apps that main.py lists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fastopp.checks.check import Problem, Subject, check
from fastopp.checks.context import DATABASE, CheckContext
from fastopp.checks.faults import project_faults
from fastopp.settings.weak_secrets import weakness_of_key

SIGNING_KEYS = ("SECRET_KEY", "SECRET_KEY_PREVIOUS")
OTHER_SECRETS = ("OPS_TOKEN", "BACKUP_KEY")

_PRINT_SECRETS = "Run `python oppman.py secrets` and set the line that it prints."
_SHORTER = "Remove settings that have the default value, and settings of programs that do not run there."


@check("fastopp.E001", "SECRET_KEY is missing, short or published", fix=_PRINT_SECRETS, subject=Subject.SETTINGS)
def secret_key(context: CheckContext) -> Iterator[Problem]:
    """Sessions and tokens are signed with it. Anyone who knows or guesses it can sign in to any account."""
    for problem in context.problems_of(*SIGNING_KEYS):
        yield Problem(f"{problem.variable}: {problem.what}", problem.fix)


@check("fastopp.E002", "OPS_TOKEN or BACKUP_KEY can be guessed", fix=_PRINT_SECRETS, subject=Subject.SETTINGS)
def short_secrets(context: CheckContext) -> Iterator[Problem]:
    """OPS_TOKEN permits operations without an account, BACKUP_KEY decrypts backups."""
    for problem in context.problems_of(*OTHER_SECRETS):
        yield Problem(f"{problem.variable}: {problem.what}", problem.fix)


@check(
    "fastopp.W003",
    "No OPS_TOKEN where there is no shell",
    fix="Run `python oppman.py secrets` and set its OPS_TOKEN line.",
    subject=Subject.SETTINGS,
)
def no_ops_token(context: CheckContext) -> Iterator[Problem]:
    """Without it, scripts cannot migrate, initialise or back up; only a signed-in superuser can."""
    if not context.platform.shell and not context.settings.ops_token.get_secret_value():
        yield Problem(f"OPS_TOKEN is not set, and {context.platform.title} has no shell.")


@check(
    "fastopp.W005",
    "Debug logging in production",
    fix="Remove DEBUG, and set LOG_LEVEL to info.",
    subject=Subject.SETTINGS,
)
def debug(context: CheckContext) -> Iterator[Problem]:
    """Every SQL statement is logged. This is slow, fills the log, and reveals how the application works."""
    settings = context.settings
    if settings.development:
        return
    if settings.debug:
        yield Problem("DEBUG is true.")
    elif settings.log_level == "debug":
        yield Problem("LOG_LEVEL is debug.")


@check(
    "fastopp.E006",
    "Development settings on a hosting platform",
    fix="Remove ENVIRONMENT, or set it to production.",
    subject=Subject.SETTINGS,
)
def development(context: CheckContext) -> Iterator[Problem]:
    """In development, passwords are published, and operations from the same machine need no token."""
    if context.platform.default_environment == "production" and context.settings.development:
        yield Problem(f"ENVIRONMENT is development, and this is {context.platform.title}.")


@check(
    "fastopp.E007",
    "Another setting is invalid",
    fix="See docs/settings.md for the values of each setting.",
    subject=Subject.SETTINGS,
)
def other_settings(context: CheckContext) -> Iterator[Problem]:
    """The application does not start."""
    for problem in context.setting_problems:
        if problem.variable not in CHECKED_ELSEWHERE and not problem.variable.startswith("S3_"):
            yield Problem(f"{problem.variable}: {problem.what}", problem.fix)


CHECKED_ELSEWHERE = frozenset((*SIGNING_KEYS, *OTHER_SECRETS, *DATABASE))


@check(
    "fastopp.W010",
    "A secret is weak",
    fix=_PRINT_SECRETS,
    subject=Subject.SETTINGS,
)
def weak_secrets(context: CheckContext) -> Iterator[Problem]:
    """It is long enough, but easy to guess: common words, keyboard sequences, or a repetition."""
    settings = context.settings
    if settings.development:
        return
    for name in ("secret_key", "secret_key_previous", "ops_token", "backup_key"):
        value = getattr(settings, name).get_secret_value()
        if value and (why := weakness_of_key(value)):
            yield Problem(f"{name.upper()}: {why}")


def size_of(variables: Mapping[str, str]) -> int:
    """Names and values together, in bytes."""
    return sum(len(name.encode()) + len(value.encode()) for name, value in variables.items())


@check("fastopp.E021", "The environment is too big", fix=_SHORTER, subject=Subject.SETTINGS)
def environment_too_big(context: CheckContext) -> Iterator[Problem]:
    """The platform limits the names and values of all variables together (docs/platforms.md)."""
    size, limit = size_of(context.variables), context.platform.max_environment
    if limit is not None and size > limit:
        yield Problem(f"All variables together have {size:,} bytes; {context.platform.title} allows {limit:,}.")


@check("fastopp.W022", "The environment is nearly too big", fix=_SHORTER, subject=Subject.SETTINGS)
def environment_nearly_too_big(context: CheckContext) -> Iterator[Problem]:
    """It is not documented whether a KB of the limit is 1,000 or 1,024 bytes, and whether separators count."""
    limit = context.platform.max_environment
    if limit is None or size_of(context.variables) > limit:
        return
    size, decimal = size_of(context.variables) + 2 * len(context.variables), limit // 1024 * 1000
    if size > decimal:
        yield Problem(f"All variables together have {size:,} bytes including separators, more than {decimal:,}.")


@check(
    "fastopp.E501",
    "A module of the project cannot be used",
    fix="Fix the file that the message names.",
    subject=Subject.SOURCE,
)
def faulty_apps(context: CheckContext) -> Iterator[Problem]:
    """An import fails, modules import each other, or a file lacks what FastOpp looks for in it. The application does
    not start, or the app's commands, checks or health probes do not exist."""
    yield from context.once(project_faults)
