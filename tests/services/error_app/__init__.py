"""An app whose pages and tasks fail."""
