from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from models import ApiKey, AuditEvent, Identity, Role, Session, User, ids
from tests.house import Entrance, House, Json
from wecom.sandbox import examples

OPERATIONS = Path(__file__).parents[2] / "graphql" / "operations" / "admin"

SIGN_IN = """
mutation($input: SignInWithPasswordInput!) {
  signInWithPassword(input: $input) {
    __typename
    ... on LoginSuccess { tokens { accessToken } user { id } }
    ... on LoginFailure { code }
  }
}
"""

PASSWORD = "correct horse battery staple"

EMPTY: Json = {
    "username": None,
    "displayName": None,
    "email": None,
    "emailVerified": False,
    "phone": None,
    "phoneVerified": False,
    "externalId": None,
    "role": "MEMBER",
    "status": "ACTIVE",
    "hasPassword": False,
}

WHOLE: Json = {
    "username": "Zhang.San-1",
    "displayName": "张三",
    "email": "Zhang.San@Example.com",
    "emailVerified": True,
    "phone": "+8613800000000",
    "phoneVerified": True,
    "externalId": "E-1001",
    "role": "VIEWER",
}


WHOLE_BUT_ROLE = [name for name in WHOLE if name != "role"]


async def call(house: House, operation: str, input: Json, **how: Any) -> Json:
    query = (OPERATIONS / f"{operation}.graphql").read_text(encoding="utf-8")
    token = how.pop("token", None) or await house.key(how.pop("role", Role.OWNER))
    data = await house.data(query, {"input": input}, token=token)
    [payload] = data.values()
    return dict(payload)


async def create(house: House, **input: Any) -> Json:
    payload = await call(house, "create_user", input)
    assert payload["errors"] == [], payload
    return dict(payload["user"])


async def update(house: House, user: Json, **input: Any) -> Json:
    return await call(house, "update_user", {"id": user["id"], **input})


def problems(payload: Json) -> list[tuple[str, str]]:
    assert payload.get("user") is None
    assert payload.get("deletedId") is None
    return [(".".join(each["path"]), each["code"]) for each in payload["errors"]]


async def stored(user: Json) -> Json:
    found = await User.get(id=ids.read(ids.USER, user["id"]))
    return {name: getattr(found, name) for name in User._meta.fields_map}


async def events(user: Json) -> list[tuple[str, str]]:
    found = AuditEvent.filter(subject_id=user["id"]).order_by("id")
    return [(event.action, event.changed_fields) for event in await found]


async def sign_in(house: House, app_id: str, account: str, password: str) -> Json:
    input = {"appId": app_id, "account": account, "password": password}
    data = await house.data(SIGN_IN, {"input": input})
    return dict(data["signInWithPassword"])


PICTURE = "query($id: ID!) { user(id: $id) { avatarUrl identities { id issuer } } }"


async def picture(house: House, user_id: str) -> str | None:
    data = await house.data(PICTURE, {"id": user_id}, token=await house.key())
    url: str | None = data["user"]["avatarUrl"]
    return url


# ------------------------------------------------------------------------- creating


async def test_an_account_needs_none_of_its_fields(house: House) -> None:
    user = await create(house)

    assert user == {"id": user["id"], **EMPTY}


async def test_an_account_with_all_of_its_fields(house: House) -> None:
    user = await create(house, **{**WHOLE, "phone": "138 0000 0000"}, password=PASSWORD)

    expected = {"id": user["id"], **EMPTY, **WHOLE, "hasPassword": True}
    assert user == expected
    [(action, fields)] = await events(user)
    assert (action, fields.split(",")) == (
        "user.created",
        [*WHOLE_BUT_ROLE, "password", "role"],
    )
    row = await stored(user)
    assert row["password_hash"].startswith("$argon2id$")
    assert row["verified_email"] == "zhang.san@example.com"
    assert row["verified_phone"] == "+8613800000000"


