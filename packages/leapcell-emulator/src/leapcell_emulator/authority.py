"""A certificate authority of this user, so that a browser can use https with the emulator (`--https`).

It is made once and kept, since a browser asks its user once. It can speak for `localhost`, the names below it and
loopback addresses only (RFC 5280, 4.2.1.10), so that a copy of its key is of no use anywhere else.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import os
import re
import shutil
import ssl
import tempfile
from pathlib import Path
from typing import Final

import certifi
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from leapcell_emulator.errors import EmulatorError

DOMAIN: Final = "leapcell.localhost"  # browsers resolve names below localhost to this machine: RFC 6761, 6.3
_AUTHORITY_YEARS: Final = 10
_CERTIFICATE_DAYS: Final = 397  # the most that browsers accept
_LONGEST_NAME: Final = 40


class AuthorityUnusable(EmulatorError):
    """The certificate authority cannot be read or written."""


def default_folder() -> Path:
    """The folder of this user's authority."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "leapcell-emulator"


def host_name(project: str) -> str:
    """Return the host name of a project: `my-shop.leapcell.localhost` for the folder `My Shop`."""
    label = re.sub(r"[^a-z0-9]+", "-", project.lower()).strip("-")[:_LONGEST_NAME].strip("-")
    return f"{label or 'app'}.{DOMAIN}"


class Authority:
    """The authority in a folder, which is made with it where there is none."""

    def __init__(self, folder: Path) -> None:
        """Raises `AuthorityUnusable`."""
        kept = folder / "authority"
        self.certificate = kept / "root.pem"
        """The certificate that browsers have to trust."""
        key = kept / "root.key"
        try:
            if not self.certificate.is_file():
                _make(folder, kept)
            self._authority = trustme.CA.from_pem(self.certificate.read_bytes(), key.read_bytes())
        except (OSError, ValueError, TypeError) as error:
            raise AuthorityUnusable(
                f"The certificate authority in {kept} cannot be used: {error}.",
                hint="Delete the folder; the next start makes another, which browsers do not trust yet.",
            ) from error

    def server_context(self, name: str, folder: Path) -> ssl.SSLContext:
        """Return TLS for a server of this name and of loopback, with a new certificate; the folder gets its files."""
        until = dt.datetime.now(dt.UTC) + dt.timedelta(days=_CERTIFICATE_DAYS)
        issued = self._authority.issue_cert(name, "localhost", "127.0.0.1", not_after=until)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.NamedTemporaryFile(dir=folder) as pem:  # which only its owner can read
            pem.write(issued.private_key_and_cert_chain_pem.bytes())
            pem.flush()
            context.load_cert_chain(pem.name)
        return context

    def bundle(self, folder: Path) -> Path:
        """Write the authority beside the public ones to a file, for programs that read its name from a variable."""
        path = folder / "authorities.pem"
        public = ssl.get_default_verify_paths().cafile or certifi.where()
        path.write_bytes(Path(public).read_bytes() + b"\n" + self.certificate.read_bytes())
        return path


def _make(folder: Path, kept: Path) -> None:
    """Make an authority, at once or not at all; another emulator may be doing the same."""
    folder.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=folder))
    try:
        key = ec.generate_private_key(ec.SECP256R1())
        (made / "root.pem").write_bytes(_certificate(key).public_bytes(serialization.Encoding.PEM))
        with open(made / "root.key", "wb", opener=_private) as file:
            file.write(
                key.private_bytes(
                    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
                )
            )
        with contextlib.suppress(OSError):  # the other was quicker
            made.rename(kept)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _certificate(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "LeapCell emulator on this machine")])
    now = dt.datetime.now(dt.UTC)
    usage = dict.fromkeys(
        (
            "digital_signature",
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    allowed: list[x509.GeneralName] = [
        x509.DNSName("localhost"),
        x509.IPAddress(ipaddress.ip_network("127.0.0.0/8")),
        x509.IPAddress(ipaddress.ip_network("::1/128")),
    ]
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))  # clocks differ
        .not_valid_after(now + dt.timedelta(days=365 * _AUTHORITY_YEARS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.KeyUsage(key_cert_sign=True, crl_sign=True, **usage), critical=True)
        .add_extension(x509.NameConstraints(permitted_subtrees=allowed, excluded_subtrees=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
