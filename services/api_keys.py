"""
API keys: made, shown once, found again by their digest, revoked.

A key is `hefu_`, 43 characters of base62 that hold 256 random bits, and six that hold
the CRC-32 of those: a scanner tells a leaked key from noise without asking anybody, and
a mistyped one is refused without asking the database.
"""

from __future__ import annotations

import re
import secrets
import string
import uuid
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from models import ApiKey, Role, database, digests, ids
from models.gathered import Gathered
from services import owners
from services.audit import Audit
from services.batches import among
from services.callers import Caller, Origin
from services.clock import Clock
from services.errors import InputErrorCode, Unauthenticated, rejected
from services.errors import UnauthenticatedReason as Reason
from services.forms import NOT_FOUND, Form
from services.language import Text
from services.pages import Where

PREFIX = "hefu_"
ALPHABET = string.digits + string.ascii_letters
# 62 ** 43 is just above 2 ** 256, and 62 ** 6 above 2 ** 32.
BODY_LENGTH = 43
CHECKSUM_LENGTH = 6
PREFIX_LENGTH = len(PREFIX) + 6

# Every use would be a write otherwise.
USE_NOTED = timedelta(minutes=1)

_FORM = re.compile(
    rf"{PREFIX}([0-9A-Za-z]{{{BODY_LENGTH}}})([0-9A-Za-z]{{{CHECKSUM_LENGTH}}})"
)

_NO_MEMBER = Text(
    "An API key is VIEWER, ADMIN or OWNER.", "API 密钥的角色为 VIEWER、ADMIN 或 OWNER。"
)
_PAST = Text("This must lie in the future.", "此时间须晚于当前时间。")

_NOTE_USE = """
UPDATE api_keys SET last_used_at = $1
WHERE id = $2 AND (last_used_at IS NULL OR last_used_at <= $3) RETURNING id
"""


@dataclass(frozen=True, slots=True)
class Made:
    """A new key, and its secret for the only time."""

    api_key: ApiKey
    secret: str = field(repr=False)


class ApiKeys:
    """Keys for back ends and consoles, each acting with its role."""

    def __init__(self, *, audit: Audit, clock: Clock) -> None:
        self._audit = audit
        self._clock = clock
        self._rows: Gathered[str, Any] = Gathered(_load)

    async def create(
        self,
        caller: Caller,
        *,
        name: str,
        role: Role,
        expires_at: datetime | None = None,
    ) -> Made:
        """
        :raises InputRejected: with everything that is wrong.
        """
        caller.require(Role.OWNER)
        return await self._create(caller, name, role, expires_at)

    async def create_from_console(
        self, name: str, role: Role, expires_at: datetime | None = None
    ) -> Made:
        """
        For whoever has a shell on this machine, and so may read the database anyway.

        :raises InputRejected: with everything that is wrong.
        """
        console = Caller(Origin(request_id=ids.new().hex, ip_address="127.0.0.1"))
        return await self._create(console, name, role, expires_at, by_system=True)

    async def revoke(self, caller: Caller, id: str) -> ApiKey:
        """
        End a key at once; one that was revoked before stays as it is.

        :raises InputRejected: NOT_FOUND, or LAST_OWNER.
        """
        caller.require(Role.OWNER)
        now = self._clock()
        async with database.transaction():
            key = await self._locked(ids.read(ids.API_KEY, id))
            if key.revoked_at is not None:
                return key
            key.revoked_at = now
            await key.save(update_fields=["revoked_at"])
            await self._record(caller, "api_key.revoked", key, ["revokedAt"])
            if key.role is Role.OWNER and not _has_expired(key, now):
                await owners.keep_one("id", now=now)
        return key

    async def all(self, caller: Caller) -> list[ApiKey]:
        """Every key, oldest first, revoked and expired ones among them."""
        caller.require(Role.OWNER)
        return await ApiKey.all().order_by("created_at", "id")

    async def find(self, secret: str) -> ApiKey:
        """
        The key that `secret` is, for authentication.

        :raises Unauthenticated: it is malformed, unknown, revoked or expired.
        """
        if not is_well_formed(secret):
            raise Unauthenticated(Reason.INVALID)
        # Each request reads an object of its own, which it may change.
        row = await self._rows.get(digests.of(secret))
        key = database.read(ApiKey, row, "api_key") if row else None
        if key is None:
            raise Unauthenticated(Reason.INVALID)
        now = self._clock()
        if key.revoked_at is not None:
            raise Unauthenticated(Reason.REVOKED)
        if _has_expired(key, now):
            raise Unauthenticated(Reason.EXPIRED)
        await self._note_use(key, now)
        return key

    async def _create(
        self,
        caller: Caller,
        name: str,
        role: Role,
        expires_at: datetime | None,
        *,
        by_system: bool = False,
    ) -> Made:
        now = self._clock()
        form = Form()
        name = form.line("name", name)
        if role is Role.MEMBER:
            form.refuse("role", InputErrorCode.OUT_OF_RANGE, _NO_MEMBER)
        if expires_at is not None and expires_at <= now:
            form.refuse("expiresAt", InputErrorCode.OUT_OF_RANGE, _PAST)
        form.check()
        secret = new_secret()
        key = ApiKey(
            id=ids.new(),
            name=name,
            role=role,
            digest=digests.of(secret),
            prefix=secret[:PREFIX_LENGTH],
            created_at=now,
            expires_at=expires_at,
        )
        async with database.transaction():
            await key.save(force_create=True)
            await self._record(
                caller,
                "api_key.created",
                key,
                ["name", "role", "expiresAt"],
                by_system=by_system,
            )
        return Made(key, secret)

    async def _locked(self, id: uuid.UUID | None) -> ApiKey:
        """Until the transaction ends nobody else changes it."""
        found = ApiKey.select_for_update().get_or_none(id=id) if id else None
        key = await found if found else None
        if key is None:
            raise rejected("id", InputErrorCode.NOT_FOUND, NOT_FOUND)
        return key

    async def _note_use(self, key: ApiKey, now: datetime) -> None:
        if key.last_used_at is None or key.last_used_at <= now - USE_NOTED:
            await database.fetch(_NOTE_USE, now, key.id, now - USE_NOTED)
            key.last_used_at = now

    async def _record(
        self,
        caller: Caller,
        action: str,
        key: ApiKey,
        changed: list[str],
        *,
        by_system: bool = False,
    ) -> None:
        await self._audit.record(
            caller,
            action,
            subject=ids.show(ids.API_KEY, key.id),
            changed=changed,
            by_system=by_system,
        )


async def _load(wanted: Sequence[str]) -> dict[str, Any]:
    """Keys by their digests."""
    where = Where()
    sought = among(where, "api_key.digest", wanted)
    columns = database.columns(ApiKey, "api_key")
    rows = await database.look_up(
        f"SELECT {columns} FROM api_keys api_key WHERE {sought}", *where.values
    )
    return {row["api_key.digest"]: row for row in rows}


def new_secret() -> str:
    """A key as it is shown, once."""
    body = _base62(secrets.randbits(256), BODY_LENGTH)
    return PREFIX + body + _checksum(body)


def is_well_formed(secret: str) -> bool:
    """Whether it may be a key: whoever mistypes one costs no statement."""
    match = _FORM.fullmatch(secret)
    return match is not None and _checksum(match[1]) == match[2]


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), CHECKSUM_LENGTH)


def _base62(number: int, length: int) -> str:
    digits = ""
    for _ in range(length):
        number, digit = divmod(number, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits


def _has_expired(key: ApiKey, now: datetime) -> bool:
    return key.expires_at is not None and key.expires_at <= now
