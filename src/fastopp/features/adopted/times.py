"""Times that may lack a timezone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema


def as_utc(moment: datetime) -> datetime:
    """Return a time with its timezone; one without is in UTC, as everywhere in FastOpp 0.4.8."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class UtcTime(datetime):
    """The annotation of a time in a form or a JSON body, which may lack its timezone; the value is a `datetime`.

    A class, since FastAPI ignores the validators of `Annotated[datetime, …] = Form(…)`.
    """

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401 - pydantic's
        """Parse as a datetime, then complete it."""
        return core_schema.no_info_after_validator_function(as_utc, handler(datetime))
