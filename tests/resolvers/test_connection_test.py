from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from models import AuditEvent, IdentitySource, Role, ids
from tests.house import House, Json
from wecom.agent import Agent
from wecom.sandbox import examples

OPERATIONS = Path(__file__).parents[2] / "graphql" / "operations" / "admin"
TEST = (OPERATIONS / "test_identity_source.graphql").read_text()

WRONG = Agent(examples.HEFU, "1000012", "canary-wrong-secret-wxyz")


async def run(house: House, id: str, userid: str | None = None, **headers: str) -> Json:
    data = await house.data(
        TEST,
        {"input": {"id": id, "wecomUserId": userid}},
        token=await house.key(Role.ADMIN),
        **headers,
    )
    payload: Json = data["testIdentitySource"]
    return payload


async def update(house: House, id: str, **input: Any) -> None:
    payload = await house.mutate(
        "updateWecomMobileIdentitySource",
        {"id": id, **input},
        "errors { path code }",
        token=await house.key(),
    )
    assert payload == {"errors": []}


def statuses(payload: Json) -> dict[str, str]:
    return {
        check["name"]: check["status"]
        for check in payload["report"]["checks"]
        if check["status"] != "SKIPPED"
    }


def check(payload: Json, name: str) -> Json:
    (found,) = [each for each in payload["report"]["checks"] if each["name"] == name]
    result: Json = found
    return result


def codes(payload: Json) -> set[tuple[str, str]]:
    return {(".".join(each["path"]), each["code"]) for each in payload["errors"]}


async def stored() -> list[Json]:
    rows: list[Json] = await IdentitySource.all().values()
    return rows


def trust_only(house: House, address: str) -> None:
    """Have the sandbox's app take calls from `address` alone."""
    corp = house.wecom.sandbox.world.corp(examples.HEFU)
    assert corp
    corp.apps[0] = replace(corp.apps[0], trusted_ips=frozenset({address}))


def matching(*fields: str) -> Json:
    return {
        "accountAssociation": {"mode": "FIELD_MATCHING", "matchFields": list(fields)}
    }


async def problem_of(house: House, id: str) -> int | None:
    data = await house.data(
        "query($id: ID!) { identitySource(id: $id) {"
        " ... on WecomMobileIdentitySource { problem { wecomErrorCode } } } }",
        {"id": id},
        token=await house.key(),
    )
    problem = data["identitySource"]["problem"]
    code: int | None = problem and problem["wecomErrorCode"]
    return code


# ------------------------------------------------------------------- it works


async def test_settings_that_work_pass_and_nothing_is_changed(house: House) -> None:
    id = await house.source()
    before = await stored()
    payload = await run(house, id)

    assert payload == {
        "report": {
            "ok": True,
            "checks": [
                {
                    "name": "REACHABLE",
                    "status": "PASS",
                    "message": "WeCom answers.",
                    "hint": None,
                    "wecomErrorCode": None,
                },
                {
                    "name": "CREDENTIALS",
                    "status": "PASS",
                    "message": "CorpID and secret are right.",
                    "hint": None,
                    "wecomErrorCode": None,
                },
                {
                    "name": "TRUSTED_IP",
                    "status": "PASS",
                    "message": "WeCom takes calls from this server.",
                    "hint": None,
                    "wecomErrorCode": None,
                },
                {
                    "name": "AGENT",
                    "status": "PASS",
                    "message": "The app is there: 禾府登录.",
                    "hint": None,
                    "wecomErrorCode": None,
                },
                {
                    "name": "SCHEMA",
                    "status": "PASS",
                    "message": "It looks as WeCom's schemas do for this CorpID and"
                    " AgentID.",
                    "hint": None,
                    "wecomErrorCode": None,
                },
                {
                    "name": "PROFILE_FIELDS",
                    "status": "SKIPPED",
                    "message": "Not looked at: no member was named.",
                    "hint": "Test with a member's userid to see what the app may read.",
                    "wecomErrorCode": None,
                },
            ],
        },
        "identitySource": {"id": id, "problem": None},
        "errors": [],
    }
    assert await stored() == before
    told = await AuditEvent.get(action="identity_source.tested")
    assert (told.actor_name, told.subject_id) == ("admin", id)


async def test_a_disabled_source_is_tested_all_the_same(house: House) -> None:
    payload = await run(house, await house.source(enabled=False))

    assert payload["report"]["ok"] is True


async def test_the_report_speaks_chinese(house: House) -> None:
    payload = await run(house, await house.source(), Accept_Language="zh")

    assert check(payload, "REACHABLE")["message"] == "可以访问企业微信。"


# ------------------------------------------------------------- what goes wrong


async def test_a_wrong_secret_is_named_and_shown_as_the_sources_problem(
    house: House,
) -> None:
    payload = await run(house, await house.source(agent=WRONG))

    assert payload["report"]["ok"] is False
    assert statuses(payload) == {
        "REACHABLE": "PASS",
        "CREDENTIALS": "FAIL",
        "SCHEMA": "PASS",
    }
    failed = check(payload, "CREDENTIALS")
    assert failed["wecomErrorCode"] == 40001
    assert "WeCom's console" in failed["hint"]
    assert payload["identitySource"]["problem"]["wecomErrorCode"] == 40001
    assert WRONG.secret not in str(payload)


