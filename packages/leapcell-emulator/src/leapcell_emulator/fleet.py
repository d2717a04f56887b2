"""The instances together: who takes the next request, who starts, who sleeps, and how a deployment replaces another."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import shutil
import time
from typing import Any, Final

from leapcell_emulator.confined import StartFailed
from leapcell_emulator.deployment import Deployment, Host
from leapcell_emulator.errors import NotFound, Unavailable
from leapcell_emulator.instance import Instance, State
from leapcell_emulator.traffic import Exchange

WATCH_INTERVAL: Final = 0.5  # seconds between two looks at memory and at who has had no traffic
KEPT_ENDED: Final = 6  # instances that are no more but still shown
DRAIN_PATIENCE: Final = 60.0  # seconds that an old instance gets for its requests in flight


class UnknownInstance(NotFound):
    """No instance of this name is running."""


class TooManyRequests(Unavailable):
    """More requests are in flight than the plan allows."""

    status = 429


class Slot:
    """A place for one instance: empty before its first request and after its instance ended."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.instance: Instance | None = None
        self.starting = asyncio.Lock()
        self.retired = False
        """Its deployment has been replaced: nothing starts here any more."""


class Fleet:
    """Gives each request an instance, in turn (E3), starting it if need be (E9)."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.in_hand = 0
        self.cold_starts = 0
        self._slots: list[Slot] = []
        self._ended: list[Instance] = []
        self._starting: set[Instance] = set()
        self._turn = 0
        self._closed = False
        self._names = (f"i{number}" for number in itertools.count(1))
        self._watch: asyncio.Task[None] | None = None
        self._retiring: set[asyncio.Task[None]] = set()
        self._joining: set[asyncio.Task[None]] = set()

    async def deploy(self, deployment: Deployment, *, at_once: bool = False) -> None:
        """Start a deployment's instances; when they answer they take their turns, the old ones go a little later (E19).

        at_once: the first that answers replaces the old ones, and the others follow when they do.

        Raises `StartFailed`; the old ones stay then.
        """
        rules = self.host.rules
        for joining in self._joining:
            joining.cancel()  # of a deployment that is replaced before it was complete
        await asyncio.gather(*self._joining, return_exceptions=True)
        fresh = [Slot(deployment) for _ in range(rules.instances)]
        if at_once:
            fresh = await self._start_first(fresh)
            self._take_over(fresh, deployment, overlap=0.0)
            return
        try:
            async with asyncio.TaskGroup() as starts:  # the first that fails ends the others, which would fail as well
                for slot in fresh:
                    starts.create_task(self._start(slot))
        except BaseException as error:  # the group is opened, and a cancelled deployment leaves nothing running
            await asyncio.gather(*(slot.instance.stop("Its deployment failed.") for slot in fresh if slot.instance))
            if isinstance(error, BaseExceptionGroup):
                raise error.exceptions[0] from None
            raise
        self._take_over(fresh, deployment, overlap=rules.deployment_overlap)

    async def _start_first(self, fresh: list[Slot]) -> list[Slot]:
        """Start all, wait for the first, and return those that are up. Raises `StartFailed`, and the others end."""
        starts = {asyncio.create_task(self._start(slot)): slot for slot in fresh}
        try:
            done, pending = await asyncio.wait(starts, return_when=asyncio.FIRST_COMPLETED)
            for start in done:
                start.result()
        except BaseException:  # a cancelled deployment too leaves nothing running
            for start in starts:
                start.cancel()
            await asyncio.gather(*starts, return_exceptions=True)
            await asyncio.gather(*(slot.instance.stop("Its deployment failed.") for slot in fresh if slot.instance))
            raise
        for start in pending:
            joining = asyncio.create_task(self._join(starts[start], start))
            self._joining.add(joining)
            joining.add_done_callback(self._joining.discard)
        return [starts[start] for start in done]

    async def _join(self, slot: Slot, start: asyncio.Task[Instance]) -> None:
        """Let one more instance take its turns when it is up."""
        try:
            await start
        except StartFailed as error:
            self.host.journal.say(f"{error} The deployment has an instance less.", level="error")
            return
        except asyncio.CancelledError:
            start.cancel()
            await asyncio.gather(start, return_exceptions=True)
            if slot.instance is not None:  # it was up already
                await slot.instance.stop("Its deployment was replaced.")
            raise
        self._slots.append(slot)

    def _take_over(self, fresh: list[Slot], deployment: Deployment, *, overlap: float) -> None:
        """Let a deployment's instances take their turns, and the old ones go after so many seconds."""
        old = [slot for slot in self._slots if slot.deployment is not deployment]
        self._slots += fresh
        if self._watch is None:
            self._watch = asyncio.create_task(self._watch_all())
        if not old:
            return
        if not overlap:
            self._slots = fresh
        task = asyncio.create_task(self._retire(old, deployment, overlap))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    async def _retire(self, old: list[Slot], new: Deployment, overlap: float) -> None:
        """Let the old ones take requests a little longer, finish their requests in flight, and end them."""
        await asyncio.sleep(overlap)
        self._slots = [slot for slot in self._slots if slot not in old]
        for slot in old:
            async with slot.starting:
                slot.retired = True
        instances = [slot.instance for slot in old if slot.instance is not None]
        await asyncio.gather(*(self._end(instance, f"Deployment {new.number} replaced it.") for instance in instances))
        found, limit = f"Deployment {new.number}", f"deployment {old[0].deployment.number}"
        self.host.journal.fire("deployment_overlap", found=found, limit=limit, level="info")
        used = {slot.deployment.image.folder for slot in self._slots}
        for folder in {slot.deployment.image.folder for slot in old} - used:
            await asyncio.to_thread(shutil.rmtree, folder.parent, ignore_errors=True)

    async def _end(self, instance: Instance, reason: str, state: State = State.GONE) -> None:
        self._remember(instance)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_PATIENCE):
                await instance.idle.wait()
        await instance.stop(reason, politely=True, state=state)

    async def take(self, exchange: Exchange) -> Instance:
        """Return the instance whose turn it is, running, for one request, which gets the times until then.

        Call `give_back` after it. Raises `TooManyRequests` (E12), and `StartFailed` when it has to be started and does
        not.
        """
        rules = self.host.rules
        if rules.max_concurrency and self.in_hand >= rules.max_concurrency:
            raise TooManyRequests
        self.in_hand += 1
        try:
            instance = await self._next(exchange)
        except BaseException:  # a client that goes away while an instance starts has no request either
            self.in_hand -= 1
            raise
        exchange.instance = instance.name
        exchange.window = instance.begin()
        exchange.queue = time.perf_counter() - exchange.begun - exchange.cold
        return instance

    def give_back(self, instance: Instance, exchange: Exchange) -> None:
        """End a request."""
        self.in_hand -= 1
        instance.end(exchange.window)
        exchange.memory = instance.record.memory()

    async def _next(self, exchange: Exchange) -> Instance:
        """Return the instance whose turn it is; if it has to start first, the exchange gets that time."""
        if not self._slots:
            raise StartFailed("No deployment is running.")
        slot = self._slots[self._turn % len(self._slots)]
        self._turn += 1
        if slot.instance is not None:  # the usual case, without waiting
            return slot.instance
        begun = time.perf_counter()
        async with slot.starting:
            if slot.retired:
                return await self._next(exchange)
            if slot.instance is not None:  # another request has waited for it, and so has this one
                exchange.cold = time.perf_counter() - begun
                return slot.instance
            self.cold_starts += 1
            await asyncio.sleep(self.host.rules.cold_start)
            instance = await self._start(slot)
            exchange.cold = time.perf_counter() - begun
            self.host.journal.fire("cold_start", level="info", found=instance.name, instance=instance.name)
            return instance

    async def _start(self, slot: Slot) -> Instance:
        if self._closed:
            raise StartFailed("The emulator is ending.")
        instance = Instance(next(self._names), slot.deployment, self.host, on_end=self._lost)
        self._starting.add(instance)
        try:
            await instance.start()
        except BaseException:  # a cancelled start is shown among those that have ended, like one that failed
            instance.state = State.GONE
            self._remember(instance)
            raise
        finally:
            self._starting.discard(instance)
        slot.instance = instance
        return instance

    def _lost(self, instance: Instance) -> None:
        """An instance ended by itself: the next request in its turn starts another."""
        self._empty(instance)
        self._remember(instance)

    def _empty(self, instance: Instance) -> None:
        for slot in self._slots:
            if slot.instance is instance:
                slot.instance = None

    def _remember(self, instance: Instance) -> None:
        """Keep one that takes no more requests: until it has ended, and then a while for the page."""
        if instance not in self._ended:
            ending = [each for each in self._ended[:-KEPT_ENDED] if each.state not in (State.GONE, State.DORMANT)]
            self._ended = [*ending, *self._ended[-KEPT_ENDED:], instance]

    async def _watch_all(self) -> None:
        while True:
            dormant_after = self.host.rules.dormant_after
            await asyncio.sleep(min(WATCH_INTERVAL, dormant_after / 4) if dormant_after else WATCH_INTERVAL)
            for instance in self.running():
                instance.check_memory()
                idle = instance.in_hand == 0 and time.monotonic() - instance.last_used > dormant_after
                if dormant_after and idle:
                    event = self.host.journal.fire(
                        "dormant_after", level="info", found=instance.name, instance=instance.name
                    )
                    await self.sleep(instance, event.message)

    async def sleep(self, instance: Instance, reason: str = "It was put to sleep.") -> None:
        """Give an instance up; the next request in its turn starts another, with an empty /tmp."""
        self._empty(instance)
        self._remember(instance)
        await instance.idle.wait()
        await instance.stop(reason, state=State.DORMANT)

    def apply_freezing(self) -> None:
        """Stop or continue those without a request, after the rule has changed."""
        for instance in self.running():
            if self.host.rules.freeze:
                instance.rest()
            else:
                instance.thaw()

    async def kill(self, instance: Instance) -> None:
        """End an instance at once, in the middle of its requests too."""
        self._empty(instance)
        self._remember(instance)
        await instance.stop("It was killed.")

    async def close(self) -> None:
        """End all instances and wait for it."""
        self._closed = True
        tasks = [task for task in (self._watch, *self._retiring, *self._joining) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        everyone = {*self.running(), *self._starting, *self._ended}
        self._slots = []
        await asyncio.gather(*(instance.stop("The emulator ended.") for instance in everyone))

    def running(self) -> list[Instance]:
        """The instances that take requests."""
        return [slot.instance for slot in self._slots if slot.instance is not None]

    def find(self, name: str) -> Instance:
        """The running instance of this name. Raises `UnknownInstance`."""
        for instance in self.running():
            if instance.name == name:
                return instance
        raise UnknownInstance(f"No instance {name} is running.")

    def status(self) -> list[dict[str, Any]]:
        """Return the status of all instances for the page, the ended ones last."""
        return [instance.status() for instance in (*self._starting, *self.running(), *reversed(self._ended))]
