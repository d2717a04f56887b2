"""Presigned addresses of the older kind, which boto3 makes by default: `?AWSAccessKeyId=…&Signature=…&Expires=…`.

rclone checks the newer signature only, so these are checked here, and the file is answered from its folder.
https://docs.aws.amazon.com/AmazonS3/latest/API/RESTAuthentication.html#RESTAuthenticationQueryStringAuth
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from pathlib import Path
from urllib.parse import unquote

from aiohttp import web

from leapcell_emulator.services import s3_http

# The parameters that are part of what is signed: those of the response's headers.
_SIGNED = ("cache-control", "content-disposition", "content-encoding", "content-language", "content-type", "expires")


def is_presigned(request: web.BaseRequest) -> bool:
    """Return whether it is a GET or HEAD with a signature of this kind."""
    return request.method in ("GET", "HEAD") and {"AWSAccessKeyId", "Signature", "Expires"} <= request.query.keys()


def answer(request: web.BaseRequest, *, root: Path, access_key: str, secret_key: str) -> web.StreamResponse:
    """Answer with the file below `root`, or say why not."""
    query = request.query
    if query["AWSAccessKeyId"] != access_key:
        return s3_http.error(403, "InvalidAccessKeyId", "There is no such access key.")
    expires = query["Expires"]
    if not expires.isdecimal() or int(expires) < time.time():
        return s3_http.error(403, "AccessDenied", "Request has expired.")
    overrides = {name: query[f"response-{name}"] for name in _SIGNED if f"response-{name}" in query}
    if not hmac.compare_digest(_signature(request, secret_key, overrides), query["Signature"]):
        return s3_http.error(403, "SignatureDoesNotMatch", "The signature does not match.")
    path = (root / unquote(request.rel_url.raw_path).lstrip("/")).resolve()
    if not path.is_relative_to(root.resolve()) or not path.is_file():
        return s3_http.error(404, "NoSuchKey", "There is no such key.")
    return web.FileResponse(path, headers={name.title(): value for name, value in overrides.items()})


def _signature(request: web.BaseRequest, secret_key: str, overrides: dict[str, str]) -> str:
    resource = request.rel_url.raw_path
    if overrides:
        resource += "?" + "&".join(f"response-{name}={value}" for name, value in sorted(overrides.items()))
    # boto3 signs HEAD and GET each by its own name.
    text = f"{request.method}\n\n\n{request.query['Expires']}\n{resource}"
    digest = hmac.new(secret_key.encode(), text.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()
