"""Mail: written from templates, queued in the request's transaction, and sent by a task."""

PAGES = {"routes": ("/oppman/mail",)}
