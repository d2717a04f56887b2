"""`oppman.py remote status --alert`: the incidents of a deployed project."""

from __future__ import annotations

from fastopp.console.output import say
from fastopp.console.remote_site import Answer, NotFastOpp, RemoteSite

PATH = "/oppman/alerts/evaluate"


def ask(site: RemoteSite) -> Answer:
    """Have the site evaluate its rules, and return its incidents. An older site has none."""
    try:
        return site.run(PATH)
    except NotFastOpp:
        return {"open": []}


def is_loud(alerts: Answer) -> bool:
    """Return whether an incident is open that is not muted."""
    return any(not incident.get("muted") for incident in alerts.get("open", []))


def tell(alerts: Answer) -> None:
    """Print the open incidents."""
    for incident in alerts.get("open", []):
        muted = ", muted" if incident.get("muted") else ""
        say(f"Open since {incident['opened_at'][:16]} UTC{muted}: {incident['title']}", style="red")
        for text in filter(None, (incident["text"], incident["detail"], incident["hint"])):
            say(f"  {text}")
    if not alerts.get("open"):
        say("No incident is open.")
