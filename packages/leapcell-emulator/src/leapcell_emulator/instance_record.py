"""The record's part of one instance: its start, the times of its requests, its end."""

from __future__ import annotations

import time

from leapcell_emulator.confined import ConfinedProcess
from leapcell_emulator.metering import Meter, Window
from leapcell_emulator.record import Record


class InstanceRecord:
    """Measures an instance, and writes lines where a record is wanted."""

    def __init__(self, record: Record | None, name: str, process: ConfinedProcess) -> None:
        self._record = record
        self._name = name
        self._process = process
        self._meter = Meter(process.processor_seconds if record else None)
        self._begun = time.time()
        self._ended = False

    def started(self, *, memory: int) -> None:
        """Record that it answers; `memory` is its limit in MB."""
        if self._record is not None:
            self._record.write(
                "start",
                instance=self._name,
                start=self._begun,
                end=time.time(),
                processor=self._process.processor_seconds(),
                memory_limit=memory,
                cpu_limited=self._process.cpu_limited,
            )

    def begin(self) -> Window:
        """Begin a request."""
        return self._meter.begin()

    def end(self, window: Window) -> None:
        """End a request."""
        self._meter.end(window)

    def ended(self, *, served: int) -> None:
        """Record its end, once, while its process can still be measured."""
        if self._record is not None and not self._ended:
            self._ended = True
            self._record.write(
                "end",
                instance=self._name,
                end=time.time(),
                served=served,
                busy=self._meter.busy,
                processor=self._process.processor_seconds(),
            )

    def memory(self) -> int | None:
        """Bytes that it uses; None without a record."""
        return self._process.memory() if self._record is not None else None
