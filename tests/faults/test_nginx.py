"""`deploy/nginx.conf` before a server: addresses, bounds, probes kept inside."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import AsyncGenerator
from contextlib import suppress
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
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if nginx is None:
        pytest.skip("Debian's package nginx is not installed")
    database = tmp_path / "hefu.db"
    shutil.copy(sqlite_template, database)
    certificate = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=login.example.com"
        f" -keyout {tmp_path}/privkey.pem -out {tmp_path}/fullchain.pem"
    )
    subprocess.run(certificate.split(), check=True, capture_output=True)  # noqa: ASYNC221, S603
    async with serving(
        f"sqlite://{database}",
        wecom,
        HEFU_TRUSTED_PROXIES="127.0.0.1",
        HEFU_RATE_LIMIT_ADDRESS="2/h",
    ) as served:
        port = free_port()
        settings = configured(tmp_path, port=port, upstream=served.port)
        process = subprocess.Popen(  # noqa: ASYNC220, S603
            [nginx, "-c", str(settings), "-g", "daemon off;"]
        )
        transport = httpx.AsyncHTTPTransport(verify=False, retries=5)
        async with httpx.AsyncClient(
            base_url=f"https://127.0.0.1:{port}", transport=transport
        ) as client:
            yield client
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)


def configured(folder: Path, *, port: int, upstream: int) -> Path:
    """Ours, on other ports and with another certificate."""
    text = (ROOT / "deploy" / "nginx.conf").read_text()
    for before, after in (
        ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
        ("listen [::]:443 ssl;", ""),
        ("127.0.0.1:8000", f"127.0.0.1:{upstream}"),
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
