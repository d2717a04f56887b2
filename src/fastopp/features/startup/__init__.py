"""Checks of a project's own code: what would stop its start, or fail with the first request."""
