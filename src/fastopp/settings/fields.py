"""Every environment variable FastOpp reads: parsed once, typed, with the platform's defaults filled in.

No other module reads the environment. The field descriptions here become `.env.example` and the table
in docs/settings.md.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, GetPydanticSchema, SecretStr, ValidationError
from pydantic_core.core_schema import is_instance_schema

from fastopp.platforms.base import Platform
from fastopp.platforms.detection import PLATFORMS, PRODUCTION_ENVIRONMENTS, detect_platform
from fastopp.settings.database_url import DatabaseURL
from fastopp.settings.machine_key import machine_key
from fastopp.settings.problems import SettingProblem, SettingsError, environment_too_big, explain, find_problems

__all__ = ["SettingProblem", "Settings", "SettingsError", "get_upload_dir", "load_settings", "read_variables"]


class Settings(BaseModel):
    """The configuration of one process. Make it with `load_settings`; tests may make it by hand."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    # Not looked into: as a dataclass it would have pydantic import what only dataclasses need.
    platform: Annotated[Platform, GetPydanticSchema(lambda kind, _: is_instance_schema(kind))] = Field(exclude=True)

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
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severe log line shown.")
    host: str = Field("127.0.0.1", description="Address that `oppman.py runserver` listens on.")
    port: int = Field(8000, ge=1, le=65535, description="Port that `oppman.py runserver` listens on.")
    force_https: bool = Field(
        False, description="Treat every request as HTTPS, for a proxy that does not send `X-Forwarded-Proto`."
    )
    allowed_hosts: str = Field(
        "",
        description="Host names that the site answers to, with commas between them; `*.example.com` is all below it. "
        "In development `localhost` and loopback addresses are added; elsewhere nothing set means every name.",
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
        10,
        gt=0,
        le=300,
        description="Seconds to wait for a connection, and for each PostgreSQL statement, before it counts as down.",
    )

    # Accounts and operations
    access_token_expire_minutes: int = Field(30, ge=1, le=60 * 24 * 365, description="Lifetime of a sign-in token.")
    ops_token: SecretStr = Field(
        SecretStr(""),
        description="Lets scripts run operations: `Authorization: Bearer <token>`; at least 24 characters.",
    )
    backup_key: SecretStr = Field(
        SecretStr(""),
        description="Encrypts backups of the database; at least 16 characters. Default: `SECRET_KEY`. "
        "Keep a copy of it elsewhere: without it they cannot be read.",
    )
    superuser_email: str = Field("admin@example.com", description="Email address of the first superuser.")
    superuser_password: SecretStr = Field(
        SecretStr(""),
        description="Password of the first superuser. Default: `admin123` on your own machine, generated elsewhere.",
    )
    emergency_access_enabled: bool = Field(
        False, description="Opens /oppman/emergency for those who know the token of `oppman.py emergency`."
    )

    leapcell_async_url: str = Field(
        "",
        description="The service's `https://….leapcell-async.dev` address. With it a task that is started is worked "
        "at once where nothing runs between requests; without it, while its page is open or when a scheduler calls "
        "`/async/drain`.",
    )

    # Files
    upload_dir: Path = Field(
        Path("static/uploads"), description="Folder of uploaded files. Default: `/tmp/uploads` on LeapCell."
    )
    storage_type: Literal["auto", "filesystem", "s3"] = Field(
        "auto",
        description="Where uploaded files live: `filesystem` is UPLOAD_DIR, `s3` the Object Storage with a cache in "
        "UPLOAD_DIR. `auto` is `s3` where no disk lasts and the Object Storage is set, else `filesystem`.",
    )
    storage_cache_max_mb: int = Field(
        256, ge=1, le=1_000_000, description="Megabytes that the cache in front of the Object Storage may hold."
    )
    s3_access_key: SecretStr = Field(SecretStr(""), description="Access key of the Object Storage.")
    s3_secret_key: SecretStr = Field(SecretStr(""), description="Secret key of the Object Storage.")
    s3_bucket: str = Field("", description="Bucket of the Object Storage.")
    s3_endpoint_url: str = Field("", description="Address of the Object Storage. Default: LeapCell's on LeapCell.")
    s3_region: str = Field("us-east-1", description="Region of the Object Storage.")
    direct_uploads_max: int = Field(
        20, ge=1, le=100_000, description="Direct uploads that one account may have announced and not completed."
    )
    direct_uploads_max_mb: int = Field(
        20_000, ge=1, le=100_000_000, description="Megabytes that these may have together."
    )
    s3_cdn_url: str = Field(
        "", description="Public address of the bucket, bucket name included: browsers get uploaded files from there."
    )
    s3_quota_mb: int | None = Field(
        None, ge=0, description="Megabytes that your plan lets the bucket hold; 0: any. Default: 100 at LeapCell."
    )
    s3_quota_files: int | None = Field(
        None, ge=0, description="Files that your plan lets the bucket hold; 0: any. Default: 5000 at LeapCell."
    )

    # Tasks
    task_worker: bool = Field(
        True,
        description="Work the queue beside the application, where the platform lets a process run between requests.",
    )
    task_concurrency: int = Field(4, ge=1, le=100, description="Tasks that a worker or a drain runs at a time.")
    task_stop_timeout: float = Field(
        3,
        ge=0,
        le=3600,
        description="Seconds that running tasks have when their process is to end, before they go back to the queue. "
        "Fly.io kills a process after 5, unless fly.toml says otherwise (`kill_timeout`).",
    )

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
    def has_object_storage(self) -> bool:
        """Whether an Object Storage is set up, be it for uploaded files or only for backups."""
        return all((self.s3_access_key.get_secret_value(), self.s3_secret_key.get_secret_value(), self.s3_bucket))

    @property
    def uses_object_storage(self) -> bool:
        """Whether uploaded files live in the Object Storage."""
        if self.storage_type == "auto":
            return self.has_object_storage and not self.platform.persistent_disk
        return self.storage_type == "s3"

    @property
    def s3_endpoint(self) -> str:
        """The address of the Object Storage, without a slash at the end; Amazon's if none is given."""
        return (self.s3_endpoint_url or f"https://s3.{self.s3_region}.amazonaws.com").rstrip("/")

    @property
    def leapcell_database_url(self) -> str:
        """The database URL with its password. On LeapCell there is no default: it must be set."""
        return self.database_url.get_secret_value()

    @property
    def backup_keys(self) -> tuple[str, ...]:
        """The secrets of database backups: the first one encrypts, any of them may decrypt."""
        return tuple(filter(None, (self.backup_key.get_secret_value(), self.secret_key.get_secret_value())))

    @property
    def database(self) -> DatabaseURL:
        """The database URL, parsed, with the platform's demand for TLS applied."""
        return DatabaseURL.parse(self.leapcell_database_url, require_tls=self.platform.requires_tls)

    @classmethod
    def from_variables(cls, variables: Mapping[str, str], platform: Platform) -> Self:
        """Parse variables, fill in the platform's defaults, and check everything.

        Raises SettingsError with every mistake at once.
        """
        given = {name.lower(): value.strip() for name, value in variables.items() if name.lower() in _VARIABLES}
        given = {name: value.lower() if name in _CASELESS else value for name, value in given.items() if value}
        values: dict[str, Any] = {
            "platform": platform,
            "environment": platform.default_environment,
            "upload_dir": platform.default_upload_dir,
            "db_pool_size": platform.default_pool_size,
            "db_max_overflow": platform.default_pool_overflow,
            "s3_endpoint_url": platform.default_s3_endpoint_url or "",
        } | given
        if _says_production(given):
            values["environment"] = "production"
        if values["environment"] == "development":
            values.setdefault("secret_key", machine_key())
        problems: list[SettingProblem] = []
        try:
            settings = cls.model_validate(values)
        except ValidationError as error:
            problems = [explain(details) for details in error.errors(include_url=False)]
            # What is valid is checked as well, so that one message names every mistake.
            wrong = {problem.variable.lower() for problem in problems}
            settings = cls.model_validate({name: value for name, value in values.items() if name not in wrong})
        problems += find_problems(settings, given)
        if problems:
            raise SettingsError(problems)
        return settings


