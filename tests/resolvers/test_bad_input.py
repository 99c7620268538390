"""Bad input: told what is wrong, and nothing written."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from models import database
from tests.house import House, Json

# Every id of the admin API's inputs, and what else the input needs.
IDS: list[tuple[str, str, Json]] = [
    ("updateWecomMobileIdentitySource", "id", {"displayName": "x"}),
    ("updateWecomMobileIdentitySource", "id", {}),
    ("deleteIdentitySource", "id", {}),
    ("testIdentitySource", "id", {}),
    ("updateApp", "id", {"name": "x"}),
    ("deleteApp", "id", {}),
    ("updateUser", "id", {"displayName": "x"}),
    ("setUserPassword", "id", {"password": "correct horse battery"}),
    ("setUserPassword", "id", {"password": None}),
    ("deleteUser", "id", {}),
    ("unlinkIdentity", "id", {}),
    ("revokeSession", "id", {}),
    ("revokeApiKey", "id", {}),
    ("revokeSessions", "userId", {}),
    ("revokeSessions", "identityId", {}),
    ("revokeSessions", "identitySourceId", {}),
    ("revokeSessions", "appId", {}),
    ("associateApp", "appId", {"identitySourceId": "{source}"}),
    ("associateApp", "identitySourceId", {"appId": "{app}"}),
    ("dissociateApp", "appId", {"identitySourceId": "{source}"}),
    ("dissociateApp", "identitySourceId", {"appId": "{app}"}),
    ("linkIdentity", "userId", {"identitySourceId": "{source}", "subject": "x"}),
    ("linkIdentity", "identitySourceId", {"userId": "{user}", "subject": "x"}),
]
# Those whose input is not called after them.
INPUTS = {"associateApp": "AppAssociation", "dissociateApp": "AppAssociation"}
UNKNOWN = "01kb3v5x9gf2tvrzc1q0k7m4dh"
NO_IDS = [
    "",
    "src",
    "src_",
    "src_x",
    UNKNOWN,
    "usr_" + "z" * 26,
    "app_" + UNKNOWN.upper(),
    "nothing_" + UNKNOWN,
    "0193b3f1-1c44-7000-8000-000000000000",
    "\0",
    "usr_\0",
    "x" * 10_000,
    "用户_" + UNKNOWN,
    "' OR 1=1 --",
]
PREFIXES = ["src", "app", "usr", "idn", "ses", "key", "evt"]

# Each is a name that cannot be shown as one line, and what is wrong with it.
NAMES = [
    ("", "REQUIRED"),
    (" \t\u3000\n ", "REQUIRED"),
    ("x" * 65, "TOO_LONG"),
    ("x" * 10_000, "TOO_LONG"),
    ("合" * 10_000, "TOO_LONG"),
    ("a\0b", "INVALID_FORMAT"),
    ("a\x1b[31mb", "INVALID_FORMAT"),
    ("a\x7fb", "INVALID_FORMAT"),
    ("a\u2028b", "INVALID_FORMAT"),
    ("a\nb", "INVALID_FORMAT"),
    ("\u202egpj.exe", "INVALID_FORMAT"),
    ("\u2066a\u2069", "INVALID_FORMAT"),
    ("\u200b\u200d", "INVALID_FORMAT"),
]
GOOD_NAMES = [
    "👩‍👩‍👧‍👦 家族 🏳️‍🌈",
    "مرحبا بالعالم",
    "שלום עולם",
    "Zoë Ångström-Łukasz",
    "กรุงเทพ",
    "x" * 64,
    "合" * 64,
    "e\u0301",
    "<script>alert(1)</script>",
    "Robert'); DROP TABLE users;--",
    "%s {0} ${jndi:ldap://x}",
]
SOURCE = {
    "identifier": "other",
    "displayName": "Other",
    "corpId": "ww1",
    "agentId": "1",
    "secret": "a-secret-of-an-app",
    "schema": "wwauth1",
}


@pytest.fixture
async def things(house: House) -> AsyncGenerator[dict[str, str]]:
    """One of each, by the word that stands for its id; a test must change nothing."""
    app_id = await house.app()
    source_id = await house.source(app_id)
    made = await house.mutate(
        "createUser", {"username": "alice"}, "user { id }", token=await house.key()
    )
    user_id = made["user"]["id"]
    before = await stored()
    yield {"{app}": app_id, "{source}": source_id, "{user}": user_id}
    assert await stored() == before


async def stored() -> dict[str, list[str]]:
    """Every row of every table, but for when a key was used."""
    client = database.dialect()
    tables = (
        "SELECT name FROM sqlite_master WHERE type = 'table'"
        if client == "sqlite"
        else "SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'"
    )
    found: dict[str, list[str]] = {}
    for table in await database.fetch(tables):
        rows = await database.fetch(f"SELECT * FROM {table['name']}")  # noqa: S608
        for row in rows:
            row.pop("last_used_at", None)
        found[table["name"]] = sorted(map(str, rows))
    return found


async def refused(house: House, name: str, input: Json) -> list[tuple[str, str]]:
    """What is wrong, by path and code."""
    token = await house.key()
    type_ = INPUTS.get(name, name[0].upper() + name[1:])
    query = (
        f"mutation($input: {type_}Input!) {{ {name}(input: $input)"
        " { errors { path code message } } }"
    )
    payload = (await house.data(query, {"input": input}, token=token))[name]
    for error in payload["errors"]:
        assert error["message"].strip()
        assert error["path"][0] == "input"
    return [(".".join(each["path"][1:]), each["code"]) for each in payload["errors"]]


@pytest.mark.parametrize(("name", "path", "rest"), IDS)
async def test_an_id_that_names_nothing_is_not_found(
    house: House, things: dict[str, str], name: str, path: str, rest: Json
) -> None:
    given = {key: things.get(str(value), value) for key, value in rest.items()}
    others = [f"{prefix}_{UNKNOWN}" for prefix in PREFIXES]
    for id in [*others, *NO_IDS]:
        found = await refused(house, name, {**given, path: id})
        assert found == [(path, "NOT_FOUND")], id


@pytest.mark.parametrize("wanted", ["{app}", "{source}", "{user}"])
async def test_an_id_of_another_type_is_not_found(
    house: House, things: dict[str, str], wanted: str
) -> None:
    """It names something, but nothing that this is about."""
    own = {"{app}": "App", "{source}": "IdentitySource", "{user}": "User"}[wanted]
    for name, path, rest in IDS:
        given = {key: things.get(str(value), value) for key, value in rest.items()}
        about = f"{name} {path}".lower()
        if own.lower() in about.replace("identitysourceid", "identitysource"):
            continue
        if path == "identitySourceId" and own == "IdentitySource":
            continue
        found = await refused(house, name, {**given, path: things[wanted]})
        assert found == [(path, "NOT_FOUND")], (name, path)


@pytest.mark.parametrize(("text", "code"), NAMES)
async def test_a_name_that_cannot_be_shown_is_refused(
    house: House, things: dict[str, str], text: str, code: str
) -> None:
    for name, path, rest in (
        ("createWecomMobileIdentitySource", "displayName", SOURCE),
        ("updateWecomMobileIdentitySource", "displayName", {"id": things["{source}"]}),
        ("createApp", "name", {}),
        ("updateApp", "name", {"id": things["{app}"]}),
        ("createApiKey", "name", {"role": "VIEWER"}),
    ):
        found = await refused(house, name, {**rest, path: text})
        assert found == [(path, code)], name
    if code == "REQUIRED":
        return
    for name, rest in (("createUser", {}), ("updateUser", {"id": things["{user}"]})):
        found = await refused(house, name, {**rest, "displayName": text})
        assert found == [("displayName", code)], name


async def test_a_name_of_any_script_is_kept_as_it_is(house: House) -> None:
    for text in GOOD_NAMES:
        await _kept(house, text)


async def _kept(house: House, text: str) -> None:
    token = await house.key()
    made = await house.mutate(
        "createApp", {"name": text}, "app { id name } errors { code }", token=token
    )
    assert made["errors"] == []
    assert made["app"]["name"] == text
    found = await house.data(
        "query($search: String) { apps(filter: { search: $search })"
        " { nodes { name } } }",
        {"search": text},
        token=token,
    )
    assert found["apps"]["nodes"] == [{"name": text}]


@pytest.mark.parametrize(
    ("name", "path", "rest"),
    [
        ("createWecomMobileIdentitySource", "identifier", SOURCE),
        ("createWecomMobileIdentitySource", "corpId", SOURCE),
        ("createWecomMobileIdentitySource", "agentId", SOURCE),
        ("createWecomMobileIdentitySource", "secret", SOURCE),
        ("createWecomMobileIdentitySource", "schema", SOURCE),
        ("createUser", "username", {}),
        ("createUser", "email", {}),
        ("createUser", "phone", {}),
        ("createUser", "externalId", {}),
        ("linkIdentity", "subject", {}),
        ("testIdentitySource", "wecomUserId", {}),
    ],
)
async def test_no_field_takes_what_cannot_be_shown(
    house: House, things: dict[str, str], name: str, path: str, rest: Json
) -> None:
    if name == "linkIdentity":
        rest = {"userId": things["{user}"], "identitySourceId": things["{source}"]}
    if name == "testIdentitySource":
        rest = {"id": things["{source}"]}
    for text in ("x" * 10_000, "a\0b", "a\x1bb", "a\u202eb"):
        found = await refused(house, name, {**rest, path: text})
        assert [where for where, _ in found] == [path], found
        assert found[0][1] in {"INVALID_FORMAT", "TOO_LONG"}


@pytest.mark.parametrize("keys", [(), ("userId", "appId"), ("userId", "identityId")])
async def test_exactly_one_key_is_an_input_error(
    house: House, things: dict[str, str], keys: tuple[str, ...]
) -> None:
    input: Json = dict.fromkeys(keys, things["{user}"])
    found = await refused(house, "revokeSessions", input)
    assert len(found) >= 1
    assert {code for _, code in found} <= {"REQUIRED", "CONFLICT"}


@pytest.mark.parametrize(
    "arguments",
    [
        "identitySource",
        'identitySource(id: "x", identifier: "y")',
        "identitySource(id: null)",
        "user",
        'user(id: "x", username: "y")',
        'user(email: "x", phone: null, externalId: "y")',
    ],
)
async def test_exactly_one_argument_is_a_bad_request(
    house: House, arguments: str
) -> None:
    answer = await house.answer(f"{{ {arguments} {{ id }} }}", token=await house.key())
    assert codes(answer) == ["BAD_REQUEST"]
    assert "exactly one" in answer["errors"][0]["message"]


LISTS = ["identitySources", "apps", "users", "auditEvents"]


@pytest.mark.parametrize("list_", LISTS)
async def test_a_page_is_1_to_100(house: House, list_: str) -> None:
    token = await house.key()
    for end in ("first", "last"):
        query = f"query($size: Int) {{ {list_}({end}: $size) {{ nodes {{ id }} }} }}"
        for size in (0, -1, 101, 10**9, -(2**31), 2**31 - 1):
            answer = await house.answer(query, {"size": size}, token=token)
            assert codes(answer) == ["BAD_REQUEST"], (end, size)
            assert "100" in answer["errors"][0]["message"]


FILTERS: list[tuple[str, Json]] = [
    ("identitySources", {"search": "nothing"}),
    ("identitySources", {"search": "x" * 10_000}),
    ("identitySources", {"search": "\0"}),
    ("identitySources", {"corpId": "ww0"}),
    ("identitySources", {"appId": "app_" + UNKNOWN}),
    ("identitySources", {"appId": "usr_" + UNKNOWN}),
    ("apps", {"search": "👩‍👩‍👧‍👦"}),
    ("apps", {"search": "x" * 10_000}),
    ("apps", {"identitySourceId": "nonsense"}),
    ("users", {"search": "\u202e"}),
    ("users", {"search": "x" * 10_000}),
    ("users", {"search": "a\0"}),
    ("users", {"role": "OWNER"}),
    ("users", {"identitySourceId": ""}),
    ("auditEvents", {"action": "nothing.happened"}),
    ("auditEvents", {"action": "x" * 10_000}),
    ("auditEvents", {"actorId": "\0"}),
    ("auditEvents", {"subjectId": "x" * 10_000}),
    ("auditEvents", {"requestId": "合" * 1_000}),
    ("auditEvents", {"appId": "src_" + UNKNOWN}),
    ("auditEvents", {"since": "9999-12-31T23:59:59.999Z"}),
    ("auditEvents", {"until": "1970-01-01T00:00:00.000Z"}),
]


async def test_a_filter_that_matches_nothing_is_an_empty_page(
    house: House, things: dict[str, str]
) -> None:
    types = dict(
        zip(LISTS, ("IdentitySource", "App", "User", "AuditEvent"), strict=True)
    )
    for list_, filter in FILTERS:
        query = (
            f"query($filter: {types[list_]}Filter) {{ {list_}(filter: $filter)"
            " { nodes { id } pageInfo { hasNextPage hasPreviousPage endCursor } } }"
        )
        data = await house.data(query, {"filter": filter}, token=await house.key())
        assert data[list_] == {
            "nodes": [],
            "pageInfo": {
                "hasNextPage": False,
                "hasPreviousPage": False,
                "endCursor": None,
            },
        }, filter


async def test_an_id_that_names_nothing_is_null(house: House) -> None:
    query = (
        "query($id: ID!, $ids: [ID!]!, $text: String!) { node(id: $id) { id }"
        " nodes(ids: $ids) { id } app(id: $id) { id } user(id: $id) { id }"
        " identitySource(id: $id) { id } loginOptions(appId: $id) { displayName }"
        " identity(issuer: $text, subject: $text) { id } }"
    )
    others = [f"{prefix}_{UNKNOWN}" for prefix in PREFIXES]
    for id in [*others, *NO_IDS]:
        variables = {"id": id, "ids": [id, id], "text": id}
        data = await house.data(query, variables, token=await house.key())
        assert data == {
            "node": None,
            "nodes": [None, None],
            "app": None,
            "user": None,
            "identitySource": None,
            "loginOptions": [],
            "identity": None,
        }, id


def codes(answer: Json) -> list[Any]:
    return [error["extensions"]["code"] for error in answer.get("errors", [])]


@pytest.mark.parametrize(
    ("kind", "declared", "field", "argument"),
    [
        ("query", 'ID = "a"', "loginOptions(appId: $x) { identitySource }", "appId"),
        ("query", 'ID = "a"', "nodes(ids: [$x]) { id }", "ids"),
        ("query", 'String = "User"', "__type(name: $x) { name }", "name"),
        (
            "query",
            "UserOrderField = USERNAME",
            "users(orderBy: { field: $x }) { totalCount }",
            "orderBy",
        ),
        (
            "mutation",
            'String = "x"',
            "refreshSession(input: { refreshToken: $x }) { __typename }",
            "input",
        ),
        (
            "mutation",
            "Role = VIEWER",
            'createApiKey(input: { name: "n", role: $x }) { errors { code } }',
            "input",
        ),
    ],
)
async def test_null_in_a_variable_that_has_a_default_is_bad_input(
    house: House, kind: str, declared: str, field: str, argument: str
) -> None:
    """It may stand where null may not; validation lets it pass, for its default."""
    query = f"{kind}($x: {declared}) {{ {field} }}"
    answer = await house.answer(query, {"x": None}, token=await house.key())
    [error] = answer["errors"]
    assert error["extensions"] == {"code": "BAD_REQUEST"}
    assert error["message"] == f"Argument '{argument}' has invalid value"
