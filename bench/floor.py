"""
The floor: a returning login's work by the barest means, and no promise kept.

    python bench/floor.py [--seconds 5] [--connections 16]

Plain Starlette on the same server, two raw HTTP calls, one statement that reads and one
that writes by asyncpg, one ES256 signature. No rates, no state, no reservation of the
code, no checks, no errors: what is left is what nobody can save in Python.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import orjson
from joserfc import jwt
from joserfc.jwk import ECKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

TABLES = """
CREATE TABLE accounts (id bigint PRIMARY KEY, subject text UNIQUE, profile text);
CREATE TABLE sessions
    (id text PRIMARY KEY, account bigint, refresh text, at timestamptz);
CREATE INDEX ON sessions (account);
CREATE TABLE events (id text PRIMARY KEY, account bigint, action text, at timestamptz);
CREATE INDEX ON events (at);
INSERT INTO accounts SELECT n, 'member' || n, '{}' FROM generate_series(0, 199) n;
"""
READ = "SELECT id, profile FROM accounts WHERE subject = $1"
WRITE = """
WITH a AS (UPDATE accounts SET profile = $2 WHERE id = $1),
     s AS (INSERT INTO sessions VALUES ($3, $1, $4, now()))
INSERT INTO events VALUES ($5, $1, 'login.succeeded', now())
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


def create_app() -> Starlette:
    wecom = Wecom(int(os.environ["FLOOR_WECOM"]))
    key = ECKey.generate_key("P-256")
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
        token = jwt.encode({"alg": "ES256"}, claims, key)
        answer = {"data": {"accessToken": token, "refreshToken": refresh}}
        return Response(orjson.dumps(answer), media_type="application/json")

    routes = [Route("/graphql", login, methods=["POST"])]
    return Starlette(routes=routes, lifespan=lifespan)


def main() -> None:
    from against import Contestant, Pace, codes, show, title  # noqa: PLC0415
    from house import databases, stand_in  # noqa: PLC0415
    from others import served  # noqa: PLC0415

    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=16)
    options = parser.parse_args()
    with stand_in() as wecom, databases("postgres") as urls:
        asyncio.run(_prepare(urls["postgres"]))
        environ = {"FLOOR_WECOM": str(wecom), "FLOOR_DATABASE": urls["postgres"]}
        with served("bench.floor:create_app", **environ) as server:
            floor = Contestant("the floor", server, codes())
            title(f"The floor of a returning login, {options.connections} connections")
            pace = Pace(options.rounds, options.seconds)
            pace.take_turns(options.connections, floor)
            show(floor)


async def _prepare(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(TABLES)
    await connection.close()


if __name__ == "__main__":
    main()
