"""Several services under one address, by path."""

from __future__ import annotations

import pytest

from leapcell_emulator.errors import BadRequest
from leapcell_emulator.routes import find_route, read_routes
from tests.services.emulator import running


async def test_paths_of_another_service() -> None:
    async with running("plain_http", instances=1) as other:
        routes = (f"/api={other.emulator.url}", "/gone=http://127.0.0.1:9")
        async with running("plain_fastapi", instances=1, routes=routes) as service:
            assert (await service.client.get("/api/cats?n=1")).text.endswith(" /api/cats")
            assert (await service.client.post("/api", content=b"x" * 10_000)).text.endswith(" /api")
            assert (await service.client.get("/apis")).status_code == 404  # this service's own
            answer = await service.client.get("/gone")
            assert (answer.status_code, "The service at http://127.0.0.1:9" in answer.text) == (502, True)
            rows = [(row.path, row.status, row.instance) for row in service.emulator.journal.requests]
            assert rows[-1] == ("/gone", 502, "127.0.0.1:9")
            # The rules of the other are its own.
            refused = await service.client.get("/api", headers={"X-Long": "x" * 20_000})
            assert refused.status_code == 431
        assert [row.path for row in other.emulator.journal.requests] == ["/api/cats?n=1", "/api"]


def test_the_longest_path_decides() -> None:
    routes = read_routes(["/=http://127.0.0.1:1", "/a/b/=http://127.0.0.1:3", "/a=http://127.0.0.1:2"])

    def port(path: str) -> int | None:
        route = find_route(routes, path)
        return route.url.port if route else None

    found = [port(path) for path in ("/", "/x", "/a", "/ab", "/a/b", "/a/b/c", "/a/bc")]
    assert found == [1, 1, 2, 1, 3, 3, 2]


@pytest.mark.parametrize(
    "texts",
    [
        ["api=http://127.0.0.1:1"],
        ["/api"],
        ["/api=https://127.0.0.1:1"],
        ["/api=http://127.0.0.1:x"],
        ["/api=http://127.0.0.1:1", "/api/=http://127.0.0.1:2"],
        [f"/{number}=http://127.0.0.1:1" for number in range(11)],
    ],
)
def test_routes_that_are_refused(texts: list[str]) -> None:
    with pytest.raises(BadRequest):
        read_routes(texts)