async def test_a_null_for_a_field_with_a_default_is_the_default(house: House) -> None:
    user = await create(house, emailVerified=None, phoneVerified=None, role=None)

    assert user == {"id": user["id"], **EMPTY}


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("username", "", "REQUIRED"),
        ("username", "a", "TOO_SHORT"),
        ("username", "a" * 65, "TOO_LONG"),
        ("username", "amy@example", "INVALID_FORMAT"),
        ("username", "+8613800000000", "INVALID_FORMAT"),
        ("username", "amy pond", "INVALID_FORMAT"),
        ("username", "Ａｍｙ", "INVALID_FORMAT"),
        ("username", "amy\u200bpond", "INVALID_FORMAT"),
        ("username", "amy\n", None),
        ("username", "张三", None),
        ("username", "_-.", None),
        ("username", "ß" * 64, None),
        ("username", "13800000000", None),
        ("displayName", " \t", "REQUIRED"),
        ("displayName", "x" * 65, "TOO_LONG"),
        ("displayName", "two\nlines", "INVALID_FORMAT"),
        ("displayName", "nul\0", "INVALID_FORMAT"),
        ("displayName", " أحمد 👩‍👩‍👧 ", None),
        ("email", "", "REQUIRED"),
        ("email", "amy", "INVALID_FORMAT"),
        ("email", "amy@", "INVALID_FORMAT"),
        ("email", "@example.com", "INVALID_FORMAT"),
        ("email", "amy@@example.com", "INVALID_FORMAT"),
        ("email", "amy @example.com", "INVALID_FORMAT"),
        ("email", "amy..pond@example.com", "INVALID_FORMAT"),
        ("email", "amy@-example.com", "INVALID_FORMAT"),
        ("email", "amy\u200b@example.com", "INVALID_FORMAT"),
        ("email", "a" * 243 + "@example.com", "TOO_LONG"),
        ("email", "a" * 242 + "@example.com", None),
        ("email", "amy+tag@mail.例子.中国", None),
        ("phone", "", "REQUIRED"),
        ("phone", "12345", "INVALID_FORMAT"),
        ("phone", "no number", "INVALID_FORMAT"),
        ("phone", "+1 415 555 2671", None),
        ("externalId", " ", "REQUIRED"),
        ("externalId", "x" * 129, "TOO_LONG"),
        ("externalId", "工号/1001", None),
        ("password", "short", "TOO_SHORT"),
        ("password", "x" * 129, "TOO_LONG"),
        ("password", "password", "TOO_WEAK"),
    ],
)
async def test_each_field_has_its_bounds(
    house: House, field: str, value: str, code: str | None
) -> None:
    payload = await call(house, "create_user", {field: value})

    if code is None:
        assert payload["errors"] == []
        return
    assert problems(payload) == [(f"input.{field}", code)]
    assert await User.all().count() == 0


async def test_everything_wrong_is_told_at_once(house: House) -> None:
    await create(house, externalId="E-1")

    payload = await call(
        house,
        "create_user",
        {
            "username": "a",
            "displayName": "",
            "email": "amy",
            "emailVerified": True,
            "phoneVerified": True,
            "externalId": "e-1",
            "password": "short",
            "role": "OWNER",
        },
        role=Role.ADMIN,
    )

    assert sorted(problems(payload)) == [
        ("input.displayName", "REQUIRED"),
        ("input.email", "INVALID_FORMAT"),
        ("input.externalId", "TAKEN"),
        ("input.password", "TOO_SHORT"),
        ("input.phoneVerified", "CONFLICT"),
        ("input.role", "FORBIDDEN"),
        ("input.username", "TOO_SHORT"),
    ]
    assert await User.all().count() == 1


async def test_a_password_is_none_of_the_accounts_names(house: House) -> None:
    payload = await call(
        house, "create_user", {"username": "Zhang.San-1", "password": "zhang.san-1"}
    )

    assert problems(payload) == [("input.password", "TOO_WEAK")]


@pytest.mark.parametrize("field", ["emailVerified", "phoneVerified"])
async def test_nothing_can_be_verified_where_nothing_is(
    house: House, field: str
) -> None:
    assert problems(await call(house, "create_user", {field: True})) == [
        (f"input.{field}", "CONFLICT")
    ]


