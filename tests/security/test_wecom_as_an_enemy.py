"""
WeCom, or whoever answers in its name, through the whole server.

For each fault: an answer in time, no session, three calls at the most, little memory,
others undisturbed, and the next login fine.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.house import Entrance, Wecom
from tests.security.conftest import MEASURED, Row
from tests.security.serving import MIB, Beside, Served, house_of, served
from wecom.sandbox.world import Person

pytestmark = pytest.mark.slow

Options = dict[str, Any]
# Of one login's answer, whatever WeCom's own calls take.
LONGEST = 8.0

ANYWHERE: list[tuple[str, Options]] = [
    ("hang", {}),
    ("hang_after", {}),
    ("drip", {"seconds": 1}),
    ("reset_before", {}),
    ("reset_after", {}),
    ("close_before", {}),
    ("close_after", {}),
    ("garbage", {}),
    ("truncated", {}),
    ("redirect", {}),
    ("redirect", {"location": "http://127.0.0.1:1/"}),
    ("redirect", {"location": "file:///etc/passwd"}),
    *(
        ("status", {"status": each})
        for each in (201, 204, 304, 400, 403, 429, 500, 503)
    ),
    ("empty", {}),
    ("not_json", {}),
    ("not_an_object", {}),
    ("deep", {}),
    ("duplicate_keys", {}),
    ("nan", {}),
    ("long_number", {}),
    ("broken_utf8", {}),
    ("huge", {"bytes": 300 * MIB}),
    ("endless", {}),
    ("mislabelled", {}),
    ("gzip_bomb", {}),
    ("errcode", {"errcode": -1}),
    ("errcode", {"errcode": "0"}),
    ("errcode", {"errcode": None}),
    ("errcode", {"errcode": 2**70}),
    ("body", {"body": "null"}),
]
USERIDS: list[object] = [
    None,
    ["zhangsan"],
    {"userid": "zhangsan"},
    7,
    True,
    "",
    "a\0b",
    "x" * 100_000,
    "张三",
    "../admin",
    "a b",
]
TOKENS: list[object] = [None, "", 1, ["t"], "a\0b", "a b", "a\r\nb: c", "x" * 100_000]
LIFETIMES: list[object] = [0, -1, 2**31, 10**300, "7200", None, True, 1.5, [7200]]
CASES: list[tuple[str, str, Options]] = [
    *(
        (endpoint, name, options)
        for endpoint in ("getuserinfo", "gettoken", "user_get")
        for name, options in ANYWHERE
    ),
    *(
        ("getuserinfo", "field", {"name": name, "value": value})
        for name in ("UserId", "userid")
        for value in USERIDS
    ),
    ("getuserinfo", "field", {"name": "userid", "value": "somebody-else"}),
    ("getuserinfo", "without", {"name": "UserId"}),
    *(("user_get", "field", {"name": "userid", "value": each}) for each in USERIDS),
    ("user_get", "field", {"name": "userid", "value": "somebody-else"}),
    ("user_get", "field", {"name": "status", "value": 2}),
    ("user_get", "field", {"name": "status", "value": "1"}),
    ("user_get", "field", {"name": "name", "value": ["x"]}),
    ("user_get", "field", {"name": "name", "value": "x" * 100_000}),
    ("user_get", "field", {"name": "email", "value": {"a": 1}}),
    ("user_get", "field", {"name": "department", "value": "1"}),
    ("user_get", "field", {"name": "department", "value": [2**70]}),
    *(("gettoken", "field", {"name": "access_token", "value": v}) for v in TOKENS),
    *(("gettoken", "field", {"name": "expires_in", "value": v}) for v in LIFETIMES),
    ("gettoken", "without", {"name": "expires_in"}),
]


@pytest.fixture
async def entrance(
    sqlite_template: Path, tmp_path: Path, wecom: Wecom
) -> AsyncGenerator[tuple[Entrance, Served]]:
    url = f"sqlite://{tmp_path / 'hefu.db'}"
    # Another process than the sandbox's: else its own 300 MB would be counted.
    with served(url, wecom.url, tmp_path / "log") as server:
        async with house_of(server, wecom, url) as house:
            yield await house.entrance(), server


@pytest.mark.parametrize("endpoint", ["getuserinfo", "gettoken", "user_get"])
async def test_no_fault_of_wecoms_gets_through(
    entrance: tuple[Entrance, Served],
    wecom: Wecom,
    row: Callable[[str], Row],
    endpoint: str,
) -> None:
    door, server = entrance
    line = row(f"WeCom as an enemy: {endpoint}")
    await door.log_in("zhangsan")
    with Beside(server.url) as beside:
        for number, (where, name, options) in enumerate(CASES):
            if where != endpoint:
                continue
            userid = _newcomer(wecom, number)
            what = (name, {key: str(value)[:30] for key, value in options.items()})
            for told in await _play(
                door, server, userid, endpoint, name, options, line
            ):
                line.through.append((what, told))
    line.measure("probe", beside.slowest * 1000, "ms")
    if MEASURED and beside.slowest > 0.3:
        line.through.append(("probe", beside.slowest))
    logged = server.log.read_text()
    assert '"level":"error"' not in logged, logged[-2000:]


def _newcomer(wecom: Wecom, number: int) -> str:
    """Nobody's identity yet: who is linked may be let in without a profile."""
    person = Person(f"newcomer{number}", "新人")
    wecom.sandbox.world.corps[0].people.append(person)
    return person.userid


async def _play(  # noqa: PLR0917
    door: Entrance,
    server: Served,
    userid: str,
    endpoint: str,
    name: str,
    options: Options,
    line: Row,
) -> list[object]:
    """One login under the fault, and one after it: what was wrong."""
    wecom = door.house.wecom
    prepared = await door.prepared(userid)
    if endpoint == "gettoken":
        wecom.sandbox.world.expire_tokens()
    wecom.sandbox.faults.clear()
    wecom.sandbox.calls.clear()
    wecom.fault(name, endpoint=endpoint, times=99, **options)
    server.forget_memory()
    memory, began = server.memory(), time.monotonic()
    result = await door.present(**prepared)
    seconds = time.monotonic() - began
    grown = (server.memory() - memory) / MIB
    wrong: list[object] = []
    if result["__typename"] != "LoginFailure":
        wrong.append(result["__typename"])
    most = max(wecom.sandbox.calls.values(), default=0)
    line.tried += 1
    line.measure("answer after", seconds, "s")
    line.measure("memory", grown, "MiB")
    line.measure("calls", most, "of one kind")
    if most > 3 or grown > 64:
        wrong.append((most, grown))
    if seconds > (LONGEST if MEASURED else LONGEST + 4):
        wrong.append(seconds)
    wecom.sandbox.faults.clear()
    await asyncio.sleep(0)
    again = await door.log_in(userid)
    if again["__typename"] != "LoginSuccess":
        wrong.append(("the next login", again))
    return wrong
