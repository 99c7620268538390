"""
Every field of the contract answers with real data, on both databases.

One day in the life of a house, told by queries that are generated from the contract:
each asks for all there is. What never came with a value fails the test by its name.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import graphql
from graphql import GraphQLNamedType, GraphQLOutputType, get_named_type

from tests.house import House, Json, Pkce
from wecom.sandbox import examples

CONTRACT = graphql.build_schema(
    (Path(__file__).parent / "contract.graphql").read_text("utf-8")
)
PASSWORD = "correct horse battery staple"
# What stands around a page is not a level of its own.
WRAPPERS = ("Connection", "Edge", "PageInfo")

DEVICE = {
    "name": "Pixel 9",
    "platform": "ANDROID",
    "osVersion": "16",
    "appVersion": "1.2.3",
    "installationId": "installation-1",
}
BROWSER = {"User_Agent": "Hefu/1.2.3 (Android 16)"}

Seen = set[tuple[str, str]]


class Census:
    """Asks for everything, and keeps which fields came with a value."""

    def __init__(self, house: House, token: str) -> None:
        self._house = house
        self._token = token
        self.seen: Seen = set()

    async def query(self, field: str, *, token: str | None = None, **given: Any) -> Any:
        return await self._ask("query", field, given, token or self._token)

    async def mutate(
        self, field: str, *, token: str | None = None, **input: Any
    ) -> Any:
        """As nobody, unless there is a token."""
        return await self._ask("mutation", field, {"input": input}, token)

    async def administer(self, field: str, **input: Any) -> Any:
        return await self.mutate(field, token=self._token, **input)

    async def node(self, id: str, type_: str) -> None:
        """Through `node`, as its own type."""
        inner = "\n".join(each_field(CONTRACT.type_map[type_], depth=1))
        query = (
            f"query($id: ID!) {{ node(id: $id) {{ __typename id"
            f" ... on {type_} {{ {inner} }} }} }}"
        )
        data = await self._house.data(query, {"id": id}, token=self._token)
        assert data["node"]["__typename"] == type_
        self._count("Query", data)

    async def _ask(
        self, operation: str, name: str, given: Json, token: str | None
    ) -> Any:
        root = CONTRACT.query_type if operation == "query" else CONTRACT.mutation_type
        assert root
        field = root.fields[name]
        declared = ", ".join(f"${each}: {field.args[each].type}" for each in given)
        passed = ", ".join(f"{each}: ${each}" for each in given)
        head = f"{operation}({declared})" if declared else operation
        call = f"{name}({passed})" if passed else name
        query = f"{head} {{ {call} {everything(field.type, depth=2)} }}"
        answer = await self._house.answer(query, given, token=token, **BROWSER)
        # A person's graph ends at their own things; administrators are told the rest.
        beyond = [] if token == self._token else ["FORBIDDEN"]
        for error in answer.get("errors", []):
            assert error["extensions"]["code"] in beyond, error
        data = answer["data"]
        self._count(root.name, data)
        return data[name]

    def _count(self, type_name: str, value: Json) -> None:
        for name, inner in value.items():
            if inner is None or inner == [] or name == "__typename":
                continue
            self.seen.add((type_name, name))
            for each in inner if isinstance(inner, list) else [inner]:
                if isinstance(each, dict):
                    self._count(each["__typename"], each)


def everything(type_: GraphQLOutputType, depth: int) -> str:
    """A selection of all fields, and of theirs, `depth` objects deep."""
    named = get_named_type(type_)
    if graphql.is_leaf_type(named):
        return ""
    if graphql.is_object_type(named):
        return "{ __typename " + " ".join(each_field(named, depth)) + " }"
    assert graphql.is_abstract_type(named)
    parts = [
        f"... on {each.name} {{ {' '.join(each_field(each, depth))} }}"
        for each in CONTRACT.get_possible_types(named)
    ]
    # Of seven types the fields of one name are of different types.
    return f"{{ __typename {'id' if named.name == 'Node' else ' '.join(parts)} }}"


def each_field(type_: GraphQLNamedType, depth: int) -> Iterator[str]:
    assert graphql.is_object_type(type_)
    for name, field in type_.fields.items():
        inner = get_named_type(field.type)
        below = depth - (not inner.name.endswith(WRAPPERS))
        if graphql.is_leaf_type(inner) or below >= 0:
            few = "(first: 3)" if "first" in field.args else ""
            yield f"{name}{few} {everything(field.type, below)}"


def demanded() -> Iterator[tuple[str, str]]:
    for type_ in CONTRACT.type_map.values():
        if graphql.is_object_type(type_) and not type_.name.startswith("__"):
            yield from ((type_.name, name) for name in type_.fields)


async def test_every_field_of_the_contract_answers(house: House) -> None:
    census = Census(house, await house.key())
    source_id, app_id, identifier = await configure(census)
    user_id = await look_after_people(census, source_id)
    await log_in(census, house, app_id, source_id, identifier)
    await bind(census, house, app_id, source_id, identifier)
    await help_oneself(census, house, app_id, identifier)
    await go_wrong(census, house, app_id, source_id)
    await look_around(census, house, app_id, source_id, user_id)
    await clean_up(census, app_id, source_id, user_id)
    missing = sorted(set(demanded()) - census.seen)
    assert missing == [], f"never answered with a value: {missing}"


def test_interfaces_ask_for_nothing_that_their_types_have_not() -> None:
    for type_ in CONTRACT.type_map.values():
        if graphql.is_interface_type(type_):
            for each in CONTRACT.get_possible_types(type_):
                assert type_.fields.keys() <= each.fields.keys()


async def configure(census: Census) -> tuple[str, str, str]:
    """A source that serves an app: its settings, its test, its rules."""
    await census.query("identitySourceKinds")
    input = {
        "identifier": "acme",
        "displayName": "WeCom",
        "corpId": examples.HEFU,
        "agentId": examples.OLD_AGENT.agent_id,
        "secret": examples.OLD_AGENT.secret,
        "schema": examples.OLD.schema,
        "accountAssociation": {
            "mode": "FIELD_MATCHING",
            "matchFields": ["USERNAME"],
            "bindingMethods": ["USERNAME_PASSWORD"],
        },
    }
    made = await census.administer("createWecomMobileIdentitySource", **input)
    assert made["warnings"]
    await census.administer("createWecomMobileIdentitySource", **input)
    source_id = made["identitySource"]["id"]
    await census.administer(
        "updateWecomMobileIdentitySource",
        id=source_id,
        accountAssociation={"mode": "NONE", "bindingMethods": ["USERNAME_PASSWORD"]},
    )
    made = await census.administer("createApp", name="Shop", allowPasswordSignIn=True)
    app_id = made["app"]["id"]
    await census.administer("createApp", name="")
    await census.administer("updateApp", id=app_id, accessTokenLifetime=600)
    await census.administer("updateApp", id=app_id, name="")
    pair = {"appId": app_id, "identitySourceId": source_id}
    await census.administer("associateApp", **pair)
    await census.administer("associateApp", **{**pair, "appId": "app_x"})
    await census.administer("testIdentitySource", id=source_id, wecomUserId="zhangsan")
    await census.query("loginOptions", appId=app_id)
    return source_id, app_id, "acme"


async def look_after_people(census: Census, source_id: str) -> str:
    """An account with all of its fields, and a member's identity."""
    input = {
        "username": "alice",
        "displayName": "Alice",
        "email": "alice@example.com",
        "emailVerified": True,
        "phone": "+8613800000000",
        "phoneVerified": True,
        "externalId": "E-1",
        "password": PASSWORD,
    }
    made = await census.administer("createUser", **input)
    await census.administer("createUser", **input)
    user_id: str = made["user"]["id"]
    await census.administer("updateUser", id=user_id, displayName="Alice Smith")
    await census.administer("updateUser", id=user_id, displayName="\n\1")
    await census.administer("setUserPassword", id=user_id, password=PASSWORD)
    await census.administer("setUserPassword", id=user_id, password="1")
    link = {"userId": user_id, "identitySourceId": source_id, "subject": "alice.smith"}
    await census.administer("linkIdentity", **link)
    await census.administer("linkIdentity", **link)
    return user_id


