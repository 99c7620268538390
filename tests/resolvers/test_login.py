"""`startWecomMobileLogin` and `wecomMobileLogin`: binding rules 1, 2, 3 and 5."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import jwt
import pytest

from models import (
    AuditEvent,
    Identity,
    IdentitySource,
    Session,
    SpentCode,
    User,
    ids,
)
from services import members
from tests.house import House, Json, Pkce
from tests.operations import administer
from wecom import client
from wecom.sandbox import examples

ME = "{ me { id displayName identities { issuer subject linkedBy } } }"


def failure(result: Json) -> tuple[str, str]:
    assert result["__typename"] == "LoginFailure", result
    return result["code"], result["retry"]


async def events(**filter: Any) -> list[AuditEvent]:
    return await AuditEvent.filter(**filter).order_by("id")


# --------------------------------------------------------------- the main job


async def test_a_code_becomes_a_session(house: House) -> None:
    entrance = await house.entrance()

    result = await entrance.log_in("zhangsan")

    assert result["__typename"] == "LoginSuccess"
    assert result["resolution"] == "CREATED"
    assert result["user"] | {"id": None} == {
        "id": None,
        "username": None,
        "displayName": "张三",
        "email": None,
        "phone": None,
        "externalId": None,
        "role": "MEMBER",
        "status": "ACTIVE",
    }
    tokens = result["tokens"]
    assert tokens["tokenType"] == "Bearer"
    assert tokens["expiresIn"] == 900
    assert tokens["refreshExpiresIn"] == 2_592_000
    me = await house.data(ME, token=tokens["accessToken"])
    assert me["me"]["id"] == result["user"]["id"]
    assert me["me"]["identities"] == [
        {"issuer": examples.HEFU, "subject": "zhangsan", "linkedBy": "CREATED"}
    ]


async def test_the_access_token_verifies_with_another_library(house: House) -> None:
    """RFC 9068, by whoever has nothing but the JWKS."""
    entrance = await house.entrance()
    result = await entrance.log_in()
    token = result["tokens"]["accessToken"]

    keys = (await house.client.get("/.well-known/jwks.json")).json()
    header = jwt.get_unverified_header(token)
    key = next(key for key in keys["keys"] if key["kid"] == header["kid"])
    claims = jwt.decode(
        token,
        jwt.PyJWK(key),
        algorithms=["ES256"],
        audience=entrance.app_id,
        issuer="http://localhost:8000",
    )

    assert header == {"typ": "at+jwt", "alg": "ES256", "kid": key["kid"]}
    assert claims.keys() == {
        "iss", "sub", "aud", "client_id", "iat", "exp", "jti", "sid",
    }  # fmt: skip
    assert claims["sub"] == result["user"]["id"]
    assert claims["aud"] == claims["client_id"] == entrance.app_id
    assert claims["sid"] == result["session"]["id"]
    assert claims["exp"] - claims["iat"] == 900


async def test_the_metadata_names_what_there_is(house: House) -> None:
    answer = await house.client.get("/.well-known/oauth-authorization-server")

    assert answer.json() == {
        "issuer": "http://localhost:8000",
        "jwks_uri": "http://localhost:8000/.well-known/jwks.json",
        "response_types_supported": [],
        "grant_types_supported": [],
        "token_endpoint_auth_methods_supported": [],
    }


async def test_the_second_login_finds_the_account_again(house: House) -> None:
    entrance = await house.entrance()
    first = await entrance.log_in("LiSi")

    second = await entrance.log_in("LiSi")

    assert second["resolution"] == "LINKED"
    assert second["user"]["id"] == first["user"]["id"]
    assert second["session"]["id"] != first["session"]["id"]
    assert await User.all().count() == 1


async def test_a_returning_login_asks_wecom_twice(house: House) -> None:
    entrance = await house.entrance()
    await entrance.log_in()
    house.wecom.sandbox.calls.clear()

    await entrance.log_in()

    assert dict(house.wecom.sandbox.calls) == {"getuserinfo": 1, "user_get": 1}


async def test_two_sources_of_one_corp_meet_the_same_identity(house: House) -> None:
    one = await house.entrance()
    other = await house.entrance(agent=examples.OLD_AGENT)

    first = await one.log_in("zhangsan")
    second = await other.log_in("zhangsan", agent=examples.OLD_AGENT)

    assert (first["resolution"], second["resolution"]) == ("CREATED", "LINKED")
    assert first["user"]["id"] == second["user"]["id"]


async def test_two_corps_never_meet(house: House) -> None:
    """`zhangsan` is somebody else there: clients that key on the userid collide."""
    here = await house.entrance()
    there = await house.entrance(agent=examples.OTHER_CORP_AGENT)

    first = await here.log_in("zhangsan")
    second = await there.log_in("zhangsan", agent=examples.OTHER_CORP_AGENT)

    assert second["resolution"] == "CREATED"
    assert first["user"]["id"] != second["user"]["id"]


async def test_the_profile_of_a_linked_identity_is_refreshed(house: House) -> None:
    entrance = await house.entrance()
    await entrance.log_in("zhangsan")
    house.wecom.person("zhangsan").position = "CTO"

    await entrance.log_in("zhangsan")

    identity = await Identity.get(subject="zhangsan")
    assert identity.profile["position"] == "CTO"


# ------------------------------------------------------- 1. before WeCom is asked


async def test_unknown_and_disabled_apps_are_unavailable(house: House) -> None:
    entrance = await house.entrance(app={"enabled": False})

    assert failure(await entrance.present("x")) == ("APP_UNAVAILABLE", "NEVER")
    entrance.app_id = ids.show("app", ids.new())
    assert failure(await entrance.present("x")) == ("APP_UNAVAILABLE", "NEVER")
    entrance.app_id = "app_nonsense"
    assert failure(await entrance.start()) == ("APP_UNAVAILABLE", "NEVER")
    assert [event.rule for event in await events(action="login.failed")] == [
        "app.disabled", "app.unknown", "app.unknown",
    ]  # fmt: skip


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("deed", ["update_app", "delete_app"])
async def test_an_app_that_is_gone_by_the_time_wecom_answers_has_no_session(
    house: House, deed: str, *, known: bool
) -> None:
    entrance = await house.entrance()
    if known:
        await entrance.log_in()
    house.wecom.fault("delay", endpoint="user_get", seconds=1)
    asked = house.wecom.calls("user_get")
    login = asyncio.create_task(entrance.log_in())
    while house.wecom.calls("user_get") == asked:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    change = {"enabled": False} if deed == "update_app" else {}
    await administer(house, deed, {"id": entrance.app_id, **change})

    refused = await login

    assert failure(refused) == ("APP_UNAVAILABLE", "NEVER")
    assert await Session.filter(revoked_at=None).count() == 0
    [event] = await events(failure="APP_UNAVAILABLE")
    assert event.request_id == refused["requestId"]


async def test_sources_are_unavailable_in_one_way(house: House) -> None:
    """Told apart in the audit log only."""
    disabled = await house.entrance(enabled=False)
    unassociated = await house.entrance()
    unassociated.app_id = await house.app()
    unknown = await house.entrance()
    unknown.identifier = "nobody-knows"

    answers = [await each.present("x") for each in (disabled, unassociated, unknown)]

    assert {(a["code"], a["message"], a["retry"]) for a in answers} == {
        (
            "IDENTITY_SOURCE_UNAVAILABLE",
            "This way to log in is not available for this app.",
            "NEVER",
        )
    }
    assert [event.rule for event in await events(action="login.failed")] == [
        "source.disabled", "source.not_associated", "source.unknown",
    ]  # fmt: skip
    assert not house.wecom.sandbox.calls


@pytest.mark.settings(HEFU_RATE_LIMIT_ADDRESS="3/min")
async def test_an_address_past_its_rate_waits(house: House) -> None:
    entrance = await house.entrance()
    for _ in range(3):
        assert (await entrance.start(Pkce().challenge))["__typename"] != "LoginFailure"

    refused = await entrance.start(Pkce().challenge)

    assert failure(refused) == ("RATE_LIMITED", "SAME_REQUEST")
    assert 0 < refused["retryAfter"] <= 60
    house.clock.advance(seconds=61)
    assert (await entrance.start(Pkce().challenge))["__typename"] != "LoginFailure"


@pytest.mark.settings(HEFU_RATE_LIMIT_SOURCE="2/min")
async def test_a_source_past_its_rate_makes_others_wait(house: House) -> None:
    entrance, other = await house.entrance(), await house.entrance()
    for _ in range(2):
        await entrance.start(Pkce().challenge)

    assert failure(await entrance.start(Pkce().challenge)) == (
        "RATE_LIMITED",
        "SAME_REQUEST",
    )
    assert (await other.start(Pkce().challenge))["__typename"] != "LoginFailure"


@pytest.mark.parametrize("code", ["", "x" * 513, "码" * 171])
async def test_a_code_is_never_empty_nor_longer_than_512_bytes(
    house: House, code: str
) -> None:
    entrance = await house.entrance()

    assert failure(await entrance.present(code)) == ("INVALID_CODE", "START_AGAIN")
    assert not house.wecom.sandbox.calls


async def test_an_app_that_requires_states_wants_a_challenge(house: House) -> None:
    entrance = await house.entrance()

    assert failure(await entrance.start()) == ("INVALID_STATE", "START_AGAIN")
    assert failure(await entrance.start("short")) == ("INVALID_STATE", "START_AGAIN")


async def test_a_state_fits_into_wecoms_128_bytes(house: House) -> None:
    entrance = await house.entrance()

    begun = await entrance.start(Pkce().challenge)

    assert len(begun["state"].encode()) <= 128
    assert begun | {"state": None, "expiresAt": None} == {
        "__typename": "WecomMobileLoginRequest",
        "identitySource": entrance.identifier,
        "displayName": "WeCom",
        "schema": "wwauth1e933be11645237c000012",
        "corpId": examples.HEFU,
        "agentId": "1000012",
        "state": None,
        "expiresAt": None,
    }


async def test_no_state_but_the_right_one_will_do(house: House) -> None:
    """A state fed to a victim, or a code caught on its way, logs nobody in."""
    entrance, other_source = await house.entrance(), await house.entrance()
    other_app = await house.app()
    await house.associate(other_app, entrance.source_id)
    good = await entrance.prepared()
    state = good["state"]
    flipped = state[:-1] + ("A" if state[-1] != "A" else "B")
    elsewhere = await other_source.start(Pkce(good["codeVerifier"]).challenge)
    entrance_of_other_app = await house.entrance()
    entrance_of_other_app.app_id = other_app
    entrance_of_other_app.identifier = entrance.identifier
    of_other_app = await entrance_of_other_app.start(
        Pkce(good["codeVerifier"]).challenge
    )

    wrongs: list[Json] = [
        {"state": None},
        {"state": ""},
        {"state": "forged"},
        {"state": flipped},
        {"state": state + "="},
        {"state": "é" * 20},
        {"state": elsewhere["state"]},
        {"state": of_other_app["state"]},
        {"codeVerifier": None},
        {"codeVerifier": "x" * 43},
        {"codeVerifier": "é" * 43},
    ]
    for wrong in wrongs:
        refused = await entrance.present(**{**good, **wrong})
        assert failure(refused) == ("INVALID_STATE", "START_AGAIN"), wrong
    assert not house.wecom.sandbox.calls
    assert await User.all().count() == 0
    # Nothing of it spent the code or the state.
    assert (await entrance.present(**good))["__typename"] == "LoginSuccess"


async def test_a_state_lives_for_ten_minutes(house: House) -> None:
    entrance = await house.entrance()
    pkce = Pkce()
    begun = await entrance.start(pkce.challenge)
    house.clock.advance(minutes=10, seconds=2)

    refused = await entrance.present(
        house.wecom.approve(), state=begun["state"], codeVerifier=pkce.verifier
    )

    assert failure(refused) == ("INVALID_STATE", "START_AGAIN")


async def test_where_no_state_is_required_one_that_is_sent_is_checked(
    house: House,
) -> None:
    entrance = await house.entrance(app={"requireState": False})

    assert (await entrance.present(house.wecom.approve()))["resolution"] == "CREATED"
    refused = await entrance.present(house.wecom.approve(), state="forged")
    assert failure(refused) == ("INVALID_STATE", "START_AGAIN")
    plain = await entrance.start()
    result = await entrance.present(house.wecom.approve(), state=plain["state"])
    assert result["resolution"] == "LINKED"


async def test_a_state_without_challenge_does_not_serve_an_app_that_requires_states(
    house: House,
) -> None:
    entrance = await house.entrance(app={"requireState": False})
    plain = await entrance.start()
    await house.data(
        "mutation($id: ID!) { updateApp(input: {id: $id, requireState: true})"
        " { errors { code } } }",
        {"id": entrance.app_id},
        token=await house.key(),
    )

    refused = await entrance.present(house.wecom.approve(), state=plain["state"])
    downgraded = await entrance.present(
        house.wecom.approve(), state=plain["state"], codeVerifier="x" * 43
    )

    assert failure(refused) == ("INVALID_STATE", "START_AGAIN")
    assert failure(downgraded) == ("INVALID_STATE", "START_AGAIN")


async def test_the_same_request_is_answered_again_for_a_minute(house: House) -> None:
    """Mobile networks lose answers; both answers are one, to the refresh token."""
    entrance = await house.entrance()
    prepared = await entrance.prepared()
    first = await entrance.present(**prepared)
    house.clock.advance(seconds=50)

    again = await entrance.present(**prepared)

    assert again["__typename"] == "LoginSuccess"
    assert again["session"] == first["session"]
    assert again["tokens"]["refreshToken"] == first["tokens"]["refreshToken"]
    assert again["resolution"] == first["resolution"]
    assert house.wecom.calls("getuserinfo") == 1
    house.clock.advance(seconds=11)
    assert failure(await entrance.present(**prepared)) == (
        "INVALID_STATE",
        "START_AGAIN",
    )


async def test_without_a_verifier_no_request_is_answered_again(house: House) -> None:
    entrance = await house.entrance(app={"requireState": False})
    code = house.wecom.approve()
    assert (await entrance.present(code))["__typename"] == "LoginSuccess"

    assert failure(await entrance.present(code)) == ("INVALID_CODE", "START_AGAIN")


@pytest.mark.parametrize("first", [{}, {"codeVerifier": ""}])
async def test_an_empty_verifier_makes_no_request_the_same(
    house: House, first: Json
) -> None:
    """Or whoever caught the code could send it with that."""
    entrance = await house.entrance(app={"requireState": False})
    code = house.wecom.approve()
    assert (await entrance.present(code, **first))["__typename"] == "LoginSuccess"

    again = await entrance.present(code, codeVerifier="")

    assert failure(again) == ("INVALID_CODE", "START_AGAIN")
    assert await Session.all().count() == 1


async def test_the_same_request_of_a_session_that_ended_is_spent(house: House) -> None:
    entrance = await house.entrance()
    prepared = await entrance.prepared()
    first = await entrance.present(**prepared)
    await house.data(
        "mutation { signOut { session { id } } }", token=first["tokens"]["accessToken"]
    )

    assert failure(await entrance.present(**prepared)) == (
        "INVALID_STATE",
        "START_AGAIN",
    )


async def test_a_code_serves_once_whoever_presents_it(house: House) -> None:
    entrance = await house.entrance()
    prepared = await entrance.prepared()
    await entrance.present(**prepared)
    fresh = await entrance.prepared()

    stolen = await entrance.present(**{**fresh, "code": prepared["code"]})

    assert failure(stolen) == ("INVALID_CODE", "START_AGAIN")
    assert house.wecom.calls("getuserinfo") == 1
    # The state was not spent on it.
    assert (await entrance.present(**fresh))["__typename"] == "LoginSuccess"


async def test_a_state_serves_once(house: House) -> None:
    entrance = await house.entrance()
    prepared = await entrance.prepared()
    await entrance.present(**prepared)

    again = await entrance.present(**{**prepared, "code": house.wecom.approve()})

    assert failure(again) == ("INVALID_STATE", "START_AGAIN")


async def test_of_many_simultaneous_uses_all_get_the_one_session(house: House) -> None:
    entrance = await house.entrance()
    prepared = await entrance.prepared()

    results = await asyncio.gather(*(entrance.present(**prepared) for _ in range(10)))

    assert {result["__typename"] for result in results} == {"LoginSuccess"}
    assert len({result["session"]["id"] for result in results}) == 1
    assert len({result["tokens"]["refreshToken"] for result in results}) == 1
    assert house.wecom.calls("getuserinfo") == 1
    assert await Session.all().count() == 1


@pytest.mark.parametrize("known", [True, False])
async def test_no_login_succeeds_whose_reservation_is_gone(
    house: House, *, known: bool
) -> None:
    """As after a crash of PostgreSQL's: the code, or the state, would serve again."""
    entrance = await house.entrance()
    if known:
        await entrance.log_in()
    opened = await Session.all().count()
    house.wecom.fault("delay", endpoint="user_get", seconds=1)
    asked = house.wecom.calls("user_get")
    login = asyncio.create_task(entrance.log_in())
    while house.wecom.calls("user_get") == asked:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    await SpentCode.filter(progress="PENDING").delete()

    assert failure(await login) == ("INVALID_CODE", "START_AGAIN")
    assert await Session.all().count() == opened