async def test_names_and_verified_addresses_are_unique_in_any_case(
    house: House,
) -> None:
    await create(house, **WHOLE)

    payload = await call(
        house,
        "create_user",
        {
            **WHOLE,
            "username": "zhang.SAN-1",
            "email": "zhang.san@EXAMPLE.com",
            "phone": "+86 138 0000 0000",
            "externalId": "e-1001",
        },
    )

    assert problems(payload) == [
        ("input.username", "TAKEN"),
        ("input.externalId", "TAKEN"),
        ("input.email", "TAKEN"),
        ("input.phone", "TAKEN"),
    ]


async def test_unverified_addresses_may_be_anybodys(house: House) -> None:
    addresses = {"email": WHOLE["email"], "phone": WHOLE["phone"]}
    await create(house, **WHOLE)

    first = await create(house, **addresses)
    await create(house, **addresses)

    payload = await update(house, first, emailVerified=True, phoneVerified=True)
    assert problems(payload) == [
        ("input.emailVerified", "TAKEN"),
        ("input.phoneVerified", "TAKEN"),
    ]


@pytest.mark.parametrize(
    ("input", "path"),
    [
        ({"username": "amy"}, "input.username"),
        ({"externalId": "E-1"}, "input.externalId"),
        ({"email": "amy@example.com", "emailVerified": True}, "input.email"),
        ({"phone": "13800000000", "phoneVerified": True}, "input.phone"),
    ],
)
async def test_of_many_that_want_one_name_at_once_one_gets_it(
    house: House, input: Json, path: str
) -> None:
    others = [await create(house) for _ in range(4)]

    payloads = await asyncio.gather(
        *(call(house, "create_user", input) for _ in range(4)),
        *(update(house, other, **input) for other in others),
    )

    refused = [payload for payload in payloads if payload["errors"]]
    assert len(refused) == 7
    for payload in refused:
        assert problems(payload) == [(path, "TAKEN")]


# ------------------------------------------------------------------------- changing


async def test_an_update_writes_only_what_was_sent(house: House) -> None:
    user = await create(house, **WHOLE, password=PASSWORD)

    payload = await update(house, user, displayName=" 李四 ")

    assert payload == {"user": {**user, "displayName": "李四"}, "errors": []}
    assert (await events(user))[1:] == [("user.updated", "displayName")]


async def test_only_the_case_of_ones_own_names_may_change(house: House) -> None:
    user = await create(house, **WHOLE)
    other = {"username": "zhang.san-1", "externalId": "e-1001"}

    payload = await update(house, user, **other)

    assert payload == {"user": {**user, **other}, "errors": []}


async def test_a_null_clears(house: House) -> None:
    user = await create(house, **WHOLE)
    nulls = dict.fromkeys(["username", "displayName", "email", "phone", "externalId"])

    payload = await update(house, user, **nulls)

    assert payload == {
        "user": {"id": user["id"], **EMPTY, "role": "VIEWER"},
        "errors": [],
    }


@pytest.mark.parametrize("field", ["emailVerified", "phoneVerified", "status", "role"])
async def test_what_may_not_be_empty_cannot_be_cleared(
    house: House, field: str
) -> None:
    user = await create(house, **WHOLE)
    before = await stored(user)

    assert problems(await update(house, user, **{field: None})) == [
        (f"input.{field}", "REQUIRED")
    ]
    assert await stored(user) == before


async def test_nothing_new_changes_nothing_and_succeeds(house: House) -> None:
    user = await create(house, **WHOLE)
    before = await stored(user)
    house.clock.advance(minutes=1)

    assert await update(house, user, **WHOLE) == {"user": user, "errors": []}
    assert await update(house, user) == {"user": user, "errors": []}

    assert await stored(user) == before
    assert len(await events(user)) == 1


@pytest.mark.parametrize(
    ("input", "verified"),
    [
        ({"email": "zhang.SAN@example.com"}, True),
        ({"email": "other@example.com"}, False),
        ({"email": "other@example.com", "emailVerified": True}, True),
        ({"email": None}, False),
        ({"emailVerified": False}, False),
        ({"username": "other"}, True),
    ],
)
async def test_a_new_address_is_not_verified_unless_it_is_said_to_be(
    house: House, input: Json, verified: bool
) -> None:
    user = await create(house, **WHOLE)

    payload = await update(house, user, **input)

    expected = {**user, **input, "emailVerified": verified}
    assert payload == {"user": expected, "errors": []}


