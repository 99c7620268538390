"""Access tokens of WeCom's, sealed in the database and shared by all processes."""

from __future__ import annotations

import wecom
from models import WecomToken, database, digests
from services.clock import Clock
from services.vault import CannotOpen, Vault

_SAVE = """
INSERT INTO wecom_tokens (key, sealed, sealed_key_id, digest, expires_at)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (key) DO UPDATE SET sealed = excluded.sealed,
    sealed_key_id = excluded.sealed_key_id, digest = excluded.digest,
    expires_at = excluded.expires_at
RETURNING key
"""


class WecomTokens:
    """What `wecom.Client` keeps its tokens in; see `wecom.TokenStore`."""

    def __init__(self, *, vault: Vault, clock: Clock) -> None:
        self._vault = vault
        self._clock = clock

    async def load(self, key: str) -> wecom.StoredToken | None:
        row = await WecomToken.get_or_none(key=key)
        if row is None or row.expires_at <= self._clock():
            return None
        try:
            value = self._vault.open(row.sealed, row.sealed_key_id, place=place(key))
        except CannotOpen:
            return None  # WeCom gives another one.
        return wecom.StoredToken(value, row.expires_at)

    async def save(self, key: str, token: wecom.StoredToken) -> None:
        sealed = self._vault.seal(token.value, place=place(key))
        await database.fetch(
            _SAVE,
            key,
            sealed.ciphertext,
            sealed.key_id,
            digests.of(token.value),
            token.expires_at,
        )

    async def drop(self, key: str, token: wecom.StoredToken) -> None:
        await WecomToken.filter(key=key, digest=digests.of(token.value)).delete()

    async def prune(self) -> int:
        """Delete those that have expired."""
        return await WecomToken.filter(expires_at__lte=self._clock()).delete()


def place(key: str) -> str:
    """What a token is sealed for."""
    return f"wecom_tokens.sealed/{key}"
