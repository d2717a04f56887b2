"""Answers to questions, whole or as a stream, from the AI service or, without a key, from canned ones."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from fastapi.sse import ServerSentEvent

from demo.chat import canned, markdown, provider
from demo.chat.errors import ChatError, ProviderTimeout
from demo.chat.schemas import MAX_ANSWER, ChatAnswer, ChatRequest, Turn
from demo.chat.settings import ChatSettings
from fastopp.settings import Settings

ANSWER_TIMEOUT = 120.0  # seconds for a whole answer; the platform's own limit wins when it is shorter
PLATFORM_MARGIN = 5.0  # seconds that remain for saying that it took too long

HISTORY_BUDGET = 12_000  # characters of earlier turns that are sent along: each question pays for them again

RENDER_INTERVAL = 0.1, 0.5  # seconds, at least and at most, between two renderings of a growing answer
RENDER_SHARE = 0.1  # of the time, within these bounds, goes into rendering; so a long answer is rendered less often


def is_live(settings: ChatSettings) -> bool:
    """Whether questions go to the AI service, which costs the owner of the key something."""
    return bool(settings.openrouter_api_key.get_secret_value())


def model_of(settings: ChatSettings) -> str:
    """The id of what answers."""
    return settings.openrouter_llm_model if is_live(settings) else canned.MODEL


async def answer(settings: Settings, request: ChatRequest) -> ChatAnswer:
    """The whole answer. Raises ChatError."""
    async with aclosing(_pieces(settings, request, pause=0)) as pieces:
        text = _whole("".join([piece async for piece in pieces]))
    html = await asyncio.to_thread(markdown.to_html, text)
    return ChatAnswer(response=html, raw_response=text, model=model_of(settings.of(ChatSettings)))


async def stream(settings: Settings, request: ChatRequest) -> AsyncIterator[ServerSentEvent]:
    """The answer as events: `message` with all of it so far, again and again; in the end `complete` or `error`.

    Markdown cannot be rendered in pieces (a table's head becomes one with its second line), so each `message` is
    rendered from the start; RENDER_SHARE keeps that from growing with the square of the length.
    """
    model = model_of(settings.of(ChatSettings))
    text, sent, due = "", "", 0.0
    try:
        async with aclosing(_pieces(settings, request, pause=canned.PAUSE)) as pieces:
            async for piece in pieces:
                text += piece
                if (started := time.monotonic()) >= due:
                    yield await _message(text, model)
                    sent = text
                    due = started + _interval(time.monotonic() - started)
    except ChatError as error:
        if text != sent:
            yield await _message(text, model)
        yield ServerSentEvent(event="error", data={"error": str(error)})
        return
    if text != sent:
        yield await _message(text, model)
    yield ServerSentEvent(event="complete", data={"status": "completed"})


def _interval(rendering: float) -> float:
    """Seconds until the next rendering, when one takes `rendering` seconds."""
    shortest, longest = RENDER_INTERVAL
    return min(max(shortest, rendering / RENDER_SHARE), longest)


async def _message(text: str, model: str) -> ServerSentEvent:
    text = _whole(text)
    html = await asyncio.to_thread(markdown.to_html, text)
    return ServerSentEvent(event="message", data={"content": html, "raw_content": text, "model": model})


async def _pieces(settings: Settings, request: ChatRequest, *, pause: float) -> AsyncGenerator[str]:
    """The answer's markdown as it comes, within MAX_ANSWER and the time for a whole answer."""
    chat = settings.of(ChatSettings)
    if is_live(chat):
        source = provider.stream_answer(chat, [*_recent(request.history), _question(request)])
    else:
        source = canned.stream_answer(request.message, pause=pause)
    deadline = asyncio.get_running_loop().time() + _time_limit(settings)
    room = MAX_ANSWER
    async with aclosing(source):
        while room > 0:
            try:
                async with asyncio.timeout_at(deadline):
                    piece = await anext(source)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise ProviderTimeout from None
            yield piece[:room]
            room -= len(piece)


def _question(request: ChatRequest) -> Turn:
    return Turn(role="user", content=request.message)


def _recent(history: list[Turn]) -> list[Turn]:
    """The last turns that fit into the budget."""
    kept: list[Turn] = []
    room = HISTORY_BUDGET
    for turn in reversed(history):
        room -= len(turn.content)
        if room < 0:
            break
        kept.insert(0, turn)
    return kept


def _time_limit(settings: Settings) -> float:
    limit = settings.platform.request_timeout
    return ANSWER_TIMEOUT if limit is None else min(ANSWER_TIMEOUT, limit - PLATFORM_MARGIN)


def _whole(text: str) -> str:
    """Join surrogate pairs that were split between two pieces; half of one becomes a question mark."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
