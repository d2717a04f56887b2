"""How processor time is divided among the requests of an instance."""

from __future__ import annotations

import pytest

from leapcell_emulator.metering import Meter


class Kernel:
    """Counts processor time as the test says."""

    def __init__(self) -> None:
        self.seconds: float | None = 1.0

    def read(self) -> float | None:
        return self.seconds


def test_a_request_has_what_was_used_during_it_and_requests_at_once_share() -> None:
    kernel = Kernel()
    meter = Meter(kernel.read)
    first = meter.begin()
    kernel.seconds = 2.0
    second = meter.begin()
    kernel.seconds = 5.0
    meter.end(first)
    kernel.seconds = 5.5
    meter.end(second)
    assert (first.processor, second.processor) == (pytest.approx(1.0 + 1.5), pytest.approx(1.5 + 0.5))
    kernel.seconds = 9.0  # between requests: nobody's
    third = meter.begin()
    meter.end(third)
    assert third.processor == 0.0
    assert meter.busy >= 0
    assert third.frozen >= 0


def test_an_instance_that_ends_in_the_middle_is_counted_until_then() -> None:
    kernel = Kernel()
    meter = Meter(kernel.read)
    window = meter.begin()
    kernel.seconds = 1.5
    meter.end(meter.begin())
    kernel.seconds = None
    meter.end(window)
    assert window.processor == pytest.approx(0.5)


def test_nothing_is_read_without_a_record() -> None:
    meter = Meter(None)
    window = meter.begin()
    meter.end(window)
    assert window.processor is None
