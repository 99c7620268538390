"""
Who may call what: every root field, by everybody that there is.

`RULES` is the only list. A field that is added without a line in it fails here.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from enum import Enum
from typing import Any

import httpx
import pytest

from models import ApiKey, App, Role, User, ids
from tests.house import Entrance, House
from tests.security.documents import Call, calls


class Rule(Enum):
    """Whom `runtime.md` lets a field be called by."""

    ANYBODY = "anybody"
    ME = "anybody, and expired tokens are told so"
    PERSON = "the holder of an access token"
    VIEWER = "VIEWER"
    ADMIN = "ADMIN"
    OWNER = "OWNER"


RULES = {
    "loginOptions": Rule.ANYBODY,
    "me": Rule.ME,
    "node": Rule.VIEWER,
    "nodes": Rule.VIEWER,
    "identitySourceKinds": Rule.VIEWER,
    "identitySource": Rule.VIEWER,
    "identitySources": Rule.VIEWER,
    "app": Rule.VIEWER,
    "apps": Rule.VIEWER,
    "user": Rule.VIEWER,
    "identity": Rule.VIEWER,
    "users": Rule.VIEWER,
    "auditEvents": Rule.VIEWER,
    "apiKeys": Rule.OWNER,
    "previewBinding": Rule.VIEWER,
    "startWecomMobileLogin": Rule.ANYBODY,
    "wecomMobileLogin": Rule.ANYBODY,
    "bindExistingAccount": Rule.ANYBODY,
    "bindNewAccount": Rule.ANYBODY,
    "signInWithPassword": Rule.ANYBODY,
    "refreshSession": Rule.ANYBODY,
    "signOut": Rule.ANYBODY,
    "revokeMySession": Rule.PERSON,
    "startWecomMobileLink": Rule.PERSON,
    "linkWecomMobile": Rule.PERSON,
    "unlinkMyIdentity": Rule.PERSON,
    "changeMyPassword": Rule.PERSON,
    "createWecomMobileIdentitySource": Rule.ADMIN,
    "updateWecomMobileIdentitySource": Rule.ADMIN,
    "deleteIdentitySource": Rule.ADMIN,
    "testIdentitySource": Rule.ADMIN,
    "createApp": Rule.ADMIN,
    "updateApp": Rule.ADMIN,
    "deleteApp": Rule.ADMIN,
    "associateApp": Rule.ADMIN,
    "dissociateApp": Rule.ADMIN,
    "createUser": Rule.ADMIN,
    "updateUser": Rule.ADMIN,
    "setUserPassword": Rule.ADMIN,
    "deleteUser": Rule.ADMIN,
    "linkIdentity": Rule.ADMIN,
    "unlinkIdentity": Rule.ADMIN,
    "revokeSession": Rule.ADMIN,
    "revokeSessions": Rule.ADMIN,
    "createApiKey": Rule.OWNER,
    "revokeApiKey": Rule.OWNER,
}

CALLS = calls()
NAMES = [call.name for call in CALLS]


@dataclass(frozen=True)
class Who:
    """Somebody who asks: what they may do on the admin API, and whether as a person."""

    role: Role | None
    is_person: bool


CALLERS = {
    "nobody": Who(None, is_person=False),
    "a person": Who(Role.MEMBER, is_person=True),
    "an owner at an app without adminAccess": Who(Role.MEMBER, is_person=True),
    "a person at an app with adminAccess": Who(Role.MEMBER, is_person=True),
    "a viewer at an app with adminAccess": Who(Role.VIEWER, is_person=True),
    "an owner at an app with adminAccess": Who(Role.OWNER, is_person=True),
    "a VIEWER's key": Who(Role.VIEWER, is_person=False),
    "an ADMIN's key": Who(Role.ADMIN, is_person=False),
    "an OWNER's key": Who(Role.OWNER, is_person=False),
}


def verdict(rule: Rule, who: Who) -> str | None:
    """The code that refuses; None where the call goes through."""
    if rule in {Rule.ANYBODY, Rule.ME}:
        return None
    if who.role is None:
        return "UNAUTHENTICATED"
    if rule is Rule.PERSON:
        return None if who.is_person else "FORBIDDEN"
    return None if who.role.rank >= Role[rule.name].rank else "FORBIDDEN"


def test_every_root_field_has_a_rule() -> None:
    assert sorted(RULES) == sorted(NAMES), (
        "Say in RULES who may call the field, as runtime.md has it."
    )


async def credential(house: House, name: str) -> str | None:
    if name == "nobody":
        return None
    if name.endswith("key"):
        return await house.key(CALLERS[name].role or Role.OWNER)
    entrance = await house.entrance(
        app={"adminAccess": name.endswith("with adminAccess")}
    )
    role = Role.MEMBER
    role = Role.VIEWER if "viewer" in name else role
    role = Role.OWNER if "owner" in name else role
    return (await log_in(entrance, role))["accessToken"]


async def log_in(entrance: Entrance, role: Role = Role.MEMBER) -> dict[str, str]:
    result = await entrance.log_in()
    id = ids.read(ids.USER, result["user"]["id"])
    await User.filter(id=id).update(role=role)
    tokens: dict[str, str] = result["tokens"]
    return tokens


async def called(house: House, call: Call, token: str | None) -> httpx.Response:
    """With values of which nothing exists, so that no call changes anything of note."""
    return await house.post(call.document, call.variables(), token=token)


def refusals(response: httpx.Response) -> list[dict[str, Any]]:
    errors: list[dict[str, Any]] = response.json().get("errors", [])
    said = [error["extensions"] for error in errors]
    return [each for each in said if each["code"] in {"UNAUTHENTICATED", "FORBIDDEN"}]


@pytest.mark.parametrize("name", CALLERS)
async def test_a_field_is_called_by_those_it_is_for(house: House, name: str) -> None:
    token = await credential(house, name)
    wrong: list[Any] = []
    for call in sorted(CALLS, key=lambda call: call.name == "signOut"):
        response = await called(house, call, token)
        told = [each["code"] for each in refusals(response)]
        expected = verdict(RULES[call.name], CALLERS[name])
        # `nodes` and the like have a refusal for each of their items.
        if told != ([expected] if expected else []) or response.status_code != 200:
            wrong.append((call.name, expected, response.status_code, response.text))
    assert not wrong


@pytest.mark.parametrize("name", CALLERS)
async def test_a_refusal_leaves_the_rest_of_the_data(house: House, name: str) -> None:
    token = await credential(house, name)
    response = await house.post(
        "{ __typename identitySourceKinds { typeName } apiKeys { id } }", token=token
    )
    body = response.json()
    assert response.status_code == 200
    assert body["data"]["__typename"] == "Query"
    for field in ("identitySourceKinds", "apiKeys"):
        refused = verdict(RULES[field], CALLERS[name])
        assert (body["data"][field] is None) == (refused is not None)


def tampered(token: str) -> dict[str, str]:
    """Credentials that are not ours, though they look it."""
    head, claims, signature = token.split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"at+jwt"}').decode()
    other = signature[:-8] + ("A" * 8 if signature[-8:] != "A" * 8 else "B" * 8)
    told = json.loads(base64.urlsafe_b64decode(claims + "=="))
    raised = base64.urlsafe_b64encode(json.dumps({**told, "sub": "x"}).encode())
    return {
        "malformed": "nonsense",
        "no signature": f"{none.rstrip('=')}.{claims}.",
        "another signature": f"{head}.{claims}.{other}",
        "other claims": f"{head}.{raised.decode().rstrip('=')}.{signature}",
        "an unknown key": "hefu_" + "A" * 45,
        "a short key": "hefu_",
        "empty": "",
        "two": f"{token} {token}",
        "very long": "a" * 5_000,
    }


async def test_what_is_no_credential_is_401_on_every_field(house: House) -> None:
    token = await credential(house, "a person")
    assert token
    for call in CALLS:
        answers = {
            what: await called(house, call, bad)
            for what, bad in tampered(token).items()
        }
        answers["another scheme"] = await house.post(
            call.document, call.variables(), Authorization="Basic aGVmdTpoZWZ1"
        )
        answers["two headers"] = await house.client.post(
            "/graphql",
            json={"query": call.document, "variables": call.variables()},
            headers=[("Authorization", f"Bearer {token}")] * 2,
        )
        for what, answer in answers.items():
            assert answer.status_code == 401, (call.name, what, answer.text)
            assert answer.headers["www-authenticate"] == "Bearer"
            assert "data" not in answer.json()
            expected = [{"code": "UNAUTHENTICATED", "reason": "INVALID"}]
            assert refusals(answer) == expected, (call.name, what)


async def test_what_was_revoked_is_401_on_every_field(house: House) -> None:
    entrance = await house.entrance()
    token = (await log_in(entrance))["accessToken"]
    await house.data("mutation { signOut { session { id } } }", token=token)
    made = await house.mutate(
        "createApiKey",
        {"name": "gone", "role": "OWNER"},
        "secret apiKey { id }",
        token=await house.key(),
    )
    await house.mutate(
        "revokeApiKey",
        {"id": made["apiKey"]["id"]},
        "errors { code }",
        token=await house.key(),
    )
    for call in CALLS:
        for bad in (token, made["secret"]):
            answer = await called(house, call, bad)
            assert answer.status_code == 401, (call.name, answer.text)
            expected = [{"code": "UNAUTHENTICATED", "reason": "REVOKED"}]
            assert refusals(answer) == expected, call.name


async def test_an_expired_token_is_none_where_nobody_is_needed(house: House) -> None:
    """An app that always sends its token must still be able to refresh."""
    token = await credential(house, "an owner at an app with adminAccess")
    house.clock.advance(seconds=901)
    for call in CALLS:
        answer = await called(house, call, token)
        assert answer.status_code == 200, answer.text
        expected = [{"code": "UNAUTHENTICATED", "reason": "EXPIRED"}]
        free = RULES[call.name] is Rule.ANYBODY
        assert refusals(answer) == ([] if free else expected), answer.text


@pytest.mark.parametrize(
    ("loss", "code"),
    [
        ("signOut { session { id } }", "UNAUTHENTICATED"),
        (
            "revokeSessions(input: { userId: $user }) { revokedCount }",
            "UNAUTHENTICATED",
        ),
        (
            "updateUser(input: { id: $user, role: MEMBER }) { user { role } }",
            "FORBIDDEN",
        ),
        (
            "updateUser(input: { id: $user, status: DISABLED }) { user { role } }",
            "UNAUTHENTICATED",
        ),
        ("deleteUser(input: { id: $user }) { deletedId }", "UNAUTHENTICATED"),
        (
            "updateApp(input: { id: $app, adminAccess: false }) { app { id } }",
            "FORBIDDEN",
        ),
        ("deleteApp(input: { id: $app }) { deletedId }", "UNAUTHENTICATED"),
    ],
)
async def test_what_a_field_takes_away_the_next_has_no_more(
    house: House, loss: str, code: str
) -> None:
    """Several fields are one request, and a role is the account's role now."""
    entrance = await house.entrance(app={"adminAccess": True})
    await house.key()  # Another owner than the one who leaves.
    login = await entrance.log_in()
    user = login["user"]["id"]
    await User.filter(id=ids.read(ids.USER, user)).update(role=Role.OWNER)
    query = f"""mutation($user: ID!, $app: ID!) {{
        before: createApp(input: {{ name: "before" }}) {{ app {{ requireState }} }}
        taken: {loss}
        after: createApp(input: {{ name: "after" }}) {{ app {{ requireState }} }}
        user: updateUser(input: {{ id: $user }}) {{ user {{ id }} }}
        app: updateApp(input: {{ id: $app }}) {{ app {{ id }} }}
    }}"""
    given = {"user": user, "app": entrance.app_id}
    token = login["tokens"]["accessToken"]
    answer = await house.post(query, given, token=token)
    assert answer.status_code == (401 if code == "UNAUTHENTICATED" else 200)
    [error] = answer.json()["errors"]
    assert (error["path"], error["extensions"]["code"]) == (["after"], code)
    assert await App.filter(name="before").count() == 1
    assert not await App.filter(name="after").exists()


