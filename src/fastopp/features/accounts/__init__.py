"""Accounts: sign-in, roles, permissions and the audit log."""

PAGES = {
    "routes": ("/login", "/logout", "/protected", "/api/token"),
    "management": ("/oppman/users", "/oppman/change-password", "/oppman/user-management"),
}
