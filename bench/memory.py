"""
What one worker holds in memory: idle, after logins, and while passwords are hashed.

    python bench/memory.py [--logins 10000] [--databases sqlite postgres]

RSS is what `ps` shows; PSS counts shared pages by their share. With several workers the
sum of their PSS is what a machine needs.
"""

from __future__ import annotations

import argparse
import asyncio

import load
import resources
from house import Measured, databases, serving, stand_in
from login import LOGIN

SIGN_IN = """
mutation($input: SignInWithPasswordInput!) {
  signInWithPassword(input: $input) {
    ... on LoginFailure { code }
    ... on LoginSuccess { user { id } }
  }
}
"""
MIB = 1024 * 1024
MEMBERS = 1000
# Far more than a pool of hashing threads takes at once.
SIGNING_IN = 64


async def log_in(house: Measured, entrance: tuple[str, str], count: int) -> None:
    app_id, source = entrance

    def request(number: int) -> bytes:
        code = f"code-member{number % MEMBERS}-{number}"
        input = {"appId": app_id, "identitySource": source, "code": code}
        return load.encode(LOGIN, {"input": input})

    good = b'"LoginSuccess"'
    done = await load.run(house.port, request, count=count, connections=16, good=good)
    if done.failed:
        raise RuntimeError(done)


async def hash_passwords(house: Measured, app_id: str) -> resources.Holding:
    """The most that the process holds while names that nobody has are tried."""

    def request(number: int) -> bytes:
        input = {
            "appId": app_id,
            "account": f"nobody{number}",
            "password": "wrong one",
        }
        return load.encode(SIGN_IN, {"input": input})

    signing = asyncio.create_task(
        load.run(house.port, request, count=SIGNING_IN, connections=SIGNING_IN)
    )
    most = resources.held(house.pid)
    while not signing.done():
        await asyncio.sleep(0.02)
        most = max(most, resources.held(house.pid), key=lambda each: each.rss)
    signing.result()
    return most


def tell(name: str, when: str, holding: resources.Holding) -> None:
    print(
        f"{name:10} {when:28} {holding.rss / MIB:8.0f} {holding.pss / MIB:8.0f}"
        f" {holding.descriptors:12} {holding.threads:8}",
        flush=True,
    )


def measure(name: str, house: Measured, logins: int) -> None:
    entrance = house.entrance(requireState=False, allowPasswordSignIn=True)
    tell(name, "idle", resources.held(house.pid))
    asyncio.run(log_in(house, entrance, logins))
    tell(name, f"after {logins} logins", resources.held(house.pid))
    tell(name, "hashing passwords", asyncio.run(hash_passwords(house, entrance[0])))
    tell(name, "after that", resources.held(house.pid))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--logins", type=int, default=10_000)
    names = ["sqlite", "postgres"]
    parser.add_argument("--databases", nargs="+", choices=names, default=names)
    options = parser.parse_args()
    print(f"{'database':10} {'when':28}  RSS MiB  PSS MiB  descriptors  threads")
    for name in options.databases:
        with (
            stand_in() as wecom,
            databases(name) as urls,
            serving(urls[name], wecom) as house,
        ):
            measure(name, house, options.logins)


if __name__ == "__main__":
    main()
