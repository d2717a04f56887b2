"""Sign-up and invitations, where SIGN_UP allows them."""

PAGES = {
    "routes": ("/sign-up",),
    "invitation_routes": ("/invitation",),
    "management": ("/oppman/invitations",),
}
