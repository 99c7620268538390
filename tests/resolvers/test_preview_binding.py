"""`previewBinding`: what a first login would do, and why; nothing is changed."""

from __future__ import annotations

from typing import Any

import pytest

from models import AuditEvent, Identity, Role, ids
from tests.house import Entrance, House, Json
from tests.operations import (
    account,
    administer,
    asking,
    change,
    come,
    last_event,
    link,
    matching,
    problems,
    run,
    standing,
)
from wecom.sandbox import examples

MAIL = {"email": "zhangsan@example.com", "emailVerified": True}


async def ask(
    entrance: Entrance, *, role: Role = Role.VIEWER, language: str = "en", **input: Any
) -> Json:
    given = {
        "identitySourceId": entrance.source_id,
        "appId": entrance.app_id,
        "wecomUserId": "zhangsan",
    }
    return await run(
        entrance.house,
        "admin/preview_binding",
        {**given, **input},
        token=await entrance.house.key(role),
        Accept_Language=language,
    )


def told(payload: Json) -> tuple[str, str | None, str | None, list[str]]:
    assert payload["errors"] == [], payload
    preview = payload["preview"]
    user = preview["user"]
    return (
        preview["outcome"],
        preview["failure"],
        user and user["id"],
        [step["rule"] for step in preview["steps"]],
    )


async def test_a_preview_tells_every_step_and_changes_nothing(house: House) -> None:
    user_id = await account(house, **MAIL, displayName="Zhang San")
    entrance = await matching(house, "EMAIL", "PHONE")
    await house.key(Role.VIEWER)
    before = await standing()
    events = await AuditEvent.all().count()

    payload = await ask(entrance, email="ZhangSan@example.com")

    assert payload == {
        "preview": {
            "outcome": "LINK_AND_LOG_IN",
            "user": {"id": user_id, "username": None, "displayName": "Zhang San"},
            "failure": None,
            "steps": [
                {
                    "rule": "identity.not_linked",
                    "message": "The member is not linked to any account yet.",
                },
                {
                    "rule": "field_matching.one",
                    "message": "Exactly one account matches; the member is linked to"
                    " it.",
                },
            ],
        },
        "errors": [],
    }
    assert await standing() == before
    assert await AuditEvent.all().count() == events
    assert not house.wecom.sandbox.calls
    chinese = await ask(entrance, email="zhangsan@example.com", language="zh-CN")
    assert chinese["preview"]["steps"][0]["message"] == "该成员尚未绑定账号。"


async def test_a_preview_and_the_login_that_follows_agree(house: House) -> None:
    """To the account, the code and the rule that the audit event carries."""
    one = await account(house, **MAIL)
    by_mail = await matching(house, "EMAIL")
    by_both = await matching(house, "EMAIL", "USERNAME")
    await account(house, username="zhangsan")
    profile: Json = {"email": "zhangsan@example.com", "phone": "13800000001"}

    conflict = told(await ask(by_both, **profile))
    await come(by_both)

    event = await last_event(action="login.failed")
    assert conflict == (
        "REFUSE",
        event.failure,
        None,
        ["identity.not_linked", event.rule],
    )
    matched = told(await ask(by_mail, **profile))
    login = await come(by_mail)
    assert matched[:3] == ("LINK_AND_LOG_IN", None, login["user"]["id"])
    assert matched[2] == one
    assert matched[3][-1] == (await last_event(action="login.succeeded")).rule
    assert told(await ask(by_mail, **profile)) == (
        "LOG_IN",
        None,
        one,
        ["identity.linked"],
    )


async def test_each_outcome(house: House) -> None:
    entrance = await house.entrance()
    assert told(await ask(entrance)) == (
        "CREATE_ACCOUNT",
        None,
        None,
        ["identity.not_linked", "creation.allowed"],
    )
    entrance = await asking(house, loginOnly=True)
    assert told(await ask(entrance)) == (
        "ASK_TO_BIND",
        None,
        None,
        ["identity.not_linked", "creation.login_only", "ask_to_bind.asked"],
    )
    entrance = await matching(house, "EMAIL", "PHONE")
    assert told(await ask(entrance, phone="138****0001")) == (
        "REFUSE",
        "PROFILE_INSUFFICIENT",
        None,
        ["identity.not_linked", "field_matching.nothing_told"],
    )
    user_id = await account(
        house, phone="13800000001", phoneVerified=True, role="ADMIN"
    )
    assert told(await ask(entrance, phone="138 0000 0001")) == (
        "REFUSE",
        "ACCOUNT_CONFLICT",
        user_id,
        ["identity.not_linked", "field_matching.privileged"],
    )
    await link(house, user_id, "LiSi")
    await change(house, user_id, status="DISABLED")
    assert told(await ask(entrance, wecomUserId="lisi")) == (
        "REFUSE",
        "ACCOUNT_DISABLED",
        user_id,
        ["identity.account_disabled"],
    )


