"""`refreshSession`: `runtime.md`, "Tokens", and binding rules 7."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from models import AuditEvent, Identity, RefreshToken, Session, database
from tests.house import Entrance, House, Json
from tests.processes import beside
from wecom.sandbox import examples

REFRESH = """
mutation($input: RefreshSessionInput!) {
  refreshSession(input: $input) {
    __typename
    ... on RefreshedSession {
      session { id current expiresAt revokedAt lastSeenAt user { id } app { id } }
      tokens { accessToken tokenType expiresIn refreshToken refreshExpiresIn }
    }
    ... on LoginFailure { code message retry retryAfter requestId }
  }
}
"""
ME = "{ me { id } }"

INVALID = ("INVALID_REFRESH_TOKEN", "START_AGAIN")
UNAVAILABLE = ("IDENTITY_SOURCE_UNAVAILABLE", "NEVER")
NOT_ALLOWED = ("MEMBER_NOT_ALLOWED", "NEVER")


async def refresh(house: House, presented: str, **headers: Any) -> Json:
    input = {"refreshToken": presented}
    data = await house.data(REFRESH, {"input": input}, **headers)
    result: Json = data["refreshSession"]
    return result


async def refreshed(house: House, token: str) -> str:
    """The successor, where there must be one."""
    result = await refresh(house, token)
    assert result["__typename"] == "RefreshedSession", result
    text: str = result["tokens"]["refreshToken"]
    return text


async def log_in(entrance: Entrance, userid: str = "zhangsan", **input: Any) -> str:
    """A new session's first refresh token."""
    result = await entrance.log_in(userid, **input)
    assert result["__typename"] == "LoginSuccess", result
    text: str = result["tokens"]["refreshToken"]
    return text


async def asked(house: House) -> None:
    """Until WeCom is being asked about the member again."""
    while house.wecom.calls("user_get") < 2:  # noqa: ASYNC110
        await asyncio.sleep(0.01)


def failure(result: Json) -> tuple[str, str]:
    assert result["__typename"] == "LoginFailure", result
    return result["code"], result["retry"]


async def sessions() -> list[Session]:
    return await Session.all().order_by("id")


async def events(**filter: Any) -> list[AuditEvent]:
    return await AuditEvent.filter(**filter).order_by("id")


async def rules(action: str = "session.refresh_failed") -> list[str | None]:
    return [event.rule for event in await events(action=action)]


# ------------------------------------------------------------------ the chain


async def test_a_refresh_replaces_the_token(house: House) -> None:
    entrance = await house.entrance()
    logged_in = await entrance.log_in()
    house.clock.advance(minutes=20)

    result = await refresh(house, logged_in["tokens"]["refreshToken"])

    tokens = result["tokens"]
    assert result["__typename"] == "RefreshedSession"
    assert result["session"]["id"] == logged_in["session"]["id"]
    assert result["session"]["current"] is True
    assert result["session"]["user"]["id"] == logged_in["user"]["id"]
    assert result["session"]["app"]["id"] == entrance.app_id
    assert tokens["refreshToken"] != logged_in["tokens"]["refreshToken"]
    assert (tokens["tokenType"], tokens["expiresIn"]) == ("Bearer", 900)
    assert tokens["refreshExpiresIn"] == 2_592_000
    me = await house.data(ME, token=tokens["accessToken"])
    assert me["me"]["id"] == logged_in["user"]["id"]


async def test_nothing_that_is_stored_can_be_read_as_a_token(house: House) -> None:
    entrance = await house.entrance()
    token = await log_in(entrance)
    successor = await refreshed(house, token)

    stored = await database.fetch("SELECT * FROM refresh_tokens")

    assert len(stored) == 2
    for text in (token, successor):
        assert text.removeprefix("hefur_") not in str(stored)
    assert token not in str([vars(event) for event in await AuditEvent.all()])


