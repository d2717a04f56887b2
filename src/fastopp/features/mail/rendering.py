"""Write a mail from its templates: `NAME.txt`, which has the subject too, and `NAME.html` if there is one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from fastopp.features.mail.errors import MailInvalid, MailTooBig, SiteUnknown
from fastopp.features.mail.models import MAX_SUBJECT, MAX_TEMPLATE
from fastopp.tasks.failure import storable
from fastopp.web.languages import Reader, writing_for
from fastopp.web.templating import Templates

MAX_PART: Final = 200_000
"""Characters of the text, and of the HTML. Large webmail services cut off what is longer than half of it."""


class Written(NamedTuple):
    """A mail as it is read."""

    subject: str
    text: str
    html: str | None


def write_mail(templates: Templates, name: str, context: Mapping[str, Any], reader: Reader) -> Written:
    """Write a mail, in the language and with the time zone of its reader.

    Raises
    ------
    MailInvalid: the name is none, or the template sets no subject.
    MailTooBig: a part is longer than MAX_PART.
    jinja2.TemplateNotFound, jinja2.UndefinedError: a mistake in the program.
    """
    if not 0 < len(name) <= MAX_TEMPLATE:
        raise MailInvalid(f"The name of a mail's template has 1 to {MAX_TEMPLATE} characters.")
    with writing_for(reader):
        return _write(templates, name, {"language": reader.language} | dict(context))


def _write(templates: Templates, name: str, context: Mapping[str, Any]) -> Written:
    from jinja2 import TemplateNotFound  # noqa: PLC0415 - 70 ms, where a mail is written

    environment = templates.environment
    values = {"site_url": templates.settings.site, "link": _linking(templates.settings.site)} | dict(context)
    module = environment.get_template(f"{name}.txt").make_module(values)
    # On one line, regardless of the values: a line break would begin another header.
    subject = " ".join(storable(str(getattr(module, "subject", ""))).split())[:MAX_SUBJECT]
    if not subject:
        hint = "Begin it with `{% set subject %}Your order{% endset %}`."
        raise MailInvalid(f"The template {name}.txt sets no subject.", hint=hint)
    text = storable(str(module)).strip() + "\n"
    try:
        template = environment.get_template(f"{name}.html")
    except TemplateNotFound as error:
        if error.name != f"{name}.html":
            raise
        html = None
    else:
        html = storable(template.render({"subject": subject} | values))
    for part in (text, html or ""):
        if len(part) > MAX_PART:
            raise MailTooBig(f"The mail {name} has {len(part):,} characters; {MAX_PART:,} are allowed.")
    return Written(subject, text, html)


def _linking(site: str) -> Callable[[str], str]:
    def link(path: str) -> str:
        """Return the URL of a page of the site. Raises SiteUnknown."""
        if not site:
            raise SiteUnknown
        if not path.startswith("/"):
            raise MailInvalid(f"The path {path!r} of a link does not begin with a slash.")
        return f"{site}{path}"

    return link