async def test_what_a_killed_server_has_begun_is_not_waited_for(house: House) -> None:
    """It is not in flight any more."""
    entrance = await house.entrance()
    prepared = await entrance.prepared()
    await entrance.present(**prepared)
    await SpentCode.all().update(progress="PENDING", session_id=None)
    house.clock.advance(seconds=21)

    async with asyncio.timeout(5):
        again = await entrance.present(**prepared)

    assert failure(again) == ("INVALID_STATE", "START_AGAIN")


async def test_a_server_whose_clock_is_ahead_waits_as_well(house: House) -> None:
    """Clocks may be five seconds apart: the login is under way all the same."""
    entrance = await house.entrance()
    prepared = await entrance.prepared()
    house.wecom.fault("delay", endpoint="user_get", seconds=1)
    asked = house.wecom.calls("user_get")
    first = asyncio.create_task(entrance.present(**prepared))
    while house.wecom.calls("user_get") == asked:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    house.clock.advance(seconds=12)

    again = await entrance.present(**prepared)

    assert again["__typename"] == "LoginSuccess"
    assert again["session"]["id"] == (await first)["session"]["id"]


async def test_of_many_thieves_one_at_most_goes_through(house: House) -> None:
    entrance = await house.entrance(app={"requireState": False})
    code = house.wecom.approve()

    results = await asyncio.gather(*(entrance.present(code) for _ in range(10)))

    kinds = [result["__typename"] for result in results]
    assert kinds.count("LoginSuccess") == 1
    assert house.wecom.calls("getuserinfo") == 1


