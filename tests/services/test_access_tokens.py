"""What an access token must not be, by a table of forgeries (RFC 8725, RFC 9068)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import ECKey, OctKey, RSAKey

from tests.house import House, Json

ME = "{ me { id } }"
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
INVALID = {"code": "UNAUTHENTICATED", "reason": "INVALID"}


def encoded(value: bytes | str | Json) -> str:
    if isinstance(value, dict):
        value = json.dumps(value)
    raw = value if isinstance(value, bytes) else value.encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


@dataclass
class Genuine:
    """A good token, and the key that signed it: more than any forger has."""

    house: House
    token: str
    key: ECKey
    public: dict[str, str]

    @property
    def parts(self) -> tuple[str, str, str]:
        header, claims, signature = self.token.split(".")
        return header, claims, signature

    @property
    def header(self) -> Json:
        header: Json = json.loads(decoded(self.parts[0]))
        return header

    @property
    def claims(self) -> Json:
        claims: Json = json.loads(decoded(self.parts[1]))
        return claims

    @property
    def signature(self) -> tuple[int, int]:
        raw = decoded(self.parts[2])
        return int.from_bytes(raw[:32]), int.from_bytes(raw[32:])

    def now(self) -> int:
        return int(self.house.clock().timestamp())

    def signed(self, header: str | Json, claims: str | Json) -> str:
        """Any header and any claims, signed with the server's own key."""
        content = f"{encoded(header)}.{encoded(claims)}".encode()
        raw = jws.JWSRegistry.algorithms["ES256"].sign(content, self.key)
        s = int.from_bytes(raw[32:])
        raw = raw[:32] + min(s, ORDER - s).to_bytes(32)
        return f"{content.decode()}.{encoded(raw)}"

    def with_header(self, **changes: Any) -> str:
        header = {**self.header, **changes}
        kept = {name: value for name, value in header.items() if value is not None}
        return self.signed(kept, self.claims)

    def with_claims(self, **changes: Any) -> str:
        claims = {**self.claims, **changes}
        kept = {name: value for name, value in claims.items() if value is not None}
        return self.signed(self.header, kept)

    def with_signature(self, signature: bytes) -> str:
        header, claims, _ = self.parts
        return f"{header}.{claims}.{encoded(signature)}"

    def hmac(self, header: Json, secret: bytes) -> str:
        content = f"{encoded(header)}.{encoded(self.claims)}"
        mac = hmac.digest(secret, content.encode(), hashlib.sha256)
        return f"{content}.{encoded(mac)}"


@pytest.fixture
async def genuine(house: House) -> Genuine:
    logged_in = await (await house.entrance()).log_in()
    _, key = await house.services.keys.signing()
    [public] = (await house.client.get("/.well-known/jwks.json")).json()["keys"]
    return Genuine(house, logged_in["tokens"]["accessToken"], key, public)


def half(number: int) -> bytes:
    return number.to_bytes(32)


def der(r: int, s: int) -> bytes:
    def integer(number: int) -> bytes:
        raw = number.to_bytes(33).lstrip(b"\0")
        raw = b"\0" + raw if raw[0] & 0x80 else raw
        return bytes([2, len(raw)]) + raw

    body = integer(r) + integer(s)
    return bytes([0x30, len(body)]) + body


def none(genuine: Genuine) -> str:
    header, claims = {**genuine.header, "alg": "none"}, genuine.claims
    return f"{encoded(header)}.{encoded(claims)}."


def none_with_a_signature(genuine: Genuine) -> str:
    header = {**genuine.header, "alg": "none"}
    return f"{encoded(header)}.{genuine.parts[1]}.{genuine.parts[2]}"


def hs256(secret: Callable[[Genuine], bytes]) -> Callable[[Genuine], str]:
    """The public key, taken for an HMAC's secret."""
    return lambda genuine: genuine.hmac(
        {**genuine.header, "alg": "HS256"}, secret(genuine)
    )


def public_pem(genuine: Genuine) -> bytes:
    return bytes(genuine.key.as_pem(private=False))


