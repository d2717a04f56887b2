"""The forms of sign-up and invitations, and the errors beside their fields."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from fastopp.features.accounts.models import MAX_NAME
from fastopp.features.accounts.passwords import MAX_PASSWORD
from fastopp.features.accounts.service import MAX_EMAIL
from fastopp.web.checked_form import Mistake
from fastopp.web.forms import CleanText


class NameAndPassword(BaseModel):
    """The form for an invited person."""

    name: Annotated[CleanText | None, Field(max_length=MAX_NAME)] = None
    password: Annotated[str, Field(max_length=MAX_PASSWORD), Mistake("Enter a password of 8 characters or more.")]


class SignUpForm(NameAndPassword):
    """The form for a visitor."""

    email: Annotated[CleanText, Field(max_length=MAX_EMAIL), Mistake("Enter your email address.")]


class AddressForm(BaseModel):
    """An address that a mail is asked for."""

    email: Annotated[CleanText, Field(max_length=MAX_EMAIL), Mistake("Enter your email address.")]
