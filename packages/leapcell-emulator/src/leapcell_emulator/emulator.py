"""The emulator as a whole: builds the project, runs its instances and services, and serves them."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from leapcell_emulator import saved
from leapcell_emulator.actions import Actions
from leapcell_emulator.address import PublicAddress
from leapcell_emulator.deployer import Deployer, read_settings, show_guessed
from leapcell_emulator.deployment import Deployment, Host
from leapcell_emulator.emulator_options import EmulatorOptions
from leapcell_emulator.environment import check_environment, read_env_file
from leapcell_emulator.errors import Conflict, NotFound
from leapcell_emulator.events import Event, Journal, now
from leapcell_emulator.fleet import Fleet
from leapcell_emulator.gateway import PAGE, Gateway
from leapcell_emulator.manifest import Manifest
from leapcell_emulator.page import Page
from leapcell_emulator.record import Record
from leapcell_emulator.references import resolve
from leapcell_emulator.routes import read_routes
from leapcell_emulator.rule_changes import LIVE
from leapcell_emulator.sandbox_choice import choose_sandbox
from leapcell_emulator.service import Service
from leapcell_emulator.services.look import Table
from leapcell_emulator.traffic import Exchange, Traffic
from leapcell_emulator.watch import watching
from leapcell_emulator.workplace import Workplace


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
        # As from LeapCell's edge, where all is https.
        proto = "https" if options.https else options.rules.forwarded_proto
        self.rules = replace(options.rules, forwarded_proto=proto)
        self.journal = Journal(self.rules, on_event)
        self.started = now()
        self.start_seconds = 0.0  # from the end of the build to the first instances' answers
        self.fleet: Fleet
        self.gateway: Gateway
        self.manifest: Manifest
        self._on_line = on_line or (lambda _name, _line: None)
        self.deployments = 0
        self._deploying = asyncio.Lock()
        self._exit = contextlib.AsyncExitStack()
        self._work: Workplace
        self._deployer: Deployer
        self._actions = Actions(self)
        self.traffic = Traffic()
        self._address: PublicAddress
        self._replaced: set[str] = set()
        """Variables of the user's that a service sets."""
        self.services = dict(services(self))

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
                await saved.save(self.services, self.options.save)
        finally:
            await self._exit.aclose()

    async def _start(self) -> None:
        options = self.options
        routes = read_routes(options.routes)
        self.manifest = read_settings(options)
        for warning in self.manifest.warnings:
            self.journal.say(warning, level="warning")
        show_guessed(self.manifest, options, self.journal)
        # The port first: that it is taken should not be said after a build of five minutes.
        self._address = self._exit.enter_context(PublicAddress(options))
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
        await asyncio.gather(*(self._exit.enter_async_context(service) for service in self.services.values()))
        if options.load is not None and not await saved.load(self.services, options.load):
            self.journal.say(f"Nothing is saved in {options.load}: all starts empty.", level="warning")
        self._exit.push_async_callback(self.fleet.close)
        await self.deploy()
        page = Page(self).answer
        self.gateway = Gateway(self.fleet, self.rules, self.journal, page, latency=options.latency, routes=routes)
        self.traffic = self.gateway.traffic
        runner = web.ServerRunner(self.gateway.server(), shutdown_timeout=0.5)
        await runner.setup()
        self._exit.push_async_callback(runner.cleanup)
        await self._address.serve(runner, self._work.folder)
        if options.watch:
            watched = watching(options.folder, lambda: self.deploy(at_once=True), self.journal)
            await self._exit.enter_async_context(watched)

    async def deploy(self, *, at_once: bool = False) -> None:
        """Copy and build the project as it is now, and let its instances replace those that run (E19).

        at_once: as soon as one of them answers.

        Raises `DeploymentRunning`, `BuildFailed`, `ManifestError`, `EnvironmentRefused`, `StartFailed`, and what
        `Deployer.make` does.
        """
        if self._deploying.locked():
            raise DeploymentRunning
        async with self._deploying:
            self.deployments += 1
            number = self.deployments
            manifest = self.manifest = read_settings(self.options)
            own, services = self._variables()
            variables = {**services, **own}
            check_environment(variables, self.journal)
            image = await self._deployer.make(number, manifest, own, services)
            begun = time.perf_counter()
            try:
                made = Deployment(number=number, image=image, manifest=manifest, variables=variables)
                await self.fleet.deploy(made, at_once=at_once)
            except BaseException:  # a cancelled deployment too leaves no files
                if all(instance.deployment.image is not image for instance in self.fleet.running()):
                    await asyncio.to_thread(shutil.rmtree, image.folder.parent, ignore_errors=True)
                raise
            self.start_seconds = time.perf_counter() - begun

    @property
    def url(self) -> str:
        """The public address."""
        return self._address.url

    @property
    def local_url(self) -> str:
        """The same in plain HTTP, for what runs on this machine."""
        return self._address.local_url

    @property
    def authority(self) -> Path | None:
        """The certificate to trust for the public address; None: it needs none."""
        return self._address.authority

    @property
    def trust(self) -> dict[str, str]:
        """Return variables by which programs trust the public address."""
        return self._address.trust(self._work.folder)

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
        for service in self.services.values():
            services |= service.environment()
        given = read_env_file(self.options.env_file) | dict(self.options.variables)
        own, referring = resolve(given, {**services, "PUBLIC_URL": self.url, "PUBLIC_HOST": self._address.name})
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
        - `latency_ms`: what a request takes to the region and back;
        - `rules`: `Rules.describe()`, with `fired` (count) and `live` (whether it can be changed now) for each;
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
        if (queue := self.services.get("async_queue")) is not None:
            urls["async"] = queue.url  # type: ignore[attr-defined]  # this service's own
        return {
            "name": self.options.folder.resolve().name,
            "folder": str(self.options.folder.resolve()),
            "profile": self.options.profile,
            "started": self.started,
            "urls": urls,
            "manifest": self.manifest.as_keys(),
            "sandbox": self.fleet.host.sandbox.words,
            "deployment": self.deployments,
            "deploying": self._deploying.locked(),
            "in_hand": self.fleet.in_hand,
            "cold_starts": self.fleet.cold_starts,
            "latency_ms": round(self.gateway.latency * 1000, 3),
            "rules": [
                {**rule, "fired": fired.get(rule["name"], 0), "live": rule["name"] in LIVE}
                for rule in self.rules.describe()
            ],
            "instances": self.fleet.status(),
            "services": {name: service.status() for name, service in self.services.items()},
            **journal,
        }

    def request(self, number: str) -> dict[str, Any]:
        """Return all of a request: `Exchange.details`. Raises `UnknownRequest`."""
        return self.exchange(number).details(self.url)

    def har(self) -> dict[str, Any]:
        """Return the last requests as an HTTP Archive."""
        return self.traffic.har(self.url)

    def exchange(self, number: str | None) -> Exchange:
        """Return a request with its answer. Raises `UnknownRequest`."""
        return self.traffic.get(number or "")

    async def look(self, service: str, name: str, after: int) -> Table:
        """Return what a service holds, or what is in its part of this name. Raises `NotFound`, `BadRequest`."""
        running = self.services.get(service)
        table = await running.look(name, after) if running is not None else None
        if table is None:
            raise NotFound(f"There is nothing to see of {service}.", hint=f"There are {', '.join(self.services)}.")
        return table

    def find_object(self, key: str) -> Path:
        """Return the file of an object in the bucket. Raises `NotFound`."""
        if (storage := self.services.get("object_storage")) is None:
            raise NotFound("No Object Storage runs.")
        return storage.find(key)  # type: ignore[attr-defined, no-any-return]  # its own

    async def act(self, action: str, target: str | None = None) -> str:
        """Do one of `Actions` with this target, and say what was done. Raises as it does."""
        return await self._actions.act(action, target)
