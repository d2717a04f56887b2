"""Jobs from the outside: queued, read, changed, in the transaction of whoever asks."""
