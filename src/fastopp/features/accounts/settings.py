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

    require_second_factor: Literal["", "staff", "all"] = Field(
        "",
        description="Accounts that need a second factor: `staff` (staff and superusers) or `all`. Who has none is led "
        "to set it up at the next sign-in. Empty: each account's own choice.",
    )
    passkeys: bool = Field(
        False,
        description="`true` offers sign-in with passkeys, which need the extra `fastopp[passkeys]` and `SITE_URL`.",
    )

    @field_validator("sign_up", "require_second_factor", mode="before")
    @classmethod
    def _in_lower_case(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value
