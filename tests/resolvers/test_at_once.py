"""Two server processes on one database: whoever changes what at once."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import pytest

from models import ApiKey, Role, User, UserStatus
from tests.house import SECRET_KEY, House, Json
from tests.step_by_step import SERVE
from wecom.sandbox import examples

PASSWORD = "correct horse battery staple"
PATIENCE = 60

pytestmark = pytest.mark.slow


@asynccontextmanager
async def serving(house: House) -> AsyncGenerator[httpx.AsyncClient]:
    """A server process of its own on the house's database."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environ = {
        **os.environ,
        "HEFU_DATABASE_URL": house.database_url,
        "HEFU_SECRET_KEYS": SECRET_KEY,
        "HEFU_WECOM_URL": house.wecom.url,
        "HEFU_RATE_LIMIT_ADDRESS": "off",
        "HEFU_RATE_LIMIT_SOURCE": "off",
        "HEFU_LOG_LEVEL": "warning",
    }
    command = [*SERVE, "--port", str(port)]
    process = subprocess.Popen(command, env=environ)  # noqa: ASYNC220, S603
    try:
        base = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(base_url=base, timeout=PATIENCE) as client:
            await _ready(client)
            yield client
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 20)


async def _ready(client: httpx.AsyncClient) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            if (await client.get("/health/ready")).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        await asyncio.sleep(0.2)
    raise TimeoutError


class Pair:
    """Two processes, asked in turns."""

    def __init__(self, clients: list[httpx.AsyncClient]) -> None:
        self._clients = clients
        self._asked = 0

    async def mutate(self, name: str, input: Json, *, token: str) -> Json:
        """The payload, or the whole answer where there is none."""
        self._asked += 1
        query = (
            f"mutation($input: {name[0].upper()}{name[1:]}Input!)"
            f" {{ {name}(input: $input) {{ errors {{ path code }} }} }}"
        )
        response = await self._clients[self._asked % 2].post(
            "/graphql",
            json={"query": query, "variables": {"input": input}},
            headers={"Authorization": f"Bearer {token}"},
        )
        body: Json = response.json()
        answer: Json = (body.get("data") or {}).get(name) or body
        return answer


@pytest.fixture
async def pair(house: House) -> AsyncGenerator[Pair]:
    async with AsyncExitStack() as stack:
        opened = (serving(house), serving(house))
        clients = [await stack.enter_async_context(each) for each in opened]
        yield Pair(clients)


def told(payload: Json) -> list[str]:
    return [error["code"] for error in payload["errors"]]


async def test_of_twenty_that_want_one_name_one_gets_it(
    house: House, pair: Pair
) -> None:
    token = await house.key()
    source = {
        "identifier": "acme",
        "displayName": "WeCom",
        "corpId": examples.HEFU,
        "agentId": examples.AGENT.agent_id,
        "secret": examples.AGENT.secret,
        "schema": examples.PRIVATE.schema,
    }
    for name, input in (
        ("createWecomMobileIdentitySource", source),
        ("createUser", {"username": "amy"}),
        ("createUser", {"externalId": "E-1"}),
        ("createUser", {"email": "amy@example.com", "emailVerified": True}),
    ):
        payloads = await asyncio.gather(
            *(pair.mutate(name, input, token=token) for _ in range(20))
        )
        assert sorted(map(told, payloads)) == [[], *[["TAKEN"]] * 19], name


