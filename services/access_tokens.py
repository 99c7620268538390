"""
Access tokens: JWTs by RFC 9068, signed with ES256.

What a verifier must not be talked into is refused before any library sees it: other
algorithms (RFC 8725, 3.1), keys that the token brings along (`jwk`, `jku`, `x5u`,
`x5c`), critical extensions, a name that stands twice and means two things. And a token
has one spelling: canonical base64, and of a signature's two forms the smaller.
"""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import json
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, cast

import orjson
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from models import Session, ids
from services.clock import Clock
from services.errors import Unauthenticated, UnauthenticatedReason
from services.keys import Keys

ALGORITHM = "ES256"
TYPE = "at+jwt"

# Of other machines' clocks; our own expiry is taken as it stands.
LEEWAY = timedelta(seconds=10)

# Ours have about 600 characters.
LONGEST = 2048

# Of the tokens used last it is remembered that their signatures verify.
REMEMBERED = 4096

# The order of P-256 (FIPS 186-5; SEC 2, 2.4.2): where (r, s) verifies, so does
# (r, order - s), which anybody can compute.
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_HALF = 32

_ECDSA = ec.ECDSA(hashes.SHA256())

_HEADER = {"typ", "alg", "kid"}
_TEXTS = ("iss", "sub", "aud", "client_id", "jti", "sid")


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What a token that verifies says."""

    session_id: str
    app_id: str
    expired: bool


class _Verified(NamedTuple):
    """What can be said of a token for good: its signature never ceases to fit."""

    kid: str
    session_id: str
    app_id: str
    begins: datetime
    ends: datetime


class AccessTokens:
    """Signs them and verifies them."""

    def __init__(self, *, keys: Keys, clock: Clock, issuer: str) -> None:
        self._keys = keys
        self._clock = clock
        self._issuer = issuer
        self._verified: OrderedDict[bytes, _Verified] = OrderedDict()

    async def sign(self, session: Session, *, lifetime: timedelta) -> tuple[str, int]:
        """
        A token for `session`, and the seconds that it lasts.

        It never outlives the session, so that whoever verifies it elsewhere cannot
        take it for longer than the session can possibly live.
        """
        kid, key = await self._keys.signing()
        now = self._clock()
        expires_at = min(now + lifetime, session.expires_at)
        app_id = ids.show(ids.APP, session.app_id)
        issued, expires = int(now.timestamp()), int(expires_at.timestamp())
        claims = {
            "iss": self._issuer,
            "sub": ids.show(ids.USER, session.user_id),
            "aud": app_id,
            "client_id": app_id,
            "iat": issued,
            "exp": expires,
            "jti": secrets.token_urlsafe(16),
            "sid": ids.show(ids.SESSION, session.id),
        }
        signed = b"%b.%b" % (_header(str(kid)), _encoded(orjson.dumps(claims)))
        token = b"%b.%b" % (signed, _encoded(_signature(signed, key)))
        return token.decode(), max(expires - issued, 0)

    async def verify(self, token: str) -> AccessToken:
        """
        :raises Unauthenticated: INVALID, whatever is wrong with it but its age.
        """
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        found = self._verified.get(digest) or await self._open(token)
        key = await self._keys.verifying(found.kid)
        if key is None:
            raise _invalid()
        self._remember(digest, found)
        now = self._clock()
        if found.begins > now + LEEWAY:
            raise _invalid()
        expired = found.ends <= now
        if not expired and not key.counts(now):
            raise _invalid()
        return AccessToken(found.session_id, found.app_id, expired)

    def _remember(self, digest: bytes, found: _Verified) -> None:
        self._verified[digest] = found
        self._verified.move_to_end(digest)
        if len(self._verified) > REMEMBERED:
            self._verified.popitem(last=False)

    async def _open(self, token: str) -> _Verified:
        """What a token says whose form, signature and claims are right."""
        header, claims, signature = _parse(token)
        if header.keys() != _HEADER or header["typ"] != TYPE:
            raise _invalid()
        if header["alg"] != ALGORITHM or not isinstance(header["kid"], str):
            raise _invalid()
        if int.from_bytes(signature[_HALF:]) > _ORDER // 2:
            raise _invalid()
        key = await self._keys.verifying(header["kid"])
        if key is None:
            raise _invalid()
        try:
            jwt.decode(token, key.public, algorithms=[ALGORITHM])
        except (JoseError, ValueError):
            raise _invalid() from None
        return self._read(header["kid"], claims)

    def _read(self, kid: str, claims: dict[str, Any]) -> _Verified:
        if not all(isinstance(claims.get(name), str) for name in _TEXTS):
            raise _invalid()
        if claims["iss"] != self._issuer or claims["aud"] != claims["client_id"]:
            raise _invalid()
        begins = max(_moment(claims, name) for name in ("iat", "nbf"))
        ends = _moment(claims, "exp")
        return _Verified(kid, claims["sid"], claims["aud"], begins, ends)


def _moment(claims: dict[str, Any], name: str) -> datetime:
    if name not in claims and name == "nbf":
        return datetime.fromtimestamp(0, UTC)
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int):
        raise _invalid()
    try:
        return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        raise _invalid() from None


def _parse(token: str) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    if len(token) > LONGEST or not token.isascii() or token.count(".") != 2:  # noqa: PLR2004
        raise _invalid()
    header, claims, signature = token.split(".")
    return _object(header), _object(claims), _decode(signature)


@functools.lru_cache(maxsize=16)
def _header(kid: str) -> bytes:
    return _encoded(orjson.dumps({"typ": TYPE, "alg": ALGORITHM, "kid": kid}))


def _signature(signed: bytes, key: ECKey) -> bytes:
    """
    RFC 7518, 3.4, and of its two forms the smaller.

    By joserfc a token took 255 µs of a busy CPU, and takes 70 so: it looks through its
    registries for what is always the same, and its signature had to be taken apart.
    """
    private = cast("ec.EllipticCurvePrivateKey", key.private_key)
    r, s = decode_dss_signature(private.sign(signed, _ECDSA))
    return r.to_bytes(_HALF) + min(s, _ORDER - s).to_bytes(_HALF)


def _encoded(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def _object(part: str) -> dict[str, Any]:
    try:
        found = json.loads(_decode(part), object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise _invalid() from None
    if not isinstance(found, dict):
        raise _invalid()
    return found


def _decode(part: str) -> bytes:
    """Base64url, in the one spelling that RFC 4648 (3.5) calls canonical."""
    try:
        raw = base64.b64decode(
            part + "=" * (-len(part) % 4), altchars="-_", validate=True
        )
    except binascii.Error:
        raise _invalid() from None
    if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() != part:
        raise _invalid()
    return raw


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("A name stands twice.")
    return found


def _invalid() -> Unauthenticated:
    return Unauthenticated(UnauthenticatedReason.INVALID)
