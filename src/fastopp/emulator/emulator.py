"""The emulator as a whole: builds the project, runs its instances and services, and serves them."""

from __future__ import annotations

from typing import Any, Final

from fastopp.errors import BadRequest

INSTANCE_ACTIONS: Final = ("freeze", "thaw", "kill", "wipe")
"""What can be done to one instance: stop it even in the middle of a request, continue it, kill it, empty its /tmp."""

EMULATOR_ACTIONS: Final = ("deploy", "sleep", "deliver-twice")
"""What can be done to all: a new deployment, all instances dormant, the next async request delivered twice."""


class UnknownAction(BadRequest):
    """The emulator has no such action."""


class Emulator:
    """One running emulator. `state` and `act` are what its page is made of."""

    def state(self) -> dict[str, Any]:
        """Everything the page shows, as JSON:

        - `name`, `folder`, `profile`, `started` (ISO time), `urls` (`public`, `async`, `page`),
          `manifest` (the keys of leapcell.yaml), `sandbox` (how E1 and E18 are enforced, in words);
        - `deployment`: number of the one in force; `deploying`: whether the next is being built;
        - `rules`: `Rules.describe()`, plus `fired` (count) for each;
        - `instances`: list of `{name, deployment, state (starting|running|frozen|dormant|gone), in_hand, served, pid,
          memory (bytes or null), memory_limit, cpu_seconds, starts, since (ISO time), ended (why, or ""),
          temp_files, temp_bytes, log (last lines)}`;
        - `requests`: last `ServedRequest`s; `events`: last `Event`s, both oldest first;
        - `services`: name → that service's `status()` (`postgres`, `object_storage`, `async_queue`, `cron`),
          only those that run.
        """
        raise NotImplementedError

    async def act(self, action: str, instance: str | None = None) -> str:
        """Do one of `INSTANCE_ACTIONS` (with the instance's name) or `EMULATOR_ACTIONS`, and say what was done.

        Raises `UnknownAction` (400), or `UnknownInstance` (404) for a name that is not running.
        """
        raise UnknownAction(f"{action} {instance}")
