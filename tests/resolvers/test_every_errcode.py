"""
Binding rules 2, by the classes of WeCom's error codes: every code, from every call.

Of each: the outcome, how often each call was asked, the event, and that a refusal
wrote nothing else.
"""

from __future__ import annotations

import itertools

import pytest

from models import AuditEvent, Identity, Session, User, ids
from tests.house import House
from wecom.sandbox.world import Person

STALE = (40014, 41001, 42001)
CODE = (40029, 40163, 42003)
BUSY = (-1, 45033)
LIMITED = (45009,)
REFUSED = (40003, 46004, 50002, 60011, 60111)
UNTOLD = (48002, 48004, 48005, 48006, 60020)
MISCONFIGURED = (
    *(40001, 40013, 40056, 40091, 43009, 48001, 48002, 48003, 48004, 48005, 48006),
    *(50001, 50003, 60020, 301002, 2000002),
)
UNKNOWN = (1, 40058, 999999)

CALLS = ("gettoken", "getuserinfo", "user_get")
Asked = tuple[int, int, int]
Row = tuple[int, str, Asked]

AGAIN, SAME = "WECOM_UNAVAILABLE START_AGAIN", "WECOM_UNAVAILABLE SAME_REQUEST"
BARRED = "MEMBER_NOT_ALLOWED NEVER"
SETTINGS = "IDENTITY_SOURCE_MISCONFIGURED NEVER"


def rows(codes: tuple[int, ...], outcome: str, asked: Asked) -> list[Row]:
    return [(code, outcome, asked) for code in codes]


OF_GETTOKEN = [
    *rows(BUSY, SAME, (3, 0, 0)),
    *rows(LIMITED + UNKNOWN, SAME, (1, 0, 0)),
    *rows(MISCONFIGURED, SETTINGS, (1, 0, 0)),
]
OF_GETUSERINFO = [
    *rows(STALE, AGAIN, (1, 2, 0)),
    *rows((*CODE, 50001), "INVALID_CODE START_AGAIN", (0, 1, 0)),
    *rows(BUSY, AGAIN, (0, 3, 0)),
    *rows(LIMITED + UNKNOWN, AGAIN, (0, 1, 0)),
    *rows(REFUSED, BARRED, (0, 1, 0)),
    *rows(tuple(set(MISCONFIGURED) - {50001}), SETTINGS, (0, 1, 0)),
]
FAILING = tuple(set(CODE + LIMITED + UNKNOWN + MISCONFIGURED) - set(UNTOLD))
OF_USER_GET = [
    *rows(REFUSED, BARRED, (0, 1, 1)),
    *rows(STALE, AGAIN, (1, 1, 2)),
    *rows(BUSY, AGAIN, (0, 1, 3)),
    *rows(FAILING, AGAIN, (0, 1, 1)),
    *rows(UNTOLD, "CREATED", (0, 1, 1)),
]
# The fresh code vouches for a member who was linked before.
OF_USER_GET_FOR_A_MEMBER_WHO_IS_KNOWN = [
    (code, outcome if outcome == BARRED else "LINKED", asked)
    for code, outcome, asked in OF_USER_GET
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("call", "known", "table"),
    [
        ("gettoken", False, OF_GETTOKEN),
        ("getuserinfo", False, OF_GETUSERINFO),
        ("user_get", False, OF_USER_GET),
        ("user_get", True, OF_USER_GET_FOR_A_MEMBER_WHO_IS_KNOWN),
    ],
)
async def test_every_errcode(
    house: House, call: str, *, known: bool, table: list[Row]
) -> None:
    names = ("zhangsan" if known else newcomer(house, n) for n in itertools.count())

    for (errcode, outcome, asked), userid in zip(table, names, strict=False):
        # Another source for each: what is remembered of one is not of the next.
        entrance = await house.entrance()
        await entrance.log_in("zhangsan")
        if call == "gettoken":
            house.clock.advance(hours=3)
        before, had = await written(), calls(house)
        house.wecom.fault("errcode", endpoint=call, errcode=errcode, times=9)

        result = await entrance.log_in(userid)

        house.wecom.sandbox.faults.clear()
        failed = result["__typename"] == "LoginFailure"
        told = f"{result['code']} {result['retry']}" if failed else result["resolution"]
        made = [now - then for now, then in zip(calls(house), had, strict=True)]
        assert (told, tuple(made)) == (outcome, asked), errcode
        [event] = await AuditEvent.filter(
            identity_source_id=ids.read(ids.SOURCE, entrance.source_id),
            wecom_error_code=errcode,
        )
        assert event.rule, errcode
        assert event.failure == (result["code"] if failed else None)
        if failed:
            assert event.request_id == result["requestId"]
            assert await written() == before, errcode


def newcomer(house: House, number: int) -> str:
    """Nobody's identity yet."""
    person = Person(f"newcomer{number}", "新人")
    house.wecom.sandbox.world.corps[0].people.append(person)
    return person.userid


def calls(house: House) -> list[int]:
    return [house.wecom.calls(call) for call in CALLS]


async def written() -> list[int]:
    return [await each.all().count() for each in (User, Identity, Session)]