async def log_in(
    census: Census, house: House, app_id: str, source_id: str, identifier: str
) -> None:
    """A member whom WeCom tells everything about, on a phone that tells all."""
    alice = house.wecom.person("alice.smith")
    alice.avatar = "https://wework.example/alice.png"
    success = await wecom_login(census, house, app_id, identifier, "alice.smith")
    assert success["__typename"] == "LoginSuccess"
    await census.node(success["session"]["id"], "Session")
    tokens = success["tokens"]
    token = tokens["accessToken"]
    await census.query("me", token=token)
    refreshed = await census.mutate(
        "refreshSession", refreshToken=tokens["refreshToken"]
    )
    assert refreshed["__typename"] == "RefreshedSession"
    other = await sign_in(census, app_id, "alice")
    gone = other["session"]["id"]
    await census.mutate("revokeMySession", token=token, id=gone)
    await census.mutate("revokeMySession", token=token, id="ses_x")
    await census.node(gone, "Session")
    await census.mutate("signOut", refreshToken=refreshed["tokens"]["refreshToken"])
    third = await sign_in(census, app_id, "alice")
    await census.administer("revokeSession", id=third["session"]["id"])
    await census.administer("revokeSession", id="ses_x")
    await census.administer("revokeSessions", userId="usr_x")
    await sign_in(census, app_id, "alice")
    user_id = success["user"]["id"]
    ended = await census.administer("revokeSessions", userId=user_id)
    assert ended["revokedCount"] == 1


