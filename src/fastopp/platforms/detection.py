"""Find out on which platform the process runs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fastopp.platforms.base import Platform
from fastopp.platforms.fly import FLY
from fastopp.platforms.leapcell import (
    LEAPCELL,
    LEAPCELL_DATABASE_DOMAIN,
    LEAPCELL_OBJECT_STORAGE,
    LEAPCELL_PERSISTENT,
)
from fastopp.platforms.local import LOCAL

PLATFORMS: Mapping[str, Platform] = {p.name: p for p in (LOCAL, FLY, LEAPCELL, LEAPCELL_PERSISTENT)}

# `ENVIRONMENT` says development or production; these say production and name the platform as well.
PRODUCTION_ENVIRONMENTS = frozenset({LEAPCELL.name})


def detect_platform(environ: Mapping[str, str] | None = None, *, root_writable: bool | None = None) -> Platform:
    """Detect the platform that the process runs on, and return it with the evidence.

    The first that holds decides: `FASTOPP_PLATFORM`; `LEAPCELL_APP_NAME` or `ENVIRONMENT=leapcell`;
    `FLY_APP_NAME`; a LeapCell database or Object Storage address together with a project folder that
    cannot be written. An address alone proves nothing, since it may be in a laptop's `.env`. An
    unknown `FASTOPP_PLATFORM` falls through here; the settings report it.
    """
    env = os.environ if environ is None else environ
    for name, evidence in _declared(env):
        if name in PLATFORMS:
            return replace(PLATFORMS[name], evidence=(evidence,))
    hosts = tuple(
        f"{variable} points to {host}"
        for variable, host in (
            ("DATABASE_URL", _host(env.get("DATABASE_URL") or env.get("DATABASE_DSN") or "")),
            ("S3_ENDPOINT_URL", _host(env.get("S3_ENDPOINT_URL", ""))),
        )
        if _is_leapcell_host(host)
    )
    if not hosts:
        return replace(LOCAL, evidence=("nothing points to a hosting platform",))
    if os.access(Path.cwd(), os.W_OK) if root_writable is None else root_writable:
        return replace(LOCAL, evidence=(*hosts, "but the project's folder is writable, as on a laptop"))
    return replace(LEAPCELL, evidence=(*hosts, "the project's folder is read-only"))


def _declared(env: Mapping[str, str]) -> list[tuple[str, str]]:
    """Platforms that variables state outright, strongest first: (platform, evidence)."""
    forced = env.get("FASTOPP_PLATFORM", "").strip().lower()
    environment = env.get("ENVIRONMENT", "").strip().lower()
    candidates = (
        (forced, "FASTOPP_PLATFORM", forced),
        (LEAPCELL.name, "LEAPCELL_APP_NAME", env.get("LEAPCELL_APP_NAME", "")),
        (LEAPCELL.name, "ENVIRONMENT", environment if environment == LEAPCELL.name else ""),
        (FLY.name, "FLY_APP_NAME", env.get("FLY_APP_NAME", "")),
    )
    return [(name, f"{variable}={value}") for name, variable, value in candidates if value]


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


def _is_leapcell_host(host: str) -> bool:
    return (
        host == LEAPCELL_DATABASE_DOMAIN
        or host.endswith("." + LEAPCELL_DATABASE_DOMAIN)
        or host == urlsplit(LEAPCELL_OBJECT_STORAGE).hostname
    )


class PlatformDetector:
    """The proposal's names for `detect_platform`, for those who look for them."""

    @staticmethod
    def is_leapcell(environ: Mapping[str, str] | None = None) -> bool:
        """Whether this process runs on LeapCell."""
        return detect_platform(environ).name in (LEAPCELL.name, LEAPCELL_PERSISTENT.name)

    @staticmethod
    def get_platform_config(environ: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Return the detected platform and its capabilities; no secrets."""
        env = os.environ if environ is None else environ
        platform = detect_platform(env)
        return {
            "platform": platform.name,
            "evidence": list(platform.evidence),
            "database_url_set": bool(env.get("DATABASE_URL") or env.get("DATABASE_DSN")),
            "upload_dir": env.get("UPLOAD_DIR") or platform.default_upload_dir,
            "use_object_storage": bool(env.get("S3_ACCESS_KEY")),
        }
