"""LeapCell: serverless instances that are frozen between requests and share no disk.

Sources of the numbers: [LC limits] https://docs.leapcell.io/limit/,
[LC life] https://docs.leapcell.io/serverless-vs-persistent,
[LC trouble] https://docs.leapcell.io/service/troubleshooting,
[LC async] https://docs.leapcell.io/service/async, [LC service] https://docs.leapcell.io/service.
MB and KB are not defined there; the limits are the larger, binary reading.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from fastopp.platforms.base import KIB, MIB, Platform

LEAPCELL_REQUEST_TIMEOUT = 15 * 60  # seconds [LC limits]
LEAPCELL_MAX_REQUEST_BODY = 100 * MIB  # bytes [LC limits]; an older copy of the page says 5 MB
LEAPCELL_MAX_RESPONSE_BODY = 5 * MIB  # bytes, after compression [LC limits]
LEAPCELL_MAX_ASYNC_BODY = 5 * MIB  # bytes, payload of an async invocation [LC async]
LEAPCELL_MAX_ENVIRONMENT = 3 * KIB  # bytes, all variables together [LC limits]
LEAPCELL_MIN_MEMORY = 128  # MB [LC service]
LEAPCELL_MAX_MEMORY = 7076  # MB [LC service]
LEAPCELL_MEMORY_PER_CORE = 1769  # MB that buy one whole core [LC service]
LEAPCELL_SLOW_START = 10.0  # seconds; a start that takes longer is reported. Ours: no limit is documented
LEAPCELL_PORT = 8080  # in every official example [LC trouble]
LEAPCELL_HEALTH_PATH = "/kaithhealth"  # polled until it answers [LC trouble]
LEAPCELL_OBJECT_STORAGE_DOMAIN = "objstorage.leapcell.io"  # FastOpp's example.env; no official page
LEAPCELL_OBJECT_STORAGE = f"https://{LEAPCELL_OBJECT_STORAGE_DOMAIN}"
# A hard cap of the free plan, as users report it; LeapCell documents none.
LEAPCELL_OBJECT_STORAGE_FILES = 5_000
LEAPCELL_OBJECT_STORAGE_SIZE = 100_000_000  # bytes
LEAPCELL_DATABASE_DOMAIN = "leapcellpool.com"  # host of the dashboard's URLs, as users show them
LEAPCELL_WRITABLE = Path("/tmp")  # noqa: S108 - the one writable place there [LC limits]

LEAPCELL = Platform(
    name="leapcell",
    title="LeapCell",
    variables=("LEAPCELL_APP_NAME",),
    environments=("leapcell",),
    domains=(LEAPCELL_DATABASE_DOMAIN, LEAPCELL_OBJECT_STORAGE_DOMAIN),
    writable_root=False,
    writable_folder=str(LEAPCELL_WRITABLE),
    shared_memory=False,
    persistent_disk=False,
    background_cpu=False,
    shell=False,
    websockets=False,
    request_timeout=LEAPCELL_REQUEST_TIMEOUT,
    max_request_body=LEAPCELL_MAX_REQUEST_BODY,
    max_response_body=LEAPCELL_MAX_RESPONSE_BODY,
    max_async_body=LEAPCELL_MAX_ASYNC_BODY,
    max_environment=LEAPCELL_MAX_ENVIRONMENT,
    default_upload_dir=str(LEAPCELL_WRITABLE / "uploads"),
    default_environment="production",
    # A hundred instances share one pooler, so each takes little.
    default_pool_size=2,
    default_pool_overflow=3,
    default_s3_endpoint_url=LEAPCELL_OBJECT_STORAGE,
    object_storage_files=LEAPCELL_OBJECT_STORAGE_FILES,
    object_storage_size=LEAPCELL_OBJECT_STORAGE_SIZE,
    client_address_header="x-forwarded-for",
    requires_tls=True,
    requires_database_url=True,
    database_url_source="LeapCell's dashboard: open your PostgreSQL, choose Connection, copy the URL",
    health_path=LEAPCELL_HEALTH_PATH,
)

# Always on, writable, billed by the hour [LC life]. It looks like serverless from within, so it is
# chosen with FASTOPP_PLATFORM; taken for serverless it still works, only with more care than it needs.
LEAPCELL_PERSISTENT = replace(
    LEAPCELL,
    name="leapcell-persistent",
    variables=(),
    environments=(),
    domains=(),
    writable_root=True,
    background_cpu=True,
    websockets=True,
    request_timeout=None,
)