@pytest.mark.parametrize("hours", [0, 1, 24 * 20])
async def test_a_lost_answer_is_given_again(house: House, hours: int) -> None:
    """The phone never saw the successor: hours later it asks with the old one."""
    entrance = await house.entrance()
    token = await log_in(entrance)
    lost = await refreshed(house, token)
    house.clock.advance(hours=hours)

    again = await refreshed(house, token)

    assert again == lost
    assert await RefreshToken.all().count() == 2
    following = await refreshed(house, again)
    assert following not in {token, lost}
    assert len(await sessions()) == 1


async def test_a_lost_answer_is_a_refresh_like_any_other(house: House) -> None:
    """It extends the session, or the token that it gives would die before its time."""
    token = await log_in(await house.entrance())
    await refreshed(house, token)
    house.clock.advance(days=29)

    again = await refresh(house, token)
    house.clock.advance(days=29)

    assert again["tokens"]["refreshExpiresIn"] == 2_592_000
    assert await refreshed(house, again["tokens"]["refreshToken"])


async def test_within_half_a_minute_whatever_came_after(house: House) -> None:
    token = await log_in(await house.entrance())
    first = await refreshed(house, token)
    second = await refreshed(house, first)
    third = await refreshed(house, second)
    house.clock.advance(seconds=28)

    assert await refreshed(house, token) == first
    assert await refreshed(house, first) == second
    assert await refreshed(house, second) == third
    assert await refreshed(house, third)
    assert [session.revoked_at for session in await sessions()] == [None]


async def test_after_that_it_is_theft(house: House) -> None:
    entrance = await house.entrance()
    logged_in = await entrance.log_in()
    stolen = logged_in["tokens"]["refreshToken"]
    first = await refreshed(house, stolen)
    second = await refreshed(house, first)
    house.clock.advance(seconds=31)

    result = await refresh(house, stolen)

    assert failure(result) == INVALID
    [session] = await sessions()
    assert session.revoked_at is not None
    [event] = await events(action="session.reuse_detected")
    assert event.subject_id == logged_in["session"]["id"]
    assert (event.rule, event.actor_type) == ("refresh.reused", "SYSTEM")
    # Whoever it was: both are out, and with them the access token.
    assert failure(await refresh(house, second)) == INVALID
    answer = await house.post(ME, token=logged_in["tokens"]["accessToken"])
    assert answer.status_code == 401
    assert answer.json()["errors"][0]["extensions"] == {
        "code": "UNAUTHENTICATED",
        "reason": "REVOKED",
    }


async def test_the_predecessor_of_a_used_token_is_no_lost_answer(house: House) -> None:
    token = await log_in(await house.entrance())
    first = await refreshed(house, token)
    house.clock.advance(minutes=5)
    await refreshed(house, first)

    assert failure(await refresh(house, token)) == INVALID
    assert await rules() == ["refresh.reused"]


@pytest.mark.parametrize(
    "token", ["", "hefur_", "hefur_" + "A" * 43, "x" * 49, "令" * 49]
)
async def test_a_token_that_never_was(house: House, token: str) -> None:
    await log_in(await house.entrance())

    result = await refresh(house, token)

    assert failure(result) == INVALID
    assert [session.revoked_at for session in await sessions()] == [None]
    [event] = await events(action="session.refresh_failed")
    assert (event.rule, event.request_id) == ("refresh.unknown", result["requestId"])


async def test_tokens_that_never_were_share_an_event(house: House) -> None:
    """Or anybody who makes some up could fill the audit log."""
    await house.entrance()

    refused = [await refresh(house, "hefur_" + letter * 43) for letter in "ABC"]

    [event] = await events(action="session.refresh_failed")
    assert event.count == 3
    assert {each["requestId"] for each in refused} == {event.request_id}


