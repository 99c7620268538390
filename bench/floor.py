"""
The floor: the barest that does the work of a request, and keeps no promise.

A returning login is two calls to WeCom, one statement that reads and one step that
writes by the driver itself, one ES256 signature, behind plain Starlette on the server
that serves Hefu. No rates, no state, no checks, no errors. Each step of the ladder adds
what Hefu may not leave out:

    bare      raw sockets to WeCom, JSON in and out
    httpx     WeCom called by httpx, over Hefu's transport
    graphql   behind GraphQL as well: Strawberry's types, Hefu's endpoint and plans
    reserved  and the code is reserved before WeCom is asked about it
    together  and what several want of PostgreSQL at one moment is one statement

On SQLite, which the loop uses in its own thread, as on PostgreSQL. And beside it:

    lists     a page of 50 sources with three apps each, by one statement, as JSON
"""

from __future__ import annotations

import asyncio
import base64
import functools
import hashlib
import os
import secrets
import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any, Protocol

import asyncpg
import httpx
import orjson
import strawberry
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from strawberry.types import Info

from hefu import inputs
from hefu.endpoint import GraphQLEndpoint
from hefu.heads import Head
from models.turns import Turns
from wecom.client import Direct
from wecom.transport import Transport

TABLES = """
CREATE TABLE floor_accounts (id bigint PRIMARY KEY, subject text UNIQUE, profile text);
CREATE TABLE floor_sessions
    (id text PRIMARY KEY, account bigint, refresh text, at timestamptz);
CREATE INDEX floor_sessions_account ON floor_sessions (account);
CREATE TABLE floor_events
    (id text PRIMARY KEY, account bigint, action text, at timestamptz);
CREATE INDEX floor_events_at ON floor_events (at);
CREATE TABLE floor_codes (digest text PRIMARY KEY);
"""
HEADER = base64.urlsafe_b64encode(b'{"alg":"ES256"}')
MEMBERS = [(number, f"member{number}", "{}") for number in range(200)]
MEMBER = "INSERT INTO floor_accounts VALUES ($1, $2, $3)"
READ = "SELECT id, profile FROM floor_accounts WHERE subject = $1"
READ_ALL = "SELECT id, profile, subject FROM floor_accounts WHERE subject = ANY($1)"
PROFILE = "UPDATE floor_accounts SET profile = $2 WHERE id = $1"
SESSION = "INSERT INTO floor_sessions VALUES ($1, $2, $3, CURRENT_TIMESTAMP)"
EVENT = "INSERT INTO floor_events VALUES ($1, $2, $3, CURRENT_TIMESTAMP)"
WRITE = """
WITH a AS (UPDATE floor_accounts SET profile = $2 WHERE id = $1),
     s AS (INSERT INTO floor_sessions VALUES ($3, $1, $4, now()))
INSERT INTO floor_events VALUES ($5, $1, 'login.succeeded', now())
"""
RESERVE = "INSERT INTO floor_codes VALUES ($1)"
RESERVE_ALL = "INSERT INTO floor_codes SELECT unnest($1::text[])"
PAGE = """
SELECT s.id, s.identifier, s.display_name, x.ids, x.names
FROM (SELECT * FROM identity_sources ORDER BY id LIMIT 51) s CROSS JOIN LATERAL (
    SELECT array_agg(y.id) AS ids, array_agg(y.name) AS names FROM (
        SELECT t.id, t.name FROM associations a JOIN apps t ON t.id = a.app_id
        WHERE a.identity_source_id = s.id ORDER BY t.id LIMIT 3) y) x
ORDER BY s.id
"""


@dataclass
class Tokens:
    access: str
    refresh: str


class Wecom(Protocol):
    async def get(self, target: str) -> Any: ...


class Sockets:
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


class Httpx:
    """httpx without what no call wants, over the transport that Hefu gives it."""

    def __init__(self, port: int) -> None:
        self._client = Direct(Transport())
        self._pattern = httpx.Request("GET", f"http://127.0.0.1:{port}/")

    async def get(self, target: str) -> Any:
        pattern = self._pattern
        request = httpx.Request(
            "GET",
            pattern.url,
            headers=pattern.headers,
            stream=pattern.stream,
            extensions={"target": target.encode()},
        )
        return orjson.loads(await (await self._client.send(request)).aread())


class Database(Protocol):
    async def reserve(self, digest: str) -> None: ...

    async def account(self, subject: str) -> Any: ...

    async def write(self, account: int, profile: str, tokens: tuple[str, ...]) -> None:
        """The profile; a session with its refresh token; an event, by their ids."""
        ...


