"""The requests and answers of the chat API, with the bounds that keep a call's cost in check."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

MAX_MESSAGE = 4_000  # characters of a question
MAX_ANSWER = 16_000  # characters of an answer; the rest of a longer one is not fetched
MAX_HISTORY = 20  # earlier turns in a request

SAYS_SOMETHING = r"\S"

Question = Annotated[str, StringConstraints(max_length=MAX_MESSAGE, pattern=SAYS_SOMETHING)]
Said = Annotated[str, StringConstraints(max_length=MAX_ANSWER, pattern=SAYS_SOMETHING)]


class Turn(BaseModel):
    """Something that was said earlier, as markdown."""

    role: Literal["user", "assistant"]
    content: Said


class ChatRequest(BaseModel):
    """A question, and what was said before it, the oldest first."""

    message: Question
    history: Annotated[list[Turn], Field(max_length=MAX_HISTORY)] = []


class ChatAnswer(BaseModel):
    """A whole answer: as safe HTML, as the markdown it was made from, and which model gave it."""

    response: str
    raw_response: str
    model: str


class ChatFailure(BaseModel):
    """The reason why there is no answer, in one or two sentences; beside the keys of every problem."""

    error: str