def own_key(**header: Any) -> Callable[[Genuine], str]:
    """Signed with a key of the forger's, which the header brings along."""

    def forge(genuine: Genuine) -> str:
        mine = ECKey.generate_key("P-256")
        jwk = mine.as_dict(private=False)
        brought = {
            name: jwk if value is ... else value for name, value in header.items()
        }
        forger = Genuine(genuine.house, genuine.token, mine, genuine.public)
        return forger.with_header(**brought)

    return forge


def another_curve(genuine: Genuine) -> str:
    key = ECKey.generate_key("P-384")
    header = {**genuine.header, "alg": "ES384"}
    return jws.serialize_compact(
        header, json.dumps(genuine.claims), key, algorithms=["ES384"]
    )


def rs256(genuine: Genuine) -> str:
    header = {**genuine.header, "alg": "RS256"}
    key = RSAKey.generate_key(2048)
    return jws.serialize_compact(header, json.dumps(genuine.claims), key)


def hs256_of_library(genuine: Genuine) -> str:
    key = OctKey.import_key("secret-secret-secret-secret-secret-secret")
    header = {**genuine.header, "alg": "HS256"}
    return jws.serialize_compact(header, json.dumps(genuine.claims), key)


def header_with(text: Callable[[Genuine], str]) -> Callable[[Genuine], str]:
    return lambda genuine: genuine.signed(text(genuine), genuine.claims)


def twice(name: str, value: str) -> Callable[[Genuine], str]:
    """A claim that stands twice: whoever reads the other one is fooled."""

    def forge(genuine: Genuine) -> str:
        text = json.dumps(genuine.claims)
        return genuine.signed(genuine.header, f'{{"{name}": {value}, {text[1:]}')

    return forge


def uncanonical(place: int) -> Callable[[Genuine], str]:
    """The last character's unused bits set: it decodes to the very same bytes."""

    def forge(genuine: Genuine) -> str:
        # Blanks until there are unused bits.
        texts = [json.dumps(genuine.header), json.dumps(genuine.claims)]
        parts = genuine.signed(*texts).split(".")
        while len(parts[place]) % 4 == 0:
            texts[place] += " "
            parts = genuine.signed(*texts).split(".")
        whole = parts[place]
        parts[place] = whole[:-1] + ALPHABET[ALPHABET.index(whole[-1]) ^ 1]
        assert decoded(parts[place]) == decoded(whole)
        return ".".join(parts)

    return forge


