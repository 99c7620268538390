"""Encrypting everything anew under the first of HEFU_SECRET_KEYS."""

from __future__ import annotations

from models import IdentitySource, WecomToken
from services.keys import Keys
from services.sources import secret_place
from services.vault import Vault


class Resealing:
    """
    Moves every sealed secret to the vault's first key.

    Processes that do not know that key yet cannot open what was moved: it is added to
    all of them, as the second, before it is made the first anywhere.
    """

    def __init__(self, *, vault: Vault, keys: Keys) -> None:
        self._vault = vault
        self._keys = keys

    async def run(self) -> tuple[int, int]:
        """
        :returns: how many secrets were moved, and how many were left: they are under a
            key that is configured no more.
        """
        # They are fetched anew when they are needed.
        await WecomToken.exclude(sealed_key_id=self._vault.current).delete()
        keys, keys_left = await self._keys.reseal()
        sources, sources_left = await self._sources()
        return keys + sources, keys_left + sources_left

    async def _sources(self) -> tuple[int, int]:
        left = 0
        rows = await IdentitySource.exclude(secret_key_id=self._vault.current)
        for row in rows:
            sealed = self._vault.reseal(
                row.secret_sealed, row.secret_key_id, place=secret_place(row.id)
            )
            if sealed is None:
                left += 1
                continue
            # An administrator may have changed the secret since it was read.
            await IdentitySource.filter(
                id=row.id, secret_updated_at=row.secret_updated_at
            ).update(secret_sealed=sealed.ciphertext, secret_key_id=sealed.key_id)
        return len(rows) - left, left