class Postgres:
    def __init__(self, pool: asyncpg.Pool) -> None:
        self.pool = pool

    async def reserve(self, digest: str) -> None:
        await self.pool.execute(RESERVE, digest)

    async def account(self, subject: str) -> Any:
        return await self.pool.fetchrow(READ, subject)

    async def write(self, account: int, profile: str, tokens: tuple[str, ...]) -> None:
        await self.pool.execute(WRITE, account, profile, *tokens)


class Together:
    """Has `do` done for all values of one moment; it gives a result for each."""

    def __init__(self, do: Callable[[list[Any]], Awaitable[Sequence[Any]]]) -> None:
        self._do = do
        self._waiting: list[tuple[Any, asyncio.Future[Any]]] = []
        self._turns = Turns(self._run)

    async def ask(self, value: Any) -> Any:
        self._turns.ask()
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((value, done))
        return await done

    async def _run(self) -> None:
        waiting, self._waiting = self._waiting, []
        results = await self._do([value for value, _ in waiting])
        for (_, done), result in zip(waiting, results, strict=True):
            done.set_result(result)


class Shared:
    """PostgreSQL, asked as Hefu asks it."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._reserving = Together(self._reserve)
        self._reading = Together(self._accounts)
        self._writing = Together(self._write)

    async def reserve(self, digest: str) -> None:
        # Whoever reserves them one by one is asked with the same codes.
        await self._reserving.ask(f"together.{digest}")

    async def account(self, subject: str) -> Any:
        return await self._reading.ask(subject)

    async def write(self, account: int, profile: str, tokens: tuple[str, ...]) -> None:
        await self._writing.ask((account, profile, *tokens))

    async def _reserve(self, digests: list[str]) -> Sequence[Any]:
        await self._pool.execute(RESERVE_ALL, digests)
        return digests

    async def _accounts(self, subjects: list[str]) -> Sequence[Any]:
        rows = await self._pool.fetch(READ_ALL, subjects)
        found = {row["subject"]: row for row in rows}
        return [found[subject] for subject in subjects]

    async def _write(self, logins: list[tuple[Any, ...]]) -> Sequence[Any]:
        # Rows are locked in one order, whoever else writes.
        await self._pool.executemany(WRITE, sorted(logins))
        return logins


class Sqlite:
    def __init__(self, file: str) -> None:
        self._connection = sqlite3.connect(file, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")

    async def reserve(self, digest: str) -> None:
        self._connection.execute(_numbered(RESERVE), (digest,))

    async def account(self, subject: str) -> Any:
        found = self._connection.execute(_numbered(READ), (subject,)).fetchone()
        return dict(zip(("id", "profile"), found, strict=True))

    async def write(self, account: int, profile: str, tokens: tuple[str, ...]) -> None:
        session, refresh, event = tokens
        do = self._connection.execute
        do("BEGIN IMMEDIATE")
        do(_numbered(PROFILE), (account, profile))
        do(_numbered(SESSION), (session, account, refresh))
        do(_numbered(EVENT), (event, account, "login.succeeded"))
        do("COMMIT")


@dataclass
class Login:
    wecom: Wecom
    database: Database
    reserves: bool
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    async def log_in(self, code: str) -> Tokens:
        if self.reserves:
            await self.database.reserve(hashlib.sha256(code.encode()).hexdigest())
        member = await self.wecom.get(
            f"/cgi-bin/user/getuserinfo?access_token=t&code={code}"
        )
        profile = await self.wecom.get(f"/cgi-bin/user/get?userid={member['UserId']}")
        account = await self.database.account(member["UserId"])
        session, refresh, event = (secrets.token_hex() for _ in range(3))
        stored = orjson.dumps(profile).decode()
        await self.database.write(account["id"], stored, (session, refresh, event))
        claims = {"sub": str(account["id"]), "sid": session}
        return Tokens(_signed(claims, self.key), refresh)

    async def answer(self, request: Request) -> Response:
        code = orjson.loads(await request.body())["code"]
        tokens = await self.log_in(code)
        data = {"accessToken": tokens.access, "refreshToken": tokens.refresh}
        return Response(orjson.dumps({"data": data}), media_type="application/json")


# ---------------------------------------------------------------------- GraphQL


@dataclass
class Context:
    login: Login

    @property
    def caller(self) -> Context:
        return self

    @property
    def may_introspect(self) -> bool:
        return True

    async def begin(self, key: str) -> None:
        """Nothing is remembered."""

    def show_again(self, key: str) -> None:
        """Nor here."""


@strawberry.type(name="TokenPair")
class ShownTokens:
    access_token: str
    refresh_token: str


@strawberry.type
class User:
    id: strawberry.ID
    display_name: str


@strawberry.type
class LoginSuccess:
    tokens: ShownTokens
    user: User


@strawberry.type
class LoginFailure:
    code: str
    message: str


@strawberry.input
class WecomMobileLoginInput:
    app_id: strawberry.ID
    identity_source: str
    code: str


Result = Annotated[LoginSuccess | LoginFailure, strawberry.union("LoginResult")]


@strawberry.type
class Query:
    health: str = "ok"


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def wecom_mobile_login(
        self, info: Info[Context], input: WecomMobileLoginInput
    ) -> Result:
        tokens = await info.context.login.log_in(input.code)
        shown = ShownTokens(access_token=tokens.access, refresh_token=tokens.refresh)
        user = User(id=strawberry.ID("user_1"), display_name="Member")
        return LoginSuccess(tokens=shown, user=user)


def _graphql(login: Login) -> GraphQLEndpoint[Context]:
    schema = strawberry.Schema(query=Query, mutation=Mutation)
    inputs.prepare(schema)

    async def open_context(head: Head) -> Context:
        return Context(login)

    return GraphQLEndpoint(schema, open_context=open_context, graphiql=False)


# ------------------------------------------------------------------------ lists


def _lists(database: Postgres) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        orjson.loads(await request.body())
        rows = await database.pool.fetch(PAGE)
        nodes = [
            {
                "id": str(row["id"]),
                "identifier": row["identifier"],
                "displayName": row["display_name"],
                "apps": {
                    "nodes": [
                        {"id": str(id), "name": name}
                        for id, name in zip(row["ids"], row["names"], strict=True)
                    ]
                },
            }
            for row in rows[:50]
        ]
        page = {"hasNextPage": len(rows) > len(nodes), "endCursor": nodes[-1]["id"]}
        data = {"identitySources": {"nodes": nodes, "pageInfo": page}}
        return Response(orjson.dumps({"data": data}), media_type="application/json")

    return answer


# -----------------------------------------------------------------------------


def create_app() -> Starlette:
    """By `FLOOR_STEP`, as above; `FLOOR_DATABASE` and `FLOOR_WECOM`, a port."""
    step, place = os.environ["FLOOR_STEP"], os.environ["FLOOR_DATABASE"]
    port = int(os.environ["FLOOR_WECOM"])

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[None]:
        async with _opened(place) as opened:
            database: Database = opened
            answer: Any
            if step == "lists" and isinstance(database, Postgres):
                answer = _lists(database)
            else:
                wecom = Sockets(port) if step == "bare" else Httpx(port)
                if step == "together" and isinstance(database, Postgres):
                    database = Shared(database.pool)
                reserves = step in {"reserved", "together"}
                login = Login(wecom, database, reserves=reserves)
                by_graphql = reserves or step == "graphql"
                answer = _graphql(login) if by_graphql else login.answer
            app.router.routes.append(Route("/graphql", answer, methods=["POST"]))
            yield

    return Starlette(lifespan=lifespan)


@asynccontextmanager
async def _opened(place: str) -> AsyncGenerator[Postgres | Sqlite]:
    async def keep(connection: asyncpg.Connection) -> None:
        """There is no session state to reset."""

    if "://" not in place:
        yield Sqlite(place)
        return
    async with asyncpg.create_pool(place, reset=keep) as pool:
        yield Postgres(pool)


async def prepare(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(TABLES)
    await connection.executemany(MEMBER, MEMBERS)
    await connection.close()


def prepare_file(file: str) -> None:
    connection = sqlite3.connect(file)
    connection.executescript(TABLES)
    connection.executemany(_numbered(MEMBER), MEMBERS)
    connection.commit()
    connection.close()


@functools.cache
def _numbered(sql: str) -> str:
    """PostgreSQL's placeholders as SQLite's."""
    return sql.replace("$", "?")


def _signed(claims: dict[str, str], key: ec.EllipticCurvePrivateKey) -> str:
    text = b".".join((HEADER, _encoded(orjson.dumps(claims))))
    r, s = decode_dss_signature(key.sign(text, ec.ECDSA(hashes.SHA256())))
    return b".".join((text, _encoded(r.to_bytes(32) + s.to_bytes(32)))).decode()


def _encoded(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")