FORGERIES: dict[str, Callable[[Genuine], str]] = {
    # The algorithm
    "alg none": none,
    "alg none, and a signature": none_with_a_signature,
    "alg None": lambda g: g.with_header(alg="None"),
    "alg missing": lambda g: g.with_header(alg=None),
    "alg lower case": lambda g: g.with_header(alg="es256"),
    "alg no text": lambda g: g.with_header(alg=["ES256"]),
    "HS256 by the public key, PEM": hs256(public_pem),
    "HS256 by the public key, JWK": hs256(lambda g: json.dumps(g.public).encode()),
    "HS256 by nothing": hs256(lambda g: b""),
    "HS256": hs256_of_library,
    "RS256": rs256,
    "ES384": another_curve,
    "ES256K": lambda g: g.with_header(alg="ES256K"),
    # The key
    "a key of one's own": own_key(),
    "jwk": own_key(jwk=...),
    "jwk, of the server's own": lambda g: g.with_header(jwk=g.public),
    "jku": own_key(jku="https://evil.example/jwks.json"),
    "jku, rightly signed": lambda g: g.with_header(jku="http://localhost:8000/jwks"),
    "x5u": lambda g: g.with_header(x5u="https://evil.example/cert.pem"),
    "x5c": lambda g: g.with_header(x5c=["MIIB"]),
    "x5t": lambda g: g.with_header(x5t="AAAA"),
    "another kid": lambda g: g.with_header(kid=str(uuid.uuid4())),
    "no kid": lambda g: g.with_header(kid=None),
    "kid a number": lambda g: g.with_header(kid=1),
    "kid a path": lambda g: g.with_header(kid="../../../dev/null"),
    "kid SQL": lambda g: g.with_header(kid="' OR 1=1 --"),
    # The rest of the header
    "typ JWT": lambda g: g.with_header(typ="JWT"),
    "typ missing": lambda g: g.with_header(typ=None),
    "typ of a logout token": lambda g: g.with_header(typ="logout+jwt"),
    "crit": lambda g: g.with_header(crit=["exp"]),
    "crit, empty": lambda g: g.with_header(crit=[]),
    "crit, unknown": lambda g: g.with_header(crit=["b64"], b64=False),
    "cty": lambda g: g.with_header(cty="JWT"),
    "zip": lambda g: g.with_header(zip="DEF"),
    "a header's name twice": header_with(
        lambda g: '{"alg": "none", ' + json.dumps(g.header)[1:]
    ),
    "header a list": header_with(lambda g: json.dumps([g.header])),
    "header deep": header_with(lambda g: "[" * 500),
    "header no JSON": header_with(lambda g: "{"),
    "header oversized": lambda g: g.with_header(kid="x" * 3000),
    "header huge": lambda g: g.with_header(kid="x" * 30_000),
    # Claims, rightly signed
    "iss of another": lambda g: g.with_claims(iss="https://evil.example"),
    "iss with a slash": lambda g: g.with_claims(iss="http://localhost:8000/"),
    "iss missing": lambda g: g.with_claims(iss=None),
    "aud of another app": lambda g: g.with_claims(
        aud="app_01kb3v5x9gf2tvrzc1q0k7m4dh", client_id="app_01kb3v5x9gf2tvrzc1q0k7m4dh"
    ),
    "aud and client_id differ": lambda g: g.with_claims(client_id="app_x"),
    "aud a list": lambda g: g.with_claims(aud=[g.claims["aud"]]),
    "aud missing": lambda g: g.with_claims(aud=None),
    "exp missing": lambda g: g.with_claims(exp=None),
    "exp text": lambda g: g.with_claims(exp=str(g.claims["exp"])),
    "exp true": lambda g: g.with_claims(exp=True),
    "exp a fraction": lambda g: g.with_claims(exp=g.claims["exp"] + 0.5),
    "exp for ever": lambda g: g.with_claims(exp=10**30),
    "iat missing": lambda g: g.with_claims(iat=None),
    "iat in the future": lambda g: g.with_claims(iat=g.now() + 12),
    "nbf in the future": lambda g: g.with_claims(nbf=g.now() + 12),
    "nbf text": lambda g: g.with_claims(nbf="0"),
    "sub missing": lambda g: g.with_claims(sub=None),
    "jti missing": lambda g: g.with_claims(jti=None),
    "sid missing": lambda g: g.with_claims(sid=None),
    "sid a number": lambda g: g.with_claims(sid=1),
    "a claim twice": twice("sid", '"ses_01kb3v5x9gf2tvrzc1q0k7m4dh"'),
    "exp twice": twice("exp", "99999999999"),
    "claims a list": lambda g: g.signed(g.header, json.dumps([g.claims])),
    "NaN": twice("nbf", "NaN"),
    "broken UTF-8": lambda g: f"{g.parts[0]}.{encoded(bytes([255, 254]))}.{g.parts[2]}",
    # Claims, changed under another's signature
    "another sid": lambda g: (
        f"{g.parts[0]}.{encoded({**g.claims, 'sid': 'ses_x'})}.{g.parts[2]}"
    ),
    "later exp": lambda g: (
        f"{g.parts[0]}.{encoded({**g.claims, 'exp': g.now() + 9999})}.{g.parts[2]}"
    ),
    # The signature
    "signature empty": lambda g: g.with_signature(b""),
    "r and s zero": lambda g: g.with_signature(bytes(64)),
    "r zero": lambda g: g.with_signature(half(0) + half(g.signature[1])),
    "s zero": lambda g: g.with_signature(half(g.signature[0]) + half(0)),
    "r and s the order": lambda g: g.with_signature(half(ORDER) * 2),
    "s the order": lambda g: g.with_signature(half(g.signature[0]) + half(ORDER)),
    "r, order - s": lambda g: g.with_signature(
        half(g.signature[0]) + half(ORDER - g.signature[1])
    ),
    "order - r, s": lambda g: g.with_signature(
        half(ORDER - g.signature[0]) + half(g.signature[1])
    ),
    "s, r": lambda g: g.with_signature(half(g.signature[1]) + half(g.signature[0])),
    "r and s all ones": lambda g: g.with_signature(b"\xff" * 64),
    "DER": lambda g: g.with_signature(der(*g.signature)),
    "63 bytes": lambda g: g.with_signature(decoded(g.parts[2])[:-1]),
    "65 bytes": lambda g: g.with_signature(decoded(g.parts[2]) + b"\0"),
    "padded to 66": lambda g: g.with_signature(
        b"\0" + half(g.signature[0]) + b"\0" + half(g.signature[1])
    ),
    # The spelling
    "base64 not canonical, header": uncanonical(0),
    "base64 not canonical, claims": uncanonical(1),
    "base64 not canonical, signature": uncanonical(2),
    "base64 with padding": lambda g: g.token + "==",
    "base64 with + and /": lambda g: g.with_signature(b"\xfb\xff" * 32).replace(
        "_", "/"
    ),
    "a fourth part": lambda g: g.token + ".",
    "a fifth part, as of a JWE": lambda g: g.token + ".x.x",
    "trailing data": lambda g: g.token + "AAAA",
    "two parts": lambda g: g.token.rpartition(".")[0],
    "empty parts": lambda g: "..",
    "JSON serialisation": lambda g: json.dumps({"payload": g.parts[1]}).replace(
        " ", ""
    ),
    "a tab in it": lambda g: g.token[:50] + "\t" + g.token[50:],
    "another alphabet": lambda g: "令牌".encode().decode("latin-1"),
}


