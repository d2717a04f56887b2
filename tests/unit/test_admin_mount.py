"""The admin's place in the application: how its pages link to each other and to the rest of the site."""

from __future__ import annotations

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, NoMatchFound, Route, Router

from fastopp.features.admin.mount import Links


def answer(request: Request) -> Response:
    return Response()


def test_links_are_those_of_the_application_with_the_admin_first() -> None:
    admin = Mount("/admin", routes=[Route("/{identity}/list", answer, name="list")], name="admin")
    links = Links(admin, Router([Route("/shop/{item}", answer, name="shop"), admin]))
    assert links.url_path_for("admin:list", identity="user") == "/admin/user/list"
    assert links.url_path_for("shop", item="lamp") == "/shop/lamp"
    for name in ("admin:none", "none"):
        with pytest.raises(NoMatchFound):
            links.url_path_for(name)
