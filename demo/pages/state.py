"""The state of this project: what the home page shows, and what it says to do next."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import func, literal_column
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from demo.products.models import Product
from demo.webinars.models import WebinarRegistrant
from fastopp.database.counting import EXACT_UP_TO, Count
from fastopp.database.errors import DatabaseUnavailable, TablesMissing
from fastopp.features.accounts.models import User
from fastopp.settings import Settings

_SHOWN = (Product, WebinarRegistrant)


class ProjectState(NamedTuple):
    """The state as it was found a moment ago."""

    reachable: bool = True
    tables: bool = True
    """The tables of the accounts and of the demo are there."""
    superuser: bool = False
    products: Count = Count(0)
    registrants: Count = Count(0)

    @property
    def has_demo_data(self) -> bool:
        """Whether there is anything to look at."""
        return self.products.rows > 0 and self.registrants.rows > 0


class NextStep(NamedTuple):
    """The one thing to do next; `command` is to be copied, `href` becomes a button."""

    title: str
    text: str
    command: str | None = None
    href: str | None = None
    action: str = ""


async def read_state(session: AsyncSession) -> ProjectState:
    """Look, in one round trip. Raises nothing for a database that is down or empty."""
    some: list[Any] = [select(literal_column("1")).select_from(model).limit(EXACT_UP_TO + 1) for model in _SHOWN]
    counts: list[Any] = [
        select(User.id).where(col(User.is_superuser).is_(True)).exists(),
        *(select(func.count()).select_from(rows.subquery()).scalar_subquery() for rows in some),
    ]
    query: Any = select(*counts)
    try:
        superuser, *rows = (await session.exec(query)).one()
    except DatabaseUnavailable:
        return ProjectState(reachable=False, tables=False)
    except TablesMissing:
        return ProjectState(tables=False)
    products, registrants = (
        Count(number) if number <= EXACT_UP_TO else Count(EXACT_UP_TO, "more than") for number in rows
    )
    return ProjectState(superuser=bool(superuser), products=products, registrants=registrants)


def checks(state: ProjectState, settings: Settings) -> list[dict[str, Any]]:
    """The state as lines of a list: name, whether it is well, a sentence."""
    tables = "All tables are there." if state.tables else "Tables are missing." if state.reachable else "Unknown."
    data = f"{_number(state.products, 'product')} and {_number(state.registrants, 'registrant')}."
    return [
        {"name": "Platform", "ok": True, "text": f"{settings.platform.title}, {settings.environment}."},
        {
            "name": "Database",
            "ok": state.reachable,
            "text": "It answers." if state.reachable else "It does not answer at the moment.",
        },
        {"name": "Tables", "ok": state.tables, "text": tables},
        {"name": "Demo data", "ok": state.has_demo_data, "text": data if state.tables else "Unknown."},
    ]


def next_step(state: ProjectState, settings: Settings, user: User | None) -> NextStep | None:
    """Return the next step of this project; None when nothing has to be done."""
    if not state.reachable:
        text = "The page looks again by itself. If it stays so, check DATABASE_URL."
        return NextStep("The database does not answer", text, href="/database-status", action="See the status")
    if not state.tables:
        return _set_up("Make the tables", settings)
    if not state.superuser:
        return _set_up("Make the first superuser and the demo data", settings)
    if not state.has_demo_data:
        text = "The demo has nothing to show yet. Sample products, registrants and photos are loaded in seconds."
        if user is None or not user.is_superuser:
            return NextStep("Load the demo data", text, href="/login?next=/oppdemo/", action="Sign in as a superuser")
        return NextStep("Load the demo data", text, href="/oppdemo/", action="Go to the demo's data")
    if user is None:
        text = "Everything is set up. Staff manage registrants and products; superusers see all of it."
        return NextStep("Sign in", text, href="/login", action="Sign in")
    if settings.platform.shell and settings.development:
        text = "A folder with models, routes, an admin view and a page that runs immediately."
        return NextStep("Create your own app", text, command="python oppman.py startapp shop")
    return None


def _set_up(title: str, settings: Settings) -> NextStep:
    if settings.platform.shell:
        text = "One command does it: tables, the first superuser and the demo data. Running it again changes nothing."
        return NextStep(title, text, command="python oppdemo.py init")
    if settings.ops_token.get_secret_value():
        text = f"{settings.platform.title} has no shell: send this from your own machine, with this site's address."
        command = 'curl -X POST -H "Authorization: Bearer $OPS_TOKEN" https://<this site>/async/init-demo'
        return NextStep(title, text, command=command)
    if settings.emergency_access_enabled:
        text = f"{settings.platform.title} has no shell, so emergency access does it from here."
        return NextStep(title, text, href="/oppman/emergency", action="Open emergency access")
    text = f"{settings.platform.title} has no shell: set OPS_TOKEN or EMERGENCY_ACCESS_ENABLED=true, deploy."
    return NextStep(title, text)


def _number(count: Count, noun: str) -> str:
    return f"{count} {noun}" if count.rows == 1 else f"{count} {noun}s"