async def test_a_new_phone_is_not_verified(house: House) -> None:
    user = await create(house, **WHOLE)

    assert (await update(house, user, phone="138-0000-0000"))["user"] == user
    payload = await update(house, user, phone="13800000001")

    expected = {**user, "phone": "+8613800000001", "phoneVerified": False}
    assert payload == {"user": expected, "errors": []}
    assert (await events(user))[1:] == [("user.updated", "phone,phoneVerified")]


async def test_a_cleared_address_cannot_be_verified(house: House) -> None:
    user = await create(house, **WHOLE)
    before = await stored(user)

    payload = await update(house, user, email=None, emailVerified=True)

    assert problems(payload) == [("input.emailVerified", "CONFLICT")]
    assert await stored(user) == before


# ------------------------------------------------------- sessions, and what ends them


async def test_a_disabled_account_has_no_sessions(house: House) -> None:
    app = await house.app(allowPasswordSignIn=True)
    user = await create(house, username="amy", password=PASSWORD)
    other = await create(house, username="bob", password=PASSWORD)
    tokens = [await sign_in(house, app, "amy", PASSWORD) for _ in range(2)]
    await sign_in(house, app, "bob", PASSWORD)

    payload = await update(house, user, status="DISABLED")

    assert payload == {"user": {**user, "status": "DISABLED"}, "errors": []}
    assert await live(user) == 0
    assert await live(other) == 1
    me = await house.answer("{ me { id } }", token=tokens[0]["tokens"]["accessToken"])
    assert me["errors"][0]["extensions"]["reason"] == "REVOKED"
    assert await AuditEvent.filter(action="session.revoked").count() == 2
    assert await sign_in(house, app, "amy", PASSWORD) == {
        "__typename": "LoginFailure",
        "code": "ACCOUNT_DISABLED",
    }


@pytest.mark.parametrize("password", ["a new one, just as good", None])
async def test_a_password_set_by_an_administrator_ends_all_sessions(
    house: House, password: str | None
) -> None:
    app = await house.app(allowPasswordSignIn=True)
    user = await create(house, username="amy", password=PASSWORD)
    await sign_in(house, app, "amy", PASSWORD)

    payload = await call(
        house,
        "set_user_password",
        {"id": user["id"], "password": password},
        role=Role.ADMIN,
    )

    expected = {**user, "hasPassword": password is not None}
    assert payload == {"user": expected, "errors": []}
    assert await live(user) == 0
    assert (await events(user))[-1] == ("user.password_set", "password")
    assert (await sign_in(house, app, "amy", PASSWORD))["code"] == "INVALID_CREDENTIALS"
    if password:
        signed_in = await sign_in(house, app, "amy", password)
        assert signed_in["user"] == {"id": user["id"]}


async def test_a_password_that_will_not_do_changes_nothing(house: House) -> None:
    app = await house.app(allowPasswordSignIn=True)
    user = await create(house, username="amy", password=PASSWORD)
    await sign_in(house, app, "amy", PASSWORD)
    before = await stored(user)

    payload = await call(
        house, "set_user_password", {"id": user["id"], "password": "12345678"}
    )

    assert problems(payload) == [("input.password", "TOO_WEAK")]
    assert await stored(user) == before
    assert await live(user) == 1


async def test_to_take_a_password_away_has_to_be_said(house: House) -> None:
    app = await house.app(allowPasswordSignIn=True)
    user = await create(house, username="amy", password=PASSWORD)
    await sign_in(house, app, "amy", PASSWORD)
    before = await stored(user)

    payload = await call(house, "set_user_password", {"id": user["id"]})

    assert problems(payload) == [("input.password", "REQUIRED")]
    assert await stored(user) == before
    assert await live(user) == 1


async def test_the_event_of_a_session_that_ends_names_its_app(house: House) -> None:
    entrance = await house.entrance()
    user = (await entrance.log_in())["user"]
    session = await Session.get()

    await call(house, "update_user", {"id": user["id"], "status": "DISABLED"})

    event = await AuditEvent.get(action="session.revoked")
    assert event.subject_id == ids.show(ids.SESSION, session.id)
    assert (event.app_id, event.identity_source_id) == (
        session.app_id,
        session.identity_source_id,
    )
    assert (event.rule, event.changed_fields) == ("account.disabled", "revokedAt")


