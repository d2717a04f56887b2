"""Ask what the models do not say, while no database is locked."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

import typer

from fastopp.database.migrations.questions import Answers, AnswersNeeded, FillQuestion, RenameQuestion

T = TypeVar("T")


async def asking(make: Callable[[Answers], Awaitable[T]], answers: Answers, *, no_input: bool) -> T:
    """Call `make` with the answers until it needs no more. Raises AnswersNeeded where no one can be asked."""
    while True:
        try:
            return await make(answers)
        except AnswersNeeded as error:
            if no_input or not sys.stdin.isatty():
                raise
            question = error.questions[0]
        # One at a time: a rename settles other questions.
        if isinstance(question, RenameQuestion):
            answers = answers.rename(question, yes=typer.confirm(str(question), default=False))
        else:
            answers = _ask_value(answers, question)


def _ask_value(answers: Answers, question: FillQuestion) -> Answers:
    return answers.fill(question, typer.prompt(f"{question} A value", default="", show_default=False))
