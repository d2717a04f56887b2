"""The bills for a month: LeapCell, Fly.io with machines that stop and one that does not, and a small server."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final

from leapcell_emulator.cost.prices import Machine, Price, PriceList
from leapcell_emulator.cost.usage import GB, MONTH, Usage

SPARE: Final = 0.8  # of a machine's memory that the application may fill
SHARED_PART: Final = 1 / 16  # of a core: https://fly.io/docs/machines/cpu-performance


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One line of a bill. The amount is unknown where a price is."""

    what: str
    quantity: float
    unit: str
    amount: float | None
    needs: str = ""
    """The option that gives the unknown price."""
    source: str = ""


@dataclass(slots=True)
class Bill:
    """The bill of one platform for a month."""

    platform: str
    items: list[Item] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def total(self) -> float | None:
        """US dollars; None: a price is unknown."""
        amounts = [item.amount for item in self.items]
        return None if None in amounts else sum(amount for amount in amounts if amount is not None)

    def add(self, price: Price, quantity: float, *, what: str = "") -> None:
        """Add what this much costs; nothing costs nothing."""
        amount = 0.0 if not quantity else None if price.amount is None else price.amount * quantity
        self.items.append(
            Item(
                what=what or price.what,
                quantity=quantity,
                unit=price.unit,
                amount=amount,
                needs=price.option if amount is None else "",
                source=price.source,
            )
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """The needs of the project besides the compute."""

    memory: float
    """MB that the application fills."""
    size: int
    """MB of LeapCell's instance."""
    database_gb: float
    storage_gb: float
    image_gb: float
    fly_postgresql: bool
    fly_zone: str
    """`na-eu`, `ap-oc-sa` or `af-in`."""


def monthly(usage: Usage) -> float:
    """Return the factor from the time that the traffic spans to 30 days."""
    return MONTH / max(usage.last - usage.first, 1.0)


def make_bills(usage: Usage, needs: Needs, prices: PriceList, factor: float) -> list[Bill]:
    """Return the bills, for a month that is `factor` times the traffic."""
    return [
        _leapcell(usage, needs, prices, factor),
        _fly(usage, needs, prices, factor, always=False),
        _fly(usage, needs, prices, factor, always=True),
        _server(prices),
    ]


def _leapcell(usage: Usage, needs: Needs, prices: PriceList, factor: float) -> Bill:
    bill = Bill("LeapCell")
    size = usage.size(needs.size)
    bill.add(prices["leapcell.gb_second"], size.instances.seconds * factor * needs.size / 1024, what="compute")
    bill.add(prices["leapcell.million_requests"], usage.requests * factor / 1e6, what="requests")
    bill.add(prices["leapcell.million_async_tasks"], usage.async_tasks * factor / 1e6, what="async tasks")
    bill.add(prices["leapcell.postgresql"], 1, what="database")
    bill.add(prices["leapcell.storage_gb"], needs.storage_gb, what="files")
    bill.add(prices["leapcell.traffic_gb"], usage.bytes_out * factor / GB, what="traffic")
    return bill


def _fly(usage: Usage, needs: Needs, prices: PriceList, factor: float, *, always: bool) -> Bill:
    started = MONTH if always else min(MONTH, usage.fly.started * factor)
    machine, count = choose_machine(usage, needs, prices.machines, started=started, factor=factor)
    bill = Bill("Fly.io, always on" if always else "Fly.io, stops when idle")
    part = started / MONTH
    bill.items.append(
        Item(
            what="compute",
            quantity=count * started / 3600,
            unit=f"hours of {machine.name}",
            amount=count * machine.month * part,
            source=machine.source,
        )
    )
    if part < 1:
        bill.add(prices["fly.stopped_gb"], needs.image_gb * (1 - part), what="stopped machine")
    if needs.fly_postgresql:
        bill.add(prices["fly.postgresql"], 1, what="database")
        bill.add(prices["fly.postgresql_gb"], needs.database_gb, what="database's storage")
        bill.add(prices["fly.storage_gb"], needs.storage_gb, what="files")
    else:
        volume = max(1, math.ceil(needs.database_gb + needs.storage_gb))
        bill.add(prices["fly.volume_gb"], volume, what="database and files")
    bill.add(prices[f"fly.traffic_gb.{needs.fly_zone}"], usage.bytes_out * factor / GB, what="traffic")
    if count > 1:
        bill.notes.append(f"{count} machines, for the processor time; with SQLite there can be one only.")
    return bill


def choose_machine(
    usage: Usage, needs: Needs, machines: tuple[Machine, ...], *, started: float, factor: float
) -> tuple[Machine, int]:
    """Return the cheapest machine whose memory and lasting processor time suffice, or several of the largest."""
    used = usage.processor * factor / max(started, 1.0)  # cores, on average while it is started
    fitting = [machine for machine in machines if needs.memory <= machine.memory * SPARE]
    for machine in sorted(fitting, key=lambda each: each.month):
        if used <= _cores(machine):
            return machine, 1
    largest = max(machines, key=_cores)
    return largest, max(1, math.ceil(used / _cores(largest)))


def _cores(machine: Machine) -> float:
    return machine.cores * (SHARED_PART if machine.shared else 1.0)


def _server(prices: PriceList) -> Bill:
    bill = Bill("A small server")
    bill.add(prices["server.month"], 1, what="server with all")
    return bill
