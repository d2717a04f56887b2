"""Build an application from settings, apps and features, and own the resources of a process."""
