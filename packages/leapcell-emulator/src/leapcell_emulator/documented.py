"""LeapCell's documented numbers. `rules.py` has the rules that follow from them.

Sources: [limits] https://docs.leapcell.io/limit/, [life] https://docs.leapcell.io/serverless-vs-persistent,
[trouble] https://docs.leapcell.io/service/troubleshooting, [async] https://docs.leapcell.io/service/async,
[service] https://docs.leapcell.io/service. MB and KB are not defined there; the limits are the larger, binary reading.
"""

from __future__ import annotations

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

REQUEST_TIMEOUT: Final = 15 * 60  # seconds [limits]
MAX_REQUEST_LINE: Final = 16 * KIB  # bytes [limits]
MAX_HEADER: Final = 16 * KIB  # bytes, one header [limits]
MAX_REQUEST_HEADERS: Final = 64 * KIB  # bytes, all of a request [limits]
MAX_RESPONSE_HEADERS: Final = 32 * KIB  # bytes, all of a response [limits]
MAX_REQUEST_BODY: Final = 100 * MIB  # bytes [limits]; an older copy of the page says 5 MB
MAX_RESPONSE_BODY: Final = 5 * MIB  # bytes, after compression [limits]
MAX_ASYNC_BODY: Final = 5 * MIB  # bytes, payload of an async invocation [async]
MAX_ENVIRONMENT: Final = 3 * KIB  # bytes, all variables together [limits]
MAX_CONCURRENCY: Final = 100  # requests, free plan [limits]
DORMANT_AFTER: Final = 30 * 60  # seconds without traffic, "for example" [life]
COLD_START: Final = 0.25  # seconds added at most [life]
MIN_MEMORY: Final = 128  # MB [service]
MAX_MEMORY: Final = 7076  # MB [service]
MEMORY_PER_CORE: Final = 1769  # MB that buy one whole core [service]
PORT: Final = 8080  # in every official example [trouble]
HEALTH_PATH: Final = "/kaithhealth"  # polled until it answers [trouble]
STRAY_HEALTH_PATHS: Final = ("/kaithhealthcheck", "/kaithheathcheck")  # misspelled, and requested: users' logs
