"""Liveness, health and the status page."""
