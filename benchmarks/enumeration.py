"""The time of an answer for addresses with and without an account: it should reveal nothing."""

from __future__ import annotations

import gc
import tempfile
import time
from pathlib import Path
from statistics import median

from fastopp.features.accounts.models import User
from fastopp.features.accounts.passwords import hash_password
from tests.services.account_mails import PASSWORD, WITH_MAIL
from tests.services.ops_project import BROWSER, Project, initialised, running

REPEATS = 200  # of each kind; the two kinds take turns
WARM_UP = 5
AIM = 1.1
KINDS = ("known", "other")
WATCHES = {"clock": time.perf_counter, "processor": time.process_time}

FORMS = {
    "sign-in": ("/login", {"username": "", "password": "wrong horse battery"}),
    "password reset": ("/forgot-password", {"email": ""}),
    "sign-up": ("/sign-up", {"email": "", "password": PASSWORD}),
}


async def run() -> None:
    """Print the table."""
    print(f"Medians of {REPEATS} requests on SQLite, for addresses that have an account and that have none:")
    print("by the clock, and in processor time, which does not depend on the load of the machine.\n")
    print(f"{'':16}{'':12}{'with':>12}{'without':>12}{'ratio':>8}{'aim':>8}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        url = f"sqlite:///{folder}/bench.db"
        await initialised(url, folder)
        async with running(url, folder, WITH_MAIL | {"SIGN_UP": "open"}) as project:
            await _add_accounts(project)
            for number, (title, (path, form)) in enumerate(FORMS.items()):
                measured = await _measure(project, path, form, number)
                for watch in WATCHES:
                    known, unknown = (median(measured[kind, watch]) for kind in KINDS)
                    ratio = max(known, unknown) / min(known, unknown)
                    times = f"{known * 1000:9.1f} ms{unknown * 1000:9.1f} ms"
                    print(f"{title:16}{watch:12}{times}{ratio:8.3f}{f'≤ {AIM}':>8}", flush=True)


async def _add_accounts(project: Project) -> None:
    hashed = await hash_password(PASSWORD)
    async with project.runtime.database.transaction() as session:
        for number in range(REPEATS + WARM_UP):
            session.add(User(email=_address("known", number), hashed_password=hashed, is_staff=True))


async def _measure(project: Project, path: str, form: dict[str, str], place: int) -> dict[tuple[str, str], list[float]]:
    """Return the times. Each address is used once, and each client a few times, so that no limit is reached."""
    times: dict[tuple[str, str], list[float]] = {(kind, watch): [] for kind in KINDS for watch in WATCHES}
    gc.collect()
    for number in range(REPEATS + WARM_UP):
        # Each kind is first as often as the other.
        for kind in KINDS if number % 2 else reversed(KINDS):
            filled = {name: value or _address(kind, number) for name, value in form.items()}
            async with project.client(f"10.{place}.{number % 250}.1") as client:
                began = {watch: read() for watch, read in WATCHES.items()}
                await client.post(path, data=filled, headers=BROWSER)
                for watch, read in WATCHES.items():
                    if number >= WARM_UP:
                        times[kind, watch].append(read() - began[watch])
    return times


def _address(kind: str, number: int) -> str:
    return f"{kind}{number:04}@example.com"