async def test_simultaneous_refreshes_end_in_one_chain(house: House) -> None:
    token = await log_in(await house.entrance())

    results = await asyncio.gather(*(refresh(house, token) for _ in range(12)))

    assert {result["__typename"] for result in results} == {"RefreshedSession"}
    assert len({result["tokens"]["refreshToken"] for result in results}) == 1
    assert await RefreshToken.all().count() == 2


async def test_two_processes_end_in_one_chain(house: House) -> None:
    token = await log_in(await house.entrance())

    async with beside(house) as other:
        results = await asyncio.gather(
            *(refresh(each, token) for each in (house, other) * 5)
        )

    assert len({result["tokens"]["refreshToken"] for result in results}) == 1
    assert await RefreshToken.all().count() == 2


async def test_a_crash_before_the_answer_locks_nobody_out(house: House) -> None:
    """The rotation is committed, then the process dies: another one answers."""
    token = await log_in(await house.entrance())
    lost = await refreshed(house, token)
    house.clock.advance(hours=9)

    async with beside(house) as other:
        assert await refreshed(other, token) == lost


async def test_an_expired_access_token_sent_along_harms_nothing(house: House) -> None:
    entrance = await house.entrance()
    tokens = (await entrance.log_in())["tokens"]
    house.clock.advance(days=1)

    result = await refresh(house, tokens["refreshToken"], token=tokens["accessToken"])

    assert result["__typename"] == "RefreshedSession"


# ------------------------------------------------------------------ lifetimes


async def test_it_dies_unused(house: House) -> None:
    entrance = await house.entrance(app={"refreshTokenLifetime": 3600})
    token = await log_in(entrance)
    house.clock.advance(seconds=3601)

    assert failure(await refresh(house, token)) == INVALID
    assert await rules() == ["session.ended"]


async def test_used_it_lives_on_until_the_session_ends(house: House) -> None:
    entrance = await house.entrance(
        app={"refreshTokenLifetime": 3600, "sessionLifetime": 7200}
    )
    token = await log_in(entrance)
    house.clock.advance(seconds=3500)
    token = await refreshed(house, token)
    house.clock.advance(seconds=3500)
    result = await refresh(house, token)
    token = result["tokens"]["refreshToken"]

    # Neither token outlives the session.
    assert 0 < result["tokens"]["refreshExpiresIn"] <= 200
    assert 0 < result["tokens"]["expiresIn"] <= 200
    house.clock.advance(seconds=201)
    assert failure(await refresh(house, token)) == INVALID


async def test_an_apps_shorter_lifetimes_hold_from_the_next_refresh(
    house: House,
) -> None:
    entrance = await house.entrance()
    token = await log_in(entrance)
    await change_app(entrance, sessionLifetime=86_400, refreshTokenLifetime=7200)
    house.clock.advance(hours=23)

    result = await refresh(house, token)

    assert 0 < result["tokens"]["refreshExpiresIn"] <= 3600
    house.clock.advance(hours=2)
    token = result["tokens"]["refreshToken"]
    assert failure(await refresh(house, token)) == INVALID


async def test_a_session_past_a_shortened_lifetime_has_ended(house: House) -> None:
    entrance = await house.entrance()
    token = await log_in(entrance)
    house.clock.advance(days=3)
    await change_app(entrance, sessionLifetime=86_400)

    assert failure(await refresh(house, token)) == INVALID
    [stored] = await RefreshToken.all()
    assert stored.replaced_at is None


async def change_app(entrance: Entrance, **changes: Any) -> None:
    payload = await entrance.house.mutate(
        "updateApp",
        {"id": entrance.app_id, **changes},
        "errors { path code }",
        token=await entrance.house.key(),
    )
    assert payload == {"errors": []}


# ------------------------------------------------- what a refresh looks at again


async def disable_source(entrance: Entrance) -> None:
    await change_source(entrance, enabled=False)


async def change_source(entrance: Entrance, **changes: Any) -> None:
    await entrance.house.mutate(
        "updateWecomMobileIdentitySource",
        {"id": entrance.source_id, **changes},
        "errors { code }",
        token=await entrance.house.key(),
    )


