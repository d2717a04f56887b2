"""Checks of the secrets, and of what opens doors."""

from __future__ import annotations

from collections.abc import Iterator

from fastopp.checks.check import Problem, Scope, Subject, check
from fastopp.checks.context import CheckContext
from fastopp.features.setup.seeding import DEVELOPMENT_PASSWORD, TEST_PASSWORD
from fastopp.platforms.local import LOCAL
from fastopp.settings.weak_secrets import weakness_of_key

PUBLISHED_PASSWORDS = (DEVELOPMENT_PASSWORD, TEST_PASSWORD)

_PRINT_SECRETS = "Run `python oppman.py secrets` and set the line that it prints."


@check("fastopp.E001", "SECRET_KEY is missing, short or published", fix=_PRINT_SECRETS, subject=Subject.SETTINGS)
def secret_key(context: CheckContext) -> Iterator[Problem]:
    """Sessions and tokens are signed with it. Whoever knows or guesses it can sign in as anybody."""
    for problem in context.problems_of("SECRET_KEY"):
        yield Problem(f"SECRET_KEY: {problem.what}", problem.fix)


@check("fastopp.E002", "OPS_TOKEN or BACKUP_KEY can be guessed", fix=_PRINT_SECRETS, subject=Subject.SETTINGS)
def short_secrets(context: CheckContext) -> Iterator[Problem]:
    """The first runs operations without an account, the second decrypts backups."""
    for problem in context.problems_of("OPS_TOKEN", "BACKUP_KEY"):
        yield Problem(f"{problem.variable}: {problem.what}", problem.fix)


@check(
    "fastopp.W003",
    "No OPS_TOKEN where there is no shell",
    fix="Run `python oppman.py secrets` and set its OPS_TOKEN line.",
    subject=Subject.SETTINGS,
)
def no_ops_token(context: CheckContext) -> Iterator[Problem]:
    """Without it a script cannot migrate, initialise or back up; only a superuser's browser can."""
    if not context.platform.shell and not context.settings.ops_token.get_secret_value():
        yield Problem(f"OPS_TOKEN is not set, and {context.platform.title} has no shell.")


@check(
    "fastopp.W004",
    "Emergency access is open",
    fix="Remove EMERGENCY_ACCESS_ENABLED once nobody needs it.",
    subject=Subject.SETTINGS,
)
def emergency_access(context: CheckContext) -> Iterator[Problem]:
    """The page makes superusers for whoever has the emergency token. It is meant for fifteen minutes."""
    if context.settings.emergency_access_enabled and not context.settings.development:
        yield Problem("EMERGENCY_ACCESS_ENABLED is on.")


@check(
    "fastopp.W005",
    "Debug logging in production",
    fix="Remove DEBUG, and set LOG_LEVEL to info.",
    subject=Subject.SETTINGS,
)
def debug(context: CheckContext) -> Iterator[Problem]:
    """Every SQL statement goes to the log. That is slow, fills it, and shows how the application works."""
    settings = context.settings
    if settings.development:
        return
    if settings.debug:
        yield Problem("DEBUG is on.")
    elif settings.log_level == "debug":
        yield Problem("LOG_LEVEL is debug.")


@check(
    "fastopp.E006",
    "Development settings on a hosting platform",
    fix="Remove ENVIRONMENT, or set it to production.",
    subject=Subject.SETTINGS,
)
def development(context: CheckContext) -> Iterator[Problem]:
    """In development everybody knows the passwords, and operations need no token from this machine."""
    if context.platform.name != LOCAL.name and context.settings.development:
        yield Problem(f"ENVIRONMENT is development, and this is {context.platform.title}.")


@check(
    "fastopp.E007",
    "Another setting has a mistake",
    fix="docs/settings.md says what each setting takes.",
    subject=Subject.SETTINGS,
)
def other_settings(context: CheckContext) -> Iterator[Problem]:
    """The application does not start with it."""
    for problem in context.setting_problems:
        if not problem.variable.startswith(_CHECKED_ELSEWHERE):
            yield Problem(f"{problem.variable}: {problem.what}", problem.fix)


_CHECKED_ELSEWHERE = ("SECRET_KEY", "OPS_TOKEN", "BACKUP_KEY", "DATABASE_", "S3_")


@check(
    "fastopp.W008",
    "Nothing wakes tasks",
    fix="Set LEAPCELL_ASYNC_URL, or have a scheduler call /async/drain (docs/tasks.md).",
    subject=Subject.SETTINGS,
    scope=Scope.LEAPCELL,
)
def no_wake(context: CheckContext) -> Iterator[Problem]:
    """Nothing runs between requests there. A task then waits until somebody opens its page or a scheduler calls."""
    if not context.platform.background_cpu and not context.settings.leapcell_async_url:
        yield Problem("LEAPCELL_ASYNC_URL is not set.")


@check(
    "fastopp.E009",
    "The first superuser's password is published",
    fix="Remove SUPERUSER_PASSWORD: one is generated and shown once.",
    subject=Subject.SETTINGS,
)
def superuser_password(context: CheckContext) -> Iterator[Problem]:
    """The passwords of the demo accounts stand in the docs. Whoever comes first with one could do everything."""
    settings = context.settings
    if not settings.development and settings.superuser_password.get_secret_value() in PUBLISHED_PASSWORDS:
        yield Problem("SUPERUSER_PASSWORD is one that the docs publish.")


@check(
    "fastopp.W010",
    "A secret is weak",
    fix=_PRINT_SECRETS,
    subject=Subject.SETTINGS,
)
def weak_secrets(context: CheckContext) -> Iterator[Problem]:
    """It is long enough, and still easy to guess: words, rows of the keyboard, or a repetition."""
    settings = context.settings
    if settings.development:
        return
    for name in ("secret_key", "ops_token", "backup_key"):
        value = getattr(settings, name).get_secret_value()
        if value and (why := weakness_of_key(value)):
            yield Problem(f"{name.upper()}: {why}")
