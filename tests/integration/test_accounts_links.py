"""Links for one use: expired, used, forged and ended ones, on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import col, func, select

from fastopp.features.accounts import links
from fastopp.features.accounts.links import MAX_LINKS, LinkInvalid, create_link, end_links, find_link, use_link
from fastopp.features.accounts.models import AccountLink, User
from fastopp.features.accounts.service import change_password, create_user, get_user
from fastopp.testing import ManualClock
from tests.services.databases import url_on
from tests.services.ops_project import PRODUCTION, Project, initialised, running

OWNER = "staff@example.com"
HALF_AN_HOUR = timedelta(minutes=30)

url = url_on("sqlite", fill=initialised)
each_url = url_on("sqlite", "psycopg", fill=initialised)


@pytest.fixture
async def project(url: str, tmp_path: Any) -> AsyncIterator[Project]:
    async with running(url, tmp_path, PRODUCTION) as project:
        yield project


@pytest.fixture
async def either(each_url: str, tmp_path: Any) -> AsyncIterator[Project]:
    async with running(each_url, tmp_path, PRODUCTION) as project:
        yield project


async def owner_of(project: Project) -> User:
    async with project.runtime.database.read() as session:
        return await get_user(session, OWNER)


async def made(project: Project, clock: ManualClock | None = None, **options: Any) -> str:
    """The token of a link to reset the owner's password."""
    options = {"purpose": "reset password", "user": await owner_of(project), "lifetime": HALF_AN_HOUR} | options
    async with project.runtime.database.transaction() as session:
        return await create_link(session, **options, clock=clock or project.runtime.clock)


async def is_good(project: Project, token: str, purpose: Any = "reset password", **options: Any) -> bool:
    async with project.runtime.database.read() as session:
        try:
            await find_link(session, purpose, token, **options)
        except LinkInvalid:
            return False
    return True


async def used(project: Project, token: str) -> AccountLink:
    async with project.runtime.database.transaction() as session:
        return await use_link(session, "reset password", token)


async def test_a_link_is_good_for_one_use_and_its_purpose(either):
    token = await made(either, details={"role": "staff"})
    assert await is_good(either, token)
    assert await is_good(either, token), "looking changes nothing"
    assert not await is_good(either, token, "confirm")
    link = await used(either, token)
    assert (link.user_id, link.details) == ((await owner_of(either)).id, {"role": "staff"})
    with pytest.raises(LinkInvalid, match="not valid"):
        await used(either, token)


async def test_one_of_many_simultaneous_uses_succeeds(either):
    token = await made(either)
    results = await asyncio.gather(*(used(either, token) for _ in range(5)), return_exceptions=True)
    assert sorted(type(each).__name__ for each in results) == ["AccountLink"] + ["LinkInvalid"] * 4


async def test_a_use_that_fails_can_be_tried_again(project):
    token = await made(project)

    async def failing():
        async with project.runtime.database.transaction() as session:
            await use_link(session, "reset password", token)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await failing()
    await used(project, token)


async def test_a_link_expires_and_is_removed(project):
    clock = ManualClock()
    token = await made(project, clock)
    clock.advance(HALF_AN_HOUR.total_seconds() - 1)
    assert await is_good(project, token, clock=clock)
    clock.advance(1)
    assert not await is_good(project, token, clock=clock)
    async with project.runtime.database.transaction() as session:
        assert await links.remove_expired(session, clock=clock) == 1
        assert await links.remove_expired(session, clock=clock) == 0


@pytest.mark.parametrize("change", ["password", "email", "inactive"])
async def test_links_end_with_what_they_are_for(project, change):
    tokens = [await made(project), await made(project, purpose="confirm")]
    async with project.runtime.database.transaction() as session:
        other = await create_user(session, email="other@example.com", password="a different phrase")
        kept = await create_link(session, "reset password", user=other, lifetime=HALF_AN_HOUR)
        if change == "password":
            await change_password(session, email=OWNER, password="a new long phrase")
        else:
            owner = await get_user(session, OWNER)
            if change == "email":
                owner.email = "elsewhere@example.com"
            else:
                owner.is_active = False
            session.add(owner)
    assert not await is_good(project, tokens[0])
    assert not await is_good(project, tokens[1], "confirm")
    assert await is_good(project, kept)


async def test_the_other_links_of_a_purpose_can_be_ended(project):
    reset, confirm = await made(project), await made(project, purpose="confirm")
    async with project.runtime.database.transaction() as session:
        await end_links(session, "reset password", await owner_of(project))
    assert not await is_good(project, reset)
    assert await is_good(project, confirm, "confirm")


@pytest.mark.parametrize("whose", ["account", "address"])
async def test_an_account_or_address_has_a_few_links(either, whose):
    options = {} if whose == "account" else {"user": None, "email": "new@example.com", "purpose": "invite"}
    clock = ManualClock()
    tokens = []
    for _ in range(MAX_LINKS + 2):
        tokens.append(await made(either, clock, **options))
        clock.advance(1)
    purpose = options.get("purpose", "reset password")
    good = [await is_good(either, token, purpose, clock=clock) for token in tokens]
    assert good == [False] * 2 + [True] * MAX_LINKS
    async with either.runtime.database.read() as session:
        assert (await session.exec(select(func.count(col(AccountLink.id))))).one() == MAX_LINKS


async def test_forged_tokens_are_refused(project):
    token = await made(project)
    head, secret = token.split("_", 1)
    forged = [
        "",
        token[:-1],
        token + "a",
        token.upper(),
        f"{head}_{secret[::-1]}",
        f"{'0' * 32}_{secret}",
        "ä",
        "_" * 76,
    ]
    assert [await is_good(project, each) for each in forged] == [False] * len(forged)
    async with project.runtime.database.read() as session:
        assert secret not in repr(await find_link(session, "reset password", token))