async def dissociate(entrance: Entrance) -> None:
    await entrance.house.data(
        "mutation($input: AppAssociationInput!)"
        " { dissociateApp(input: $input) { errors { code } } }",
        {"input": {"appId": entrance.app_id, "identitySourceId": entrance.source_id}},
        token=await entrance.house.key(),
    )


async def delete_source(entrance: Entrance) -> None:
    await entrance.house.mutate(
        "deleteIdentitySource",
        {"id": entrance.source_id},
        "deletedId errors { code }",
        token=await entrance.house.key(),
    )


@pytest.mark.parametrize(
    ("take_away", "rule"),
    [
        (disable_source, "source.disabled"),
        (dissociate, "source.not_associated"),
        (delete_source, "source.unknown"),
    ],
)
async def test_without_its_source_a_session_does_not_refresh(
    house: House, take_away: Any, rule: str
) -> None:
    entrance = await house.entrance()
    logged_in = await entrance.log_in()
    token = logged_in["tokens"]["refreshToken"]
    await take_away(entrance)

    for _ in range(3):
        assert failure(await refresh(house, token)) == UNAVAILABLE

    # Nothing has ended, and the token is unspent.
    assert await rules() == [rule] * 3
    [session] = await sessions()
    assert session.revoked_at is None
    [stored] = await RefreshToken.all()
    assert stored.replaced_at is None
    assert (await house.data(ME, token=logged_in["tokens"]["accessToken"]))["me"]


async def test_a_source_enabled_again_is_enough(house: House) -> None:
    entrance = await house.entrance()
    token = await log_in(entrance)
    await disable_source(entrance)
    await refresh(house, token)
    house.clock.advance(hours=20)

    await change_source(entrance, enabled=True)

    assert await refreshed(house, token)


async def test_a_source_associated_again_is_enough(house: House) -> None:
    entrance = await house.entrance()
    token = await log_in(entrance)
    await dissociate(entrance)
    await refresh(house, token)

    await house.associate(entrance.app_id, entrance.source_id)

    assert await refreshed(house, token)


async def test_a_lost_answer_waits_for_its_source_too(house: House) -> None:
    entrance = await house.entrance()
    token = await log_in(entrance)
    lost = await refreshed(house, token)
    await disable_source(entrance)
    assert failure(await refresh(house, token)) == UNAVAILABLE

    await change_source(entrance, enabled=True)

    assert await refreshed(house, token) == lost


async def test_a_password_session_rests_on_no_source(house: House) -> None:
    app_id = await house.app(allowPasswordSignIn=True)
    await house.mutate(
        "createUser",
        {"username": "li.lei", "password": "correct horse battery"},
        "errors { code }",
        token=await house.key(),
    )
    signed_in = await house.mutate(
        "signInWithPassword",
        {"appId": app_id, "account": "li.lei", "password": "correct horse battery"},
        "... on LoginSuccess { tokens { refreshToken } }",
    )
    house.clock.advance(days=3)

    assert await refreshed(house, signed_in["tokens"]["refreshToken"])
    assert house.wecom.calls("user_get") == 0


# -------------------------------------------------------------------- leavers


async def test_a_leaver_is_out_within_the_day(house: House) -> None:
    entrance = await house.entrance()
    phone = await log_in(entrance)
    tablet = await entrance.log_in()
    colleague = await log_in(entrance, "LiSi")
    house.wecom.person("zhangsan").status = 5
    house.clock.advance(hours=25)

    refused = await refresh(house, phone)

    assert failure(refused) == NOT_ALLOWED
    assert failure(await refresh(house, phone)) == INVALID
    # All sessions that came through the identity, at once.
    assert failure(await refresh(house, tablet["tokens"]["refreshToken"])) == INVALID
    answer = await house.post(ME, token=tablet["tokens"]["accessToken"])
    assert answer.status_code == 401
    assert await refreshed(house, colleague)
    ended = await events(action="session.revoked")
    assert [(each.rule, each.actor_type) for each in ended] == [
        ("member.left", "SYSTEM"),
        ("member.left", "SYSTEM"),
    ]
    assert {each.wecom_user_id for each in ended} == {"zhangsan"}
    [failed, *_] = await events(action="session.refresh_failed")
    assert (failed.failure, failed.wecom_user_id) == ("MEMBER_NOT_ALLOWED", "zhangsan")
    assert failed.request_id == refused["requestId"]