async def test_equal_refusals_within_a_minute_share_an_event(house: House) -> None:
    entrance = await house.entrance()

    results = [await entrance.present("x", state="forged") for _ in range(5)]

    [event] = await events(action="login.failed")
    assert event.count == 5
    assert event.failure == "INVALID_STATE"
    assert {result["requestId"] for result in results} == {event.request_id}
    house.clock.advance(seconds=61)
    await entrance.present("x", state="forged")
    assert [event.count for event in await events(action="login.failed")] == [5, 1]


# ------------------------------------------------------------ 2. what WeCom says


async def test_an_outsider_is_no_member(house: House) -> None:
    """Three known clients took an openid for a userid."""
    entrance = await house.entrance(app={"requireState": False})

    refused = await entrance.present(house.wecom.approve_outsider())

    assert failure(refused) == ("NOT_A_MEMBER", "NEVER")
    assert await User.all().count() == 0


@pytest.mark.parametrize(
    ("errcode", "code", "retry"),
    [
        (40029, "INVALID_CODE", "START_AGAIN"),
        (42003, "INVALID_CODE", "START_AGAIN"),
        (40163, "INVALID_CODE", "START_AGAIN"),
        (50001, "INVALID_CODE", "START_AGAIN"),
        (40001, "IDENTITY_SOURCE_MISCONFIGURED", "NEVER"),
        (60020, "IDENTITY_SOURCE_MISCONFIGURED", "NEVER"),
        (48002, "IDENTITY_SOURCE_MISCONFIGURED", "NEVER"),
        (45009, "WECOM_UNAVAILABLE", "START_AGAIN"),
        (99999, "WECOM_UNAVAILABLE", "START_AGAIN"),
    ],
)
async def test_what_getuserinfo_refuses_with(
    house: House, errcode: int, code: str, retry: str
) -> None:
    entrance = await house.entrance()
    house.wecom.fault("errcode", endpoint="getuserinfo", errcode=errcode)

    refused = await entrance.log_in()

    assert failure(refused) == (code, retry)
    [event] = await events(action="login.failed")
    assert (event.failure, event.wecom_error_code) == (code, errcode)
    assert event.request_id == refused["requestId"]
    assert await User.all().count() == 0


