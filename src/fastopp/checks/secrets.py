"""Checks of the secrets, and of what opens doors."""

from __future__ import annotations

from collections.abc import Iterator

from fastopp.checks.check import Problem, Scope, Subject, check
from fastopp.checks.context import CheckContext
from fastopp.platforms.settings import WAKE_VARIABLE
from fastopp.settings.weak_secrets import weakness_of_key

_PRINT_SECRETS = "Run `python oppman.py secrets` and set the line that it prints."


@check("fastopp.E001", "SECRET_KEY is missing, short or published", fix=_PRINT_SECRETS, subject=Subject.SETTINGS)
def secret_key(context: CheckContext) -> Iterator[Problem]:
    """Sessions and tokens are signed with it. Anyone who knows or guesses it can sign in to any account."""
    for problem in context.problems_of("SECRET_KEY"):
        yield Problem(f"SECRET_KEY: {problem.what}", problem.fix)


@check("fastopp.E002", "OPS_TOKEN or BACKUP_KEY can be guessed", fix=_PRINT_SECRETS, subject=Subject.SETTINGS)
def short_secrets(context: CheckContext) -> Iterator[Problem]:
    """OPS_TOKEN permits operations without an account, BACKUP_KEY decrypts backups."""
    for problem in context.problems_of("OPS_TOKEN", "BACKUP_KEY"):
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
    "fastopp.W004",
    "Emergency access is enabled",
    fix="Remove EMERGENCY_ACCESS_ENABLED when it is no longer needed.",
    subject=Subject.SETTINGS,
)
def emergency_access(context: CheckContext) -> Iterator[Problem]:
    """The holder of the emergency token can create superusers. Enable it for a few minutes only."""
    if context.settings.emergency_access_enabled and not context.settings.development:
        yield Problem("EMERGENCY_ACCESS_ENABLED is true.")


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
        if not problem.variable.startswith(_CHECKED_ELSEWHERE):
            yield Problem(f"{problem.variable}: {problem.what}", problem.fix)


_CHECKED_ELSEWHERE = ("SECRET_KEY", "OPS_TOKEN", "BACKUP_KEY", "DATABASE_", "S3_")


@check(
    "fastopp.W008",
    "Nothing starts queued tasks",
    fix=f"Set {WAKE_VARIABLE}, or have a scheduler call /async/drain (docs/tasks.md).",
    subject=Subject.SETTINGS,
    scope=Scope.DEPLOYMENT,
)
def no_wake(context: CheckContext) -> Iterator[Problem]:
    """Nothing runs between requests there. A task waits until a user opens its page or a scheduler calls."""
    if not context.platform.background_cpu and not context.settings.wake_url:
        yield Problem(f"{WAKE_VARIABLE} is not set.")


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
    for name in ("secret_key", "ops_token", "backup_key"):
        value = getattr(settings, name).get_secret_value()
        if value and (why := weakness_of_key(value)):
            yield Problem(f"{name.upper()}: {why}")
