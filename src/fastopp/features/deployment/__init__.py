"""Deployments on any platform: files, releases, and whether a site has the settings that it should have."""

OPERATIONS = {"environment_routes": ("/debug/environment",)}
