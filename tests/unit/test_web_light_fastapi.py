"""FastAPI is lighter than it comes, and does what it did."""

from __future__ import annotations

import subprocess
import sys
import warnings

import pytest
from fastapi import FastAPI
from fastapi.exceptions import PydanticV1NotSupportedError

from fastopp.web.light_fastapi import import_fastapi

ROUTE = """
import sys
from fastopp.web.light_fastapi import import_fastapi
import_fastapi()
from fastapi import FastAPI
application = FastAPI()
@application.get("/")
def answer() -> dict[str, str]: ...
assert "pydantic.v1" not in sys.modules
"""


def test_the_document_of_the_api_is_still_checked_by_its_models() -> None:
    program = ROUTE + 'print(application.openapi()["paths"]["/"]["get"]["operationId"])'
    run = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert run.stdout == "answer__get\n"


def test_a_model_of_the_first_version_is_still_refused() -> None:
    import_fastapi()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of pydantic, on Pythons that the first version does not know
        from pydantic import v1

    class Old(v1.BaseModel):
        name: str

    with pytest.raises(PydanticV1NotSupportedError):
        FastAPI().get("/", response_model=Old)(lambda: None)
