"""Errors of the settings, with the fix for each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from fastopp.errors import FastOppError
from fastopp.platforms.base import Platform
from fastopp.platforms.detection import PLATFORMS
from fastopp.settings.alert_problems import find_alert_problems
from fastopp.settings.database_url import DatabaseURLError
from fastopp.settings.mail_url import MailURLError, parse_sender
from fastopp.settings.observing import ObservingSettings
from fastopp.settings.problem import SettingProblem
from fastopp.settings.regional import RegionalSettings

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

    from fastopp.settings.fields import SettingsFields

MIN_SECRET_KEY = 32  # characters; HS256 wants a key of at least 256 bits (RFC 7518, 3.2)
MIN_OPS_TOKEN = 24  # characters: of `oppman.py secrets` 144 bits, out of reach of guessing
MIN_BACKUP_KEY = 16  # characters: scrypt makes each guess dear

# Values that stand in tutorials, examples and FastOpp's own history: anyone can sign with them.
PUBLISHED_KEYS = (
    "dev_secret_key",
    "change_in_production",
    "change-in-production",
    "changeme",
    "change-me",
    "your-secret-key",
    "your_secret_key",
    "your-super-secret",
    "insecure",
    "example",
)

_ADDRESS = re.compile(r"https?://[^/?#\s]+(/[^?#\s]*)?$")
_SITE = re.compile(r"https?://[A-Za-z0-9.:\[\]_-]+(/[A-Za-z0-9._~/-]*)?")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,2}")
_HOST_NAME = re.compile(r"(\*?\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*|[0-9a-f:]*:[0-9a-f:.]*", re.IGNORECASE)

_REDIS = re.compile(r"rediss?://([^/?#\s@]*@)?[A-Za-z0-9_.:\[\]-]+(/\d{0,3})?(\?\S*)?")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\x20-\x7e]*")
_DSN = re.compile(r"https?://[^/?#@\s:]+(:[^/?#@\s]*)?@[^/?#@\s]+(/[^/?#\s]+)*/\d+")

OBJECT_STORAGE_VARIABLES = ("s3_access_key", "s3_secret_key", "s3_bucket")


class SettingsError(FastOppError):
    """The configuration has mistakes."""

    def __init__(self, problems: list[SettingProblem]) -> None:
        self.problems = problems
        count = "a mistake" if len(problems) == 1 else f"{len(problems)} mistakes"
        lines = "\n".join(f"  {problem}" for problem in problems)
        super().__init__(f"The configuration has {count}:\n{lines}")


def find_problems(settings: SettingsFields, given: Iterable[str]) -> list[SettingProblem]:
    """Everything that is wrong with settings whose single values are valid.

    `given` holds the names, in lower case, of the variables that were set.
    """
    given = frozenset(given)
    return [
        *_platform(settings),
        *_secrets(settings),
        *_database_url(settings, given),
        *_object_storage(settings, given),
        *_allowed_hosts(settings),
        *_mail(settings),
        *_languages(settings),
        *_cache(settings),
        *find_alert_problems(settings),
        *_observing(settings),
    ]


def explain_all(error: ValidationError, fields: Mapping[str, FieldInfo] = MappingProxyType({})) -> list[SettingProblem]:
    """Return every mistake in settings; for an app's, `fields` has the descriptions."""
    return [explain(details, fields) for details in error.errors(include_url=False)]


def explain(details: ErrorDetails, fields: Mapping[str, FieldInfo] = MappingProxyType({})) -> SettingProblem:
    """A pydantic error, in our words and without the value, which may be a secret."""
    field = fields.get(str(details["loc"][0])) if details["loc"] else None
    fix = (field and field.description) or "See docs/settings.md."
    variable = str(details["loc"][0]).upper() if details["loc"] else "the configuration"
    context: Mapping[str, Any] = details.get("ctx", {})
    if details["type"] == "literal_error":
        return SettingProblem(variable, "The value is not allowed.", f"Use {context['expected']}.")
    what = "Not set." if details["type"] == "missing" else f"{details['msg']}."
    return SettingProblem(variable, what, context.get("fix", fix))


