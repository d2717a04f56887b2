"""What is particular to each database driver."""