async def test_a_stale_token_goes_unnoticed(house: House) -> None:
    entrance = await house.entrance()
    await entrance.log_in()
    house.wecom.fault("errcode", endpoint="getuserinfo", errcode=42001)

    assert (await entrance.log_in())["resolution"] == "LINKED"
    assert house.wecom.calls("gettoken") == 2


@pytest.mark.parametrize("endpoint", ["getuserinfo", "user_get"])
async def test_a_stale_token_goes_unnoticed_however_busy_wecom_was(
    house: House, endpoint: str
) -> None:
    entrance = await house.entrance()
    house.wecom.fault("errcode", endpoint=endpoint, errcode=-1, times=2)
    house.wecom.fault("errcode", endpoint=endpoint, errcode=42001)

    assert (await entrance.log_in())["resolution"] == "CREATED"
    assert house.wecom.calls("gettoken") == 2
    assert house.wecom.calls(endpoint) == 4


@pytest.mark.parametrize(
    ("errcode", "code", "retry"),
    [
        (40001, "IDENTITY_SOURCE_MISCONFIGURED", "NEVER"),
        (40013, "IDENTITY_SOURCE_MISCONFIGURED", "NEVER"),
        (45009, "WECOM_UNAVAILABLE", "SAME_REQUEST"),
    ],
)
async def test_what_gettoken_refuses_with(
    house: House, errcode: int, code: str, retry: str
) -> None:
    entrance = await house.entrance()
    house.wecom.fault("errcode", endpoint="gettoken", errcode=errcode, times=9)

    assert failure(await entrance.log_in()) == (code, retry)


