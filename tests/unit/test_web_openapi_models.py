"""FastAPI is imported without the validators of its API document, and they are there when it is read."""

from __future__ import annotations

import os
import subprocess
import sys

STARTED = """
import asyncio, httpx
from pydantic import BaseModel
from fastopp import FastOpp
from fastopp.settings import load_settings

config = dict(BaseModel.model_config)
app = FastOpp(["demo.products"], settings=load_settings())

async def main():
    transport = httpx.ASGITransport(app)
    async with app.running(), httpx.AsyncClient(transport=transport, base_url="http://localhost") as caller:
"""


def python(code: str, folder: str) -> None:
    environ = os.environ | {"DATABASE_URL": f"sqlite:///{folder}/t.db", "UPLOAD_DIR": f"{folder}/up"}
    command = [sys.executable, "-c", f"{STARTED}{code}\nasyncio.run(main())"]
    process = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert process.returncode == 0, process.stderr


def test_only_fastapis_models_are_built_later(tmp_path):
    python("""
        from fastapi.openapi.models import OpenAPI
        assert not OpenAPI.__pydantic_complete__
        assert BaseModel.model_config == config
        class Another(BaseModel):
            name: str
        assert Another.__pydantic_complete__
""", str(tmp_path))  # fmt: skip


def test_the_api_document_is_there_for_all_who_ask_at_once(tmp_path):
    python("""
        answers = await asyncio.gather(*(caller.get(path) for path in ("/openapi.json", "/docs", "/openapi.json")))
        assert [answer.status_code for answer in answers] == [200, 200, 200], answers
        document = answers[0].json()
        assert document["info"]["title"] == "FastOpp"
        assert "200" in document["paths"]["/api/products"]["get"]["responses"]
""", str(tmp_path))  # fmt: skip
