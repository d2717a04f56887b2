"""Flushes: one at a time, in time, and never one that an answer waits for too long."""

from __future__ import annotations

import asyncio
from importlib import import_module
from types import SimpleNamespace

import pytest

from fastopp.core import flushing
from fastopp.core.background import BackgroundWork
from fastopp.core.flushing import Flusher, flush_features
from fastopp.recorder import Recorder
from fastopp.recording import Work
from fastopp.testing.clock import ManualClock


class Process:
    """A flusher whose flushes end when `let` is set."""

    def __init__(self, *, inside: bool, enabled: bool = True) -> None:
        self.clock = ManualClock()
        self.recorder = Recorder(self.clock, enabled=enabled)
        self.background = BackgroundWork(self.clock)
        self.flusher = Flusher(self.recorder, self.background, inside=inside)
        self.flusher.flush = self.flush
        self.let, self.over = asyncio.Event(), asyncio.Event()
        self.began = self.ended = 0

    async def flush(self) -> None:
        self.began += 1
        batch = self.recorder.take()
        await self.let.wait()
        if batch is not None:
            self.recorder.written(batch)
        self.ended += 1
        self.over.set()

    def work(self) -> None:
        self.recorder.add(Work("request", "/"))


async def test_an_answer_waits_for_a_flush_but_not_for_long(monkeypatch):
    monkeypatch.setattr(flushing, "PATIENCE", 0.01)
    process = Process(inside=True)
    process.work()
    await process.flusher.before_end(soon=False)
    assert (process.began, process.ended) == (1, 0)
    process.clock.advance(10)
    await process.flusher.before_end(soon=False)
    assert process.began == 1  # one at a time
    process.let.set()
    await process.background.idle()
    process.work()
    await process.flusher.before_end(soon=False)
    assert (process.began, process.ended) == (2, 2)


async def test_an_error_waits_for_a_flush_that_began_before_it_and_has_its_own():
    process = Process(inside=True)
    process.work()
    first = asyncio.create_task(process.flusher.before_end(soon=False))
    await asyncio.sleep(0)
    process.work()
    second = asyncio.create_task(process.flusher.before_end(soon=True))
    await asyncio.sleep(0)
    assert process.began == 1
    process.let.set()
    await asyncio.gather(first, second)
    assert (process.began, process.ended, process.recorder.pending) == (2, 2, False)


async def test_where_the_process_runs_on_an_error_beside_a_flush_is_written_soon(monkeypatch):
    monkeypatch.setattr(flushing, "SOON_EVERY", 0.001)
    process = Process(inside=False)
    process.work()
    process.flusher.after()
    await asyncio.sleep(0)
    process.work()
    process.flusher.after(soon=True)
    process.let.set()
    while process.ended < 2:
        process.over.clear()
        await process.over.wait()
    assert not process.recorder.pending


async def test_where_the_process_runs_on_the_rest_is_written_in_time(monkeypatch):
    process = Process(inside=False)
    process.let.set()
    process.work()
    process.flusher.after()
    await process.background.idle()
    monkeypatch.setattr(process.recorder, "due_in", lambda: 0.001)
    process.work()
    process.flusher.after()
    assert process.began == 1
    process.clock.advance(10)
    process.over.clear()
    await process.over.wait()
    assert not process.recorder.pending


async def test_the_end_of_a_process_writes_what_is_left():
    process = Process(inside=True)
    process.let.set()
    process.work()
    await process.flusher.before_end(soon=False)
    process.work()
    await process.flusher.at_end()
    assert process.ended == 2
    await process.flusher.at_end()
    assert process.began == 2


@pytest.mark.parametrize("inside", [False, True])
async def test_nothing_is_flushed_when_it_is_switched_off(inside):
    process = Process(inside=inside, enabled=False)
    process.flusher.after(soon=True)
    await process.flusher.before_end(soon=True)
    await process.flusher.at_end()
    assert process.began == 0


async def test_rules_are_evaluated_after_the_figures_are_written(monkeypatch):
    order: list[str] = []
    for name in ("alerts", "monitor"):
        module = import_module(f"fastopp.features.{name}.flush")

        async def flush(_runtime: object, name: str = name) -> None:
            order.append(name)

        monkeypatch.setattr(module, "flush", flush)
    await flush_features(SimpleNamespace(tracing=None))
    assert order == ["monitor", "alerts"]