async def test_identities_and_sessions_go_with_the_account(house: House) -> None:
    entrance = await house.entrance()
    user = (await entrance.log_in())["user"]
    assert (await Identity.all().count(), await Session.all().count()) == (1, 1)

    payload = await call(house, "delete_user", {"id": user["id"]}, role=Role.ADMIN)

    assert payload == {"deletedId": user["id"], "errors": []}
    assert await User.all().count() == 0
    assert (await Identity.all().count(), await Session.all().count()) == (0, 0)
    assert (await events(user))[-1] == ("user.deleted", "")
    assert (await entrance.log_in())["resolution"] == "CREATED"


# ------------------------------------------------------------------------ who may what


@pytest.mark.parametrize(
    "operation", ["create_user", "update_user", "set_user_password", "delete_user"]
)
async def test_a_viewer_and_nobody_change_nothing(house: House, operation: str) -> None:
    user = await create(house, username="amy")
    query = (OPERATIONS / f"{operation}.graphql").read_text(encoding="utf-8")
    input = {} if operation == "create_user" else {"id": user["id"]}
    viewer = await house.key(Role.VIEWER)

    codes = [
        (await house.answer(query, {"input": input}, token=token))["errors"][0][
            "extensions"
        ]["code"]
        for token in (viewer, None)
    ]

    assert codes == ["FORBIDDEN", "UNAUTHENTICATED"]
    assert await User.all().count() == 1


@pytest.mark.parametrize(
    "id",
    ["", "usr_", "usr_01kb3v5x9gf2tvrzc1q0k7m4dh", "app_01kb3v5x9gf2tvrzc1q0k7m4dh"],
)
@pytest.mark.parametrize(
    "operation", ["update_user", "set_user_password", "delete_user"]
)
async def test_an_unknown_account_is_not_found(
    house: House, operation: str, id: str
) -> None:
    payload = await call(house, operation, {"id": id})

    assert problems(payload) == [("input.id", "NOT_FOUND")]


@pytest.mark.parametrize("role", ["VIEWER", "ADMIN", "OWNER"])
async def test_an_admin_touches_no_account_above_member(
    house: House, role: str
) -> None:
    user = await create(house, username="amy", role=role, password=PASSWORD)
    before = await stored(user)
    forbidden = [("input.id", "FORBIDDEN")]

    for operation, input in [
        ("update_user", {"displayName": "Amy"}),
        ("update_user", {"status": "DISABLED"}),
        ("update_user", {"role": "MEMBER"}),
        ("update_user", {}),
        ("set_user_password", {"password": "a new one, just as good"}),
        ("set_user_password", {}),
        ("delete_user", {}),
    ]:
        payload = await call(
            house, operation, {"id": user["id"], **input}, role=Role.ADMIN
        )
        assert problems(payload) == forbidden, operation

    assert await stored(user) == before


@pytest.mark.parametrize("role", ["VIEWER", "ADMIN", "OWNER"])
async def test_an_admin_gives_no_role(house: House, role: str) -> None:
    user = await create(house)
    admin = {"role": Role.ADMIN}

    created = await call(house, "create_user", {"role": role}, **admin)
    updated = await call(
        house, "update_user", {"id": user["id"], "role": role}, **admin
    )

    assert problems(created) == problems(updated) == [("input.role", "FORBIDDEN")]
    assert await User.filter(role=Role.MEMBER).count() == await User.all().count() == 1


async def test_an_admin_may_do_everything_to_members(house: House) -> None:
    admin = {"role": Role.ADMIN}
    user = (await call(house, "create_user", {"role": "MEMBER"}, **admin))["user"]

    for operation, input in [
        ("update_user", {"role": "MEMBER", "status": "DISABLED"}),
        ("set_user_password", {"password": PASSWORD}),
        ("delete_user", {}),
    ]:
        payload = await call(house, operation, {"id": user["id"], **input}, **admin)
        assert payload["errors"] == []


# ---------------------------------------------------------------------- the last owner


