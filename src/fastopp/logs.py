"""Log lines: for people in development, one JSON object a line in production, each with its request's id."""

from __future__ import annotations

import logging
import re
from contextvars import ContextVar
from typing import Any

from fastopp.errors import Unavailable
from fastopp.settings import Settings

# Set for the length of a request; empty between requests.
request_id: ContextVar[str] = ContextVar("fastopp_request_id", default="")

FIELDS = ("timestamp", "levelname", "name", "message", "request_id")
READABLE = "%(levelname)-8s %(name)s: %(message)s"

REQUESTS = "fastopp.request"
"""The logger of one line a request."""

POOL = "fastopp.database.pool"  # of SQLAlchemy's lines: it names a pool's logger by its class, and this one is ours

ACCESS = "uvicorn.access"
SERVER_LOGGERS = ("uvicorn", "uvicorn.error", ACCESS)

# A secret in an address: of a link in a mail, by its form; and by its name, such as that of a provider's answer, also
# within the page to return to after a sign-in, where it is percent-encoded once or more often.
_SECRET_OF_LINK = re.compile(r"([0-9a-f]{32}_)[\w-]{43}", re.ASCII)
_SECRET_PARAMETER = re.compile(
    r"((?:[?&]|%(?:25)*(?:3F|26))(?:\w*token|code|state)(?:=|%(?:25)*3D))(?:(?!%(?:25)*26)[^&])+", re.IGNORECASE
)


def configure(settings: Settings) -> None:
    """Set up logging for this process, which serves an application; a program that embeds one keeps its own."""
    level = settings.log_level.upper()
    handler = logging.StreamHandler()
    handler.addFilter(_add_request_id)
    handler.addFilter(_shorten_outage)
    access, requests = logging.getLogger(ACCESS), logging.getLogger(REQUESTS)
    if settings.json_logs:
        handler.setFormatter(json_formatter())
        # Without handlers, the server was asked for no access log.
        requests.setLevel(logging.NOTSET if access.hasHandlers() else logging.WARNING)
        for name in SERVER_LOGGERS:
            # The server has its own handlers, for people; these lines are JSON like all others.
            logger = logging.getLogger(name)
            logger.handlers.clear()
            logger.propagate = name != ACCESS  # its lines say less than ours
    else:
        handler.setFormatter(logging.Formatter(READABLE))
        requests.setLevel(logging.WARNING)  # the server's access log is for people
        access.addFilter(_WithoutHealthChecks(settings.platform.health_paths))
        access.addFilter(_mask_secrets)
    logging.basicConfig(level=level, handlers=[handler])
    for name in ("alembic", POOL):  # of its plugins, and of each discarded pool
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))
    # SQL without its values, which the engine hides; at DEBUG it would show the rows, and so would SQLite's driver.
    logging.getLogger("sqlalchemy.engine").setLevel(logging.INFO if settings.debug else logging.WARNING)
    logging.getLogger("aiosqlite").setLevel(logging.INFO)


def is_served() -> bool:
    """Return whether a server, uvicorn, has set up logging in this process."""
    return bool(logging.getLogger("uvicorn").handlers)


def server_config(settings: Settings) -> dict[str, Any] | None:
    """Return the `log_config` with which uvicorn's first lines are as all others; None for its own, for people."""
    if not settings.json_logs:
        return None
    handlers = {"default": {"class": "logging.StreamHandler", "formatter": "json"}}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": "fastopp.logs.json_formatter"}},
        "handlers": handlers,
        "loggers": {
            "uvicorn": {"handlers": ["default"], "level": "INFO", "propagate": False},
            ACCESS: {"handlers": ["default"], "level": "INFO", "propagate": False},
        },
    }


def json_formatter() -> logging.Formatter:
    """Return the formatter of JSON lines."""
    from pythonjsonlogger.core import RESERVED_ATTRS  # noqa: PLC0415 - only where it is used
    from pythonjsonlogger.json import JsonFormatter  # noqa: PLC0415 - as above

    return JsonFormatter(
        FIELDS,
        timestamp=True,
        rename_fields={"levelname": "level", "name": "logger"},
        reserved_attrs=[*RESERVED_ATTRS, "color_message"],  # uvicorn's, for terminals
    )


def _add_request_id(record: logging.LogRecord) -> bool:
    record.request_id = getattr(record, "request_id", "") or request_id.get()
    return True


def _mask_secrets(record: logging.LogRecord) -> bool:
    """Mask the secrets in the address of an access line: a reader of the log could use a link before its owner does."""
    if isinstance(record.args, tuple):
        record.args = tuple(mask(each) if isinstance(each, str) else each for each in record.args)
    return True


def mask(address: str) -> str:
    """Return an address without the secrets in it."""
    return _SECRET_PARAMETER.sub(r"\1***", _SECRET_OF_LINK.sub(r"\1***", address))


def _shorten_outage(record: logging.LogRecord) -> bool:
    """Say in one line that a service is away: a traceback of each request would bury what is wrong."""
    error = record.exc_info[1] if record.exc_info else None
    if error is not None and (record.name.startswith(POOL) or _is_outage(error)):
        record.msg, record.args = f"{record.getMessage()}: {type(error).__name__}: {_first_line(error)}", ()
        record.exc_info = record.exc_text = None
    return True


def _is_outage(error: BaseException) -> bool:
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, Unavailable):
        cause = cause.__cause__
    return cause is not None


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]


class _WithoutHealthChecks(logging.Filter):
    """Drops the access lines of health checks: a platform asks every few seconds."""

    def __init__(self, paths: frozenset[str]) -> None:
        super().__init__()
        self._paths = paths

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to keep an access line; uvicorn's arguments are client, method, path, version, status."""
        arguments = record.args
        return not (isinstance(arguments, tuple) and len(arguments) > 2 and arguments[2] in self._paths)
