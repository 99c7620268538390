"""The server's own keys, and changing them under logins and refreshes."""

from __future__ import annotations

import asyncio
import base64
import os
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta

import jwt
import pytest

from models import IdentitySource, KeyPurpose, ServerKey, WecomToken, database
from services.clock import now
from services.keys import Keys
from services.vault import CannotOpen, Vault
from tests.house import SECRET_KEY, Entrance, House, Json
from tests.operations import run
from tests.processes import beside
from tests.serving import command

ME = "{ me { id } }"
NEW_KEY = base64.b64encode(b"n" * 32).decode()
BOTH_NEW_FIRST = f"{NEW_KEY},{SECRET_KEY}"
BOTH_OLD_FIRST = f"{SECRET_KEY},{NEW_KEY}"


class Verifier:
    """A back end elsewhere: it caches JWKS for the five minutes that it may."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._keys: dict[str, Json] = {}
        self._fetched = house.clock() - timedelta(days=1)

    async def verify(self, token: str, entrance: Entrance) -> Json:
        """
        :raises KeyError: the JWKS, as it was cached, lacks the key.
        """
        if self._house.clock() - self._fetched > timedelta(minutes=5):
            await self._fetch()
        key = self._keys[jwt.get_unverified_header(token)["kid"]]
        claims: Json = jwt.decode(
            token,
            jwt.PyJWK(key),
            algorithms=["ES256"],
            audience=entrance.app_id,
            options={"verify_exp": False, "verify_iat": False},
        )
        return claims

    async def _fetch(self) -> None:
        answer = await self._house.client.get("/.well-known/jwks.json")
        assert answer.headers["Cache-Control"] == "public, max-age=300"
        self._keys = {key["kid"]: key for key in answer.json()["keys"]}
        self._fetched = self._house.clock()


class Phone:
    """Logs in on one process, and refreshes on whichever it meets."""

    def __init__(self, entrance: Entrance) -> None:
        self._entrance = entrance
        self._tokens: Json = {}

    async def log_in(self) -> None:
        result = await self._entrance.log_in()
        assert result["__typename"] == "LoginSuccess", result
        self._tokens = result["tokens"]

    async def refresh(self, house: House) -> None:
        # Sent along, expired or not, as careless apps do.
        result = await run(
            house,
            "refresh_session",
            {"refreshToken": self._tokens["refreshToken"]},
            token=self.access_token,
        )
        assert result["__typename"] == "RefreshedSession", result
        self._tokens = result["tokens"]

    @property
    def access_token(self) -> str:
        token: str = self._tokens["accessToken"]
        return token

    @property
    def kid(self) -> str:
        kid: str = jwt.get_unverified_header(self.access_token)["kid"]
        return kid


async def served(house: House, token: str) -> None:
    assert (await house.data(ME, token=token))["me"]


# --------------------------------------------------------------- the first keys


async def test_there_is_one_of_each_however_many_start_at_once(
    database_url: str,
) -> None:
    async with database.opened(database_url):
        starting = [Keys(vault=Vault([SECRET_KEY]), clock=now) for _ in range(16)]
        await asyncio.gather(*(each.ensure() for each in starting))

        keys = await ServerKey.all()
        assert sorted(key.purpose for key in keys) == ["DERIVING", "SIGNING"]
        signing = {(await each.signing())[0] for each in starting}
        assert len(signing) == 1


async def test_there_is_one_of_each_however_many_processes_migrate_at_once(
    database_url: str,
) -> None:
    environ = {
        **os.environ,
        "HEFU_DATABASE_URL": database_url,
        "HEFU_SECRET_KEYS": SECRET_KEY,
    }
    migrating = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", "hefu", "migrate", env=environ, stderr=DEVNULL
        )
        for _ in range(4)
    ]
    assert [await each.wait() for each in migrating] == [0] * 4

    async with database.opened(database_url):
        keys = await ServerKey.all()
    assert sorted(key.purpose for key in keys) == ["DERIVING", "SIGNING"]


async def test_keys_are_stored_sealed(house: House) -> None:
    await house.services.keys.ensure()
    [row] = await ServerKey.filter(purpose=KeyPurpose.SIGNING)

    assert b'"d"' not in row.sealed
    assert '"d"' not in (row.public_jwk or "")
    with pytest.raises(CannotOpen):
        await Keys(vault=Vault([NEW_KEY]), clock=now).signing()


async def test_a_clock_behind_the_first_keys_maker_signs_all_the_same(
    house: House,
) -> None:
    entrance = await house.entrance()
    house.clock.advance(minutes=-3)

    assert (await entrance.log_in())["__typename"] == "LoginSuccess"


# ------------------------------------------------------------------ --signing


async def test_a_new_signing_key_under_logins_and_refreshes(house: House) -> None:
    """Minute by minute, on two processes, and by whoever caches JWKS."""
    entrance = await house.entrance()
    async with beside(house) as other:
        there = Entrance(
            other, entrance.app_id, entrance.source_id, entrance.identifier
        )
        verifiers = Verifier(house), Verifier(other)
        phone, tablet = Phone(entrance), Phone(there)
        await phone.log_in()
        await tablet.log_in()
        old = phone.kid

        async def everything_works() -> None:
            for process in (house, other):
                for device in (phone, tablet):
                    await device.refresh(process)
                    await served(house, device.access_token)
                    await served(other, device.access_token)
                    for verifier in verifiers:
                        await verifier.verify(device.access_token, entrance)

        await everything_works()
        active_from = await house.services.keys.rotate_signing()
        assert timedelta(minutes=9) < active_from - house.clock()

        for minute in range(1, 90):
            await everything_works()
            if minute < 9:
                assert (phone.kid, tablet.kid) == (old, old)
            if minute > 11:
                assert phone.kid == tablet.kid != old
            if minute % 10 == 0:
                await phone.log_in()
                await tablet.log_in()
            house.clock.advance(minutes=1)


async def test_a_new_key_is_published_at_once_and_an_old_one_leaves(
    house: House,
) -> None:
    """By every process: a verifier that asks another one must not lack it."""

    async def published(process: House) -> list[str]:
        answer = await process.client.get("/.well-known/jwks.json")
        for key in answer.json()["keys"]:
            assert key.keys() == {"kty", "crv", "x", "y", "kid", "use", "alg"}
        return [key["kid"] for key in answer.json()["keys"]]

    async with beside(house) as other:
        [old] = await published(house)
        assert await published(other) == [old]
        await house.services.keys.rotate_signing()

        assert len(await published(house)) == 2
        assert set(await published(other)) == set(await published(house))
        house.clock.advance(minutes=72)
        assert old not in await published(house)
        assert len(await published(other)) == 1


async def test_a_token_of_a_retired_key_is_expired_not_forged(house: House) -> None:
    """A phone in a drawer sends it along, and must still be able to refresh."""
    entrance = await house.entrance()
    phone = Phone(entrance)
    await phone.log_in()
    token = phone.access_token
    await house.services.keys.rotate_signing()
    house.clock.advance(days=20)
    await house.services.pruning.run()

    answer = await house.answer(ME, token=token)

    assert answer["errors"][0]["extensions"]["reason"] == "EXPIRED"
    await phone.refresh(house)
    await served(house, phone.access_token)


async def test_keys_of_which_nobody_holds_a_token_are_deleted(house: House) -> None:
    await house.services.keys.rotate_signing()
    house.clock.advance(days=366)

    deleted = await house.services.pruning.run()

    assert deleted is not None
    assert deleted["signing keys"] == 1
    assert await ServerKey.filter(purpose=KeyPurpose.SIGNING).count() == 1
    entrance = await house.entrance()
    assert (await entrance.log_in())["__typename"] == "LoginSuccess"


async def test_rotating_twice_and_at_once(house: House) -> None:
    phone = Phone(await house.entrance())
    await phone.log_in()

    async with beside(house) as other:
        keys = [house.services.keys, other.services.keys] * 3
        await asyncio.gather(*(each.rotate_signing() for each in keys))

        numbers = [key.number for key in await ServerKey.filter(purpose="SIGNING")]
        assert sorted(numbers) == [1, 2, 3, 4, 5, 6, 7]
        for _ in range(20):
            await phone.refresh(other)
            await served(house, phone.access_token)
            house.clock.advance(minutes=1)
        lasting = await ServerKey.filter(purpose="SIGNING", verifies_until=None)
        assert [key.number for key in lasting] == [7]


# ------------------------------------------------------------------ --secrets


@asynccontextmanager
async def processes(house: House, *secret_keys: str) -> AsyncGenerator[list[House]]:
    """A process for each value of HEFU_SECRET_KEYS."""
    if not secret_keys:
        yield []
        return
    async with (
        beside(house, HEFU_SECRET_KEYS=secret_keys[0]) as first,
        processes(house, *secret_keys[1:]) as others,
    ):
        yield [first, *others]


async def test_new_secret_keys_under_logins_and_refreshes(house: House) -> None:
    """
    As the docs say: first every process knows the new key, then one encrypts under it,
    then the old one goes. At no step a request fails.
    """
    entrance = await house.entrance()
    phone = Phone(entrance)
    await phone.log_in()

    async def everything_works(*running: House) -> None:
        for process in running:
            there = Entrance(
                process, entrance.app_id, entrance.source_id, entrance.identifier
            )
            await Phone(there).log_in()
            await phone.refresh(process)
            await served(house, phone.access_token)

    async with processes(
        house, BOTH_OLD_FIRST, BOTH_OLD_FIRST, BOTH_NEW_FIRST, NEW_KEY
    ) as (cached, fresh, rotating, after):
        await everything_works(house, cached)
        moved = await rotating.services.resealing.run()
        assert moved == (3, 0)  # Two keys of the server's, and the source's secret.
        # One has its keys cached, the other reads them sealed anew.
        await everything_works(cached, fresh, rotating, after, cached)
        house.clock.advance(minutes=2)
        await everything_works(cached, fresh, rotating, after)
        assert await rotating.services.resealing.run() == (0, 0)

    assert not await ServerKey.exclude(sealed_key_id=Vault([NEW_KEY]).current)
    assert not await IdentitySource.exclude(secret_key_id=Vault([NEW_KEY]).current)
    assert not await WecomToken.filter(sealed_key_id=Vault([SECRET_KEY]).current)


async def test_a_process_that_lacks_the_key_of_a_new_signing_key_goes_on(
    house: House,
) -> None:
    """Somebody rotated too early: it signs with the key that it can open."""
    entrance = await house.entrance()
    phone = Phone(entrance)
    await phone.log_in()
    async with beside(house, HEFU_SECRET_KEYS=BOTH_NEW_FIRST) as ahead:
        await ahead.services.keys.rotate_signing()
        house.clock.advance(minutes=11)

        await phone.refresh(ahead)
        await served(house, phone.access_token)
        await phone.refresh(house)
        await served(ahead, phone.access_token)


async def test_encrypting_anew_needs_the_old_key(house: House) -> None:
    await house.entrance()
    before = [(key.id, key.sealed) for key in await ServerKey.all().order_by("id")]

    async with beside(house, HEFU_SECRET_KEYS=NEW_KEY) as other:
        assert await other.services.resealing.run() == (0, 3)

    after = [(key.id, key.sealed) for key in await ServerKey.all().order_by("id")]
    assert after == before


async def test_the_command_says_how_many_it_left(house: House) -> None:
    """What lacks its key stands in the way of nothing else."""
    await house.entrance()
    third = base64.b64encode(b"3" * 32).decode()
    async with beside(house, HEFU_SECRET_KEYS=f"{third},{SECRET_KEY}") as other:
        await other.services.keys.rotate_signing()

    status, said = await command(
        house, "rotate-keys", "--secrets", HEFU_SECRET_KEYS=BOTH_NEW_FIRST
    )

    assert status == 1
    assert said.startswith(
        "Encrypted 3 secrets anew.\n"
        "Left 1, which are under a key that HEFU_SECRET_KEYS lacks. Add it,"
    )
    assert await ServerKey.filter(sealed_key_id=Vault([NEW_KEY]).current).count() == 2


async def test_the_commands(house: House) -> None:
    await house.entrance()

    status, said = await command(house, "rotate-keys", "--signing")
    assert (status, said[:23]) == (0, "The new key signs from ")
    status, said = await command(
        house, "rotate-keys", "--secrets", HEFU_SECRET_KEYS=BOTH_NEW_FIRST
    )
    assert (status, said) == (0, "Encrypted 4 secrets anew.\n")
