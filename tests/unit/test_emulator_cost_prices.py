"""Prices: each with a source and a date, and none that was invented."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from leapcell_emulator.cost.bills import Bill
from leapcell_emulator.cost.prices import Allowance, Machine, Price, PriceRefused, read_prices

ROWS: list[Any] = [*read_prices().prices.values(), *read_prices().machines, *read_prices().allowances]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_each_row_has_a_source_and_a_date(row: Price | Machine | Allowance) -> None:
    assert row.source
    assert dt.date(2026, 1, 1) <= row.date
    if isinstance(row, Price) and row.amount is not None:
        assert row.source.startswith("https://")
    if isinstance(row, Machine):
        assert row.source.startswith("https://")


def test_what_no_page_states_is_unknown() -> None:
    unknown = {price.name for price in read_prices().prices.values() if price.amount is None}
    assert {name for name in read_prices().prices if name.startswith("leapcell.")} <= unknown
    assert "server.month" in unknown


def test_machines_cost_what_they_are_said_to() -> None:
    assert {each.name: each.month for each in read_prices().machines} == {
        "shared-cpu-1x, 256 MB": 2.19,
        "shared-cpu-1x, 512 MB": 3.69,
        "shared-cpu-1x, 1 GB": 6.70,
        "shared-cpu-2x, 2 GB": 13.39,
        "performance-1x, 2 GB": 33.00,
        "performance-2x, 4 GB": 66.00,
    }


def test_a_given_price() -> None:
    prices = read_prices().with_given(["leapcell.gb_second=0.00002"])
    assert prices["leapcell.gb_second"].amount == 0.00002
    assert prices["leapcell.gb_second"].source == "--price"
    assert read_prices()["leapcell.gb_second"].amount is None


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("leapcell.gb_second", "is not NAME=VALUE"),
        ("leapcell.gb=1", "There is no price leapcell.gb"),
        ("leapcell.gb_second=cheap", "is no price"),
        ("leapcell.gb_second=-1", "is no price"),
        ("leapcell.gb_second=nan", "is no price"),
        ("leapcell.gb_second=inf", "is no price"),
    ],
)
def test_a_price_that_is_refused(pair: str, message: str) -> None:
    with pytest.raises(PriceRefused, match=message):
        read_prices().with_given([pair])


def test_one_unknown_price_makes_the_total_unknown_and_nothing_costs_nothing() -> None:
    prices = read_prices()
    bill = Bill("LeapCell")
    bill.add(prices["leapcell.gb_second"], 0)
    bill.add(prices["fly.volume_gb"], 2)
    assert bill.total == pytest.approx(0.30)
    bill.add(prices["leapcell.gb_second"], 1)
    assert bill.total is None
    assert bill.items[-1].needs == "--price leapcell.gb_second=VALUE"
