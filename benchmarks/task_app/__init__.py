"""An app whose tasks are measured."""