@pytest.mark.parametrize("forgery", FORGERIES)
async def test_forgeries(genuine: Genuine, forgery: str) -> None:
    forged = FORGERIES[forgery](genuine)

    answer = await genuine.house.client.post(
        "/graphql",
        json={"query": ME},
        headers={b"Authorization": b"Bearer " + forged.encode("latin-1")},
    )

    assert answer.status_code == 401
    assert "data" not in answer.json()
    assert [each["extensions"] for each in answer.json()["errors"]] == [INVALID]
    # And the true one is as good as ever.
    assert (await genuine.house.data(ME, token=genuine.token))["me"]


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic dXNlcjpwYXNzd29yZA==",
        "Bearer a b",
        "Bearer " + "x" * 100_000,
        "Bearer hefu_unknown",
        "bearer undefined",
        "Bearer null",
    ],
)
async def test_what_is_no_credential(house: House, authorization: str) -> None:
    answer = await house.client.post(
        "/graphql", json={"query": ME}, headers={"Authorization": authorization}
    )

    assert answer.status_code == 401
    assert answer.json()["errors"][0]["extensions"] == INVALID


SAME: dict[str, Callable[[Genuine], str]] = {
    "signed again": lambda g: g.signed(g.header, g.claims),
    "a clock ten seconds ahead": lambda g: g.with_claims(iat=g.now() + 9),
    "nbf": lambda g: g.with_claims(nbf=g.now() + 9),
    "a claim more": lambda g: g.with_claims(scope="openid"),
}


@pytest.mark.parametrize("how", SAME)
async def test_what_is_as_good(genuine: Genuine, how: str) -> None:
    """The forger's tools are not what makes the forgeries fail."""
    token = SAME[how](genuine)

    assert (await genuine.house.data(ME, token=token))["me"]


async def test_an_expired_one(genuine: Genuine) -> None:
    house = genuine.house
    house.clock.advance(seconds=genuine.claims["exp"] - genuine.now() - 2)
    assert (await house.data(ME, token=genuine.token))["me"]
    house.clock.advance(seconds=3)

    answer = await house.post(ME, token=genuine.token)

    assert answer.status_code == 200
    assert answer.json()["data"] == {"me": None}
    assert answer.json()["errors"][0]["extensions"] == {
        "code": "UNAUTHENTICATED",
        "reason": "EXPIRED",
    }


async def test_signatures_have_one_spelling(genuine: Genuine) -> None:
    """Of (r, s) and (r, order - s) the smaller: every time, not half the time."""
    entrance = await genuine.house.entrance()
    for _ in range(6):
        token = (await entrance.log_in())["tokens"]["accessToken"]
        again = Genuine(genuine.house, token, genuine.key, genuine.public)
        assert again.signature[1] <= ORDER // 2
