"""The second factor: codes of an app on a phone (TOTP), and recovery codes."""

PAGES = {
    "routes": ("/account/second-factor",),
    "step": ("/login/second-factor",),
    "management": ("/oppman/reset-factor",),
}
