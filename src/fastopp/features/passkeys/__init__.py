"""Passkeys (WebAuthn): sign in with a phone, a security key or the lock of a computer. They need an extra."""

PAGES = {"routes": ("/account/passkeys",), "sign_in": ("/login/passkey",)}
