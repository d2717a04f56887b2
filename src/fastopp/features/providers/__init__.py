"""Sign-in with GitHub, Google and any OpenID Connect provider. Without their settings there are no such pages."""

PAGES = {"routes": ("/login/with",), "account": ("/account/providers",)}
