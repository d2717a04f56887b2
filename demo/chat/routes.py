"""The chat page and its API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette import status
from starlette.exceptions import HTTPException

from demo.chat import provider, service
from demo.chat.errors import BadChatRequest, ChatError
from demo.chat.model_name import display_name
from demo.chat.schemas import MAX_HISTORY, MAX_MESSAGE, ChatAnswer, ChatFailure, ChatRequest
from demo.chat.settings import ChatSettings
from fastopp.core.dependencies import DatabaseDep, SettingsDep, get_runtime
from fastopp.core.settings_of import SettingsOf
from fastopp.features.accounts.current_user import NotSignedIn, OptionalUser, load_user, staff_user
from fastopp.web.doors import guarded_by
from fastopp.web.problems import PROBLEM_JSON
from fastopp.web.templating import render


def _failure(description: str) -> dict[str, Any]:
    return {"description": description, "content": {PROBLEM_JSON: {"schema": ChatFailure.model_json_schema()}}}


DENIED: dict[int | str, dict[str, Any]] = {
    401: {"description": "A model would be asked, and no user is signed in", "content": {PROBLEM_JSON: {}}},
    403: {"description": "A model would be asked, and the account is not staff", "content": {PROBLEM_JSON: {}}},
}
UNREADABLE: dict[int | str, dict[str, Any]] = {400: _failure("The request cannot be read"), **DENIED}
FAILURES: dict[int | str, dict[str, Any]] = {
    **UNREADABLE,
    502: _failure("The AI service failed"),
    503: _failure("The AI service is busy or out of reach"),
    504: _failure("The AI service took too long"),
}


NOT_JSON = "The body is no JSON object."


class ChatRoute(APIRoute):
    """A route whose answers are never stored, and which answers 400 to all that it cannot read."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap FastAPI's handler."""
        handle = super().get_route_handler()

        async def handle_chat(request: Request) -> Response:
            try:
                response = await handle(request)
            except RequestValidationError as error:
                raise BadChatRequest(_in_words(error)) from None
            except HTTPException as error:  # FastAPI's own, when the body is no text at all
                if error.status_code != status.HTTP_400_BAD_REQUEST:
                    raise
                raise BadChatRequest(NOT_JSON) from None
            response.headers["Cache-Control"] = "no-store"
            return response

        return handle_chat


router = APIRouter()
api = APIRouter(prefix="/api/chat", tags=["chat"], route_class=ChatRoute)


async def _chat_door(request: Request) -> None:
    runtime = get_runtime(request)
    await may_chat(request, runtime.database, runtime.settings, runtime.settings.of(ChatSettings))


@guarded_by(_chat_door)
async def may_chat(
    request: Request, database: DatabaseDep, settings: SettingsDep, chat: SettingsOf[ChatSettings]
) -> None:
    """Dependency: canned answers are for everyone; a model's cost the owner money, so they are for staff.

    The session is closed again at once: an answer may take minutes, and connections are few.
    Raises NotSignedIn, StaffOnly, DatabaseUnavailable.
    """
    if not service.is_live(chat):
        return
    async with database.read() as session:
        user = await load_user(request, session, settings)
    if user is None:
        raise NotSignedIn
    await staff_user(user)


MayChat = Depends(may_chat)


@router.get("/ai-demo", include_in_schema=False)
async def page(request: Request, chat: SettingsOf[ChatSettings], user: OptionalUser) -> Response:
    """The chat."""
    live = service.is_live(chat)
    context = {
        "live": live,
        "allowed": not live or (user is not None and (user.is_staff or user.is_superuser)),
        "model_name": display_name(chat.openrouter_llm_model) if live else "Canned answer",
        "max_message": MAX_MESSAGE,
        "max_history": MAX_HISTORY,
    }
    return render(request, "chat/page.html", context)


@api.get("/test", dependencies=[MayChat], responses=DENIED, summary="Whether the AI service answers")
async def test(chat: SettingsOf[ChatSettings]) -> dict[str, Any]:
    """Asks the AI service for a few words. Failures are reported with status 200, as FastOpp 0.4.8 does."""
    if not service.is_live(chat):
        message = "OPENROUTER_API_KEY is not set, so the chat gives canned answers."
        return {"status": "error", "message": message, "api_key_length": 0}
    try:
        response = await provider.try_out(chat)
    except ChatError as error:
        return {"status": "error", "message": str(error), "status_code": error.status}
    return {"status": "success", "message": "The AI service answers.", "response": response}


@api.post("", dependencies=[MayChat], responses=FAILURES, summary="Ask, and get the whole answer")
async def ask(question: ChatRequest, settings: SettingsDep) -> ChatAnswer:
    """The answer as safe HTML and as markdown."""
    return await service.answer(settings, question)


@api.post(
    "/stream",
    dependencies=[MayChat],
    response_class=EventSourceResponse,
    responses=UNREADABLE,
    summary="Ask, and get the answer while it is written",
)
async def ask_for_stream(question: ChatRequest, settings: SettingsDep) -> AsyncIterator[ServerSentEvent]:
    """Events: `message` {content, raw_content, model} with the answer so far; then `complete`, or `error` {error}.

    A failure of the AI service is an `error` event, since the status has been sent by then.
    """
    async for event in service.stream(settings, question):
        yield event


router.include_router(api)


def _in_words(error: RequestValidationError) -> str:
    mistake = error.errors()[0]
    where = ".".join(str(part) for part in mistake["loc"][1:] if mistake["type"] != "json_invalid")
    if mistake["type"] == "json_invalid" or not where:
        return NOT_JSON
    if where == "message" and mistake["type"] in ("missing", "string_pattern_mismatch"):
        return "The message is empty."
    return f"{where}: {mistake['msg']}."
