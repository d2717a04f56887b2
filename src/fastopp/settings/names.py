"""The names of settings, and those that were probably meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

from fastopp.settings.app_settings import AppSettings
from fastopp.settings.loading import VARIABLES

SIMILAR: Final = 0.85  # of 1: one letter more, less or exchanged in a name of seven


def known_names(app_settings: Iterable[type[AppSettings]] = ()) -> frozenset[str]:
    """Return the names of all settings, in lower case."""
    return frozenset(VARIABLES).union(*(kind.model_fields for kind in app_settings))


def misspelled(names: Iterable[str], app_settings: Iterable[type[AppSettings]] = ()) -> dict[str, str]:
    """Return the names of variables that are no settings but look like one, each with the setting."""
    known = known_names(app_settings)
    unknown = [name for name in names if name.lower() not in known]
    found = {name: get_close_matches(name.lower(), known, n=1, cutoff=SIMILAR) for name in unknown}
    return {name: close[0].upper() for name, close in found.items() if close}
