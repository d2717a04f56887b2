"""The settings of accounts."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from fastopp.settings.app_settings import AppSettings


class AccountSettings(AppSettings):
    """The accounts that a site has."""

    sign_up: Literal["closed", "invite", "open"] = Field(
        "closed",
        description="Who may create an account: `closed` (superusers create them, and only staff sign in), `invite` "
        "(who is invited) or `open` (any visitor). With `invite` and `open`, ordinary users sign in too.",
    )

    @field_validator("sign_up", mode="before")
    @classmethod
    def _in_lower_case(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value
