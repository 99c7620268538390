"""Each of these is how a token cache of another client went wrong."""

from __future__ import annotations

import asyncio
import gc
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.wecom.conftest import Clock, MemoryStore, Play
from wecom import (
    Busy,
    Client,
    Member,
    Misconfigured,
    StaleToken,
    StoredToken,
    TimedOut,
    TokenStore,
    Unavailable,
)
from wecom.sandbox import examples

AGENT = examples.AGENT


def client_of(
    play: Play, clock: Clock, store: TokenStore | None = None, *, timeout: float = 0.5
) -> Client:
    async def sleep(seconds: float) -> None:
        """The tests do not wait."""

    return Client(
        base_url=play.url, timeout=timeout, clock=clock, store=store, sleep=sleep
    )


async def test_a_hundred_logins_at_once_ask_for_one_token(
    client: Client, play: Play
) -> None:
    """No cache at all means one gettoken per login."""
    codes = [play.approve() for _ in range(100)]
    await asyncio.gather(*(client.member_for_code(AGENT, code) for code in codes))
    assert play.calls("gettoken") == 1
    assert play.calls("getuserinfo") == 100


async def test_a_hundred_logins_with_a_stale_token_ask_for_one_more(
    client: Client, play: Play
) -> None:
    """A fresh token is not thrown away because an older one was refused."""
    await client.fresh_token(AGENT)
    play.sandbox.world.expire_tokens()
    codes = [play.approve() for _ in range(100)]
    await asyncio.gather(*(client.member_for_code(AGENT, code) for code in codes))
    assert play.calls("gettoken") == 2


async def test_a_late_refusal_of_an_old_token_leaves_the_new_one(
    client: Client, play: Play
) -> None:
    """The slow login was refused with the first token, when the second was in use."""
    await client.fresh_token(AGENT)
    play.fault("errcode", errcode=42001, seconds=0.3)
    slow = asyncio.create_task(client.member_for_code(AGENT, play.approve()))
    await asyncio.sleep(0.1)
    play.sandbox.world.expire_tokens()
    await client.member_for_code(AGENT, play.approve())
    await slow
    await client.member_for_code(AGENT, play.approve())
    assert play.calls("gettoken") == 2


async def test_a_token_is_fetched_again_after_it_expired(
    client: Client, play: Play, wecom_clock: Clock
) -> None:
    """A cache that is never filled again after it expired asks once per login."""
    for expected in (1, 2, 3):
        for _ in range(3):
            await client.profile(AGENT, "lisi")
        assert play.calls("gettoken") == expected
        wecom_clock.advance(7201)


async def test_two_apps_of_a_corp_have_a_token_each(client: Client, play: Play) -> None:
    """A key of `corpid + secret[:10]` let two apps share an expiry, and a token."""
    assert AGENT.secret[:10] == examples.OLD_AGENT.secret[:10]
    await client.agent_info(AGENT)
    await client.agent_info(examples.OLD_AGENT)
    await client.agent_info(examples.OTHER_CORP_AGENT)
    assert play.calls("gettoken") == 3


async def test_a_token_close_to_its_end_is_renewed_and_good_if_that_fails(
    client: Client, play: Play, wecom_clock: Clock
) -> None:
    await client.profile(AGENT, "lisi")
    wecom_clock.advance(7200 - 30)
    play.fault("errcode", "gettoken", times=3, errcode=-1)
    await client.profile(AGENT, "lisi")
    assert play.calls("gettoken") == 4


async def test_a_token_past_its_end_is_not_used(
    client: Client, play: Play, wecom_clock: Clock
) -> None:
    await client.profile(AGENT, "lisi")
    wecom_clock.advance(7200)
    play.fault("errcode", "gettoken", times=3, errcode=-1)
    with pytest.raises(Busy):
        await client.profile(AGENT, "lisi")


async def test_twice_stale_is_an_error(client: Client, play: Play) -> None:
    play.fault("errcode", times=9, errcode=40014)
    with pytest.raises(StaleToken):
        await client.member_for_code(AGENT, play.approve())
    assert (play.calls("gettoken"), play.calls("getuserinfo")) == (2, 2)


