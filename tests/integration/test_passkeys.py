"""Passkeys as a server sees them: genuine answers, and those of liars and eavesdroppers."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import httpx
import pytest
from itsdangerous import TimestampSigner

from fastopp.features.accounts.models import AuditLog, User
from fastopp.features.accounts.service import get_user
from fastopp.features.passkeys import registering
from fastopp.features.passkeys.challenges import KEY
from fastopp.features.passkeys.models import Passkey
from fastopp.testing import ManualClock
from tests.integration.accounts_fixtures import *  # noqa: F403 - fixtures
from tests.services.authenticator import PRESENT, VERIFIED, Authenticator, encode
from tests.services.ops_project import ADMIN, BROWSER, PRODUCTION, Project, running, use_form_token

STAFF = ("staff@example.com", "test123")
SITE = {"SITE_URL": "https://site.test", "PASSKEYS": "true"}
NEW = "/account/passkeys/new"
PAGE = "/login/passkey"

ENVIRON = PRODUCTION | SITE


def authenticator(**changes: Any) -> Authenticator:
    return Authenticator("https://site.test", "site.test", **changes)


async def register(client: httpx.AsyncClient, device: Authenticator, name: str = "my phone") -> httpx.Response:
    options = await client.post("/account/passkeys/options")
    assert options.status_code == 200, options.text
    return await client.post(NEW, data={"name": name, "credential": device.create(options.json())}, headers=BROWSER)


async def ask(client: httpx.AsyncClient) -> dict[str, Any]:
    await use_form_token(client, PAGE)
    answer = await client.post(f"{PAGE}/options")
    assert answer.status_code == 200, answer.text
    options: dict[str, Any] = answer.json()
    return options


async def send(client: httpx.AsyncClient, credential: str, **fields: str) -> httpx.Response:
    return await client.post(PAGE, data={"credential": credential} | fields, headers=BROWSER)


async def is_signed_in(client: httpx.AsyncClient) -> bool:
    return (await client.get("/account/sessions")).status_code == 200


async def registered(project: Project, clock: ManualClock, account: tuple[str, str] = STAFF) -> Authenticator:
    device = authenticator()
    async with project.signed_in(*account) as client:
        answer = await register(client, device)
        assert (answer.status_code, answer.headers["location"]) == (303, "/account/passkeys"), answer.text
    clock.advance(60)
    return device


async def test_register_and_sign_in(project: Project, clock: ManualClock) -> None:
    device = await registered(project, clock)
    async with project.client() as client:
        options = await ask(client)
        assert options["rpId"] == "site.test"
        assert options["userVerification"] == "required"
        answer = await send(client, device.get(options), next="/protected?a=1")
        assert (answer.status_code, answer.headers["location"]) == (302, "/protected?a=1"), answer.text
        assert await is_signed_in(client)
        (row,) = await project.all(Passkey)
        assert (row.name, row.last_used_at) == ("my phone", clock.now())
    recorded = [entry.action for entry in await project.all(AuditLog)]
    assert recorded[-3:] == ["add passkey", "use passkey", "sign in"]


async def test_a_passkey_counts_as_both_factors(url: str, tmp_path: Any, clock: ManualClock) -> None:
    async with running(url, tmp_path, PRODUCTION | SITE, clock=clock) as project:
        device = await registered(project, clock)
    environ = PRODUCTION | SITE | {"REQUIRE_SECOND_FACTOR": "staff"}
    async with running(url, tmp_path, environ, clock=clock) as project, project.client() as client:
        by_password = await client.post("/login", data={"username": STAFF[0], "password": STAFF[1]})
        assert by_password.headers["location"] == PAGE  # a stolen password sets no second factor up
        refused = await client.get("/login/second-factor/set-up")
        assert refused.headers["location"] == "/login"
        answer = await send(client, device.get(await ask(client)))
        assert answer.status_code == 302, answer.text
        assert await is_signed_in(client)


@pytest.mark.parametrize(
    "lie",
    [
        {"origin": "https://evil.test"},
        {"origin": "http://site.test"},
        {"rp_id": "evil.test"},
        {"flags": PRESENT},
        {"flags": VERIFIED},
        {"user_handle": b"another account!"},
        {"credential_id": b"nobody's passkey"},
        {"key": authenticator().key},
    ],
)
async def test_who_lies_is_not_signed_in(project: Project, clock: ManualClock, lie: dict[str, Any]) -> None:
    device = await registered(project, clock)
    for name, value in lie.items():
        setattr(device, name, value)
    async with project.client() as client:
        answer = await send(client, device.get(await ask(client)))
        assert (answer.status_code, "does not sign in here" in answer.text) == (401, True)
        assert not await is_signed_in(client)


async def test_a_challenge_is_for_one_use(either: Project, clock: ManualClock) -> None:
    device = await registered(either, clock)
    async with either.client() as client:
        credential = device.get(await ask(client))
        copied = dict(client.cookies)
        headers = {"X-CSRF-Token": client.headers["X-CSRF-Token"]}
        assert (await send(client, credential)).status_code == 302
        assert (await send(client, credential)).status_code != 302
    clock.advance(1)
    async with either.client(cookies=copied, headers=headers) as eavesdropper:  # whose cookie still has the challenge
        assert (await send(eavesdropper, credential)).status_code == 401
        assert not await is_signed_in(eavesdropper)


async def test_of_many_uses_of_a_challenge_one_succeeds(either: Project, clock: ManualClock) -> None:
    device = await registered(either, clock)
    async with either.client() as client:
        credential = device.get(await ask(client))
        headers = {"X-CSRF-Token": client.headers["X-CSRF-Token"]}
        cookies = dict(client.cookies)

    async def use() -> int:
        async with either.client(cookies=cookies, headers=headers) as client:
            return (await send(client, credential)).status_code

    assert sorted(await asyncio.gather(*(use() for _ in range(4)))) == [302, 401, 401, 401]


async def test_a_challenge_ends_after_five_minutes(project: Project, clock: ManualClock) -> None:
    device = await registered(project, clock)
    async with project.client() as client:
        credential = device.get(await ask(client))
        clock.advance(5 * 60)
        assert (await send(client, credential)).status_code == 401


async def test_a_copy_of_a_passkey_is_noticed(project: Project, clock: ManualClock) -> None:
    device = await registered(project, clock)
    for count, status in ((5, 302), (5, 401), (4, 401), (0, 401), (6, 302)):
        clock.advance(1)
        device.count = count
        async with project.client() as client:
            assert (await send(client, device.get(await ask(client)))).status_code == status, count


async def test_a_removed_passkey_and_those_of_others(project: Project, clock: ManualClock) -> None:
    device = await registered(project, clock)
    (row,) = await project.all(Passkey)
    async with project.signed_in(*ADMIN) as client:
        answer = await client.post("/account/passkeys", data={"passkey": str(row.id)}, headers=BROWSER)
        assert answer.status_code == 404
    async with project.signed_in(*STAFF) as client:
        assert "my phone" in (await client.get("/account/passkeys", headers=BROWSER)).text
        answer = await client.post("/account/passkeys", data={"passkey": str(row.id)}, headers=BROWSER)
        assert answer.status_code == 303
    async with project.client() as client:
        assert (await send(client, device.get(await ask(client)))).status_code == 401


async def test_a_passkey_is_renamed(project: Project, clock: ManualClock) -> None:
    device = await registered(project, clock)
    (row,) = await project.all(Passkey)
    page = f"/account/passkeys/{row.id}/name"
    async with project.signed_in(*ADMIN) as client:
        assert (await client.get(page, headers=BROWSER)).status_code == 404
        assert (await client.post(page, data={"name": "mine"}, headers=BROWSER)).status_code == 404
    async with project.signed_in(*STAFF) as client:
        assert page in (await client.get("/account/passkeys", headers=BROWSER)).text
        assert 'value="my phone"' in (await client.get(page, headers=BROWSER)).text
        for name, kept in ((" <b>work</b> ", "<b>work</b>"), ("  ", "Passkey"), ("Passkey", "Passkey")):
            answer = await client.post(page, data={"name": name}, headers=BROWSER)
            assert (answer.status_code, answer.headers["location"]) == (303, "/account/passkeys")
            assert [each.name for each in await project.all(Passkey)] == [kept]
        assert (await client.post(page, data={"name": "x" * 101}, headers=BROWSER)).status_code == 422
        gone = f"/account/passkeys/{row.user_id}/name"
        assert (await client.post(gone, data={"name": "x"}, headers=BROWSER)).status_code == 404
    renamed = [entry.changes for entry in await project.all(AuditLog) if entry.action == "rename passkey"]
    assert [json.loads(changes)["name"] for changes in renamed] == ["<b>work</b>", "Passkey"]
    async with project.client() as client:
        assert (await send(client, device.get(await ask(client)))).status_code == 302


async def test_who_may_not_sign_in_may_not_with_a_passkey(project: Project, clock: ManualClock) -> None:
    device = await registered(project, clock)
    async with project.runtime.database.transaction() as session:
        user = await get_user(session, STAFF[0])
        user.is_active = False
        session.add(user)
    async with project.client() as client:
        answer = await send(client, device.get(await ask(client)))
        assert (answer.status_code, "deactivated" in answer.text) == (403, True)


async def test_what_is_refused_at_registration(
    either: Project, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registering, "MAX_PASSKEYS", 2)
    device = authenticator()
    async with either.signed_in(*STAFF) as client:
        for lie in (
            authenticator(flags=PRESENT),
            Authenticator("https://evil.test", "site.test"),
            Authenticator("https://site.test", "evil.test"),
            authenticator(credential_id=bytes(1024)),
        ):
            assert (await register(client, lie)).status_code == 422
        assert (await register(client, device)).status_code == 303
        assert (await register(client, device)).status_code == 422  # its id exists
        options = (await client.post("/account/passkeys/options")).json()
        assert [each["id"] for each in options["excludeCredentials"]] == [encode(device.credential_id)]
        assert (await register(client, authenticator(), "\x7f" * 3)).status_code == 303
        assert (await register(client, authenticator())).status_code == 409
    async with either.signed_in(*ADMIN) as client:
        device.user_handle = b""
        assert (await register(client, device)).status_code == 422  # of another account
    owners = {row.user_id for row in await either.all(Passkey)}
    assert owners == {user.id for user in await either.all(User) if user.email == STAFF[0]}


async def test_a_challenge_of_one_account_registers_nothing_for_another(project: Project) -> None:
    async with project.signed_in(*STAFF) as client:
        options = (await client.post("/account/passkeys/options")).json()
        note = await session_of(project, client)
    async with project.signed_in(*ADMIN) as client:
        await client.post("/account/passkeys/options")
        await put_into_session(project, client, {KEY: note[KEY]})
        answer = await client.post(NEW, data={"credential": authenticator().create(options)}, headers=BROWSER)
        assert answer.status_code == 422
    assert await project.all(Passkey) == []


def signer(project: Project) -> TimestampSigner:
    return TimestampSigner(project.runtime.settings.secret_key.get_secret_value())


async def session_of(project: Project, client: httpx.AsyncClient) -> dict[str, Any]:
    """What the browser's session holds."""
    session: dict[str, Any] = json.loads(base64.b64decode(signer(project).unsign(client.cookies["session"])))
    return session


