"""The sample registrants. The people and their companies are made up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from demo.webinars.models import Status

SAMPLE_PHOTOS = Path(__file__).parent / "sample_photos"

SALES = ("sales", "sales@example.com")
MARKETING = ("marketing", "marketing@example.com")

ASYNC = "Async Python in Production"
SERVERLESS = "From Laptop to Serverless in an Hour"
LAUNCH = "Launching Your First AI Product"


@dataclass(frozen=True, slots=True)
class Upcoming:
    """A person registered for a webinar that is `days` ahead."""

    name: str
    company: str
    title: str
    days: int
    status: Status
    group: str
    rep: str
    notes: str
    is_public: bool = True

    @property
    def email(self) -> str:
        """Their address, which distinguishes sample registrants."""
        return email_of(self.name)


UPCOMING = (
    Upcoming(
        "Lena Fischer",
        "Nordlicht Energie",
        ASYNC,
        3,
        "registered",
        "sales",
        SALES[1],
        "Moves a billing service away from threads.",
    ),
    Upcoming(
        "Marcus Bell",
        "Bell & Daughters",
        ASYNC,
        3,
        "registered",
        "sales",
        SALES[1],
        "Wants the recording for his team.",
    ),
    Upcoming(
        "Sofia Rossi",
        "Studio Aurora",
        SERVERLESS,
        12,
        "registered",
        "marketing",
        MARKETING[1],
        "Asked how HTMX compares with a single-page app.",
    ),
    Upcoming(
        "Kenji Mori",
        "Mori Robotics",
        SERVERLESS,
        12,
        "attended",
        "sales",
        SALES[1],
        "Joined the rehearsal and gave good feedback.",
    ),
    Upcoming(
        "Hannah Cole",
        "Brightside Health",
        ASYNC,
        3,
        "registered",
        "marketing",
        MARKETING[1],
        "Needs an answer on data residency first.",
        is_public=False,
    ),
    Upcoming(
        "Omar Haddad",
        "Cedar Logistics",
        SERVERLESS,
        12,
        "registered",
        "sales",
        SALES[1],
        "Evaluates for a fleet of forty drivers.",
    ),
    Upcoming(
        "Ingrid Nilsen",
        "Fjord Analytics",
        LAUNCH,
        28,
        "cancelled",
        "marketing",
        MARKETING[1],
        "On parental leave; invite again next spring.",
        is_public=False,
    ),
    Upcoming(
        "Diego Fuentes", "Fuentes Media", LAUNCH, 28, "registered", "marketing", SALES[1], "Came by the newsletter."
    ),
)


@dataclass(frozen=True, slots=True)
class WithPhoto:
    """A person of a past webinar, whose photo ships with the demo as `<first>_<last>.jpg`."""

    name: str
    company: str
    title: str
    date: datetime
    status: Status
    notes: str

    @property
    def email(self) -> str:
        """Their address, which distinguishes sample registrants."""
        return email_of(self.name)

    @property
    def photo(self) -> Path:
        """The file that ships with the demo."""
        return SAMPLE_PHOTOS / f"{_plain(self.name).lower().replace(' ', '_')}.jpg"


SPRING = datetime(2024, 4, 18, 15, 0, tzinfo=UTC)
AUTUMN = datetime(2024, 10, 10, 16, 0, tzinfo=UTC)

WITH_PHOTO = (
    WithPhoto("Amara Okafor", "Sunward Labs", "Building with FastAPI", SPRING, "attended", "Asked the best question."),
    WithPhoto("Daniel Weber", "Weber Maschinenbau", "Building with FastAPI", SPRING, "registered", "Prefers email."),
    WithPhoto("Mei Tanaka", "Hoshi Games", "Data Models That Last", AUTUMN, "registered", "Writes a blog on SQLModel."),
    WithPhoto("Priya Raman", "Lotus Finance", "Data Models That Last", AUTUMN, "registered", "Decides this quarter."),
    WithPhoto("Tomás Silva", "Porto Cowork", "Data Models That Last", AUTUMN, "registered", "Hosts a Python meetup."),
)


def email_of(name: str) -> str:
    """`Tomás Silva` to `tomas.silva@example.com`."""
    first, last = _plain(name).lower().split()
    return f"{first}.{last}@example.com"


def _plain(name: str) -> str:
    return name.replace("á", "a")
