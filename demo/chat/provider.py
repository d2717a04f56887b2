"""The AI service: any that speaks OpenAI's chat-completions protocol, OpenRouter by default.

Its own error messages are neither passed on nor logged, since they may quote the key.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from demo.chat.errors import (
    ChatError,
    ProviderBroke,
    ProviderBusy,
    ProviderNonsense,
    ProviderRefused,
    ProviderTimeout,
    ProviderUnreachable,
)
from demo.chat.schemas import Turn
from demo.chat.settings import ChatSettings

if TYPE_CHECKING:
    import ssl

    import httpx

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT = 5.0  # seconds
SILENCE_TIMEOUT = 30.0  # seconds without a byte; OpenRouter sends comments while a model thinks
MAX_TOKENS = 1000  # of an answer, some 4,000 characters
TEMPERATURE = 0.7
MAX_BYTES = 4 * 1024 * 1024  # of a whole answer in the service's wrapping; a thousand tokens need 0.3 MiB

INSTRUCTIONS = "You are a friendly assistant on a demonstration page. Answer briefly and to the point, in markdown."

# OpenRouter shows these to the owner of the key (https://openrouter.ai/docs/api-reference/overview#headers).
ATTRIBUTION = {"HTTP-Referer": "https://github.com/Oppkey/fastopp", "X-Title": "FastOpp demo"}


async def stream_answer(settings: ChatSettings, turns: Sequence[Turn]) -> AsyncGenerator[str]:
    """Ask, and hand out the answer's markdown piece by piece. Closing the iterator ends the call to the service.

    Raises ChatError: see demo.chat.errors.
    """
    messages = [{"role": "system", "content": INSTRUCTIONS}, *(turn.model_dump() for turn in turns)]
    finished = False
    async with _ask(settings, messages=messages, max_tokens=MAX_TOKENS, stream=True) as response:
        if not response.headers.get("content-type", "").startswith("text/event-stream"):
            raise ProviderNonsense
        async for line in _lines(response):
            if not line.startswith(b"data:"):
                continue  # a comment or an empty line
            data = line.removeprefix(b"data:").strip()
            if data == b"[DONE]":
                return
            text, ended = _read_piece(data, settings)
            finished = finished or ended
            if text:
                yield text
    if not finished:
        raise ProviderBroke


async def try_out(settings: ChatSettings) -> dict[str, Any]:
    """Ask for a few words, to see whether key and model work; returns the service's own JSON. Raises ChatError."""
    messages = [{"role": "user", "content": "Say hello."}]
    try:
        async with (
            asyncio.timeout(SILENCE_TIMEOUT),
            _ask(settings, messages=messages, max_tokens=10, stream=False) as response,
        ):
            answer = _parse(b"\n".join([line async for line in _lines(response)]))
    except TimeoutError:
        raise ProviderTimeout from None
    if "error" in answer:
        raise _error_inside(answer["error"], settings)
    return answer


@asynccontextmanager
async def _ask(settings: ChatSettings, **payload: object) -> AsyncIterator[httpx.Response]:
    """Send a request and yield its answer, still unread, once the status is known to be 200.

    Each request has its own connection: a kept one would not survive the pauses of a serverless process.
    """
    import httpx  # noqa: PLC0415 - 120 ms

    key = settings.openrouter_api_key.get_secret_value()
    if not (key.isascii() and key.isprintable()):
        raise ProviderRefused  # it would not even fit into a header
    headers = ATTRIBUTION | {"Authorization": f"Bearer {key}", "Accept-Encoding": "identity"}
    body = {"model": settings.openrouter_llm_model, "temperature": TEMPERATURE} | payload
    url = settings.openrouter_base_url.rstrip("/") + "/chat/completions"
    timeout = httpx.Timeout(SILENCE_TIMEOUT, connect=CONNECT_TIMEOUT)
    try:
        async with (
            httpx.AsyncClient(timeout=timeout, verify=_tls_context()) as client,
            client.stream("POST", url, json=body, headers=headers) as response,
        ):
            if response.status_code != httpx.codes.OK:
                raise _refusal(response.status_code, response.headers, settings)
            yield response
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        logger.warning("the AI service failed: %s", type(error).__name__, extra={"action": "chat_provider_failed"})
        if isinstance(error, httpx.TimeoutException):
            raise ProviderTimeout from None
        if isinstance(error, (httpx.ConnectError, httpx.UnsupportedProtocol, httpx.InvalidURL)):
            raise ProviderUnreachable from None
        raise ProviderBroke from None


@cache
def _tls_context() -> ssl.SSLContext:
    """Reading the authorities' certificates takes 20 ms, so it is done once."""
    import httpx  # noqa: PLC0415 - 120 ms

    return httpx.create_ssl_context()


async def _lines(response: httpx.Response) -> AsyncIterator[bytes]:
    """The body's lines as they arrive, within MAX_BYTES."""
    rest = b""
    size = 0
    async for chunk in response.aiter_raw():
        size += len(chunk)
        if size > MAX_BYTES:
            raise ProviderNonsense
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line
    yield rest


def _read_piece(data: bytes, settings: ChatSettings) -> tuple[str, bool]:
    """The text of one event, and whether the model says that it is the last."""
    piece = _parse(data)
    if "error" in piece:
        raise _error_inside(piece["error"], settings)
    try:
        if not piece["choices"]:
            return "", False  # figures about the usage
        choice = piece["choices"][0]
        text = choice["delta"].get("content") or ""
        ended = choice.get("finish_reason") is not None
    except (AttributeError, LookupError, TypeError):
        raise ProviderNonsense from None
    if not isinstance(text, str):
        raise ProviderNonsense
    return text, ended


def _parse(data: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(data)
    except (ValueError, RecursionError):
        raise ProviderNonsense from None
    if not isinstance(parsed, dict):
        raise ProviderNonsense
    return parsed


def _error_inside(error: object, settings: ChatSettings) -> ChatError:
    """An error that came with status 200, because the answer had begun."""
    code = error.get("code") if isinstance(error, dict) else None
    return _refusal(code if isinstance(code, int) else 0, {}, settings)


def _refusal(status: int, headers: Mapping[str, str], settings: ChatSettings) -> ChatError:
    logger.warning("the AI service answered %d", status, extra={"action": "chat_provider_refused"})
    match status:
        case 401 | 403:
            return ProviderRefused()
        case 402:
            return ProviderRefused(
                "The AI service has no credit left for this server.", hint="The owner must top it up."
            )
        case 400 | 404 | 422:
            return ProviderRefused(
                f"The AI service does not take this question for the model {settings.openrouter_llm_model!r}.",
                hint="The owner of this site should check OPENROUTER_LLM_MODEL.",
            )
        case 429:
            wait = headers.get("retry-after", "")
            return ProviderBusy(int(wait) if wait.isdecimal() and len(wait) < 9 else None)  # else it is a date
        case 408 | 504:
            return ProviderTimeout()
    return ProviderBroke()
