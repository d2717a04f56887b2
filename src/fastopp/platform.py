"""Where the process runs, as capabilities.

Only this module knows the names `local`, `fly` and `leapcell`. Everything else asks a capability,
so a new platform is one new `Platform` value in `PLATFORMS` and one rule in `detect_platform`.

Sources of the numbers: [LC limits] https://docs.leapcell.io/limit/,
[LC life] https://docs.leapcell.io/serverless-vs-persistent,
[LC trouble] https://docs.leapcell.io/service/troubleshooting,
[LC async] https://docs.leapcell.io/service/async, [LC service] https://docs.leapcell.io/service,
[Fly] https://fly.io/docs/. MB and KB are not defined there; we take the larger, binary reading
for what is refused.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

KIB = 1024
MIB = 1024 * KIB

LEAPCELL_REQUEST_TIMEOUT = 15 * 60  # seconds [LC limits]
LEAPCELL_MAX_REQUEST_LINE = 16 * KIB  # bytes [LC limits]
LEAPCELL_MAX_HEADER = 16 * KIB  # bytes, one header [LC limits]
LEAPCELL_MAX_REQUEST_HEADERS = 64 * KIB  # bytes, all of a request [LC limits]
LEAPCELL_MAX_RESPONSE_HEADERS = 32 * KIB  # bytes, all of a response [LC limits]
LEAPCELL_MAX_REQUEST_BODY = 100 * MIB  # bytes [LC limits]; an older copy of the page says 5 MB
LEAPCELL_MAX_RESPONSE_BODY = 5 * MIB  # bytes, after compression [LC limits]
LEAPCELL_MAX_ASYNC_BODY = 5 * MIB  # bytes, payload of an async invocation [LC async]
LEAPCELL_MAX_ENVIRONMENT = 3 * KIB  # bytes, all variables together [LC limits]
LEAPCELL_MAX_CONCURRENCY = 100  # requests, free plan [LC limits]
LEAPCELL_DORMANT_AFTER = 30 * 60  # seconds without traffic, "for example" [LC life]
LEAPCELL_COLD_START = 0.25  # seconds added at most [LC life]
LEAPCELL_MIN_MEMORY = 128  # MB [LC service]
LEAPCELL_MAX_MEMORY = 7076  # MB [LC service]
LEAPCELL_MEMORY_PER_CORE = 1769  # MB that buy one whole core [LC service]
LEAPCELL_PORT = 8080  # in every official example [LC trouble]
LEAPCELL_HEALTH_PATH = "/kaithhealth"  # polled until it answers [LC trouble]
LEAPCELL_OBJECT_STORAGE = "https://objstorage.leapcell.io"  # FastOpp's example.env; no official page
LEAPCELL_DATABASE_DOMAIN = "leapcellpool.com"  # host of the dashboard's URLs, as users show them
LEAPCELL_WRITABLE = Path("/tmp")  # noqa: S108 - the one writable place there [LC limits]

# Seconds before the platform would cut a request off: to bring work to a stop, keep its place, and answer. Ours; a file
# in flight to the Object Storage gets most of it.
REQUEST_MARGIN = 60.0

FLY_KILL_TIMEOUT = 5  # seconds between SIGINT and SIGKILL [Fly, reference/configuration]
FLY_VOLUME = Path("/data")  # where FastOpp projects mount their volume, with UPLOAD_DIR=/data/uploads

# Two of these are misspelled, and LeapCell has been seen to ask for them all the same.
HEALTH_PATHS = frozenset({LEAPCELL_HEALTH_PATH, "/kaithhealthcheck", "/kaithheathcheck", "/healthz"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """What a place to run offers and demands. Sizes are in bytes, times in seconds; None: no limit."""

    name: str
    title: str
    """The name as people write it."""
    evidence: tuple[str, ...] = ()
    writable_root: bool = True
    """The project's folder can be written to."""
    persistent_disk: bool = True
    """A file written today is there tomorrow, for every instance."""
    background_cpu: bool = True
    """The process runs between requests."""
    shell: bool = True
    """An operator can open a shell beside the process."""
    websockets: bool = True
    request_timeout: float | None = None
    max_request_body: int | None = None
    max_response_body: int | None = None
    max_environment: int | None = None
    default_upload_dir: str = "static/uploads"
    default_environment: str = "development"
    default_pool_size: int = 5
    default_pool_overflow: int = 5
    default_s3_endpoint_url: str | None = None
    client_address_header: str | None = None
    """The request header to which the platform's own proxies append the address that they were called from."""
    proxies: int = 1
    """The number of those proxies. Entries further to the left come from the client."""
    requires_tls: bool = False
    """The database is reached over a network that others share: TLS unless the URL says otherwise."""
    requires_database_url: bool = False
    database_url_source: str = "the URL of your PostgreSQL database"
    """Where the user finds the value of DATABASE_URL, as the end of a sentence."""
    health_paths: frozenset[str] = field(default=HEALTH_PATHS)

    @property
    def request_budget(self) -> float | None:
        """Seconds that work inside a request may take; None: as long as it needs."""
        timeout = self.request_timeout
        return max(timeout - REQUEST_MARGIN, timeout / 2) if timeout else None


