"""The last one who may do everything cannot be taken away."""

from __future__ import annotations

from datetime import datetime

from models import Role, UserStatus, database
from services.errors import InputErrorCode, rejected
from services.language import Text

LAST_OWNER = Text(
    "This is the last active owner, account or API key: make another one first.",
    "这是最后一个有效的所有者（账号或 API 密钥），请先设置另一个所有者。",
)

# Any number, the same in every process.
_LOCK = 0x6F776E657273

_ACTIVE = """
SELECT 1 AS found WHERE EXISTS (
    SELECT 1 FROM users WHERE role = $1 AND status = $2
) OR EXISTS (
    SELECT 1 FROM api_keys WHERE role = $1 AND revoked_at IS NULL
        AND (expires_at IS NULL OR expires_at > $3)
)
"""


async def keep_one(path: str, *, now: datetime) -> None:
    """
    Refuse a change after which nobody active would be OWNER.

    Call it in the change's transaction, as its last step, after an active owner was
    demoted, disabled, deleted or revoked. Two who take away each other meet at the lock
    (SQLite's transactions are one at a time anyhow), and the second one sees what the
    first has done.

    :param path: below `input`: what the refusal points at.
    :raises InputRejected: LAST_OWNER; the transaction must not be committed then.
    """
    if database.dialect() == "postgres":
        await database.fetch("SELECT pg_advisory_xact_lock($1)", _LOCK)
    if await database.fetch_one(_ACTIVE, Role.OWNER, UserStatus.ACTIVE, now) is None:
        raise rejected(path, InputErrorCode.LAST_OWNER, LAST_OWNER)
