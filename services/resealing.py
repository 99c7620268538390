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

    async def run(self) -> int:
        """
        :returns: how many secrets were moved.
        :raises CannotOpen: one of them is under a key that is configured no more.
        """
        # They are fetched anew when they are needed.
        await WecomToken.exclude(sealed_key_id=self._vault.current).delete()
        return await self._keys.reseal() + await self._sources()

    async def _sources(self) -> int:
        rows = await IdentitySource.exclude(secret_key_id=self._vault.current)
        for row in rows:
            place = secret_place(row.id)
            secret = self._vault.open(row.secret_sealed, row.secret_key_id, place=place)
            sealed = self._vault.seal(secret, place=place)
            # An administrator may have changed the secret since it was read.
            await IdentitySource.filter(
                id=row.id, secret_updated_at=row.secret_updated_at
            ).update(secret_sealed=sealed.ciphertext, secret_key_id=sealed.key_id)
        return len(rows)