@pytest.mark.parametrize("status", [2, 4, 5])
async def test_whoever_may_not_log_in_may_not_refresh(
    house: House, status: int
) -> None:
    token = await log_in(await house.entrance())
    house.wecom.person("zhangsan").status = status
    house.clock.advance(hours=25)

    assert failure(await refresh(house, token)) == NOT_ALLOWED


async def test_a_leaver_is_out_whatever_else_is_odd(house: House) -> None:
    token = await log_in(await house.entrance())
    house.wecom.person("zhangsan").status = 5
    house.wecom.fault("field", "user_get", name="mobile", value=1)
    house.clock.advance(hours=25)

    assert failure(await refresh(house, token)) == NOT_ALLOWED


async def test_an_odd_answer_ends_nothing_and_is_asked_for_again(house: House) -> None:
    token = await log_in(await house.entrance())
    house.wecom.fault("field", "user_get", name="mobile", value=1)
    house.clock.advance(hours=25)
    token = await refreshed(house, token)
    house.wecom.person("zhangsan").status = 5
    house.clock.advance(minutes=6)

    assert failure(await refresh(house, token)) == NOT_ALLOWED


@pytest.mark.parametrize("errcode", [40003, 46004, 50002, 60011, 60111])
async def test_whom_user_get_refuses_is_out(house: House, errcode: int) -> None:
    token = await log_in(await house.entrance())
    house.wecom.fault("errcode", endpoint="user_get", errcode=errcode)
    house.clock.advance(hours=25)

    assert failure(await refresh(house, token)) == NOT_ALLOWED
    [event] = await events(action="session.refresh_failed")
    assert event.wecom_error_code == errcode


async def test_wecom_is_asked_once_a_day(house: House) -> None:
    token = await log_in(await house.entrance())
    house.wecom.sandbox.calls.clear()

    for _ in range(50):
        house.clock.advance(hours=1)
        token = await refreshed(house, token)

    assert house.wecom.calls("user_get") == 2


async def test_of_many_sessions_one_asks(house: House) -> None:
    entrance = await house.entrance()
    tokens = [await log_in(entrance) for _ in range(5)]
    house.wecom.sandbox.calls.clear()
    house.clock.advance(hours=25)

    async with beside(house) as other:
        await asyncio.gather(
            *(refreshed(house, each) for each in tokens),
            *(refreshed(other, each) for each in tokens),
        )

    assert house.wecom.calls("user_get") == 1


async def test_a_login_counts_as_an_answer(house: House) -> None:
    entrance = await house.entrance()
    token = await log_in(entrance)
    house.clock.advance(hours=20)
    await log_in(entrance)
    house.wecom.sandbox.calls.clear()
    house.clock.advance(hours=10)

    await refreshed(house, token)

    assert house.wecom.calls("user_get") == 0


@pytest.mark.settings(HEFU_MEMBER_RECHECK_HOURS="0.5")
async def test_hours_may_be_decimals(house: House) -> None:
    token = await log_in(await house.entrance())
    house.wecom.person("zhangsan").status = 5
    house.clock.advance(minutes=29)
    token = await refreshed(house, token)
    house.clock.advance(minutes=2)

    assert failure(await refresh(house, token)) == NOT_ALLOWED


