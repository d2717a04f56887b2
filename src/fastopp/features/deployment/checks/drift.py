"""Checks that compare the project with the deployed site: settings, release and migrations."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

from fastopp.checks.check import Mode, Problem, Subject, check
from fastopp.checks.context import CheckContext
from fastopp.checks.errors import CannotCheck
from fastopp.core.release_id import ID_LENGTH, content_id
from fastopp.database.migrations.revisions import head_revision
from fastopp.features.deployment.site import Deployed, ask_site

_SAYS = {
    "missing": "is not set at the site.",
    "different": "has another value at the site.",
    "quoted": "is in quotation marks at the site, which belong to its value there.",
}


@check(
    "fastopp.W351",
    "A setting of the deployed site differs",
    fix="Change it in the platform's dashboard and deploy, or change the file here.",
    subject=Subject.SETTINGS,
    mode=Mode.DRIFT,
)
async def settings_differ(context: CheckContext) -> AsyncIterator[Problem]:
    """The file says one thing and the site runs with another, so that what is tested here is not what runs there. No
    value is sent in either direction."""
    comparison = (await _deployed(context)).comparison
    for name, verdict in comparison.verdicts.items():
        if verdict != "same":
            yield Problem(f"{name} {_SAYS[verdict]}")
    for name in comparison.extra:
        yield Problem(f"{name} is set at the site only.")


@check(
    "fastopp.W352",
    "The deployed site runs another release",
    fix="Deploy this commit. If it was deployed, look at the platform's log of the build.",
    mode=Mode.DRIFT,
)
async def another_release(context: CheckContext) -> AsyncIterator[Problem]:
    """The code here is not what runs there. Changed and new files count, as they would in a deployment."""
    found = (await _deployed(context)).release
    own = context.settings.release
    if not own and not re.fullmatch(rf"[0-9a-f]{{{ID_LENGTH}}}", found):
        raise CannotCheck(f"The site calls its release {found or 'nothing'}, and not by the id of its code.")
    expected = own or await asyncio.to_thread(content_id, context.folder)
    if found != expected:
        yield Problem(f"The site runs release {found or '(none)'}; here it is {expected}.")


@check(
    "fastopp.E353",
    "The deployed site's database is at another migration",
    fix="Run `python oppman.py remote --url … migrate`, or deploy the code that has its migrations.",
    subject=Subject.MIGRATIONS,
    mode=Mode.DRIFT,
)
async def another_migration(context: CheckContext) -> AsyncIterator[Problem]:
    """The models here and the tables there do not fit."""
    found = (await _deployed(context)).revision
    head = await asyncio.to_thread(head_revision, context.folder / "alembic")
    if found != head:
        yield Problem(f"The site's database is at {found or 'no migration'}; the newest here is {head}.")


async def _deployed(context: CheckContext) -> Deployed:
    return await asyncio.to_thread(context.once, _ask)


def _ask(context: CheckContext) -> Deployed:
    url = context.site or context.settings.site_url
    if not url:
        raise CannotCheck("The site is unknown: pass --url, or set SITE_URL.")
    token = context.settings.ops_token.get_secret_value()
    if not token:
        raise CannotCheck("OPS_TOKEN is not set.")
    return ask_site(url, token, context.variables)
