"""The record of a restore over HTTP, in the audit log that was restored: who did it, and from what."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import Request
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.core.runtime import Runtime
from fastopp.database.errors import DatabaseUnavailable, TablesMissing
from fastopp.features.accounts import audit
from fastopp.features.accounts.client import client_address
from fastopp.features.accounts.current_user import holds_ops_token
from fastopp.features.accounts.models import User

if TYPE_CHECKING:
    from fastopp.features.database_backups.dump.restore import Restored  # it imports Alembic

logger = logging.getLogger(__name__)


def sha256_of(path: Path) -> str:
    """Return the checksum of a file. Blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


async def record_restore(
    runtime: Runtime, request: Request, operator: User | None, done: Restored, *, source: str, digest: str
) -> None:
    """Write a restore to the log and to the restored audit log.

    An entry belongs to an account. Where the operator has none in the restored database, it is filed under the first
    superuser; `by` says who it was. A database without a superuser has the log line only.
    """
    changes: dict[str, Any] = {
        "by": _who(runtime, request, operator),
        "source": source,
        "sha256": digest,
        "revision": done.revision,
        "rows": sum(done.rows.values()),
    }
    extra = {"action": "database_restored", "address": client_address(request), **changes}
    logger.warning("Database restored from %s by %s", source, changes["by"], extra=extra)
    try:
        async with runtime.database.transaction() as session:
            account = await _account(session, operator)
            if account is not None:
                await audit.record(session, account, "restore", "database", source, changes, request)
    except (TablesMissing, DatabaseUnavailable) as error:
        # The restore itself is committed, so its answer is that it worked.
        logger.warning("The restore is not in the audit log: %s", type(error).__name__)


def _who(runtime: Runtime, request: Request, operator: User | None) -> str:
    if operator is not None:
        return operator.email
    return "OPS_TOKEN" if holds_ops_token(request, runtime.settings) else "local development"


async def _account(session: AsyncSession, operator: User | None) -> User | None:
    if operator is not None and (same := await session.get(User, operator.id)) is not None:
        return same
    superusers = select(User).where(col(User.is_superuser).is_(other=True)).order_by(col(User.email)).limit(1)
    return (await session.exec(superusers)).first()
