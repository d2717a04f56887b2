"""Liveness, health and the status page."""

from fastopp.platforms.base import HEALTH_PATHS

OPERATIONS = {"routes": (*sorted(HEALTH_PATHS), "/health", "/robots.txt", "/database-status")}
