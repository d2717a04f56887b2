"""The routes of tasks for programs, in the order in which they are tried."""

from __future__ import annotations

from fastapi import APIRouter

from fastopp.features.jobs import api, drain, triggers

router = APIRouter()
# A task's name is the last part of a trigger's address, so triggers come after what has a fixed one.
for module in (api, drain, triggers):
    router.include_router(module.router)
