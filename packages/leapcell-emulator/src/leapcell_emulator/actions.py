"""What a user can do to a running emulator, from the page or by a program."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from leapcell_emulator.errors import BadRequest
from leapcell_emulator.replay import replay

if TYPE_CHECKING:
    from leapcell_emulator.emulator import Emulator

INSTANCE_ACTIONS: Final = ("freeze", "thaw", "kill", "wipe", "sleep")
"""Actions on one instance: stop it even in the middle of a request, continue it, kill it, empty its /tmp, or
give it up as for want of traffic."""

EMULATOR_ACTIONS: Final = ("deploy", "deliver-twice", "replay", "run-cron")
"""Actions on all instances: a new deployment, the next async request delivered twice, a request sent again (by its
number), a timer's call now (by its place)."""


class UnknownAction(BadRequest):
    """The emulator has no such action."""


class Actions:
    """The actions on one emulator."""

    def __init__(self, emulator: Emulator) -> None:
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
        if action not in INSTANCE_ACTIONS:
            known = ", ".join((*INSTANCE_ACTIONS, *EMULATOR_ACTIONS))
            raise UnknownAction(f"The emulator cannot {action}.", hint=f"It knows {known}.")
        chosen = emulator.fleet.find(target or "")
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
