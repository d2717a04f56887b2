"""Tasks over HTTP: triggers, drain, the task page and metrics."""

OPERATIONS = {"routes": ("/async", "/metrics")}
PAGES = {"page": ("/oppman/tasks",)}
