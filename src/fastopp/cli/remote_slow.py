"""`oppman.py remote slow`: the slow queries of a deployed project."""

from __future__ import annotations

from fastopp.console.output import say
from fastopp.console.remote_site import Answer, RemoteSite

PATH = "/oppman/monitor"


def ask(site: RemoteSite, span: str) -> Answer:
    """Return the site's slow queries of a span."""
    found = site.get(PATH, span=span)
    return {name: found[name] for name in ("span", "recorded", "statements")}


def tell(answer: Answer) -> None:
    """Print what `ask` has returned."""
    from fastopp.features.monitor.commands import print_statements  # noqa: PLC0415 - where there is one to print

    if answer["statements"]:
        print_statements(answer["statements"])
    elif answer["recorded"]:
        say("No slow query was recorded.")
    else:
        say("Slow queries are not recorded: MONITOR is false there.")
