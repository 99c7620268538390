"""Every promise about sessions, across two real `hefu serve` processes."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from models import Identity, RefreshToken, ServerKey, Session, User, ids
from tests.house import Entrance, House, Json
from tests.operations import administer, change, run
from tests.serving import command, serving

pytestmark = pytest.mark.slow

ME = "{ me { id sessions { totalCount } } }"


def through(process: House, entrance: Entrance) -> Entrance:
    """The same entrance, by way of another process."""
    return Entrance(process, entrance.app_id, entrance.source_id, entrance.identifier)


async def refresh(process: House, token: str) -> Json:
    return await run(process, "refresh_session", {"refreshToken": token})


async def me(process: House, logged_in: Json) -> int:
    """The HTTP status of a request with its access token."""
    answer = await process.post(ME, token=logged_in["tokens"]["accessToken"])
    return answer.status_code


async def test_a_token_refreshed_on_both_at_once_ends_in_one_chain(
    house: House,
) -> None:
    entrance = await house.entrance()
    async with serving(house) as [(_, one), (_, other)]:
        for _ in range(5):
            logged_in = await through(one, entrance).log_in()
            token = logged_in["tokens"]["refreshToken"]

            results = await asyncio.gather(
                *(refresh(process, token) for process in (one, other) * 8)
            )

            assert {each["__typename"] for each in results} == {"RefreshedSession"}
            [successor] = {each["tokens"]["refreshToken"] for each in results}
            # And on: what one process gave, the other takes.
            following = await refresh(other, successor)
            assert following["__typename"] == "RefreshedSession"
    assert await Session.filter(revoked_at=None).count() == 5
    assert await RefreshToken.all().count() == 15


async def test_what_ends_on_one_is_refused_at_once_on_the_other(house: House) -> None:
    entrance = await house.entrance(app={"allowPasswordSignIn": True})
    async with serving(house) as [(_, one), (_, other)]:
        here = through(one, entrance)

        async def opened(userid: str = "zhangsan") -> Json:
            logged_in = await here.log_in(userid)
            # Both processes have seen it alive, whatever they remember.
            assert await me(one, logged_in) == await me(other, logged_in) == 200
            return logged_in

        async def is_over(logged_in: Json) -> None:
            assert await me(other, logged_in) == 401
            refused = await refresh(other, logged_in["tokens"]["refreshToken"])
            assert refused["code"] == "INVALID_REFRESH_TOKEN"

        mine = await opened()
        await run(one, "sign_out", {"refreshToken": mine["tokens"]["refreshToken"]})
        await is_over(mine)

        mine = await opened()
        await administer(one, "revoke_session", {"id": mine["session"]["id"]})
        await is_over(mine)

        mine = await opened()
        await administer(one, "revoke_sessions", {"appId": entrance.app_id})
        await is_over(mine)

        mine = await opened()
        await change(one, mine["user"]["id"], status="DISABLED")
        await is_over(mine)
        await change(one, mine["user"]["id"], status="ACTIVE")

        mine = await opened()
        password = {"id": mine["user"]["id"], "password": "correct horse battery"}
        await administer(one, "set_user_password", password)
        await is_over(mine)

        mine = await opened("LiSi")
        await administer(one, "delete_user", {"id": mine["user"]["id"]})
        await is_over(mine)

        mine = await opened()
        stolen = mine["tokens"]["refreshToken"]
        first = await refresh(one, stolen)
        await refresh(one, first["tokens"]["refreshToken"])
        await _half_a_minute_later()
        assert (await refresh(one, stolen))["code"] == "INVALID_REFRESH_TOKEN"
        await is_over(mine)

        mine = await opened()
        disabled = {"id": entrance.app_id, "enabled": False}
        await administer(one, "update_app", disabled)
        await is_over(mine)


async def test_what_replaced_or_unlinked_a_session_ends_it_on_both(
    house: House,
) -> None:
    entrance = await house.entrance()
    phone = {"installationId": "phone"}
    async with serving(house) as [(_, one), (_, other)]:
        here, there = through(one, entrance), through(other, entrance)
        replaced = await here.log_in(device=phone)
        assert await me(one, replaced) == await me(other, replaced) == 200
        latest = await there.log_in(device=phone)
        assert await me(one, replaced) == await me(other, replaced) == 401
        assert await me(one, latest) == await me(other, latest) == 200

        identity = await Identity.get(subject="zhangsan")
        unlinked = {"id": ids.show(ids.IDENTITY, identity.id)}
        await administer(other, "unlink_identity", unlinked)

        assert await me(one, latest) == await me(other, latest) == 401
        for ended in (replaced, latest):
            refused = await refresh(one, ended["tokens"]["refreshToken"])
            assert refused["code"] == "INVALID_REFRESH_TOKEN"


async def test_a_leaver_is_out_on_both(house: House) -> None:
    """The one that hears of it from WeCom ends what the other has opened."""
    entrance = await house.entrance()
    async with serving(house) as [(_, one), (_, other)]:
        phone = await through(one, entrance).log_in()
        tablet = await through(other, entrance).log_in()
        assert await me(one, tablet) == await me(other, phone) == 200
        house.wecom.person("zhangsan").status = 5
        asked = house.wecom.calls("user_get")
        await _a_day_later()

        refused = await refresh(one, phone["tokens"]["refreshToken"])

        assert (refused["code"], refused["retry"]) == ("MEMBER_NOT_ALLOWED", "NEVER")
        assert await me(other, tablet) == await me(other, phone) == 401
        refused = await refresh(other, tablet["tokens"]["refreshToken"])
        assert refused["code"] == "INVALID_REFRESH_TOKEN"
        assert house.wecom.calls("user_get") == asked + 1


async def test_what_rests_on_a_source_waits_for_it_on_both(house: House) -> None:
    entrance = await house.entrance()
    source = {"id": entrance.source_id}
    async with serving(house) as [(_, one), (_, other)]:
        token = (await through(one, entrance).log_in())["tokens"]["refreshToken"]
        token = (await refresh(other, token))["tokens"]["refreshToken"]
        update = "update_wecom_mobile_identity_source"
        await administer(one, update, {**source, "enabled": False})

        for process in (one, other):
            refused = await refresh(process, token)
            assert refused["code"] == "IDENTITY_SOURCE_UNAVAILABLE"

        await administer(other, update, {**source, "enabled": True})
        token = (await refresh(one, token))["tokens"]["refreshToken"]
        assert (await refresh(other, token))["__typename"] == "RefreshedSession"


async def test_a_lost_answer_is_given_again_by_the_other(house: House) -> None:
    entrance = await house.entrance()
    async with serving(house) as [(_, one), (_, other)]:
        lost = (await through(one, entrance).log_in())["tokens"]["refreshToken"]
        token = (await refresh(one, lost))["tokens"]["refreshToken"]
        await _half_a_minute_later()

        again = await refresh(other, lost)

        assert again["tokens"]["refreshToken"] == token
        assert (await refresh(one, token))["__typename"] == "RefreshedSession"


async def _half_a_minute_later() -> None:
    """These processes have clocks of their own: what they wrote is older, then."""
    for row in await RefreshToken.exclude(replaced_at=None):
        assert row.replaced_at
        row.replaced_at -= timedelta(seconds=31)
        await row.save()


async def _a_day_later() -> None:
    """Since WeCom was last asked about anybody."""
    for identity in await Identity.all():
        identity.checked_at -= timedelta(hours=25)
        await identity.save()


async def test_simultaneous_first_logins_end_in_one_account(house: House) -> None:
    entrance = await house.entrance()
    async with serving(house) as [(_, one), (_, other)]:
        doors = [through(one, entrance), through(other, entrance)] * 6
        attempts = [(door, await door.prepared()) for door in doors]

        results = await asyncio.gather(
            *(door.present(**prepared) for door, prepared in attempts)
        )

    assert {each["__typename"] for each in results} == {"LoginSuccess"}
    assert len({each["user"]["id"] for each in results}) == 1
    assert len({each["session"]["id"] for each in results}) == 12
    assert await User.all().count() == await Identity.all().count() == 1


async def test_the_same_login_sent_to_both_is_answered_alike(house: House) -> None:
    entrance = await house.entrance()
    async with serving(house) as [(_, one), (_, other)]:
        prepared = await through(one, entrance).prepared()

        results = await asyncio.gather(
            *(
                through(process, entrance).present(**prepared)
                for process in (one, other) * 3
            )
        )

    assert len({each["session"]["id"] for each in results}) == 1
    assert len({each["tokens"]["refreshToken"] for each in results}) == 1
    assert await Session.all().count() == 1


async def test_logins_of_one_installation_at_once_leave_one_session(
    house: House,
) -> None:
    """
    Each replaces the session of the one before, though in PostgreSQL a statement that
    waits for another does not see what that one inserts.
    """
    entrance = await house.entrance()
    async with serving(house) as [(_, one), (_, other)]:
        doors = [through(one, entrance), through(other, entrance)] * 4
        await entrance.log_in()
        for number in range(8):
            phone: Json = {"device": {"installationId": f"phone {number}"}}
            prepared = [await door.prepared() for door in doors]

            results = await asyncio.gather(
                *(
                    door.present(**each, **phone)
                    for door, each in zip(doors, prepared, strict=True)
                )
            )

            assert {each["resolution"] for each in results} == {"LINKED"}
            alive = [await me(other, each) for each in results].count(200)
            assert alive == 1


async def test_keys_change_under_both(house: House) -> None:
    """`hefu rotate-keys`, while two servers with cached keys log people in."""
    entrance = await house.entrance()
    async with serving(house) as [(_, one), (_, other)]:
        doors = [through(one, entrance), through(other, entrance)]
        stopping = asyncio.Event()

        async def keep_going(mine: Entrance, others: Entrance) -> int:
            rounds = 0
            while not stopping.is_set():
                logged_in = await mine.log_in()
                assert await me(others.house, logged_in) == 200
                token = logged_in["tokens"]["refreshToken"]
                for process in (others.house, mine.house):
                    refreshed = await refresh(process, token)
                    assert refreshed["__typename"] == "RefreshedSession", refreshed
                    token = refreshed["tokens"]["refreshToken"]
                rounds += 1
            return rounds

        going = [
            asyncio.create_task(keep_going(*doors)),
            asyncio.create_task(keep_going(*reversed(doors))),
        ]
        assert (await command(house, "rotate-keys", "--signing"))[0] == 0
        assert (await command(house, "rotate-keys", "--secrets"))[0] == 0
        assert (await command(house, "rotate-keys", "--signing"))[0] == 0
        assert (await command(house, "prune"))[0] == 0
        stopping.set()
        assert all([await each > 0 for each in going])
    assert await ServerKey.filter(purpose="SIGNING").count() == 3


async def test_nothing_but_the_database_is_shared(house: House) -> None:
    """The house's own process sees what the two did, and they what it did."""
    entrance = await house.entrance()
    async with serving(house) as [(_, one), (_, other)]:
        logged_in = await entrance.log_in()
        assert await me(one, logged_in) == await me(other, logged_in) == 200
        token = (await refresh(one, logged_in["tokens"]["refreshToken"]))["tokens"]
        token = (await refresh(other, token["refreshToken"]))["tokens"]
        assert (await refresh(house, token["refreshToken"]))["tokens"]
        assert await Session.all().count() == 1
