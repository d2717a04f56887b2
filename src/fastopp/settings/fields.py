"""Every environment variable that FastOpp itself reads: parsed once, typed, with the platform's defaults filled in.

Only `loading.py` reads the environment. The field descriptions here become `.env.example` and the table in
docs/settings.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, GetPydanticSchema, SecretStr
from pydantic_core.core_schema import is_instance_schema

from fastopp.platforms.base import Platform
from fastopp.platforms.descriptions import default_of, environments, kill_times, platforms_with
from fastopp.platforms.detection import PLATFORMS
from fastopp.settings.app_settings import AppVariables
from fastopp.settings.database_url import DatabaseURL
from fastopp.settings.mail_url import MailURL

NOT_VARIABLES = frozenset({"platform", "app_variables"})  # fields that are no environment variables


def _code(value: str) -> str:
    return f"`{value}`"


def _megabytes(size: int) -> str:
    return f"{size // 1_000_000}"


class SettingsFields(BaseModel):
    """Every setting, with its type, its default and what it is for. `fastopp.settings.Settings` reads them."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    # Not looked into: as a dataclass it would have pydantic import what only dataclasses need.
    platform: Annotated[Platform, GetPydanticSchema(lambda kind, _: is_instance_schema(kind))] = Field(exclude=True)
    app_variables: Annotated[AppVariables, GetPydanticSchema(lambda kind, _: is_instance_schema(kind))] = Field(
        default_factory=AppVariables, exclude=True, repr=False
    )

    # The application
    environment: Literal["development", "production"] = Field(
        "development",
        description=f"`development` or `production`; {environments()}. "
        "Default: development on your machine, production on a hosting platform.",
    )
    secret_key: SecretStr = Field(
        SecretStr(""),
        description="Key that signs sessions and tokens; at least 32 characters. Required in production; "
        "on your own machine the default is derived from the machine.",
    )
    secret_key_previous: SecretStr = Field(
        SecretStr(""),
        description="The key before, for the time of a change: what it signed or encrypted is still accepted, and "
        "nothing new is signed with it. At least 32 characters.",
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
        description="Host names that the site accepts, separated by commas; `*.example.com` means all subdomains. "
        "In development `localhost` and loopback addresses are added; in production an empty value means every name.",
    )
    site_url: str = Field(
        "",
        description="Public URL of the site, like `https://shop.example.com`: links in mails begin with it, and never "
        "with the host name of a request. Default: HOST and PORT in development.",
    )
    languages: str = Field(
        "en",
        description="Languages of pages and mails, separated by commas: `en, de`. The first one is used where neither "
        "the account nor the browser asks for another. `en` and `de` come with FastOpp.",
    )
    production: bool = Field(False, description="`true` is the same as `ENVIRONMENT=production`.")

    # The platform
    fastopp_platform: str = Field(
        "", description=f"Overrides the detection of the platform: {', '.join(f'`{n}`' for n in PLATFORMS)}."
    )

    # The database
    database_url: SecretStr = Field(
        SecretStr("sqlite+aiosqlite:///./test.db"),
        validation_alias=AliasChoices("database_url", "database_dsn"),
        description="Any SQLite or PostgreSQL URL, as your dashboard shows it. `DATABASE_DSN` is an alias. "
        f"Required on {platforms_with('requires_database_url')}.",
    )
    db_pool_size: int = Field(
        5,
        ge=1,
        le=100,
        description=f"Database connections that a process keeps open. Default: {default_of('default_pool_size')}.",
    )
    db_max_overflow: int = Field(
        5,
        ge=0,
        le=100,
        description=f"Additional connections that it may open. Default: {default_of('default_pool_overflow')}.",
    )
    db_timeout: float = Field(
        10,
        gt=0,
        le=300,
        description="Seconds to wait for a connection, and for each PostgreSQL statement, before the database counts "
        "as down.",
    )

    # The cache
    cache_url: SecretStr = Field(
        SecretStr(""),
        description="Where cached values are kept: `redis://` or `rediss://` with the address of a Redis (the extra "
        "`redis`), or `off` for no cache. Default: the database.",
    )
    cache_max_mb: int = Field(
        64, ge=1, le=100_000, description="Maximum size in megabytes of the cached values in the database."
    )

    # Accounts and operations
    audit_keep_days: int = Field(
        400, ge=0, le=36500, description="Days that entries of the audit log are kept; 0 keeps them for ever."
    )
    errors: bool = Field(True, description="Record unhandled errors in the database, for `/oppman/errors`.")
    errors_keep_days: int = Field(
        90, ge=0, le=36500, description="Days that errors are kept after their last occurrence; 0 keeps them for ever."
    )
    release: str = Field(
        "",
        max_length=100,
        description="Name of the release that runs, like a commit, for errors and `/health`. Default: the label of "
        "the platform's image, or the id that a build computes, or the version in the project's `pyproject.toml`.",
    )
    access_token_expire_minutes: int = Field(30, ge=1, le=60 * 24 * 365, description="Lifetime of a sign-in token.")
    ops_token: SecretStr = Field(
        SecretStr(""),
        description="Token for scripts that run operations: `Authorization: Bearer <token>`; at least 24 characters.",
    )
    backup_key: SecretStr = Field(
        SecretStr(""),
        description="Key that encrypts backups of the database; at least 16 characters. Default: `SECRET_KEY`. "
        "Keep a copy elsewhere: without the key, backups cannot be read.",
    )
    superuser_email: str = Field("admin@example.com", description="Email address of the first superuser.")
    superuser_password: SecretStr = Field(
        SecretStr(""),
        description="Password of the first superuser. Default: `admin123` on your own machine, generated elsewhere.",
    )
    emergency_access_enabled: bool = Field(
        False, description="Enables /oppman/emergency, which needs the token of `oppman.py emergency`."
    )

    # Mail
    mail_url: SecretStr = Field(
        SecretStr(""),
        description="Where mails go: `smtp://USER:PASSWORD@HOST:587`, `smtps://USER:PASSWORD@HOST:465`, `console:` "
        "(the log) or `file:FOLDER`. Default: `console:` in development, nowhere in production.",
    )
    mail_from: str = Field(
        "",
        description="Sender of mails, like `My shop <shop@example.com>`. Required with a server in MAIL_URL.",
    )

    # Files
    upload_dir: Path = Field(
        Path("static/uploads"),
        description=f"Folder of uploaded files. Default: {default_of('default_upload_dir', _code)}.",
    )
    storage_type: Literal["auto", "filesystem", "s3"] = Field(
        "auto",
        description="Where uploaded files are stored: `filesystem` is UPLOAD_DIR, `s3` the Object Storage with a cache "
        "in UPLOAD_DIR. `auto` is `s3` where no disk is persistent and the Object Storage is set, otherwise "
        "`filesystem`.",
    )
    storage_cache_max_mb: int = Field(
        256, ge=1, le=1_000_000, description="Maximum size in megabytes of the cache in front of the Object Storage."
    )
    s3_access_key: SecretStr = Field(SecretStr(""), description="Access key of the Object Storage.")
    s3_secret_key: SecretStr = Field(SecretStr(""), description="Secret key of the Object Storage.")
    s3_bucket: str = Field("", description="Bucket of the Object Storage.")
    s3_endpoint_url: str = Field(
        "", description=f"Address of the Object Storage. Default: {default_of('default_s3_endpoint_url', _code)}."
    )
    s3_region: str = Field("us-east-1", description="Region of the Object Storage.")
    direct_uploads_max: int = Field(
        20, ge=1, le=100_000, description="Direct uploads that one account may have in progress."
    )
    direct_uploads_max_mb: int = Field(
        20_000, ge=1, le=100_000_000, description="Total size in megabytes of these uploads."
    )
    s3_cdn_url: str = Field(
        "", description="Public URL of the bucket, including its name: browsers load uploaded files from there."
    )
    static_cdn_url: str = Field(
        "",
        description="Public URL of the bucket, including its name, from which browsers load static files: style "
        "sheets, scripts, fonts. A build or `oppman.py static upload` stores them there. Ignored in development.",
    )
    s3_quota_mb: int | None = Field(
        None,
        ge=0,
        description="Size limit of the bucket in megabytes; 0 means no limit. "
        f"Default: {default_of('object_storage_size', _megabytes, at='at')}.",
    )
    s3_quota_files: int | None = Field(
        None,
        ge=0,
        description="Maximum number of files in the bucket; 0 means no limit. "
        f"Default: {default_of('object_storage_files', at='at')}.",
    )

    # Tasks
    task_worker: bool = Field(
        True,
        description="Run queued tasks in the application's process, where the platform lets a process run between "
        "requests.",
    )
    task_concurrency: int = Field(
        4, ge=1, le=100, description="Number of tasks that a worker or a drain runs concurrently."
    )
    task_stop_timeout: float = Field(
        3,
        ge=0,
        le=3600,
        description="Seconds that running tasks get to finish when their process stops, before they return to the "
        f"queue. {kill_times()}",
    )

    @property
    def development(self) -> bool:
        """Whether this is a developer's own machine: known passwords and open operations exist only here."""
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
    def secret_keys(self) -> tuple[str, ...]:
        """SECRET_KEY, which signs and encrypts, and then the one before, if it is still accepted."""
        previous = self.secret_key_previous.get_secret_value()
        return (self.secret_key.get_secret_value(), *([previous] if previous else []))

    @property
    def signing_keys(self) -> list[str]:
        """The same as itsdangerous takes them: the oldest first, and the last one signs."""
        return [*reversed(self.secret_keys)]

    @property
    def backup_keys(self) -> tuple[str, ...]:
        """The secrets of database backups: the first one encrypts, any of them may decrypt."""
        return tuple(filter(None, (self.backup_key.get_secret_value(), *self.secret_keys)))

    @property
    def site(self) -> str:
        """The public URL of the site, without a slash at the end; empty when it is unknown."""
        return self.site_url.rstrip("/") or (f"http://{self.host}:{self.port}" if self.development else "")

    @property
    def offered_languages(self) -> tuple[str, ...]:
        """The languages of pages and mails, the default first."""
        names = (name.strip().replace("_", "-") for name in self.languages.split(","))
        return tuple(dict.fromkeys(filter(None, names))) or ("en",)

    @property
    def mail(self) -> MailURL | None:
        """The destination of mails; None when there is none. Raises MailURLError."""
        url = self.mail_url.get_secret_value() or ("console:" if self.development else "")
        return MailURL.parse(url) if url else None

    @property
    def database(self) -> DatabaseURL:
        """The database URL, parsed, with the platform's demand for TLS applied."""
        return DatabaseURL.parse(self.database_url.get_secret_value(), require_tls=self.platform.requires_tls)
