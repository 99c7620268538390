"""The example operations, run as clients run them, and what they leave behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from models import (
    AuditEvent,
    BindingTicket,
    Identity,
    Role,
    Session,
    User,
    ids,
)
from tests.house import Entrance, House, Json, Pkce
from wecom.agent import Agent
from wecom.sandbox import examples

FOLDER = Path(__file__).parent.parent / "graphql" / "operations"

PASSWORD = "correct horse battery staple"


async def run(
    house: House, name: str, input: Json, *, token: str | None = None, **headers: str
) -> Json:
    """What the operation of that file answers."""
    document = (FOLDER / f"{name}.graphql").read_text("utf-8")
    data = await house.data(document, {"input": input}, token=token, **headers)
    [payload] = data.values()
    return dict(payload)


async def administer(
    house: House, name: str, input: Json, *, role: Role = Role.OWNER
) -> Json:
    """An operation of the admin API, which must succeed."""
    payload = await run(house, f"admin/{name}", input, token=await house.key(role))
    assert payload["errors"] == [], payload
    return payload


async def account(house: House, **fields: Any) -> str:
    """A new account's id."""
    payload = await administer(house, "create_user", fields)
    id: str = payload["user"]["id"]
    return id


async def change(house: House, user_id: str, **fields: Any) -> None:
    await administer(house, "update_user", {"id": user_id, **fields})


async def link(
    house: House, user_id: str, subject: str, *, agent: Agent = examples.AGENT
) -> str:
    """A member linked by an administrator; the identity's id."""
    source_id = await house.source(agent=agent)
    payload = await administer(
        house,
        "link_identity",
        {"userId": user_id, "identitySourceId": source_id, "subject": subject},
    )
    id: str = payload["identity"]["id"]
    return id


async def asking(house: House, **rules: Any) -> Entrance:
    """An entrance that asks to bind, by every method unless said otherwise."""
    methods = rules.pop(
        "methods", ["USERNAME_PASSWORD", "EMAIL_PASSWORD", "PHONE_PASSWORD"]
    )
    association = {"mode": "ASK_TO_BIND", "bindingMethods": methods}
    return await house.entrance(accountAssociation=association, **rules)


async def matching(house: House, *fields: str, **rules: Any) -> Entrance:
    """An entrance that matches by `fields`; its WeCom app tells e-mail and phone."""
    association = {
        "mode": "FIELD_MATCHING",
        "matchFields": list(fields),
        "matchAcrossCorps": rules.pop("across", False),
    }
    rules = {"agent": examples.OLD_AGENT, **rules}
    return await house.entrance(accountAssociation=association, **rules)


async def come(
    entrance: Entrance, userid: str = "zhangsan", agent: Agent = examples.OLD_AGENT
) -> Json:
    """A login through an entrance of `matching`."""
    return await entrance.log_in(userid, agent=agent)


async def ticket(entrance: Entrance, userid: str = "zhangsan", **how: Any) -> str:
    """What a first login through an entrance that asks is given."""
    asked = await entrance.log_in(userid, **how)
    assert asked["__typename"] == "BindingRequired", asked
    text: str = asked["ticket"]
    return text


async def bind(
    entrance: Entrance,
    ticket: str,
    account: str,
    password: str = PASSWORD,
    *,
    method: str = "USERNAME_PASSWORD",
    **headers: str,
) -> Json:
    input = {
        "appId": entrance.app_id,
        "ticket": ticket,
        "method": method,
        "account": account,
        "password": password,
    }
    return await run(entrance.house, "bind_existing_account", input, **headers)


async def bind_new(entrance: Entrance, ticket: str) -> Json:
    input = {"appId": entrance.app_id, "ticket": ticket}
    return await run(entrance.house, "bind_new_account", input)


async def sign_in(
    house: House, app_id: str, account: str, password: str = PASSWORD, **headers: str
) -> Json:
    input = {"appId": app_id, "account": account, "password": password}
    return await run(house, "sign_in_with_password", input, **headers)


async def start_link(entrance: Entrance, token: str, pkce: Pkce) -> Json:
    input = {"identitySource": entrance.identifier, "codeChallenge": pkce.challenge}
    return await run(entrance.house, "start_wecom_mobile_link", input, token=token)


async def present_link(entrance: Entrance, token: str, **input: str) -> Json:
    given = {"identitySource": entrance.identifier, **input}
    return await run(entrance.house, "link_wecom_mobile", given, token=token)


async def link_own(
    entrance: Entrance, token: str, userid: str, *, agent: Agent = examples.AGENT
) -> Json:
    """The whole way: start, approve, present."""
    pkce = Pkce()
    begun = await start_link(entrance, token, pkce)
    if begun["__typename"] == "LoginFailure":
        return begun
    code = entrance.house.wecom.approve(userid, agent)
    return await present_link(
        entrance, token, code=code, state=begun["state"], codeVerifier=pkce.verifier
    )


def token_of(result: Json) -> str:
    assert result["__typename"] == "LoginSuccess", result
    token: str = result["tokens"]["accessToken"]
    return token


def refused(result: Json) -> tuple[str, str]:
    assert result["__typename"] == "LoginFailure", result
    return result["code"], result["retry"]


def problems(payload: Json) -> list[tuple[str, str]]:
    return [(".".join(each["path"]), each["code"]) for each in payload["errors"]]


async def last_event(**filter: Any) -> AuditEvent:
    event = await AuditEvent.filter(**filter).order_by("-id").first()
    assert event, filter
    return event


async def trail() -> list[tuple[str, str | None, str | None]]:
    """Every event of logging in and linking: action, failure, rule."""
    told = ("login.", "link.", "identity.linked", "identity.unlinked")
    return [
        (event.action, event.failure, event.rule)
        for event in await AuditEvent.all().order_by("id")
        if event.action.startswith(told)
    ]


async def standing() -> list[Any]:
    """Everything that a refusal must leave as it was."""
    return [
        await User.all().order_by("id").values(),
        await Identity.all().order_by("id").values(),
        await Session.all().order_by("id").values("id", "revoked_at"),
        await BindingTicket.all().order_by("digest").values("digest", "used_at"),
    ]


async def stored(user_id: str) -> User:
    return await User.get(id=ids.read(ids.USER, user_id))
