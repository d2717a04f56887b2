"""The form for visitors, and its messages."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, StringConstraints

from fastopp import Mistake
from fastopp.web.forms import NO_NUL, EmailText

MAX_NAME = 80
MAX_SLOGAN = 60


class Enquiry(BaseModel):
    """The contact form."""

    name: Annotated[
        str,
        StringConstraints(min_length=2, max_length=MAX_NAME, pattern=NO_NUL, strip_whitespace=True),
        Mistake(f"Enter your name, 2 to {MAX_NAME} characters."),
    ]
    email: Annotated[
        EmailText, StringConstraints(strip_whitespace=True), Mistake("Enter an email address, like name@example.com.")
    ]
    company: Annotated[
        str,
        StringConstraints(max_length=MAX_NAME, pattern=NO_NUL, strip_whitespace=True),
        Mistake(f"Use {MAX_NAME} characters at most."),
    ] = ""


class Slogan(BaseModel):
    """The line that is edited in place."""

    text: Annotated[
        str,
        StringConstraints(min_length=3, max_length=MAX_SLOGAN, pattern=NO_NUL, strip_whitespace=True),
        Mistake(f"Use 3 to {MAX_SLOGAN} characters."),
    ]
