"""Variables for the programs that FastOpp starts: of the machine's, and none of the service's secrets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from fastopp.settings.loading import read_own_variables
from fastopp.settings.reference import AppKinds, variables

INSTALLERS: Final = ("PIP_", "UV_")
"""The prefixes of pip's and uv's settings: their index, and the login for it."""
GIT: Final = ("GIT_", "SSH_")

# Of most programs: where things are, the language, and the way to the network.
_MACHINE: Final = (
    "COLUMNS", "CURL_CA_BUNDLE", "DBUS_SESSION_BUS_ADDRESS", "HOME", "LANG", "LANGUAGE", "LD_LIBRARY_PATH", "LINES",
    "LOGNAME", "NETRC", "NO_COLOR", "PATH", "PYTHONPATH", "REQUESTS_CA_BUNDLE", "SHELL", "SSL_CERT_DIR",
    "SSL_CERT_FILE", "TEMP", "TERM", "TMP", "TMPDIR", "TZ", "USER", "VIRTUAL_ENV",
)  # fmt: skip
_PREFIXES: Final = ("LC_", "XDG_")
_PROXIES: Final = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY")  # in small letters, too


def machine_environment(
    *prefixes: str, names: Iterable[str] = (), environ: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the variables that a program of another project needs: the machine's, and what is meant for it.

    Parameters
    ----------
    prefixes: the first letters of names that are meant for the program, like `PIP_`.
    names: further names.
    environ: the variables to choose from; this process's by default.
    """
    kept = {*_MACHINE, *names}
    return {
        name: value
        for name, value in (read_own_variables() if environ is None else environ).items()
        if name in kept or name.upper() in _PROXIES or name.startswith((*_PREFIXES, *prefixes))
    }


def without_settings(app_settings: AppKinds = ()) -> dict[str, str]:
    """Return this process's variables without FastOpp's settings, for the project's own code in a trial.

    Settings of apps that have no default are kept, since nothing starts without them.
    """
    ours = setting_names(app_settings)
    return {name: value for name, value in read_own_variables().items() if name.upper() not in ours}


def setting_names(app_settings: AppKinds = ()) -> set[str]:
    """Return the names of the settings that need no value."""
    return {variable.name for variable in variables(app_settings) if not variable.required} | {"DATABASE_DSN"}