async def wecom_login(
    census: Census, house: House, app_id: str, identifier: str, userid: str
) -> Any:
    pkce = Pkce()
    begun = await census.mutate(
        "startWecomMobileLogin",
        appId=app_id,
        identitySource=identifier,
        codeChallenge=pkce.challenge,
    )
    return await census.mutate(
        "wecomMobileLogin",
        appId=app_id,
        identitySource=identifier,
        code=house.wecom.approve(userid, examples.OLD_AGENT),
        state=begun["state"],
        codeVerifier=pkce.verifier,
        device=DEVICE,
    )


async def sign_in(census: Census, app_id: str, account: str) -> Any:
    return await census.mutate(
        "signInWithPassword",
        appId=app_id,
        account=account,
        password=PASSWORD,
        device=DEVICE | {"installationId": None},
    )


async def bind(
    census: Census, house: House, app_id: str, source_id: str, identifier: str
) -> None:
    """Ask to bind: to an account that is there, and to a new one."""
    await census.administer("createUser", username="lisi", password=PASSWORD)
    await census.administer(
        "updateWecomMobileIdentitySource",
        id=source_id,
        accountAssociation={
            "mode": "ASK_TO_BIND",
            "matchFields": ["EMAIL"],
            "bindingMethods": ["USERNAME_PASSWORD"],
        },
    )
    asked = await wecom_login(census, house, app_id, identifier, "LiSi")
    bound = await census.mutate(
        "bindExistingAccount",
        appId=app_id,
        ticket=asked["ticket"],
        method="USERNAME_PASSWORD",
        account="lisi",
        password=PASSWORD,
    )
    assert bound["resolution"] == "BOUND"
    alice = house.wecom.person("alice.smith")
    bob = house.wecom.person("bob_jones-2")
    bob.alias, bob.position, bob.email = "Bob", "Buyer", "bob@example.com"
    bob.avatar, bob.mobile = alice.avatar, "13800000009"
    asked = await wecom_login(census, house, app_id, identifier, "bob_jones-2")
    made = await census.mutate("bindNewAccount", appId=app_id, ticket=asked["ticket"])
    assert made["resolution"] == "CREATED"