async def test_what_wecom_surely_did_not_see_may_be_sent_again(house: House) -> None:
    entrance = await house.entrance()
    prepared = await entrance.prepared()
    house.wecom.fault("errcode", endpoint="gettoken", errcode=45009)

    refused = await entrance.present(**prepared)

    assert failure(refused) == ("WECOM_UNAVAILABLE", "SAME_REQUEST")
    assert (await entrance.present(**prepared))["__typename"] == "LoginSuccess"


@pytest.mark.slow
@pytest.mark.settings(HEFU_WECOM_TIMEOUT="8")
async def test_a_code_that_never_left_may_be_sent_again_however_late_it_is(
    house: House,
) -> None:
    """The whole login's time is over while WeCom is still asked for a token."""
    entrance = await house.entrance()
    prepared = await entrance.prepared()
    house.wecom.fault("hang", endpoint="gettoken")

    refused = await entrance.present(**prepared)

    assert failure(refused) == ("WECOM_UNAVAILABLE", "SAME_REQUEST")
    assert house.wecom.calls("getuserinfo") == 0
    # The first of these may share the end of the call that hung.
    again = [await entrance.present(**prepared) for _ in range(2)]
    assert again[-1]["__typename"] == "LoginSuccess"


@pytest.mark.slow
@pytest.mark.settings(HEFU_WECOM_TIMEOUT="8")
async def test_a_code_that_left_is_spent_when_the_time_is_over(house: House) -> None:
    entrance = await house.entrance()
    house.wecom.fault("hang", endpoint="getuserinfo")

    refused = await entrance.log_in()

    assert failure(refused) == ("WECOM_UNAVAILABLE", "START_AGAIN")


