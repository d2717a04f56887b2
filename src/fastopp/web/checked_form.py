"""A form that is shown again with its values, and the errors beside the fields (docs/forms.md)."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Final, Generic, TypeVar, get_origin

from fastapi import Depends, Form
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from fastopp.web.languages import Message

Model = TypeVar("Model", bound=BaseModel)
Values = Mapping[str, str | list[str]]

# By the type of Pydantic's error; the values are from its context.
_MESSAGES: Final = {
    "missing": "Enter a value.",
    "string_too_short": "Use %(min_length)s characters or more.",
    "string_too_long": "Use %(max_length)s characters or fewer.",
    "string_pattern_mismatch": "This has another form than expected.",
    "int_parsing": "Enter a whole number.",
    "int_from_float": "Enter a whole number.",
    "float_parsing": "Enter a number.",
    "decimal_parsing": "Enter a number.",
    "greater_than": "Enter more than %(gt)s.",
    "greater_than_equal": "Enter %(ge)s or more.",
    "less_than": "Enter less than %(lt)s.",
    "less_than_equal": "Enter %(le)s or less.",
    "date_from_datetime_parsing": "Enter a date.",
    "datetime_from_date_parsing": "Enter a date and a time.",
    "enum": "Choose one of the options.",
    "literal_error": "Choose one of the options.",
    "uuid_parsing": "Choose one of the options.",
}


_NUL: Final = "This has a character that cannot be stored."  # PostgreSQL keeps no NUL in a text


@dataclass(frozen=True, slots=True)
class Mistake:
    """The error to show for a field, in place of the general one: `Annotated[str, Mistake("Enter your name.")]`."""

    text: str


@dataclass(slots=True)
class CheckedForm(Generic[Model]):
    """A form as it was filled in; without arguments, an empty one."""

    values: Values = field(default_factory=dict)
    """By field, as they were entered, to show them again."""
    errors: dict[str, str] = field(default_factory=dict)
    """By field. Add one for what only the database can say."""
    data: Model | None = None
    """The model, if nothing is wrong with the values."""

    @property
    def status_code(self) -> int:
        """The status of the page that shows the form: 422 if it has errors."""
        return 422 if self.errors else 200


def check_form(model: type[Model], values: Values) -> CheckedForm[Model]:
    """Validate the values of a form. An empty field counts as not given."""
    given = {name: value for name, value in values.items() if value and not _is_blank(value)}
    errors: dict[str, str] = {}
    data = None
    try:
        data = model.model_validate(given)
    except ValidationError as error:
        for details in error.errors(include_url=False, include_input=False):
            errors.setdefault(str(details["loc"][0]) if details["loc"] else "", _in_words(model, details))
    for name, value in given.items():
        if any("\0" in text for text in value):
            errors.setdefault(name, _NUL)
    return CheckedForm(values, errors, None if errors else data)


def _is_blank(value: str | list[str]) -> bool:
    return isinstance(value, str) and value.isspace()


def _in_words(model: type[BaseModel], details: ErrorDetails) -> str:
    info = model.model_fields.get(str(details["loc"][0])) if details["loc"] else None
    own = next((each.text for each in (info.metadata if info else ()) if isinstance(each, Mistake)), None)
    if own is not None:
        return own
    known = _MESSAGES.get(details["type"])
    if known is not None:
        return Message(known, **details.get("ctx", {}))
    return f"{details['msg'].removeprefix('Value error, ').rstrip('.')}."


if TYPE_CHECKING:
    FormOf = Annotated[CheckedForm[Model], None]
else:

    class FormOf:
        """Dependency: a form of the request, checked by a Pydantic model, as in `FormOf[Enquiry]`."""

        def __class_getitem__(cls, model: type[BaseModel]) -> Any:  # noqa: ANN401 - an annotation
            return Annotated[CheckedForm, Depends(_reader(model))]


@cache  # one function for each model, so that a request calls it once
def _reader(model: type[Model]) -> Callable[..., Awaitable[CheckedForm[Model]]]:
    async def read_form(**values: Any) -> CheckedForm[Model]:  # noqa: ANN401 - texts and lists of them
        return check_form(model, values)

    # FastAPI reads the fields from the signature: each as text, since the model is to judge it.
    parameters = []
    for name, info in model.model_fields.items():
        several = get_origin(info.annotation) in (list, set, tuple)
        annotation = Annotated[list[str], Form(default_factory=list)] if several else Annotated[str, Form()]
        default = inspect.Parameter.empty if several else ""
        parameters.append(
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        )
    read_form.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # what FastAPI reads
    return read_form
