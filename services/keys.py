"""
The server's own keys: ES256 for access tokens, HMAC for states and refresh tokens.

They stand in the database, sealed, so that every process has the same. A new signing
key is published at once and signs later, when no cached JWKS lacks it any more. An old
one stays for as long as a phone may send along a token that it signed: a token that
has expired counts as none, but only if it was one.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import json
import logging
import secrets
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from joserfc.jwk import ECKey

from models import KeyPurpose, ServerKey, database, ids
from services.clock import Clock
from services.vault import CannotOpen, Vault

logger = logging.getLogger(__name__)

# JWKS may be cached for five minutes; twice that passes before a new key signs.
PUBLISHED_BEFORE_USE = timedelta(minutes=10)

# How stale another process's view may be when it signs or verifies: less than a new key
# is published before it signs.
REFRESHED_EVERY = timedelta(minutes=1)

# The longest that an app may set.
LONGEST_ACCESS_TOKEN = timedelta(hours=1)
LONGEST_SESSION = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """
    An ES256 key; its id is the token's `kid`.

    `private` is None where this process lacks the key that it is sealed under: what it
    has signed elsewhere verifies all the same.
    """

    id: uuid.UUID
    private: ECKey | None = field(repr=False)
    public: ECKey = field(repr=False)
    jwk: dict[str, str]
    active_from: datetime
    verifies_until: datetime | None

    def counts(self, now: datetime) -> bool:
        """Whether something that it signed can still be good."""
        return self.verifies_until is None or now < self.verifies_until


@dataclass(frozen=True, slots=True)
class DerivingKey:
    """An HMAC key; whatever it derives can be derived again, but not guessed."""

    id: uuid.UUID
    secret: bytes = field(repr=False)
    active_from: datetime

    def derive(self, purpose: str, *parts: str) -> bytes:
        """256 bits that depend on the key, the purpose and each part."""
        mac = hmac.new(self.secret, digestmod=hashlib.sha256)
        for part in (purpose, *parts):
            encoded = part.encode("utf-8", "surrogatepass")
            mac.update(len(encoded).to_bytes(4, "big") + encoded)
        return mac.digest()


class NoKey(LookupError):
    """No key of the purpose is there: `hefu migrate` makes the first ones."""


class Keys:
    """The keys as this process last read them, at most a minute ago."""

    def __init__(self, *, vault: Vault, clock: Clock) -> None:
        self._vault = vault
        self._clock = clock
        self._signing: dict[uuid.UUID, SigningKey] = {}
        self._deriving: dict[uuid.UUID, DerivingKey] = {}
        self._read_at: datetime | None = None

    async def signing(self) -> tuple[uuid.UUID, ECKey]:
        """
        The key that signs now, and its id: the newest that is active.

        Where none is yet (a clock that is behind the one by which the first key was
        made), the oldest.

        :raises CannotOpen: it is sealed under a key that is not configured here.
        :raises NoKey: `hefu migrate` was not run.
        """
        await self._refresh()
        if not self._signing:
            raise NoKey("There is no signing key: run `hefu migrate`.")
        now = self._clock()
        keys = sorted(self._signing.values(), key=lambda key: key.active_from)
        active = [key for key in keys if key.active_from <= now] or keys[:1]
        for key in reversed(active):
            if key.private is not None:
                return key.id, key.private
        raise CannotOpen("No signing key can be opened with the configured keys.")

    async def verifying(self, kid: str) -> SigningKey | None:
        """The key that `kid` names, also one whose signatures count no more."""
        id = _uuid(kid)
        if id is None:
            return None
        await self._refresh(missing=id not in self._signing)
        return self._signing.get(id)

    async def published(self) -> list[dict[str, str]]:
        """
        The JWKS (RFC 7517): every key whose signatures count now or soon.

        Read anew each time: a new key is published at once, by every process.
        """
        await self._read()
        now = self._clock()
        return [key.jwk for key in self._signing.values() if key.counts(now)]

    async def deriving(self) -> DerivingKey:
        """
        The HMAC key for what is made now.

        :raises NoKey: `hefu migrate` was not run.
        """
        await self._refresh()
        if not self._deriving:
            raise NoKey("There is no deriving key: run `hefu migrate`.")
        return max(self._deriving.values(), key=lambda key: key.active_from)

    async def deriving_by_id(self, id: uuid.UUID) -> DerivingKey | None:
        """The HMAC key that something older was made with."""
        await self._refresh(missing=id not in self._deriving)
        return self._deriving.get(id)

    async def ensure(self) -> None:
        """
        Make the first keys where there are none.

        Of many processes that start at once one succeeds: the number is unique.
        """
        for purpose in KeyPurpose:
            if not await ServerKey.filter(purpose=purpose).exists():
                try:
                    await self._make(purpose, number=1, active_from=self._clock())
                except database.Taken:
                    continue

    async def rotate_signing(self) -> datetime:
        """
        Publish a new signing key, and say when it begins to sign.

        The old one verifies until the last token that it may sign has expired.
        """
        active_from = self._clock() + PUBLISHED_BEFORE_USE
        while True:
            keys = ServerKey.filter(purpose=KeyPurpose.SIGNING)
            newest = await keys.order_by("-number").first()
            number = newest.number + 1 if newest else 1
            try:
                await self._succeed(number, active_from)
            except database.Taken:
                continue  # Somebody rotated at this very moment: theirs is older.
            return active_from

    async def prune(self) -> int:
        """
        Delete the signing keys of which no living session can hold a token.

        Deleted when their signatures no longer count, a phone that sends its expired
        token along could not refresh any more: its token would be nobody's.
        """
        over = self._clock() - LONGEST_SESSION
        keys = ServerKey.filter(purpose=KeyPurpose.SIGNING)
        return await keys.filter(verifies_until__lte=over).delete()

    async def reseal(self) -> tuple[int, int]:
        """
        Seal every key anew under the vault's first key.

        :returns: how many were, and how many do not open.
        """
        left = 0
        rows = await ServerKey.exclude(sealed_key_id=self._vault.current)
        for row in rows:
            sealed = self._vault.reseal(
                row.sealed, row.sealed_key_id, place=_place(row)
            )
            if sealed is None:
                left += 1
                continue
            await ServerKey.filter(id=row.id).update(
                sealed=sealed.ciphertext, sealed_key_id=sealed.key_id
            )
        return len(rows) - left, left

    async def _succeed(self, number: int, active_from: datetime) -> None:
        # Another process may sign with the old key until it reads the new one.
        last_expiry = active_from + REFRESHED_EVERY + LONGEST_ACCESS_TOKEN
        async with database.transaction():
            await self._make(KeyPurpose.SIGNING, number, active_from=active_from)
            await ServerKey.filter(
                purpose=KeyPurpose.SIGNING,
                number__lt=number,
                verifies_until__isnull=True,
            ).update(verifies_until=last_expiry)

    async def _make(
        self, purpose: KeyPurpose, number: int, *, active_from: datetime
    ) -> None:
        id = ids.new()
        public, secret = _generate(purpose, id)
        row = ServerKey(
            id=id,
            purpose=purpose,
            number=number,
            public_jwk=public,
            created_at=self._clock(),
            active_from=active_from,
        )
        sealed = self._vault.seal(secret, place=_place(row))
        row.sealed, row.sealed_key_id = sealed.ciphertext, sealed.key_id
        await row.save(force_create=True)
        self._read_at = None

    async def _refresh(self, *, missing: bool = False) -> None:
        now = self._clock()
        if self._read_at and now - self._read_at < REFRESHED_EVERY and not missing:
            return
        # Anybody may send a `kid` that is not there: asked for at most once a second.
        if missing and self._read_at and now - self._read_at < timedelta(seconds=1):
            return
        await self._read()

    async def _read(self) -> None:
        now = self._clock()
        rows = await ServerKey.all()
        signing = [row for row in rows if row.purpose is KeyPurpose.SIGNING]
        deriving = [row for row in rows if row.purpose is KeyPurpose.DERIVING]
        self._signing = {row.id: self._open_signing(row) for row in signing}
        self._deriving = {row.id: self._open_deriving(row) for row in deriving}
        self._read_at = now

    def _open_signing(self, row: ServerKey) -> SigningKey:
        known = self._signing.get(row.id)
        jwk = json.loads(row.public_jwk or "{}")
        return SigningKey(
            row.id,
            (known.private if known else None) or self._open_private(row),
            known.public if known else ECKey.import_key(jwk),
            jwk,
            row.active_from,
            row.verifies_until,
        )

    def _open_private(self, row: ServerKey) -> ECKey | None:
        try:
            return ECKey.import_key(json.loads(self._open(row)))
        except CannotOpen:
            logger.warning("A signing key is sealed under a key that is not configured")
            return None

    def _open_deriving(self, row: ServerKey) -> DerivingKey:
        known = self._deriving.get(row.id)
        secret = known.secret if known else base64.b64decode(self._open(row))
        return DerivingKey(row.id, secret, row.active_from)

    def _open(self, row: ServerKey) -> str:
        return self._vault.open(row.sealed, row.sealed_key_id, place=_place(row))


def _generate(purpose: KeyPurpose, id: uuid.UUID) -> tuple[str | None, str]:
    if purpose is KeyPurpose.DERIVING:
        return None, base64.b64encode(secrets.token_bytes(32)).decode()
    key = ECKey.generate_key("P-256", private=True)
    public = key.as_dict(private=False, kid=str(id), use="sig", alg="ES256")
    return json.dumps(public), json.dumps(key.as_dict(private=True))


def _place(row: ServerKey) -> str:
    return f"server_keys.sealed/{row.id}"


@functools.lru_cache(maxsize=64)
def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
