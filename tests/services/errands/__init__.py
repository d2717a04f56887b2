"""An app of tasks for tests; what they do is written into the table `effects`."""
