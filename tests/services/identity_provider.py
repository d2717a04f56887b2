"""An OpenID Connect provider on loopback, and GitHub: real HTTP, its own key, codes for one use, PKCE; and lies."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, urlencode

import uvicorn
from anyio import to_thread
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from joserfc.jws import JWSRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

CLIENT_ID = "shop"
CLIENT_SECRET = "s3cret-of-the-client-0123456789"
PERSON = {"sub": "248289761001", "email": "jo@provider.example", "email_verified": True, "name": "Jo Doe"}
PATHS = {
    "discovery": "/.well-known/openid-configuration",
    "authorize": "/authorize",
    "token": "/token",
    "keys": "/keys",
    "user info": "/userinfo",
    "github authorize": "/login/oauth/authorize",
    "github token": "/login/oauth/access_token",
    "github user": "/api/v3/user",
    "github emails": "/api/v3/user/emails",
}


@cache
def _rsa(name: str) -> RSAKey:
    """A key of this process: making one takes a tenth of a second."""
    return RSAKey.generate_key(2048, {"kid": name, "use": "sig"})


@dataclass
class IdentityProvider:
    """Its state, and how it lies or fails."""

    time: Callable[[], float]
    port: int = 0
    person: dict[str, Any] = field(default_factory=lambda: dict(PERSON))
    """The claims of whoever signs in; None removes one. GitHub has the same person, whose number is `sub`."""
    claims: dict[str, Any] = field(default_factory=dict)
    """Instead of the right ones in the next ID tokens; None removes one."""
    algorithm: str = "RS256"
    key: str = "first"
    announced_key: str | None = None
    """Of the key set, if another than the one that signs."""
    document: dict[str, Any] = field(default_factory=dict)
    """Instead of the right ones in the discovery document; None removes one."""
    statuses: dict[str, int] = field(default_factory=dict)
    """Of answers, by the names of PATHS."""
    bodies: dict[str, bytes] = field(default_factory=dict)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    """What does not answer until the end."""
    registered: set[str] = field(default_factory=set)
    """Redirect URIs; any if there are none."""
    emails: list[dict[str, Any]] | None = None
    """At GitHub, if others than the person's."""
    asked: list[str] = field(default_factory=list)
    authorized: list[dict[str, str]] = field(default_factory=list)
    codes: dict[str, dict[str, Any]] = field(default_factory=dict)
    tokens: dict[str, dict[str, Any]] = field(default_factory=dict)
    waiting: threading.Event = field(default_factory=threading.Event)
    """Set when something silent was asked for."""
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def count(self, name: str) -> int:
        return self.asked.count(PATHS[name])

    def authorize(self, address: str) -> str:
        """Sign the person in as its page would, for tests without a browser: the address that it redirects to."""
        path, _, query = address.removeprefix(self.issuer).partition("?")
        wanted = dict(parse_qsl(query, strict_parsing=True))
        assert path in (PATHS["authorize"], PATHS["github authorize"])
        self.authorized.append(wanted)
        assert wanted["response_type"] == "code"
        assert wanted["client_id"] == CLIENT_ID
        assert wanted["code_challenge_method"] == "S256"
        assert len(wanted["state"]) >= 22
        assert not self.registered or wanted["redirect_uri"] in self.registered
        code = secrets.token_urlsafe(16)
        self.codes[code] = wanted | {"person": dict(self.person)}
        answer = {"code": code, "state": wanted["state"]}
        if path == PATHS["authorize"]:
            assert "openid" in wanted["scope"].split()
            assert len(wanted["nonce"]) >= 22
            answer["iss"] = self.issuer
        return f"{wanted['redirect_uri']}?{urlencode(answer)}"

    def redeem(self, form: dict[str, str], client_id: str, client_secret: str) -> dict[str, Any] | str:
        """Return the tokens for a code, or the error."""
        if (client_id, client_secret) != (CLIENT_ID, CLIENT_SECRET):
            return "invalid_client"
        known = self.codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if known is None or known["redirect_uri"] != form.get("redirect_uri") or known["code_challenge"] != challenge:
            return "invalid_grant"
        token = secrets.token_urlsafe(16)
        self.tokens[token] = known["person"]
        return {"access_token": token, "token_type": "Bearer", "nonce": known.get("nonce")}

    def id_token(self, person: dict[str, Any], nonce: str | None) -> str:
        """Sign an ID token, right or wrong."""
        now = int(self.time())
        claims = {"iss": self.issuer, "aud": CLIENT_ID, "iat": now, "exp": now + 300, "nonce": nonce}
        claims = {name: value for name, value in (claims | person | self.claims).items() if value is not None}
        rsa = _rsa(self.key)
        header = {"alg": self.algorithm, "kid": rsa.kid}
        if self.algorithm == "RS256":
            return jwt.encode(header, claims, rsa, registry=JWSRegistry(algorithms=[self.algorithm]))
        # What no library would sign.
        head, body = (_plain(json.dumps(part).encode()) for part in (header, claims))
        if self.algorithm == "none":
            return f"{head}.{body}."
        return f"{head}.{body}.{_plain(hmac.digest(rsa.as_pem(private=False), f'{head}.{body}'.encode(), 'sha256'))}"

    def discovery(self) -> dict[str, Any]:
        document = {
            "issuer": self.issuer,
            "authorization_endpoint": self.issuer + PATHS["authorize"],
            "token_endpoint": self.issuer + PATHS["token"],
            "jwks_uri": self.issuer + PATHS["keys"],
            "userinfo_endpoint": self.issuer + PATHS["user info"],
            "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
            "authorization_response_iss_parameter_supported": True,
        }
        return {name: value for name, value in (document | self.document).items() if value is not None}