_VARIABLES = (Settings.model_fields.keys() - {"platform"}) | {"database_dsn"}
_CASELESS = frozenset({"environment", "log_level", "storage_type", "fastopp_platform"})
_PRODUCTION_MARKERS = ("production", "railway_environment", "leapcell_environment")


def _says_production(given: Mapping[str, str]) -> bool:
    marked = any(given.get(marker, "false").lower() not in ("false", "0", "no") for marker in _PRODUCTION_MARKERS)
    return marked or given.get("environment") in PRODUCTION_ENVIRONMENTS


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
    variables, ours = read_variables(environ, env_file=env_file)
    platform = detect_platform(variables)
    problems = environment_too_big(ours, platform)
    try:
        settings = Settings.from_variables(variables, platform)
    except SettingsError as error:
        raise SettingsError(error.problems + problems) from None
    if problems:
        raise SettingsError(problems)
    return settings


def read_variables(
    environ: Mapping[str, str] | None = None, *, env_file: Path | None = None
) -> tuple[dict[str, str], dict[str, str]]:
    """All variables, and those among them that somebody set for FastOpp. The parameters are those of `load_settings`.

    What the operating system adds cannot be told apart from the rest, so only known names count, and whatever is in
    the file.
    """
    process = dict(os.environ if environ is None else environ)
    from_file: dict[str, str] = {}
    path = env_file or Path(".env")
    if path.is_file():
        from dotenv import dotenv_values  # noqa: PLC0415 - 30 ms that a deployed process does not need

        from_file = {name: value for name, value in dotenv_values(path).items() if value is not None}
    variables = from_file | process
    return variables, {
        name: value for name, value in variables.items() if name.lower() in _VARIABLES or name in from_file
    }


def get_upload_dir(settings: Settings | None = None) -> Path:
    """The folder of uploaded files: `UPLOAD_DIR`, or the platform's default."""
    return (settings or load_settings()).upload_dir
