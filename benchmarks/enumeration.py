"""The time of an answer for addresses with and without an account: it should reveal nothing."""

from __future__ import annotations

import gc
import sys
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

# Of both kinds alike; another one would mean that a limit was reached, or that a form was refused.
STATUSES = {"/login": 401, "/forgot-password": 200, "/sign-up": 200}
FORMS = {
    "sign-in": ("/login", {"username": "", "password": "wrong horse battery"}),
    "password reset": ("/forgot-password", {"email": ""}),
    "sign-up": ("/sign-up", {"email": "", "password": PASSWORD}),
}


async def run() -> None:
    """Print the table, and exit with 1 if a ratio is above the aim."""
    print(f"Medians of {REPEATS} pairs of requests on SQLite, for addresses that have an account and that have none.")
    print("The ratio is the median of the pairs' ratios: both requests of a pair meet the same load of the machine.\n")
    print(f"{'':16}{'':12}{'with':>12}{'without':>12}{'ratio':>8}{'aim':>8}")
    over = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        url = f"sqlite:///{folder}/bench.db"
        await initialised(url, folder)
        async with running(url, folder, WITH_MAIL | {"SIGN_UP": "open"}) as project:
            await _add_accounts(project)
            for number, (title, (path, form)) in enumerate(FORMS.items()):
                measured = await _measure(project, path, form, number)
                for watch in WATCHES:
                    known, unknown = (measured[kind, watch] for kind in KINDS)
                    ratio = median(a / b for a, b in zip(known, unknown, strict=True))
                    ratio = max(ratio, 1 / ratio)
                    times = f"{median(known) * 1000:9.1f} ms{median(unknown) * 1000:9.1f} ms"
                    print(f"{title:16}{watch:12}{times}{ratio:8.3f}{f'≤ {AIM}':>8}", flush=True)
                    if ratio > AIM:
                        over.append(f"{title}, {watch}")
    if over:
        sys.exit(f"The time of an answer reveals accounts: {'; '.join(over)}.")


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
                answer = await client.post(path, data=filled, headers=BROWSER)
                assert answer.status_code == STATUSES[path], (path, answer.status_code)
                for watch, read in WATCHES.items():
                    if number >= WARM_UP:
                        times[kind, watch].append(read() - began[watch])
    return times


def _address(kind: str, number: int) -> str:
    return f"{kind}{number:04}@example.com"
