"""The language and the time zone that a page or a mail is written in.

English is the language of the source, so nothing is loaded for it. Another one needs a gettext catalogue,
`locale/LANGUAGE/LC_MESSAGES/messages.mo`, of the project, of its apps, or the framework's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, tzinfo
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from fastopp.errors import FastOppError
from fastopp.settings import Settings

if TYPE_CHECKING:
    from gettext import NullTranslations

SOURCE: Final = "en"
FRAMEWORK_CATALOGUES: Final = Path(__file__).parent / "locale"
MAX_HEADER: Final = 500  # characters of Accept-Language that are read


class Reader(NamedTuple):
    """For whom a text is written."""

    language: str = SOURCE
    zone: tzinfo | None = None
    """None for UTC."""
    catalogues: tuple[Path, ...] = ()
    """The folders `locale`, the first to win first."""


_VISITOR: Final = Reader()
_reader: ContextVar[Reader] = ContextVar("reader", default=_VISITOR)


@contextmanager
def writing_for(reader: Reader) -> Iterator[None]:
    """Have templates translate, and show times, for a reader."""
    before = _reader.set(reader)
    try:
        yield
    finally:
        _reader.reset(before)


def choose_language(settings: Settings, wished: str | None = None, accepted: str = "") -> str:
    """Return the language to write in, one of LANGUAGES.

    Parameters
    ----------
    wished: the choice of the account.
    accepted: the header Accept-Language.
    """
    offered = settings.offered_languages
    if len(offered) == 1:
        return offered[0]
    for language in filter(None, (wished, *_by_weight(accepted[:MAX_HEADER]))):
        if (found := _fitting(language, offered)) is not None:
            return found
    return offered[0]


def reader_of(settings: Settings, account: object, accepted: str, catalogues: Sequence[Path]) -> Reader:
    """Return how to write for an account, or for a visitor without one."""
    language = choose_language(settings, getattr(account, "language", None), accepted)
    return Reader(language, find_zone(getattr(account, "time_zone", None)), tuple(catalogues))


@lru_cache(maxsize=256)  # names that accounts choose
def find_zone(name: str | None) -> tzinfo | None:
    """Return a time zone by its name, like `Europe/Berlin`; None where there is none."""
    if not name:
        return None
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # noqa: PLC0415 - 4 ms, for accounts with a time zone

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def gettext(message: str) -> str:
    """Translate a message for the reader."""
    reader = _reader.get()
    return message if reader.language == SOURCE else _catalogue(reader.language, reader.catalogues).gettext(message)


class Message(str):
    """A text of the program that pages translate when they show it: `Message("Use %(least)s or more.", least=8)`.

    Elsewhere it is the English text. Templates show it with the filter `translated`.
    """

    __slots__ = ("source", "values")

    source: str
    values: Mapping[str, object]

    def __new__(cls, source: str, /, **values: object) -> Self:
        """Fill the values in."""
        message = super().__new__(cls, source % values if values else source)
        message.source = source
        message.values = values
        return message


def translate(text: object) -> str:
    """Translate a text of the program for the reader: a Message, an error with its hint, or any constant text."""
    if isinstance(text, FastOppError):
        return " ".join(translate(part) for part in (text.message, text.hint) if part)
    if isinstance(text, Message) and text.values:
        values = {name: translate(value) if isinstance(value, str) else value for name, value in text.values.items()}
        return gettext(text.source) % values
    return gettext(str(text)) if text else ""


def ngettext(singular: str, plural: str, number: int) -> str:
    """Translate a message for the reader, in the form for a number."""
    reader = _reader.get()
    if reader.language == SOURCE:
        return singular if number == 1 else plural
    return _catalogue(reader.language, reader.catalogues).ngettext(singular, plural, number)


def format_moment(moment: datetime, *, time_of_day: bool) -> str:
    """Return a date, or a date and a time of day, as the reader writes it and in the reader's time zone."""
    reader = _reader.get()
    if time_of_day and reader.zone is not None:
        moment = moment.astimezone(reader.zone)
    if reader.language != SOURCE:
        from babel.dates import format_date, format_datetime  # noqa: PLC0415 - 80 ms, for other languages only

        locale = reader.language.replace("-", "_")
        if not time_of_day:
            return format_date(moment, "medium", locale=locale)
        return format_datetime(moment, "medium", tzinfo=reader.zone, locale=locale)
    return moment.strftime("%d %b %Y, %H:%M" if time_of_day else "%d %b %Y").lstrip("0")


def zone_name(moment: datetime) -> str:
    """Return the short name of the reader's time zone at a moment, like CEST."""
    zone = _reader.get().zone
    return "UTC" if zone is None else moment.astimezone(zone).strftime("%Z")


@cache  # a few, as many as languages: settings name them
def _catalogue(language: str, folders: tuple[Path, ...]) -> NullTranslations:
    """Return the catalogues of a language, each the fallback of the one before."""
    from gettext import NullTranslations, translation  # noqa: PLC0415 - 15 ms, for other languages only

    found: NullTranslations | None = None
    for folder in (*folders, FRAMEWORK_CATALOGUES):
        one = translation("messages", folder, [language.replace("-", "_")], fallback=True)
        if found is None:
            found = one
        else:
            found.add_fallback(one)
    return found or NullTranslations()


def _by_weight(header: str) -> list[str]:
    """Return the languages of Accept-Language, the most wished first (RFC 9110, 12.5.4)."""
    weighted: list[tuple[float, str]] = []
    for part in header.split(","):
        language, _, parameter = part.partition(";")
        try:
            weight = float(parameter.strip().removeprefix("q=")) if parameter.strip() else 1.0
        except ValueError:
            continue
        if weight > 0 and (name := language.strip()):
            weighted.append((-weight, name))
    return [name for _, name in sorted(weighted, key=lambda one: one[0])]


def _fitting(wished: str, offered: Sequence[str]) -> str | None:
    """Return the offered language that is wished: `de` for `de-AT`, and `pt-BR` for `pt` if that is all there is."""
    exact, base = wished.lower(), wished.lower().partition("-")[0]
    names = {language.lower(): language for language in offered}
    wider = {name.partition("-")[0]: language for name, language in reversed(names.items())}
    return names.get(exact) or names.get(base) or wider.get(base)


def as_extension(environment: Any) -> None:  # noqa: ANN401 - a Jinja environment, whose module is not imported for this
    """Give an environment `{% trans %}`, `_()` and `ngettext()`."""
    environment.add_extension("jinja2.ext.i18n")
    environment.install_gettext_callables(gettext, ngettext, newstyle=True)
