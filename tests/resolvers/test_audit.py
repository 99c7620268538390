"""Every change leaves an event: who, what, which fields, from where, which request."""

from __future__ import annotations

from typing import Any

import graphql
import pytest

from hefu.api import schema
from models import AuditEvent
from tests.house import House, Json
from tests.test_access import RULES, Rule
from wecom.sandbox import examples

EVENTS = """
query($filter: AuditEventFilter) {
  auditEvents(first: 100, filter: $filter) { nodes {
    action actorType actorId actorName subjectId appId identitySourceId
    changedFields ipAddress requestId count
  } }
}
"""
PASSWORD = "correct horse battery staple"
# Each change of the admin API: its input, what names its subject in the answer, and the
# events that it leaves: action and fields. `{…}` is what an earlier answer had.
STORY: list[tuple[str, Json, str, list[tuple[str, list[str]]]]] = [
    (
        "createWecomMobileIdentitySource",
        {
            "identifier": "acme",
            "displayName": "WeCom",
            "corpId": examples.HEFU,
            "agentId": examples.AGENT.agent_id,
            "secret": examples.AGENT.secret,
            "schema": examples.PRIVATE.schema,
        },
        "identitySource",
        [
            (
                "identity_source.created",
                [
                    "identifier",
                    "displayName",
                    "corpId",
                    "agentId",
                    "schema",
                    "loginOnly",
                    "accountAssociation",
                    "enabled",
                    "secret",
                ],
            )
        ],
    ),
    (
        "updateWecomMobileIdentitySource",
        {"id": "{identitySource}", "displayName": "企业微信", "loginOnly": True},
        "identitySource",
        [("identity_source.updated", ["displayName", "loginOnly"])],
    ),
    (
        "updateWecomMobileIdentitySource",
        {"id": "{identitySource}", "secret": "another-secret", "enabled": True},
        "identitySource",
        [("identity_source.updated", ["secret"])],
    ),
    (
        "testIdentitySource",
        {"id": "{identitySource}"},
        "identitySource",
        [("identity_source.tested", [])],
    ),
    (
        "createApp",
        {"name": "Shop"},
        "app",
        [
            (
                "app.created",
                [
                    "name",
                    "enabled",
                    "requireState",
                    "allowSignUp",
                    "allowPasswordSignIn",
                    "adminAccess",
                    "accessTokenLifetime",
                    "refreshTokenLifetime",
                    "sessionLifetime",
                ],
            )
        ],
    ),
    (
        "updateApp",
        {"id": "{app}", "accessTokenLifetime": 60, "allowPasswordSignIn": True},
        "app",
        [("app.updated", ["allowPasswordSignIn", "accessTokenLifetime"])],
    ),
    (
        "associateApp",
        {"appId": "{app}", "identitySourceId": "{identitySource}"},
        "app",
        [("app.associated", ["identitySources"])],
    ),
    (
        "dissociateApp",
        {"appId": "{app}", "identitySourceId": "{identitySource}"},
        "app",
        [("app.dissociated", ["identitySources"])],
    ),
    (
        "createUser",
        {"username": "amy", "password": PASSWORD},
        "user",
        [("user.created", ["username", "password", "role"])],
    ),
    (
        "updateUser",
        {"id": "{user}", "displayName": "Amy", "username": "amy"},
        "user",
        [("user.updated", ["displayName"])],
    ),
    (
        "setUserPassword",
        {"id": "{user}", "password": PASSWORD},
        "user",
        [("user.password_set", ["password"])],
    ),
    (
        "linkIdentity",
        {
            "userId": "{user}",
            "identitySourceId": "{identitySource}",
            "subject": "zhangsan",
        },
        "user",
        [("identity.linked", ["identities"])],
    ),
    (
        "revokeSession",
        {"id": "{session}"},
        "session",
        [("session.revoked", ["revokedAt"])],
    ),
    (
        "revokeSessions",
        {"userId": "{user}"},
        "other",
        [("session.revoked", ["revokedAt"])],
    ),
    (
        "unlinkIdentity",
        {"id": "{identity}"},
        "user",
        [("identity.unlinked", ["identities"])],
    ),
    ("deleteUser", {"id": "{user}"}, "user", [("user.deleted", [])]),
    (
        "deleteIdentitySource",
        {"id": "{identitySource}"},
        "identitySource",
        [("identity_source.deleted", [])],
    ),
    ("deleteApp", {"id": "{app}"}, "app", [("app.deleted", [])]),
    (
        "createApiKey",
        {"name": "console", "role": "VIEWER"},
        "apiKey",
        [("api_key.created", ["name", "role", "expiresAt"])],
    ),
    (
        "revokeApiKey",
        {"id": "{apiKey}"},
        "apiKey",
        [("api_key.revoked", ["revokedAt"])],
    ),
]
INPUTS = {"associateApp": "AppAssociation", "dissociateApp": "AppAssociation"}
ASKED = {
    "createWecomMobileIdentitySource": "identitySource { id }",
    "createApp": "app { id }",
    "createUser": "user { id }",
    "linkIdentity": "identity { id }",
    "createApiKey": "apiKey { id } secret",
}


