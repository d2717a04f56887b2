"""Every environment variable FastOpp reads: parsed once, typed, with the platform's defaults filled in.

No other module reads the environment. The field descriptions here become `.env.example` and the table
in docs/settings.md.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, SecretStr, ValidationError

from fastopp.database.url import DatabaseURL, DatabaseURLError
from fastopp.errors import FastOppError
from fastopp.platform import PLATFORMS, Platform, detect_platform

MIN_SECRET_KEY = 32  # characters; HS256 wants a key of at least 256 bits (RFC 7518, 3.2)
MIN_OPS_TOKEN = 24  # characters

# Values that stand in tutorials, examples and FastOpp's own history: anyone can sign with them.
PUBLISHED_KEYS = ("dev_secret_key", "change_in_production", "change-in-production", "changeme", "your-secret-key",
                  "your_secret_key", "your-super-secret", "insecure", "example")  # fmt: skip

_SECRET_HINT = "Run `python oppman.py secrets` and set the line that it prints."


@dataclass(frozen=True, slots=True)
class SettingProblem:
    """One mistake: which variable, what is wrong, how to mend it."""

    variable: str
    what: str
    mend: str

    def __str__(self) -> str:
        return f"{self.variable}: {self.what} {self.mend}"


class SettingsError(FastOppError):
    """The configuration has mistakes."""

    def __init__(self, problems: list[SettingProblem]) -> None:
        self.problems = problems
        lines = "\n".join(f"  {problem}" for problem in problems)
        super().__init__(f"The configuration has {len(problems)} mistake(s):\n{lines}")


class Settings(BaseModel):
    """The configuration of one process. Make it with `load_settings`; tests may make it by hand."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    platform: Platform = Field(exclude=True)

    # The application
    environment: Literal["development", "production"] = Field(
        "development",
        description="`development` or `production`; `leapcell` says production on LeapCell. "
        "Default: development on your machine, production on a hosting platform.",
    )
    secret_key: SecretStr = Field(
        SecretStr(""),
        description="Signs sessions and tokens; at least 32 characters. Required in production; "
        "on your own machine one is derived from the machine.",
    )
    debug: bool = Field(False, description="Log at debug level, SQL included (never its values).")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least severe log line shown.")
    host: str = Field("127.0.0.1", description="Address that `oppman.py runserver` listens on.")
    port: int = Field(8000, ge=1, le=65535, description="Port that `oppman.py runserver` listens on.")
    force_https: bool = Field(
        False, description="Treat every request as HTTPS, for a proxy that does not send `X-Forwarded-Proto`."
    )
    production: bool = Field(False, description="`true` is the same as `ENVIRONMENT=production`.")
    railway_environment: str = Field("", description="Set by Railway; any value means production.")
    leapcell_environment: str = Field("", description="Any value means production.")

    # The platform
    fastopp_platform: str = Field(
        "", description=f"Overrides the detection of the platform: {', '.join(f'`{n}`' for n in PLATFORMS)}."
    )
    leapcell_app_name: str = Field("", description="Any value says that this is LeapCell.")
    fly_app_name: str = Field("", description="Set by Fly.io.")

    # The database
    database_url: SecretStr = Field(
        SecretStr("sqlite+aiosqlite:///./test.db"),
        validation_alias=AliasChoices("database_url", "database_dsn"),
        description="Any SQLite or PostgreSQL URL, as your dashboard gives it. `DATABASE_DSN` is read too. "
        "Required on LeapCell.",
    )
    db_pool_size: int = Field(
        5, ge=1, le=100, description="Database connections a process keeps. Default: 2 on LeapCell, else 5."
    )
    db_max_overflow: int = Field(
        5, ge=0, le=100, description="Connections it may open beyond those. Default: 3 on LeapCell, else 5."
    )
    db_timeout: float = Field(
        10, gt=0, le=300, description="Seconds to wait for a connection before answering that the database is down."
    )

    # Accounts and operations
    access_token_expire_minutes: int = Field(30, ge=1, le=60 * 24 * 365, description="Lifetime of a sign-in token.")
    ops_token: SecretStr = Field(
        SecretStr(""),
        description="Lets scripts run operations: `Authorization: Bearer <token>`; at least 24 characters.",
    )
    superuser_email: str = Field("admin@example.com", description="Email address of the first superuser.")
    superuser_password: SecretStr = Field(
        SecretStr(""),
        description="Password of the first superuser. Default: `admin123` on your own machine, generated elsewhere.",
    )
    emergency_access_enabled: bool = Field(
        False, description="Opens /oppman/emergency for those who know the token of `oppman.py emergency`."
    )

    # Files
    upload_dir: Path = Field(
        Path("static/uploads"), description="Folder of uploaded files. Default: `/tmp/uploads` on LeapCell."
    )
    storage_type: Literal["auto", "filesystem", "s3"] = Field("auto", description="Where uploaded files live.")
    s3_access_key: SecretStr = Field(SecretStr(""), description="Access key of the Object Storage.")
    s3_secret_key: SecretStr = Field(SecretStr(""), description="Secret key of the Object Storage.")
    s3_bucket: str = Field("", description="Bucket of the Object Storage.")
    s3_endpoint_url: str = Field("", description="Address of the Object Storage. Default: LeapCell's on LeapCell.")
    s3_region: str = Field("us-east-1", description="Region of the Object Storage.")
    s3_cdn_url: str = Field("", description="Public address of the bucket, bucket name included.")

    # The AI demo
    openrouter_api_key: SecretStr = Field(SecretStr(""), description="Key for the AI demo. Without it: canned answers.")
    openrouter_llm_model: str = Field(
        "meta-llama/llama-3.3-70b-instruct:free", description="Model that the AI demo asks."
    )
    openrouter_base_url: str = Field(
        "https://openrouter.ai/api/v1", description="Any service that speaks OpenAI's chat protocol."
    )
    openai_api_key: SecretStr = Field(SecretStr(""), description="For your own code; FastOpp does not use it.")

    @property
    def development(self) -> bool:
        """Whether this is somebody's own machine: known passwords and open operations exist only here."""
        return self.environment == "development"

    @property
    def leapcell_database_url(self) -> str:
        """The database URL with its password. On LeapCell there is no default: it must be set."""
        return self.database_url.get_secret_value()

    @property
    def database(self) -> DatabaseURL:
        """The database URL, parsed, with the platform's demand for TLS applied."""
        return DatabaseURL.parse(self.leapcell_database_url, require_tls=self.platform.requires_tls)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], platform: Platform) -> Self:
        """Parse variables, fill in the platform's defaults, and check everything.

        Raises SettingsError with every mistake at once.
        """
        given = {name.lower(): value.strip() for name, value in environ.items()}
        given = {name: value for name, value in given.items() if value and name in _VARIABLES}
        problems: list[SettingProblem] = []
        defaults: dict[str, Any] = {
            "platform": platform,
            "environment": platform.default_environment,
            "upload_dir": platform.default_upload_dir,
            "db_pool_size": platform.default_pool_size,
            "db_max_overflow": platform.default_pool_overflow,
            "s3_endpoint_url": platform.default_s3_endpoint_url or "",
        }
        if given.get("environment", "").lower() == "leapcell":
            given["environment"] = "production"
        elif "environment" in given:
            given["environment"] = given["environment"].lower()
        if "log_level" in given:
            given["log_level"] = given["log_level"].upper()
        if "storage_type" in given:
            given["storage_type"] = given["storage_type"].lower()
        try:
            settings = cls.model_validate(defaults | given)
        except ValidationError as error:
            problems += [_explain(details) for details in error.errors(include_url=False)]
            # What is valid is still checked below, so that one message names every mistake.
            wrong = {problem.variable.lower() for problem in problems}
            settings = cls.model_validate(
                defaults | {name: value for name, value in given.items() if name not in wrong}
            )
        settings = settings._completed(given)
        problems += settings._check(given)
        if problems:
            raise SettingsError(problems)
        return settings

    def _completed(self, given: Mapping[str, str]) -> Self:
        update: dict[str, Any] = {}
        if self.production or self.railway_environment or self.leapcell_environment:
            update["environment"] = "production"
        if not self.secret_key.get_secret_value() and update.get("environment", self.environment) == "development":
            update["secret_key"] = SecretStr(_machine_key())
        if self.debug:
            update["log_level"] = "DEBUG"
        return self.model_copy(update=update)

    def _check(self, given: Mapping[str, str]) -> list[SettingProblem]:
        problems = []
        if self.fastopp_platform and self.fastopp_platform.lower() not in PLATFORMS:
            names = ", ".join(PLATFORMS)
            problems.append(SettingProblem("FASTOPP_PLATFORM", "There is no such platform.", f"Choose one of {names}."))
        if not self.development:
            problems += _check_secret_key(self.secret_key.get_secret_value())
        if 0 < len(self.ops_token.get_secret_value()) < MIN_OPS_TOKEN:
            what = f"It has fewer than {MIN_OPS_TOKEN} characters, so it can be guessed."
            problems.append(SettingProblem("OPS_TOKEN", what, "Run `python oppman.py secrets` and copy its OPS_TOKEN."))
        if self.platform.requires_database_url and not ({"database_url", "database_dsn"} & given.keys()):
            mend = f"Set it to {self.platform.database_url_source}."
            problems.append(SettingProblem("DATABASE_URL", "It is not set.", mend))
        else:
            try:
                _ = self.database
            except DatabaseURLError as error:
                problems.append(SettingProblem("DATABASE_URL", error.message, error.hint or ""))
        problems += self._check_object_storage(given)
        return problems

    def _check_object_storage(self, given: Mapping[str, str]) -> list[SettingProblem]:
        required = ("s3_access_key", "s3_secret_key", "s3_bucket")
        present = [name for name in required if name in given]
        if len(present) == len(required) or (not present and self.storage_type != "s3"):
            return []
        because = f"{present[0].upper()} is set" if present else "STORAGE_TYPE is s3"
        return [
            SettingProblem(name.upper(), f"It is not set, although {because}.", "Object Storage needs all three.")
            for name in required
            if name not in given
        ]


