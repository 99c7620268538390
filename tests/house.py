"""The house as its clients see it: shared by tests, whatever they test."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx
from starlette.types import ASGIApp, Message

from hefu.app import create_app
from hefu.settings import Settings
from models import Role
from services import clock as real
from services.assembly import Services
from tests import codes
from wecom.agent import Agent
from wecom.sandbox import Sandbox, examples
from wecom.sandbox.faults import Fault
from wecom.sandbox.world import Login, Person

SECRET_KEY = base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()


class Clock:
    """The time of day, which a test may move forward."""

    def __init__(self) -> None:
        self.ahead = timedelta()
        self.stopped_at: datetime | None = None

    def __call__(self) -> datetime:
        return (self.stopped_at or real.now()) + self.ahead

    def stop(self, *, microsecond: int) -> None:
        """Let it stand still, at that moment of this second."""
        self.stopped_at = real.now().replace(microsecond=microsecond)

    def advance(self, **by: float) -> None:
        self.ahead += timedelta(**by)


@dataclass
class Wecom:
    """The sandbox, and short ways to play the phone."""

    sandbox: Sandbox
    url: str

    def approve(
        self,
        userid: str = "zhangsan",
        agent: Agent = examples.AGENT,
        *,
        consented: bool = False,
    ) -> str:
        """A fresh code, as the phone gets it once the member has approved."""
        return self._approve(agent, userid=userid, consented=consented)

    def approve_outsider(self, agent: Agent = examples.AGENT) -> str:
        return self._approve(agent, openid="oAAAA-outsider")

    def fault(
        self,
        name: str,
        /,
        endpoint: str = "getuserinfo",
        times: int = 1,
        **options: object,
    ) -> None:
        self.sandbox.faults.append(Fault(name, endpoint, times, options))

    def person(self, userid: str, corp_id: str = examples.HEFU) -> Person:
        """A member as WeCom knows them, to be changed."""
        world = self.sandbox.world
        corp = next(corp for corp in world.corps if corp.corp_id == corp_id)
        return next(person for person in corp.people if person.userid == userid)

    def calls(self, endpoint: str) -> int:
        return self.sandbox.calls[endpoint]

    def _approve(self, agent: Agent, **who: Any) -> str:
        app = self.sandbox.world.app(agent.corp_id, agent.agent_id)
        assert app
        return self.sandbox.world.approve(Login(app, **who))


@asynccontextmanager
async def lived_in(app: ASGIApp) -> AsyncGenerator[None]:
    """Run the application's lifespan, in a task of its own as a server does."""
    inbox: asyncio.Queue[Message] = asyncio.Queue()
    outbox: asyncio.Queue[Message] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}

    async def live() -> None:
        await app(scope, inbox.get, outbox.put)

    task = asyncio.create_task(live())
    await inbox.put({"type": "lifespan.startup"})
    started = await outbox.get()
    assert started["type"] == "lifespan.startup.complete", started
    try:
        yield
    finally:
        await inbox.put({"type": "lifespan.shutdown"})
        assert (await outbox.get())["type"] == "lifespan.shutdown.complete"
        await task


def settings(database_url: str, wecom_url: str, **environ: str) -> Settings:
    return Settings.from_environ(
        {
            "HEFU_DATABASE_URL": database_url,
            "HEFU_SECRET_KEYS": SECRET_KEY,
            "HEFU_WECOM_URL": wecom_url,
            "HEFU_RATE_LIMIT_ADDRESS": "off",
            "HEFU_RATE_LIMIT_SOURCE": "off",
            **environ,
        }
    )


@dataclass
class Pkce:
    """A verifier that stays on the device, and its challenge."""

    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    @property
    def challenge(self) -> str:
        digest = hashlib.sha256(self.verifier.encode()).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


Json = dict[str, Any]


