"""Checks of templates: classes without CSS, and code that the Content-Security-Policy blocks."""

from __future__ import annotations

from collections.abc import Iterator

from fastopp.checks.check import Problem, Subject, check
from fastopp.checks.context import CheckContext
from fastopp.features.css.classes import unknown_classes
from fastopp.features.css.templates import Tag, read_templates


@check(
    "fastopp.W601",
    "A template uses a class without CSS",
    fix="Run `python oppman.py css` and commit static/app.css. If it is still reported, check its spelling.",
    subject=Subject.TEMPLATES,
)
def unknown(context: CheckContext) -> Iterator[Problem]:
    """The class has no effect: it is misspelled, or the CSS was compiled before it was used. Classes that a template
    composes from parts are not checked; Tailwind does not find them either."""
    for path, line, name in unknown_classes(context.folder, context.apps):
        yield Problem(f"{path}:{line} uses the class `{name}`.")


@check(
    "fastopp.W602",
    "A template has code that browsers block",
    fix='Move the code to a script in static/, or put it into `<script nonce="{{ csp_nonce }}">`.',
    subject=Subject.TEMPLATES,
)
def inline_code(context: CheckContext) -> Iterator[Problem]:
    """The Content-Security-Policy forbids event handlers in attributes, `javascript:` links, and scripts and styles
    without the page's nonce, since an attacker who finds a way to insert text could insert code with it."""
    for template in read_templates(context.folder, context.apps):
        for tag in template.tags:
            for what, hint in _blocked(tag):
                yield Problem(f"{template.path}:{tag.line} has {what}.", hint)


def _blocked(tag: Tag) -> Iterator[tuple[str, str | None]]:
    for name, value in tag.attributes.items():
        if name.startswith(("on", "hx-on")):
            yield f"the event handler `{name}`", "Use `addEventListener` in a script, or Alpine's `x-on:`."
        elif name == "style":
            yield "a `style` attribute", "Use classes."
        elif value.lstrip().lower().startswith("javascript:"):
            yield "a `javascript:` address", None
    if "nonce" not in tag.attributes and tag.name == "style":
        yield "a `<style>` without a nonce", 'Write `<style nonce="{{ csp_nonce }}">`, or use static/site.css.'
    elif "nonce" not in tag.attributes and tag.name == "script" and _is_code(tag):
        yield "a `<script>` without a nonce", None


def _is_code(tag: Tag) -> bool:
    kind = tag.attributes.get("type", "").lower()
    return "src" not in tag.attributes and (kind in ("", "module") or "javascript" in kind)