async def test_who_signs_out_may_log_in_by_the_next_field(house: House) -> None:
    entrance = await house.entrance(app={"requireState": False})
    token = (await entrance.log_in("LiSi"))["tokens"]["accessToken"]
    query = """mutation($input: WecomMobileLoginInput!) {
        signOut { session { revokedAt } }
        wecomMobileLogin(input: $input) { ... on LoginSuccess { user { id } } }
    }"""
    given = {"appId": entrance.app_id, "identitySource": entrance.identifier}
    given["code"] = house.wecom.approve("zhangsan")
    data = await house.data(query, {"input": given}, token=token)
    assert data["signOut"]["session"]["revokedAt"]
    assert data["wecomMobileLogin"]["user"]["id"]


async def test_a_key_that_is_revoked_meanwhile_begins_nothing_more(
    house: House,
) -> None:
    made = await house.mutate(
        "createApiKey",
        {"name": "mine", "role": "OWNER"},
        "secret apiKey { id }",
        token=await house.key(),
    )
    answer = await house.post(
        """mutation($id: ID!) {
        revokeApiKey(input: { id: $id }) { apiKey { revokedAt } }
        createApiKey(input: { name: "ghost", role: OWNER }) { secret }
        }""",
        {"id": made["apiKey"]["id"]},
        token=made["secret"],
    )
    assert answer.status_code == 401
    assert refusals(answer) == [{"code": "UNAUTHENTICATED", "reason": "REVOKED"}]
    assert not await ApiKey.filter(name="ghost").exists()