_VARIABLES = (Settings.model_fields.keys() - {"platform"}) | {"database_dsn"}


def load_settings(environ: Mapping[str, str] | None = None, *, env_file: Path | None = None) -> Settings:
    """Read the environment, and `.env` beneath it, once.

    Parameters
    ----------
    environ: the variables; the process's own by default.
    env_file: a file of `NAME=value` lines that variables override; `.env` in the current folder by
        default, if it is there. Unknown names in it are ignored.

    Raises
    ------
    SettingsError: with every mistake, each with the variable, what is wrong and how to mend it.
    """
    variables = dict(os.environ if environ is None else environ)
    path = env_file or Path(".env")
    if path.is_file():
        from dotenv import dotenv_values  # noqa: PLC0415 - 30 ms that a deployed process does not need

        variables = {k: v for k, v in dotenv_values(path).items() if v is not None} | variables
    platform = detect_platform(variables)
    too_big = _check_environment_size(os.environ if environ is None else environ, platform)
    try:
        settings = Settings.from_environ(variables, platform)
    except SettingsError as error:
        raise SettingsError(error.problems + too_big) from None
    if too_big:
        raise SettingsError(too_big)
    return settings


def get_upload_dir(settings: Settings | None = None) -> Path:
    """The folder of uploaded files: `UPLOAD_DIR`, or the platform's default."""
    return (settings or load_settings()).upload_dir


