"""The particulars of each database driver."""
