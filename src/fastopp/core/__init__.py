"""What makes an application of settings, apps and features, and what a process owns."""
