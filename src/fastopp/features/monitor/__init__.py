"""The monitor: figures of requests, tasks and instances, kept in the database, their page, and /metrics."""

OPERATIONS = {"routes": ("/metrics",)}
PAGES = {"page": ("/oppman/monitor",)}
