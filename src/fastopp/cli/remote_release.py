"""`oppman.py remote wait` and `remote check`: after a deployment."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Final, NamedTuple
from urllib.parse import urljoin

import typer

from fastopp.cli.remote_target import carry_out, chosen_target, token_works
from fastopp.console.options import JsonOption
from fastopp.console.output import EXIT_FAILED, EXIT_MISUSED, fail, print_table, say
from fastopp.console.remote_site import Answer, NoAnswer, NotFastOpp, RemoteSite, status_of
from fastopp.platforms.base import HEALTH_PATHS

IN_A_ROW: Final = 3  # answers of the new release: for a while, old instances answer too
PAUSE: Final = 5.0  # seconds; a build takes minutes
MOST_FILES: Final = 5  # static files of the home page that are asked for

_STATIC: Final = re.compile(r"""(?:src|href)=["']([^"'#?]+\.(?:css|js)(?:\?[^"'#]*)?)["']""")

ReleaseOption = Annotated[str, typer.Option(help="The release that has to answer, as `oppman.py release` prints it.")]


def wait(
    context: typer.Context,
    release: ReleaseOption = "",
    timeout: Annotated[float, typer.Option(min=1, help="Seconds to wait.")] = 1800,
    *,
    as_json: JsonOption = False,
) -> None:
    """Wait until a release answers, three times in a row. Status 1 if it does not. Needs no token."""
    if not release:
        fail("Missing --release. `python oppman.py release` prints the one of this code.", status=EXIT_MISUSED)
    target = replace(chosen_target(context), timeout=timeout)
    carry_out(target, "", lambda site: wait_for(site, release), as_json=as_json)
    if not as_json:
        say(f"{target.url} runs release {release}.", style="green")


def wait_for(site: RemoteSite, release: str) -> Answer:
    """Ask until the release answers. An outage, or a page of the platform's, is waited for too. Return `/health`."""
    seen = 0
    while True:
        try:
            answer = site.health()
            found = answer.get("release")
            seen = seen + 1 if found == release else 0
            reason = f"Release {found or '(none)'} answers." if not seen else f"Release {release} answers ({seen})."
        except (NoAnswer, NotFastOpp) as error:
            seen, reason = 0, error.message
        if seen >= IN_A_ROW:
            return answer
        site.pause(1.0 if seen else PAUSE, reason)


class Outcome(NamedTuple):
    """The result of one step of the smoke test."""

    step: str
    passed: bool
    details: str = ""


def smoke_test(
    context: typer.Context,
    release: ReleaseOption = "",
    path: Annotated[list[str] | None, typer.Option(help="A page that must work; may be repeated. Default: /.")] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Ask for what must work after a deployment: health, pages, their files, the token. Status 1 if one fails."""
    target = chosen_target(context)

    def run(site: RemoteSite) -> Answer:
        outcomes = [*_smoke(site, release, path or ["/"], token=bool(target.token_at_hand))]
        return {"passed": all(each.passed for each in outcomes), "steps": [each._asdict() for each in outcomes]}

    answer = carry_out(target, target.token_at_hand, run, as_json=as_json)
    if not as_json:
        rows = [[each["step"], "passed" if each["passed"] else "failed", each["details"]] for each in answer["steps"]]
        print_table(["step", "result", "details"], rows)
    if not answer["passed"]:
        raise typer.Exit(EXIT_FAILED)


def _smoke(site: RemoteSite, release: str, paths: list[str], *, token: bool) -> Iterator[Outcome]:
    alive = site.page(min(HEALTH_PATHS))
    yield Outcome("liveness", alive.status_code == 200, f"{alive.status_code}")
    health = site.health()
    if release:
        found = health.get("release") or "(none)"
        yield Outcome("release", found == release, str(found))
    for name, check in health["checks"].items():
        yield Outcome(name, check.get("status") == "healthy", str(check.get("error", "")))
    files: dict[str, None] = {}
    for path in paths:
        page = site.page(path)
        yield Outcome(f"page {path}", page.status_code < 400, f"{page.status_code}")
        files |= dict.fromkeys(urljoin(f"{site.url}{path}", address) for address in _STATIC.findall(page.text))
    for file in [*files][:MOST_FILES]:
        status = status_of(file)
        yield Outcome(f"file {file}", status == 200, str(status or "no answer"))
    if token:
        works = token_works(site)
        yield Outcome("token", works, "accepted" if works else "not accepted")
