from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from wecom.transport import Transport

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@asynccontextmanager
async def listening(
    handle: Handler, *, tls: ssl.SSLContext | None = None
) -> AsyncGenerator[str]:
    async def handled(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            await handle(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handled, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"https://localhost:{port}/" if tls else f"http://127.0.0.1:{port}/"
    finally:
        server.close()


def answering(answer: bytes, *, seen: list[bytes] | None = None) -> Handler:
    async def handle(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while request := await reader.readuntil(b"\r\n\r\n"):
            if seen is not None:
                seen.append(request)
            writer.write(answer)

    return handle


def client(**options: float) -> httpx.AsyncClient:
    transport = Transport(max_connections=int(options.get("max_connections", 100)))
    return httpx.AsyncClient(transport=transport, timeout=1)


@pytest.mark.parametrize(
    "answer",
    [
        OK,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"1\r\no\r\n1\r\nk\r\n0\r\nTrailer: x\r\n\r\n"
        ),
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n" + OK,
    ],
)
async def test_an_answer_keeps_its_connection(answer: bytes) -> None:
    ports: set[object] = set()

    async def handle(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        ports.add(writer.get_extra_info("peername"))
        await answering(answer)(reader, writer)

    async with listening(handle) as url, client() as http:
        for _ in range(3):
            assert (await http.get(url)).text == "ok"
    assert len(ports) == 1


async def test_an_answer_that_ends_with_its_connection() -> None:
    """HTTP/1.0, as simple servers speak it."""

    async def handle(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 200 OK\r\n\r\nok")

    async with listening(handle) as url, client() as http:
        assert (await http.get(url)).text == "ok"
        assert (await http.get(url)).text == "ok"


async def test_the_request_as_it_is_written() -> None:
    seen: list[bytes] = []
    async with listening(answering(OK, seen=seen)) as url, client() as http:
        request = httpx.Request("GET", url + "a?b=%20c", headers={"Accept": "x"})
        await http.send(request)
    host = url[7:-1].encode()
    assert seen == [
        b"GET /a?b=%20c HTTP/1.1\r\nHost: " + host + b"\r\nAccept: x\r\n\r\n"
    ]


async def test_a_connection_that_was_closed_while_idle_is_not_used() -> None:
    """A code that is sent on a dying connection counts as spent."""

    async def handle(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)

    async with listening(handle) as url, client() as http:
        for _ in range(5):
            assert (await http.get(url)).text == "ok"


@pytest.mark.parametrize(
    "surplus", [b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", b"\r\n"]
)
async def test_what_follows_an_answer_never_answers_the_next(surplus: bytes) -> None:
    """One login must not get what was meant for another's."""
    async with listening(answering(OK + surplus)) as url, client() as http:
        for _ in range(3):
            assert (await http.get(url)).text == "ok"


async def test_what_comes_late_never_answers_the_next() -> None:
    async def handle(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await asyncio.sleep(0.02)
        writer.write(OK.replace(b"ok", b"no"))
        await reader.read()

    async with listening(handle) as url, client() as http:
        assert (await http.get(url)).text == "ok"
        await asyncio.sleep(0.1)
        assert (await http.get(url)).text == "ok"


@pytest.mark.parametrize(
    ("begun", "endless"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"X-Header: " + b"x" * 1000 + b"\r\n"),
        (b"HTTP/1.1 200 OK\r\n", b"x" * 1000),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"1;" + b"x" * 70_000 + b"\r\no\r\n",
        ),
        (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    ],
)
async def test_headers_and_trailers_have_an_end(begun: bytes, endless: bytes) -> None:
    async def handle(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(begun)
        while True:
            writer.write(endless)
            await writer.drain()

    async with listening(handle) as url, client() as http:
        with pytest.raises(httpx.RemoteProtocolError):
            await http.get(url)


async def test_with_no_connection_free_nothing_is_sent() -> None:
    seen: list[bytes] = []
    async with listening(answering(b"", seen=seen)) as url:
        http = client(max_connections=1)
        first = asyncio.create_task(http.get(url))
        await asyncio.sleep(0.05)
        with pytest.raises(httpx.PoolTimeout):
            await http.get(url, timeout=0.1)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        assert len(seen) == 1
        await http.aclose()


async def test_who_gives_up_gives_their_connection_back() -> None:
    async with listening(answering(b"")) as url:
        http = client(max_connections=2)
        for _ in range(5):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.02):
                    await http.get(url)
        await http.aclose()


async def test_connecting_in_vain_says_so() -> None:
    async with client() as http:
        with pytest.raises(httpx.ConnectError):
            await http.get("http://127.0.0.1:1/")
        with pytest.raises(httpx.ConnectError):
            await http.get("http://" + "x" * 70 + ".invalid/")


async def test_certificates_are_verified(tmp_path: Path) -> None:
    """Whoever could stand in between would be told secrets, and name the member."""
    certificate = self_signed(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    trusting = Transport(tls=ssl.create_default_context(cafile=certificate))
    async with listening(answering(OK), tls=tls) as url:
        async with client() as http:
            with pytest.raises(httpx.ConnectError):
                await http.get(url)
        async with httpx.AsyncClient(transport=trusting) as http:
            assert (await http.get(url)).text == "ok"
            with pytest.raises(httpx.ConnectError):
                await http.get(url.replace("localhost", "127.0.0.1"))


def self_signed(folder: Path) -> Path:
    """A certificate for `localhost`, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    path = folder / "localhost.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path