async def test_a_wrong_secret_is_not_sent_again_within_a_minute(house: House) -> None:
    id = await house.source(agent=WRONG)
    await run(house, id)
    payload = await run(house, id)
    assert house.wecom.calls("gettoken") == 1
    assert statuses(payload) == {"CREDENTIALS": "FAIL", "SCHEMA": "PASS"}
    assert "not asked again" in check(payload, "CREDENTIALS")["message"]

    house.clock.advance(seconds=61)
    await run(house, id)
    assert house.wecom.calls("gettoken") == 2


@pytest.mark.parametrize("errcode", [40001, 40091, 48002, 50003, 60020])
async def test_what_logins_were_refused_with_a_test_asks_about_anew(
    house: House, errcode: int
) -> None:
    """It was mended in WeCom's console: nothing here has changed."""
    entrance = await house.entrance()
    house.wecom.fault("errcode", "gettoken", errcode=errcode)
    for _ in range(2):
        refused = await entrance.log_in()
        assert refused["code"] == "IDENTITY_SOURCE_MISCONFIGURED"
    assert house.wecom.calls("gettoken") == 1

    payload = await run(house, await source_id())

    assert payload["report"]["ok"] is True
    assert payload["identitySource"]["problem"] is None
    assert (await entrance.log_in())["__typename"] == "LoginSuccess"


@pytest.mark.parametrize("errcode", [48002, 50003, 60020])
async def test_what_is_no_guess_is_tested_again_at_once(
    house: House, errcode: int
) -> None:
    id = await house.source()
    house.wecom.fault("errcode", "gettoken", errcode=errcode)
    assert (await run(house, id))["report"]["ok"] is False
    payload = await run(house, id)
    assert payload["report"]["ok"] is True
    assert payload["identitySource"]["problem"] is None


async def source_id() -> str:
    return ids.show(ids.SOURCE, (await IdentitySource.get()).id)


async def test_many_tests_at_once_send_a_wrong_secret_once(house: House) -> None:
    id = await house.source(agent=WRONG)
    await house.key(Role.ADMIN)
    payloads = await asyncio.gather(*(run(house, id) for _ in range(8)))

    assert house.wecom.calls("gettoken") == 1
    refused = [each for each in payloads if each["errors"]]
    assert all(codes(each) == {("input.id", "RATE_LIMITED")} for each in refused)
    assert all(each["report"] is None for each in refused)


async def test_a_mended_secret_is_tried_at_once_and_clears_the_problem(
    house: House,
) -> None:
    id = await house.source(agent=WRONG)
    await run(house, id)
    await update(house, id, secret=examples.AGENT.secret)
    payload = await run(house, id)

    assert payload["report"]["ok"] is True
    assert payload["identitySource"]["problem"] is None
    assert house.wecom.calls("gettoken") == 2


async def test_a_passing_test_clears_the_problem_of_unchanged_settings(
    house: House,
) -> None:
    id = await house.source()
    trust_only(house, "192.0.2.1")
    assert (await run(house, id))["identitySource"]["problem"] is not None
    house.wecom.sandbox.reset()
    payload = await run(house, id)

    assert payload["report"]["ok"] is True
    assert payload["identitySource"]["problem"] is None
    assert (await IdentitySource.get()).problem_until is None


async def test_an_untrusted_address_is_shown_as_wecom_saw_it(house: House) -> None:
    id = await house.source()
    trust_only(house, "192.0.2.1")
    payload = await run(house, id, "zhangsan")

    assert statuses(payload) == {
        "REACHABLE": "PASS",
        "CREDENTIALS": "PASS",
        "TRUSTED_IP": "FAIL",
        "SCHEMA": "PASS",
    }
    failed = check(payload, "TRUSTED_IP")
    assert "127.0.0.1" in failed["message"]
    assert "127.0.0.1" in failed["hint"]
    assert failed["wecomErrorCode"] == 60020
    problem = payload["identitySource"]["problem"]
    assert problem["wecomErrorCode"] == 60020
    assert "127.0.0.1" in problem["message"]


async def test_another_apps_secret_fails_the_agent(house: House) -> None:
    agent = replace(examples.OLD_AGENT, agent_id="1000012")
    payload = await run(house, await house.source(agent=agent))

    assert statuses(payload) == {
        "REACHABLE": "PASS",
        "CREDENTIALS": "PASS",
        "TRUSTED_IP": "PASS",
        "AGENT": "FAIL",
        "SCHEMA": "PASS",
    }
    assert check(payload, "AGENT")["wecomErrorCode"] == 301002
    problem = payload["identitySource"]["problem"]
    assert problem["wecomErrorCode"] == 301002
    assert problem["message"] == check(payload, "AGENT")["hint"]


