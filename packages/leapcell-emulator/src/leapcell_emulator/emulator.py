"""The emulator as a whole: builds the project, runs its instances and services, and serves them."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final, Self

from aiohttp import web

from leapcell_emulator import saved
from leapcell_emulator.deployer import Deployer, read_settings, show_guessed
from leapcell_emulator.deployment import Deployment, Host
from leapcell_emulator.emulator_options import EmulatorOptions
from leapcell_emulator.environment import check_environment, read_env_file
from leapcell_emulator.errors import BadRequest, Conflict, NotFound
from leapcell_emulator.events import Event, Journal, now
from leapcell_emulator.fleet import Fleet
from leapcell_emulator.gateway import PAGE, Gateway
from leapcell_emulator.loopback import HOST, listen
from leapcell_emulator.manifest import Manifest
from leapcell_emulator.page import Page
from leapcell_emulator.record import Record
from leapcell_emulator.references import resolve
from leapcell_emulator.replay import replay
from leapcell_emulator.sandbox_choice import choose_sandbox
from leapcell_emulator.service import Service
from leapcell_emulator.traffic import KEPT, Exchange, Traffic
from leapcell_emulator.watch import watching
from leapcell_emulator.workplace import Workplace

INSTANCE_ACTIONS: Final = ("freeze", "thaw", "kill", "wipe", "sleep")
"""Actions on one instance: stop it even in the middle of a request, continue it, kill it, empty its /tmp, or
give it up as for want of traffic."""

EMULATOR_ACTIONS: Final = ("deploy", "deliver-twice", "replay", "run-cron")
"""Actions on all instances: a new deployment, the next async request delivered twice, a request sent again (by its
number), a timer's call now (by its place)."""


class UnknownAction(BadRequest):
    """The emulator has no such action."""


class UnknownRequest(NotFound):
    """There is no such request, or it is too long ago."""


class DeploymentRunning(Conflict):
    """A deployment is being made already."""


