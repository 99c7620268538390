"""Whatever comes back in WeCom's name, it ends in one of our errors, soon and small."""

from __future__ import annotations

import asyncio
import tracemalloc

import pytest

from tests.wecom.conftest import Play
from wecom import (
    BadAnswer,
    Client,
    ConnectionLost,
    TimedOut,
    Unavailable,
    UnexpectedStatus,
)
from wecom.sandbox import examples

FAULTS: list[tuple[str, dict[str, object], type[Unavailable]]] = [
    ("hang", {}, TimedOut),
    ("hang_after", {}, TimedOut),
    ("delay", {"seconds": 2}, TimedOut),
    ("drip", {"seconds": 0.1}, TimedOut),
    ("endless", {}, BadAnswer),
    ("reset_before", {}, ConnectionLost),
    ("reset_after", {}, ConnectionLost),
    ("close_before", {}, ConnectionLost),
    ("close_after", {}, ConnectionLost),
    ("truncated", {}, ConnectionLost),
    ("garbage", {}, BadAnswer),
    *[
        ("status", dict[str, object](status=status), UnexpectedStatus)
        for status in (201, 204, 301, 304, 400, 403, 404, 429, 500, 502, 503)
    ],
    ("redirect", {}, UnexpectedStatus),
    ("redirect", {"location": "http://127.0.0.1:1/"}, UnexpectedStatus),
    ("empty", {}, BadAnswer),
    ("not_json", {}, BadAnswer),
    ("not_an_object", {}, BadAnswer),
    ("deep", {}, BadAnswer),
    ("duplicate_keys", {}, BadAnswer),
    ("nan", {}, BadAnswer),
    ("long_number", {}, BadAnswer),
    ("broken_utf8", {}, BadAnswer),
    ("byte_order_mark", {}, BadAnswer),
    ("huge", {}, BadAnswer),
    ("mislabelled", {}, BadAnswer),
    ("gzip_bomb", {}, BadAnswer),
    ("field", {"name": "errcode", "value": True}, BadAnswer),
    ("field", {"name": "errcode", "value": "0"}, BadAnswer),
    ("field", {"name": "errcode", "value": 0.0}, BadAnswer),
    ("field", {"name": "errcode", "value": None}, BadAnswer),
    ("field", {"name": "errcode", "value": 2**40}, BadAnswer),
]


@pytest.mark.parametrize(("fault", "options", "error"), FAULTS)
async def test_a_fault_of_getuserinfo(
    client: Client,
    play: Play,
    fault: str,
    options: dict[str, object],
    error: type[Unavailable],
) -> None:
    play.fault(fault, "getuserinfo", 9, **options)
    async with asyncio.timeout(60):  # It hangs for ever without the client's own.
        with pytest.raises(Unavailable) as failure:
            await client.member_for_code(examples.AGENT, play.approve())
    assert type(failure.value) is error
    assert failure.value.call == "getuserinfo"
    assert failure.value.code_seen
    assert play.calls("getuserinfo") == 1
    play.sandbox.faults.clear()
    await client.member_for_code(examples.AGENT, play.approve())


@pytest.mark.parametrize(("fault", "options", "error"), FAULTS)
async def test_a_fault_of_gettoken(
    client: Client,
    play: Play,
    fault: str,
    options: dict[str, object],
    error: type[Unavailable],
) -> None:
    play.fault(fault, "gettoken", 9, **options)
    code = play.approve()
    with pytest.raises(Unavailable) as failure:
        await client.member_for_code(examples.AGENT, code)
    assert type(failure.value) is error
    assert failure.value.call == "gettoken"
    assert not failure.value.code_seen
    assert play.calls("gettoken") <= 2
    assert play.calls("getuserinfo") == 0
    play.sandbox.faults.clear()
    await client.member_for_code(examples.AGENT, code)


STRANGE_TOKENS: list[tuple[str, list[object]]] = [
    ("expires_in", [0, -1, 604801, True, "7200", 7200.0, None, [], 2**60]),
    ("access_token", ["", "t" * 513, "a b", "é", 7, None]),
]
STRANGE_PROFILES: list[tuple[str, list[object]]] = [
    ("userid", [None, 7, "", "a/b", "z" * 65]),
    ("name", [7, ["x"], "x" * 513, True]),
    ("status", ["1", True, 1.0, None]),
    ("department", ["1", [True], ["1"], None, {}]),
]


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name, values in STRANGE_TOKENS for value in values],
)
async def test_a_strange_token_is_not_understood(
    client: Client, play: Play, name: str, value: object
) -> None:
    play.fault("field", "gettoken", name=name, value=value)
    with pytest.raises(BadAnswer):
        await client.fresh_token(examples.AGENT)


@pytest.mark.parametrize("value", [1, 60, 604800])
async def test_the_lifetime_is_the_one_that_was_told(
    client: Client, play: Play, value: int
) -> None:
    play.fault("field", "gettoken", name="expires_in", value=value)
    await client.profile(examples.AGENT, "lisi")
    await client.profile(examples.AGENT, "lisi")
    assert play.calls("gettoken") == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name, values in STRANGE_PROFILES for value in values],
)
async def test_a_strange_profile_is_not_understood(
    client: Client, play: Play, name: str, value: object
) -> None:
    play.fault("field", "user_get", name=name, value=value)
    with pytest.raises(BadAnswer):
        await client.profile(examples.AGENT, "lisi")


async def test_half_a_surrogate_pair_is_no_name(client: Client, play: Play) -> None:
    """The database would refuse it later, in the middle of a login."""
    play.fault("body", "user_get", body='{"userid":"lisi","name":"\\ud800"}')
    with pytest.raises(BadAnswer):
        await client.profile(examples.AGENT, "lisi")


async def test_control_characters_become_spaces(client: Client, play: Play) -> None:
    play.fault("field", "user_get", name="name", value="\u0000Li\nSi\u0000")
    assert (await client.profile(examples.AGENT, "lisi")).name == "Li Si"


@pytest.mark.parametrize("fault", ["gzip_bomb", "endless", "huge"])
async def test_memory_stays_small(client: Client, play: Play, fault: str) -> None:
    """The server's own share is counted too: it runs in this process."""
    await client.fresh_token(examples.AGENT)
    code = play.approve()
    play.fault(fault)
    tracemalloc.start()
    try:
        with pytest.raises(BadAnswer):
            await client.member_for_code(examples.AGENT, code)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * 1024 * 1024