async def help_oneself(
    census: Census, house: House, app_id: str, identifier: str
) -> None:
    """Somebody who signed in links a member, and changes what is theirs."""
    await census.administer("createUser", username="zhang", password=PASSWORD)
    signed_in = await sign_in(census, app_id, "zhang")
    token = signed_in["tokens"]["accessToken"]
    pkce = Pkce()
    begun = await census.mutate(
        "startWecomMobileLink",
        token=token,
        identitySource=identifier,
        codeChallenge=pkce.challenge,
    )
    linked = await census.mutate(
        "linkWecomMobile",
        token=token,
        identitySource=identifier,
        code=house.wecom.approve("zhangsan", examples.OLD_AGENT),
        state=begun["state"],
        codeVerifier=pkce.verifier,
    )
    identity_id = linked["identity"]["id"]
    await census.node(identity_id, "Identity")
    await census.mutate("unlinkMyIdentity", token=token, id="idn_x")
    await census.mutate("unlinkMyIdentity", token=token, id=identity_id)
    change = {"currentPassword": PASSWORD, "newPassword": "another good passphrase"}
    await census.mutate("changeMyPassword", token=token, **change)
    await census.mutate("changeMyPassword", token=token, **change)


async def go_wrong(census: Census, house: House, app_id: str, source_id: str) -> None:
    """Refusals, one that says how long to wait, and a source with a problem."""
    refused = [await sign_in(census, app_id, "nobody") for _ in range(11)]
    assert refused[-1]["code"] == "RATE_LIMITED"
    await census.administer(
        "updateWecomMobileIdentitySource", id=source_id, secret="a-wrong-secret"
    )
    tested = await census.administer("testIdentitySource", id=source_id)
    assert tested["identitySource"]["problem"]["wecomErrorCode"] == 40001
    await census.administer("testIdentitySource", id="src_x")
    await wecom_login(census, house, app_id, "acme", "zhangsan")


async def look_around(
    census: Census, house: House, app_id: str, source_id: str, user_id: str
) -> None:
    """Every list and every way to find one thing."""
    made = await census.administer(
        "createApiKey", name="old", role="VIEWER", expiresAt="2099-01-01T00:00:00Z"
    )
    await census.administer("createApiKey", name="", role="VIEWER")
    key_id = made["apiKey"]["id"]
    await census.query("app", token=made["secret"], id=app_id)
    await census.administer("revokeApiKey", id=key_id)
    await census.administer("revokeApiKey", id="key_x")
    await census.query("apiKeys")
    await census.query("identitySource", id=source_id)
    await census.query("identitySources", first=3)
    await census.query("apps", first=3)
    await census.query("user", id=user_id)
    await census.query("users", first=3)
    await census.query("identity", issuer=examples.HEFU, subject="alice.smith")
    events = await census.query("auditEvents", first=100)
    await census.query(
        "auditEvents",
        first=10,
        after=events["pageInfo"]["endCursor"],
    )
    await census.query("node", id=app_id)
    await census.query("nodes", ids=[app_id, source_id, user_id])
    for id, type_ in (
        (source_id, "WecomMobileIdentitySource"),
        (app_id, "App"),
        (user_id, "User"),
        (key_id, "ApiKey"),
        (events["nodes"][0]["id"], "AuditEvent"),
    ):
        await census.node(id, type_)
    question = {"identitySourceId": source_id, "appId": app_id}
    await census.query("previewBinding", input={**question, "wecomUserId": "LiSi"})
    refused = {"mode": "NONE"}
    await census.query(
        "previewBinding",
        input={
            **question,
            "wecomUserId": "x",
            "loginOnly": True,
            "accountAssociation": refused,
        },
    )
    await census.query("previewBinding", input={**question, "wecomUserId": "!"})


async def clean_up(census: Census, app_id: str, source_id: str, user_id: str) -> None:
    identity = await census.query(
        "identity", issuer=examples.HEFU, subject="alice.smith"
    )
    await census.administer("unlinkIdentity", id=identity["id"])
    await census.administer("unlinkIdentity", id=identity["id"])
    pair = {"appId": app_id, "identitySourceId": source_id}
    await census.administer("dissociateApp", **pair)
    for mutation, id in (
        ("deleteUser", user_id),
        ("deleteIdentitySource", source_id),
        ("deleteApp", app_id),
    ):
        assert (await census.administer(mutation, id=id))["deletedId"] == id
        assert (await census.administer(mutation, id=id))["errors"]
