"""Errors as events of Sentry: with secrets masked as in /oppman/errors, and nothing about the visitor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sentry_sdk.utils import event_from_exception

from fastopp.features.errors.describing import MAX_TEXT, TextMask, mask_of, masked_context
from fastopp.features.errors.fingerprint import unwrapped
from fastopp.reporting import Occurrence
from fastopp.settings import Settings

FRAMES: Final = 30  # of each exception: the innermost
MAX_LINE: Final = 300  # characters of a line of code, a path or a name
LEVELS: Final = {"retry": "warning", "reported": "warning"}


def event_of(occurrence: Occurrence, settings: Settings, options: dict[str, Any]) -> dict[str, Any]:
    """Return the event of an error.

    Parameters
    ----------
    options: of Sentry's client.
    """
    error = unwrapped(occurrence.error)
    mask = mask_of(error, settings, scope=occurrence.scope, context=occurrence.context, caller=occurrence.caller)
    mechanism = {"type": "fastopp", "handled": occurrence.kind == "reported"}
    made, _ = event_from_exception(error, client_options=options, mechanism=mechanism)
    exceptions = made.get("exception", {}).get("values", [])
    tags = {"kind": occurrence.kind, **_of_request(occurrence.scope)}
    if occurrence.task:
        tags["task"] = occurrence.task
    event: dict[str, Any] = {
        "level": LEVELS.get(occurrence.kind, "error"),
        "exception": {"values": [_exception(each, mask) for each in exceptions]},
        "tags": {name: mask.start(value, 200) for name, value in tags.items() if value},
        "extra": masked_context(occurrence.context, mask),
    }
    if occurrence.job_id is not None:
        event["extra"] |= {"job": occurrence.job_id, "attempt": occurrence.attempt}
    route = tags.get("route", "")
    if place := occurrence.task or (route and f"{tags['method']} {route}"):
        event["transaction"] = mask.start(place, 200)
    return event


def _exception(given: Mapping[str, Any], mask: TextMask) -> dict[str, Any]:
    """Return an exception with only what is known to be needed, masked."""
    frames = (given.get("stacktrace") or {}).get("frames", [])[-FRAMES:]
    made: dict[str, Any] = {
        "type": str(given.get("type", "")),
        "module": given.get("module"),
        "value": mask.start(str(given.get("value") or ""), MAX_TEXT),
        "mechanism": {
            name: value
            for name, value in (given.get("mechanism") or {}).items()
            if name in ("type", "handled", "exception_id", "parent_id", "is_exception_group", "source")
        },
    }
    if frames:
        made["stacktrace"] = {"frames": [_frame(each, mask) for each in frames]}
    return made


def _frame(given: Mapping[str, Any], mask: TextMask) -> dict[str, Any]:
    """Return a frame without local variables, and of the code only its line."""
    frame: dict[str, Any] = {
        "filename": str(given.get("filename") or "")[-MAX_LINE:],
        "function": str(given.get("function") or "")[:MAX_LINE],
        "module": str(given.get("module") or "")[:MAX_LINE],
        "lineno": given.get("lineno"),
        "in_app": given.get("in_app", "site-packages" not in str(given.get("abs_path"))),
    }
    if line := given.get("context_line"):
        frame["context_line"] = mask.start(str(line), MAX_LINE)
    return frame


def _of_request(scope: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the request's id, method and route: the rest of its address may hold secrets."""
    if scope is None:
        return {}
    route = scope.get("route")
    path = getattr(route, "path_format", None) or getattr(route, "path", "")
    return {
        "request_id": str(scope.get("state", {}).get("request_id") or ""),
        "method": str(scope.get("method", "WEBSOCKET")),
        "route": str(path),
    }
