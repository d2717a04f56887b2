"""The settings whose names come from a platform."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field, field_validator
from pydantic_core import PydanticCustomError

if TYPE_CHECKING:
    from pydantic import SecretStr

WAKE_VARIABLE = "LEAPCELL_ASYNC_URL"
PRODUCTION_MARKERS = ("railway_environment", "leapcell_environment")
"""Settings of which any value means production."""
SET_BY_PLATFORMS = frozenset(
    {"port", "railway_environment", "fly_app_name", "fly_image_ref", "fly_region", "primary_region"}
)
"""Settings that a platform sets by itself."""

# Without TLS only on this machine, since a token is sent there; no user, no path: it is the service's own address.
_WAKE_URL = re.compile(r"(https://[^/?#\s@]+|http://(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?)/?$", re.IGNORECASE)


class PlatformSettings(BaseModel):
    """Settings for platforms; `fastopp.settings.Settings` has them all."""

    if TYPE_CHECKING:
        database_url: SecretStr

    railway_environment: str = Field("", description="Set by Railway; any value means production.")
    leapcell_environment: str = Field("", description="Any value means production.")
    leapcell_app_name: str = Field("", description="Any value selects LeapCell.")
    fly_app_name: str = Field("", description="Set by Fly.io.")
    fly_image_ref: str = Field("", description="Set by Fly.io: the image that runs. Its label names the release.")
    fly_region: str = Field("", description="Set by Fly.io: the region of this machine.")
    primary_region: str = Field(
        "",
        description="Set by Fly.io from `fly.toml`: the region of the database. Machines elsewhere have requests that "
        "write sent there.",
    )
    leapcell_async_url: str = Field(
        "",
        description="The service's `https://….leapcell-async.dev` URL. With it, a queued task is run "
        "immediately where nothing runs between requests; without it, while its page is open or when a scheduler calls "
        "`/async/drain`.",
    )

    @field_validator("leapcell_async_url")
    @classmethod
    def _check_wake_url(cls, url: str) -> str:
        if url and not _WAKE_URL.match(url):
            fix = "Use the service's own URL, like https://my-service.leapcell-async.dev, without a path."
            raise PydanticCustomError("wake_url", "Not an https:// URL", {"fix": fix})
        return url

    @property
    def wake_url(self) -> str:
        """The URL whose requests the platform queues, to wake the application; empty where there is none."""
        return self.leapcell_async_url

    @property
    def writing_region(self) -> str:
        """The region to which requests that write are sent; empty for this one."""
        return self.primary_region if self.fly_region and self.fly_region != self.primary_region else ""

    @property
    def image_release(self) -> str:
        """The platform's name of the release that runs, like `deployment-01K…`; empty where it has none."""
        name, _, digest = self.fly_image_ref.partition("@")
        return name.rpartition("/")[2].partition(":")[2] or digest

    @property
    def leapcell_database_url(self) -> str:
        """The database URL with its password. On LeapCell there is no default: it must be set."""
        return self.database_url.get_secret_value()
