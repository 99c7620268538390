"""What has expired goes away: in small batches, by one process at a time."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from tortoise.models import Model

from models import (
    AuditEvent,
    BindingTicket,
    FoldedRefusal,
    Lease,
    PasswordAttempt,
    RateCounter,
    RefreshToken,
    Session,
    SpentCode,
    SpentState,
    ids,
)
from models.login import Progress
from services import pruning
from services.pruning import Pruning
from tests.house import House, Json
from tests.operations import run
from tests.processes import beside
from tests.serving import command


async def refreshed(house: House, token: str) -> str:
    result = await run(house, "refresh_session", {"refreshToken": token})
    assert result["__typename"] == "RefreshedSession", result
    successor: str = result["tokens"]["refreshToken"]
    return successor


async def pruned(house: House) -> dict[str, int]:
    deleted = await house.services.pruning.run()
    assert deleted is not None
    return deleted


async def login_of(house: House, **rules: Any) -> Json:
    return await (await house.entrance(**rules)).log_in()


# ----------------------------------------------------------------- what goes away


async def test_what_has_expired_goes_and_the_rest_stays(house: House) -> None:
    now = house.clock()
    entrance = await house.entrance(accountAssociation=ASK)
    await entrance.log_in()  # A code, a state and a ticket.
    moments = {"old": now - timedelta(days=2), "new": now}
    for name, moment in moments.items():
        await PasswordAttempt.create(account=name, address="", created_at=moment)
        ends_at = moment + timedelta(hours=1)
        await RateCounter.create(key=name, count=1, expires_at=ends_at)
        await FoldedRefusal.create(digest=name, event_id=ids.new(), started_at=moment)

    first = await pruned(house)
    assert (first["codes"], first["states"], first["tickets"]) == (0, 0, 0)
    assert first["password attempts"] == first["rate counters"] == 1
    assert first["folded refusals"] == 1
    house.clock.advance(days=1, minutes=1)
    second = await pruned(house)

    assert (second["codes"], second["states"], second["tickets"]) == (1, 1, 1)
    for table in (SpentCode, SpentState, BindingTicket, Lease):
        assert await table.all().count() == 0


ASK: Json = {"mode": "ASK_TO_BIND", "bindingMethods": ["USERNAME_PASSWORD"]}


async def test_ended_sessions_are_kept_for_a_month(house: House) -> None:
    ended = await login_of(house)
    await run(house, "sign_out", {"refreshToken": ended["tokens"]["refreshToken"]})
    living = await login_of(house)
    token = living["tokens"]["refreshToken"]
    house.clock.advance(days=29)
    token = await refreshed(house, token)
    assert (await pruned(house))["sessions"] == 0
    house.clock.advance(days=2)

    assert (await pruned(house))["sessions"] == 1

    [left] = await Session.all()
    assert ids.show(ids.SESSION, left.id) == living["session"]["id"]
    assert await RefreshToken.exclude(session_id=left.id).count() == 0
    await refreshed(house, token)


async def test_a_session_that_nobody_used_goes_too(house: House) -> None:
    await login_of(house, app={"refreshTokenLifetime": 3600})
    house.clock.advance(days=30)
    assert (await pruned(house))["sessions"] == 0
    house.clock.advance(hours=2)

    assert (await pruned(house))["sessions"] == 1
    assert await RefreshToken.all().count() == 0


async def test_a_living_chain_loses_its_beginning(house: House) -> None:
    """Or a database of phones that refresh for years would only ever grow."""
    first = (await login_of(house))["tokens"]["refreshToken"]
    second = await refreshed(house, first)
    third = await refreshed(house, second)
    house.clock.advance(days=20)
    fourth = await refreshed(house, third)
    house.clock.advance(days=11)

    assert (await pruned(house))["refresh tokens"] == 2

    # The first two; the third was replaced eleven days ago.
    assert await RefreshToken.all().count() == 2
    forgotten = await run(house, "refresh_session", {"refreshToken": first})
    assert forgotten["code"] == "INVALID_REFRESH_TOKEN"
    await refreshed(house, fourth)
    house.clock.advance(seconds=31)
    stolen = await run(house, "refresh_session", {"refreshToken": third})
    assert stolen["code"] == "INVALID_REFRESH_TOKEN"
    [session] = await Session.all()
    assert session.revoked_at is not None


async def test_the_way_back_from_a_lost_answer_is_kept(house: House) -> None:
    """However long ago: the phone holds nothing else."""
    app = {"refreshTokenLifetime": 31_536_000, "sessionLifetime": 31_536_000}
    token = (await login_of(house, app=app))["tokens"]["refreshToken"]
    token = await refreshed(house, token)
    lost = await refreshed(house, token)
    house.clock.advance(days=200)

    assert (await pruned(house))["refresh tokens"] == 1

    assert await refreshed(house, token) == lost


@pytest.mark.settings(HEFU_AUDIT_DAYS="10")
async def test_audit_events_go_after_their_days(house: House) -> None:
    await house.app()
    old = await AuditEvent.all().count()
    house.clock.advance(days=11)
    await house.app()

    assert (await pruned(house))["audit events"] == old
    assert await AuditEvent.all().count() == 1


@pytest.mark.settings(HEFU_AUDIT_DAYS="0")
async def test_zero_keeps_audit_events_for_ever(house: House) -> None:
    await house.app()
    count = await AuditEvent.all().count()
    house.clock.advance(days=5000)

    assert (await pruned(house))["audit events"] == 0
    assert await AuditEvent.all().count() == count


# ------------------------------------------------------------ in small batches


async def test_batches_are_small_and_leave_room(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "BATCH", 10)
    sizes: list[dict[type[Model], int]] = []

    async def counted(seconds: float) -> None:
        """Between batches nothing is locked: here others get on with their work."""
        sizes.append(
            {table: await table.all().count() for table in (SpentCode, RefreshToken)}
        )
        assert seconds > 0

    token = (await login_of(house))["tokens"]["refreshToken"]
    for _ in range(25):
        token = await refreshed(house, token)
    await spent_codes(house, 35)
    house.clock.advance(days=62)  # The session is over for a month, too.
    own = slow(house, counted)

    deleted = await own.run()

    assert deleted
    assert (deleted["codes"], deleted["sessions"]) == (36, 1)
    assert sizes[-1] == {SpentCode: 0, RefreshToken: 0}
    for before, after in pairwise(sizes):
        for table in before:
            assert before[table] - after[table] <= 10


async def spent_codes(house: House, count: int) -> None:
    now = house.clock()
    await SpentCode.bulk_create(
        SpentCode(
            digest=f"code {number}",
            request_digest="",
            progress=Progress.SPENT,
            created_at=now,
            expires_at=now,
        )
        for number in range(count)
    )


def slow(house: House, sleep: Any) -> Pruning:
    """The house's pruning, with a pause of the test's own."""
    services = house.services.pruning
    return Pruning(
        clock=house.clock,
        audit=services._audit,
        attempts=services._attempts,
        rates=services._rates,
        keys=services._keys,
        wecom_tokens=services._wecom_tokens,
        audit_kept=None,
        sleep=sleep,
    )


# ------------------------------------------------------- one process at a time


async def test_one_process_at_a_time(house: House) -> None:
    pausing, going_on = asyncio.Event(), asyncio.Event()

    async def pause(_: float) -> None:
        pausing.set()
        await going_on.wait()

    first = asyncio.create_task(slow(house, pause).run())
    await pausing.wait()

    async with beside(house) as other:
        assert await other.services.pruning.run() is None
        going_on.set()
        assert await first is not None
        assert await other.services.pruning.run() is not None


async def test_whoever_dies_over_it_is_replaced(house: House) -> None:
    now = house.clock()
    await Lease.create(
        name="prune", holder=ids.new(), expires_at=now + timedelta(minutes=9)
    )
    assert await house.services.pruning.run() is None
    house.clock.advance(minutes=10)

    assert await house.services.pruning.run() is not None


async def test_whoever_was_overtaken_stops(house: House) -> None:
    """It was suspended for so long that another process took the work over."""
    done: list[str] = []

    async def overtaken(_: float) -> None:
        if not done:
            done.append("once")
            house.clock.advance(minutes=11)
            async with beside(house) as other:
                lease = other.services.pruning._lease()
                assert await lease

    assert await slow(house, overtaken).run() is None
    [lease] = await Lease.all()
    assert lease.expires_at > house.clock()


async def test_the_command(house: House) -> None:
    await spent_codes(house, 3)
    now = house.clock()
    await SpentCode.all().update(expires_at=now - timedelta(days=1))

    status, said = await command(house, "prune")

    assert status == 0
    assert "       3 codes\n" in said
    assert await SpentCode.all().count() == 0
    await Lease.create(
        name="prune", holder=ids.new(), expires_at=now + timedelta(minutes=9)
    )
    status, said = await command(house, "prune")
    assert (status, said) == (1, "Another process is pruning at the moment.\n")
