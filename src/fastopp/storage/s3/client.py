"""A client of obstore's for one bucket: whose variables it heeds, how long it waits and how often it tries."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from obstore.store import S3Store

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Credential

LONGEST = timedelta(minutes=15)  # no platform lets a request last longer

_IDLE = timedelta(seconds=20)  # a socket that slept longer may be dead: instances are frozen between requests


class Patience(NamedTuple):
    """Time limits for a server, in seconds, and the number of attempts."""

    connect: float = 5
    silence: float = 20
    """Without a byte while reading."""
    send: float = 120
    """For one request that sends, of up to 8 MiB: fast enough at 0.6 Mbit/s."""
    retries: int = 6
    """With pauses that grow from 0.2 to 15 seconds, where trying again can help."""
    pause: float = 0.2
    """Before the first retry; each later pause is longer."""
    retry_for: float = 60
    """After which nothing is tried again; what sends is, once at least."""


def open_client(
    name: str,
    endpoint: str,
    region: str,
    credential: S3Credential,
    *,
    timeouts: ClientConfig,
    retries: int,
    pause: float,
    retry_for: float,
) -> S3Store:
    """Return a client for a bucket. Uses no network, but takes 10 ms to read the machine's trusted certificates.

    Parameters
    ----------
    timeouts: obstore's, for a connection and for what comes over it.
    retries: times that a request is repeated where that can help.
    pause: seconds before the first retry.
    retry_for: seconds after which it is not.
    """
    return S3Store(
        name,
        # Both names, and keys by a provider: what AWS_ variables say is for other programs.
        endpoint=endpoint,
        aws_endpoint_url_s3=endpoint,
        region=region,
        credential_provider=lambda: credential,
        skip_signature=False,
        virtual_hosted_style_request=False,
        disable_bulk_delete=True,  # which not every service has
        client_options={"allow_http": endpoint.startswith("http://"), "pool_idle_timeout": _IDLE, **timeouts},
        retry_config={
            "max_retries": retries,
            "retry_timeout": timedelta(seconds=retry_for),
            "backoff": {"init_backoff": timedelta(seconds=pause), "max_backoff": timedelta(seconds=15)},
        },
    )
