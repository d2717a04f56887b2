"""An app with a task."""