def _plain(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def _application(provider: IdentityProvider) -> Starlette:
    async def authorize(request: Request) -> Response:
        return RedirectResponse(provider.authorize(f"{provider.issuer}{request.url.path}?{request.url.query}"), 302)

    async def token(request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode()))
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        client_id, _, client_secret = (
            base64.b64decode(given).decode().partition(":") if scheme == "Basic" else ("",) * 3
        )
        found = provider.redeem(form, client_id, client_secret)
        if isinstance(found, str):
            return JSONResponse({"error": found}, 401 if found == "invalid_client" else 400)
        found["id_token"] = provider.id_token(provider.tokens[found["access_token"]], found.pop("nonce"))
        return JSONResponse(found)

    async def github_token(request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode()))
        found = provider.redeem(form, form.get("client_id", ""), form.get("client_secret", ""))
        return JSONResponse({"error": "bad_verification_code"} if isinstance(found, str) else found)

    def person_of(request: Request) -> dict[str, Any]:
        return provider.tokens[request.headers["authorization"].removeprefix("Bearer ")]

    async def user_info(request: Request) -> Response:
        return JSONResponse(person_of(request))

    async def github_user(request: Request) -> Response:
        person = person_of(request)
        return JSONResponse(
            {"id": int(person["sub"]), "login": "jo", "name": person["name"], "email": "public@x.example"}
        )

    async def github_emails(request: Request) -> Response:
        person = person_of(request)
        primary = {"email": person["email"], "primary": True, "verified": person["email_verified"]}
        other = {"email": "other@provider.example", "primary": False, "verified": True}
        return JSONResponse([other, primary] if provider.emails is None else provider.emails)

    async def keys(request: Request) -> Response:
        announced = KeySet([_rsa(provider.announced_key or provider.key)])
        return JSONResponse(announced.as_dict(private=False))

    async def discovery(request: Request) -> Response:
        return JSONResponse(provider.discovery())

    handlers = (discovery, authorize, token, keys, user_info, authorize, github_token, github_user, github_emails)

    def faulty(name: str, handler: Callable[[Request], Any]) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            provider.asked.append(request.url.path)
            if name in provider.silent:
                provider.waiting.set()
                await to_thread.run_sync(provider.over.wait)
            headers = provider.headers.get(name)
            if name in provider.statuses or name in provider.bodies:
                return Response(provider.bodies.get(name, b"{}"), provider.statuses.get(name, 200), headers)
            response: Response = await handler(request)
            response.headers.update(headers or {})
            return response

        return answer

    pairs = zip(PATHS.items(), handlers, strict=True)
    return Starlette(
        routes=[Route(path, faulty(name, handler), methods=["GET", "POST"]) for (name, path), handler in pairs]
    )


@contextmanager
def identity_provider(time: Callable[[], float]) -> Iterator[IdentityProvider]:
    """Run one in a thread."""
    provider = IdentityProvider(time)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        provider.port = listening.getsockname()[1]
        config = uvicorn.Config(_application(provider), lifespan="off", log_config=None, access_log=False)
        server = uvicorn.Server(config)
        listening.listen()
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield provider
        finally:
            provider.over.set()
            server.should_exit = True
            thread.join()