@pytest.mark.settings(HEFU_MEMBER_RECHECK_HOURS="0")
async def test_zero_never_asks(house: House) -> None:
    token = await log_in(await house.entrance())
    house.wecom.person("zhangsan").status = 5
    house.clock.advance(days=29)

    assert await refreshed(house, token)


@pytest.mark.parametrize(
    ("fault", "options"),
    [
        ("status", {}),
        ("reset_after", {}),
        ("not_json", {}),
        ("errcode", {"errcode": -1}),
        ("errcode", {"errcode": 45009}),
        ("errcode", {"errcode": 99999}),
    ],
)
async def test_wecom_not_answering_ends_nothing(
    house: House, fault: str, options: Json
) -> None:
    token = await log_in(await house.entrance())
    house.wecom.fault(fault, endpoint="user_get", times=9, **options)
    house.clock.advance(hours=25)

    token = await refreshed(house, token)

    assert [session.revoked_at for session in await sessions()] == [None]
    [event] = await events(action="identity.recheck_failed")
    assert event.rule == "member.unanswered"
    assert event.wecom_error_code == options.get("errcode")
    assert event.wecom_user_id == "zhangsan"
    # Not asked for every refresh; but soon, or a leaver would have another day.
    calls = house.wecom.calls("user_get")
    token = await refreshed(house, token)
    assert house.wecom.calls("user_get") == calls
    house.wecom.sandbox.faults.clear()
    house.wecom.person("zhangsan").status = 5
    house.clock.advance(minutes=6)
    assert failure(await refresh(house, token)) == NOT_ALLOWED


@pytest.mark.parametrize("errcode", [48002, 48004, 60020, 50001])
async def test_wecom_not_allowing_the_question_ends_nothing(
    house: House, errcode: int
) -> None:
    token = await log_in(await house.entrance())
    house.wecom.fault("errcode", endpoint="user_get", errcode=errcode, times=99)
    house.wecom.sandbox.calls.clear()
    house.clock.advance(hours=25)

    for _ in range(3):
        token = await refreshed(house, token)
        house.clock.advance(hours=1)

    assert [session.revoked_at for session in await sessions()] == [None]
    assert house.wecom.calls("user_get") == 1
    [event] = await AuditEvent.filter(action="identity.recheck_failed")
    assert (event.rule, event.wecom_error_code) == (
        "member.question_not_allowed",
        errcode,
    )


async def test_a_question_not_allowed_shuts_no_login_out(house: House) -> None:
    """60020 from user/get lets a member log in: a refresh learns no more of it."""
    entrance = await house.entrance()
    token = await log_in(entrance)
    house.wecom.fault("errcode", endpoint="user_get", errcode=60020, times=99)
    house.clock.advance(hours=25)
    await refreshed(house, token)

    assert (await entrance.log_in("LiSi"))["__typename"] == "LoginSuccess"


async def test_a_wrong_secret_ends_nothing(house: House) -> None:
    entrance = await house.entrance()
    token = await log_in(entrance)
    await change_source(entrance, secret="wrong")
    house.clock.advance(hours=25)

    assert await refreshed(house, token)


async def test_with_a_wrong_secret_nobody_was_asked(house: House) -> None:
    """The right one again, a leaver must not have another day."""
    entrance = await house.entrance()
    token = await log_in(entrance)
    await change_source(entrance, secret="wrong")
    house.clock.advance(hours=25)
    token = await refreshed(house, token)
    await change_source(entrance, secret=examples.AGENT.secret)
    house.wecom.person("zhangsan").status = 5
    house.clock.advance(minutes=6)

    assert failure(await refresh(house, token)) == NOT_ALLOWED


async def test_somebody_elses_profile_ends_nothing(house: House) -> None:
    """An answer about another member says nothing about this one."""
    token = await log_in(await house.entrance())
    profile = '{"errcode": 0, "userid": "LiSi", "name": "LiSi", "status": 5}'
    house.wecom.fault("body", endpoint="user_get", body=profile)
    house.clock.advance(hours=25)

    assert await refreshed(house, token)


