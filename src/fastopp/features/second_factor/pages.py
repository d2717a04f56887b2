"""The page that sets a second factor up, and the one that shows recovery codes: at sign-in, and for signed-in users.

The new secret waits in the browser's session, encrypted, until the first code of the phone confirms it.
"""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import Request, Response
from markupsafe import Markup

from fastopp.core.runtime import Runtime
from fastopp.features.accounts.models import User
from fastopp.features.second_factor.codes import address_of, as_text, new_secret
from fastopp.features.second_factor.encryption import SecretUnreadable, decrypt, encrypt
from fastopp.web.answers import NO_STORE
from fastopp.web.templating import render

KEY = "new_second_factor"  # in the browser's session
MAX_CODE = 64  # characters
QR_SCALE = 5  # pixels of a module


def show_set_up(
    request: Request, runtime: Runtime, user: User, action: str, *, error: str = "", status_code: int = 200
) -> Response:
    """Show the QR code of the secret that waits in the session; a new one if there is none."""
    secret = pending_secret(request, runtime, user)
    if secret is None:
        secret = new_secret()
        request.session[KEY] = encrypt(secret, user.id, runtime.settings)
    text = as_text(secret)
    context = {
        "action": action,
        "qr_code": draw(address_of(secret, user.email, runtime.title)),
        "secret": " ".join(text[start : start + 4] for start in range(0, len(text), 4)),
        "email": user.email,
        "error": error,
    }
    return render(request, "second_factor/set_up.html", context, status_code=status_code, headers=NO_STORE)


def pending_secret(request: Request, runtime: Runtime, user: User) -> bytes | None:
    """Return the secret that waits in the session for its first code."""
    sealed = request.session.get(KEY)
    if not isinstance(sealed, str):
        return None
    try:
        return decrypt(sealed, user.id, runtime.settings)
    except SecretUnreadable:  # of another account that was about to set it up in this browser
        return None


def show_codes(request: Request, codes: Sequence[str], next_page: str) -> Response:
    """Show recovery codes, this once."""
    return render(request, "second_factor/recovery_codes.html", {"codes": codes, "next": next_page}, headers=NO_STORE)


def draw(text: str) -> Markup:
    """Return a QR code as SVG, without styles, which the policy of the page would block."""
    import segno  # noqa: PLC0415 - 30 ms, for this page only

    svg: str = segno.make(text, micro=False).svg_inline(
        scale=QR_SCALE, dark="#000", light="#fff", svgclass=None, lineclass=None
    )
    return Markup(svg)  # noqa: S704 - made here; the text is only in the pattern