async def test_every_change_tells_who_what_and_which_fields(house: House) -> None:
    token = await house.key()
    me = (await house.data("{ apiKeys { id name } }", token=token))["apiKeys"][0]
    known: dict[str, str] = {}
    for name, input, subject, told in STORY:
        if name == "revokeSession":
            await _sign_in_twice(house, known)
        given = {
            key: known.get(str(value)[1:-1], value) for key, value in input.items()
        }
        request, payload = await _change(house, name, given)
        for key, value in payload.items():
            if isinstance(value, dict):
                known[key] = value["id"]
        filter = {"requestId": request}
        found = await house.data(EVENTS, {"filter": filter}, token=token)
        assert found["auditEvents"]["nodes"] == [
            {
                "action": action,
                "actorType": "API_KEY",
                "actorId": me["id"],
                "actorName": me["name"],
                "subjectId": known[subject],
                "appId": _involved(name, given, known, "app"),
                "identitySourceId": _involved(name, given, known, "identitySource"),
                "changedFields": fields,
                "ipAddress": "203.0.113.7",
                "requestId": request,
                "count": 1,
            }
            for action, fields in told
        ], name
    for event in await AuditEvent.all():
        assert PASSWORD not in str(vars(event))
        assert examples.AGENT.secret not in str(vars(event))


def test_every_mutation_of_the_admin_api_is_told_of() -> None:
    admin = {Rule.ADMIN, Rule.OWNER}
    served = graphql.build_schema(schema.as_str())
    assert served.mutation_type
    changes = {name for name in served.mutation_type.fields if RULES[name] in admin}
    assert {name for name, *_ in STORY} == changes


def test_no_operation_changes_or_deletes_an_event() -> None:
    served = graphql.build_schema(schema.as_str())
    assert served.mutation_type
    names = " ".join(served.mutation_type.fields).lower()
    assert "audit" not in names
    assert "event" not in names


@pytest.mark.parametrize(
    ("name", "input"),
    [
        ("createApp", {"name": ""}),
        ("createUser", {"username": "!"}),
        ("deleteUser", {"id": "usr_x"}),
    ],
)
async def test_what_was_refused_changed_nothing_to_tell_of(
    house: House, name: str, input: Json
) -> None:
    await house.key()
    before = await AuditEvent.all().count()
    await _change(house, name, input, refused=True)
    assert await AuditEvent.all().count() == before


async def _change(
    house: House, name: str, input: Json, *, refused: bool = False
) -> tuple[str, Json]:
    """The request's id, as the answer's header tells it, and the payload."""
    type_ = INPUTS.get(name, name[0].upper() + name[1:])
    asked = ASKED.get(name, "")
    query = (
        f"mutation($input: {type_}Input!) {{ {name}(input: $input)"
        f" {{ {asked} errors {{ path code }} }} }}"
    )
    response = await house.post(query, {"input": input}, token=await house.key())
    payload: Json = response.json()["data"][name]
    assert bool(payload["errors"]) is refused, (name, payload)
    return response.headers["x-request-id"], payload


async def _sign_in_twice(house: House, known: dict[str, str]) -> None:
    for word in ("session", "other"):
        input = {"appId": known["app"], "account": "amy", "password": PASSWORD}
        data = await house.data(
            "mutation($input: SignInWithPasswordInput!) { signInWithPassword("
            "input: $input) { ... on LoginSuccess { session { id } } } }",
            {"input": input},
        )
        known[word] = data["signInWithPassword"]["session"]["id"]


def _involved(name: str, given: Json, known: dict[str, str], what: str) -> Any:
    """The app or source that an event names beside its subject."""
    if f"{what}Id" in given:
        return known[what]
    about = {
        "revokeSession": "app",
        "revokeSessions": "app",
        "unlinkIdentity": "identitysource",
    }.get(name, name.lower())
    return known[what] if what.lower() in about else None
