"""
Secrets that must be read back: sealed under one of HEFU_SECRET_KEYS.

AES-256-GCM (NIST SP 800-38D) with a random nonce of 96 bits, bound to the row that the
ciphertext stands in: copied to another row, it does not open.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_SIZE = 32
NONCE_SIZE = 12


class UnreadableKey(ValueError):
    """A key that is not base64 of 32 bytes; the text never repeats it."""


class CannotOpen(Exception):
    """A sealed secret whose key is gone, or that was not sealed for this place."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A ciphertext, and which key it wants."""

    ciphertext: bytes
    key_id: str


@dataclass(frozen=True, slots=True)
class _Key:
    id: str
    cipher: AESGCM = field(repr=False)


class Vault:
    """
    Seals under the first key, opens under any.

    :raises UnreadableKey: naming the position of the one that is no key.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        if not keys:
            raise UnreadableKey("There is no key.")
        self._keys = [_key(text, place) for place, text in enumerate(keys, start=1)]
        self._by_id = {key.id: key for key in self._keys}

    @property
    def current(self) -> str:
        """The id of the key that seals."""
        return self._keys[0].id

    def seal(self, secret: str, *, place: str) -> Sealed:
        """Seal `secret` for `place`, e.g. `identity_sources.secret/src_01kb…`."""
        key = self._keys[0]
        nonce = os.urandom(NONCE_SIZE)
        sealed = key.cipher.encrypt(nonce, secret.encode(), place.encode())
        return Sealed(nonce + sealed, key.id)

    def open(self, ciphertext: bytes, key_id: str, *, place: str) -> str:
        """
        :raises CannotOpen: the key is gone, or the ciphertext was moved or changed.
        """
        key = self._by_id.get(key_id)
        if key is None:
            raise CannotOpen("No configured key has this id.")
        nonce, sealed = ciphertext[:NONCE_SIZE], ciphertext[NONCE_SIZE:]
        try:
            return key.cipher.decrypt(nonce, sealed, place.encode()).decode()
        except InvalidTag:
            raise CannotOpen("It was sealed for another place, or changed.") from None

    def reseal(self, ciphertext: bytes, key_id: str, *, place: str) -> Sealed | None:
        """The same under the first key; None where it does not open."""
        try:
            secret = self.open(ciphertext, key_id, place=place)
        except CannotOpen:
            return None
        return self.seal(secret, place=place)


def _key(text: str, place: int) -> _Key:
    try:
        raw = base64.b64decode(text.strip(), validate=True)
    except (ValueError, binascii.Error):
        raw = b""
    if len(raw) != KEY_SIZE:
        raise UnreadableKey(f"Key {place} is not base64 of {KEY_SIZE} bytes.")
    return _Key(hashlib.sha256(b"hefu key id\0" + raw).hexdigest()[:16], AESGCM(raw))
