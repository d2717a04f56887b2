"""The monitor: figures of requests, tasks and instances, kept in the database, and /metrics."""

OPERATIONS = {"routes": ("/metrics",)}