def environment_too_big(variables: Mapping[str, str], platform: Platform) -> list[SettingProblem]:
    """Check the size of all variables together, as `NAME=value` and a terminator, against the platform's limit."""
    limit = platform.max_environment
    size = sum(len(f"{name}={value}".encode()) + 1 for name, value in variables.items())
    if limit is None or size <= limit:
        return []
    what = f"All variables together are {size:,} bytes; {platform.name} allows {limit:,}."
    return [SettingProblem("the environment", what, "Shorten or remove some.")]


def _platform(settings: SettingsFields) -> Iterator[SettingProblem]:
    if settings.fastopp_platform and settings.fastopp_platform.lower() not in PLATFORMS:
        yield SettingProblem("FASTOPP_PLATFORM", "Unknown platform.", f"Use one of {', '.join(PLATFORMS)}.")


def _secrets(settings: SettingsFields) -> Iterator[SettingProblem]:
    secrets = "Run `python oppman.py secrets` and set the line that it prints."
    if not settings.development and (what := _wrong_with_key(settings.secret_key.get_secret_value())):
        yield SettingProblem("SECRET_KEY", what, secrets)
    if previous := settings.secret_key_previous.get_secret_value():
        fix = "Set it to the value that SECRET_KEY had, or remove it."
        if previous == settings.secret_key.get_secret_value():
            yield SettingProblem("SECRET_KEY_PREVIOUS", "The same as SECRET_KEY.", fix)
        elif not settings.development and (what := _wrong_with_key(previous)):
            yield SettingProblem("SECRET_KEY_PREVIOUS", what, fix)
    if 0 < len(settings.ops_token.get_secret_value()) < MIN_OPS_TOKEN:
        what = f"Must be at least {MIN_OPS_TOKEN} characters, or it can be guessed."
        yield SettingProblem("OPS_TOKEN", what, secrets)
    if 0 < len(settings.backup_key.get_secret_value()) < MIN_BACKUP_KEY:
        what = f"Must be at least {MIN_BACKUP_KEY} characters, or it can be guessed."
        fix = "Use a value like the SECRET_KEY that `python oppman.py secrets` prints."
        yield SettingProblem("BACKUP_KEY", what, fix)


def _wrong_with_key(key: str) -> str:
    if not key:
        return "Not set. Sessions cannot be signed without it."
    if any(published in key.lower() for published in PUBLISHED_KEYS):
        return "This is a published example, so anyone can sign in with it."
    if len(key) < MIN_SECRET_KEY:
        return f"Must be at least {MIN_SECRET_KEY} characters (got {len(key)})."
    return "Too few different characters for a secret." if len(set(key)) < MIN_SECRET_KEY // 4 else ""


def _database_url(settings: SettingsFields, given: frozenset[str]) -> Iterator[SettingProblem]:
    if settings.platform.requires_database_url and not given & {"database_url", "database_dsn"}:
        yield SettingProblem("DATABASE_URL", "Not set.", f"Copy it from {settings.platform.database_url_source}.")
        return
    try:
        _ = settings.database
    except DatabaseURLError as error:
        yield SettingProblem("DATABASE_URL", error.message, error.hint or "")
        return
    try:
        replica = settings.read_database if isinstance(settings, RegionalSettings) else None
    except DatabaseURLError as error:
        yield SettingProblem("DATABASE_READ_URL", error.message, error.hint or "")
        return
    if replica is not None and {replica.backend, settings.database.backend} != {"postgresql"}:
        fix = "Use the URL of a PostgreSQL replica of DATABASE_URL, or remove it."
        yield SettingProblem("DATABASE_READ_URL", "Only PostgreSQL has replicas.", fix)


