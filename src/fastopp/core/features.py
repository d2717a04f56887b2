"""The features of the framework, by name: they lie above `core`, and are imported when one is used."""

from __future__ import annotations

FEATURES = tuple(
    f"fastopp.features.{name}"
    for name in (
        "accounts", "admin", "database_backups", "debug", "emergency", "files", "health", "jobs", "migrations", "setup",
    )
)  # fmt: skip
