"""A platform is where the process runs, as capabilities. Code asks a capability, never a name."""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB

# Liveness is answered at each of them on every platform. LeapCell documents the first; two are misspelled, and LeapCell
# has been seen to ask for them all the same.
HEALTH_PATHS = frozenset({"/kaithhealth", "/kaithhealthcheck", "/kaithheathcheck", "/healthz"})

# Seconds before the platform would cut a request off: to bring work to a stop, keep its place, and answer. Ours; a file
# in flight to the Object Storage gets most of it.
REQUEST_MARGIN = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """The capabilities and limits of a platform. Sizes are in bytes, times in seconds; None: no limit."""

    name: str
    title: str
    """The name as people write it."""
    evidence: tuple[str, ...] = ()
    """Of its detection."""
    variables: tuple[str, ...] = ()
    """Environment variables that select the platform with any value; fields of `PlatformSettings`."""
    environments: tuple[str, ...] = ()
    """Values of ENVIRONMENT that select it, and mean production."""
    domains: tuple[str, ...] = ()
    """Of its databases and its Object Storage. With a read-only project folder they select it."""
    writable_root: bool = True
    """The project's folder can be written to."""
    writable_folder: str = "/tmp"  # noqa: S108 - a fact about Linux
    """A folder that can be written to in any case."""
    shared_memory: bool = True
    """Processes may share memory in /dev/shm."""
    persistent_disk: bool = True
    """A file written today is there tomorrow, for every instance."""
    background_cpu: bool = True
    """The process runs between requests."""
    shell: bool = True
    """An operator can open a shell beside the process."""
    websockets: bool = True
    request_timeout: float | None = None
    kill_after: float | None = None
    """Between the request to end and the end of a process, unless the user changes it."""
    kill_setting: str = ""
    """The place where the user changes it."""
    max_request_body: int | None = None
    max_response_body: int | None = None
    max_async_body: int | None = None
    """Of a request that the platform queues and delivers later."""
    max_environment: int | None = None
    default_upload_dir: str = "static/uploads"
    default_environment: str = "development"
    default_pool_size: int = 5
    default_pool_overflow: int = 5
    default_s3_endpoint_url: str | None = None
    """The address of its Object Storage."""
    object_storage_files: int | None = None
    """Files at most in the smallest plan of that."""
    object_storage_size: int | None = None
    """And their size together."""
    client_address_header: str | None = None
    """The request header to which the platform's own proxies append the address that they were called from."""
    proxies: int = 1
    """The number of those proxies. Entries further to the left come from the client."""
    replay_header: str | None = None
    """The header of an answer that has its proxy send the request to another region, as `region=NAME`."""
    replayed_header: str | None = None
    """The header of a request that it has sent there."""
    max_replayed_body: int | None = None
    """Of a request that it can send there."""
    requires_tls: bool = False
    """The database is reached over a network that others share: TLS unless the URL says otherwise."""
    private_domains: tuple[str, ...] = ()
    """Names of machines in its private network end with one of these."""
    requires_database_url: bool = False
    database_url_source: str = "the URL of your PostgreSQL database"
    """The place where the user finds the value of DATABASE_URL, as the end of a sentence."""
    health_path: str = "/healthz"
    """The path that it asks until the process answers."""
    health_paths: frozenset[str] = HEALTH_PATHS
    """The paths at which the process answers."""

    @property
    def request_budget(self) -> float | None:
        """Seconds that work inside a request may take; None: as long as it needs."""
        timeout = self.request_timeout
        return max(timeout - REQUEST_MARGIN, timeout / 2) if timeout else None
