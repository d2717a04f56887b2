"""A log of what clients send wrongly, in one line each."""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import Any

from aiohttp.http_exceptions import HttpProcessingError


class ShortLog(logging.LoggerAdapter[logging.Logger]):
    """Say in a line that a client sent what is not HTTP; the library's traceback says nothing about the project."""

    def process(self, msg: object, kwargs: MutableMapping[str, Any]) -> tuple[object, MutableMapping[str, Any]]:
        """Shorten a record."""
        error = kwargs.get("exc_info")
        if isinstance(error, HttpProcessingError):
            kwargs["exc_info"] = None
            msg = f"{msg} (it is not HTTP: {' '.join(str(error).split())[:200].replace('%', '%%')})"
        return msg, kwargs
