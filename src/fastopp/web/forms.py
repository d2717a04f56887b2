"""Types for what people type: bounded text that every database can store, and choices that may be left empty.

The bounds are part of the type, so the OpenAPI document states them and FastAPI answers 422 by itself.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, StringConstraints

# PostgreSQL's text cannot hold the NUL character; without this it would raise an error.
NO_NUL = r"^[^\x00]*$"

CleanText = Annotated[str, StringConstraints(pattern=NO_NUL)]
"""Text of any length that a database can store. Add `Query(max_length=…)` or `Form(max_length=…)`."""

# A local part, one @, and a domain with a dot: enough to catch a slip. Only a letter proves an address.
EMAIL = r"^[A-Za-z0-9._%+'-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63}){1,4}$"

EmailText = Annotated[str, StringConstraints(pattern=EMAIL, max_length=254, to_lower=True)]
"""An email address, in lower case."""

OptionalEmailText = Annotated[str, StringConstraints(pattern=rf"^$|{EMAIL}", max_length=254, to_lower=True)]
"""An email address in lower case, or nothing."""


def _empty_to_none(value: object) -> object:
    return None if value == "" else value


EmptyIsNone = BeforeValidator(_empty_to_none)
"""Annotate an optional parameter with it: a form sends an untouched select as an empty text."""
