"""Features of the framework. Each is an app: a folder with the file names that a project's apps have."""