async def test_what_wecom_may_have_seen_is_spent(house: House) -> None:
    entrance = await house.entrance()
    prepared = await entrance.prepared()
    house.wecom.fault("reset_after", endpoint="getuserinfo")

    refused = await entrance.present(**prepared)

    assert failure(refused) == ("WECOM_UNAVAILABLE", "START_AGAIN")
    assert house.wecom.calls("getuserinfo") == 1
    assert failure(await entrance.present(**prepared)) == (
        "INVALID_STATE",
        "START_AGAIN",
    )


async def test_whoever_logs_in_clears_what_was_remembered(house: House) -> None:
    entrance = await house.entrance()
    house.wecom.fault("errcode", endpoint="gettoken", errcode=60020)
    await entrance.log_in()
    assert (await IdentitySource.get()).problem_code == 60020
    house.clock.advance(seconds=61)

    await entrance.log_in()

    source = await IdentitySource.get()
    assert (source.problem_code, source.problem_until) == (None, None)


async def test_what_was_remembered_in_a_login_outlives_that_login(
    house: House,
) -> None:
    """Or the wrong secret would go out again at the next."""
    entrance = await house.entrance()
    await entrance.log_in()
    # Of an hour ago: it keeps nobody out any more, and is disproved by who logs in.
    before = house.clock() - timedelta(hours=1)
    await IdentitySource.all().update(
        problem_code=60020, problem_since=before, problem_until=before
    )
    house.wecom.fault("errcode", endpoint="user_get", errcode=42001)
    house.wecom.fault("errcode", endpoint="gettoken", errcode=40001)

    result = await entrance.log_in()

    assert result["resolution"] == "LINKED"
    source = await IdentitySource.get()
    assert source.problem_code == 40001
    assert source.problem_until is not None
    assert source.problem_until > house.clock()


async def test_a_wrong_secret_is_remembered_whatever_it_was_sent_for(
    house: House,
) -> None:
    entrance = await house.entrance()
    prepared = await entrance.prepared("zhangsan", consented=True)
    house.wecom.fault("errcode", endpoint="getuserdetail", errcode=42001)
    await entrance.log_in("lisi")
    house.wecom.fault("errcode", endpoint="gettoken", errcode=40001)

    assert (await entrance.present(**prepared))["resolution"] == "CREATED"

    assert (await IdentitySource.get()).problem_code == 40001
    asked = house.wecom.calls("gettoken")
    refused = await entrance.log_in("zhangsan")
    assert failure(refused) == ("IDENTITY_SOURCE_MISCONFIGURED", "NEVER")
    assert house.wecom.calls("gettoken") == asked


async def test_a_wrong_secret_is_remembered_for_a_minute(house: House) -> None:
    """Sent again and again it has WeCom block the whole address."""
    entrance = await house.entrance(secret="wrong")
    first = await entrance.log_in()

    second = await entrance.log_in()

    assert (
        failure(first)
        == failure(second)
        == (
            "IDENTITY_SOURCE_MISCONFIGURED",
            "NEVER",
        )
    )
    assert house.wecom.calls("gettoken") == 1
    house.clock.advance(seconds=61)
    await entrance.log_in()
    assert house.wecom.calls("gettoken") == 2


async def test_changed_settings_are_asked_for_at_once(house: House) -> None:
    entrance = await house.entrance(secret="wrong")
    await entrance.log_in()
    problem = (
        "query($id: ID!) { identitySource(id: $id)"
        " { ... on WecomMobileIdentitySource { problem { wecomErrorCode } } } }"
    )
    shown = await house.data(
        problem, {"id": entrance.source_id}, token=await house.key()
    )
    assert shown["identitySource"]["problem"] == {"wecomErrorCode": 40001}

    await house.mutate(
        "updateWecomMobileIdentitySource",
        {"id": entrance.source_id, "secret": examples.AGENT.secret},
        "errors { code }",
        token=await house.key(),
    )

    assert (await entrance.log_in())["__typename"] == "LoginSuccess"


