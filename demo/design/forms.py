"""What visitors may type, and what they are told when it does not fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, StringConstraints, ValidationError

from fastopp.web.forms import NO_NUL, EmailText

MAX_NAME = 80
MAX_SLOGAN = 60

Line = Annotated[str, StringConstraints(max_length=MAX_NAME, pattern=NO_NUL)]
Name = Annotated[str, StringConstraints(min_length=2, max_length=MAX_NAME, pattern=NO_NUL)]


class Enquiry(BaseModel):
    """The contact form."""

    name: Name
    email: EmailText
    company: Line = ""


class Slogan(BaseModel):
    """The line that is edited in place."""

    text: Annotated[str, StringConstraints(min_length=3, max_length=MAX_SLOGAN, pattern=NO_NUL)]


_MISTAKES = {
    "name": f"Enter your name, 2 to {MAX_NAME} characters.",
    "email": "Enter an email address, like name@example.com.",
    "company": f"Use {MAX_NAME} characters at most.",
    "text": f"Use 3 to {MAX_SLOGAN} characters.",
}


def find_mistakes(form: type[BaseModel], typed: Mapping[str, str]) -> dict[str, str]:
    """For each field that does not fit, a sentence that says what would; empty when all is well."""
    try:
        form.model_validate(dict(typed))
    except ValidationError as error:
        return {str(mistake["loc"][0]): _MISTAKES[str(mistake["loc"][0])] for mistake in error.errors()}
    return {}