@pytest.mark.parametrize("name", ["nobody", "a VIEWER's key"])
async def test_get_takes_credentials_and_queries_only(house: House, name: str) -> None:
    token = await credential(house, name)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    for call in CALLS:
        asked = {"query": call.document, "variables": json.dumps(call.variables())}
        answer = await house.client.get("/graphql", params=asked, headers=headers)
        assert answer.headers["cache-control"] == "no-store"
        if call.operation == "mutation":
            assert answer.status_code == 405
            assert answer.headers["allow"] == "POST"
            continue
        told = [each["code"] for each in refusals(answer)]
        expected = verdict(RULES[call.name], CALLERS[name])
        assert told == ([expected] if expected else []), answer.text


INTROSPECTION = (
    "{ __schema { types { name } } }",
    '{ __type(name: "User") { fields { name } } }',
    '{ ...F } fragment F on Query { a: __type(name: "User") { name } }',
    "query Q { me { id } } query R { __schema { __typename } }",
)


@pytest.mark.parametrize("name", CALLERS)
async def test_the_schema_is_for_those_with_a_role(house: House, name: str) -> None:
    token = await credential(house, name)
    role = CALLERS[name].role
    may = role is not None and role.rank >= Role.VIEWER.rank
    for query in INTROSPECTION[:3]:
        answer = await house.answer(query, token=token)
        assert ("errors" in answer) is not may, answer
    if may:
        return
    response = await house.client.post(
        "/graphql",
        json={"query": INTROSPECTION[3], "operationName": "Q"},
        headers={"Authorization": f"Bearer {token}"} if token else {},
    )
    assert "errors" in response.json()


