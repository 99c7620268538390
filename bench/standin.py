"""
WeCom's stand-in for load: as little as can be, so that it is not the limit.

Every code names its member (`code-zhangsan-…`), every token is good. For anything else
than speed there is the sandbox. `/calls` tells how often each was called.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter

HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
)
TOKEN = b'{"errcode":0,"errmsg":"ok","access_token":"t","expires_in":7200}'


calls: Counter[str] = Counter()


class StandIn(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.rest = b""

    def data_received(self, data: bytes) -> None:
        self.rest += data
        while b"\r\n\r\n" in self.rest:
            request, self.rest = self.rest.split(b"\r\n\r\n", 1)
            target = request.split(b" ", 2)[1]
            body = answer(target)
            self.transport.write(HEAD % len(body) + body)  # type: ignore[attr-defined]


def answer(target: bytes) -> bytes:
    if target == b"/calls":
        return json.dumps(calls).encode()
    if b"/gettoken" in target:
        calls["gettoken"] += 1
        return TOKEN
    if b"/getuserinfo" in target:
        calls["getuserinfo"] += 1
        code = target.partition(b"code=")[2].partition(b"&")[0]
        return b'{"UserId":"%s","DeviceId":"d"}' % code.split(b"-")[1]
    calls["user/get"] += 1
    userid = target.partition(b"userid=")[2].partition(b"&")[0]
    return (
        b'{"errcode":0,"errmsg":"ok","userid":"%s","name":"%s","department":[1],'
        b'"position":"engineer","status":1}' % (userid, userid)
    )


async def main(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(StandIn, "127.0.0.1", port, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 0))
