"""Writing mails: subjects, both parts, links, addresses and limits."""

from __future__ import annotations

from pathlib import Path

import pytest
from jinja2 import TemplateNotFound, UndefinedError

from fastopp.features.mail.addresses import check_address
from fastopp.features.mail.errors import MailInvalid, MailTooBig, SiteUnknown
from fastopp.features.mail.message import make_message
from fastopp.features.mail.rendering import MAX_PART, write_mail
from fastopp.settings import load_settings
from fastopp.settings.mail_url import Sender
from fastopp.web.languages import Reader
from fastopp.web.templating import Templates
from tests.integration.test_mail_smtp import mail

PRODUCTION = {"ENVIRONMENT": "production", "SECRET_KEY": "6c0f6e1b9a4d4c7e8f2a1b3c5d7e9f00"}


def write(folder: Path, source: str, html: str | None = None, *, site: str = "https://a.example/shop/", **context):
    (folder / "hello.txt").write_text(source)
    if html is not None:
        (folder / "hello.html").write_text(html)
    settings = load_settings(PRODUCTION | {"SITE_URL": site}, env_file=Path("/nonexistent"))
    return write_mail(Templates(settings, [folder], name="Shop"), "hello", context, Reader())


SUBJECT = "{% set subject %}Hello {{ name }}{% endset %}\n"


def test_both_parts(tmp_path):
    source = SUBJECT + "\n<{{ name }}>\n{{ link('/x') }}\n"
    written = write(tmp_path, source, "<i>{{ name }}</i> {{ subject }} {{ site_name }}", name="A&B")
    assert written.subject == "Hello A&B"
    assert written.text == "<A&B>\nhttps://a.example/shop/x\n"
    assert written.html == "<i>A&amp;B</i> Hello A&amp;B Shop"


def test_text_alone(tmp_path):
    assert write(tmp_path, SUBJECT + "Hi", name="Jo").html is None


@pytest.mark.parametrize("name", ["a\r\nBcc: eve@example.com", "a\n\nbody", "a\0b", "a\u2028b", "a\ud800b", "\x85"])
def test_a_subject_is_one_line(tmp_path, name):
    written = write(tmp_path, SUBJECT + "Hi {{ name }}", name=name)
    assert len(written.subject.splitlines()) == 1
    raw = make_message(mail(subject=written.subject, text=written.text), Sender("", "shop@example.com"))
    headers = raw.partition(b"\r\n\r\n")[0]
    assert b"\r\nBcc" not in headers
    raw.decode("ascii")


def test_a_long_subject_is_cut(tmp_path):
    assert len(write(tmp_path, SUBJECT + "Hi", name="x" * 100_000).subject) == 200


def test_mistakes_in_templates(tmp_path):
    for source in ("Hi", "{% set subject %} {% endset %}Hi", "{% set subject = '' %}"):
        with pytest.raises(MailInvalid, match="sets no subject"):
            write(tmp_path, source)
    with pytest.raises(UndefinedError, match="name"):
        write(tmp_path, SUBJECT)
    with pytest.raises(TemplateNotFound, match="nowhere"):
        write(tmp_path, SUBJECT, "{% include 'nowhere.html' %}", name="Jo")
    templates = Templates(load_settings({}, env_file=Path("/nonexistent")))
    with pytest.raises(TemplateNotFound):
        write_mail(templates, "no/such", {}, Reader())
    with pytest.raises(MailInvalid, match="characters"):
        write_mail(templates, "x" * 201, {}, Reader())
    with pytest.raises(TemplateNotFound):
        write_mail(templates, "../../etc/passwd", {}, Reader())


def test_what_is_too_large(tmp_path):
    for html in (None, "{{ name }}"):
        with pytest.raises(MailTooBig):
            write(tmp_path, SUBJECT + ("{{ name }}" if html is None else ""), html, name="x" * (MAX_PART + 1))


def test_links_need_the_address_of_the_site(tmp_path):
    source = SUBJECT + "{{ link(name) }}"
    with pytest.raises(SiteUnknown):
        write(tmp_path, source, name="/x", site="")
    with pytest.raises(MailInvalid, match="slash"):
        write(tmp_path, source, name="//evil".removeprefix("//"))


def test_addresses():
    assert check_address("Jo.Doe+x@Example.COM") == "Jo.Doe+x@example.com"
    assert check_address("jo@bücher.example") == "jo@xn--bcher-kva.example"


@pytest.mark.parametrize(
    "address",
    ["", "jo", "root@localhost",
     "@example.com", "jo@", "jo@example.com\r\nBcc: x@example.com", "a@b.example, c@d.example",
     "Jo <jo@example.com>", "jö@example.com", "jo@exa mple.com", "x" * 65 + "@example.com", "jo@" + "a." * 200 + "com"],
)  # fmt: skip
def test_what_is_no_address(address):
    with pytest.raises(MailInvalid):
        check_address(address)