LOCAL = Platform(name="local", title="Local")

FLY = Platform(
    name="fly",
    title="Fly.io",
    default_environment="production",
    # X-Forwarded-For may hold what the caller made up (https://fly.io/docs/networking/request-headers/).
    client_address_header="fly-client-ip",
)

LEAPCELL = Platform(
    name="leapcell",
    title="LeapCell",
    writable_root=False,
    persistent_disk=False,
    background_cpu=False,
    shell=False,
    websockets=False,
    request_timeout=LEAPCELL_REQUEST_TIMEOUT,
    max_request_body=LEAPCELL_MAX_REQUEST_BODY,
    max_response_body=LEAPCELL_MAX_RESPONSE_BODY,
    max_environment=LEAPCELL_MAX_ENVIRONMENT,
    default_upload_dir=str(LEAPCELL_WRITABLE / "uploads"),
    default_environment="production",
    # A hundred instances share one pooler, so each takes little.
    default_pool_size=2,
    default_pool_overflow=3,
    default_s3_endpoint_url=LEAPCELL_OBJECT_STORAGE,
    client_address_header="x-forwarded-for",
    requires_tls=True,
    requires_database_url=True,
    database_url_source="LeapCell's dashboard: open your PostgreSQL, choose Connection, copy the URL",
)

# Always on, writable, billed by the hour [LC life]. It looks like serverless from within, so it is
# chosen with FASTOPP_PLATFORM; taken for serverless it still works, only with more care than it needs.
LEAPCELL_PERSISTENT = replace(
    LEAPCELL,
    name="leapcell-persistent",
    writable_root=True,
    background_cpu=True,
    websockets=True,
    request_timeout=None,
)

PLATFORMS: Mapping[str, Platform] = {p.name: p for p in (LOCAL, FLY, LEAPCELL, LEAPCELL_PERSISTENT)}

# `ENVIRONMENT` says development or production; these say production and name the platform as well.
PRODUCTION_ENVIRONMENTS = frozenset({LEAPCELL.name})


def detect_platform(environ: Mapping[str, str] | None = None, *, root_writable: bool | None = None) -> Platform:
    """Weigh the evidence for where the process runs, and return that platform with the evidence found.

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
        """What the platform was found to be and what follows from it; no secrets."""
        env = os.environ if environ is None else environ
        platform = detect_platform(env)
        return {
            "platform": platform.name,
            "evidence": list(platform.evidence),
            "database_url_set": bool(env.get("DATABASE_URL") or env.get("DATABASE_DSN")),
            "upload_dir": env.get("UPLOAD_DIR") or platform.default_upload_dir,
            "use_object_storage": bool(env.get("S3_ACCESS_KEY")),
        }
