"""The two questions of `makemigrations`: was it renamed, and what do existing rows get?

The models alone answer neither. Answers come as options, or from a person on a terminal.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from fastopp.errors import BadRequest, Conflict


class RenameQuestion(NamedTuple):
    """The question whether something was renamed."""

    old: str
    """A table, or a column as `table.column`."""
    new: str
    """The new name, a column's without its table."""

    def __str__(self) -> str:
        table = self.old.rpartition(".")[0]
        return f"Was {self.old} renamed to {f'{table}.' if table else ''}{self.new}?"

    @property
    def option(self) -> str:
        """The option that says yes."""
        return f"--rename {self.old}={self.new}"


class FillQuestion(NamedTuple):
    """The question which value existing rows get."""

    column: str
    """As `table.column`."""
    unique: bool = False

    def __str__(self) -> str:
        note = " It is unique, so one value serves one row only." if self.unique else ""
        return f"What do existing rows get in {self.column}, which cannot be NULL?{note}"

    @property
    def option(self) -> str:
        """The option that answers it."""
        return f"--fill {self.column}=VALUE"


Question = RenameQuestion | FillQuestion


class AnswersNeeded(Conflict):
    """The models alone do not say what to do with existing rows."""

    def __init__(self, questions: Sequence[Question]) -> None:
        self.questions = tuple(questions)
        options = [f"`{each.option}`" for each in questions]
        if any(isinstance(each, RenameQuestion) for each in questions):
            options.append("`--no-rename`")
        super().__init__(
            f"Nothing was written. {' '.join(map(str, questions))}",
            hint=f"Answer with {', '.join(options)}; or give a new column a default, or allow NULL.",
        )
        self.extensions = {"questions": [str(each) for each in questions]}


class AnswerRefused(BadRequest):
    """An answer does not fit the models."""


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers of a migration's author."""

    renamed: Mapping[str, str] = field(default_factory=dict)
    """New names by old ones: `table` or `table.column`."""
    not_renamed: frozenset[RenameQuestion] = frozenset()
    no_rename: bool = False
    """Whether nothing else was renamed."""
    fills: Mapping[str, str] = field(default_factory=dict)
    """Values, as text, by `table.column`."""

    @classmethod
    def parse(cls, renamed: Sequence[str], fills: Sequence[str], *, no_rename: bool) -> Answers:
        """Return the answers of options such as `shop.name=title`. Raises AnswerRefused."""
        return cls(dict(map(_pair, renamed)), no_rename=no_rename, fills=dict(map(_pair, fills)))

    def rename(self, question: RenameQuestion, *, yes: bool) -> Answers:
        """Return the answers with one more."""
        if yes:
            return replace(self, renamed={**self.renamed, question.old: question.new})
        return replace(self, not_renamed=self.not_renamed | {question})

    def fill(self, question: FillQuestion, value: str) -> Answers:
        """Return the answers with one more."""
        return replace(self, fills={**self.fills, question.column: value})

    def settles(self, question: Question) -> bool:
        """Return whether a question needs not be asked any more."""
        if isinstance(question, FillQuestion):
            return question.column in self.fills
        return self.no_rename or question in self.not_renamed


def parse_value(column: str, type_: Any, given: str) -> object:  # noqa: ANN401 - any of SQLAlchemy's types
    """Return an answer as a value of the column's type. Raises AnswerRefused."""
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415 - migrating does without
    from sqlalchemy import ARRAY, JSON, Enum  # noqa: PLC0415 - as above

    if isinstance(type_, Enum):
        if given not in type_.enums:
            raise AnswerRefused(f"{given!r} is no value of {column}.", hint=f"Choose one of {', '.join(type_.enums)}.")
        return given
    try:
        if isinstance(type_, (JSON, ARRAY)):
            return json.loads(given)
        python_type = type_.python_type
        return given if issubclass(python_type, (str, enum.Enum)) else TypeAdapter(python_type).validate_strings(given)
    except NotImplementedError:
        return given
    except (ValidationError, ValueError) as error:
        raise AnswerRefused(
            f"{given!r} is no value of {column}.", hint=f"Its type is {type(type_).__name__}."
        ) from error


def _pair(option: str) -> tuple[str, str]:
    name, separator, value = option.partition("=")
    if not separator or not name:
        raise AnswerRefused(f"{option!r} is no answer.", hint="Write NAME=VALUE, like `shop_books.name=title`.")
    return name, value
