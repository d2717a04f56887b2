"""Checks of static files at the CDN."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from fastopp.checks.check import Mode, Problem, Subject, check
from fastopp.checks.context import CheckContext
from fastopp.features.static_files.publishing import NotPublished, StaticSet, allows_fonts, verify
from fastopp.web.setup import static_folders

FONTS: Final = (".woff2", ".woff", ".ttf", ".otf")


@check(
    "fastopp.W213",
    "Static files are missing at the CDN",
    fix="Run `python oppman.py static upload` with the settings of the site, or look at the log of its build.",
    subject=Subject.STORAGE,
    mode=Mode.LIVE,
)
async def missing(context: CheckContext) -> AsyncIterator[Problem]:
    """STATIC_CDN_URL is set, but the files of this code are not there, or with other contents or types. A build that
    finds this out has pages use the site's own /static, so nothing is broken, and nothing is gained."""
    if not context.settings.static_cdn_url:
        return
    try:
        await verify(await _read(context), context.settings)
    except NotPublished as error:
        yield Problem(error.message)


@check(
    "fastopp.W214",
    "The CDN keeps browsers from using fonts",
    fix="Allow the site's origin in the CORS settings of the bucket or the CDN, for GET and HEAD.",
    subject=Subject.STORAGE,
    mode=Mode.LIVE,
)
async def fonts_refused(context: CheckContext) -> AsyncIterator[Problem]:
    """Browsers use a font of another host only if that host allows it, by `Access-Control-Allow-Origin`."""
    if not context.settings.static_cdn_url:
        return
    static = await _read(context)
    font = next((path for path in static.files if path.endswith(FONTS)), None)
    if font is None:
        return
    published = static.published_at(context.settings.static_cdn_url)
    if not await allows_fonts(published, font, context.settings.site or "https://example.com"):
        yield Problem(f"The CDN does not let pages of other hosts use {font}.")


async def _read(context: CheckContext) -> StaticSet:
    return await asyncio.to_thread(lambda: StaticSet.read(static_folders(context.apps, context.folder)))