def _check_environment_size(environ: Mapping[str, str], platform: Platform) -> list[SettingProblem]:
    """Only what the user set counts; what the operating system adds does not, as far as that can be told."""
    limit = platform.max_environment
    size = sum(len(f"{name}={value}".encode()) + 1 for name, value in environ.items() if name.lower() in _VARIABLES)
    if limit is None or size <= limit:
        return []
    what = f"All variables together are {size:,} bytes; {platform.name} allows {limit:,}."
    return [SettingProblem("the environment", what, "Shorten or remove some.")]


def _check_secret_key(key: str) -> list[SettingProblem]:
    if not key:
        what = "It is not set, and sessions cannot be signed without it."
    elif any(published in key.lower() for published in PUBLISHED_KEYS):
        what = "It is a published example, so anyone can sign in with it."
    elif len(key) < MIN_SECRET_KEY:
        what = f"It has {len(key)} characters; {MIN_SECRET_KEY} is the least."
    elif len(set(key)) < MIN_SECRET_KEY // 4:
        what = "It repeats too few characters to be a secret."
    else:
        return []
    return [SettingProblem("SECRET_KEY", what, _SECRET_HINT)]


def _machine_key() -> str:
    """A development key that is stable across restarts, yet published nowhere."""
    try:
        machine = Path("/etc/machine-id").read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        machine = str(uuid.getnode())
    return hashlib.sha256(f"fastopp development key|{machine.strip()}|{Path.cwd()}".encode()).hexdigest()


def _explain(details: Any) -> SettingProblem:
    location = details["loc"][0] if details["loc"] else "the configuration"
    variable = str(location).upper()
    kind, context = details["type"], details.get("ctx", {})
    if kind == "literal_error":
        return SettingProblem(variable, "The value is none of those allowed.", f"Use {context['expected']}.")
    return SettingProblem(variable, details["msg"] + ".", "See docs/settings.md.")
