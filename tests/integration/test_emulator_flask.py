"""A project of another framework: the emulator is for any."""

from __future__ import annotations

from tests.services.emulator import running


async def test_flask_runs_under_the_same_rules() -> None:
    async with running("plain_flask") as service:
        assert {(await service.client.get("/")).text for _ in range(4)} == {"Flask"}
        assert (await service.client.post("/notes")).status_code == 500
        assert "notes.txt was written to: on LeapCell only /tmp can be." in service.said
