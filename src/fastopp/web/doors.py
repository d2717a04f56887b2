"""Doors: who may call a route, decided before the body of the request is read.

FastAPI reads and parses a body before it solves dependencies, so a caller without any right could have megabytes
parsed. A dependency that guards routes therefore also has a *door*: a function of the request alone that raises what
the dependency would raise. `BodyMiddleware` calls it when the body is first asked for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

from fastapi import params
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Match
from starlette.types import Scope

from fastopp.errors import FastOppError

Door = Callable[[Request], Awaitable[object]]
Dependency = TypeVar("Dependency", bound=Callable[..., Any])

_ATTRIBUTE = "__fastopp_door__"


class BodyRefused(HTTPException):
    """The caller may not call the route. FastAPI lets only an HTTPException through while it reads a body."""

    def __init__(self, error: FastOppError) -> None:
        super().__init__(error.status)
        self.error = error


def guarded_by(door: Door) -> Callable[[Dependency], Dependency]:
    """Give a dependency its door; a decorator."""

    def attach(dependency: Dependency) -> Dependency:
        setattr(dependency, _ATTRIBUTE, door)
        return dependency

    return attach


def selected_routes(scope: Scope) -> list[RouteContext]:
    """Return the FastAPI route that the application has selected for a request, with all that applies to it.

    More than one only if a router is included several times and the paths overlap.
    """
    route = scope.get("route")
    if not isinstance(route, APIRoute):
        return []
    found = [context for context in iter_route_contexts(scope["app"].routes) if context.original_route is route]
    return found if len(found) < 2 else [context for context in found if context.matches(scope)[0] is Match.FULL]


def doors_of(dependant: Dependant) -> Iterator[Door]:
    """Yield the doors of a route. What is behind a door is not looked at: the door does it all."""
    for dependency in dependant.dependencies:
        door: Door | None = getattr(dependency.call, _ATTRIBUTE, None)
        if door is None:
            yield from doors_of(dependency)
        else:
            yield door


def takes_form(route: RouteContext) -> bool:
    """Return whether the route declares a form."""
    return route.body_field is not None and isinstance(route.body_field.field_info, params.Form)


def takes_file(dependant: Dependant) -> bool:
    """Return whether a route or one of its dependencies declares an uploaded file."""
    own = any(isinstance(field.field_info, params.File) for field in dependant.body_params)
    return own or any(takes_file(dependency) for dependency in dependant.dependencies)
