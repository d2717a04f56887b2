"""The work: taken from the queue, run, and ended."""
