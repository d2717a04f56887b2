"""Pages that send a mail."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from fastopp import BadRequest, MailDep, SessionDep
from fastopp.features.accounts.models import FailedAttempt

router = APIRouter()


@router.post("/orders")
async def order(mail: MailDep, session: SessionDep, to: str, name: str = "Jo", *, refuse: bool = False) -> Any:
    session.add(FailedAttempt(subject=f"order of {to}"))
    rows = await mail.send("mail_app/mail/order", to.split(","), name=name)
    if refuse:
        raise BadRequest
    return {"mails": [row.id for row in rows]}


@router.get("/orders")
async def remind(mail: MailDep, to: str) -> Any:
    return {"mails": [row.id for row in await mail.send("mail_app/mail/order", to, name="Jo")]}