async def test_another_processs_token_that_is_stale_as_well_is_replaced(
    play: Play, wecom_clock: Clock, store: MemoryStore
) -> None:
    """What it stored after the first refusal may have been refused since."""
    one, two = (client_of(play, wecom_clock, store) for _ in range(2))
    for _ in range(2):
        await one.profile(AGENT, "lisi")
        await two.profile(AGENT, "lisi")
        play.sandbox.world.expire_tokens()
        await one.profile(AGENT, "lisi")
        play.sandbox.world.expire_tokens()
        asked = play.calls("gettoken"), play.calls("getuserinfo")
        await two.member_for_code(AGENT, play.approve())
        asked = play.calls("gettoken") - asked[0], play.calls("getuserinfo") - asked[1]
        assert asked == (1, 3)
    await one.aclose()
    await two.aclose()


async def test_processes_share_a_token(
    play: Play, wecom_clock: Clock, store: MemoryStore
) -> None:
    """Every process refreshing by itself is a loop of them throwing each other out."""
    one, two = (client_of(play, wecom_clock, store) for _ in range(2))
    await one.profile(AGENT, "lisi")
    await two.profile(AGENT, "lisi")
    play.sandbox.world.expire_tokens()
    await one.profile(AGENT, "lisi")
    await two.profile(AGENT, "lisi")
    assert play.calls("gettoken") == 2
    await one.aclose()
    await two.aclose()


async def test_a_newer_token_of_another_process_stays_stored(
    play: Play, wecom_clock: Clock, store: MemoryStore
) -> None:
    one, two = (client_of(play, wecom_clock, store) for _ in range(2))
    await one.profile(AGENT, "lisi")
    play.sandbox.world.expire_tokens()
    await two.fresh_token(AGENT)
    (newer,) = store.tokens.values()
    await one.profile(AGENT, "lisi")
    assert list(store.tokens.values()) == [newer]
    assert play.calls("gettoken") == 2
    await one.aclose()
    await two.aclose()


async def test_a_token_refused_here_is_not_loaded_again(
    play: Play, wecom_clock: Clock, store: MemoryStore
) -> None:
    """Dropping it may fail, or lose a race against somebody who loads it."""

    class Sticky(MemoryStore):
        async def drop(self, key: str, token: StoredToken) -> None:
            raise RuntimeError

    sticky = Sticky()
    client = client_of(play, wecom_clock, sticky)
    await client.profile(AGENT, "lisi")
    play.sandbox.world.expire_tokens()
    await client.profile(AGENT, "lisi")
    assert play.calls("gettoken") == 2
    await client.aclose()


async def test_keys_tell_nothing(
    play: Play, wecom_clock: Clock, store: MemoryStore
) -> None:
    client = client_of(play, wecom_clock, store)
    await client.fresh_token(AGENT)
    await client.fresh_token(examples.OLD_AGENT)
    assert len(store.tokens) == 2
    for key in store.tokens:
        assert len(key) == 64
        assert set(key) <= set("0123456789abcdef")
    await client.aclose()


