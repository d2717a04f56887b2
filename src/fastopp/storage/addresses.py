"""From the address in a row to the key of the file, whichever storage was in use when the row was written."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from fastopp.settings import Settings
from fastopp.storage.base import Storage
from fastopp.storage.keys import key_from_url
from fastopp.storage.s3.names import ObjectNames


def public_addresses(settings: Settings) -> tuple[str, ...]:
    """The addresses below which the bucket's files are, or were, given to browsers.

    The last one is what FastOpp 0.4.8 wrote when it knew neither a CDN nor an endpoint.
    """
    if not settings.s3_bucket:
        return (settings.s3_cdn_url,) if settings.s3_cdn_url else ()
    bucket = settings.s3_bucket
    every = (
        settings.s3_cdn_url,
        f"{settings.s3_endpoint}/{bucket}",
        f"https://{bucket}.s3.{settings.s3_region}.amazonaws.com",
    )
    return tuple(address for address in every if address)


def key_at(storage: Storage, url: str | None) -> str | None:
    """The key of the file that is at a URL; None for an address that is not ours, or none.

    Understands `/static/uploads/…` and what is below the storage's `addresses`.
    """
    key = key_from_url(url)
    return key if key or not url else next((key for base in storage.addresses if (key := _key_below(base, url))), None)


def _key_below(base: str, url: str) -> str | None:
    try:
        ours, parts = urlsplit(base.rstrip("/") + "/"), urlsplit(url)
    except ValueError:
        return None
    if parts.netloc.lower() != ours.netloc.lower() or not parts.path.startswith(ours.path):
        return None
    found = ObjectNames().key(unquote(parts.path.removeprefix(ours.path)))
    return found[0] if found else None
