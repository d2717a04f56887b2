"""The samples of the page. All of it is made up, and the page says so."""

from __future__ import annotations

from itertools import product
from typing import NamedTuple


class Week(NamedTuple):
    """The sample figures of one week; rates are in per cent, times in minutes."""

    number: int
    drafts: int
    minutes_saved: int
    open_rate: float
    audiences: int


WEEKS = (
    Week(1, drafts=18, minutes_saved=210, open_rate=21.4, audiences=3),
    Week(2, drafts=26, minutes_saved=305, open_rate=23.9, audiences=4),
    Week(3, drafts=23, minutes_saved=290, open_rate=22.8, audiences=4),
    Week(4, drafts=34, minutes_saved=415, open_rate=26.1, audiences=6),
)


class Topic(NamedTuple):
    """A tab: what a marketing team might let a model do."""

    slug: str
    title: str
    icon: str
    text: str
    points: tuple[str, ...]


TOPICS = (
    Topic(
        "writing",
        "Writing",
        "edit",
        "A model drafts, people decide. First versions come in seconds, so that more of them can be thrown away.",
        ("Three drafts of each headline", "One tone of voice, written down once", "Nothing goes out unread"),
    ),
    Topic(
        "analysis",
        "Analysis",
        "chart",
        "Numbers are counted by the database, never by the model. The model may say what they could mean.",
        ("Queries that everyone can read", "Figures with their source", "A guess is called a guess"),
    ),
    Topic(
        "audiences",
        "Audiences",
        "users",
        "Who is spoken to, and who is left alone. Small groups, each with a reason why it is one.",
        ("Groups by what people asked for", "No group of fewer than twenty", "One click to leave it"),
    ),
)


class Picture(NamedTuple):
    """A picture of the gallery; `file` is in this app's static folder."""

    slug: str
    title: str
    text: str

    @property
    def file(self) -> str:
        """Its path below /static."""
        return f"design/{self.slug}.svg"


PICTURES = (
    Picture("tide", "Tide", "Four waves, each the same curve a little lower and a little lighter."),
    Picture("orbit", "Orbit", "Ellipses around one centre, turned by thirty degrees each."),
    Picture("dunes", "Dunes", "Three hills and a sun; the light is one gradient."),
    Picture("bloom", "Bloom", "One petal, used eight times."),
)

_AUDIENCES = ("gardeners", "night owls", "new parents", "train commuters", "amateur bakers")
_OFFERS = (
    "Ten minutes a day for {}",
    "What {} wish they had known",
    "The quiet favourite of {}",
    "Made for {}, liked by everyone else",
    "A letter to {}, once a month",
    "Five things {} never throw away",
    "Slower, on purpose: a guide for {}",
    "For {} who have tried everything",
)

HEADLINES = tuple(offer.format(audience) for offer, audience in product(_OFFERS, _AUDIENCES))
HEADLINES_A_PAGE = 10
HEADLINE_PAGES = -(-len(HEADLINES) // HEADLINES_A_PAGE)


def headlines(page: int) -> tuple[str, ...]:
    """One page of sample headlines; pages count from 1, and none is after the last."""
    start = (page - 1) * HEADLINES_A_PAGE
    return HEADLINES[start : start + HEADLINES_A_PAGE]
