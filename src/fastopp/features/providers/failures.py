"""The page of a sign-in that failed. It leads to the sign-in page, and not back to an address that is spent."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from fastopp.errors import FastOppError, Unauthorized
from fastopp.web.answers import NO_STORE, prefers_html
from fastopp.web.templating import render


class SignInRoute(APIRoute):
    """A route whose errors have a separate page. An address with a code or a link is repeated nowhere."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap FastAPI's own handler."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await handler(request)
            except Unauthorized:
                raise
            except FastOppError as error:
                if not prefers_html(request):
                    raise
                headers = NO_STORE | dict(error.headers)
                context = {"message": error.message, "hint": error.hint}
                return render(request, "providers/failed.html", context, status_code=error.status, headers=headers)

        return handle
