"""Every example operation, run against real rows on both databases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import graphql
import pytest
from graphql import FieldNode, OperationDefinitionNode

from hefu.api import schema
from tests.house import Entrance, House, Json, Pkce
from wecom.sandbox import examples

FOLDER = Path(__file__).parent.parent / "graphql/operations"
FILES = sorted(
    str(path.relative_to(FOLDER).with_suffix("")) for path in FOLDER.rglob("*.graphql")
)
PASSWORD = "correct horse battery staple"


def operation(name: str) -> OperationDefinitionNode:
    document = graphql.parse((FOLDER / f"{name}.graphql").read_text("utf-8"))
    [definition] = document.definitions
    assert isinstance(definition, OperationDefinitionNode)
    return definition


def field(name: str) -> str:
    [selected] = operation(name).selection_set.selections
    assert isinstance(selected, FieldNode)
    return selected.name.value


def test_every_root_field_has_an_example() -> None:
    served = graphql.build_schema(schema.as_str())
    assert served.query_type
    assert served.mutation_type
    roots = [*served.query_type.fields, *served.mutation_type.fields]
    assert sorted(map(field, FILES)) == sorted(roots)


@pytest.mark.parametrize("name", FILES)
def test_an_example_is_called_as_its_field(name: str) -> None:
    called = operation(name).name
    assert called
    camel = field(name)
    assert called.value == camel[0].upper() + camel[1:]
    snake = "".join(f"_{c.lower()}" if c.isupper() else c for c in camel)
    assert Path(name).name == snake


class Visit:
    """Runs the examples, and keeps which."""

    def __init__(self, house: House) -> None:
        self._house = house
        self.ran: set[str] = set()

    async def run(
        self, name: str, variables: Json | None = None, token: str | None = None
    ) -> Any:
        """What the operation answers, which must not be null nor a refusal."""
        document = (FOLDER / f"{name}.graphql").read_text("utf-8")
        data = await self._house.data(document, variables, token=token)
        [answer] = data.values()
        assert answer not in (None, [])
        if isinstance(answer, dict):
            assert answer.get("errors", []) == [], answer
            assert answer.get("__typename") != "LoginFailure", answer
        self.ran.add(name)
        return answer

    async def administer(self, name: str, /, **input: Any) -> Any:
        token = await self._house.key()
        return await self.run(f"admin/{name}", {"input": input}, token)

    async def ask(self, name: str, /, **variables: Any) -> Any:
        return await self.run(f"admin/{name}", variables, await self._house.key())


async def test_every_example_does_what_it_is_for(house: House) -> None:
    visit = Visit(house)
    entrance = await set_up(visit, house)
    user_id = await look_after(visit, entrance)
    token = await come_in(visit, entrance)
    await look_around(visit, entrance, user_id)
    await help_oneself(visit, entrance, token)
    await bind(visit, entrance)
    await clear_away(visit, entrance, user_id)
    assert sorted(visit.ran) == FILES


async def set_up(visit: Visit, house: House) -> Entrance:
    source = await visit.administer(
        "create_wecom_mobile_identity_source",
        identifier="acme",
        displayName="WeCom",
        corpId=examples.HEFU,
        agentId=examples.AGENT.agent_id,
        secret=examples.AGENT.secret,
        schema=examples.PRIVATE.schema,
    )
    source_id = source["identitySource"]["id"]
    app = await visit.administer("create_app", name="Shop")
    app_id = app["app"]["id"]
    changed = await visit.administer("update_app", id=app_id, allowPasswordSignIn=True)
    assert changed["app"]["allowPasswordSignIn"] is True
    changed = await visit.administer(
        "update_wecom_mobile_identity_source", id=source_id, displayName="企业微信"
    )
    assert changed["identitySource"]["displayName"] == "企业微信"
    tested = await visit.administer("test_identity_source", id=source_id)
    assert tested["report"]["ok"] is True
    pair = {"appId": app_id, "identitySourceId": source_id}
    joined = await visit.administer("associate_app", **pair)
    assert joined["identitySource"]["apps"]["totalCount"] == 1
    previewed = await visit.ask(
        "preview_binding", input={**pair, "wecomUserId": "zhangsan"}
    )
    assert previewed["preview"]["outcome"] == "CREATE_ACCOUNT"
    return Entrance(house, app_id, source_id, "acme")


async def look_after(visit: Visit, entrance: Entrance) -> str:
    made = await visit.administer("create_user", username="alice")
    user_id: str = made["user"]["id"]
    changed = await visit.administer("update_user", id=user_id, displayName="Alice")
    assert changed["user"]["displayName"] == "Alice"
    await visit.administer("set_user_password", id=user_id, password=PASSWORD)
    linked = await visit.administer(
        "link_identity",
        userId=user_id,
        identitySourceId=entrance.source_id,
        subject="alice.smith",
    )
    unlinked = await visit.administer("unlink_identity", id=linked["identity"]["id"])
    assert unlinked["user"]["identities"] == []
    return user_id


async def come_in(visit: Visit, entrance: Entrance) -> str:
    """Log in with WeCom and with a password; the latter's access token."""
    await visit.run("login_options", {"appId": entrance.app_id})
    pkce = Pkce()
    where = {"appId": entrance.app_id, "identitySource": entrance.identifier}
    begun = await visit.run(
        "start_wecom_mobile_login",
        {"input": {**where, "codeChallenge": pkce.challenge}},
    )
    came = await visit.run(
        "wecom_mobile_login",
        {
            "input": {
                **where,
                "code": entrance.house.wecom.approve("zhangsan"),
                "state": begun["state"],
                "codeVerifier": pkce.verifier,
            }
        },
    )
    refresh = {"refreshToken": came["tokens"]["refreshToken"]}
    refreshed = await visit.run("refresh_session", {"input": refresh})
    left = {"refreshToken": refreshed["tokens"]["refreshToken"]}
    gone = await visit.run("sign_out", {"input": left})
    assert gone["session"]["id"] == came["session"]["id"]
    token: str = (await sign_in(visit, entrance))["tokens"]["accessToken"]
    return token


