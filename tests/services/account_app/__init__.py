"""An app whose rows belong to accounts."""
