"""The answer of `leapcell cost`, as a value for programs and as text for people."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from leapcell_emulator.cost.advice import cheapest, gb_seconds, what_first
from leapcell_emulator.cost.bills import Bill, Needs, make_bills
from leapcell_emulator.cost.measurements import Measurements
from leapcell_emulator.cost.prices import PriceList
from leapcell_emulator.cost.share import share_of
from leapcell_emulator.cost.usage import GB, Rules, Usage

UNKNOWN: Final = "unknown"


def make_report(
    usage: Usage,
    measured: Measurements,
    rules: Rules,
    needs: Needs,
    prices: PriceList,
    *,
    factor: float,
    p95: float | None,
    assumed: Iterable[str],
) -> dict[str, Any]:
    """Return the report:

    - `traffic`: `requests`, `async_tasks`, `bytes`, `processor_seconds`, `days`, and `month_factor` to 30 days;
    - `starts`: of a cold start `processor_seconds`, of a whole core, and `waiting_seconds`;
    - `sizes`: for each size `memory`, `processor_share`, `fits`, `cold_start` (seconds), `cold_share` (of requests),
      `starts` (of instances), `p50`, `p95`, `refused`, `seconds` (billed),
      `gb_seconds`, `instance_seconds`, `most_instances`, of the traffic, and `gb_seconds_month`;
    - `size`: the one that the bills are for; `cheapest`: MB of the cheapest that meets the p95, or null;
    - `bills`: `platform`, `total` (null: unknown), `items` and `notes`;
    - `free_plan`: used shares of LeapCell's; `advice`: what to change first; `assumed`: sentences; `prices_of`: a date.
    """
    best = cheapest(usage, measured, p95=p95)
    size = usage.size(needs.size)
    return {
        "traffic": {
            "requests": usage.requests,
            "async_tasks": usage.async_tasks,
            "bytes": usage.bytes_out,
            "processor_seconds": usage.processor,
            "days": (usage.last - usage.first) / 86_400,
            "month_factor": factor,
        },
        "starts": {
            "processor_seconds": measured.start_processor or 0.0,
            "waiting_seconds": measured.start_waiting + rules.cold_start,
        },
        "sizes": [
            {
                "memory": each.memory,
                "processor_share": share_of(each.memory),
                "fits": (measured.memory or 0) <= each.memory,
                "cold_start": each.start,
                "cold_share": each.instances.cold / max(1, each.latency.count),
                "p50": each.latency.quantile(0.5),
                "p95": each.latency.quantile(0.95),
                "starts": each.instances.starts,
                "refused": each.instances.refused,
                "seconds": each.instances.seconds,
                "instance_seconds": each.instances.instance_seconds,
                "gb_seconds": gb_seconds(each),
                "gb_seconds_month": gb_seconds(each) * factor,
                "most_instances": each.instances.most,
            }
            for each in usage.sizes
        ],
        "size": needs.size,
        "wanted_p95": p95,
        "cheapest": best.memory if best else None,
        "bills": [_bill(bill) for bill in make_bills(usage, needs, prices, factor)],
        "free_plan": _free_plan(usage, needs, prices, factor),
        "advice": [each.text for each in what_first(usage, measured, rules, size, factor=factor)],
        "assumed": [*measured.assumed, *assumed],
        "prices_of": str(max(price.date for price in prices.prices.values())),
    }


def _bill(bill: Bill) -> dict[str, Any]:
    return {
        "platform": bill.platform,
        "total": bill.total,
        "items": [
            {
                "what": item.what,
                "quantity": item.quantity,
                "unit": item.unit,
                "amount": item.amount,
                "needs": item.needs,
                "source": item.source,
            }
            for item in bill.items
        ],
        "notes": bill.notes,
    }


def _free_plan(usage: Usage, needs: Needs, prices: PriceList, factor: float) -> list[dict[str, Any]]:
    used = {
        "requests": usage.requests * factor,
        "async_tasks": usage.async_tasks * factor,
        "traffic": usage.bytes_out * factor / GB,
        "storage": needs.storage_gb,
    }
    return [
        {
            "what": each.unit,
            "used": used[each.name],
            "limit": each.amount,
            "share": used[each.name] / each.amount,
            "source": each.source,
        }
        for each in prices.allowances
        if each.name in used
    ]


def as_text(report: dict[str, Any]) -> str:
    """The report for people."""
    parts = [_traffic_text(report), _sizes_text(report), _bills_text(report), _free_text(report)]
    if report["advice"]:
        parts.append("Change first:\n" + "\n".join(f"{n}. {text}" for n, text in enumerate(report["advice"], 1)))
    if report["assumed"]:
        parts.append("Assumed:\n" + "\n".join(f"- {text}" for text in report["assumed"]))
    return "\n\n".join(parts)


def _traffic_text(report: dict[str, Any]) -> str:
    traffic = report["traffic"]
    return (
        f"{traffic['requests']:,} requests in {traffic['days']:.2f} days, {traffic['async_tasks']:,} of them async "
        f"tasks; {traffic['bytes'] / GB:.3f} GB sent; {traffic['processor_seconds']:,.1f} s of a whole core. "
        f"A month is {traffic['month_factor']:,.2f} times that."
    )


def _sizes_text(report: dict[str, Any]) -> str:
    rows = [["Memory", "Core", "Cold start", "Cold", "p50", "p95", "GB-seconds a month", ""]]
    for size in report["sizes"]:
        marks = [
            "too small" if not size["fits"] else "",
            f"{size['refused']:,} refused" if size["refused"] else "",
            "cheapest" if size["memory"] == report["cheapest"] else "",
            "in the bills" if size["memory"] == report["size"] else "",
        ]
        rows.append(
            [
                f"{size['memory']} MB",
                f"{size['processor_share']:.1%}",
                f"{size['cold_start']:.2f} s",
                f"{size['cold_share']:.1%}",
                f"{size['p50']:.3f} s",
                f"{size['p95']:.3f} s",
                f"{size['gb_seconds_month']:,.0f}",
                ", ".join(filter(None, marks)),
            ]
        )
    wanted = report["wanted_p95"]
    if wanted is not None and report["cheapest"] is None:
        last = f"\nNo size meets a p95 of {wanted:g} s."
    elif wanted is not None:
        last = f"\nThe cheapest size with a p95 of at most {wanted:g} s: {report['cheapest']} MB."
    else:
        last = ""
    return table(rows) + last


def _bills_text(report: dict[str, Any]) -> str:
    bills = report["bills"]
    names = list(dict.fromkeys(item["what"] for bill in bills for item in bill["items"]))
    rows = [["US dollars a month", *(bill["platform"] for bill in bills)]]
    for name in names:
        cells = []
        for bill in bills:
            items = [item for item in bill["items"] if item["what"] == name]
            cells.append(_money(items[0]["amount"]) if items else "")
        rows.append([name, *cells])
    rows.append(["total", *(_money(bill["total"]) for bill in bills)])
    lines = [table(rows), f"Prices of {report['prices_of']}."]
    for bill in bills:
        lines += [f"{bill['platform']}: {_quantities(bill)}.", *bill["notes"]]
    needs = [item["needs"] for bill in bills for item in bill["items"] if item["needs"]]
    if needs:
        lines.append("No published price was found for what is unknown. Give it with " + ", ".join(needs) + ".")
    return "\n".join(lines)


def _free_text(report: dict[str, Any]) -> str:
    rows = [["LeapCell's free plan", "Used", "Of", "Share", "Known from"]]
    rows += [
        [each["what"], f"{each['used']:,.3g}", f"{each['limit']:,g}", f"{each['share']:.0%}", each["source"]]
        for each in report["free_plan"]
    ]
    return table(rows)


def _quantities(bill: dict[str, Any]) -> str:
    return ", ".join(
        f"{item['what']} {item['quantity']:,.4g} ({item['unit']})" for item in bill["items"] if item["quantity"]
    )


def _money(amount: float | None) -> str:
    return UNKNOWN if amount is None else f"{amount:,.2f}"


def table(rows: list[list[str]]) -> str:
    """Rows as text, in columns."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
