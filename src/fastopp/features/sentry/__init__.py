"""Errors for Sentry; the extra `fastopp[sentry]`."""
