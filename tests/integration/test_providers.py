"""Sign-in with a provider that is real, and then one that lies, fails or is not asked."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from sqlmodel import col, select, update

from fastopp.features.accounts.client import Client
from fastopp.features.accounts.models import AuditLog, User
from fastopp.features.accounts.passwords import has_password
from fastopp.features.accounts.service import find_user
from fastopp.features.mail.models import MailMessage
from fastopp.features.mail.service import open_mail
from fastopp.features.providers import calls, provider
from fastopp.features.providers.models import ExternalIdentity
from fastopp.features.second_factor import changing
from fastopp.features.second_factor.codes import STEP, code_at, new_secret
from fastopp.testing import ManualClock
from tests.services.databases import url_on
from tests.services.identity_provider import CLIENT_ID, CLIENT_SECRET, PERSON, IdentityProvider, identity_provider
from tests.services.ops_project import BROWSER, PRODUCTION, QUIET, Project, initialised, running, use_form_token

STAFF = "staff@example.com"
PASSWORD = "test123"
SITE = "http://site.test"
NEW = PERSON["email"]

url = url_on("sqlite", fill=initialised)
each_url = url_on("sqlite", "psycopg", fill=initialised)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def jo(clock: ManualClock) -> Iterator[IdentityProvider]:
    """The provider where Jo has an account."""
    with identity_provider(clock.time) as running_provider:
        yield running_provider


def variables(jo: IdentityProvider, **more: str) -> dict[str, str]:
    secrets = {"CLIENT_ID": CLIENT_ID, "CLIENT_SECRET": CLIENT_SECRET}
    named = {f"{name}_{key}": value for name in ("OIDC", "GITHUB") for key, value in secrets.items()}
    own = {"OIDC_ISSUER": jo.issuer, "OIDC_NAME": "Jo's", "GITHUB_URL": jo.issuer, "SITE_URL": SITE, "SIGN_UP": "open"}
    return PRODUCTION | QUIET | named | own | more


@pytest.fixture
async def project(url: str, tmp_path: Any, jo: IdentityProvider, clock: ManualClock) -> AsyncIterator[Project]:
    async with running(url, tmp_path, variables(jo), clock=clock) as project:
        yield project


def mailing(jo: IdentityProvider, tmp_path: Any, **more: str) -> dict[str, str]:
    return variables(jo, MAIL_URL=f"file:{tmp_path}/mails", MAIL_FROM="shop@example.com", **more)


def address_in(answer: httpx.Response) -> str:
    """The address at the provider on the page that leads there."""
    assert answer.status_code == 200, answer.text
    [found] = set(re.findall(r'(?:0; url=|href=)"?(http://127[^"]+)"', answer.text))
    return unescape(found)


async def set_out(browser: httpx.AsyncClient, name: str = "oidc", **form: str) -> str:
    if browser.cookies:
        await use_form_token(browser, "/login")
    return address_in(await browser.post(f"/login/with/{name}", data=form, headers=BROWSER))


async def come_back(
    browser: httpx.AsyncClient, jo: IdentityProvider, name: str = "oidc", **form: str
) -> httpx.Response:
    return await browser.get(jo.authorize(await set_out(browser, name, **form)), headers=BROWSER)


async def user_of(project: Project, email: str) -> User | None:
    async with project.runtime.database.read() as session:
        return await find_user(session, email)


async def actions(project: Project) -> list[str]:
    rows = await project.all(AuditLog)
    return [row.action for row in sorted(rows, key=lambda row: row.timestamp)]


async def link_to(project: Project, email: str, subject: str = PERSON["sub"], key: str = "") -> User:
    user = await user_of(project, email)
    assert user is not None
    async with project.runtime.database.transaction() as session:
        key = key or next(each.key for each in provider.find_providers(project.runtime.settings) if each.name == "oidc")
        session.add(ExternalIdentity(provider=key, subject=subject, user_id=user.id))
    return user


@pytest.mark.parametrize("name", ["oidc", "github"])
async def test_a_newcomer_gets_an_account_and_comes_again(project: Project, jo: IdentityProvider, name: str) -> None:
    jo.registered = {f"{SITE}/login/with/{name}/callback"}
    async with project.client() as browser:
        answer = await come_back(browser, jo, name, next="/shop?page=2")
        assert (answer.status_code, answer.headers["location"]) == (302, "/shop?page=2")
        assert "access_token" in browser.cookies
    user = await user_of(project, NEW)
    assert user is not None
    assert (user.name, user.is_staff, user.is_superuser, user.email_confirmed) == ("Jo Doe", False, False, True)
    assert not has_password(user.hashed_password)
    [identity] = await project.all(ExternalIdentity)
    expected = "github" if name == "github" else f"oidc:{jo.issuer}"
    assert (identity.provider, identity.subject, identity.user_id) == (expected, PERSON["sub"], user.id)
    jo.person["email"] = STAFF  # which changes nothing: the subject counts
    async with project.client() as browser:
        answer = await come_back(browser, jo, name, next="/admin/user/list")
        assert (answer.status_code, answer.headers["location"]) == (302, "/")  # never to the pages of staff
        answer = await browser.post("/login", data={"username": NEW, "password": ""})
        assert answer.status_code in (403, 422)
    [identity] = await project.all(ExternalIdentity)
    assert (identity.user_id, identity.email) == (user.id, STAFF)
    assert await actions(project) == ["sign up", "sign in", "sign in"]


async def test_the_sign_in_page_has_a_button_for_each(project: Project) -> None:
    async with project.client() as browser:
        page = (await browser.get("/login?next=/shop", headers=BROWSER)).text
    assert page.count('action="/login/with/') == 2
    assert "Sign in with GitHub" in page
    assert "Sign in with Jo&#39;s" in page
    assert 'name="next" value="/shop"' in page
    assert CLIENT_SECRET not in page


async def test_a_verified_address_enters_no_account(project: Project, jo: IdentityProvider) -> None:
    jo.person["email"] = STAFF.upper()
    async with project.client() as browser:
        answer = await come_back(browser, jo)
        assert answer.status_code == 403
        assert "Sign in and link" in answer.text
        assert "access_token" not in browser.cookies
        assert await project.all(ExternalIdentity) == []
        # Only after the password, and a page that asks:
        page = await browser.get("/account/providers/confirm", headers=BROWSER)
        assert page.headers["location"] == "/login?next=/account/providers/confirm"
        await use_form_token(browser, "/login")
        form = {"username": STAFF, "password": PASSWORD, "next": "/account/providers/confirm"}
        answer = await browser.post("/login", data=form)
        assert answer.headers["location"] == "/account/providers/confirm"
        await use_form_token(browser, "/account/providers/confirm")
        assert await project.all(ExternalIdentity) == []
        assert (await browser.post("/account/providers/confirm")).headers["location"] == "/account/providers"
        again = await browser.get("/account/providers/confirm", headers=BROWSER)
        assert again.status_code == 400
    user = await user_of(project, STAFF)
    assert user is not None
    [identity] = await project.all(ExternalIdentity)
    assert identity.user_id == user.id
    async with project.client() as browser:
        answer = await come_back(browser, jo)
        assert answer.headers["location"] == "/protected"
    assert await actions(project) == ["sign in", "link identity", "sign in"]


async def test_nothing_is_revealed_about_accounts_where_sign_up_is_closed(
    url: str, tmp_path: Any, jo: IdentityProvider, clock: ManualClock
) -> None:
    answers = []
    async with running(url, tmp_path, variables(jo, SIGN_UP="closed"), clock=clock) as project:
        for email in (STAFF, NEW, None):
            for verified in (True, False):
                jo.person |= {"email": email, "email_verified": verified}
                async with project.client() as browser:
                    answer = await come_back(browser, jo)
                    assert answer.status_code == 403
                    answers.append(re.sub(r'csrf-token"[^>]+|nonce="[^"]+|[0-9a-f]{32}', "", answer.text))
        assert len(set(answers)) == 1
        assert await user_of(project, NEW) is None


async def test_an_unverified_address_is_confirmed_by_mail_in_the_same_browser(
    url: str, tmp_path: Any, jo: IdentityProvider, clock: ManualClock
) -> None:
    jo.person["email_verified"] = False
    async with running(url, tmp_path, mailing(jo, tmp_path), clock=clock) as project:
        async with project.client() as browser, project.client() as other:
            answer = await come_back(browser, jo)
            assert (answer.status_code, "Check your mail" in answer.text) == (200, True)
            assert await user_of(project, NEW) is None
            [mail] = await project.all(MailMessage)
            [link] = re.findall(rf"{SITE}(\S+)", mail.text)
            token = parse_qs(urlsplit(link).query)["token"][0]
            # The owner of the address must not open an account for whoever started this.
            assert (await other.get(link, headers=BROWSER)).status_code == 400
            assert (await other.post("/login/with/oidc/confirm", data={"token": token})).status_code == 400
            page = await browser.get(link, headers=BROWSER)
            assert page.status_code == 200, page.text
            assert await user_of(project, NEW) is None, "mail programs open links"
            await use_form_token(browser, link)
            answer = await browser.post("/login/with/oidc/confirm", data={"token": token})
            assert (answer.status_code, answer.headers["location"]) == (302, "/")
            await use_form_token(browser, "/")
            assert (await browser.post("/login/with/oidc/confirm", data={"token": token})).status_code in (400, 410)
        assert await user_of(project, NEW) is not None
        assert len(await project.all(ExternalIdentity)) == 1


async def test_an_unverified_address_of_an_account_looks_the_same(
    url: str, tmp_path: Any, jo: IdentityProvider, clock: ManualClock
) -> None:
    jo.person |= {"email_verified": False, "email": STAFF}
    async with running(url, tmp_path, mailing(jo, tmp_path), clock=clock) as project:
        async with project.client() as browser:
            answer = await come_back(browser, jo)
            assert (answer.status_code, "Check your mail" in answer.text) == (200, True)
            [mail] = await project.all(MailMessage)
            assert (mail.recipient, "/confirm" in mail.text) == (STAFF, False)
            statuses = [(await come_back(browser, jo)).status_code for _ in range(3)]
            assert statuses[-1] == 429, "nobody is flooded with mails"
        assert await project.all(ExternalIdentity) == []


LIES: dict[str, dict[str, Any]] = {
    "nonce": {"claims": {"nonce": "of-another-sign-in-0123456789"}},
    "no nonce": {"claims": {"nonce": None}},
    "audience": {"claims": {"aud": "another-shop"}},
    "audiences": {"claims": {"aud": ["another-shop", CLIENT_ID], "azp": "another-shop"}},
    "no audience": {"claims": {"aud": None}},
    "expired": {"claims": {"exp": 1_000_000_000}},
    "no expiry": {"claims": {"exp": None}},
    "from the future": {"claims": {"iat": 99_999_999_999, "exp": 99_999_999_999}},
    "issuer": {"claims": {"iss": "https://accounts.google.com"}},
    "no issuer": {"claims": {"iss": None}},
    "no subject": {"claims": {"sub": None}},
    "subject of another type": {"claims": {"sub": ["248289761001"]}},
    "long subject": {"claims": {"sub": "x" * 300}},
    "claims of other types": {"claims": {"exp": "soon", "aud": {"a": 1}}},
    "alg none": {"algorithm": "none"},
    "HS256 with the public key": {"algorithm": "HS256"},
    "another key": {"key": "second", "announced_key": "first"},
    "token of another": {"claims": {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}},
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_lie_signs_nobody_in(project: Project, jo: IdentityProvider, lie: str) -> None:
    for name, value in LIES[lie].items():
        setattr(jo, name, value)
    async with project.client() as browser:
        answer = await come_back(browser, jo)
        assert answer.status_code == 403, answer.text
        assert "could not be verified" in answer.text
        assert "access_token" not in browser.cookies
    assert await project.all(ExternalIdentity) == []
    assert await user_of(project, NEW) is None


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("discovery", {"statuses": {"discovery": 500}}),
        ("discovery", {"bodies": {"discovery": b"<html>"}}),
        ("discovery", {"bodies": {"discovery": b"[" * 100_000}}),
        ("discovery", {"document": {"issuer": "https://accounts.google.com"}}),
        ("discovery", {"document": {"token_endpoint": "http://192.0.2.1/token"}}),
        ("discovery", {"document": {"jwks_uri": None}}),
        ("discovery", {"statuses": {"discovery": 302}, "headers": {"discovery": {"location": "http://192.0.2.1/"}}}),
        ("token", {"statuses": {"token": 500}}),
        ("token", {"bodies": {"token": b" " * 300_000}}),
        ("token", {"bodies": {"token": b'{"access_token": 5}'}}),
        ("token", {"bodies": {"token": b"[]"}}),
        ("token", {"bodies": {"token": b"x"}, "headers": {"token": {"content-encoding": "gzip"}}}),
        ("keys", {"statuses": {"keys": 503}}),
        ("keys", {"bodies": {"keys": b'{"keys": 7}'}}),
        ("github token", {"statuses": {"github token": 502}}),
        ("github user", {"bodies": {"github user": b"[]"}}),
        ("github user", {"bodies": {"github user": b'{"id": true}'}}),
        ("github emails", {"statuses": {"github emails": 404}}),
    ],
)
async def test_a_provider_that_fails(
    project: Project, jo: IdentityProvider, name: str, change: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    for attribute, value in change.items():
        setattr(jo, attribute, value)
    way = "github" if name.startswith("github") else "oidc"
    async with project.client() as browser:
        if name == "discovery":
            answer = await browser.post(f"/login/with/{way}", headers=BROWSER)
        else:
            answer = await come_back(browser, jo, way)
        assert answer.status_code == 502, answer.text
        assert "does not answer as it should" in answer.text
    assert jo.count(name) == 1
    assert CLIENT_SECRET not in caplog.text + answer.text
    assert await project.all(ExternalIdentity) == []


@pytest.mark.parametrize("name", ["discovery", "token", "keys"])
async def test_a_provider_that_is_slow_holds_no_connection(
    project: Project, jo: IdentityProvider, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "LIMITS", calls.CallLimits(seconds=2))
    jo.silent = {name}
    async with project.client() as browser:
        address = "" if name == "discovery" else jo.authorize(await set_out(browser))
        waiting = asyncio.create_task(
            browser.get(address, headers=BROWSER) if address else browser.post("/login/with/oidc", headers=BROWSER)
        )
        assert await asyncio.to_thread(jo.waiting.wait, 10)
        assert project.runtime.database.engine.pool.checkedout() == 0
        answer = await waiting
    assert answer.status_code == 502


async def test_a_code_for_one_use(project: Project, jo: IdentityProvider) -> None:
    async with project.client() as browser:
        back = jo.authorize(await set_out(browser))
        before = dict(browser.cookies)
        assert (await browser.get(back, headers=BROWSER)).status_code == 302
        assert (await browser.get(back, headers=BROWSER)).status_code == 400
    async with project.client(cookies=before) as copied:  # whoever copied the cookies, and the address
        assert (await copied.get(back, headers=BROWSER)).status_code == 403


async def test_a_state_that_is_not_of_this_browser(project: Project, jo: IdentityProvider) -> None:
    async with project.client() as browser, project.client() as victim:
        back = jo.authorize(await set_out(browser))
        await set_out(victim)
        assert (await victim.get(back, headers=BROWSER)).status_code == 400  # login CSRF
        for state in ("", "x", "é", "x" * 101, parse_qs(urlsplit(back).query)["state"][0][:-1]):
            answer = await victim.get("/login/with/oidc/callback", params={"code": "x", "state": state})
            assert answer.status_code in (400, 422)
        assert "access_token" not in victim.cookies
        assert jo.count("token") == 0, "no code of an unknown origin is sent on"


async def test_a_sign_in_that_took_too_long(project: Project, jo: IdentityProvider, clock: ManualClock) -> None:
    async with project.client() as browser:
        back = jo.authorize(await set_out(browser))
        clock.advance(601)
        assert (await browser.get(back, headers=BROWSER)).status_code == 400


async def test_several_tabs_and_no_more(project: Project, jo: IdentityProvider) -> None:
    async with project.client() as browser:
        first, *others = [jo.authorize(await set_out(browser, next="/" + "x" * 190)) for _ in range(4)]
        assert len(browser.cookies["session"]) < 3000
        assert (await browser.get(first, headers=BROWSER)).status_code == 400
        assert (await browser.get(others[0], headers=BROWSER)).status_code == 302


async def test_providers_cannot_be_mixed_up(project: Project, jo: IdentityProvider) -> None:
    async with project.client() as browser:
        back = jo.authorize(await set_out(browser, "oidc"))
        assert (await browser.get(back.replace("/oidc/", "/github/"), headers=BROWSER)).status_code == 400
        assert (await browser.get(back, headers=BROWSER)).status_code == 400, "it is spent"
        back = jo.authorize(await set_out(browser, "oidc"))
        other = re.sub(r"iss=[^&]+", "iss=https%3A%2F%2Faccounts.google.com", back)
        assert (await browser.get(other, headers=BROWSER)).status_code == 403
        back = jo.authorize(await set_out(browser, "oidc"))
        assert (await browser.get(re.sub(r"&iss=[^&]+", "", back), headers=BROWSER)).status_code == 403
        assert jo.count("token") == jo.count("github token") == 0


async def test_the_provider_declines(project: Project, jo: IdentityProvider) -> None:
    async with project.client() as browser:
        state = parse_qs(urlsplit(await set_out(browser)).query)["state"][0]
        asked = {"error": "access_denied", "error_description": "<b>Call 555</b>", "state": state}
        answer = await browser.get("/login/with/oidc/callback", params=asked, headers=BROWSER)
        assert answer.status_code == 403
        assert "555" not in answer.text


async def test_keys_change(project: Project, jo: IdentityProvider, clock: ManualClock) -> None:
    async with project.client() as browser:
        assert (await come_back(browser, jo)).status_code == 302
    jo.key = "second"
    async with project.client() as browser:
        assert (await come_back(browser, jo)).status_code == 302
    assert (jo.count("discovery"), jo.count("keys")) == (1, 2)
    clock.advance(3601)
    async with project.client() as browser:
        assert (await come_back(browser, jo)).status_code == 302
    assert (jo.count("discovery"), jo.count("keys")) == (2, 3)


async def test_refused_answers_lock_the_network(project: Project, jo: IdentityProvider) -> None:
    async with project.client() as browser:
        for _ in range(20):
            state = parse_qs(urlsplit(await set_out(browser)).query)["state"][0]
            asked = {"code": "guessed", "state": state, "iss": jo.issuer}
            assert (await browser.get("/login/with/oidc/callback", params=asked, headers=BROWSER)).status_code == 403
        assert (await browser.post("/login/with/oidc", headers=BROWSER)).status_code == 429


async def test_accounts_that_may_not_sign_in(url: str, tmp_path: Any, jo: IdentityProvider, clock: ManualClock) -> None:
    async with running(url, tmp_path, variables(jo, SIGN_UP="closed"), clock=clock) as project:
        user = await link_to(project, STAFF)
        for change, words in (({"is_staff": False}, "Only staff"), ({"is_active": False}, "deactivated")):
            async with project.runtime.database.transaction() as session:
                await session.exec(update(User).where(col(User.id) == user.id).values(**change))
            async with project.client() as browser:
                answer = await come_back(browser, jo)
                assert (answer.status_code, words in answer.text) == (403, True)
                assert "access_token" not in browser.cookies


async def test_two_callbacks_for_one_newcomer(
    each_url: str, tmp_path: Any, jo: IdentityProvider, clock: ManualClock
) -> None:
    async with running(each_url, tmp_path, variables(jo), clock=clock) as project:
        browsers = [project.client() for _ in range(4)]
        backs = [jo.authorize(await set_out(browser)) for browser in browsers]
        answers = await asyncio.gather(
            *(browser.get(back, headers=BROWSER) for browser, back in zip(browsers, backs, strict=True))
        )
        assert [answer.status_code for answer in answers] == [302] * 4
        assert len(await project.all(ExternalIdentity)) == 1
        async with project.runtime.database.read() as session:
            assert len((await session.exec(select(User).where(col(User.email) == NEW))).all()) == 1
        for browser in browsers:
            await browser.aclose()


async def test_linking_and_unlinking(url: str, tmp_path: Any, jo: IdentityProvider, clock: ManualClock) -> None:
    async with running(url, tmp_path, mailing(jo, tmp_path), clock=clock) as project:
        async with project.signed_in(STAFF, PASSWORD) as browser:
            answer = await browser.post("/account/providers/link/oidc", headers=BROWSER | {"X-CSRF-Token": "x"})
            assert answer.status_code == 403
            back = jo.authorize(address_in(await browser.post("/account/providers/link/oidc", headers=BROWSER)))
            answer = await browser.get(back, headers=BROWSER)
            assert (answer.status_code, answer.headers["location"]) == (303, "/account/providers")
            page = (await browser.get("/account/providers", headers=BROWSER)).text
            assert NEW in page
            [identity] = await project.all(ExternalIdentity)
            clock.advance(15 * 60)
            for path in ("link/github", f"unlink/{identity.id}", "confirm"):
                answer = await browser.post(f"/account/providers/{path}", headers=BROWSER)
                assert (answer.status_code, answer.headers["location"][:22]) == (303, "/account/confirm?next=")
        async with project.signed_in(STAFF, PASSWORD) as browser, project.signed_in() as other:
            assert (await other.post(f"/account/providers/unlink/{identity.id}")).status_code == 404
            back = jo.authorize(address_in(await other.post("/account/providers/link/oidc", headers=BROWSER)))
            assert (await other.get(back, headers=BROWSER)).status_code == 409, "it is another account's"
            assert (await browser.post(f"/account/providers/unlink/{identity.id}")).status_code == 303
            assert (await browser.post(f"/account/providers/unlink/{identity.id}")).status_code == 404
        assert await project.all(ExternalIdentity) == []
        mails = [(mail.recipient, mail.template) for mail in await project.all(MailMessage)]
        assert mails == [(STAFF, "providers/mail/linked"), (STAFF, "providers/mail/unlinked")]
        wanted = ["link identity", "unlink identity"]
        assert [action for action in await actions(project) if "identity" in action] == wanted


async def test_a_link_that_somebody_else_started(project: Project, jo: IdentityProvider) -> None:
    async with project.signed_in(STAFF, PASSWORD) as browser:
        back = jo.authorize(address_in(await browser.post("/account/providers/link/oidc", headers=BROWSER)))
        session = browser.cookies["session"]
    async with project.signed_in() as other:
        other.cookies.set("session", session, domain="site.test")
        assert (await other.get(back, headers=BROWSER)).status_code == 400
    assert await project.all(ExternalIdentity) == []


async def test_the_last_way_to_sign_in_stays(project: Project, jo: IdentityProvider) -> None:
    async with project.client() as browser:
        await come_back(browser, jo)
        [identity] = await project.all(ExternalIdentity)
        page = await browser.get("/account/providers", headers=BROWSER)
        assert "has no password" in page.text
        await use_form_token(browser, "/account/providers")
        answer = await browser.post(f"/account/providers/unlink/{identity.id}", headers=BROWSER)
        assert (answer.status_code, "last way" in answer.text) == (409, True)
        # One of a provider that is not offered any more is none.
        await link_to(project, NEW, key="oidc:https://gone.example")
        assert (await browser.post(f"/account/providers/unlink/{identity.id}")).status_code == 409
        back = jo.authorize(address_in(await browser.post("/account/providers/link/github", headers=BROWSER)))
        assert (await browser.get(back, headers=BROWSER)).status_code == 303
        answers = await asyncio.gather(
            *(browser.post(f"/account/providers/unlink/{row.id}") for row in await project.all(ExternalIdentity))
        )
        assert sorted(answer.status_code for answer in answers) == [303, 303, 409]


async def test_a_subject_of_another_issuer_is_another_identity(project: Project, jo: IdentityProvider) -> None:
    await link_to(project, STAFF, key="oidc:https://before.example")
    await link_to(project, STAFF, key="github", subject="1")
    async with project.client() as browser:
        await come_back(browser, jo)
    [user] = {row.user_id for row in await project.all(ExternalIdentity) if row.provider == f"oidc:{jo.issuer}"}
    staff = await user_of(project, STAFF)
    assert staff is not None
    assert user != staff.id


async def test_an_email_address_from_the_user_information(project: Project, jo: IdentityProvider) -> None:
    jo.claims = {"email": None, "email_verified": None}
    async with project.client() as browser:
        assert (await come_back(browser, jo)).status_code == 302
    assert await user_of(project, NEW) is not None
    jo.bodies = {"user info": b'{"sub": "another", "email": "staff@example.com", "email_verified": true}'}
    async with project.client() as browser:
        assert (await come_back(browser, jo)).status_code == 403


async def test_github_names_no_primary_address(project: Project, jo: IdentityProvider) -> None:
    for emails in ([], [{"email": STAFF, "verified": True}], [{"email": "x\ny@a.example", "primary": True}], ["x"]):
        jo.emails = emails
        async with project.client() as browser:
            assert (await come_back(browser, jo, "github")).status_code == 403
    assert await project.all(ExternalIdentity) == []


async def give_factor(project: Project, email: str) -> bytes:
    user, secret, runtime = await user_of(project, email), new_secret(), project.runtime
    assert user is not None
    step = int(runtime.clock.time() // STEP)
    async with runtime.database.transaction() as session:
        here, mail = Client("192.0.2.1", "a test"), open_mail(runtime, session)
        await changing.set_up(session, runtime, user, secret, code_at(secret, step), here, mail)
    return secret


@pytest.mark.parametrize("name", ["oidc", "github"])
async def test_the_second_factor_is_asked_for(
    project: Project, jo: IdentityProvider, clock: ManualClock, name: str
) -> None:
    secret = await give_factor(project, STAFF)
    await link_to(project, STAFF, key="github" if name == "github" else "")
    clock.advance(STEP)
    async with project.client() as browser:
        answer = await come_back(browser, jo, name, next="/webinars?page=2")
        assert (answer.status_code, answer.headers["location"]) == (302, "/login/second-factor")
        assert "access_token" not in browser.cookies
        assert (await browser.get("/account/sessions")).status_code == 401
        await use_form_token(browser, "/login/second-factor")
        assert (await browser.post("/login/second-factor", data={"code": "000000"})).status_code == 401
        assert (await browser.get("/account/sessions")).status_code == 401
        code = code_at(secret, int(clock.time() // STEP))
        answer = await browser.post("/login/second-factor", data={"code": code})
        assert (answer.status_code, answer.headers["location"]) == (302, "/webinars?page=2")
        assert (await browser.get("/account/sessions")).status_code == 200


async def test_a_factor_that_is_required_is_set_up_first(
    url: str, tmp_path: Any, jo: IdentityProvider, clock: ManualClock
) -> None:
    environ = variables(jo, REQUIRE_SECOND_FACTOR="all")
    async with running(url, tmp_path, environ, clock=clock) as project:
        await link_to(project, STAFF)
        for person in (PERSON, PERSON | {"sub": "2", "email": "new@provider.example"}):  # linked, and a newcomer
            jo.person = dict(person)
            async with project.client() as browser:
                answer = await come_back(browser, jo)
                assert answer.headers["location"] == "/login/second-factor/set-up"
                assert "access_token" not in browser.cookies


@pytest.fixture
async def google(
    url: str, tmp_path: Any, jo: IdentityProvider, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Project]:
    """Google, at the address of the provider on loopback."""
    assert provider.GOOGLE_ISSUER == "https://accounts.google.com"
    monkeypatch.setattr(provider, "GOOGLE_ISSUER", jo.issuer)
    own = {"GOOGLE_CLIENT_ID": CLIENT_ID, "GOOGLE_CLIENT_SECRET": CLIENT_SECRET, "SITE_URL": SITE, "SIGN_UP": "open"}
    jo.registered = {f"{SITE}/login/with/google/callback"}
    async with running(url, tmp_path, PRODUCTION | own, clock=clock) as project:
        yield project


async def test_google(google: Project, jo: IdentityProvider) -> None:
    jo.document = {"authorization_response_iss_parameter_supported": None}  # as Google's
    async with google.client() as browser:
        assert "Sign in with Google" in (await browser.get("/login", headers=BROWSER)).text
        answer = await come_back(browser, jo, "google", next="/shop")
        assert (answer.status_code, answer.headers["location"]) == (302, "/shop")
    [asked] = jo.authorized
    assert asked["scope"].split() == ["openid", "email", "profile"]
    assert (await user_of(google, NEW)) is not None
    [identity] = await google.all(ExternalIdentity)
    assert (identity.provider, identity.subject) == ("google", PERSON["sub"])
    jo.claims = {"iss": "https://accounts.example"}
    async with google.client() as browser:
        assert (await come_back(browser, jo, "google")).status_code == 403


@pytest.mark.parametrize("verified", [False, None, "false", 1])
async def test_google_has_not_verified_the_address(google: Project, jo: IdentityProvider, verified: Any) -> None:
    jo.person["email_verified"] = verified
    async with google.client() as browser:
        assert (await come_back(browser, jo, "google")).status_code == 403
    assert await google.all(ExternalIdentity) == []
    assert await user_of(google, NEW) is None


async def test_off_there_is_nothing(url: str, tmp_path: Any, clock: ManualClock) -> None:
    async with running(url, tmp_path, PRODUCTION, clock=clock) as project, project.signed_in() as browser:
        assert "/login/with" not in (await browser.get("/login", headers=BROWSER)).text
        for path in ("/login/with/github/callback", "/login/with/x/confirm", "/account/providers"):
            assert (await browser.get(path, headers=BROWSER)).status_code == 404, path
        assert (await browser.post("/login/with/github")).status_code == 404


async def test_without_the_url_of_the_site(url: str, tmp_path: Any, jo: IdentityProvider, clock: ManualClock) -> None:
    async with running(url, tmp_path, variables(jo, SITE_URL=""), clock=clock) as project, project.client() as browser:
        answer = await browser.post("/login/with/oidc", headers=BROWSER | {"Host": "localhost"})
        assert (answer.status_code, "URL of this site" in answer.text) == (503, True)