async def test_a_refused_agent_is_shown_until_it_is_mended_and_keeps_nobody_out(
    house: House,
) -> None:
    agent = replace(examples.OLD_AGENT, agent_id="1000012")
    entrance = await house.entrance(agent=agent, app={"requireState": False})
    id = entrance.source_id
    await run(house, id)
    code = house.wecom.approve("alice.smith", examples.OLD_AGENT)
    login = await entrance.present(code)
    assert login["__typename"] == "LoginSuccess"
    assert await problem_of(house, id) == 301002

    await update(house, id, agentId=examples.OLD_AGENT.agent_id)
    assert await problem_of(house, id) is None


async def test_an_unusual_schema_is_worth_a_warning(house: House) -> None:
    payload = await run(house, await house.source(schema="myapp"))

    assert payload["report"]["ok"] is True
    assert check(payload, "SCHEMA")["status"] == "WARN"
    assert "wwauth" in check(payload, "SCHEMA")["hint"]


@pytest.mark.parametrize("fault", ["reset_before", "status", "not_json"])
async def test_a_wecom_that_cannot_be_reached_or_understood_is_no_problem_of_the_source(
    house: House, fault: str
) -> None:
    id = await house.source()
    house.wecom.fault(fault, "gettoken", times=3)
    payload = await run(house, id)

    assert statuses(payload) == {"REACHABLE": "FAIL", "SCHEMA": "PASS"}
    assert "HEFU_WECOM_URL" in check(payload, "REACHABLE")["hint"]
    assert payload["identitySource"]["problem"] is None


async def test_a_secret_whose_key_is_gone_is_named(house: House) -> None:
    id = await house.source()
    await IdentitySource.all().update(secret_key_id="gone")
    payload = await run(house, id)

    assert statuses(payload) == {"CREDENTIALS": "FAIL", "SCHEMA": "PASS"}
    assert "HEFU_SECRET_KEYS" in check(payload, "CREDENTIALS")["message"]
    assert house.wecom.calls("gettoken") == 0


# --------------------------------------------------------------- what is told


@pytest.mark.parametrize(
    ("agent", "fields", "status"),
    [
        (examples.AGENT, ["EMAIL", "PHONE"], "WARN"),
        (examples.AGENT, ["EMAIL", "USERNAME"], "WARN"),
        (examples.AGENT, ["EXTERNAL_ID"], "PASS"),
        (examples.OLD_AGENT, ["EMAIL", "PHONE"], "PASS"),
    ],
)
async def test_field_matching_wants_what_it_compares_to_be_told(
    house: House, agent: Agent, fields: list[str], status: str
) -> None:
    id = await house.source(agent=agent, **matching(*fields))
    payload = await run(house, id, "zhangsan")

    assert payload["report"]["ok"] is True
    told = check(payload, "PROFILE_FIELDS")
    assert told["status"] == status
    assert "userid, name" in told["message"]
    assert ("mobile" in told["message"]) == (agent is examples.OLD_AGENT)
    assert "13800000001" not in str(payload)


@pytest.mark.parametrize(
    ("userid", "code"),
    [("nobody", 60111), ("zhouba", 60011), ("wangwu", None)],
)
async def test_a_member_who_could_not_log_in_is_worth_a_warning(
    house: House, userid: str, code: int | None
) -> None:
    told = check(await run(house, await house.source(), userid), "PROFILE_FIELDS")

    assert (told["status"], told["wecomErrorCode"]) == ("WARN", code)


# ------------------------------------------------------------------- refusals


async def test_a_source_is_tested_ten_times_a_minute_at_the_most(house: House) -> None:
    id = await house.source()
    for _ in range(10):
        assert (await run(house, id))["errors"] == []
    calls = house.wecom.calls("gettoken")
    payload = await run(house, id)

    assert codes(payload) == {("input.id", "RATE_LIMITED")}
    assert payload["report"] is payload["identitySource"] is None
    assert house.wecom.calls("gettoken") == calls
    assert (await run(house, await house.source()))["errors"] == []
    house.clock.advance(minutes=1)
    assert (await run(house, id))["errors"] == []


@pytest.mark.parametrize("id", ["src_01kb3v5x9gf2tvrzc1q0k7m4dh", "app_", "\0"])
async def test_an_unknown_source_is_not_found(house: House, id: str) -> None:
    payload = await run(house, id, "/etc/passwd")

    assert codes(payload) == {
        ("input.id", "NOT_FOUND"),
        ("input.wecomUserId", "INVALID_FORMAT"),
    }


@pytest.mark.parametrize("role", [None, Role.VIEWER])
async def test_only_administrators_test_sources(
    house: House, role: Role | None
) -> None:
    id = await house.source()
    token = await house.key(role) if role else None
    body = await house.answer(TEST, {"input": {"id": id}}, token=token)

    expected = "FORBIDDEN" if role else "UNAUTHENTICATED"
    assert body["data"] is None
    assert [e["extensions"]["code"] for e in body["errors"]] == [expected]
    assert house.wecom.calls("gettoken") == 0
