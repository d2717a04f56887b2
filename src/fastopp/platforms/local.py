"""A developer's own machine, or any server that no other platform claims."""

from __future__ import annotations

from fastopp.platforms.base import Platform

LOCAL = Platform(name="local", title="Local")