async def test_administrators_who_change_different_fields_undo_nothing(
    house: House, pair: Pair
) -> None:
    token = await house.key()
    app_id = await house.app()
    source_id = await house.source(app_id)
    made = await house.mutate("createUser", {}, "user { id }", token=token)
    user_id = made["user"]["id"]
    changes: dict[tuple[str, str], Json] = {
        ("updateApp", app_id): {
            "name": "Other",
            "enabled": False,
            "requireState": False,
            "allowSignUp": False,
            "allowPasswordSignIn": True,
            "adminAccess": True,
            "accessTokenLifetime": 61,
            "refreshTokenLifetime": 3601,
            "sessionLifetime": 3602,
        },
        ("updateWecomMobileIdentitySource", source_id): {
            "displayName": "Other",
            "agentId": "7",
            "schema": "wwauth7",
            "loginOnly": True,
            "enabled": False,
        },
        ("updateUser", user_id): {
            "username": "amy",
            "displayName": "Amy",
            "email": "amy@example.com",
            "phone": "+8613800000000",
            "externalId": "E-1",
            "status": "DISABLED",
            "role": "VIEWER",
        },
    }
    payloads = await asyncio.gather(
        *(
            pair.mutate(name, {"id": id, field: value}, token=token)
            for (name, id), fields in changes.items()
            for field, value in fields.items()
        )
    )
    assert [payload["errors"] for payload in payloads] == [[]] * len(payloads)
    for (name, id), fields in changes.items():
        type_ = name.removeprefix("update")
        query = (
            f"query($id: ID!) {{ node(id: $id) {{ ... on {type_}"
            f" {{ {' '.join(fields)} }} }} }}"
        )
        found = await house.data(query, {"id": id}, token=token)
        assert found["node"] == fields


async def test_owners_who_take_away_one_another_leave_one(
    house: House, pair: Pair
) -> None:
    """Accounts and keys in a ring: each takes away the next, all at once."""
    ring = await _owners(house)
    await asyncio.gather(
        *(
            _take_away(pair, victim, token)
            for (_, token), (victim, _) in zip(ring, ring[1:] + ring[:1], strict=True)
        )
    )
    now = house.clock()
    keys = await ApiKey.filter(role=Role.OWNER, revoked_at=None)
    active = [key for key in keys if key.expires_at is None or key.expires_at > now]
    accounts = await User.filter(role=Role.OWNER, status=UserStatus.ACTIVE).count()
    assert len(active) + accounts >= 1


async def _owners(house: House) -> list[tuple[str, str]]:
    """Ids and tokens of four keys and four accounts in turns, and of nobody else."""
    first = await house.key()
    app_id = await house.app(adminAccess=True, allowPasswordSignIn=True)
    owners: list[tuple[str, str]] = []
    for number in range(4):
        input: Json = {"name": f"key {number}", "role": "OWNER"}
        made = await house.mutate(
            "createApiKey", input, "secret apiKey { id }", token=first
        )
        owners.append((made["apiKey"]["id"], made["secret"]))
        input = {"username": f"o{number}", "role": "OWNER", "password": PASSWORD}
        account = await house.mutate("createUser", input, "user { id }", token=first)
        owners.append((account["user"]["id"], await _sign_in(house, app_id, number)))
    [mine] = [key for key in await ApiKey.all() if key.name == "owner"]
    mine.revoked_at = house.clock()
    await mine.save(update_fields=["revoked_at"])
    return owners


async def _sign_in(house: House, app_id: str, number: int) -> str:
    input = {"appId": app_id, "account": f"o{number}", "password": PASSWORD}
    data = await house.data(
        "mutation($input: SignInWithPasswordInput!) { signInWithPassword("
        "input: $input) { ... on LoginSuccess { tokens { accessToken } } } }",
        {"input": input},
    )
    token: str = data["signInWithPassword"]["tokens"]["accessToken"]
    return token


async def _take_away(pair: Pair, victim: str, token: str) -> None:
    name: str = "revokeApiKey"
    input: dict[str, Any] = {"id": victim}
    if victim.startswith("usr_"):
        name, input = "updateUser", {"id": victim, "role": "MEMBER"}
    answer = await pair.mutate(name, input, token=token)
    # Whoever came too late had been taken away before being heard.
    said = {
        error.get("code") or error["extensions"]["code"] for error in answer["errors"]
    }
    assert said <= {"LAST_OWNER", "UNAUTHENTICATED", "FORBIDDEN"}, answer
