"""Ask a deployed site about itself, for a comparison with this project."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, NamedTuple

from fastopp.console.remote_site import RemoteSite
from fastopp.features.deployment.fingerprints import NONCE_BYTES, Comparison, fingerprints

TIMEOUT = 60.0  # seconds


class Deployed(NamedTuple):
    """A site at one moment."""

    health: dict[str, Any]
    comparison: Comparison

    @property
    def release(self) -> str:
        """The release that answered."""
        return str(self.health.get("release") or "")

    @property
    def revision(self) -> str | None:
        """The migration that its database is at."""
        revision = self.health["checks"].get("migrations", {}).get("current")
        return None if revision is None else str(revision)


def ask_site(url: str, token: str, variables: Mapping[str, str]) -> Deployed:
    """Ask a site. Blocks. Raises what `RemoteSite` raises."""
    with RemoteSite(url, token, timeout=TIMEOUT) as site:
        return Deployed(site.health(), compare_with(site, token, variables))


def compare_with(site: RemoteSite, token: str, variables: Mapping[str, str]) -> Comparison:
    """Have a site compare its variables with these. Blocks. Raises what `RemoteSite` raises."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    question = {"nonce": nonce.hex(), "variables": fingerprints(variables, token, nonce)}
    answer = site.run("/debug/environment", arguments=question)
    return Comparison(dict(answer["variables"]), list(answer["extra"]))
