"""The resources of a running process, opened and closed in one place."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from types import ModuleType

from fastopp.cache.cache import Cache
from fastopp.cache.current import Current, current_cache
from fastopp.cache.select import open_cache
from fastopp.cache.tags import CACHE
from fastopp.clock import SYSTEM_CLOCK, Clock
from fastopp.core.apps import App
from fastopp.core.background import BackgroundWork
from fastopp.core.code_version import code_version_of
from fastopp.core.features import features_with, find_features
from fastopp.core.flushing import LIMIT, Flusher, flush_features
from fastopp.core.process_cache import ProcessCache
from fastopp.core.tracing import open_tracing
from fastopp.database.naive_datetimes import refuse_naive_datetimes
from fastopp.database.session import Database
from fastopp.recorder import Recorder
from fastopp.reporting import ErrorReports, ErrorSink
from fastopp.settings import Settings
from fastopp.storage.base import Storage
from fastopp.storage.file_changes import CLOCK
from fastopp.storage.select import open_storage
from fastopp.storage.tracking import STORAGE, TrackingSession
from fastopp.tasks.limits import TaskLimits
from fastopp.tasks.process import TaskProcess
from fastopp.tasks.registry import TaskRegistry
from fastopp.tasks.service import TaskService
from fastopp.tasks.wake import waker_of
from fastopp.tracing import Tracing

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Runtime:
    """The settings, the one engine, the storage and the apps of this process."""

    settings: Settings
    database: Database
    storage: Storage
    apps: tuple[App, ...]
    task_process: TaskProcess = field(default_factory=lambda: TaskProcess(TaskRegistry(())))
    clock: Clock = SYSTEM_CLOCK
    background: BackgroundWork = field(default_factory=BackgroundWork)
    title: str = "FastOpp"
    """The name of the site."""
    cache: ProcessCache = field(default_factory=ProcessCache)
    errors: ErrorReports = field(default_factory=ErrorReports)
    recorder: Recorder = field(default_factory=lambda: Recorder(enabled=False))
    """The figures of this process."""
    flusher: Flusher = field(default_factory=lambda: Flusher(Recorder(enabled=False), BackgroundWork(), inside=True))
    """Writes them."""
    shared_cache: Cache = field(default_factory=lambda: Cache(None))
    """The cache of all instances, for `@cached`."""
    tracing: Tracing | None = None
    """Sends spans and figures to a collector, if one is set up."""

    @property
    def tasks(self) -> TaskService:
        """Return the task service."""
        return TaskService(self)


@asynccontextmanager
async def open_runtime(
    settings: Settings,
    apps: tuple[App, ...] = (),
    *,
    clock: Clock = SYSTEM_CLOCK,
    task_limits: TaskLimits | None = None,
    storage: Storage | None = None,
    title: str = "FastOpp",
    tracing: Tracing | None = None,
) -> AsyncIterator[Runtime]:
    """Open the resources of a process, without connecting yet, and close them at the end.

    Parameters
    ----------
    clock, task_limits, storage: others than a process's own, for tests.
    title: the name of the site, for mails.
    tracing: that of the application, which is made before; otherwise it is made here if a collector is set up.
    """
    for app in apps:
        app.load_models()
    refuse_naive_datetimes()
    database = Database.from_settings(settings, clock=clock)
    storage = storage or open_storage(settings, clock=clock)
    code_version = code_version_of(apps, development=settings.development, clock=clock)
    cache = open_cache(settings, database, code_version, clock=clock)
    database.session_class, database.session_info = TrackingSession, {STORAGE: storage, CLOCK: clock}
    if cache.enabled:
        database.session_info[CACHE] = cache
    tasks = TaskProcess(TaskRegistry((*find_features(), *apps)), waker_of(settings, clock=clock), task_limits)
    errors = ErrorReports(lambda: _error_sinks(runtime), clock)
    background = BackgroundWork(clock, errors)
    recorder = Recorder(
        clock,
        enabled=settings.monitor,
        count_statements=settings.development and settings.repeated_queries > 0,
    )
    tracing = tracing or open_tracing(settings, clock)
    if tracing is not None:
        recorder.instance, recorder.counter = tracing.instance, tracing.count
        if settings.platform.background_cpu:
            tracing.when_full = partial(background.start, "push", tracing.push, limit=LIMIT)
    flusher = Flusher(recorder, background, inside=not settings.platform.background_cpu)
    tasks.beside.append(flusher.keep_looking)
    runtime = Runtime(
        settings,
        database,
        storage,
        apps,
        tasks,
        clock,
        background,
        title,
        ProcessCache(clock),
        errors,
        recorder,
        flusher,
        cache,
        tracing,
    )
    flusher.flush, recorder.listener = partial(flush_features, runtime), flusher.after
    current_cache.set(Current(cache))  # for commands: a request sets its own
    try:
        yield runtime
    finally:
        current_cache.set(None)
        recorder.close()
        await flusher.at_end()
        await background.aclose()
        await errors.aclose()
        try:
            await cache.aclose()
            await storage.aclose()
        finally:
            await database.dispose()


def _error_sinks(runtime: Runtime) -> tuple[ErrorSink, ...]:
    """Make what records errors: the `create_sink(runtime)` of each feature that has an error_sink.py."""
    modules = (feature.part("error_sink", "create_sink") for feature in features_with("error_sink"))
    made = [_error_sink(module, runtime) for module in modules if module is not None]
    return tuple(sink for sink in made if sink is not None)


def _error_sink(module: ModuleType, runtime: Runtime) -> ErrorSink | None:
    try:
        sink: ErrorSink | None = module.create_sink(runtime)
    except Exception:  # the edge: the others record errors nevertheless
        log.exception("Errors cannot be recorded by %s", module.__name__)
        return None
    return sink
