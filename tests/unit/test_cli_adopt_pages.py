"""Templates without CDNs, inline handlers and scripts without a nonce."""

from __future__ import annotations

import pytest

from fastopp.cli.adopt.pages import Pages
from fastopp.cli.adopt.report import Report

VENDORED = "\"{{ static_url('vendor/' ~ htmx_file) }}\""


def rewritten(text: str, **texts: str) -> tuple[str, Pages]:
    pages = Pages("shop", Report(), {"app.css": "shop/app.css"})
    return pages.rewrite_all({"page.html": text} | texts)["page.html"], pages


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ('<script src="https://cdn.tailwindcss.com"></script>', ""),
        ('<link href="https://cdn.jsdelivr.net/npm/daisyui@5/full.min.css" rel="stylesheet" />', ""),
        ('<script src="//unpkg.com/htmx.org"></script>', f"<script src={VENDORED}></script>"),
        ('<script type="application/json">{"a": 1}</script>', '<script type="application/json">{"a": 1}</script>'),
        ("<script>go({{ n }});</script>", '<script nonce="{{ csp_nonce }}">go({{ n }});</script>'),
        ("{% extends 'base.html' %}", "{% extends 'shop/base.html' %}"),
        ('<link rel="stylesheet" href="/static/app.css">', '<link rel="stylesheet" href="/static/shop/app.css">'),
        ("{{ request.session.get('group') }}", "{{ session_value('group') }}"),
        ("{{ request.session.cart }}", "{{ request.session.cart }}"),
        ('<form method="get">', '<form method="get">'),
        ('<form action="/x" method="POST">', '<form action="/x" method="POST">\n{{ csrf_field() }}'),
        ('<a href="https://example.com">x</a>', '<a href="https://example.com">x</a>'),
    ],
)  # fmt: skip
def test_markup(text: str, result: str) -> None:
    assert rewritten(text)[0] == result


def test_handlers_move_with_their_arguments() -> None:
    text, pages = rewritten('<a onclick="go(\'{{ row.id }}\', {{ n }}, &quot;x&quot;)" class="b" @click="c">x</a>')
    assert text == (
        '<a data-on-click="page.html:1" data-on-click-0="{{ row.id }}" '
        'data-on-click-1="{{ (n)|tojson|forceescape }}" class="b" @click="c">x</a>'
    )
    code = 'go(this.getAttribute("data-on-click-0"), JSON.parse(this.getAttribute("data-on-click-1")), "x")'
    assert pages.handlers.codes == {"page.html:1": code}
    assert code in pages.handlers.as_javascript()


def test_equal_handlers_are_one() -> None:
    _, pages = rewritten('<a onclick="go()"></a><b onclick="go()"></b>')
    assert list(pages.handlers.codes.values()) == ["go()"]


def test_the_head_gets_what_the_page_needs() -> None:
    text, _ = rewritten("<html><head lang=en><title>x</title></head>", other='<b onclick="go()">')
    head = text.partition("<title>")[0]
    for part in ("{{ csrf_token() }}", "'app.css'", "'csrf.js'", "'shop/handlers.js'"):
        assert part in head


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        (
            '<script src="https://cdn.jsdelivr.net/npm/chart.js"></script>',
            "Still loaded from cdn.jsdelivr.net/npm/chart.js",
        ),
        ('<b hx-on:click="go()">', "htmx cannot run code in attributes"),
        ('<a href="javascript:go()">', "A `javascript:` address does not run"),
        ('<a @click="rows.filter(r => r.id)">', "Alpine's strict build cannot run this expression"),
        ('<a onclick="{% if a %}go(){% endif %}">', "`onclick` holds template code"),
        ("<script>x.innerHTML = '<a onclick=\"go()\">';</script>", "An inline handler in HTML that a script builds"),
    ],
)
def test_the_rest_is_reported_with_its_line(line: str, advice: str) -> None:
    (place,) = rewritten(f"<p>\n\n{line}")[1].report.places()
    assert place.startswith(f"templates/page.html:3: {advice}")