async def put_into_session(project: Project, client: httpx.AsyncClient, entries: dict[str, Any]) -> None:
    """Change the browser's session, as only the holder of SECRET_KEY can."""
    changed = await session_of(project, client) | entries
    signed = signer(project).sign(base64.b64encode(json.dumps(changed).encode())).decode()
    client.cookies.set("session", signed, domain="site.test", path="/")


@pytest.mark.parametrize(
    "answer",
    [
        *("", "null", "[]", "{}", '"x"', "[" * 8000, '{"id": 1}', '{"id": "\\ud800"}'),
        '{"id": "AA", "rawId": "AA", "type": "public-key", "response": {}}',
        '{"id": "%s", "rawId": "%s", "type": "public-key", "response": []}',
        '{"id": "%s", "rawId": "%s", "type": "other", "response": {"clientDataJSON": "AA"}}',
        '{"id": "%s", "rawId": "%s", "type": "public-key", "response": {"clientDataJSON": "AA",'
        ' "authenticatorData": "AA", "signature": "AA", "userHandle": "AA", "attestationObject": "AA"}}',
        '{"id": "%s", "rawId": "%s", "type": "public-key", "response": {"clientDataJSON": "é",'
        ' "authenticatorData": "é", "signature": 7, "userHandle": {}, "attestationObject": "é"}}',
        '{"id": "%s", "rawId": 5, "type": "public-key", "response": {"clientDataJSON": "e30", "authenticatorData": "",'
        ' "signature": "", "attestationObject": "oA"}}',
    ],
)
async def test_hostile_answers(project: Project, clock: ManualClock, answer: str) -> None:
    device = await registered(project, clock)
    text = answer.replace("%s", encode(device.credential_id))
    async with project.client() as client:
        await ask(client)
        assert (await send(client, text)).status_code == 401
    async with project.signed_in(*STAFF) as client:
        await client.post("/account/passkeys/options")
        assert (await client.post(NEW, data={"credential": text}, headers=BROWSER)).status_code == 422


