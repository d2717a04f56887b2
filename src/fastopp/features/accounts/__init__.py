"""Who may sign in, and what they may do."""

PAGES = {
    "routes": ("/login", "/logout", "/protected", "/api/token"),
    "management": ("/oppman/users", "/oppman/change-password", "/oppman/user-management"),
}