async def sign_in(visit: Visit, entrance: Entrance) -> Any:
    input = {"appId": entrance.app_id, "account": "alice", "password": PASSWORD}
    return await visit.run("sign_in_with_password", {"input": input})


async def look_around(visit: Visit, entrance: Entrance, user_id: str) -> None:
    kinds = await visit.ask("identity_source_kinds")
    assert [kind["typeName"] for kind in kinds] == ["WecomMobileIdentitySource"]
    found = await visit.ask("identity_source", identifier="acme")
    assert [app["id"] for app in found["apps"]["nodes"]] == [entrance.app_id]
    found = await visit.ask("app", id=entrance.app_id)
    assert [s["id"] for s in found["identitySources"]["nodes"]] == [entrance.source_id]
    found = await visit.ask("user", username="alice")
    assert (found["id"], found["sessions"]["totalCount"]) == (user_id, 1)
    found = await visit.ask("identity", issuer=examples.HEFU, subject="zhangsan")
    assert found["user"]["displayName"] == "张三"
    assert (await visit.ask("node", id=user_id))["__typename"] == "User"
    nodes = await visit.ask("nodes", ids=[entrance.app_id, entrance.source_id])
    assert [node["id"] for node in nodes] == [entrance.app_id, entrance.source_id]
    for name, count in (("identity_sources", 1), ("apps", 1), ("users", 2)):
        found = await visit.ask(name, first=10)
        assert found["totalCount"] == len(found["nodes"]) == count
    events = await visit.ask("audit_events", filter={"action": "login.succeeded"})
    assert len(events["nodes"]) == 2


async def help_oneself(visit: Visit, entrance: Entrance, token: str) -> None:
    me = await visit.run("me", token=token)
    assert me["username"] == "alice"
    pkce = Pkce()
    begun = await visit.run(
        "start_wecom_mobile_link",
        {"input": {"identitySource": "acme", "codeChallenge": pkce.challenge}},
        token,
    )
    linked = await visit.run(
        "link_wecom_mobile",
        {
            "input": {
                "identitySource": "acme",
                "code": entrance.house.wecom.approve("LiSi"),
                "state": begun["state"],
                "codeVerifier": pkce.verifier,
            }
        },
        token,
    )
    unlink = {"id": linked["identity"]["id"]}
    await visit.run("unlink_my_identity", {"input": unlink}, token)
    other = await sign_in(visit, entrance)
    end = {"id": other["session"]["id"]}
    ended = await visit.run("revoke_my_session", {"input": end}, token)
    assert ended["session"]["revokedAt"]
    change = {"currentPassword": PASSWORD, "newPassword": "another good passphrase"}
    await visit.run("change_my_password", {"input": change}, token)


async def bind(visit: Visit, entrance: Entrance) -> None:
    await visit.administer(
        "update_wecom_mobile_identity_source",
        id=entrance.source_id,
        accountAssociation={
            "mode": "ASK_TO_BIND",
            "bindingMethods": ["USERNAME_PASSWORD"],
        },
    )
    asked = await entrance.log_in("LiSi")
    bound = await visit.run(
        "bind_existing_account",
        {
            "input": {
                "appId": entrance.app_id,
                "ticket": asked["ticket"],
                "method": "USERNAME_PASSWORD",
                "account": "alice",
                "password": "another good passphrase",
            }
        },
    )
    assert bound["resolution"] == "BOUND"
    asked = await entrance.log_in("bob_jones-2")
    made = await visit.run(
        "bind_new_account",
        {"input": {"appId": entrance.app_id, "ticket": asked["ticket"]}},
    )
    assert made["resolution"] == "CREATED"
    await visit.administer("revoke_session", id=made["session"]["id"])


async def clear_away(visit: Visit, entrance: Entrance, user_id: str) -> None:
    made = await visit.administer("create_api_key", name="console", role="VIEWER")
    assert made["secret"].startswith("hefu_")
    keys = await visit.ask("api_keys")
    assert made["apiKey"]["id"] in {key["id"] for key in keys}
    await visit.administer("revoke_api_key", id=made["apiKey"]["id"])
    ended = await visit.administer("revoke_sessions", userId=user_id)
    assert ended["revokedCount"] == 2
    pair = {"appId": entrance.app_id, "identitySourceId": entrance.source_id}
    parted = await visit.administer("dissociate_app", **pair)
    assert parted["identitySource"]["apps"]["totalCount"] == 0
    for name, id in (
        ("delete_user", user_id),
        ("delete_identity_source", entrance.source_id),
        ("delete_app", entrance.app_id),
    ):
        assert (await visit.administer(name, id=id))["deletedId"] == id
