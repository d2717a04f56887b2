"""Record each request: its route, status, times and sizes; log it in one line, and flush what was recorded.

It stands outside all other middleware. Health paths are answered before, and are not recorded.
"""

from __future__ import annotations

import logging
import time
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fastopp.core.dependencies import find_runtime
from fastopp.core.runtime import Runtime
from fastopp.logs import REQUESTS, mask
from fastopp.recording import ARRIVAL, Statement, Work, current_work
from fastopp.settings import Settings
from fastopp.web.route_names import RouteNames

log = logging.getLogger(REQUESTS)

LONGEST_PATH: Final = 500  # characters of a path in the log
CLIENT_LEFT: Final = 499  # the status of a request without an answer, as nginx logs it
SERVER_ERROR: Final = 500

STREAM: Final = b"text/event-stream"
LONG_WORK: Final = "/async/"  # requests that run tasks: they are long, and the next one may not come soon


class RecordingMiddleware:
    """Records requests where MONITOR is on, and logs them in any case."""

    def __init__(self, app: ASGIApp, *, settings: Settings) -> None:
        self.app = app
        self.names = RouteNames()
        self.slow = settings.slow_request_ms / 1000

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        runtime = find_runtime(scope) if scope["type"] == "http" else None
        if runtime is None:
            await self.app(scope, receive, send)
            return
        request = _Request(self, runtime, scope)

        async def send_recorded(message: Message) -> None:
            if message["type"] == "http.response.start":
                request.started(message)
            elif message["type"] == "http.response.body":
                request.work.bytes += len(message.get("body", b""))
                if not message.get("more_body", False):
                    request.end()
                    if runtime.flusher.inside:
                        await runtime.flusher.before_end(soon=request.flush_soon)
            await send(message)

        token = current_work.set(request.work) if runtime.recorder.enabled else None
        try:
            await self.app(scope, receive, send_recorded)
        except Exception:
            request.status = request.status or SERVER_ERROR
            raise
        finally:
            if token is not None:
                current_work.reset(token)
            request.end()
            runtime.flusher.after(soon=request.flush_soon)


class _Request:
    """One request, from its beginning to its end."""

    def __init__(self, middleware: RecordingMiddleware, runtime: Runtime, scope: Scope) -> None:
        self.status = 0
        self._middleware = middleware
        self._recorder = runtime.recorder
        self._scope = scope
        self._path: str = scope["path"]
        self._root_path: str = scope.get("root_path", "")
        self._ended = self._streams = False
        self.work: Work = self._recorder.begin_request(scope["method"])
        if self.work.cold and ARRIVAL in scope:
            self.work.began = scope[ARRIVAL][0]
        if self._recorder.enabled:
            self._number = self._recorder.began()
            self._processor = time.process_time()
            if runtime.tracing is not None:
                self.work.trace = runtime.tracing.request()

    @property
    def flush_soon(self) -> bool:
        """Whether the figures are to be written at once."""
        return self.status >= SERVER_ERROR or self._path.startswith(LONG_WORK)

    @property
    def _request_id(self) -> str:
        found: str = self._scope.get("state", {}).get("request_id", "")
        return found

    def started(self, message: Message) -> None:
        """Note the beginning of the answer. Of a stream, that is where its time ends."""
        self.status = message["status"]
        self._streams = any(
            name == b"content-type" and value.startswith(STREAM) for name, value in message.get("headers", ())
        )
        if self._streams:
            self.work.end()

    def end(self) -> None:
        """Count the request, and log it; once."""
        if self._ended:
            return
        self._ended = True
        work, recorder = self.work, self._recorder
        if not self._streams:
            work.end()
        work.name = self._middleware.names.name(self._scope, self._root_path)
        work.outcome = str(self.status or CLIENT_LEFT)
        if work.trace is not None:
            work.trace.end(work, self._request_id)
        if recorder.enabled:
            if recorder.ended(self._number):
                work.processor_seconds = time.process_time() - self._processor
            if work.cold and recorder.start_seconds is None:
                _, startup = self._scope.get(ARRIVAL, (0.0, 0.0))
                recorder.first_answer(startup + work.seconds)
            recorder.add(work)
        self._log()

    def _log(self) -> None:
        work, slow = self.work, self._middleware.slow
        is_slow = bool(slow) and work.seconds >= slow and not self._path.startswith(LONG_WORK) and not work.cold
        level = logging.WARNING if is_slow else logging.INFO
        if log.isEnabledFor(level):
            fields = self._fields()
            message = f"{work.method} {fields['path']} {fields['status']} in {fields['duration_ms']:,.0f} ms"
            if is_slow:
                message = f"slow request: {message}, {fields.get('db_ms', 0):,.0f} ms of it in {work.queries:,} queries"
            log.log(level, "%s", message, extra=fields)
        for statement, text in work.repeated:
            self._warn_of_repetition(statement, work.times_run(text))

    def _fields(self) -> dict[str, Any]:
        work = self.work
        fields: dict[str, Any] = {
            "action": "request",
            "method": work.method,
            "path": mask(self._path)[:LONGEST_PATH],
            "route": work.name,
            "status": self.status or CLIENT_LEFT,
            "duration_ms": round(work.seconds * 1000, 1),
            "bytes": work.bytes,
            "instance": self._recorder.instance,
            "request_id": self._request_id,
        }
        if self._recorder.enabled:
            fields |= {
                "db_ms": round(work.database_seconds * 1000, 1),
                "queries": work.queries,
                "storage_ms": round(work.storage_seconds * 1000, 1),
                "user": work.user,
                "cold": work.cold,
            }
            if work.frozen:
                fields["frozen_s"] = round(work.frozen, 1)
        return fields

    def _warn_of_repetition(self, statement: Statement, times: int) -> None:
        log.warning(
            "%s %s ran the same query %d times, in %s. Load all rows at once, for example with `selectinload`: %s",
            self.work.method, self.work.name, times, statement.caller or "a library", statement.text,
            extra={"action": "repeated_query", "caller": statement.caller},
        )  # fmt: skip
