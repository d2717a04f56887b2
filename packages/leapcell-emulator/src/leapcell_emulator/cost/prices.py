"""Prices with their sources: read from `prices.toml`, completed by what the user gives, and unknown otherwise."""

from __future__ import annotations

import datetime as dt
import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Any

from leapcell_emulator.errors import BadRequest

GIVEN = "--price"


class PriceRefused(BadRequest):
    """A price that was given cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """One price in US dollars."""

    name: str
    what: str
    unit: str
    source: str
    """The address of its page, `--price`, or who says so."""
    date: dt.date
    """The day on which it was looked up."""
    amount: float | None = None
    """None: unknown."""

    @property
    def option(self) -> str:
        """The option that gives it."""
        return f"{GIVEN} {self.name}=VALUE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A size of Fly's machines."""

    name: str
    memory: int
    """MB."""
    cores: int
    shared: bool
    """Whether it gets a sixteenth of each core, and more in bursts."""
    month: float
    """US dollars for 30 days."""
    source: str
    date: dt.date


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """A part of LeapCell's free plan, for a month."""

    name: str
    amount: float
    unit: str
    source: str
    date: dt.date


@dataclass(frozen=True, slots=True)
class PriceList:
    """All prices."""

    prices: Mapping[str, Price]
    machines: tuple[Machine, ...]
    allowances: tuple[Allowance, ...]

    def __getitem__(self, name: str) -> Price:
        return self.prices[name]

    def with_given(self, pairs: Iterable[str]) -> PriceList:
        """Return the list with prices like `leapcell.gb_second=0.00002` in it. Raises `PriceRefused`."""
        prices = dict(self.prices)
        for pair in pairs:
            name, equals, text = pair.partition("=")
            if not equals:
                raise PriceRefused(f"{GIVEN} {pair} is not NAME=VALUE.")
            if name not in prices:
                raise PriceRefused(f"There is no price {name}.", hint=f"There are {', '.join(sorted(prices))}.")
            prices[name] = replace(prices[name], amount=_amount(name, text), source=GIVEN)
        return replace(self, prices=prices)


def read_prices() -> PriceList:
    """Read the price file of this package."""
    rows: dict[str, list[dict[str, Any]]] = tomllib.loads(
        files(__package__).joinpath("prices.toml").read_text(encoding="utf-8")
    )
    return PriceList(
        {row["name"]: Price(**row) for row in rows["price"]},
        tuple(Machine(**row) for row in rows["machine"]),
        tuple(Allowance(**row) for row in rows["allowance"]),
    )


def _amount(name: str, text: str) -> float:
    try:
        amount = float(text)
    except ValueError:
        amount = math.nan
    if not 0 <= amount < math.inf:
        raise PriceRefused(f"{GIVEN} {name}={text} is no price.", hint="Write US dollars like 0.00002.")
    return amount
