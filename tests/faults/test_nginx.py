"""`deploy/nginx.conf` before a server: addresses, bounds, probes kept inside."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import subprocess
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import (
    AbstractContextManager,
    ExitStack,
    asynccontextmanager,
    contextmanager,
    suppress,
)
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.faults.served import ROOT, free_port, serving
from tests.house import Wecom

REFRESH = """
mutation { refreshSession(input: {refreshToken: "x"}) {
  ... on LoginFailure { code } } }
"""


@pytest.fixture
async def proxied(
    wecom: Wecom, sqlite_template: Path, tmp_path: Path
) -> AsyncGenerator[httpx.AsyncClient]:
    database = tmp_path / "hefu.db"
    shutil.copy(sqlite_template, database)
    async with (
        serving(
            f"sqlite://{database}",
            wecom,
            HEFU_TRUSTED_PROXIES="127.0.0.1",
            HEFU_RATE_LIMIT_ADDRESS="2/h",
        ) as served,
        proxying(tmp_path, served.port) as client,
    ):
        yield client


@asynccontextmanager
async def proxying(folder: Path, *upstreams: int) -> AsyncGenerator[httpx.AsyncClient]:
    """nginx, with our file, before these ports."""
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if nginx is None:
        pytest.skip("Debian's package nginx is not installed")
    certificate = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=login.example.com"
        f" -keyout {folder}/privkey.pem -out {folder}/fullchain.pem"
    )
    subprocess.run(certificate.split(), check=True, capture_output=True)  # noqa: ASYNC221, S603
    port = free_port()
    settings = configured(folder, port=port, upstreams=upstreams)
    process = subprocess.Popen(  # noqa: ASYNC220, S603
        [nginx, "-c", str(settings), "-g", "daemon off;"]
    )
    transport = httpx.AsyncHTTPTransport(verify=False, retries=5)
    try:
        async with httpx.AsyncClient(
            base_url=f"https://127.0.0.1:{port}", transport=transport, timeout=20
        ) as client:
            yield client
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)


def configured(folder: Path, *, port: int, upstreams: Sequence[int]) -> Path:
    """Ours, on other ports and with another certificate."""
    text = (ROOT / "deploy" / "nginx.conf").read_text()
    first, *others = [f"server 127.0.0.1:{each};" for each in upstreams]
    for before, after in (
        ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
        ("listen [::]:443 ssl;", ""),
        ("server 127.0.0.1:8000;", first),
        ("# server 192.0.2.2:8000;", "".join(others)),
        ("/etc/ssl/hefu", str(folder)),
    ):
        assert before in text
        text = text.replace(before, after)
    path = folder / "nginx.conf"
    path.write_text(
        f"user root;\npid {folder}/pid;\nerror_log {folder}/error.log;\n"
        f"events {{}}\nhttp {{\n{text}\n}}\n"
    )
    return path


async def test_the_reverse_proxy(proxied: httpx.AsyncClient) -> None:
    assert (await proxied.get("/.well-known/jwks.json")).status_code == 200
    assert (await proxied.get("/health/ready")).status_code == 404
    assert (await proxied.post("/graphql", content=bytes(70_000))).status_code == 413

    # Whatever a client says of its address, it remains the one that connects.
    codes = []
    for number in range(4):
        answer = await proxied.post(
            "/graphql",
            json={"query": REFRESH},
            headers={"X-Forwarded-For": f"9.9.9.{number}"},
        )
        codes.append(answer.json()["data"]["refreshSession"]["code"])
    refused = "INVALID_REFRESH_TOKEN"
    assert codes == [refused, refused, "RATE_LIMITED", "RATE_LIMITED"]


@dataclass
class Upstream:
    """What nginx sends to a machine, byte for byte."""

    port: int
    asked: list[bytes] = field(default_factory=list)


@asynccontextmanager
async def upstream(answer: bytes) -> AsyncGenerator[Upstream]:
    """A machine that says only this to each request, and hangs up."""

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        size = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        body = await reader.readexactly(int(size[1])) if size else b""
        seen.asked.append(head + body)
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(meet, "127.0.0.1", 0)
    seen = Upstream(server.sockets[0].getsockname()[1])
    async with server:
        yield seen


GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"


@contextmanager
def gone() -> Generator[int]:
    """A port where nothing listens."""
    yield free_port()


@contextmanager
def switched_off() -> Generator[int]:
    """One that takes no connection and refuses none, as a machine without power."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        port = int(full.getsockname()[1])
        with ExitStack() as waiting:
            for _ in range(3):
                client = waiting.enter_context(socket.socket())
                client.setblocking(False)
                client.connect_ex(("127.0.0.1", port))
            yield port


@pytest.mark.parametrize("dead", [gone, switched_off])
async def test_where_a_machine_is_gone_another_answers(
    tmp_path: Path, dead: Callable[[], AbstractContextManager[int]]
) -> None:
    with dead() as port:
        async with (
            upstream(GOOD) as good,
            proxying(tmp_path, port, good.port) as client,
        ):
            for _ in range(3):
                answer = await client.post("/graphql", json={"query": REFRESH})
                assert answer.status_code == 200
    assert len(good.asked) == 3


async def test_a_mutation_that_was_sent_is_not_sent_twice(tmp_path: Path) -> None:
    """Whoever cut the connection may have done it all the same."""
    async with (
        upstream(b"") as cut,
        upstream(b"") as other,
        proxying(tmp_path, cut.port, other.port) as client,
    ):
        answer = await client.post("/graphql", json={"query": REFRESH})
        assert answer.status_code == 502
        assert len(cut.asked) + len(other.asked) == 1
        # Only a query comes by GET: reading twice does no harm.
        await client.get("/graphql?query={__typename}")
        assert len(cut.asked) + len(other.asked) > 1


async def test_a_caller_does_not_name_the_trace(tmp_path: Path) -> None:
    async with upstream(GOOD) as good, proxying(tmp_path, good.port) as client:
        foreign = {
            "traceparent": "canary99",
            "tracestate": "canary99",
            "x-mine": "kept",
        }
        await client.get("/graphql?query={__typename}", headers=foreign)
    [asked] = good.asked
    assert b"kept" in asked
    assert b"canary99" not in asked
