"""
Logins a second: one process, SQLite and PostgreSQL, WeCom stood in for elsewhere.

    python bench/login.py [--count 2000] [--connections 16]

Members return: each logs in a second time, through an app that requires no state, so
that a login is one request; and through one that does, so that it is two.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib

import load
from house import Measured, databases, serving, stand_in

LOGIN = """
mutation($input: WecomMobileLoginInput!) {
  wecomMobileLogin(input: $input) {
    __typename
    ... on LoginSuccess { tokens { accessToken refreshToken } user { id displayName } }
    ... on LoginFailure { code message }
  }
}
"""
START = """
mutation($input: StartWecomMobileLoginInput!) {
  startWecomMobileLogin(input: $input) {
    ... on WecomMobileLoginRequest { state }
    ... on LoginFailure { code message }
  }
}
"""
VERIFIER = "v" * 43
CHALLENGE = (
    base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest())
    .rstrip(b"=")
    .decode()
)
MEMBERS = 200


async def logins(
    house: Measured, count: int, connections: int
) -> tuple[load.Result, float]:
    """Returning members, a request each; and the server's CPU per login, in µs."""
    app_id, source = house.entrance(requireState=False)

    def request(number: int, prefix: str) -> bytes:
        code = f"code-member{number % MEMBERS}-{prefix}{number}"
        input = {"appId": app_id, "identitySource": source, "code": code}
        return load.encode(LOGIN, {"input": input})

    good = b'"LoginSuccess"'
    await load.run(
        house.port,
        lambda number: request(number, "first"),
        count=MEMBERS,
        connections=connections,
        good=good,
    )
    cpu = house.cpu()
    result = await load.run(
        house.port,
        lambda number: request(number, "again"),
        count=count,
        connections=connections,
        good=good,
    )
    return result, (house.cpu() - cpu) / count * 1e6


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--connections", type=int, nargs="+", default=[16, 64])
    options = parser.parse_args()
    print("database   connections  logins/s   p50 ms   p99 ms  CPU µs/login  failed")
    for connections in options.connections:
        for name in ("sqlite", "postgres"):
            with (
                stand_in() as wecom,
                databases(name) as urls,
                serving(urls[name], wecom) as house,
            ):
                result, cpu = asyncio.run(logins(house, options.count, connections))
            print(
                f"{name:10} {connections:11} {result.rate:9.0f} {result.p50:8.1f}"
                f" {result.p99:8.1f} {cpu:13.0f} {result.failed:7}"
            )


if __name__ == "__main__":
    main()
