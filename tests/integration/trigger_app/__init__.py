"""An app with tasks whose effects are lines of a file."""
