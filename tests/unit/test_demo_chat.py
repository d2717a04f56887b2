from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from demo.chat import canned
from demo.chat.errors import BadChatRequest, ProviderBusy
from demo.chat.markdown import to_html
from demo.chat.model_name import display_name
from demo.chat.schemas import MAX_HISTORY, MAX_MESSAGE, ChatRequest, Turn
from demo.chat.service import HISTORY_BUDGET, _recent, _time_limit, _whole
from fastopp.platforms.leapcell import LEAPCELL
from fastopp.platforms.local import LOCAL
from fastopp.settings import load_settings


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("meta-llama/llama-3.3-70b-instruct:free", "Llama 3.3 70B Instruct (Free)"),
        ("openai/gpt-oss-20b:free", "Gpt Oss 20B (Free)"),
        ("some_vendor/some_model", "Some Model"),
        ("local", "Local"),
        ("", ""),
    ],
)
def test_model_names(model: str, name: str) -> None:
    assert display_name(model) == name


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        ("**bold** and `code`", "<p><strong>bold</strong> and <code>code</code></p>"),
        ("one\ntwo", "<p>one<br>\ntwo</p>"),
        ("~~gone~~", "<p><s>gone</s></p>"),
        ("```python\n<b>\n```", "<pre><code>&lt;b&gt;\n</code></pre>"),
        ("<b>raw</b>", "<p>&lt;b&gt;raw&lt;/b&gt;</p>"),
    ],
)
def test_markdown(markdown: str, html: str) -> None:
    assert to_html(markdown).strip() == html


def test_tables() -> None:
    assert "<td>1</td>" in to_html("| a |\n|---|\n| 1 |")


def test_links_lead_away_and_tell_nothing() -> None:
    html = to_html('[a](https://example.com "title") <https://example.org>')
    assert html.count('rel="noopener noreferrer nofollow"') == 2
    assert html.count('target="_blank"') == 2
    assert 'href="https://example.com"' in html


@pytest.mark.parametrize(
    "markdown",
    [
        "[x](javascript:alert(1))",
        "[x](data:text/html,hello)",
        "[sign out](/logout)",
        "[x](logout)",
        "[x](//evil.example)",
        "![x](https://evil.example/pixel.png)",
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        '<https://a.example"onclick=alert(1)>',
        '```"><script>\nalert(1)\n```',
        '<a href="https://example.com" onclick="alert(1)">x</a>',
    ],
)
def test_nothing_dangerous_gets_through(markdown: str) -> None:
    html = to_html(markdown)
    assert not re.search(r"<(?!/?(p|a|code|pre)\b)", html), html
    assert not re.search(r"<[^>]*\bon\w+=", html), html
    assert not re.search(r'href="(?!https://)', html), html


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.sampled_from("<>\"'&`*_~[]()!|#-:/\\ \njavscriptonHEL1.")))
def test_only_known_tags_come_out(markdown: str) -> None:
    for tag in re.findall(r"<\s*/?([^\s>]*)", to_html(markdown)):
        assert tag in {"p", "a", "br", "em", "strong", "code", "pre", "ul", "ol", "li", "blockquote", "hr", "s"} | {
            *("h1", "h2", "h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td")
        }


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Hi", canned.GREETING),
        ("How do I deploy a project?", canned.DEPLOYING),
        ("Compare SQLite and PostgreSQL in a table", canned.DATABASE),
        ("Show me what markdown can do", canned.MARKDOWN),
        ("How does this chat work?", canned.CHAT),
    ],
)
async def test_canned_answers(question: str, answer: str) -> None:
    words = [word async for word in canned.stream_answer(question, pause=0)]
    assert "".join(words) == answer + canned.NOTE
    assert len(words) > 10
    assert "canned answer" in canned.NOTE


@pytest.mark.parametrize("message", ["", " \n\t", "x" * (MAX_MESSAGE + 1), "\ud800", None, 7])
def test_bad_messages(message: object) -> None:
    with pytest.raises(ValidationError):
        ChatRequest.model_validate({"message": message})


def test_bad_history() -> None:
    turn = {"role": "user", "content": "x"}
    assert ChatRequest.model_validate({"message": "x", "history": [turn] * MAX_HISTORY})
    for history in ([turn] * (MAX_HISTORY + 1), [turn | {"role": "system"}], [turn | {"content": " "}]):
        with pytest.raises(ValidationError):
            ChatRequest.model_validate({"message": "x", "history": history})


def test_history_is_cut_to_its_budget() -> None:
    turns = [Turn(role="user", content=f"{number:04}" * 1000) for number in range(10)]
    kept = _recent(turns)
    assert kept == turns[-3:]
    assert sum(len(turn.content) for turn in kept) <= HISTORY_BUDGET
    assert _recent([]) == []


def test_time_limit_fits_into_the_platform() -> None:
    local = load_settings({}, env_file=Path("/nonexistent")).model_copy(update={"platform": LOCAL})
    assert _time_limit(local) == 120
    assert LEAPCELL.request_timeout is not None
    assert _time_limit(local.model_copy(update={"platform": LEAPCELL})) < LEAPCELL.request_timeout


def test_split_emoji_are_joined() -> None:
    assert _whole("a\ud83d" + "\ude00b") == "a\U0001f600b"
    assert _whole("a\ud83d").startswith("a")
    assert to_html(_whole("\ude00"))


def test_errors_carry_the_key_of_old_clients() -> None:
    error = BadChatRequest("The message is empty.")
    assert error.extensions == {"error": str(error)}
    assert ProviderBusy(30).headers == {"Retry-After": "30"}
    assert "30 seconds" in str(ProviderBusy(30))
    assert "Retry-After" not in ProviderBusy().headers
    assert int(ProviderBusy(10**8).headers["Retry-After"]) <= 3600
