"""Find out on which platform the process runs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fastopp.platforms.base import Platform
from fastopp.platforms.fly import FLY
from fastopp.platforms.leapcell import LEAPCELL, LEAPCELL_PERSISTENT
from fastopp.platforms.local import LOCAL

# A database may be named by keywords instead: `host=… port=…`.
_HOST_KEYWORD = re.compile(r"(?:[^:/]*[\s;'\"])?(?:host|server)\s*=\s*([^\s;'\"]+)", re.IGNORECASE)

PLATFORMS: Mapping[str, Platform] = {p.name: p for p in (LOCAL, LEAPCELL, LEAPCELL_PERSISTENT, FLY)}
"""All platforms. The first one that something points to is detected."""


def detect_platform(environ: Mapping[str, str] | None = None, *, root_writable: bool | None = None) -> Platform:
    """Detect the platform that the process runs on, and return it with the evidence.

    The first that holds decides: `FASTOPP_PLATFORM`; a variable, or a value of `ENVIRONMENT`, that exists on one
    platform only, like `FLY_APP_NAME`; the address of a platform's database or Object Storage together with a project
    folder that cannot be written. An address alone proves nothing, since it may be in a laptop's `.env`. An unknown
    `FASTOPP_PLATFORM` falls through here; the settings report it.
    """
    env = os.environ if environ is None else environ
    forced = env.get("FASTOPP_PLATFORM", "").strip().lower()
    if forced in PLATFORMS:
        return replace(PLATFORMS[forced], evidence=(f"FASTOPP_PLATFORM={forced}",))
    for platform in PLATFORMS.values():
        for evidence in _declared(platform, env):
            return replace(platform, evidence=(evidence,))
    for platform in PLATFORMS.values():
        if hosts := tuple(_hosts(platform, env)):
            if os.access(Path.cwd(), os.W_OK) if root_writable is None else root_writable:
                return replace(LOCAL, evidence=(*hosts, "but the project's folder is writable, as on a laptop"))
            return replace(platform, evidence=(*hosts, "the project's folder is read-only"))
    return replace(LOCAL, evidence=("nothing points to a hosting platform",))


def object_storage_platform(url: str) -> Platform | None:
    """Return the platform whose Object Storage has this address, if one has."""
    host = _host(url)
    return next((p for p in PLATFORMS.values() if host and host == _host(p.default_s3_endpoint_url or "")), None)


def _declared(platform: Platform, env: Mapping[str, str]) -> Iterator[str]:
    """Variables that state the platform outright."""
    yield from (f"{name}={env[name]}" for name in platform.variables if env.get(name))
    environment = env.get("ENVIRONMENT", "").strip().lower()
    if environment in platform.environments:
        yield f"ENVIRONMENT={environment}"


def _hosts(platform: Platform, env: Mapping[str, str]) -> Iterator[str]:
    """Variables with an address of the platform's."""
    urls = {
        "DATABASE_URL": env.get("DATABASE_URL") or env.get("DATABASE_DSN") or "",
        "S3_ENDPOINT_URL": env.get("S3_ENDPOINT_URL", ""),
    }
    for variable, url in urls.items():
        host = _host(url)
        if any(host == domain or host.endswith(f".{domain}") for domain in platform.domains):
            yield f"{variable} points to {host}"


def _host(url: str) -> str:
    if found := _HOST_KEYWORD.match(url):
        return found[1].lower()
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


class PlatformDetector:
    """The proposal's names for `detect_platform`, for those who look for them."""

    @staticmethod
    def is_leapcell(environ: Mapping[str, str] | None = None) -> bool:
        """Return whether this process runs on LeapCell."""
        return detect_platform(environ).title == LEAPCELL.title

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
