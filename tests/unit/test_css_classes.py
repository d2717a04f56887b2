"""The classes that templates use and that a stylesheet has, and the code in templates that browsers block."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from fastopp.checks.context import CheckContext
from fastopp.core.apps import App
from fastopp.features.css.classes import classes_of, needs_compiling, unknown_classes
from tests.services.checks_project import NOWHERE, run_async

ROOT = Path(__file__).parents[2]
DEMO = [App(f"demo.{folder.parent.name}", folder.parent) for folder in (ROOT / "demo").glob("*/__init__.py")]


def context_of(folder: Path, apps: Sequence[App] = ()) -> CheckContext:
    return CheckContext.read(folder, environ={}, env_file=NOWHERE, load_apps=lambda: tuple(apps))


def project(folder: Path, template: str) -> Path:
    (folder / "templates").mkdir()
    (folder / "templates/page.html").write_text(template)
    return folder


@pytest.mark.parametrize(
    ("css", "classes"),
    [
        (".a{color:red}.b-c,.d .e{}", {"a", "b-c", "d", "e"}),
        (r".sm\:mt-1\.5:hover{margin:.5rem}", {"sm:mt-1.5"}),
        (r".\32xl\:grid{}.\[\&\>li\]\:p-1{}", {"2xl:grid", "[&>li]:p-1"}),
        (r".w-1\/2{}", {"w-1/2"}),
    ],
)
def test_classes_of_a_stylesheet(css: str, classes: set[str]) -> None:
    assert classes_of(css) == classes


@pytest.mark.parametrize(
    ("template", "found"),
    [
        ('<p class="mt-4 bnt">', [(1, "bnt")]),
        ('{# a\ncomment #}\n{% if x %}\n<p class="nope">{% endif %}', [(4, "nope")]),
        ('<p class="nope{{ x }} btn-{{ y }} {{ z }}nope">', []),
        ('<p class="panel{% if x %} nope{% endif %}">', [(1, "nope")]),
        ('<p class="btn-{% if x %}nope{% else %}no{% endif %}">', []),
        ('{{ ui.button("x",\n  class="nope") }}', [(2, "nope")]),
        ('{% raw %}<p class="nope">{% endraw %}', [(1, "nope")]),
        ('<p class="group/row peer">', []),
        ("{% if %}", []),
    ],
)
def test_unknown_classes_have_a_line(tmp_path: Path, template: str, found: list[tuple[int, str]]) -> None:
    assert [each[1:] for each in unknown_classes(project(tmp_path, template), [])] == found


def test_a_class_is_known_to_the_projects_own_css_and_scripts(tmp_path: Path) -> None:
    project(tmp_path, '<p class="ours js-hook nope">')
    (tmp_path / "static").mkdir()
    (tmp_path / "static/site.css").write_text(".ours { color: red }")
    (tmp_path / "static/site.js").write_text('document.querySelector(".js-hook")')
    assert [each.name for each in unknown_classes(tmp_path, [])] == ["nope"]
    (tmp_path / "static/app.css").write_text(".nope{}")
    assert not list(unknown_classes(tmp_path, []))


def test_the_demo_needs_no_css_of_its_own() -> None:
    assert not list(unknown_classes(ROOT, DEMO))
    assert not needs_compiling(ROOT, DEMO)


async def test_the_check_names_file_and_line(tmp_path: Path) -> None:
    (finding,) = await run_async("W601", context_of(project(tmp_path, '\n<p class="nope">')))
    assert finding.message == "templates/page.html:2 uses the class `nope`."


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ('<a onclick="go()">', "event handler `onclick`"),
        ("<script>\ngo()</script>", "`<script>` without a nonce"),
        ('<script type="module">go()</script>', "`<script>` without a nonce"),
        ('<a href="javascript:go()">', "`javascript:` address"),
        ('<p style="color: red">', "`style` attribute"),
        ('<button hx-on:click="go()">', "event handler `hx-on:click`"),
        ("<style>p {}</style>", "`<style>` without a nonce"),
    ],
)
async def test_blocked_code_is_found(tmp_path: Path, template: str, words: str) -> None:
    (finding,) = await run_async("W602", context_of(project(tmp_path, f"{{# #}}\n{template}")))
    assert finding.message.startswith("templates/page.html:2 has ")
    assert words in finding.message


@pytest.mark.parametrize(
    "template",
    [
        '<script nonce="{{ csp_nonce }}">go()</script><style nonce="{{ csp_nonce }}"></style>',
        '<script src="/static/a.js"></script><script type="application/json">{}</script>',
        '<button x-on:click="go" data-on="x">',
    ],
)
async def test_allowed_code_is_not(tmp_path: Path, template: str) -> None:
    assert not await run_async("W602", context_of(project(tmp_path, template)))


async def test_nothing_in_the_framework_and_the_demo_is_blocked() -> None:
    ours = App("web", ROOT / "src/fastopp/web")
    assert not await run_async("W602", context_of(ROOT, [*DEMO, ours]))


async def test_mails_have_inline_styles(tmp_path: Path) -> None:
    for name in ("mail/order.html", "shop/mail/order.html", "mail.html"):
        path = tmp_path / "templates" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('<p style="margin:0">')
    [finding] = await run_async("W602", context_of(tmp_path))
    assert "templates/mail.html:1" in finding.message
