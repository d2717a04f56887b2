"""FastAPI without the validators of its API document, until somebody reads that document.

FastAPI describes /openapi.json by forty pydantic models and has their validators built as it is imported: 1.3 MiB and
50 ms of every cold start, for a page that few processes are asked for.
"""

from __future__ import annotations

import sys

from pydantic import BaseModel, ConfigDict


def import_fastapi() -> None:
    """Import FastAPI with `defer_build`, pydantic's setting by which a model is built when it is first used.

    It is set for all models while FastAPI is imported, since FastAPI's have no base of their own to set it on. A model
    that another thread defined in this moment would merely be built later too; pydantic does that under its own lock.
    """
    if "fastapi" in sys.modules:
        return
    config = BaseModel.model_config
    BaseModel.model_config = ConfigDict(defer_build=True)
    try:
        import fastapi  # noqa: F401, PLC0415 - in the one moment that this is about
    finally:
        BaseModel.model_config = config
