"""An app with a probe and a rule, whose outcomes a test sets."""
