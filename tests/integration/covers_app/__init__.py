"""An app of one's own with uploaded files: one column says whose they are (`uploads_under`), the other does not."""
