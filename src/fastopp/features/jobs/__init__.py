"""Tasks over HTTP: triggers, drain, and the task page."""

OPERATIONS = {"routes": ("/async",)}
PAGES = {"page": ("/oppman/tasks",)}
