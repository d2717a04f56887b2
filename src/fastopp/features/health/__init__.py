"""Liveness, health and the status page."""

OPERATIONS = {"routes": ()}
