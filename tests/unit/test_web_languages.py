"""The language of a reader, translations, and times in the reader's zone."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po

from fastopp.settings import load_settings
from fastopp.web.languages import (
    FRAMEWORK_CATALOGUES,
    Reader,
    choose_language,
    find_zone,
    gettext,
    ngettext,
    reader_of,
    writing_for,
)
from fastopp.web.templating import Templates, format_date, format_datetime, plain_datetime

ROOT = Path(__file__).parents[2]
OF_APP = ROOT / "tests/services/mail_app/locale"
MOMENT = datetime(2026, 3, 29, 12, 5, tzinfo=UTC)


def settings_with(languages: str):
    return load_settings({"LANGUAGES": languages}, env_file=Path("/nonexistent"))


@pytest.mark.parametrize(
    ("languages", "wished", "accepted", "chosen"),
    [
        ("en", "de", "de", "en"),
        ("en,de", None, "", "en"),
        ("de,en", None, "", "de"),
        ("en,de", "de", "en", "de"),
        ("en,de", "fr", "de", "de"),
        ("en,de", "", "fr, de;q=0.5, en;q=0.4", "de"),
        ("en,de", None, "en;q=0.2, DE-at;q=0.9", "de"),
        ("en,pt-BR", None, "pt", "pt-BR"),
        ("en,pt-BR,pt", None, "pt-PT", "pt"),
        ("en,de", None, "de;q=0", "en"),
        ("en,de", None, "de;q=x, ;;, *, ,q=", "en"),
        ("en,de", None, "x-" * 100_000 + ", de", "en"),
        ("en,de", "../../etc", "../de", "en"),
    ],
)
def test_the_language_is_one_of_those_offered(languages, wished, accepted, chosen):
    assert choose_language(settings_with(languages), wished, accepted) == chosen


def test_zones():
    assert str(find_zone("Europe/Berlin")) == "Europe/Berlin"
    for name in (None, "", "Mars/Base", "../../etc/passwd", "/etc/localtime", "\0", "x" * 10_000):
        assert find_zone(name) is None


def test_catalogues_of_apps_come_before_ours():
    with writing_for(Reader("de", None, (OF_APP,))):
        assert gettext("Your order, %(name)s") == "Deine Bestellung, %(name)s"
        assert gettext("Test mail from %(site)s") == "Testmail von %(site)s"
        assert gettext("Not translated") == "Not translated"
        assert ngettext("%(num)s dog", "%(num)s dogs", 2) == "%(num)s dogs"
    assert gettext("Your order, %(name)s") == "Your order, %(name)s"
    with writing_for(Reader("fr", None, (OF_APP,))):
        assert gettext("Your order, %(name)s") == "Your order, %(name)s"


def test_times_as_the_reader_writes_them():
    assert "29 Mar 2026, 12:05" in format_datetime(MOMENT)
    assert plain_datetime(MOMENT) == "29 Mar 2026, 12:05 UTC"
    with writing_for(Reader("en", find_zone("America/New_York"))):
        assert "29 Mar 2026, 08:05" in format_datetime(MOMENT)
        assert plain_datetime(MOMENT) == "29 Mar 2026, 08:05 EDT"
    with writing_for(Reader("de", find_zone("Europe/Berlin"))):
        assert "29.03.2026, 14:05" in format_datetime(MOMENT)
        assert "29.03.2026" in format_date(MOMENT)


def test_a_translation_in_a_template(tmp_path):
    (tmp_path / "page.html").write_text("{% trans %}Hello {{ name }}, thank you.{% endtrans %}|{{ _('Other') }}")
    templates = Templates(settings_with("en,de"), [tmp_path], catalogues=[OF_APP])

    class Account:
        language, time_zone = "de", None

    with writing_for(reader_of(templates.settings, Account(), "", templates.catalogues)):
        assert templates.render("page.html", {"name": "<b>"}) == "Hallo &lt;b&gt;, danke schön.|Other"
    assert templates.render("page.html", {"name": "<b>"}) == "Hello &lt;b&gt;, thank you.|Other"


def test_our_catalogues_are_complete_and_compiled(tmp_path):
    """`script/messages` was run after the last change of a text."""
    found = {path.parts[-3] for path in FRAMEWORK_CATALOGUES.glob("*/LC_MESSAGES/messages.po")}
    assert found == {"de"}
    ran = subprocess.run(
        [sys.executable, ROOT / "script/messages", "--check"], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    folder = FRAMEWORK_CATALOGUES / "de/LC_MESSAGES"
    with (folder / "messages.po").open("rb") as source, (folder / "messages.mo").open("rb") as compiled:
        texts = {message.id: message.string for message in read_po(source) if message.id}
        assert texts == {message.id: message.string for message in read_mo(compiled) if message.id}


def test_english_loads_no_catalogue():
    code = (
        "import sys; from fastopp.web.languages import gettext; gettext('x');"
        "sys.exit(any(name in sys.modules for name in ('gettext', 'babel', 'jinja2')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
