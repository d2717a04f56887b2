"""/account: what users manage themselves: profile, address, password, sessions, API tokens, export and deletion."""

PAGES = {"routes": ("/account",)}
