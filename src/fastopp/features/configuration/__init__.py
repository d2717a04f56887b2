"""The settings, the secrets and the list of apps of a project: their commands and checks."""
