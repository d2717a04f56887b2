"""A new password by mail, for those who forgot theirs."""

PAGES = {"routes": ("/forgot-password", "/reset-password")}
