"""Single objects, and what anybody may ask."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from models import ApiKey, AuditEvent, Role, User, ids
from tests.house import House, Json

START = datetime(2026, 1, 1, tzinfo=UTC)


async def ask(house: House, query: str, role: Role = Role.VIEWER) -> Json:
    return await house.data(query, token=await house.key(role))


def codes(answer: Json) -> list[str]:
    return [error["extensions"]["code"] for error in answer.get("errors", [])]


# ------------------------------------------------------------------ accounts


async def test_an_account_by_each_of_its_names(house: House) -> None:
    payload = await house.mutate(
        "createUser",
        {
            "username": "Amy",
            "email": "Amy@example.com",
            "phone": "+8613800000000",
            "externalId": "EMP-1",
        },
        "user { id }",
        token=await house.key(),
    )
    amy = payload["user"]
    for name, expected in (
        (f'id: "{amy["id"]}"', amy),
        ('username: "aMY "', amy),
        ('email: "amy@EXAMPLE.com"', amy),
        ('phone: "+8613800000000"', amy),
        ('phone: "138 0000 0000"', amy),
        ('externalId: "emp-1"', amy),
        ('id: null, username: "amy"', amy),
        ('id: "usr_x"', None),
        (f'id: "{amy["id"].replace("usr", "app")}"', None),
        ('username: "bob"', None),
        ('username: "a\\u0000"', None),
        ('email: "a\\u0000"', None),
        ('phone: "no number"', None),
        ('externalId: ""', None),
    ):
        assert await ask(house, f"{{ user({name}) {{ id }} }}") == {"user": expected}


async def test_of_one_address_whoever_has_it_verified_is_found(house: House) -> None:
    def account(name: str, *, verified: bool) -> User:
        return User(
            id=ids.new(),
            display_name=name,
            email="a@x.com",
            email_key="a@x.com",
            verified_email="a@x.com" if verified else None,
            phone="+8613800000000",
            verified_phone="+8613800000000" if verified else None,
            created_at=START,
            updated_at=START,
            last_login_hour=START,
        )

    query = (
        '{ mail: user(email: "a@x.com") { displayName }'
        ' call: user(phone: "+8613800000000") { displayName } }'
    )
    for name, verified, expected in (
        ("first", False, "first"),
        ("second", False, "first"),
        ("third", True, "third"),
    ):
        await account(name, verified=verified).save(force_create=True)
        found = {"displayName": expected}
        assert await ask(house, query) == {"mail": found, "call": found}


async def test_exactly_one_argument(house: House) -> None:
    token = await house.key(Role.VIEWER)
    for field in (
        "user",
        "user(id: null)",
        'user(id: "x", username: "x")',
        'user(email: "x", phone: "x", externalId: "x")',
        "identitySource",
        'identitySource(id: "x", identifier: "x")',
        "identitySource(id: null, identifier: null)",
    ):
        answer = await house.answer(f"{{ {field} {{ id }} }}", token=token)
        assert codes(answer) == ["BAD_REQUEST"], field
        assert answer["data"] == {field.partition("(")[0]: None}


async def test_a_source_an_app_and_an_identity(house: House) -> None:
    entrance = await house.entrance(identifier="acme")
    await entrance.log_in("zhangsan")
    source, app = {"id": entrance.source_id}, {"id": entrance.app_id}
    data = await ask(house, "{ users { nodes { identities { id issuer subject } } } }")
    [identity] = data["users"]["nodes"][0]["identities"]
    member = f'issuer: "{identity["issuer"]}", subject: "ZhangSan"'
    for field, expected in (
        (f'identitySource(id: "{source["id"]}")', source),
        ('identitySource(identifier: "acme")', source),
        ('identitySource(identifier: "ACME")', None),
        ('identitySource(identifier: "\\u0000")', None),
        (f'identitySource(id: "{app["id"]}")', None),
        (f'app(id: "{app["id"]}")', app),
        ('app(id: "")', None),
        (f"identity({member})", {"id": identity["id"]}),
        ('identity(issuer: "ww9", subject: "zhangsan")', None),
        ('identity(issuer: "\\u0000", subject: "\\u0000")', None),
    ):
        name = field.partition("(")[0]
        assert await ask(house, f"{{ {field} {{ id }} }}") == {name: expected}


# ------------------------------------------------------------------ nodes


async def test_every_object_is_found_again_by_its_id(house: House) -> None:
    entrance = await house.entrance()
    session = (await entrance.log_in())["session"]["id"]
    owner = await house.key(Role.OWNER)
    data = await house.data(
        "{ users { nodes { id identities { id } } } apiKeys { id }"
        " auditEvents(first: 1) { nodes { id } } }",
        token=owner,
    )
    [person] = data["users"]["nodes"]
    expected = {
        entrance.source_id: "WecomMobileIdentitySource",
        entrance.app_id: "App",
        person["id"]: "User",
        person["identities"][0]["id"]: "Identity",
        session: "Session",
        data["apiKeys"][0]["id"]: "ApiKey",
        data["auditEvents"]["nodes"][0]["id"]: "AuditEvent",
    }
    nodes = "query($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }"
    found = await house.data(nodes, {"ids": [*expected]}, token=owner)
    assert found["nodes"] == [
        {"__typename": name, "id": id} for id, name in expected.items()
    ]
    node = "query($id: ID!) { node(id: $id) { __typename id } }"
    for id, name in expected.items():
        found = await house.data(node, {"id": id}, token=owner)
        assert found["node"] == {"__typename": name, "id": id}


async def test_ids_that_name_nothing_are_null_in_their_places(house: House) -> None:
    app = await house.app()
    wanted = ["", app, "app_x", ids.show(ids.USER, ids.new()), app, "é" * 30, "x" * 999]
    query = "query($ids: [ID!]!) { nodes(ids: $ids) { id } }"
    token = await house.key(Role.VIEWER)
    found = await house.data(query, {"ids": wanted}, token=token)
    assert found["nodes"] == [None, {"id": app}, None, None, {"id": app}, None, None]
    assert await house.data(query, {"ids": []}, token=token) == {"nodes": []}


async def test_api_keys_are_the_owners_by_their_ids_too(house: House) -> None:
    app, viewer = await house.app(), await house.key(Role.VIEWER)
    key = ids.show(ids.API_KEY, (await ApiKey.all())[0].id)
    query = "query($ids: [ID!]!) { nodes(ids: $ids) { id } }"
    unknown = ids.show(ids.API_KEY, ids.new())
    for role in (Role.VIEWER, Role.ADMIN):
        answer = await house.answer(
            query, {"ids": [key, app, unknown]}, token=await house.key(role)
        )
        assert answer["data"] == {"nodes": [None, {"id": app}, None]}
        assert codes(answer) == ["FORBIDDEN", "FORBIDDEN"]
        assert [error["path"] for error in answer["errors"]] == [
            ["nodes", 0],
            ["nodes", 2],
        ]
    alone = await house.answer(f'{{ node(id: "{key}") {{ id }} }}', token=viewer)
    assert (alone["data"], codes(alone)) == ({"node": None}, ["FORBIDDEN"])


# ------------------------------------------------------------------ anybody


OPTIONS = """
query($id: ID!) {
  loginOptions(appId: $id) {
    __typename identitySource displayName provider
    ... on WecomMobileLoginOption { schema corpId agentId }
  }
}
"""


async def test_anybody_is_told_an_apps_login_buttons(house: House) -> None:
    app = await house.app()
    await house.source(app, identifier="one", displayName="WeCom 1", corpId="ww1")
    await house.source(app, identifier="off", enabled=False)
    await house.source(identifier="elsewhere")
    await house.source(app, identifier="two", displayName="WeCom 2", agentId="7")
    data = await house.data(OPTIONS, {"id": app})
    buttons = data["loginOptions"]
    assert [button["identitySource"] for button in buttons] == ["one", "two"]
    assert buttons[0] == {
        "__typename": "WecomMobileLoginOption",
        "identitySource": "one",
        "displayName": "WeCom 1",
        "provider": "WECOM",
        "schema": "wwauth1e933be11645237c000012",
        "corpId": "ww1",
        "agentId": buttons[0]["agentId"],
    }
    assert buttons[1]["agentId"] == "7"


async def test_an_app_that_is_none_has_no_login_buttons(house: House) -> None:
    off = await house.app(enabled=False)
    source = await house.source(off)
    for id in (off, source, "app_x", "", ids.show(ids.APP, ids.new())):
        assert await house.data(OPTIONS, {"id": id}) == {"loginOptions": []}


async def test_me_is_whoever_holds_the_access_token(house: House) -> None:
    entrance = await house.entrance()
    login = await entrance.log_in()
    token = login["tokens"]["accessToken"]
    query = "{ me { id sessions { nodes { id current } } } }"
    session = {"id": login["session"]["id"], "current": True}
    me = {"id": login["user"]["id"], "sessions": {"nodes": [session]}}
    assert await house.data(query, token=token) == {"me": me}
    assert await house.data(query) == {"me": None}
    assert await ask(house, query, Role.OWNER) == {"me": None}
    house.clock.advance(seconds=901)
    late = await house.answer(query, token=token)
    assert (late["data"], codes(late)) == ({"me": None}, ["UNAUTHENTICATED"])
    assert late["errors"][0]["extensions"]["reason"] == "EXPIRED"


async def test_the_kinds_of_source_are_told_in_both_languages(house: House) -> None:
    query = "{ identitySourceKinds { typeName provider displayName description } }"
    token = await house.key(Role.VIEWER)
    english = await house.data(query, token=token)
    chinese = await house.data(query, token=token, accept_language="zh-CN")
    [kind] = english["identitySourceKinds"]
    assert kind == {
        "typeName": "WecomMobileIdentitySource",
        "provider": "WECOM",
        "displayName": "WeCom Mobile",
        "description": "People log in to a mobile app with the WeCom app on the same"
        " phone.",
    }
    assert chinese["identitySourceKinds"][0]["displayName"] == "企业微信移动端"


async def test_an_event_says_what_happened_in_both_languages(house: House) -> None:
    told: list[tuple[str, Json]] = [
        ("login.failed", {"failure": "INVALID_CODE", "count": 3}),
        ("identity_source.updated", {"changed_fields": "displayName,secret"}),
        ("of.a_newer_version", {}),
    ]
    for action, fields in told:
        await AuditEvent.create(
            occurred_at=START + timedelta(minutes=1),
            action=action,
            actor_type="ANONYMOUS",
            request_id=action,
            **fields,
        )
    query = """{ auditEvents(filter: { until: "2026-01-02T00:00:00Z" }) {
      nodes { message changedFields occurredAt count failure } } }"""
    token = await house.key(Role.VIEWER)
    english = await house.data(query, token=token)
    chinese = await house.data(query, token=token, accept_language="zh")
    messages = [
        [node["message"] for node in data["auditEvents"]["nodes"]]
        for data in (english, chinese)
    ]
    assert messages == [
        [
            "of.a_newer_version",
            "Identity source updated (displayName, secret)",
            "Login refused: The login has expired. Please start again. (3 times)",
        ],
        [
            "of.a_newer_version",
            "身份源已更新（displayName, secret）",
            "登录被拒绝：登录已失效，请重新登录。（3 次）",
        ],
    ]
    assert english["auditEvents"]["nodes"][1] == {
        "message": messages[0][1],
        "changedFields": ["displayName", "secret"],
        "occurredAt": "2026-01-01T00:01:00.000Z",
        "count": 1,
        "failure": None,
    }