async def test_a_bad_code_is_held_against_nobody_else(house: House) -> None:
    """Nothing that one caller can cause by a code of his own is remembered."""
    entrance = await house.entrance()
    for errcode in (50001, 40029, 48002):
        house.wecom.fault("errcode", endpoint="getuserinfo", errcode=errcode)
        await entrance.log_in()

    assert (await entrance.log_in())["__typename"] == "LoginSuccess"


@pytest.mark.parametrize("userid", ["wangwu", "zhaoliu", "sunqi", "zhouba"])
async def test_members_who_may_not(house: House, userid: str) -> None:
    """Disabled, not activated, gone, or outside of what the WeCom app may see."""
    entrance = await house.entrance()

    assert failure(await entrance.log_in(userid)) == ("MEMBER_NOT_ALLOWED", "NEVER")
    assert await User.all().count() == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("department", None),
        ("mobile", 1),
        ("avatar", "x" * 600),
        ("userid", None),
        ("errcode", None),
        ("status", "5"),
        ("status", 5.0),
    ],
)
async def test_who_is_barred_stays_out_whatever_else_is_odd(
    house: House, name: str, value: object
) -> None:
    entrance = await house.entrance()
    await entrance.log_in("zhangsan")
    house.wecom.person("zhangsan").status = 5
    house.wecom.fault("field", "user_get", name=name, value=value)

    refused = await entrance.log_in("zhangsan")

    assert failure(refused) == ("MEMBER_NOT_ALLOWED", "NEVER")


@pytest.mark.parametrize("userid", ["lisi", "../zhangsan", "", 7, ["zhangsan"]])
async def test_who_user_get_takes_for_another_is_never_keyed_on(
    house: House, userid: object
) -> None:
    entrance = await house.entrance()
    await entrance.log_in("zhangsan")
    house.wecom.fault("field", "user_get", name="userid", value=userid)

    refused = await entrance.log_in("zhangsan")

    assert failure(refused) == ("WECOM_UNAVAILABLE", "START_AGAIN")


@pytest.mark.parametrize("errcode", [40003, 46004, 50002, 60011, 60111])
async def test_members_whom_user_get_refuses(house: House, errcode: int) -> None:
    entrance = await house.entrance()
    house.wecom.fault("errcode", endpoint="user_get", errcode=errcode)

    assert failure(await entrance.log_in()) == ("MEMBER_NOT_ALLOWED", "NEVER")


async def test_a_profile_that_does_not_come_in_time_stops_only_strangers(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    entrance = await house.entrance()
    await entrance.log_in("zhangsan")
    monkeypatch.setattr(members, "LONGEST", 3.0)
    house.wecom.fault("hang", endpoint="user_get", times=2)

    known = await entrance.log_in("zhangsan")
    stranger = await entrance.log_in("lisi")

    assert known["resolution"] == "LINKED"
    assert failure(stranger) == ("WECOM_UNAVAILABLE", "START_AGAIN")
    [event] = await events(failure="WECOM_UNAVAILABLE")
    assert (event.rule, event.wecom_user_id) == ("profile.unavailable", "lisi")


@pytest.mark.parametrize("slow", ["user_get", "getuserdetail"])
async def test_who_is_barred_stays_out_however_slow_the_rest_is(
    house: House, monkeypatch: pytest.MonkeyPatch, slow: str
) -> None:
    """What user/get has said counts, whether or not there is time for more."""
    entrance = await house.entrance()
    await entrance.log_in("zhangsan")
    house.wecom.person("zhangsan").status = 2
    monkeypatch.setattr(members, "LONGEST", 3.0)
    house.wecom.fault("hang", endpoint=slow)

    prepared = await entrance.prepared("zhangsan", consented=True)
    result = await entrance.present(**prepared)

    barred = slow == "getuserdetail"
    assert (result["__typename"] == "LoginFailure") is barred
    if barred:
        assert failure(result) == ("MEMBER_NOT_ALLOWED", "NEVER")


async def test_what_only_the_ticket_tells_keeps_nobody_waiting(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    entrance = await house.entrance()
    monkeypatch.setattr(members, "LONGEST", 3.0)
    monkeypatch.setattr(client, "DETAIL_TIMEOUT", 60.0)
    house.wecom.fault("hang", endpoint="getuserdetail")

    prepared = await entrance.prepared("zhangsan", consented=True)
    result = await entrance.present(**prepared)

    assert result["user"]["displayName"] == "张三"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("\u200b\u2060", "zhangsan"),
        ("\u200b" * 64 + "张", "zhangsan"),
        ("张\u3000三", "张\u3000三"),
        ("\u202a张\u3000三\u202c", "张\u3000三"),
        ("\U0001f468\u200d\U0001f469", "\U0001f468\u200d\U0001f469"),
    ],
)
async def test_a_name_is_as_wecom_tells_it_where_it_can_be_shown(
    house: House, name: str, shown: str
) -> None:
    entrance = await house.entrance()
    house.wecom.person("zhangsan").name = name

    result = await entrance.log_in("zhangsan")

    assert result["user"]["displayName"] == shown


