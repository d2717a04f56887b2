"""Collect the errors of this process, counted by group, until they are stored together."""

from __future__ import annotations

import logging
import os
import platform
import threading
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from sqlalchemy import inspect

from fastopp.core.release_id import release_id
from fastopp.core.runtime import Runtime
from fastopp.features.errors.describing import Description, describe
from fastopp.features.errors.fingerprint import Fingerprints, Identity
from fastopp.features.errors.models import MAX_MESSAGE, MAX_NAME, MAX_PLACE, MAX_ROUTE, MAX_TYPE
from fastopp.features.errors.pending import Event, Pending
from fastopp.features.errors.storing import ErrorStore, trim
from fastopp.reporting import ErrorSink, Occurrence
from fastopp.tasks.failure import storable
from fastopp.token_bucket import TokenBucket

log = logging.getLogger(__name__)

KNOWN: Final = 500  # groups whose budgets a process remembers
EVENTS_WAITING: Final = 100  # events that wait, of some 12 kB
WAITING: Final = 200  # groups that wait to be stored; errors of further ones are dropped while the database is away
NEW_AT_ONCE, NEW_EVERY = 50, 10.0  # new groups, and seconds until one more: a program may make up names without end
EVENTS_AT_ONCE, EVENTS_EVERY = 50, 1.0  # events of a group, and seconds until one more; the rest is only counted

OVERFLOW: Final = Identity("too-many-groups", "TooManyErrors", "")
_OVERFLOW_MESSAGE: Final = "More kinds of errors than are kept apart; the log has them."


def create_sink(runtime: Runtime) -> ErrorSink | None:
    """Return what records the errors of a process; None with ERRORS=false."""
    return DatabaseSink(runtime) if runtime.settings.errors else None


class DatabaseSink:
    """Counts errors by group, describes some of each, and stores all that has come in one transaction."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime, self._clock = runtime, runtime.clock
        self._store = ErrorStore(runtime.database)
        self._fingerprints = Fingerprints(Path.cwd())
        self._release = release_id(runtime.settings, Path.cwd())
        self._instance = f"{platform.node()}:{os.getpid()}"[:MAX_NAME]
        self._lock = threading.Lock()  # plain functions run in threads
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()
        self._new = TokenBucket(self._clock, NEW_AT_ONCE, NEW_EVERY)
        self._pending: dict[str, Pending] = {}
        self._dropped = 0

    def add(self, occurrence: Occurrence) -> None:
        """Count an error, and describe it unless there were many of its kind just now."""
        identity = self._fingerprints.identify(occurrence.error, occurrence.caller, occurrence.task)
        now = self._clock.now()
        with self._lock:
            identity, wanted = self._admit(identity)
            wanted = wanted and sum(each.described for each in self._pending.values()) < EVENTS_WAITING
        event = self._event(occurrence, identity) if wanted else None
        with self._lock:
            pending = self._pending.get(identity.fingerprint)
            if pending is None:
                if len(self._pending) >= WAITING:
                    self._dropped += 1
                    return
                pending = Pending(
                    identity.fingerprint, storable(identity.type)[:MAX_TYPE], storable(identity.place)[:MAX_PLACE], now
                )
                self._pending[identity.fingerprint] = pending
            pending.add(now, event, retry=occurrence.kind == "retry")

    async def flush(self) -> None:
        """Store what was added, and delete groups beyond the most that are kept."""
        with self._lock:
            batch, self._pending = self._pending, {}
            dropped, self._dropped = self._dropped, 0
        try:
            new = await self._store.store(batch.values(), self._release) if batch else False
        except BaseException:
            # It may have been committed after all. To count an error twice is better than to lose it.
            with self._lock:
                for fingerprint, pending in self._pending.items():
                    batch[fingerprint] = batch[fingerprint].joined(pending) if fingerprint in batch else pending
                self._pending = batch
                self._dropped += dropped
            raise
        if dropped:
            log.warning("%d errors were not recorded: too many at once", dropped, extra={"action": "errors_dropped"})
        if new:
            await trim(self._runtime.database)

    def _admit(self, identity: Identity) -> tuple[Identity, bool]:
        """Return the group to count an error in, and whether to describe it."""
        budget = self._buckets.get(identity.fingerprint)
        if budget is None:
            if not self._new.take():
                identity = OVERFLOW
            budget = self._buckets.get(identity.fingerprint)
            if budget is None:
                budget = self._buckets[identity.fingerprint] = TokenBucket(self._clock, EVENTS_AT_ONCE, EVENTS_EVERY)
        self._buckets.move_to_end(identity.fingerprint)
        while len(self._buckets) > KNOWN:
            self._buckets.popitem(last=False)
        return identity, budget.take()

    def _event(self, occurrence: Occurrence, identity: Identity) -> Event:
        scope = occurrence.scope
        described = describe(
            occurrence.error,
            self._runtime.settings,
            scope=scope,
            context=occurrence.context,
            caller=occurrence.caller,
        )
        values: dict[str, Any] = {
            "kind": occurrence.kind,
            "message": described.message,
            "traceback": described.traceback,
            "context": described.context,
            "task": storable(occurrence.task)[:MAX_NAME],
            "job_id": occurrence.job_id,
            "attempt": occurrence.attempt,
            "release": self._release,
            "instance": self._instance,
            **_of_request(scope),
        }
        return Event(self._clock.now(), _headline(described, identity), values)


def _headline(described: Description, identity: Identity) -> str:
    return _OVERFLOW_MESSAGE if identity is OVERFLOW else described.headline[:MAX_MESSAGE]


def _of_request(scope: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the fields of a request: of its address only the route, since the rest may hold secrets."""
    if scope is None:
        return {"request_id": "", "method": "", "route": "", "user_id": ""}
    state: Mapping[str, Any] = scope.get("state", {})
    route = scope.get("route")
    path = getattr(route, "path_format", None) or getattr(route, "path", "")
    return {
        "request_id": str(state.get("request_id") or "")[:MAX_NAME],
        "method": str(scope.get("method", "WEBSOCKET"))[:16],
        "route": storable(str(path))[:MAX_ROUTE],
        "user_id": _user_id(getattr(state.get("signed_in"), "user", None)),
    }


def _user_id(user: object) -> str:
    """Return an account's id without loading it: its session is over, and may have been rolled back."""
    state = inspect(user, raiseerr=False) if user is not None else None
    identity = getattr(state, "identity", None)
    return str(identity[0])[:36] if identity else ""
