"""CPU time of one call to WeCom, by transport: python bench/wecom_transport.py

One run, one machine: the server runs in a process of its own, every transport takes
its turns between the others', and the figures to compare are the ratios.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import time

import httpx
import httpx_aiohttp

from wecom.transport import Transport

CALLS = 2_000
ROUNDS = 5
PATH = "/cgi-bin/user/getuserinfo?access_token=" + "t" * 200 + "&code=" + "c" * 40
ANSWER = b'{"errcode":0,"errmsg":"ok","UserId":"zhangsan","DeviceId":"d"}'


class Server(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(  # type: ignore[attr-defined]
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=UTF-8\r\n"
            b"Connection: keep-alive\r\nContent-Length: %d\r\n\r\n%b"
            % (len(ANSWER), ANSWER)
        )


async def serve() -> None:
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def transport(name: str) -> httpx.AsyncBaseTransport:
    if name == "own":
        return Transport()
    if name == "httpx-aiohttp":
        return httpx_aiohttp.AiohttpTransport(trust_env=False)
    if name == "httpx without sniffio":
        sys.modules.pop("sniffio", None)
        sys.meta_path.insert(0, NoSniffio())
    return httpx.AsyncHTTPTransport(trust_env=False)


class NoSniffio:
    """What a missing package costs: the other finders look for it every time."""

    def find_spec(self, name: str, path: object, target: object = None) -> None:
        if name != "sniffio":
            return
        for finder in sys.meta_path[1:]:
            finder.find_spec("sniffio_that_is_missing", path, target)  # type: ignore[attr-defined]
        raise ModuleNotFoundError(name=name)


async def call(client: httpx.AsyncClient, url: str) -> None:
    async with client.stream("GET", url) as response:
        body = b"".join([chunk async for chunk in response.aiter_raw()])
    if body != ANSWER:
        raise SystemExit("another answer")


async def measure(name: str, base_url: str) -> dict[int, float]:
    found = {}
    http = httpx.AsyncClient(transport=transport(name), trust_env=False)
    async with http as client:
        for concurrent in (1, 16):

            async def caller(calls: int) -> None:
                for _ in range(calls):
                    await call(client, base_url + PATH)

            await asyncio.gather(*(caller(5) for _ in range(concurrent)))
            begun = time.process_time()
            calls = CALLS // concurrent
            await asyncio.gather(*(caller(calls) for _ in range(concurrent)))
            spent = time.process_time() - begun
            found[concurrent] = spent / (calls * concurrent) * 1e6
    return found


NAMES = ["httpx without sniffio", "httpx with sniffio", "httpx-aiohttp", "own"]


def main() -> None:
    server = subprocess.Popen(
        [sys.executable, __file__, "serve"], stdout=subprocess.PIPE, text=True
    )
    try:
        port = (server.stdout or sys.stdin).readline().strip()
        base_url = f"http://127.0.0.1:{port}"
        runs: dict[str, list[list[float]]] = {name: [] for name in NAMES}
        for _ in range(ROUNDS):
            for name in NAMES:
                told = subprocess.check_output(
                    [sys.executable, __file__, name, base_url], text=True
                )
                runs[name].append([float(word) for word in told.split()])
    finally:
        server.kill()
        server.wait()
    print(f"{'CPU µs per call':24}{'1 at once':>12}{'16 at once':>12}   ratios")
    medians = {
        name: [statistics.median(column) for column in zip(*rows, strict=True)]
        for name, rows in runs.items()
    }
    for name, (one, sixteen) in medians.items():
        ratios = [
            f"{value / own:.1f}"
            for value, own in zip((one, sixteen), medians["own"], strict=True)
        ]
        print(f"{name:24}{one:12.0f}{sixteen:12.0f}   {' '.join(ratios)}")


if __name__ == "__main__":
    match sys.argv[1:]:
        case []:
            main()
        case ["serve"]:
            asyncio.run(serve())
        case [name, base_url]:
            print(*asyncio.run(measure(name, base_url)).values())
