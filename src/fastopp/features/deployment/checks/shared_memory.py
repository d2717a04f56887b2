"""Checks for what needs /dev/shm, which some platforms deny."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from fastopp.checks.check import Problem, Scope, Subject, check
from fastopp.checks.context import CheckContext
from fastopp.checks.source import SourceFile

# What multiprocessing offers that needs no shared memory: questions, and what starts or speaks over pipes.
HARMLESS: Final = frozenset({
    "active_children", "connection", "cpu_count", "current_process", "freeze_support", "get_context", "parent_process",
    "Pipe", "Process", "ProcessError", "set_start_method", "get_start_method",
})  # fmt: skip
POOLS: Final = ("concurrent.futures.ProcessPoolExecutor", "concurrent.futures.process.ProcessPoolExecutor")
MODULES: Final = ("torch.multiprocessing", "joblib.Parallel", "joblib.parallel")
BROWSERS: Final = ("playwright", "selenium", "pyppeteer")
BROWSER_FLAG: Final = "--disable-dev-shm-usage"


@check(
    "fastopp.W341",
    "Shared memory is used",
    fix="Use threads (anyio.to_thread), a task, or a subprocess with pipes.",
    subject=Subject.SOURCE,
    scope=Scope.DEPLOYMENT,
)
def multiprocessing(context: CheckContext) -> Iterator[Problem]:
    """Locks, queues and pools of multiprocessing need /dev/shm. Without it they fail with "Permission denied"."""
    if context.platform.shared_memory:
        return
    for file in context.sources:
        for line, name in sorted(set(_uses(file))):
            yield Problem(f"{file.path}:{line} uses {name}.")


@check(
    "fastopp.W342",
    "A browser without --disable-dev-shm-usage",
    fix=f'Start it with args=["{BROWSER_FLAG}"].',
    subject=Subject.SOURCE,
    scope=Scope.DEPLOYMENT,
)
def browser(context: CheckContext) -> Iterator[Problem]:
    """Chromium stores pictures in /dev/shm and crashes without it, unless this flag makes it use /tmp."""
    if context.platform.shared_memory:
        return
    if any(BROWSER_FLAG in text for file in context.sources for text in file.strings()):
        return
    for file in context.sources:
        for line, name in file.imports():
            if name.partition(".")[0] in BROWSERS:
                yield Problem(f"{file.path}:{line} imports {name.partition('.')[0]}.")
                break


def _uses(file: SourceFile) -> Iterator[tuple[int, str]]:
    imported = {}
    for line, name in file.imports():
        imported[name] = line
        if name in POOLS or name.startswith(MODULES) or _is_shared(name):
            yield line, name
    if "multiprocessing" in imported:
        for line, attribute in file.attributes("multiprocessing"):
            if attribute not in HARMLESS:
                yield line, f"multiprocessing.{attribute}"


def _is_shared(name: str) -> bool:
    package, _, inside = name.partition(".")
    return package == "multiprocessing" and bool(inside) and inside.partition(".")[0] not in HARMLESS
