"""The settings of an app, beside the framework's."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class AppSettings(BaseModel):
    """Base class of an app's settings: each field is an environment variable, with its name in lower case."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", hide_input_in_errors=True, validate_by_name=True, validate_by_alias=False
    )


class AppVariables(dict[str, str]):
    """The variables that are not FastOpp's, with names in lower case. Not shown, since some are secrets."""

    def __repr__(self) -> str:
        return f"<{len(self)} variables>"