class Emulator:
    """One running emulator: `async with Emulator(options) as emulator:`.

    Parameters
    ----------
    services: makes them, by name.
    on_event: hears of every rule that fires.
    on_line: hears the name of an instance, or `build`, and a line of its log.
    """

    def __init__(
        self,
        options: EmulatorOptions,
        *,
        services: Callable[[Emulator], Mapping[str, Service]] = lambda _emulator: {},
        on_event: Callable[[Event], None] | None = None,
        on_line: Callable[[str, str], None] | None = None,
    ) -> None:
        self.options = options
        self.rules = options.rules
        self.journal = Journal(options.rules, on_event)
        self.started = now()
        self.start_seconds = 0.0
        """Seconds from the end of the build to the first instances' answers."""
        self.fleet: Fleet
        self.manifest: Manifest
        self._on_line = on_line or (lambda _name, _line: None)
        self._deployments = 0
        self._deploying = asyncio.Lock()
        self._exit = contextlib.AsyncExitStack()
        self._work: Workplace
        self._deployer: Deployer
        self.traffic = Traffic()
        self._port = 0
        self._replaced: set[str] = set()
        """Variables of the user's that a service sets."""
        self._services = dict(services(self))

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as undo:
            undo.push_async_callback(self._exit.aclose)
            await self._start()
            undo.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        try:
            if self.options.save is not None:
                await saved.save(self._services, self.options.save)
        finally:
            await self._exit.aclose()

    async def _start(self) -> None:
        options = self.options
        self.manifest = read_settings(options)
        for warning in self.manifest.warnings:
            self.journal.say(warning, level="warning")
        show_guessed(self.manifest, options, self.journal)
        # The port first: that it is taken should not be said after a build of five minutes.
        listener = self._exit.enter_context(
            contextlib.closing(listen(options.port, what="the project", option="--port"))
        )
        self._port = listener.getsockname()[1]
        if options.save is not None:  # nor that this cannot be done, at the end
            await asyncio.to_thread(saved.make_folder, options.save)
        if options.record is not None:
            self.journal.record = self._exit.enter_context(Record(options.record))
        sandbox = await asyncio.to_thread(choose_sandbox, options.sandbox)
        self._work = self._exit.enter_context(Workplace())
        host = Host(
            rules=self.rules,
            sandbox=sandbox,
            journal=self.journal,
            folder=self._work.instances,
            on_line=self._on_line,
        )
        self.fleet = Fleet(host)
        self._deployer = await self._exit.enter_async_context(
            Deployer(
                options,
                sandbox=sandbox,
                work=self._work,
                journal=self.journal,
                tell=lambda line: self._on_line("build", line),
            )
        )
        await asyncio.gather(*(self._exit.enter_async_context(service) for service in self._services.values()))
        if options.load is not None and not await saved.load(self._services, options.load):
            self.journal.say(f"Nothing is saved in {options.load}: all starts empty.", level="warning")
        self._exit.push_async_callback(self.fleet.close)
        await self.deploy()
        gateway = Gateway(self.fleet, self.rules, self.journal, Page(self).answer, latency=options.latency)
        self.traffic = gateway.traffic
        runner = web.ServerRunner(gateway.server(), shutdown_timeout=0.5)
        await runner.setup()
        self._exit.push_async_callback(runner.cleanup)
        await web.SockSite(runner, listener).start()
        if options.watch:
            await self._exit.enter_async_context(watching(options.folder, self.deploy, self.journal))

    async def deploy(self) -> None:
        """Copy and build the project as it is now, and let its instances replace those that run (E19).

        Raises `DeploymentRunning`, `BuildFailed`, `ManifestError`, `EnvironmentRefused`, `StartFailed`, and what
        `Deployer.make` does.
        """
        if self._deploying.locked():
            raise DeploymentRunning
        async with self._deploying:
            self._deployments += 1
            number = self._deployments
            manifest = self.manifest = read_settings(self.options)
            own, services = self._variables()
            variables = {**services, **own}
            check_environment(variables, self.journal)
            image = await self._deployer.make(number, manifest, own, services)
            begun = time.perf_counter()
            try:
                await self.fleet.deploy(Deployment(number=number, image=image, manifest=manifest, variables=variables))
            except BaseException:  # a cancelled deployment too leaves no files
                if all(instance.deployment.image is not image for instance in self.fleet.running()):
                    await asyncio.to_thread(shutil.rmtree, image.folder.parent, ignore_errors=True)
                raise
            self.start_seconds = time.perf_counter() - begun

    @property
    def url(self) -> str:
        """The public address."""
        return f"http://{HOST}:{self._port}"

    @property
    def variables(self) -> dict[str, str]:
        """The environment of the service as it is now, secrets and all. Raises `EnvironmentRefused`.

        What the emulator's services say wins over what the user set, which may be the address of the real database. A
        variable that refers to them by `${…}` wins over both.
        """
        own, services = self._variables()
        return {**services, **own}

    def _variables(self) -> tuple[dict[str, str], dict[str, str]]:
        """The user's variables in force, and the services'. Raises `EnvironmentRefused`, `UnknownReference`."""
        services: dict[str, str] = {}
        for service in self._services.values():
            services |= service.environment()
        given = read_env_file(self.options.env_file) | dict(self.options.variables)
        own, referring = resolve(given, services)
        for name in services.keys() & own.keys() - set(referring):
            if own.pop(name) != services[name] and name not in self._replaced:
                self._replaced.add(name)
                message = f"{name} of yours is not used: it is the address of a service that the emulator runs."
                self.journal.say(f"{message} Refer to it as ${{{name}}}.", level="warning")
        return own, services

    def state(self) -> dict[str, Any]:
        """Everything the page shows, as JSON:

        - `name`, `folder`, `profile`, `started` (ISO time), `urls` (`public`, `page`, and `async` where there is one),
          `manifest` (the keys of leapcell.yaml), `sandbox` (how E1 is enforced, in words);
        - `deployment`: number of the newest; `deploying`: whether it is still being made;
        - `in_hand`: requests at the moment; `cold_starts`: how many instances a request had to wait for;
        - `rules`: `Rules.describe()`, with `fired` (count) for each;
        - `instances`: list of `{name, deployment, state (starting|running|frozen|dormant|gone), in_hand, served, pid,
          memory (bytes or null), memory_limit, memory_limited, cpu_seconds, cpu_limited, since (ISO time),
          ended (why, or ""), temp_files, temp_bytes, log (last lines)}`, the ended ones last;
        - `requests`: last `ServedRequest`s; `events`: last `Event`s, both oldest first;
        - `services`: name → that service's `status()` (`postgres`, `object_storage`, `redis`, `async_queue`, `cron`),
          only those that run.
        """
        journal = self.journal.state()
        fired = journal.pop("fired")
        urls = {"public": self.url, "page": f"{self.url}{PAGE}"}
        if (queue := self._services.get("async_queue")) is not None:
            urls["async"] = queue.url  # type: ignore[attr-defined]  # this service's own
        return {
            "name": self.options.folder.resolve().name,
            "folder": str(self.options.folder.resolve()),
            "profile": self.options.profile,
            "started": self.started,
            "urls": urls,
            "manifest": self.manifest.as_keys(),
            "sandbox": self.fleet.host.sandbox.words,
            "deployment": self._deployments,
            "deploying": self._deploying.locked(),
            "in_hand": self.fleet.in_hand,
            "cold_starts": self.fleet.cold_starts,
            "rules": [{**rule, "fired": fired.get(rule["name"], 0)} for rule in self.rules.describe()],
            "instances": self.fleet.status(),
            "services": {name: service.status() for name, service in self._services.items()},
            **journal,
        }

    def request(self, number: str) -> dict[str, Any]:
        """Return all of a request: `Exchange.details`. Raises `UnknownRequest`."""
        return self._request(number).details(self.url)

    def har(self) -> dict[str, Any]:
        """Return the last requests as an HTTP Archive."""
        return self.traffic.har(self.url)

    def _request(self, number: str | None) -> Exchange:
        found = self.traffic.find(number or "")
        if found is None:
            raise UnknownRequest(f"There is no request {number}.", hint=f"The last {KEPT} are kept.")
        return found

    async def act(self, action: str, instance: str | None = None) -> str:
        """Do one of `INSTANCE_ACTIONS` (with the instance's name) or `EMULATOR_ACTIONS`, and say what was done.

        Raises `UnknownAction` (400), or `UnknownInstance` (404) for a name that is not running.
        """
        if action == "deploy":
            await self.deploy()
            return f"Deployment {self._deployments} takes requests."
        if action == "deliver-twice" and "async_queue" in self._services:
            self._services["async_queue"].deliver_twice()  # type: ignore[attr-defined]  # this service's own
            return "The next async request will be delivered twice."
        if action == "replay":
            return await replay(self._request(instance), self.url)
        if action == "run-cron" and "cron" in self._services:
            return await self._services["cron"].run(instance or "0")  # type: ignore[attr-defined, no-any-return]  # as above
        if action not in INSTANCE_ACTIONS:
            known = ", ".join((*INSTANCE_ACTIONS, *EMULATOR_ACTIONS))
            raise UnknownAction(f"The emulator cannot {action}.", hint=f"It knows {known}.")
        chosen = self.fleet.find(instance or "")
        match action:
            case "freeze":
                chosen.freeze()
                return f"{chosen.name} is stopped until its next request."
            case "thaw":
                chosen.thaw()
                return f"{chosen.name} runs."
            case "kill":
                await self.fleet.kill(chosen)
                return f"{chosen.name} is gone, with its /tmp."
            case "sleep":
                await self.fleet.sleep(chosen)
                return f"{chosen.name} is dormant; its /tmp is lost."
            case _:
                await chosen.wipe()
                return f"The /tmp of {chosen.name} is empty."
