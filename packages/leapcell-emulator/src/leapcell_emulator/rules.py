"""LeapCell's rules for an application, as one table: the fields of `Rules`.

Each row carries its number (E1 to E20), its unit, where it is documented, how well it is known, and the message when it
fires. The command line makes an option of each, the page shows each, and the emulator reads the values: nothing else
knows a limit. Sizes are in bytes and times in seconds; 0 turns a limit off.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any, Final

from leapcell_emulator import documented
from leapcell_emulator.documented import MIB
from leapcell_emulator.errors import BadRequest
from leapcell_emulator.rule import (
    ASYNC,
    DEPLOYMENTS,
    LIFE,
    LIMITS,
    MEGABYTE,
    OBSERVED,
    POSTGRESQL,
    REDIS,
    SERVICE,
    TROUBLE,
    Evidence,
    Rule,
)


class UnknownProfile(BadRequest):
    """There is no such profile."""


def _rule(default: Any, rule_id: str, title: str, message: str, source: str, evidence: Evidence, **more: Any) -> Any:  # noqa: ANN401
    """A field of `Rules` that knows where it comes from."""
    rule = Rule(id=rule_id, title=title, message=message, source=source, evidence=evidence, **more)
    return field(default=default, metadata={"rule": rule})


@dataclass(slots=True, kw_only=True)
class Rules:
    """The values in force. The defaults are LeapCell's, the newer where its documents disagree.

    Those in `rule_changes.py` may change while the emulator runs.
    """

    # fmt: off
    read_only: bool = _rule(
        True, "E1", "The project is read-only, only /tmp can be written, and each instance has its own",
        "{found} was written to: on LeapCell only /tmp can be.", LIMITS, Evidence.DOCUMENTED,
    )
    shared_memory: bool = _rule(
        False, "E2", "Whether /dev/shm can be used",
        "/dev/shm was used: there is no shared memory on LeapCell, use pipes or sockets.",  # noqa: S108 - a text
        TROUBLE, Evidence.DOCUMENTED,
    )
    tmp_size: int = _rule(
        0, "E1", "Largest /tmp of an instance, which then counts as its memory (LeapCell's size is unknown)",
        "/tmp is full: {limit}.", OBSERVED, Evidence.INFERRED, unit="bytes",  # noqa: S108 - a text
    )
    instances: int = _rule(
        2, "E3", "Instances, which take requests in turn",
        "The request went to {found}.", LIFE, Evidence.DOCUMENTED, unit="instances",
    )
    freeze: bool = _rule(
        True, "E4", "An instance without a request in flight is stopped, with all its processes",
        "{found} was stopped: no request in flight.", LIFE, Evidence.DOCUMENTED,
    )
    request_timeout: float = _rule(
        float(documented.REQUEST_TIMEOUT), "E5", "Time limit of a request",
        "The request took longer than {limit} and was cut off.", LIMITS, Evidence.DOCUMENTED, unit="seconds",
    )
    max_request_body: int = _rule(
        documented.MAX_REQUEST_BODY, "E6", "Largest body of a request (an older document says 5 MB)",
        "The request's body is bigger than {limit}.", LIMITS, Evidence.DOCUMENTED, unit="bytes",
    )
    max_request_line: int = _rule(
        documented.MAX_REQUEST_LINE, "E6", "Longest request line",
        "The request line has {found}, more than {limit}.", LIMITS, Evidence.DOCUMENTED, unit="bytes",
    )
    max_header: int = _rule(
        documented.MAX_HEADER, "E6", "Largest single header of a request",
        "The header {found} is bigger than {limit}.", LIMITS, Evidence.DOCUMENTED, unit="bytes",
    )
    max_request_headers: int = _rule(
        documented.MAX_REQUEST_HEADERS, "E6", "Largest headers of a request together",
        "The request's headers have {found}, more than {limit}.", LIMITS, Evidence.DOCUMENTED, unit="bytes",
    )
    max_response_body: int = _rule(
        documented.MAX_RESPONSE_BODY, "E7", "Largest body of a response, as sent",
        "Response is bigger than the maximum allowed size ({limit}); the rest was cut off.", TROUBLE,
        Evidence.DOCUMENTED, unit="bytes",
    )
    max_response_headers: int = _rule(
        documented.MAX_RESPONSE_HEADERS, "E7", "Largest headers of a response together",
        "The response's headers have {found}, more than {limit}.", LIMITS, Evidence.DOCUMENTED, unit="bytes",
    )
    websockets: bool = _rule(
        False, "E8", "Whether a connection may become a WebSocket",
        "A WebSocket was refused: a serverless instance speaks plain HTTP only.", LIFE, Evidence.DOCUMENTED,
    )
    cold_start: float = _rule(
        documented.COLD_START, "E9", "Time that a cold start adds",
        "{found} started cold, which added {limit}.", LIFE, Evidence.DOCUMENTED, unit="seconds",
    )
    dormant_after: float = _rule(
        float(documented.DORMANT_AFTER), "E9", "Time without traffic after which an instance ends",
        "{found} had no request for {limit} and is gone, with its /tmp.", LIFE, Evidence.DOCUMENTED, unit="seconds",
    )
    start_warning: float = _rule(
        10.0, "E9", "Time that a start may take before a warning is logged",
        "{found} has not answered {path} within {limit}.", OBSERVED, Evidence.INFERRED, unit="seconds",
    )
    start_timeout: float = _rule(
        60.0, "E9", "Time after which a start fails",
        "{found} did not answer {path} within {limit} and was stopped.", OBSERVED, Evidence.INFERRED, unit="seconds",
    )
    stray_probes: bool = _rule(
        True, "E10", "The misspelled health paths are requested too",
        "{found} was requested too, as LeapCell does.", OBSERVED, Evidence.OBSERVED,
    )
    max_environment: int = _rule(
        documented.MAX_ENVIRONMENT, "E11", "Largest environment: all names and values together",
        "The environment has {found}, more than {limit}.", LIMITS, Evidence.DOCUMENTED, unit="bytes",
    )
    max_concurrency: int = _rule(
        documented.MAX_CONCURRENCY, "E12", "Concurrent requests, over all instances (the free plan's)",
        "More than {limit} were in flight at the same time.", LIMITS, Evidence.DOCUMENTED, unit="requests",
    )
    forwarded_proto: str = _rule(
        "http", "E13", "Value of X-Forwarded-Proto; LeapCell's is https, which a browser cannot use here",
        "X-Forwarded-For, -Proto and -Host were added.", OBSERVED, Evidence.INFERRED, choices=("http", "https"),
    )
    async_workers: int = _rule(
        1, "E14", "Workers that take async requests from the queue",
        "All {limit} are busy: the request waits.", ASYNC, Evidence.DOCUMENTED, unit="workers",
    )
    async_retries: int = _rule(
        0, "E14", "Deliveries after a failed one",
        "{found} was delivered again.", ASYNC, Evidence.INFERRED, unit="deliveries",
    )
    async_duplicate: float = _rule(
        0.0, "E14", "Share of async requests that are delivered twice",
        "{found} was delivered twice.", ASYNC, Evidence.INFERRED, unit="share",
    )
    async_drop: float = _rule(
        0.0, "E14", "Share of async requests that are lost",
        "{found} was lost.", ASYNC, Evidence.INFERRED, unit="share",
    )
    async_delay: float = _rule(
        0.0, "E14", "Time that an async request waits before its delivery",
        "{found} was delayed.", ASYNC, Evidence.INFERRED, unit="seconds",
    )
    max_async_body: int = _rule(
        documented.MAX_ASYNC_BODY, "E14", "Largest body of an async request",
        "The async request's body is bigger than {limit}.", ASYNC, Evidence.DOCUMENTED, unit="bytes",
    )
    pooler: str = _rule(
        "transaction", "E15", "How the database's pooler shares its connections",
        "{found}", POSTGRESQL, Evidence.INFERRED, choices=("transaction", "session"),
    )
    db_max_connections: int = _rule(
        100, "E15", "Connections to the database at a time (pgbouncer's default)",
        "More than {limit} to the database: one was refused.", POSTGRESQL, Evidence.INFERRED, unit="connections",
    )
    db_tls: bool = _rule(
        True, "E15", "The database refuses connections without TLS",
        "A database connection without TLS was refused.", POSTGRESQL, Evidence.CODE,
    )
    storage_oddities: bool = _rule(
        True, "E16", "Object Storage encodes keys in listings without saying so, and finds no prefix with a slash",
        "{found}", OBSERVED, Evidence.CODE,
    )
    storage_quota: int = _rule(
        100 * MEGABYTE, "E16", "Size limit of the Object Storage",
        "The Object Storage is full: {limit}.", OBSERVED, Evidence.OBSERVED, unit="bytes",
    )
    storage_files: int = _rule(
        5000, "E16", "File limit of the Object Storage",
        "The Object Storage is full: {limit}.", OBSERVED, Evidence.OBSERVED, unit="files",
    )
    cdn_ttl: float = _rule(
        12 * 3600.0, "E16", "Time that the CDN serves an old copy of a file",
        "The CDN answered with a copy.", OBSERVED, Evidence.OBSERVED, unit="seconds",
    )
    redis_commands: str = _rule(
        "listed", "E17", "Commands that Redis accepts, over TLS: the listed ones, and basic ones like DEL",
        "{found}", REDIS, Evidence.DOCUMENTED, choices=("listed", "all"),
    )
    memory_cap: bool = _rule(
        True, "E18", "An instance that takes more than `memory` is killed",
        "{found} used more memory than leapcell.yaml gives it ({limit}) and was killed.", SERVICE,
        Evidence.DOCUMENTED,
    )
    cpu_share: bool = _rule(
        False, "E18", "An instance gets the share of a processor that `memory` buys",
        "{found} gets {limit} of a processor.", SERVICE, Evidence.DOCUMENTED,
    )
    build_timeout: float = _rule(
        600.0, "E19", "Time limit of a build (the free plan's)",
        "The build took longer than {limit}.", LIMITS, Evidence.DOCUMENTED, unit="seconds",
    )
    deployment_overlap: float = _rule(
        5.0, "E19", "Time that a new deployment's instances and the old ones both take requests",
        "{found} replaced {limit}.", DEPLOYMENTS, Evidence.INFERRED, unit="seconds",
    )
    only_http: bool = _rule(
        True, "E20", "Only HTTP to the one port is reachable: opening another is reported",
        "{found}: on LeapCell it is unreachable, only HTTP to port {limit} is.", OBSERVED, Evidence.CODE,
    )

    # fmt: on

    @classmethod
    def from_options(cls, profile: str = "default", options: Mapping[str, Any] | None = None) -> Rules:
        """The values of a profile, with those changed that `options` names and that are not None.

        Raises `UnknownProfile`, `RuleValueRefused`.
        """
        if profile not in PROFILES:
            raise UnknownProfile(f"There is no profile {profile}.", hint=f"There are {', '.join(PROFILES)}.")
        given = {name: value for name, value in (options or {}).items() if value is not None}
        for name, value in given.items():
            RULES[name].check(value)
        return replace(cls(), **{**PROFILES[profile], **given})

    def describe(self) -> list[dict[str, Any]]:
        """Every rule with its value, for the page and for JSON."""
        return [
            {
                "id": rule.id,
                "name": rule.name,
                "title": rule.title,
                "value": getattr(self, rule.name),
                "text": rule.format(getattr(self, rule.name)),
                "default": rule.default,
                "source": rule.source,
                "evidence": str(rule.evidence),
                "option": rule.option,
            }
            for rule in RULES.values()
        ]


RULES: Final[Mapping[str, Rule]] = MappingProxyType(
    {f.name: replace(f.metadata["rule"], name=f.name, default=f.default) for f in fields(Rules)}
)

PERSISTENT: Final = "persistent"

# Where documents disagree, LeapCell's other mode, and for those who want every rule at its hardest.
PROFILES: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "default": {},
        # The stored older copy of the limits page.
        "old": {"max_request_body": 5 * MIB, "cold_start": 0.3},
        # An always-on server (https://docs.leapcell.io/serverless-vs-persistent): it is writable, speaks WebSocket and
        # works in the background. That it has no limits on time and answers is inferred.
        PERSISTENT: {
            "read_only": False,
            "shared_memory": True,
            "instances": 1,
            "freeze": False,
            "websockets": True,
            "cold_start": 0.0,
            "dormant_after": 0.0,
            "request_timeout": 0.0,
            "max_response_body": 0,
        },
        # KB and MB read as powers of ten, the processor's share, and an async queue that may do all it may do.
        "strict": {
            "max_request_body": 5 * MEGABYTE,
            "max_request_line": 16_000,
            "max_header": 16_000,
            "max_request_headers": 64_000,
            "max_response_body": 5 * MEGABYTE,
            "max_response_headers": 32_000,
            "max_environment": 3_000,
            "max_async_body": 5 * MEGABYTE,
            "cpu_share": True,
            "async_duplicate": 0.1,
            "async_retries": 2,
        },
    }
)
