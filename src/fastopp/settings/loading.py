"""Read the environment once, and report all mistakes in it together."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from pydantic import PrivateAttr, SecretStr, ValidationError

from fastopp.platforms.base import Platform
from fastopp.platforms.detection import PLATFORMS, detect_platform
from fastopp.platforms.settings import PRODUCTION_MARKERS, PlatformSettings
from fastopp.settings.alerting import AlertSettingError
from fastopp.settings.app_settings import AppSettings, AppVariables
from fastopp.settings.fields import NOT_VARIABLES, SettingsFields
from fastopp.settings.mail_url import MailURLError
from fastopp.settings.observing import ObservingSettings
from fastopp.settings.problem import SettingProblem
from fastopp.settings.problems import SettingsError, environment_too_big, explain_all, find_problems
from fastopp.settings.regional import RegionalSettings

AppKind = TypeVar("AppKind", bound=AppSettings)


class Settings(PlatformSettings, RegionalSettings, ObservingSettings, SettingsFields):
    """The configuration of one process."""

    _of_apps: dict[type[AppSettings], AppSettings] = PrivateAttr(default_factory=dict)

    def __init__(self, **values: Any) -> None:  # noqa: ANN401 - of the fields' types
        """Take the values of all fields; without any, read the environment as `load_settings` does.

        Raises
        ------
        SettingsError: with every mistake in the environment.
        """
        super().__init__(**(values or dict(load_settings())))

    def of(self, kind: type[AppKind]) -> AppKind:
        """Return the settings of an app, from the same environment.

        Raises
        ------
        SettingsError: with every mistake in them.
        """
        found = self._of_apps.get(kind)
        if not isinstance(found, kind):
            given = {name: value for name in kind.model_fields if (value := self.app_variables.get(name))}
            try:
                found = self._of_apps[kind] = kind.model_validate(given)
            except ValidationError as error:
                raise SettingsError(explain_all(error, kind.model_fields)) from None
        return found

    def secrets(self) -> Iterator[str]:
        """Return every secret, of the framework and of apps whose settings were read."""
        for fields in (self, *self._of_apps.values()):
            yield from (value.get_secret_value() for _, value in fields if isinstance(value, SecretStr))
        yield from self.otlp_headers.values()
        with suppress(MailURLError):
            if self.mail is not None and self.mail.password:
                yield from {self.mail.password, quote(self.mail.password, safe="")}
        with suppress(AlertSettingError):
            yield from (webhook.url for webhook in self.webhooks)


VARIABLES = (Settings.model_fields.keys() - NOT_VARIABLES) | {"database_dsn"}
_CASELESS = frozenset(
    {"environment", "log_format", "log_level", "storage_type", "fastopp_platform", "otel_traces_sampler"}
)
_PRODUCTION_MARKERS = ("production", *PRODUCTION_MARKERS)
_PRODUCTION_ENVIRONMENTS = frozenset(value for platform in PLATFORMS.values() for value in platform.environments)


def _says_production(given: Mapping[str, str]) -> bool:
    marked = any(given.get(marker, "false").lower() not in ("false", "0", "no") for marker in _PRODUCTION_MARKERS)
    return marked or given.get("environment") in _PRODUCTION_ENVIRONMENTS


def from_variables(
    variables: Mapping[str, str], platform: Platform, app_settings: Iterable[type[AppSettings]] = ()
) -> Settings:
    """Parse variables, fill in the platform's defaults, and check everything, the settings of apps included.

    Raises SettingsError with every mistake at once.
    """
    present = {name.lower(): value.strip() for name, value in variables.items() if value.strip()}
    given = {name: value for name, value in present.items() if name in VARIABLES}
    given |= {name: value.lower() for name, value in given.items() if name in _CASELESS}
    values: dict[str, Any] = {
        "platform": platform,
        "app_variables": AppVariables({name: value for name, value in present.items() if name not in VARIABLES}),
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
        settings = Settings.model_validate(values)
    except ValidationError as error:
        problems = explain_all(error)
        # What is valid is checked as well, so that one message names every mistake.
        wrong = {problem.variable.lower() for problem in problems}
        settings = Settings.model_validate({name: value for name, value in values.items() if name not in wrong})
    problems += find_problems(settings, given)
    for kind in app_settings:
        try:
            settings.of(kind)
        except SettingsError as error:
            problems += error.problems
    if problems:
        raise SettingsError(problems)
    return settings


def load_settings(
    environ: Mapping[str, str] | None = None,
    *,
    env_file: Path | None = None,
    app_settings: Collection[type[AppSettings]] = (),
) -> Settings:
    """Read the environment and `.env`, once.

    Parameters
    ----------
    environ: the variables; the process's own by default.
    env_file: a file of `NAME=value` lines that variables override; `.env` in the current folder by
        default, if it is there. Unknown names in it are ignored.
    app_settings: the settings classes of apps, whose mistakes are reported too.

    Raises
    ------
    SettingsError: with every mistake, each with the variable, what is wrong and how to fix it.
    """
    variables, ours = read_variables(environ, env_file=env_file, app_settings=app_settings)
    platform = detect_platform(variables)
    problems = environment_too_big(ours, platform)
    try:
        settings = from_variables(variables, platform, app_settings)
    except SettingsError as error:
        raise SettingsError(error.problems + problems) from None
    if problems:
        raise SettingsError(problems)
    return settings


def read_variables(
    environ: Mapping[str, str] | None = None,
    *,
    env_file: Path | None = None,
    app_settings: Iterable[type[AppSettings]] = (),
) -> tuple[dict[str, str], dict[str, str]]:
    """Return all variables, and those that were set for FastOpp and the apps.

    The parameters are those of `load_settings`. The operating system's variables cannot be distinguished from the rest,
    so only known names count, and all in the file.
    """
    process = read_own_variables() if environ is None else dict(environ)
    from_file: dict[str, str] = {}
    path = env_file or Path(".env")
    if path.is_file():
        from dotenv import dotenv_values  # noqa: PLC0415 - 30 ms that a deployed process does not need

        from_file = {name: value for name, value in dotenv_values(path).items() if value is not None}
    variables = from_file | process
    known = VARIABLES.union(*(kind.model_fields for kind in app_settings))
    return variables, {name: value for name, value in variables.items() if name.lower() in known or name in from_file}


def read_own_variables() -> dict[str, str]:
    """Return the variables of this process, without those of a file."""
    return dict(os.environ)


def get_upload_dir(settings: Settings | None = None) -> Path:
    """Return the folder of uploaded files: `UPLOAD_DIR`, or the platform's default."""
    return (settings or load_settings()).upload_dir


def machine_key() -> str:
    """Return a development key that is stable across restarts, yet published nowhere."""
    try:
        machine = Path("/etc/machine-id").read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        machine = str(uuid.getnode())
    return hashlib.sha256(f"fastopp development key|{machine.strip()}|{Path.cwd()}".encode()).hexdigest()
