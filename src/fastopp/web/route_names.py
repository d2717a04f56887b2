"""The name of a request's route: its template, like `/products/{id}`. There are few of them, however many paths."""

from __future__ import annotations

from fastapi.routing import APIRoute
from starlette.routing import Route
from starlette.types import Scope

from fastopp.web.doors import selected_routes

BELOW = "/{path}"  # of what a mounted application answers without a route, like a file


class RouteNames:
    """Finds the names of routes, each once."""

    def __init__(self) -> None:
        # By identity, since routes are compared by their values; with the route, so that the identity stays its own.
        self._known: dict[int, tuple[APIRoute, str]] = {}

    def name(self, scope: Scope, root_path: str) -> str:
        """Return the name of the route that was selected for a request; empty if there is none.

        Parameters
        ----------
        root_path: that of the request as it came. A mounted application adds its own path.
        """
        route = scope.get("route")
        mount: str = scope.get("root_path", "")[len(root_path) :]
        if mount:
            return mount + (route.path_format if isinstance(route, Route) else BELOW)
        if isinstance(route, APIRoute):
            if id(route) not in self._known:
                found = selected_routes(scope)  # with the prefixes of all routers that it was included in
                self._known[id(route)] = route, (found[0].path if found else None) or route.path_format
            return self._known[id(route)][1]
        return route.path_format if isinstance(route, Route) else ""
