"""Accounts: sign-in, roles, permissions and the audit log."""

PAGES = {
    "account": ("/account/sessions", "/account/sign-out-everywhere", "/account/tokens"),
    "routes": ("/login", "/logout", "/protected", "/api/token"),
    "management": ("/oppman/users", "/oppman/change-password", "/oppman/user-management"),
}
