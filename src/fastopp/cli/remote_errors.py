"""`oppman.py remote errors`: the errors of a deployed project."""

from __future__ import annotations

from fastopp.console.output import EXIT_MISUSED, fail, print_table, say
from fastopp.console.remote_site import Answer, RemoteSite

PATH = "/oppman/errors"


def ask(site: RemoteSite, error_id: int | None, change: str | None, state: str, search: str) -> Answer:
    """Return the site's answer: errors, or one of them, after a change if there is one."""
    if error_id is not None:
        return site.run(f"{PATH}/{error_id}/{change}") if change else site.get(f"{PATH}/{error_id}", request_id=search)
    if change:
        fail(f"Name the error to {change}: its ID.", status=EXIT_MISUSED)
    return site.get(PATH, state=state, q=search)


def tell(answer: Answer) -> None:
    """Print what `ask` has returned."""
    if "errors" in answer:
        rows = [
            [
                str(each["id"]),
                each["state"],
                f"{each['count']:,}",
                each["last_seen"][:16],
                each["type"],
                each["message"],
            ]
            for each in answer["errors"]
        ]
        print_table(["Error", "State", "Times", "Last (UTC)", "Type", "Message"], rows)
        return
    say(f"Error {answer['id']}, {answer['type']}: {answer['state']}, {answer['count']:,} times")
    if event := answer.get("event"):
        for name in ("at", "method", "route", "request_id", "user_id", "task", "job_id", "release", "instance"):
            if event[name] not in (None, ""):
                say(f"{name:14} {event[name]}")
        say(event["traceback"])
