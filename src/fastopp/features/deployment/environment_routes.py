"""Whether this site has the variables that the caller has, by fingerprints."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field

from fastopp.core.app_settings import app_settings
from fastopp.core.dependencies import RuntimeDep
from fastopp.errors import Conflict
from fastopp.features.accounts.detached import DetachedOperator
from fastopp.features.deployment.fingerprints import NONCE_BYTES, Verdict, compare
from fastopp.platforms.settings import SET_BY_PLATFORMS
from fastopp.settings import read_variables
from fastopp.web.api_docs import problems

router = APIRouter(prefix="/debug", tags=["debug"], responses=problems(401, 403, 409))

Hexadecimal = Annotated[str, Field(pattern=f"^[0-9a-f]{{{2 * NONCE_BYTES},64}}$")]
Name = Annotated[str, Field(min_length=1, max_length=100)]


class NoOpsToken(Conflict):
    """The site has no OPS_TOKEN, from which the key of the fingerprints is made."""

    hint = "Set OPS_TOKEN where the site runs."


class Question(BaseModel):
    """The fingerprints of the caller's variables."""

    nonce: Hexadecimal
    variables: dict[Name, Hexadecimal] = Field(max_length=300)


class Outcome(BaseModel):
    """The result of the comparison, by names alone."""

    variables: dict[str, Verdict]
    extra: list[str]


@router.post("/environment", summary="Compare variables by fingerprints; no value is sent")
async def compare_environment(question: Question, runtime: RuntimeDep, operator: DetachedOperator) -> Outcome:
    """A fingerprint is an HMAC-SHA256 of a name and a value, under a key made from OPS_TOKEN and the nonce."""
    token = runtime.settings.ops_token.get_secret_value()
    if not token:
        raise NoOpsToken
    variables, ours = await asyncio.to_thread(read_variables, app_settings=app_settings(runtime.apps))
    known = [name for name in ours if name.lower() not in SET_BY_PLATFORMS]
    found = compare(question.variables, variables, known, token, bytes.fromhex(question.nonce))
    return Outcome(variables=found.verdicts, extra=found.extra)
