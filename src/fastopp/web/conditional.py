"""`ConditionalDep`: answer 304 before a page is rendered, if the client has this version of it."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Annotated

from fastapi import Depends, FastAPI, Request, Response

from fastopp.core.dependencies import get_runtime
from fastopp.web import csrf_tokens
from fastopp.web.entity_tags import has, tag_of_version
from fastopp.web.middleware.conditional import DECLARED
from fastopp.web.middleware.headers import is_personal
from fastopp.web.templating import reader_of_request

FRAGMENT_HEADERS = ("hx-request", "hx-target")


class NotModified(Exception):
    """The client has this version of the answer. Answered with 304."""


class Conditional:
    """Compares versions of an answer; see `ConditionalDep`."""

    def __init__(self, request: Request) -> None:
        self._request = request

    def check(self, *version: object, modified: datetime | None = None, public: bool = False, max_age: int = 0) -> None:
        """Declare the version of the answer. Raises NotModified if the client has it.

        The release of the project, the account, the language and the parts for htmx belong to the version by
        themselves. Load the account before.

        Parameters
        ----------
        version: what the answer depends on, like an id and the time of a change. Texts, numbers, dates.
        modified: when it was changed last, for `Last-Modified`.
        public: caches between the server and the browser may keep it. Ignored for a client that is signed in.
        max_age: seconds for which a copy need not be checked.
        """
        request = self._request
        shared = public and not is_personal(request.scope)
        tag = tag_of_version(*map(str, version), str(modified), *self._circumstances())
        scope = "public" if shared else "private"
        declared = {
            "ETag": tag,
            "Cache-Control": f"{scope}, max-age={max_age}" if max_age else f"{scope}, no-cache",
            "Vary": ", ".join(vary_of(request, FRAGMENT_HEADERS)),
        }
        if modified is not None:
            declared["Last-Modified"] = format_datetime(modified.astimezone(UTC), usegmt=True)
        setattr(request.state, DECLARED, declared)
        if request.method in ("GET", "HEAD") and has(request.headers.get("if-none-match", ""), tag):
            raise NotModified

    def _circumstances(self) -> tuple[object, ...]:
        """Return what pages depend on beside what a handler knows."""
        request = self._request
        reader = reader_of_request(request)
        user = getattr(request.state, "user", None)
        return (
            get_runtime(request).shared_cache.code_version(),
            reader.language,
            str(reader.zone),
            str(getattr(user, "id", None)),
            # Another session has another token in the forms of its pages.
            csrf_tokens.session_of(request).get(csrf_tokens.SESSION_KEY),
            csrf_tokens.has_token_cookie(request),
            *(request.headers.get(name) for name in FRAGMENT_HEADERS),
        )


def vary_of(request: Request, names: tuple[str, ...] = ()) -> list[str]:
    """Return the headers that choose between answers at an address: the account's, the language's, and further ones."""
    languages = ["Accept-Language"] if len(get_runtime(request).settings.offered_languages) > 1 else []
    return ["Cookie", *languages, *("-".join(part.upper() if part == "hx" else part.title() for part in name.split("-"))
                                   for name in names)]  # fmt: skip


async def _conditional(request: Request) -> Conditional:
    """Dependency: `conditional.check(version)` raises 304 if the client has this version."""
    return Conditional(request)


ConditionalDep = Annotated[Conditional, Depends(_conditional)]


async def answer_not_modified(request: Request, error: Exception) -> Response:
    """Return a 304. The middleware has the headers."""
    return Response(status_code=304, headers=getattr(request.state, DECLARED, {}))


def install(app: FastAPI) -> None:
    """Have NotModified answered."""
    app.add_exception_handler(NotModified, answer_not_modified)
