"""
The floor: a returning login's work by the barest means, and no promise kept.

Plain Starlette on the same server, two raw HTTP calls, one statement that reads and one
that writes by asyncpg, one ES256 signature. No rates, no state, no reservation of the
code, no checks, no errors: what is left is what nobody can save in Python.
"""

from __future__ import annotations

import asyncio
import base64
import os
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import orjson
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

TABLES = """
CREATE TABLE floor_accounts (id bigint PRIMARY KEY, subject text UNIQUE, profile text);
CREATE TABLE floor_sessions
    (id text PRIMARY KEY, account bigint, refresh text, at timestamptz);
CREATE INDEX ON floor_sessions (account);
CREATE TABLE floor_events
    (id text PRIMARY KEY, account bigint, action text, at timestamptz);
CREATE INDEX ON floor_events (at);
INSERT INTO floor_accounts SELECT n, 'member' || n, '{}' FROM generate_series(0, 199) n;
"""
HEADER = base64.urlsafe_b64encode(b'{"alg":"ES256"}')
READ = "SELECT id, profile FROM floor_accounts WHERE subject = $1"
WRITE = """
WITH a AS (UPDATE floor_accounts SET profile = $2 WHERE id = $1),
     s AS (INSERT INTO floor_sessions VALUES ($3, $1, $4, now()))
INSERT INTO floor_events VALUES ($5, $1, 'login.succeeded', now())
"""


class Wecom:
    """Kept connections, one call at a time on each."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def get(self, target: str) -> Any:
        opened = self._free.pop() if self._free else None
        reader, writer = opened or await asyncio.open_connection(
            "127.0.0.1", self._port
        )
        writer.write(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        body = await reader.readexactly(length)
        self._free.append((reader, writer))
        return orjson.loads(body)


def _signed(claims: dict[str, str], key: ec.EllipticCurvePrivateKey) -> str:
    text = b".".join((HEADER, _encoded(orjson.dumps(claims))))
    r, s = decode_dss_signature(key.sign(text, ec.ECDSA(hashes.SHA256())))
    return b".".join((text, _encoded(r.to_bytes(32) + s.to_bytes(32)))).decode()


def _encoded(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def create_app() -> Starlette:
    wecom = Wecom(int(os.environ["FLOOR_WECOM"]))
    key = ec.generate_private_key(ec.SECP256R1())
    pools: list[asyncpg.Pool] = []

    async def keep(connection: asyncpg.Connection) -> None:
        """There is no session state to reset."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[None]:
        async with asyncpg.create_pool(
            os.environ["FLOOR_DATABASE"], reset=keep
        ) as pool:
            pools.append(pool)
            yield

    async def login(request: Request) -> Response:
        code = orjson.loads(await request.body())["code"]
        member = await wecom.get(
            f"/cgi-bin/user/getuserinfo?access_token=t&code={code}"
        )
        profile = await wecom.get(f"/cgi-bin/user/get?userid={member['UserId']}")
        account = await pools[0].fetchrow(READ, member["UserId"])
        session, refresh = secrets.token_hex(), secrets.token_hex()
        stored = orjson.dumps(profile).decode()
        await pools[0].execute(
            WRITE, account["id"], stored, session, refresh, secrets.token_hex()
        )
        claims = {"sub": str(account["id"]), "sid": session}
        token = _signed(claims, key)
        answer = {"data": {"accessToken": token, "refreshToken": refresh}}
        return Response(orjson.dumps(answer), media_type="application/json")

    routes = [Route("/graphql", login, methods=["POST"])]
    return Starlette(routes=routes, lifespan=lifespan)


async def prepare(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(TABLES)
    await connection.close()