async def test_an_outage_of_the_store_fails_no_login(
    play: Play, wecom_clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """An outage of the cache failed logins."""
    broken = MemoryStore(failure=RuntimeError("password=hush"))
    client = client_of(play, wecom_clock, broken)
    await client.profile(AGENT, "lisi")
    play.sandbox.world.expire_tokens()
    await client.profile(AGENT, "lisi")
    assert play.calls("gettoken") == 2
    assert "RuntimeError" in caplog.text
    assert "hush" not in caplog.text
    await client.aclose()


async def test_a_store_that_hangs_fails_no_login(
    play: Play, wecom_clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hanging(MemoryStore):
        async def load(self, key: str) -> StoredToken | None:
            await asyncio.sleep(60)
            return None

    monkeypatch.setattr("wecom.tokens.STORE_TIMEOUT", 0.05)
    client = client_of(play, wecom_clock, Hanging())
    assert (await client.profile(AGENT, "lisi")).name == "李四"
    await client.aclose()


async def test_an_expired_token_in_the_store_is_not_used(
    play: Play, wecom_clock: Clock, store: MemoryStore
) -> None:
    one = client_of(play, wecom_clock, store)
    await one.fresh_token(AGENT)
    wecom_clock.advance(7200)
    two = client_of(play, wecom_clock, store)
    await two.profile(AGENT, "lisi")
    assert (play.calls("gettoken"), play.calls("user_get")) == (2, 1)
    await one.aclose()
    await two.aclose()


async def test_one_who_gives_up_waiting_takes_nobody_along(
    client: Client, play: Play
) -> None:
    play.fault("delay", "gettoken", seconds=0.2)
    first, second = (
        asyncio.create_task(client.member_for_code(AGENT, play.approve()))
        for _ in range(2)
    )
    await asyncio.sleep(0.05)
    first.cancel()
    assert await second == Member("zhangsan")
    assert first.cancelled()
    assert play.calls("gettoken") == 1


async def test_nobody_left_waiting_for_a_failing_fetch_is_no_accident(
    client: Client, play: Play, observed: list[tuple[str, str]]
) -> None:
    """Asyncio complains of exceptions that nobody retrieved."""
    complaints: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda loop, context: complaints.append(context))
    try:
        play.fault("hang", "gettoken")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await client.member_for_code(AGENT, play.approve())
        async with asyncio.timeout(10):
            while not observed:  # noqa: ASYNC110  No event tells of it.
                await asyncio.sleep(0.05)
        await asyncio.sleep(0.1)
        gc.collect()
    finally:
        loop.set_exception_handler(None)
    assert complaints == []
    await client.member_for_code(AGENT, play.approve())


async def test_a_bug_met_with_nobody_left_waiting_is_no_accident(
    play: Play, wecom_clock: Clock
) -> None:
    complaints: list[object] = []

    def observe(call: str, outcome: str, seconds: float) -> None:
        raise ZeroDivisionError

    client = Client(base_url=play.url, clock=wecom_clock, observe=observe)
    play.fault("delay", "gettoken", seconds=0.1)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda loop, context: complaints.append(context))
    try:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await client.profile(AGENT, "lisi")
        await asyncio.sleep(0.2)
        gc.collect()
    finally:
        loop.set_exception_handler(None)
    await client.aclose()
    assert complaints == []


async def test_who_waits_for_one_token_gets_an_error_each(
    client: Client, play: Play
) -> None:
    """One exception raised by many tasks would mix their codes and tracebacks up."""
    play.fault("hang", "gettoken")
    failures = await asyncio.gather(
        client.member_for_code(AGENT, play.approve()),
        client.profile(AGENT, "lisi"),
        return_exceptions=True,
    )
    assert [type(failure) for failure in failures] == [TimedOut, TimedOut]
    seen = [isinstance(f, Unavailable) and f.code_seen for f in failures]
    assert seen == [False, True]


async def test_a_refusal_is_not_remembered_here(client: Client, play: Play) -> None:
    wrong = replace(AGENT, secret="wrong")
    for _ in range(2):
        with pytest.raises(Misconfigured):
            await client.profile(wrong, "lisi")
    assert play.calls("gettoken") == 2
    assert (await client.profile(AGENT, "lisi")).name == "李四"


async def test_a_fresh_token_is_asked_for_and_kept(client: Client, play: Play) -> None:
    await client.profile(AGENT, "lisi")
    await client.fresh_token(AGENT)
    await client.profile(AGENT, "lisi")
    assert play.calls("gettoken") == 2


async def test_closing_stops_a_fetch(play: Play, wecom_clock: Clock) -> None:
    client = client_of(play, wecom_clock, timeout=30)
    play.fault("hang", "gettoken")
    login = asyncio.create_task(client.profile(AGENT, "lisi"))
    await asyncio.sleep(0.05)
    await client.aclose()
    with pytest.raises(asyncio.CancelledError):
        await login


def test_a_token_does_not_show_itself(wecom_clock: Clock) -> None:
    token = StoredToken("hush", wecom_clock() + timedelta(hours=2))
    assert "hush" not in repr(token)
