"""Attendees as the public showcase shows them: by webinar."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from typing import NamedTuple

from demo.webinars.models import WebinarRegistrant


class Webinar(NamedTuple):
    """One webinar and those of its registrants who are shown."""

    title: str
    date: datetime
    attendees: list[WebinarRegistrant]


def by_webinar(registrants: Sequence[WebinarRegistrant]) -> list[Webinar]:
    """Group registrants, who come sorted by date and title."""
    groups = groupby(registrants, key=lambda registrant: (registrant.webinar_date, registrant.webinar_title))
    return [Webinar(title, date, list(attendees)) for (date, title), attendees in groups]