async def test_rules_are_tried_before_they_are_switched_on(house: House) -> None:
    user_id = await account(house, username="zhangsan")
    await link(house, user_id, "maria", agent=examples.OTHER_CORP_AGENT)
    entrance = await house.entrance()
    before = await standing()
    by_userid = {"mode": "FIELD_MATCHING", "matchFields": ["USERNAME"]}

    assert told(await ask(entrance, accountAssociation=by_userid))[1:] == (
        "ACCOUNT_CONFLICT",
        user_id,
        ["identity.not_linked", "field_matching.other_corp"],
    )
    wide = {**by_userid, "matchAcrossCorps": True}
    assert told(await ask(entrance, accountAssociation=wide))[0] == "LINK_AND_LOG_IN"
    assert told(await ask(entrance, loginOnly=True))[1] == "ACCOUNT_NOT_FOUND"
    # The saved ones, where nothing else is said.
    saved = await ask(entrance, loginOnly=None, accountAssociation=None)
    assert told(saved)[0] == "CREATE_ACCOUNT"
    assert await standing() == before


async def test_an_entrance_that_is_shut_refuses(house: House) -> None:
    entrance = await house.entrance()
    other = await house.entrance()
    apart = Entrance(house, other.app_id, entrance.source_id, entrance.identifier)
    shut = await house.entrance(app={"enabled": False})
    disabled = await house.entrance(enabled=False)

    assert told(await ask(apart)) == (
        "REFUSE",
        "IDENTITY_SOURCE_UNAVAILABLE",
        None,
        ["source.not_associated"],
    )
    assert told(await ask(shut))[1:] == ("APP_UNAVAILABLE", None, ["app.disabled"])
    assert told(await ask(disabled))[1:] == (
        "IDENTITY_SOURCE_UNAVAILABLE",
        None,
        ["source.disabled"],
    )


async def test_everything_that_is_wrong_is_told_at_once(house: House) -> None:
    entrance = Entrance(house, "app_x", ids.show(ids.SOURCE, ids.new()), "")

    payload = await ask(
        entrance,
        wecomUserId="corp/zhangsan",
        accountAssociation={"mode": "FIELD_MATCHING", "matchFields": []},
    )

    assert payload["preview"] is None
    assert sorted(problems(payload)) == [
        ("input.accountAssociation.matchFields", "REQUIRED"),
        ("input.appId", "NOT_FOUND"),
        ("input.identitySourceId", "NOT_FOUND"),
        ("input.wecomUserId", "INVALID_FORMAT"),
    ]


async def test_previews_are_for_administrators(house: House) -> None:
    """Whom an address matches is nobody else's business."""
    entrance = await house.entrance()
    token = (await entrance.log_in("LiSi"))["tokens"]["accessToken"]
    query = (
        "query($input: PreviewBindingInput!)"
        " { previewBinding(input: $input) { preview { outcome } } }"
    )
    input = {
        "identitySourceId": entrance.source_id,
        "appId": entrance.app_id,
        "wecomUserId": "zhangsan",
    }

    for credential, code in ((token, "FORBIDDEN"), (None, "UNAUTHENTICATED")):
        answer = await house.answer(query, {"input": input}, token=credential)
        assert answer["errors"][0]["extensions"]["code"] == code
        assert answer["data"] == {"previewBinding": None}


@pytest.mark.parametrize("userid", ["ZHANGSAN", " zhangsan "])
async def test_a_userid_is_compared_in_any_case(house: House, userid: str) -> None:
    entrance = await house.entrance()
    mine = await entrance.log_in("zhangsan")

    assert told(await ask(entrance, wecomUserId=userid))[:3] == (
        "LOG_IN",
        None,
        mine["user"]["id"],
    )
    identity_id = ids.show(ids.IDENTITY, (await Identity.get()).id)
    await administer(house, "unlink_identity", {"id": identity_id})
    assert told(await ask(entrance, wecomUserId=userid))[0] == "CREATE_ACCOUNT"