MISTAKES = (
    "{ loginOption { provider } }",
    '{ loginOptions(appid: "x") { provider } }',
    "{ me { usernam } }",
    "{ me { ... on Usr { id } } }",
    "mutation { createUser(input: { usernme: 1 }) { user { id } } }",
    "mutation { createUser(input: { role: OWNR }) { user { id } } }",
    "query ($a: CreateUserInpt) { me { id } }",
    "{ me { id @skp(if: true) } }",
    "{ me { ...F } } fragment G on User { id }",
)


@pytest.mark.parametrize("name", ["nobody", "a person", "an OWNER's key"])
async def test_names_are_suggested_to_those_with_a_role(
    house: House, name: str
) -> None:
    token = await credential(house, name)
    answers = [(await house.post(query, token=token)).text for query in MISTAKES]
    variables = {"input": {"usernme": "x", "role": "OWNR"}}
    query = (
        "mutation($input: CreateUserInput!)"
        " { createUser(input: $input) { user { id } } }"
    )
    answers.append((await house.post(query, variables, token=token)).text)
    suggested = [text for text in answers if "Did you mean" in text]
    assert bool(suggested) == name.endswith("key"), suggested


@pytest.mark.parametrize(
    ("query", "token", "message"),
    [
        ("{ apiKeys { id } }", None, "此操作需要访问令牌或 API 密钥。"),
        ("{ apiKeys { id } }", "viewer", "调用者的角色无权执行此操作。"),
        ("{ apiKeys { id } }", "nonsense", "凭据无效。"),
        ("{ app(id: 1) { id } user { id } }", "viewer", "请在 "),
        (
            "{ users(first: 101) { nodes { id } } }",
            "viewer",
            "`first` 与 `last` 的取值",
        ),
        ("{ " + "a: me { id } " * 21 + " }", None, "文档超出限制："),
    ],
)
async def test_errors_are_told_in_the_callers_language(
    house: House, query: str, token: str | None, message: str
) -> None:
    credential = await house.key(Role.VIEWER) if token == "viewer" else token
    chinese, english = [
        (await house.answer(query, token=credential, Accept_Language=language))[
            "errors"
        ][0]["message"]
        for language in ("zh-CN,zh;q=0.9,en;q=0.8", "fr, en;q=0.5")
    ]
    assert chinese.startswith(message)
    assert english.isascii()
