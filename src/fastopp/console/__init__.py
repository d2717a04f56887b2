"""What commands share: printing, asking, failing, options, and the project in the current folder."""
