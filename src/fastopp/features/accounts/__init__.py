"""Who may sign in, and what they may do."""

PAGES = {"routes": (), "management": ("/oppman/users", "/oppman/change-password", "/oppman/user-management")}
