"""Queue, read and change jobs, in the caller's transaction."""
