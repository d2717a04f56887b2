"""Addresses that carry their own permission, for uploads that must be exactly what was agreed on.

obstore signs addresses too, but of the headers only `Host`: with such an address a browser could store any
number of bytes of any type. Here size and type are signed as well: the server refuses other ones.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlsplit

_ALGORITHM = "AWS4-HMAC-SHA256"


def presign(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    region: str,
    access_key: str,
    secret_key: str,
    expires: timedelta,
    query: Mapping[str, str] | None = None,
    now: datetime | None = None,
) -> str:
    """The address with an AWS Signature Version 4 in its query.

    Parameters
    ----------
    url: without a query; its path quoted as it will be sent.
    headers: those that must be sent as they are, `Host` aside.
    expires: seven days at most, as S3 has it.
    query: what the address asks for besides.

    https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
    """
    at = f"{now or datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    scope = f"{at[:8]}/{region}/s3/aws4_request"
    parts = urlsplit(url)
    signed = {"host": parts.netloc, **{name.lower(): value.strip() for name, value in headers.items()}}
    names = ";".join(sorted(signed))
    signed_query = _query(
        {
            **(query or {}),
            "X-Amz-Algorithm": _ALGORITHM,
            "X-Amz-Credential": f"{access_key}/{scope}",
            "X-Amz-Date": at,
            "X-Amz-Expires": str(int(expires.total_seconds())),
            "X-Amz-SignedHeaders": names,
        }
    )
    lines = [f"{name}:{signed[name]}" for name in sorted(signed)]
    request = "\n".join([method, parts.path, signed_query, *lines, "", names, "UNSIGNED-PAYLOAD"])
    text = "\n".join([_ALGORITHM, at, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = f"AWS4{secret_key}".encode()
    for step in scope.split("/"):
        key = hmac.digest(key, step.encode(), "sha256")
    return f"{url}?{signed_query}&X-Amz-Signature={hmac.digest(key, text.encode(), 'sha256').hex()}"


def _query(values: Mapping[str, str]) -> str:
    return "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in sorted(values.items()))
