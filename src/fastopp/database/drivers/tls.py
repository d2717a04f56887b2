"""The meaning of libpq's TLS parameters, for both drivers.

psycopg hands them to libpq itself. asyncpg gets an SSLContext that does the same.
Source: https://www.postgresql.org/docs/current/libpq-ssl.html, and libpq's fe-secure-openssl.c where that is silent.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlencode

from fastopp.settings.libpq import DatabaseURLError

_VERIFYING = ("verify-ca", "verify-full")
_FOLDER = Path("~/.postgresql")  # where libpq looks when the URL does not say
_FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
_FOR_A_CONTEXT = (*_FILES, "sslmode", "sslpassword", "ssl_min_protocol_version", "ssl_max_protocol_version")
SYSTEM = "system"  # the value of sslrootcert that means the operating system's certificates


def libpq_parameters(query: Mapping[str, str]) -> dict[str, str]:
    """The TLS parameters as psycopg's libpq should get them.

    Raises DatabaseURLError for a file that is not there.
    """
    _check_files(query)
    if query.get("sslrootcert") != SYSTEM:
        return dict(query)
    # psycopg's wheel brings an OpenSSL that looks where the wheel was built; Python knows where this system's are.
    certificates = ssl.get_default_verify_paths().cafile
    return {**query, "sslrootcert": certificates or SYSTEM}


def asyncpg_arguments(query: Mapping[str, str]) -> dict[str, object]:
    """The arguments of `asyncpg.connect` that mean the same as libpq's TLS parameters.

    `allow` and `prefer` try twice, which only asyncpg itself can do; it gets them as a piece of DSN.
    Raises DatabaseURLError for a file that is not there or cannot be read.
    """
    mode = query.get("sslmode")
    _check_files(query)
    if mode == "disable":
        return {"ssl": False}
    if mode in (None, "allow", "prefer"):
        given = {name: value for name, value in query.items() if name in _FOR_A_CONTEXT}
        return {"dsn": f"postgresql://?{urlencode(given)}"} if given else {}
    return {"ssl": ssl_context(query)}


def ssl_context(query: Mapping[str, str]) -> ssl.SSLContext:
    """The context for an `sslmode` that insists on TLS: `require`, `verify-ca` or `verify-full`."""
    mode, root = query["sslmode"], query.get("sslrootcert")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = mode == "verify-full"
    try:
        if root == SYSTEM:
            context.load_default_certs()
        elif found := _found("sslrootcert", "root.crt", query):
            context.load_verify_locations(found)
        elif mode == "require":  # encrypted, but to whom is not asked; with a root certificate libpq asks
            context.verify_mode = ssl.CERT_NONE
        if revoked := _found("sslcrl", "root.crl", query):
            context.load_verify_locations(revoked)
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
        if certificate := _found("sslcert", "postgresql.crt", query):
            key = _found("sslkey", "postgresql.key", query)
            context.load_cert_chain(certificate, key, password=query.get("sslpassword", ""))
    except (OSError, ssl.SSLError) as error:
        raise DatabaseURLError("The certificate cannot be read.", hint="It must be a PEM file.") from error
    for bound in ("min", "max"):
        if version := query.get(f"ssl_{bound}_protocol_version"):
            setattr(context, f"{bound}imum_version", _version(version))
    return context


def _version(name: str) -> ssl.TLSVersion:
    try:
        return ssl.TLSVersion[name.replace(".", "_")]
    except KeyError:
        raise DatabaseURLError("Unknown TLS version.", hint="Use TLSv1.2 or TLSv1.3.") from None


def _found(parameter: str, default: str, query: Mapping[str, str]) -> Path | None:
    if parameter in query:
        return Path(query[parameter])
    path = _home(default)
    return path if path and path.is_file() else None


def _home(name: str) -> Path | None:
    try:
        return _FOLDER.expanduser() / name
    except RuntimeError:  # there is no home folder
        return None


def _check_files(query: Mapping[str, str]) -> None:
    for name in _FILES:
        value = query.get(name)
        if value and not (name == "sslrootcert" and value == SYSTEM) and not Path(value).is_file():
            raise DatabaseURLError(f"The file in {name} does not exist.", hint=f"Fix {name}, or remove it.")
    if query.get("sslmode") in _VERIFYING and not query.get("sslrootcert"):
        root = _home("root.crt")
        if not root or not root.is_file():
            hint = "Add sslrootcert=system, or sslrootcert= and the file of your provider's certificate."
            raise DatabaseURLError(f"sslmode={query['sslmode']} has no certificates to verify with.", hint=hint)
