"""Digests of secrets: what is stored in place of them."""

from __future__ import annotations

import hashlib


def of(*parts: str) -> str:
    """
    SHA-256 over `parts`, in hexadecimal.

    Each part goes in behind its length, so that ("ab", "c") and ("a", "bc") differ.
    Only for values of at least 128 random bits: a password wants argon2.
    """
    digest = hashlib.sha256()
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(4, "big"))
        digest.update(encoded)
    return digest.hexdigest()
