"""The demo's accounts, which show what roles and groups may do."""
