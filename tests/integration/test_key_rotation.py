"""A new SECRET_KEY with the one before: what was signed and encrypted with the old key is accepted, and renewed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import Response

from fastopp.features.accounts.client import Client
from fastopp.features.accounts.devices import read_device, remember_device
from fastopp.features.accounts.models import User
from fastopp.features.accounts.service import get_user
from fastopp.features.accounts.tokens import fingerprint_fits, password_fingerprint
from fastopp.features.emergency.grants import emergency_token
from fastopp.features.mail.service import open_mail
from fastopp.features.providers.identity import Identity
from fastopp.features.providers.pending import keep_identity, read_identity
from fastopp.features.second_factor import changing
from fastopp.features.second_factor.checking import check_code
from fastopp.features.second_factor.codes import STEP, code_at, new_secret
from fastopp.features.second_factor.encryption import SecretUnreadable, decrypt, encrypt, renew
from fastopp.features.second_factor.live_checks import need_the_previous_key
from fastopp.features.second_factor.models import SecondFactor
from fastopp.features.second_factor.renewal import Renewal, renew_some
from fastopp.settings import Settings, SettingsError
from fastopp.storage.direct_uploads import BadTicket, _agreed, _tickets
from fastopp.tasks.wake_tokens import WakeRefused, issue_token, read_token
from fastopp.testing import ManualClock
from tests.services.databases import url_on
from tests.services.ops_project import ADMIN, BEARER, PRODUCTION, initialised, running, settings_of

OLD, NEW = "c7R2mXq9Lw4TnZ8rBf5YhJ3dPsGa6Ue0", "Kp8VtY2nQz5WxC7bMj4HgFd9SaLe1Ru6"
BEFORE = PRODUCTION | {"SECRET_KEY": OLD}
DURING = PRODUCTION | {"SECRET_KEY": NEW, "SECRET_KEY_PREVIOUS": OLD}
AFTER = PRODUCTION | {"SECRET_KEY": NEW}
HERE = Client("192.0.2.1", "a test")
STAFF = "staff@example.com"

url = url_on("sqlite", "psycopg", fill=initialised)


@pytest.fixture
def three(tmp_path: Path) -> tuple[Settings, Settings, Settings]:
    """The settings before a change of the key, during it, and after it."""
    before, during, after = (settings_of("sqlite:///./t.db", tmp_path, each) for each in (BEFORE, DURING, AFTER))
    return before, during, after


def test_what_the_old_key_signed(three: tuple[Settings, Settings, Settings]) -> None:
    before, during, after = three
    clock, user = ManualClock(), User(email="ann@example.com", hashed_password="$one")
    wake, ticket = issue_token(before, clock=clock), _tickets(before).dumps(["a/key", 7, int(clock.time())])
    fingerprint, sealed = password_fingerprint("$one", before), encrypt(b"a secret", user.id, before)
    request: Any = httpx.Request("GET", "https://site.test/")
    device, identity = Response(), Response()
    request = SimpleNamespace(url=request.url, cookies={}, scope={"type": "http", "scheme": "https", "headers": []})
    remember_device(request, device, user, before)
    keep_identity(request, identity, before, Identity("p", "1", "ann@example.com", True, "Ann"), clock.time())

    def sent(response: Response) -> Any:
        name, _, value = response.headers["set-cookie"].partition(";")[0].partition("=")
        return SimpleNamespace(url=request.url, cookies={name: value}, scope=request.scope)

    read_token(wake, during, clock=clock)
    assert _agreed(during, "a/key", ticket, clock)[0] == 7
    assert fingerprint_fits(fingerprint, "$one", during)
    assert not fingerprint_fits(fingerprint, "$two", during)
    assert decrypt(sealed, user.id, during) == b"a secret"
    assert read_device(sent(device), during) is not None
    assert read_identity(sent(identity), during, clock.time()).subject == "1"
    assert OLD in during.backup_keys

    with pytest.raises(WakeRefused):
        read_token(wake, after, clock=clock)
    with pytest.raises(BadTicket):
        _agreed(after, "a/key", ticket, clock)
    assert not fingerprint_fits(fingerprint, "$one", after)
    with pytest.raises(SecretUnreadable):
        decrypt(sealed, user.id, after)
    assert read_device(sent(device), after) is None
    assert OLD not in after.backup_keys


def test_the_new_key_signs(three: tuple[Settings, Settings, Settings]) -> None:
    _, during, after = three
    clock, user = ManualClock(), User(email="ann@example.com", hashed_password="$one")
    read_token(issue_token(during, clock=clock), after, clock=clock)
    assert password_fingerprint("$one", during) == password_fingerprint("$one", after)
    sealed = encrypt(b"a secret", user.id, during)
    assert decrypt(sealed, user.id, after) == b"a secret"
    assert renew(sealed, user.id, during) is None
    assert during.backup_keys[0] == NEW
    # Who has a key that leaked must not open the door to all accounts with it.
    assert emergency_token(during) == emergency_token(after)


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ({"SECRET_KEY": NEW, "SECRET_KEY_PREVIOUS": NEW}, "The same as SECRET_KEY"),
        ({"SECRET_KEY": NEW, "SECRET_KEY_PREVIOUS": "short"}, "at least 32 characters"),
    ],
)
def test_a_bad_previous_key(values: dict[str, str], what: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=f"SECRET_KEY_PREVIOUS: .*{what}"):
        settings_of("sqlite:///./t.db", tmp_path, PRODUCTION | values)


async def test_users_stay_signed_in(url: str, tmp_path: Path) -> None:
    async with running(url, tmp_path, BEFORE) as project, project.signed_in() as client:
        cookies = dict(client.cookies)
        assert cookies
    for environ, status in ((DURING, 200), (AFTER, 303), (AFTER | {"SECRET_KEY_PREVIOUS": OLD}, 200)):
        async with running(url, tmp_path, environ) as project, project.client(cookies=cookies) as client:
            answer = await client.get("/account/sessions", headers={"Accept": "text/html"})
            assert (answer.status_code == 200) == (status == 200), environ
            if environ is DURING:
                async with project.client() as program:
                    issued = await program.post("/api/token", data={"username": ADMIN[0], "password": ADMIN[1]})
                    token = issued.json()["access_token"]
    async with running(url, tmp_path, AFTER) as project, project.client() as client:
        answer = await client.get("/account/sessions", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 200


async def test_second_factors_are_encrypted_again(url: str, tmp_path: Path) -> None:
    secret, clock = new_secret(), ManualClock()
    async with running(url, tmp_path, BEFORE, clock=clock) as project:
        runtime = project.runtime
        async with runtime.database.transaction() as session:
            for email in (STAFF, ADMIN[0]):
                user = await get_user(session, email)
                code = code_at(secret, int(clock.time() // STEP))
                await changing.set_up(session, runtime, user, secret, code, HERE, open_mail(runtime, session))
    async with running(url, tmp_path, DURING, clock=clock) as project:
        runtime, context = project.runtime, SimpleNamespace(database_settings=project.runtime.settings)
        clock.advance(STEP)
        await check_code(runtime, user, code_at(secret, int(clock.time() // STEP)), HERE)  # renews the one that is used
        (finding,) = [each async for each in need_the_previous_key.function(context)]
        assert finding.message.endswith(": 1.")
        async with project.client() as client:
            answer = await client.post("/async/renew-secrets", headers=BEARER)
        assert answer.status_code == 200, answer.text
        assert "encrypted with the present SECRET_KEY: 1." in answer.text
        assert [each async for each in need_the_previous_key.function(context)] == []
    async with running(url, tmp_path, AFTER, clock=clock) as project:
        for row in await project.all(SecondFactor):
            assert decrypt(row.secret, row.user_id, project.runtime.settings) == secret
        renewal = Renewal()
        await renew_some(project.runtime.database, project.runtime.settings, renewal)
        assert (renewal.renewed, renewal.unreadable, renewal.after) == (0, 0, None)
    async with running(url, tmp_path, BEFORE, clock=clock) as project:  # a key that fits none
        await renew_some(project.runtime.database, project.runtime.settings, renewal := Renewal())
        assert (renewal.renewed, renewal.unreadable) == (0, 2)
        assert "Readable with neither key: 2." in renewal.message
