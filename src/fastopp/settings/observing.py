"""The settings of logs and of the monitor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, Field

if TYPE_CHECKING:
    # Of `SettingsFields`.
    Environment = Literal["development", "production"]


class ObservingSettings(BaseModel):
    """Settings of logs and of records; `fastopp.settings.Settings` has them all."""

    if TYPE_CHECKING:
        environment: Environment

    log_format: Literal["", "json", "text"] = Field(
        "",
        description="`json`: one JSON object a line; `text`: for people. Default: `json` in production, which every "
        "hosting platform is, and `text` in development.",
    )
    slow_request_ms: int = Field(
        1000, ge=0, description="Milliseconds from which a request is logged as slow; 0 never does."
    )
    slow_query_ms: int = Field(
        500, ge=0, description="Milliseconds from which a query is logged and kept as slow; 0 never does."
    )
    repeated_queries: int = Field(
        10,
        ge=0,
        description="In development, a request that runs the same query so many times is logged with the line that "
        "does it; 0 never is.",
    )
    monitor: bool = Field(
        True, description="Record requests, tasks and queries, and keep the figures in the database; `false` does not."
    )
    monitor_keep_days: int = Field(
        90, ge=1, le=3650, description="Days that the figures of each day are kept, beside the totals."
    )

    @property
    def json_logs(self) -> bool:
        """Whether log lines are JSON."""
        return self.log_format == "json" or (not self.log_format and self.environment != "development")
