"""The peers: the least that FastAPI can be."""

from __future__ import annotations

from fastapi import FastAPI

hello = FastAPI()


@hello.get("/")
async def say_hello() -> dict[str, str]:
    """A bare FastAPI hello."""
    return {"hello": "world"}
