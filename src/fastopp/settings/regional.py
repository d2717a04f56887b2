"""The settings of sites in several regions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, Field, SecretStr

from fastopp.settings.database_url import DatabaseURL

if TYPE_CHECKING:
    from fastopp.platforms.base import Platform


class RegionalSettings(BaseModel):
    """Settings for several regions; `fastopp.settings.Settings` has them all."""

    if TYPE_CHECKING:
        platform: Platform

    database_read_url: SecretStr = Field(
        SecretStr(""),
        description="A PostgreSQL replica of the database, near to this instance, which `SessionDep` reads in GET "
        "requests. It has to be one server, which replays the write-ahead log of DATABASE_URL.",
    )

    @property
    def read_database(self) -> DatabaseURL | None:
        """The URL of the replica; None without one. Raises DatabaseURLError."""
        url = self.database_read_url.get_secret_value()
        return DatabaseURL.parse(url, require_tls=self.platform.requires_tls) if url else None
