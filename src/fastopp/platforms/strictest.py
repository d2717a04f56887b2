"""The limits of the strictest platform, for what has to hold on all of them: a project runs unchanged on each."""

from __future__ import annotations

from typing import Final

from fastopp.platforms.base import REQUEST_MARGIN
from fastopp.platforms.detection import PLATFORMS

_ALL = PLATFORMS.values()

REQUEST_TIMEOUT: Final = min(each.request_timeout for each in _ALL if each.request_timeout)
"""Seconds that a request may last."""

LONGEST_REQUEST: Final = max(each.request_timeout for each in _ALL if each.request_timeout)
"""Seconds that a request lasts at most where a platform limits that; not the strictest."""

REQUEST_BUDGET: Final = REQUEST_TIMEOUT - REQUEST_MARGIN
"""Seconds of it that work may take."""

REQUEST_BODY: Final = min(each.max_request_body for each in _ALL if each.max_request_body)
"""Bytes of a request."""

ASYNC_BODY: Final = min(each.max_async_body for each in _ALL if each.max_async_body)
"""Bytes of a request that a platform queues and delivers later."""