async def test_hostile_keys_and_attestations(project: Project, clock: ManualClock) -> None:
    from cbor2 import dumps

    def with_attestation(options: dict[str, Any], attestation: object) -> str:
        answer = json.loads(authenticator().create(options))
        answer["response"]["attestationObject"] = encode(dumps(attestation))
        return json.dumps(answer)

    data = authenticator()._data(0x40) + bytes(16) + (16).to_bytes(2, "big") + bytes(16)
    async with project.signed_in(*STAFF) as client:
        for attestation in (
            [],
            {},
            7,
            {"fmt": "none", "attStmt": {}, "authData": b""},
            {"fmt": "none", "attStmt": {}, "authData": data},
            {"fmt": "none", "attStmt": {}, "authData": data + dumps({})},
            {"fmt": "none", "attStmt": {}, "authData": data + dumps({1: 2, 3: -7, -1: 1, -2: b"", -3: "x"})},
            {"fmt": "none", "attStmt": {}, "authData": data + dumps({1: 9, 3: -999})},
            {"fmt": "packed", "attStmt": {"x5c": [b"no certificate"]}, "authData": data + dumps({1: 3, 3: -257})},
            {"fmt": "tpm", "attStmt": 5, "authData": data},
            {"fmt": ["?"], "attStmt": {}, "authData": 5},
        ):
            options = (await client.post("/account/passkeys/options")).json()
            sent = {"credential": with_attestation(options, attestation)}
            answer = await client.post(NEW, data=sent, headers=BROWSER)
            assert answer.status_code == 422, attestation


async def test_off_there_is_nothing(url: str, tmp_path: Any) -> None:
    async with running(url, tmp_path, PRODUCTION) as project, project.signed_in(*STAFF) as client:
        for path in ("/account/passkeys", NEW, PAGE):
            assert (await client.get(path, headers=BROWSER)).status_code == 404
        assert (await client.post(f"{PAGE}/options")).status_code == 404
    async with running(url, tmp_path, PRODUCTION) as project, project.client() as client:
        assert "passkey" not in (await client.get("/login", headers=BROWSER)).text


async def test_without_the_library(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    from fastopp.features.passkeys import library

    monkeypatch.setattr(library, "is_installed", lambda: False)
    async with project.client() as client:
        await use_form_token(client, PAGE)
        answer = await client.post(f"{PAGE}/options")
        assert (answer.status_code, "fastopp[passkeys]" in answer.text) == (503, True)
