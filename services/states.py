"""
The state of a login: signed, bound to everything that it is for, stored nowhere.

It travels through WeCom's app and back. Fed to a victim, or caught on the way together
with the code, it is of no use without the verifier that never leaves the device
(RFC 7636; RFC 9700, 2.1.1).

Its 72 bytes: what it holds (1), when it was issued (5, seconds), a nonce (18), the id
of the key (16), and a MAC (32) over these, its purpose, app, source, session and
challenge: what both sides know anyway need not travel.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from services.clock import Clock
from services.keys import Keys
from services.refusals import StateInvalid

LIFETIME = timedelta(minutes=10)

# What the clocks of two machines may differ by.
LEEWAY = timedelta(seconds=10)

# RFC 7636, 4.1: at most 128 characters.
LONGEST_VERIFIER = 128

_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_SIZE = 72
_HEAD = 40
_KEY = slice(24, 40)
_PLAIN = 1
_CHALLENGED = 2


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a state is good for; `session_id` where a session links an identity."""

    app_id: uuid.UUID
    source_id: uuid.UUID
    session_id: uuid.UUID | None = None

    def __str__(self) -> str:
        return f"{'link' if self.session_id else 'login'} {self.session_id}"


class States:
    """Issues states and checks them."""

    def __init__(self, *, keys: Keys, clock: Clock) -> None:
        self._keys = keys
        self._clock = clock

    async def issue(
        self, purpose: Purpose, challenge: str | None
    ) -> tuple[str, datetime]:
        """
        A state for one login, and when it expires.

        :raises StateInvalid: the challenge is not BASE64URL(SHA256(…)).
        """
        if challenge is not None and not _CHALLENGE.fullmatch(challenge):
            raise StateInvalid("state.challenge_malformed")
        key = await self._keys.deriving()
        # It holds whole seconds, and so is promised for as long as it is good.
        now = self._clock().replace(microsecond=0)
        head = (
            bytes([_PLAIN if challenge is None else _CHALLENGED])
            + int(now.timestamp()).to_bytes(5, "big")
            + secrets.token_bytes(18)
            + key.id.bytes
        )
        mac = key.derive("state", *_parts(head, purpose, challenge))
        return base64.urlsafe_b64encode(head + mac).decode(), now + LIFETIME

    async def check(
        self,
        state: str,
        purpose: Purpose,
        verifier: str | None,
        *,
        challenged: bool,
    ) -> None:
        """
        :param challenged: whether only a state that was issued for a challenge counts.
        :raises StateInvalid: it is forged, too old, for something else, or does not go
            with the verifier.
        """
        raw = _decode(state)
        if (raw[0] == _CHALLENGED) != (verifier is not None):
            raise StateInvalid("state.verifier_mismatch")
        if challenged and verifier is None:
            raise StateInvalid("state.unchallenged")
        head = raw[:_HEAD]
        key = await self._keys.deriving_by_id(uuid.UUID(bytes=raw[_KEY]))
        challenge = _challenge(verifier) if verifier is not None else None
        if key is None or not hmac.compare_digest(
            key.derive("state", *_parts(head, purpose, challenge)), raw[_HEAD:]
        ):
            raise StateInvalid("state.mismatch")
        issued_at = datetime.fromtimestamp(int.from_bytes(raw[1:6], "big"), UTC)
        if not -LEEWAY <= self._clock() - issued_at <= LIFETIME:
            raise StateInvalid("state.expired")


def _decode(state: str) -> bytes:
    try:
        raw = base64.b64decode(state, altchars="-_", validate=True)
    except (ValueError, binascii.Error):
        raw = b""
    if len(raw) != _SIZE or raw[0] not in {_PLAIN, _CHALLENGED}:
        raise StateInvalid("state.malformed")
    # One state, one spelling: or the same one would be spent twice.
    if base64.urlsafe_b64encode(raw).decode() != state:
        raise StateInvalid("state.malformed")
    return raw


def _challenge(verifier: str) -> str:
    if not verifier.isascii() or len(verifier) > LONGEST_VERIFIER:
        raise StateInvalid("state.verifier_mismatch")
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _parts(head: bytes, purpose: Purpose, challenge: str | None) -> tuple[str, ...]:
    app, source = str(purpose.app_id), str(purpose.source_id)
    return head.hex(), str(purpose), app, source, challenge or ""