async def owners_token(house: House, username: str) -> tuple[Json, str]:
    """An account that is OWNER, and its access token for an app with adminAccess."""
    app = await house.app(allowPasswordSignIn=True, adminAccess=True)
    user = await house.services.accounts.create_owner(username, PASSWORD)
    signed_in = await sign_in(house, app, username, PASSWORD)
    found = {"id": ids.show(ids.USER, user.id)}
    return found, signed_in["tokens"]["accessToken"]


TAKING_AWAY = [
    ("update_user", {"role": "ADMIN"}, "input.role"),
    ("update_user", {"status": "DISABLED"}, "input.status"),
    ("update_user", {"status": "DISABLED", "role": "MEMBER"}, "input.role"),
    ("delete_user", {}, "input.id"),
]


@pytest.mark.parametrize(("operation", "input", "path"), TAKING_AWAY)
async def test_the_last_owner_cannot_be_taken_away(
    house: House, operation: str, input: Json, path: str
) -> None:
    user, token = await owners_token(house, "amy")
    disabled = await create(house, role="OWNER")
    await update(house, disabled, status="DISABLED")
    await ApiKey.all().update(revoked_at=house.clock())
    before = await stored(user)

    payload = await call(house, operation, {"id": user["id"], **input}, token=token)

    assert problems(payload) == [(path, "LAST_OWNER")]
    assert await stored(user) == before
    assert await live(user) == 1


@pytest.mark.parametrize(("operation", "input", "path"), TAKING_AWAY)
async def test_an_api_key_that_is_owner_is_owner_enough(
    house: House, operation: str, input: Json, path: str
) -> None:
    user, token = await owners_token(house, "amy")

    payload = await call(house, operation, {"id": user["id"], **input}, token=token)

    assert payload["errors"] == []


async def test_two_last_owners_cannot_take_each_other_away(house: House) -> None:
    amy, amys = await owners_token(house, "amy")
    bob, bobs = await owners_token(house, "bob")
    await ApiKey.all().update(revoked_at=house.clock())

    payloads = await asyncio.gather(
        call(house, "update_user", {"id": amy["id"], "role": "MEMBER"}, token=bobs),
        call(house, "delete_user", {"id": bob["id"]}, token=amys),
        return_exceptions=True,
    )

    assert await User.filter(role=Role.OWNER).count() == 1, payloads


async def test_an_owner_from_the_console_is_the_systems_doing(house: House) -> None:
    user = await house.services.accounts.create_owner("amy", PASSWORD)

    assert (user.username, user.role, user.status) == ("amy", Role.OWNER, "ACTIVE")
    event = await AuditEvent.get(action="user.created")
    assert (event.actor_type, event.actor_id) == ("SYSTEM", None)


async def live(user: Json) -> int:
    id = ids.read(ids.USER, user["id"])
    return await Session.filter(user_id=id, revoked_at=None).count()


# ------------------------------------------------------------------------- pictures


async def test_an_account_shows_the_picture_of_the_member_who_logged_in_last(
    house: House,
) -> None:
    here = await house.entrance(agent=examples.OLD_AGENT, app={"requireState": False})
    mine, others = "https://wework.example/1.png", "https://wework.example/2.png"
    house.wecom.person("zhangsan").avatar = mine
    login = await here.log_in(agent=examples.OLD_AGENT)
    user_id = login["user"]["id"]
    assert await picture(house, user_id) == mine
    agent = examples.OTHER_CORP_AGENT
    source_id = await house.source(here.app_id, agent=agent, identifier="there")
    link = {"userId": user_id, "identitySourceId": source_id, "subject": "zhangsan"}
    identity = (await call(house, "link_identity", link))["identity"]
    assert await picture(house, user_id) == mine

    house.clock.advance(minutes=1)
    house.wecom.person("zhangsan", agent.corp_id).avatar = others
    code = house.wecom.approve("zhangsan", agent, consented=True)
    there = Entrance(house, here.app_id, source_id, "there")
    assert (await there.present(code))["user"]["id"] == user_id
    assert await picture(house, user_id) == others

    await call(house, "unlink_identity", {"id": identity["id"]})
    assert await picture(house, user_id) == mine


async def test_an_account_of_which_wecom_tells_no_picture_has_none(
    house: House,
) -> None:
    entrance = await house.entrance()
    login = await entrance.log_in()

    assert await picture(house, login["user"]["id"]) is None
