from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from wecom import Agent, Client, StoredToken
from wecom.sandbox import Sandbox, create_sandbox, examples, running
from wecom.sandbox.faults import Fault
from wecom.sandbox.world import Login


@dataclass
class Clock:
    now: datetime = datetime(2026, 11, 23, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class Play:
    """The sandbox, its address, and short ways to play with it."""

    sandbox: Sandbox
    url: str

    def approve(
        self,
        userid: str = "zhangsan",
        *,
        agent: Agent = examples.AGENT,
        consented: bool = False,
    ) -> str:
        app = self.sandbox.world.app(agent.corp_id, agent.agent_id)
        assert app
        login = Login(app, userid=userid, consented=consented)
        return self.sandbox.world.approve(login)

    def fault(
        self,
        name: str,
        /,
        endpoint: str = "getuserinfo",
        times: int = 1,
        **options: object,
    ) -> None:
        self.sandbox.faults.append(Fault(name, endpoint, times, options))

    def calls(self, endpoint: str) -> int:
        return self.sandbox.calls[endpoint]


@dataclass
class MemoryStore:
    """What the database does, with failures to switch on."""

    tokens: dict[str, StoredToken] = field(default_factory=dict[str, StoredToken])
    failure: Exception | None = None

    async def load(self, key: str) -> StoredToken | None:
        self._fail()
        return self.tokens.get(key)

    async def save(self, key: str, token: StoredToken) -> None:
        self._fail()
        self.tokens[key] = token

    async def drop(self, key: str, token: StoredToken) -> None:
        self._fail()
        if self.tokens.get(key) == token:
            del self.tokens[key]

    def _fail(self) -> None:
        if self.failure:
            raise self.failure


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def wecom_clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
async def served(wecom_clock: Clock) -> AsyncIterator[Play]:
    sandbox = create_sandbox(clock=lambda: wecom_clock().timestamp())
    async with running(sandbox) as url:
        yield Play(sandbox, url)


@pytest.fixture
def play(served: Play) -> Iterator[Play]:
    served.sandbox.reset()
    yield served
    served.sandbox.reset()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def observed() -> list[tuple[str, str]]:
    return []


@pytest.fixture
async def client(
    play: Play,
    wecom_clock: Clock,
    slept: list[float],
    observed: list[tuple[str, str]],
) -> AsyncIterator[Client]:
    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    client = Client(
        base_url=play.url,
        timeout=1.5,
        clock=wecom_clock,
        sleep=sleep,
        observe=lambda call, outcome, seconds: observed.append((call, outcome)),
    )
    yield client
    await client.aclose()