async def test_a_process_killed_while_it_asks_costs_minutes_not_a_day(
    house: House,
) -> None:
    token = await log_in(await house.entrance())
    house.wecom.person("zhangsan").status = 5
    house.clock.advance(hours=25)
    house.wecom.fault("delay", endpoint="user_get", seconds=30)
    asking = asyncio.create_task(refresh(house, token))
    await asked(house)

    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)

    house.wecom.sandbox.faults.clear()
    house.clock.advance(minutes=6)
    assert failure(await refresh(house, token)) == NOT_ALLOWED


async def test_no_transaction_is_open_while_wecom_is_asked(house: House) -> None:
    entrance = await house.entrance()
    token = await log_in(entrance)
    house.clock.advance(hours=25)
    house.wecom.fault("delay", endpoint="user_get", seconds=2)
    asking = asyncio.create_task(refresh(house, token))
    await asked(house)

    # Others write meanwhile; on SQLite they would wait for an open transaction.
    await refreshed(house, await log_in(entrance, "LiSi"))

    assert not asking.done()
    assert (await asking)["__typename"] == "RefreshedSession"


async def test_a_session_ended_while_wecom_is_asked_stays_ended(house: House) -> None:
    entrance = await house.entrance()
    logged_in = await entrance.log_in()
    house.clock.advance(hours=25)
    house.wecom.fault("delay", endpoint="user_get", seconds=1)
    asking = asyncio.create_task(refresh(house, logged_in["tokens"]["refreshToken"]))
    await asked(house)
    await house.mutate(
        "revokeSession",
        {"id": logged_in["session"]["id"]},
        "errors { code }",
        token=await house.key(),
    )

    assert failure(await asking) == INVALID
    [stored] = await RefreshToken.all()
    assert stored.replaced_at is None


async def test_another_apps_source_of_the_corp_asks_too(house: House) -> None:
    """An identity belongs to a corp: whichever source its session came through asks."""
    one = await house.entrance()
    other = await house.entrance(agent=examples.OLD_AGENT)
    here = await log_in(one)
    there = await log_in(other, agent=examples.OLD_AGENT)
    house.wecom.person("zhangsan").status = 5
    house.clock.advance(hours=25)

    assert failure(await refresh(house, there)) == NOT_ALLOWED
    assert failure(await refresh(house, here)) == INVALID


async def test_a_checked_member_is_noted(house: House) -> None:
    token = await log_in(await house.entrance())
    house.clock.advance(hours=25)
    await refreshed(house, token)

    [identity] = await Identity.all()

    assert house.clock() - identity.checked_at < timedelta(minutes=1)


# ------------------------------------------------------------------ last seen


async def test_last_use_is_written_once_a_minute(house: House) -> None:
    entrance = await house.entrance()
    logged_in = await entrance.log_in()
    [opened] = await sessions()
    token = logged_in["tokens"]["refreshToken"]

    house.clock.advance(seconds=30)
    token = await refreshed(house, token)
    await house.data(ME, token=logged_in["tokens"]["accessToken"])

    [session] = await sessions()
    assert session.last_seen_at == opened.last_seen_at
    house.clock.advance(seconds=31)
    await house.data(ME, token=logged_in["tokens"]["accessToken"])
    [session] = await sessions()
    seen = session.last_seen_at
    assert seen - opened.last_seen_at >= timedelta(minutes=1)
    await refreshed(house, token)
    [session] = await sessions()
    assert session.last_seen_at == seen
    house.clock.advance(seconds=61)
    result = await refresh(house, token)
    [session] = await sessions()
    assert session.last_seen_at > seen
    shown = session.last_seen_at.strftime("%Y-%m-%dT%H:%M:%S.")
    assert result["session"]["lastSeenAt"].startswith(shown)
