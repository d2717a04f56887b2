"""A certificate authority made for this run, and a certificate of its for this machine."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from pathlib import Path

import certifi
import trustme


class Certificates:
    """The PEM files of an authority, and of a certificate that it issued for these names."""

    def __init__(self, folder: Path, *, names: Sequence[str] = ("localhost", "127.0.0.1")) -> None:
        authority = trustme.CA()
        self.root = folder / "root.pem"
        authority.cert_pem.write_to_path(str(self.root))
        self.certificate, self.key = folder / "server.pem", folder / "server.key"
        issued = authority.issue_cert(*names)
        issued.private_key_pem.write_to_path(str(self.key))
        self.key.chmod(0o600)  # libpq refuses a key that others may read
        for index, pem in enumerate(issued.cert_chain_pems):
            pem.write_to_path(str(self.certificate), append=index > 0)

    def server_context(self) -> ssl.SSLContext:
        """For a server that shows the certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context

    def bundle(self) -> Path:
        """The authority beside the public ones, in a file for SSL_CERT_FILE, by which clients trust it unconfigured."""
        path = self.root.with_name("authorities.pem")
        public = ssl.get_default_verify_paths().cafile or certifi.where()
        path.write_bytes(Path(public).read_bytes() + b"\n" + self.root.read_bytes())
        return path