@dataclass
class House:
    """The application as its clients see it, and what stands behind it."""

    client: httpx.AsyncClient
    services: Services
    wecom: Wecom
    clock: Clock
    database_url: str
    keys: dict[Role, str] = field(default_factory=dict)

    async def answer(
        self,
        query: str,
        variables: Json | None = None,
        *,
        token: str | None = None,
        **headers: str,
    ) -> Json:
        """The whole answer, with its errors."""
        response = await self.post(query, variables, token=token, **headers)
        body: Json = response.json()
        codes.check(body)
        return body

    async def post(
        self,
        query: str,
        variables: Json | None = None,
        *,
        token: str | None = None,
        **headers: str,
    ) -> httpx.Response:
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        body = {"query": query, "variables": variables or {}}
        return await self.client.post("/graphql", json=body, headers=names)

    async def data(
        self,
        query: str,
        variables: Json | None = None,
        *,
        token: str | None = None,
        **headers: str,
    ) -> Json:
        """The answer's data, where there must be no errors."""
        body = await self.answer(query, variables, token=token, **headers)
        assert "errors" not in body, body
        data: Json = body["data"]
        return data

    async def mutate(
        self,
        name: str,
        input: Json,
        fields: str,
        *,
        token: str | None = None,
        **headers: str,
    ) -> Json:
        """One mutation's payload: `fields` is what is asked of it."""
        type_ = name[0].upper() + name[1:] + "Input!"
        query = f"mutation($input: {type_}) {{ {name}(input: $input) {{ {fields} }} }}"
        data = await self.data(query, {"input": input}, token=token, **headers)
        payload: Json = data[name]
        return payload

    async def key(self, role: Role = Role.OWNER) -> str:
        """An API key of that role."""
        if role not in self.keys:
            made = await self.services.api_keys.create_from_console(role.lower(), role)
            self.keys[role] = made.secret
        return self.keys[role]

    async def app(self, **input: Any) -> str:
        """A new app's id."""
        payload = await self.mutate(
            "createApp",
            {"name": "Example", **input},
            "app { id } errors { path code }",
            token=await self.key(),
        )
        assert payload["errors"] == [], payload
        id: str = payload["app"]["id"]
        return id

    async def source(
        self,
        app_id: str | None = None,
        *,
        agent: Agent = examples.AGENT,
        **input: Any,
    ) -> str:
        """A new source's id, associated with the app if one is given."""
        payload = await self.mutate(
            "createWecomMobileIdentitySource",
            {
                "identifier": f"wecom-{secrets.token_hex(4)}",
                "displayName": "WeCom",
                "corpId": agent.corp_id,
                "agentId": agent.agent_id,
                "secret": agent.secret,
                "schema": "wwauth1e933be11645237c000012",
                **input,
            },
            "identitySource { id } errors { path code }",
            token=await self.key(),
        )
        assert payload["errors"] == [], payload
        id: str = payload["identitySource"]["id"]
        if app_id is not None:
            await self.associate(app_id, id)
        return id

    async def associate(self, app_id: str, source_id: str) -> None:
        await self.data(
            "mutation($input: AppAssociationInput!)"
            " { associateApp(input: $input) { errors { code } } }",
            {"input": {"appId": app_id, "identitySourceId": source_id}},
            token=await self.key(),
        )

    async def entrance(self, **rules: Any) -> Entrance:
        """An app (of `app=`) and a source (of the rest) that serves it."""
        app_id = await self.app(**rules.pop("app", {}))
        identifier = rules.pop("identifier", f"wecom-{secrets.token_hex(4)}")
        source_id = await self.source(app_id, identifier=identifier, **rules)
        return Entrance(self, app_id, source_id, identifier)


LOGIN = """
mutation($input: WecomMobileLoginInput!) {
  wecomMobileLogin(input: $input) {
    __typename
    ... on LoginSuccess {
      resolution
      session { id }
      tokens { accessToken tokenType expiresIn refreshToken refreshExpiresIn }
      user { id username displayName email phone externalId role status }
    }
    ... on BindingRequired {
      ticket expiresAt methods canCreateAccount profile { userId name }
    }
    ... on LoginFailure { code message retry retryAfter requestId }
  }
}
"""

START = """
mutation($input: StartWecomMobileLoginInput!) {
  startWecomMobileLogin(input: $input) {
    __typename
    ... on WecomMobileLoginRequest {
      identitySource displayName schema corpId agentId state expiresAt
    }
    ... on LoginFailure { code message retry retryAfter requestId }
  }
}
"""


@dataclass
class Entrance:
    """An app and a source that serves it, as a mobile app uses them."""

    house: House
    app_id: str
    source_id: str
    identifier: str

    async def start(self, challenge: str | None = None, **headers: str) -> Json:
        input = {"appId": self.app_id, "identitySource": self.identifier}
        if challenge is not None:
            input["codeChallenge"] = challenge
        data = await self.house.data(START, {"input": input}, **headers)
        result: Json = data["startWecomMobileLogin"]
        return result

    async def present(self, code: str, **input: Any) -> Json:
        """Send a code: exactly what is given, nothing else."""
        headers = input.pop("headers", {})
        token = input.pop("token", None)
        given = {"appId": self.app_id, "identitySource": self.identifier, "code": code}
        data = await self.house.data(
            LOGIN, {"input": {**given, **input}}, token=token, **headers
        )
        result: Json = data["wecomMobileLogin"]
        return result

    async def prepared(self, userid: str = "zhangsan", **how: Any) -> Json:
        """An input that will log the member in: code, state and verifier."""
        pkce = Pkce()
        begun = await self.start(pkce.challenge)
        code = self.house.wecom.approve(userid, **how)
        return {
            "code": code,
            "state": begun["state"],
            "codeVerifier": pkce.verifier,
        }

    async def log_in(
        self, userid: str = "zhangsan", *, agent: Agent = examples.AGENT, **input: Any
    ) -> Json:
        """The whole way: start, approve, present."""
        prepared = await self.prepared(userid, agent=agent)
        return await self.present(**{**prepared, **input})


@asynccontextmanager
async def open_house(
    settings: Settings, wecom: Wecom, clock: Clock
) -> AsyncGenerator[House]:
    app = create_app(settings, clock=clock)
    async with lived_in(app):
        services = app.services
        await services.keys.ensure()
        transport = httpx.ASGITransport(app=app, client=("203.0.113.7", 1))
        async with httpx.AsyncClient(
            transport=transport, base_url="http://hefu.test"
        ) as client:
            yield House(client, services, wecom, clock, settings.database_url)
