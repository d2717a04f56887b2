"""The actions of a user on a running emulator, from the page or by a program."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Final, Protocol

from leapcell_emulator.errors import BadRequest
from leapcell_emulator.replay import replay
from leapcell_emulator.rule_changes import change

if TYPE_CHECKING:
    from leapcell_emulator.fleet import Fleet
    from leapcell_emulator.gateway import Gateway
    from leapcell_emulator.instance import Instance
    from leapcell_emulator.rules import Rules
    from leapcell_emulator.service import Service
    from leapcell_emulator.services.postgres import Postgres
    from leapcell_emulator.traffic import Exchange

INSTANCE_ACTIONS: Final = ("freeze", "thaw", "kill", "wipe", "sleep")
"""Actions on one instance: stop it even in the middle of a request, continue it, kill it, empty its /tmp, or
give it up as for want of traffic."""

EMULATOR_ACTIONS: Final = (
    "deploy",
    "deliver-twice",
    "replay",
    "run-cron",
    "sleep-all",
    "change-rule",
    "latency",
    "db-latency",
    "fail-database",
    "disconnect-database",
)
"""Actions on the whole: a new deployment, the next async request delivered twice, a request sent again (by its number),
a timer's call now (by its place), every instance dormant, a rule changed (`freeze=off`), milliseconds to the region and
to the database, a database that drops all connections for so many seconds or once."""

MOST_SECONDS: Final = 3600.0
"""Of a failure."""
MOST_MILLISECONDS: Final = 60_000.0
"""Of a latency."""


DATABASE_ACTIONS: Final = ("db-latency", "fail-database", "disconnect-database")


class UnknownAction(BadRequest):
    """The emulator has no such action."""


class Controlled(Protocol):
    """The interface that actions need: the `Emulator`."""

    fleet: Fleet
    gateway: Gateway
    rules: Rules
    services: dict[str, Service]
    deployments: int

    @property
    def local_url(self) -> str:
        """The address in plain HTTP."""
        ...

    async def deploy(self) -> None:
        """Replace the instances."""
        ...

    def exchange(self, number: str | None) -> Exchange:
        """Return a request."""
        ...


class Actions:
    """The actions on one emulator."""

    def __init__(self, emulator: Controlled) -> None:
        self._emulator = emulator

    async def act(self, action: str, target: str | None = None) -> str:
        """Do one of `INSTANCE_ACTIONS` (with the instance's name) or `EMULATOR_ACTIONS`, and say what was done.

        Raises `UnknownAction` (400), or `UnknownInstance` (404) for a name that is not running.
        """
        emulator = self._emulator
        if action == "deploy":
            await emulator.deploy()
            return f"Deployment {emulator.deployments} takes requests."
        if action == "deliver-twice" and "async_queue" in emulator.services:
            emulator.services["async_queue"].deliver_twice()  # type: ignore[attr-defined]  # this service's own
            return "The next async request will be delivered twice."
        if action == "replay":
            return await replay(emulator.exchange(target), emulator.local_url)
        if action == "run-cron" and "cron" in emulator.services:
            return await emulator.services["cron"].run(target or "0")  # type: ignore[attr-defined, no-any-return]  # as above
        if action == "sleep-all":
            chosen = emulator.fleet.running()
            await asyncio.gather(*(emulator.fleet.sleep(each) for each in chosen))
            return f"{len(chosen)} instances are dormant, as after half an hour without traffic."
        if action == "change-rule":
            done = change(emulator.rules, target or "")
            emulator.fleet.apply_freezing()
            return done
        if action == "latency":
            emulator.gateway.latency = _read_number(target, MOST_MILLISECONDS) / 1000
            return f"A request takes {emulator.gateway.latency * 1000:g} ms to the region and back."
        if action in DATABASE_ACTIONS and "postgres" in emulator.services:
            return self._act_on_database(action, target)
        if action not in INSTANCE_ACTIONS:
            known = ", ".join((*INSTANCE_ACTIONS, *EMULATOR_ACTIONS))
            raise UnknownAction(f"The emulator cannot {action}.", hint=f"It knows {known}.")
        return await self._act_on_instance(action, emulator.fleet.find(target or ""))

    def _act_on_database(self, action: str, target: str | None) -> str:
        database: Postgres = self._emulator.services["postgres"]  # type: ignore[assignment]  # by that name
        if action == "db-latency":
            database.latency = _read_number(target, MOST_MILLISECONDS) / 1000
            return f"A statement takes {database.latency * 1000:g} ms to the database and back."
        if action == "fail-database":
            seconds = _read_number(target, MOST_SECONDS)
            database.fail(seconds)
            return f"The database drops every connection for {seconds:g} s."
        return f"{database.disconnect()} database connections were dropped."

    async def _act_on_instance(self, action: str, chosen: Instance) -> str:
        emulator = self._emulator
        match action:
            case "freeze":
                chosen.freeze()
                return f"{chosen.name} is stopped until its next request."
            case "thaw":
                chosen.thaw()
                return f"{chosen.name} runs."
            case "kill":
                await emulator.fleet.kill(chosen)
                return f"{chosen.name} is gone, with its /tmp."
            case "sleep":
                await emulator.fleet.sleep(chosen)
                return f"{chosen.name} is dormant; its /tmp is lost."
            case _:
                await chosen.wipe()
                return f"The /tmp of {chosen.name} is empty."


def _read_number(text: str | None, most: float) -> float:
    """Return a number from 0 to `most`. Raises `BadRequest`."""
    try:
        number = float(text or "")
    except ValueError:
        number = math.nan
    if not 0 <= number <= most:
        raise BadRequest(f"{text} is not a number from 0 to {most:g}.")
    return number
