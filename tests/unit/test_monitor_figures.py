"""Percentiles, charts and words of the monitor's page."""

from __future__ import annotations

import random

import pytest

from fastopp.features.monitor import wording
from fastopp.features.monitor.charts import HEIGHT, round_up, stacked_bars, steps
from fastopp.features.monitor.percentiles import percentile
from fastopp.features.monitor.periods import DAY, WRITTEN
from fastopp.features.monitor.spans import SPANS, window
from fastopp.recording import Figures


def figures(*seconds: float) -> Figures:
    found = Figures()
    for each in seconds:
        found.add_seconds(each)
    return found


def test_percentiles_are_within_their_bounds():
    chance = random.Random(3)
    for scale in (0.002, 0.1, 3.0, 400.0):
        times = sorted(chance.expovariate(1 / scale) for _ in range(1000))
        found = figures(*times)
        for percent in (1, 50, 95, 99, 100):
            exact = times[max(0, 1000 * percent // 100 - 1)]
            shown = percentile(found, percent)
            assert shown
            assert shown.low <= exact <= shown.high
            assert shown.low <= shown.seconds <= shown.high
            assert shown.high <= times[-1]
            if 0.001 < exact <= 10:
                assert 1 / 2.5 <= shown.seconds / exact <= 2.5
    assert percentile(Figures(), 95) is None
    one = percentile(figures(2000.0), 50)
    assert one
    assert (one.low, one.high) == (900.0, 2000.0)
    assert percentile(figures(0.0), 99) == (0.0, 0.0, 0.0)


def test_bars_are_stacked():
    chart = stacked_bars([1, 0, 0], [3, 2, 0])
    assert chart.width == 3
    assert [tick.value for tick in chart.ticks] == [4, 2, 0]
    assert chart.paths == ("M0.12 100v-25h0.76v25z", "M0.12 75v-75h0.76v75zM1.12 100v-50h0.76v50z")
    assert stacked_bars([], []).paths == ("", "")
    assert stacked_bars([1], [9999]).paths[0] == "M0.12 100v-1.5h0.76v1.5z"  # one error is seen


def test_lines_have_gaps_and_a_logarithmic_axis():
    chart = steps([0.01, 0.1, None, 0.0001])
    assert [tick.value for tick in chart.ticks] == pytest.approx([0.1, 0.01, 0.001])
    assert chart.paths == (f"M0 50H1V0H2M3 {HEIGHT}H4",)
    assert [tick.value for tick in steps([None, None]).ticks] == pytest.approx([0.01, 0.001])
    assert len(steps([800.0]).ticks) == 7


@pytest.mark.parametrize(("value", "top"), [(0, 2), (2, 2), (3, 4), (5, 6), (10, 10), (11, 20), (399, 400), (401, 600)])
def test_the_top_of_an_axis(value, top):
    assert round_up(value) == top


def test_windows_end_with_the_present_slot():
    for span in SPANS.values():
        shown = window(span, 1_800_000_123.4)
        slots = list(shown.slots())
        assert slots[-1] <= 1_800_000_123 < shown.until == slots[-1] + span.slot
        assert shown.until - shown.since == span.seconds == len(slots) * span.slot
        assert span.slot in WRITTEN
        assert DAY % span.slot == 0


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, "-"), (0, "0 ms"), (0.0004, "0.4 ms"), (0.00994, "9.9 ms"), (0.0101, "10 ms"), (0.9994, "999 ms"),
     (0.9996, "1.0 s"), (9.96, "10.0 s"), (59, "59 s"), (130, "2 min"), (7300, "2.0 h"), (200_000, "2.3 days")],
)  # fmt: skip
def test_durations(seconds, words):
    assert wording.duration(seconds) == words


def test_sizes_shares_and_moments():
    assert [wording.size(each) for each in (None, 0, 999, 1000, 12_345, 5e9, 5e13)] == [
        "-", "0 B", "999 B", "1.0 kB", "12 kB", "5.0 GB", "50.0 TB",
    ]  # fmt: skip
    assert [wording.share(each) for each in (0, 0.000001, 0.004, 0.05, 0.5, 1.2)] == [
        "0 %", "0.01 %", "0.4 %", "5.0 %", "50 %", "120 %",
    ]  # fmt: skip
    assert wording.moment(1_800_000_000) == "08:00"
    assert wording.moment(1_800_000_000, with_day=True) == "Jan 15, 08:00"
