"""FastAPI without what it imports or builds for the few applications that need it.

FastAPI is left as it is in what it does; it only does two things later, or not at all where they are not needed:

- it describes /openapi.json by forty pydantic models, and has their validators built as it is imported;
- it imports the whole of pydantic.v1, to refuse models of it in routes.

Without this module the demo's first page on SQLite takes 40 ms more of processor time, of 620, and a process on
PostgreSQL has 2.8 MiB more after ten pages: 1.89 times a bare FastAPI instead of 1.84. `script/bench startup` aims at
1.8, so the memory is why this module is kept.
"""

from __future__ import annotations

import sys
from types import ModuleType

from pydantic import BaseModel, ConfigDict


def import_fastapi() -> None:
    """Import FastAPI with `defer_build`, pydantic's setting by which a model is built when it is first used.

    It is set for all models while FastAPI is imported, since FastAPI's have no common base to set it on. A model
    that another thread defined in this moment would merely be built later too; pydantic does that under its own lock.
    """
    if "fastapi" in sys.modules:
        return
    config = BaseModel.model_config
    BaseModel.model_config = ConfigDict(defer_build=True)
    try:
        import fastapi._compat.shared  # noqa: PLC0415 - in the one moment that this is about
    finally:
        BaseModel.model_config = config
    _ask_for_v1_where_it_is_used(fastapi._compat.shared)  # noqa: SLF001 - there is no other way in


def _ask_for_v1_where_it_is_used(shared: ModuleType) -> None:
    """While pydantic.v1 is not imported, nothing can be a model of it, and FastAPI need not import it to know."""
    name = "is_pydantic_v1_model_class"
    ask = getattr(shared, name, None)
    if ask is not None:  # FastAPI means to remove it
        setattr(shared, name, lambda cls: "pydantic.v1" in sys.modules and ask(cls))
