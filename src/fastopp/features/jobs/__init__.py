"""Tasks over HTTP: triggers, drain, the task page and metrics."""
