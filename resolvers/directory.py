"""Single objects, and what anybody may ask."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, cast

import strawberry
from tortoise.models import Model

import models
from schema.api_key import ApiKey
from schema.app import App
from schema.audit_event import AuditEvent
from schema.context import Info
from schema.identity import Identity
from schema.identity_source import (
    IdentitySource,
    IdentitySourceKind,
    LoginOption,
    WecomMobileIdentitySource,
    WecomMobileLoginOption,
)
from schema.node import Node, Viewer
from schema.session import Session
from schema.user import User
from services.errors import Forbidden

NODES: Mapping[type[Model], Callable[[Any, Viewer], Node]] = {
    models.IdentitySource: WecomMobileIdentitySource.of,
    models.App: App.of,
    models.User: User.of,
    models.Identity: Identity.of,
    models.Session: Session.of,
    models.ApiKey: lambda key, _: ApiKey.of(key),
    models.AuditEvent: lambda event, _: AuditEvent.of(event),
}


async def login_options(
    info: Info,
    app_id: Annotated[
        strawberry.ID, strawberry.argument(description="The app's id (`app_…`).")
    ],
) -> list[LoginOption]:
    sources = await info.context.services.directory.login_options(
        info.context.caller, app_id
    )
    return [WecomMobileLoginOption.of(source) for source in sources]


def me(info: Info) -> User | None:
    caller = info.context.caller
    user = info.context.services.directory.me(caller)
    return User.of(user, Viewer.of(caller)) if user else None


async def node(
    info: Info,
    id: Annotated[
        strawberry.ID, strawberry.argument(description="The id of whatever it is.")
    ],
) -> Node | None:
    [found] = await _nodes(info, [id])
    if isinstance(found, Forbidden):
        raise found
    return found


async def nodes(
    info: Info,
    ids: Annotated[
        list[strawberry.ID],
        strawberry.argument(description="The ids, of any types and in any order."),
    ],
) -> list[Node | None]:
    # An exception in a list is that item's error alone.
    return cast("list[Node | None]", await _nodes(info, ids))


async def identity_source_kinds(info: Info) -> list[IdentitySourceKind]:
    caller = info.context.caller
    language = caller.origin.language
    return [
        IdentitySourceKind(
            type_name=kind.type_name,
            provider=kind.provider,
            display_name=kind.display_name(language),
            description=kind.description(language),
        )
        for kind in info.context.services.directory.kinds(caller)
    ]


async def identity_source(
    info: Info,
    *,
    id: Annotated[
        strawberry.ID | None,
        strawberry.argument(description="The source's id (`src_…`)."),
    ] = strawberry.UNSET,
    identifier: Annotated[
        str | None,
        strawberry.argument(description="The source's identifier, e.g. `acme-wecom`."),
    ] = strawberry.UNSET,
) -> IdentitySource | None:
    caller = info.context.caller
    source = await info.context.services.directory.identity_source(
        caller, **_given(id=id, identifier=identifier)
    )
    viewer = Viewer.of(caller)
    return WecomMobileIdentitySource.of(source, viewer) if source else None


async def app(
    info: Info,
    id: Annotated[
        strawberry.ID, strawberry.argument(description="The app's id (`app_…`).")
    ],
) -> App | None:
    caller = info.context.caller
    app = await info.context.services.directory.app(caller, id)
    return App.of(app, Viewer.of(caller)) if app else None


async def user(
    info: Info,
    *,
    id: Annotated[
        strawberry.ID | None,
        strawberry.argument(description="The account's id (`usr_…`)."),
    ] = strawberry.UNSET,
    username: Annotated[
        str | None, strawberry.argument(description="The username, in any case.")
    ] = strawberry.UNSET,
    email: Annotated[
        str | None,
        strawberry.argument(
            description="The e-mail, in any case. Of several accounts that give it: the"
            " one that has it verified, or else the oldest."
        ),
    ] = strawberry.UNSET,
    phone: Annotated[
        str | None,
        strawberry.argument(
            description="The phone, e.g. `+8613800000000`. Of several accounts that"
            " give it: the one that has it verified, or else the oldest."
        ),
    ] = strawberry.UNSET,
    external_id: Annotated[
        str | None,
        strawberry.argument(description="The id in another system, in any case."),
    ] = strawberry.UNSET,
) -> User | None:
    caller = info.context.caller
    user = await info.context.services.directory.user(
        caller,
        **_given(
            id=id,
            username=username,
            email=email,
            phone=phone,
            externalId=external_id,
        ),
    )
    return User.of(user, Viewer.of(caller)) if user else None


async def identity(
    info: Info,
    *,
    issuer: Annotated[
        str, strawberry.argument(description="Whose member it is: WeCom's CorpID.")
    ],
    subject: Annotated[
        str, strawberry.argument(description="WeCom's userid, in any case.")
    ],
) -> Identity | None:
    caller = info.context.caller
    identity = await info.context.services.directory.identity(caller, issuer, subject)
    return Identity.of(identity, Viewer.of(caller)) if identity else None


async def _nodes(info: Info, ids: list[strawberry.ID]) -> list[Node | Forbidden | None]:
    caller = info.context.caller
    viewer = Viewer.of(caller)
    found = await info.context.services.directory.nodes(caller, ids)
    return [
        NODES[type(each)](each, viewer) if isinstance(each, Model) else each
        for each in found
    ]


def _given(**arguments: str | None) -> dict[str, str | None]:
    return {
        name: None if value is strawberry.UNSET else value
        for name, value in arguments.items()
    }