def _object_storage(settings: SettingsFields, given: frozenset[str]) -> Iterator[SettingProblem]:
    addresses = {
        "S3_ENDPOINT_URL": settings.s3_endpoint_url,
        "S3_CDN_URL": settings.s3_cdn_url,
        "STATIC_CDN_URL": settings.static_cdn_url,
    }
    for variable, url in addresses.items():
        if url and not _ADDRESS.match(url):
            yield SettingProblem(variable, "Not a valid URL.", "Use the https:// URL that the dashboard shows.")
    present = [name for name in OBJECT_STORAGE_VARIABLES if name in given]
    if present or settings.storage_type == "s3":
        because = f"{present[0].upper()} is set" if present else "STORAGE_TYPE is s3"
        for name in OBJECT_STORAGE_VARIABLES:
            if name not in given:
                fix = "Object Storage needs all three variables."
                yield SettingProblem(name.upper(), f"Not set, although {because}.", fix)


def _allowed_hosts(settings: SettingsFields) -> Iterator[SettingProblem]:
    names = (name.strip() for name in settings.allowed_hosts.split(","))
    if not all(_HOST_NAME.fullmatch(name) for name in names if name):
        fix = "Use names without scheme, port and path: `shop.example.com, *.shop.example.com`."
        yield SettingProblem("ALLOWED_HOSTS", "Not a list of host names.", fix)


def _languages(settings: SettingsFields) -> Iterator[SettingProblem]:
    if not all(_LANGUAGE.fullmatch(name) for name in settings.offered_languages):
        yield SettingProblem("LANGUAGES", "Not a list of languages.", "Use codes like `en, de, pt-BR`.")


def _cache(settings: SettingsFields) -> Iterator[SettingProblem]:
    url = settings.cache_url.get_secret_value()
    if url and url != "off" and not _REDIS.fullmatch(url):
        fix = "Use rediss://USER:PASSWORD@HOST:PORT, redis://HOST:PORT, off, or leave it empty for the database."
        yield SettingProblem("CACHE_URL", "Not the address of a Redis.", fix)


def _observing(settings: SettingsFields) -> Iterator[SettingProblem]:
    if not isinstance(settings, ObservingSettings):
        return
    endpoint = settings.otel_exporter_otlp_endpoint
    if endpoint and ("@" in endpoint or not _ADDRESS.match(endpoint)):
        fix = "Use an address like https://collector.example.com:4318, without user, password and query."
        yield SettingProblem("OTEL_EXPORTER_OTLP_ENDPOINT", "Not a valid URL.", fix)
    headers = settings.otlp_headers
    if len(headers) != len(list(filter(str.strip, settings.otel_exporter_otlp_headers.get_secret_value().split(",")))):
        fix = "Use NAME=VALUE, separated by commas, with commas and spaces in values percent-encoded."
        yield SettingProblem("OTEL_EXPORTER_OTLP_HEADERS", "Not a list of headers.", fix)
    elif not all(_HEADER_NAME.fullmatch(name) and _HEADER_VALUE.fullmatch(value) for name, value in headers.items()):
        yield SettingProblem("OTEL_EXPORTER_OTLP_HEADERS", "Not valid headers.", "Use ASCII characters only.")
    dsn = settings.sentry_dsn.get_secret_value()
    if dsn and not _DSN.fullmatch(dsn):
        yield SettingProblem("SENTRY_DSN", "Not a DSN.", "Copy it from the project's settings, under Client Keys.")


def _mail(settings: SettingsFields) -> Iterator[SettingProblem]:
    if settings.site_url and not _SITE.fullmatch(settings.site_url):
        yield SettingProblem(
            "SITE_URL", "Not a valid URL.", "Use the address that visitors type: https://shop.example.com"
        )
    if settings.mail_from and parse_sender(settings.mail_from) is None:
        yield SettingProblem("MAIL_FROM", "Not an email address.", "Use one like `My shop <shop@example.com>`.")
    try:
        url = settings.mail
    except MailURLError as error:
        yield SettingProblem("MAIL_URL", error.message, error.hint or "")
        return
    if url is not None and url.leaves_the_machine and not settings.mail_from:
        fix = "Use an address that the mail server lets you send from, like `My shop <shop@example.com>`."
        yield SettingProblem("MAIL_FROM", "Not set, although MAIL_URL is.", fix)
