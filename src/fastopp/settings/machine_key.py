"""The key that signs sessions on a developer's machine, where none is set."""

from __future__ import annotations

import hashlib
import uuid
from pathlib import Path


def machine_key() -> str:
    """Return a development key that is stable across restarts, yet published nowhere."""
    try:
        machine = Path("/etc/machine-id").read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        machine = str(uuid.getnode())
    return hashlib.sha256(f"fastopp development key|{machine.strip()}|{Path.cwd()}".encode()).hexdigest()