async def test_a_state_is_good_until_the_moment_that_was_told(house: House) -> None:
    entrance = await house.entrance()
    # Late within its second: a state tells of whole ones.
    house.clock.stop(microsecond=850_000)
    pkce = Pkce()
    begun = await entrance.start(pkce.challenge)
    ends = datetime.fromisoformat(begun["expiresAt"])
    house.clock.ahead += ends - house.clock()

    result = await entrance.present(
        house.wecom.approve(), state=begun["state"], codeVerifier=pkce.verifier
    )

    assert result["__typename"] == "LoginSuccess"


@pytest.mark.parametrize("errcode", [48002, 48004, 48005, 48006, 60020])
async def test_where_the_app_may_not_read_members_the_userid_is_enough(
    house: House, errcode: int
) -> None:
    entrance = await house.entrance()
    house.wecom.fault("errcode", endpoint="user_get", errcode=errcode)

    result = await entrance.log_in("zhangsan")

    assert result["resolution"] == "CREATED"
    assert result["user"]["displayName"] == "zhangsan"
    [event] = await events(action="login.succeeded")
    assert event.wecom_error_code == errcode
    # And nothing was remembered that would keep others out.
    assert (await entrance.log_in("LiSi"))["resolution"] == "CREATED"


@pytest.mark.parametrize("fault", ["empty", "not_json", "status", "reset_after"])
async def test_a_failing_profile_stops_only_strangers(house: House, fault: str) -> None:
    entrance = await house.entrance()
    house.wecom.fault(fault, endpoint="user_get", times=3)
    assert failure(await entrance.log_in()) == ("WECOM_UNAVAILABLE", "START_AGAIN")
    assert await User.all().count() == 0
    house.wecom.sandbox.faults.clear()
    await entrance.log_in()
    house.wecom.fault(fault, endpoint="user_get", times=3)

    assert (await entrance.log_in())["resolution"] == "LINKED"


async def test_a_disabled_account_does_not_log_in(house: House) -> None:
    entrance = await house.entrance()
    first = await entrance.log_in()
    await User.filter(id=ids.read("usr", first["user"]["id"])).update(status="DISABLED")

    refused = await entrance.log_in()

    assert failure(refused) == ("ACCOUNT_DISABLED", "NEVER")
    [event] = await events(action="login.failed")
    assert event.rule == "identity.account_disabled"


# -------------------------------------------------------------- 4, NONE, and 5


async def test_login_only_creates_nothing(house: House) -> None:
    """ "Existing users only" that still created users is another client's accident."""
    entrance = await house.entrance(loginOnly=True)

    refused = await entrance.log_in()

    assert failure(refused) == ("ACCOUNT_NOT_FOUND", "NEVER")
    assert await User.all().count() == 0
    [event] = await events(action="login.failed")
    assert event.rule == "creation.login_only"


async def test_sign_up_off_creates_nothing(house: House) -> None:
    entrance = await house.entrance(app={"allowSignUp": False})

    assert failure(await entrance.log_in()) == ("ACCOUNT_NOT_FOUND", "NEVER")
    assert await User.all().count() == 0


async def test_simultaneous_first_logins_end_in_one_account(house: House) -> None:
    entrance = await house.entrance()
    prepared = [await entrance.prepared("alice.smith") for _ in range(12)]

    results = await asyncio.gather(*(entrance.present(**each) for each in prepared))

    assert {result["__typename"] for result in results} == {"LoginSuccess"}
    assert len({result["user"]["id"] for result in results}) == 1
    assert len({result["session"]["id"] for result in results}) == 12
    assert await User.all().count() == await Identity.all().count() == 1


async def test_messages_speak_the_callers_language(house: House) -> None:
    entrance = await house.entrance()

    english = await entrance.present("")
    chinese = await entrance.present(
        "", headers={"Accept_Language": "zh-Hans-CN,en;q=0.5"}
    )

    assert english["message"] == "The login has expired. Please start again."
    assert chinese["message"] == "登录已失效，请重新登录。"
