"""Timers that call the application: LeapCell mentions "HTTP or Cron" as what starts it, and says nothing more.

So the format is ours, a separate YAML file:

    cron:
      - path: /async/drain
        schedule: "*/5 * * * *"       # five fields, UTC; or: every: 30 (seconds)
        method: POST                  # the default
        headers: {Authorization: "Bearer $OPS_TOKEN"}   # $NAME: a variable of the service

A call does not wait for the one before it, and what was due while nothing ran is not made up for: what a timer calls
must stand being called twice, or late, or not.
"""

from __future__ import annotations

import asyncio
import math
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPMethod
from pathlib import Path
from string import Template
from types import TracebackType
from typing import Any, Self

import aiohttp
import yaml  # type: ignore[import-untyped] # it has none
from croniter import CroniterError, croniter  # type: ignore[import-untyped] # it has none
from multidict import CIMultiDict

from leapcell_emulator import documented
from leapcell_emulator.errors import BadRequest

IDEMPOTENCY_KEY = "Idempotency-Key"  # of each call a new one, so that what repeats it on the way starts nothing twice

_KEYS = frozenset({"path", "schedule", "every", "method", "headers"})


class CronError(BadRequest):
    """The cron file is invalid."""


@dataclass(slots=True, kw_only=True)
class Timer:
    """One entry of the file, and how its calls went."""

    path: str
    schedule: str = ""
    """Five fields, UTC; empty: `every` counts."""
    every: float = 0.0
    """Seconds between calls."""
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    calls: int = 0
    failures: int = 0
    """Calls that ended in 4xx, 5xx or no answer."""
    status: int | None = None
    """The last answer; None: none came."""
    last: datetime | None = None
    due: datetime | None = None

    def after(self, moment: datetime) -> datetime:
        """The time at which it is due next."""
        if self.every:
            return moment + timedelta(seconds=self.every)
        due: datetime = croniter(self.schedule, moment).get_next(datetime)
        return due


def read_timers(text: str, variables: Mapping[str, str]) -> list[Timer]:
    """The timers in a file's text.

    variables: the service's environment, for `$NAME` in headers.
    Raises `CronError`, which says which entry is wrong and how.
    """
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise CronError(f"The cron file is not YAML: {error}") from None
    entries = content.get("cron") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise CronError("The cron file has no list named cron.")
    return [_read(f"Entry {number} of the cron file", entry, variables) for number, entry in enumerate(entries, 1)]


def _read(name: str, entry: object, variables: Mapping[str, str]) -> Timer:
    if not isinstance(entry, dict):
        raise CronError(f"{name} is not a mapping.", hint=f"It has {', '.join(sorted(_KEYS))}.")
    if unknown := entry.keys() - _KEYS:
        raise CronError(f"{name} has {min(map(str, unknown))}, which is not known.")
    path, schedule, every = entry.get("path"), entry.get("schedule"), entry.get("every")
    method, headers = str(entry.get("method", "POST")).upper(), entry.get("headers") or {}
    if not isinstance(path, str) or not path.startswith("/"):
        raise CronError(f"{name} needs a path that starts with a slash.")
    if (schedule is None) == (every is None):
        raise CronError(f"{name} needs either schedule or every.")
    if schedule is not None and not _is_schedule(schedule):
        raise CronError(f"{name}: {schedule!r} is no schedule.", hint='Five fields, like "*/5 * * * *".')
    if every is not None and not (type(every) in (int, float) and math.isfinite(every) and every > 0):
        raise CronError(f"{name}: every is a number of seconds, not {every!r}.")
    if method not in HTTPMethod.__members__:
        raise CronError(f"{name}: {method} is no HTTP method.")
    if not isinstance(headers, dict):
        raise CronError(f"{name}: headers is not a mapping.")
    try:
        filled = {str(key): Template(str(value)).substitute(variables) for key, value in headers.items()}
    except (KeyError, ValueError) as error:
        raise CronError(f"{name}: a header names {error}, which is no variable of the service.") from None
    return Timer(path=path, schedule=schedule or "", every=float(every or 0), method=method, headers=filled)


def _is_schedule(text: object) -> bool:
    if not isinstance(text, str) or len(text.split()) != 5:
        return False
    try:
        croniter(text, datetime.now(UTC)).get_next()  # which the 30th of February has none of
    except CroniterError:
        return False
    return True


class Cron:
    """Running timers: `async with Cron(timers, target) as cron:`.

    Parameters
    ----------
    timers: what to call and when.
    target: gives the application's public address, when it is first needed.
    """

    def __init__(self, timers: list[Timer], target: Callable[[], str]) -> None:
        self.timers = timers
        self.target = target
        self._tasks: set[asyncio.Task[Any]] = set()
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        limit = aiohttp.ClientTimeout(total=documented.REQUEST_TIMEOUT)
        self._session = aiohttp.ClientSession(timeout=limit)
        for timer in self.timers:
            self._start(self._keep(timer))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._session.close()

    def environment(self) -> dict[str, str]:
        """Nothing: timers have no variables."""
        return {}

    def status(self) -> dict[str, Any]:
        """The timers, for the page; no headers, which may hold secrets."""
        return {
            "timers": [
                {
                    "path": timer.path,
                    "method": timer.method,
                    "schedule": timer.schedule or f"every {timer.every:g} s",
                    "calls": timer.calls,
                    "failures": timer.failures,
                    "status": timer.status,
                    "last": timer.last and timer.last.isoformat(timespec="milliseconds"),
                    "due": timer.due and timer.due.isoformat(timespec="milliseconds"),
                }
                for timer in self.timers
            ]
        }

    async def look(self, name: str, after: int) -> None:
        """Return nothing: its timers are on the page."""

    async def save(self, folder: Path) -> None:
        """Nothing is kept: the file has it all."""

    async def load(self, folder: Path) -> bool:
        """Nothing was kept."""
        return False

    async def run(self, place: str) -> str:
        """Call the application for the timer at this place, now, and describe the answer. Raises `CronError`."""
        if not place.isdecimal() or int(place) >= len(self.timers):
            raise CronError(f"There is no timer {place}.", hint=f"There are {len(self.timers)}, from 0.")
        timer = self.timers[int(place)]
        await self.call(timer)
        return f"{timer.method} {timer.path} was answered with {timer.status or 'nothing'}."

    async def call(self, timer: Timer) -> None:
        """Call the application for a timer, now."""
        timer.calls += 1
        timer.last = datetime.now(UTC)
        headers = CIMultiDict(timer.headers)
        headers.setdefault(IDEMPOTENCY_KEY, str(uuid.uuid4()))
        try:
            async with self._session.request(
                timer.method, self.target() + timer.path, headers=headers, allow_redirects=False
            ) as answer:
                async for _ in answer.content.iter_any():
                    pass  # its result is not awaited
                timer.status = answer.status
        except (aiohttp.ClientError, TimeoutError):
            timer.status = None
        timer.failures += timer.status is None or timer.status >= 400

    async def _keep(self, timer: Timer) -> None:
        while True:
            timer.due = timer.after(datetime.now(UTC))
            while (left := (timer.due - datetime.now(UTC)).total_seconds()) > 0:  # noqa: ASYNC110 - it is for a time
                await asyncio.sleep(min(left, 60.0))  # a machine that slept finds out within a minute
            self._start(self.call(timer))

    def _start(self, work: Any) -> None:  # noqa: ANN401 - any coroutine
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
