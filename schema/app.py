from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Self
from uuid import UUID

import strawberry

import models
from models import ids
from schema.context import Info
from schema.errors import InputError, no_errors
from schema.inputs import Filled
from schema.node import Node, Viewer, only
from schema.pages import After, Before, Connection, First, Last, asked
from services.batches import PartOf
from services.lists import AppOrderField
from services.pages import OrderDirection

# What a person may read of an app that they logged in to.
OPEN = frozenset({"id", "name"})


async def sources_of(
    root: strawberry.Parent[App],
    info: Info,
    *,
    first: First = strawberry.UNSET,
    after: After = strawberry.UNSET,
    last: Last = strawberry.UNSET,
    before: Before = strawberry.UNSET,
) -> Connection[IdentitySource]:
    root.viewer.require_admin()
    loader = info.context.loaders.sources_of_app
    part = asked(first, after, last, before).of(loader.nested.order)
    key = PartOf(root.key, part)
    return Connection.of(
        await loader.load(key),
        WecomMobileIdentitySource.of,
        root.viewer,
        count=partial(loader.counts.load, key.whole),
    )


@strawberry.type(
    description="A mobile app, or an admin frontend, that people log in to."
)
class App(Node):
    id: strawberry.ID = strawberry.field(
        description="The app's id, e.g. `app_01kb3v5x9gf2tvrzc1q0k7m4dh`: also the"
        " client id that a mobile app sends, and the audience of its access tokens."
    )
    name: str = strawberry.field(
        description="What administrators call it: 1 to 64 characters."
    )
    enabled: bool = strawberry.field(
        description="False: nobody logs in to it or refreshes a session of it."
    )
    require_state: bool = strawberry.field(
        description="Whether a login must carry the one-time state that"
        " `startWecomMobileLogin` issued. On unless turned off: without it, a login"
        " code that somebody else obtained can be slipped to a person."
    )
    allow_sign_up: bool = strawberry.field(
        description="False: nobody gets a new account through this app."
    )
    allow_password_sign_in: bool = strawberry.field(
        description="Whether `signInWithPassword` works for this app. Off unless turned"
        " on."
    )
    admin_access: bool = strawberry.field(
        description="Whether an access token for this app carries its account's role on"
        " the admin API. Off unless turned on: elsewhere everybody is a MEMBER."
    )
    access_token_lifetime: int = strawberry.field(
        description="Seconds that an access token lasts: 60 to 3600, 900 if not set."
    )
    refresh_token_lifetime: int = strawberry.field(
        description="Seconds without a refresh after which the session ends: 3600 to"
        " 31536000 (a year), 2592000 (30 days) if not set."
    )
    session_lifetime: int = strawberry.field(
        description="Seconds after the login at which the session ends whatever"
        " happens: 3600 to 31536000 (a year), 15552000 (180 days) if not set."
    )
    identity_sources: Connection[IdentitySource] = strawberry.field(
        resolver=sources_of,
        description="The sources associated with the app, oldest first.",
    )
    created_at: datetime = strawberry.field(description="When it was created.")
    updated_at: datetime = strawberry.field(
        description="When its settings last changed."
    )
    key: strawberry.Private[UUID]
    viewer: strawberry.Private[Viewer]

    @classmethod
    def of(cls, app: models.App, viewer: Viewer) -> Self:
        whole = cls(
            id=strawberry.ID(ids.show(ids.APP, app.id)),
            name=app.name,
            enabled=app.enabled,
            require_state=app.require_state,
            allow_sign_up=app.allow_sign_up,
            allow_password_sign_in=app.allow_password_sign_in,
            admin_access=app.admin_access,
            access_token_lifetime=app.access_token_lifetime,
            refresh_token_lifetime=app.refresh_token_lifetime,
            session_lifetime=app.session_lifetime,
            created_at=app.created_at,
            updated_at=app.updated_at,
            key=app.id,
            viewer=viewer,
        )
        return whole if viewer.is_admin else only(OPEN, whole)


AppConnection = Connection[App]


@strawberry.input(description="A new app. It is associated with no identity source.")
class CreateAppInput(Filled):
    name: str = strawberry.field(
        description="What administrators call it: 1 to 64 characters after trimming, no"
        " control characters. Names need not be unique."
    )
    enabled: bool = strawberry.field(
        default=True,
        graphql_type=bool | None,
        description="False: nobody can log in to it yet.",
    )
    require_state: bool = strawberry.field(
        default=True,
        graphql_type=bool | None,
        description="Whether a login must carry the one-time state that"
        " `startWecomMobileLogin` issued. Turn it off only for an app that cannot call"
        " it.",
    )
    allow_sign_up: bool = strawberry.field(
        default=True,
        graphql_type=bool | None,
        description="False: nobody gets a new account through this app.",
    )
    allow_password_sign_in: bool = strawberry.field(
        default=False,
        graphql_type=bool | None,
        description="Whether `signInWithPassword` works for this app.",
    )
    admin_access: bool = strawberry.field(
        default=False,
        graphql_type=bool | None,
        description="Whether an access token for this app carries its account's role on"
        " the admin API. For admin frontends: any other app's back end could replay its"
        " users' tokens here.",
    )
    access_token_lifetime: int | None = strawberry.field(
        default=strawberry.UNSET,
        description="Seconds that an access token lasts: 60 to 3600. Omitted or null:"
        " 900.",
    )
    refresh_token_lifetime: int | None = strawberry.field(
        default=strawberry.UNSET,
        description="Seconds without a refresh after which a session ends: 3600 to"
        " 31536000. Omitted or null: 2592000 (30 days).",
    )
    session_lifetime: int | None = strawberry.field(
        default=strawberry.UNSET,
        description="Seconds after its login at which a session ends whatever happens:"
        " 3600 to 31536000. Omitted or null: 15552000 (180 days).",
    )


@strawberry.input(
    description="Changes to an app. An omitted field stays as it is; null puts a"
    " lifetime back to its default and is refused elsewhere."
)
class UpdateAppInput:
    id: strawberry.ID = strawberry.field(description="The app's id (`app_…`).")
    name: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="What administrators call it: 1 to 64 characters after trimming.",
    )
    enabled: bool | None = strawberry.field(
        default=strawberry.UNSET,
        description="False: nobody logs in to it, and its sessions end at once.",
    )
    require_state: bool | None = strawberry.field(
        default=strawberry.UNSET,
        description="Whether a login must carry a one-time state.",
    )
    allow_sign_up: bool | None = strawberry.field(
        default=strawberry.UNSET,
        description="False: nobody gets a new account through this app.",
    )
    allow_password_sign_in: bool | None = strawberry.field(
        default=strawberry.UNSET,
        description="Whether `signInWithPassword` works for this app.",
    )
    admin_access: bool | None = strawberry.field(
        default=strawberry.UNSET,
        description="Whether an access token for this app carries its account's role on"
        " the admin API.",
    )
    access_token_lifetime: int | None = strawberry.field(
        default=strawberry.UNSET,
        description="Seconds that an access token lasts: 60 to 3600. Null: 900.",
    )
    refresh_token_lifetime: int | None = strawberry.field(
        default=strawberry.UNSET,
        description="Seconds without a refresh after which a session ends: 3600 to"
        " 31536000. Null: 2592000 (30 days).",
    )
    session_lifetime: int | None = strawberry.field(
        default=strawberry.UNSET,
        description="Seconds after its login at which a session ends whatever happens:"
        " 3600 to 31536000. Null: 15552000 (180 days).",
    )


@strawberry.input(description="The app to delete.")
class DeleteAppInput:
    id: strawberry.ID = strawberry.field(
        description="The app's id (`app_…`). Its sessions end with it."
    )


@strawberry.input(description="An app, and a source that shall or shall not serve it.")
class AppAssociationInput:
    app_id: strawberry.ID = strawberry.field(description="The app's id (`app_…`).")
    identity_source_id: strawberry.ID = strawberry.field(
        description="The source's id (`src_…`)."
    )


@strawberry.type(description="The app as it now is, or why not.")
class AppPayload:
    app: App | None = strawberry.field(
        default=None, description="The app; null where there are errors."
    )
    errors: list[InputError] = strawberry.field(
        default_factory=no_errors, description="Empty where it was done."
    )


@strawberry.type(description="The app and the source as they now are, or why not.")
class AppAssociationPayload:
    app: App | None = strawberry.field(
        default=None, description="The app; null where there are errors."
    )
    identity_source: IdentitySource | None = strawberry.field(
        default=None, description="The source; null where there are errors."
    )
    errors: list[InputError] = strawberry.field(
        default_factory=no_errors,
        description="Empty where it was done. Associating what is associated already,"
        " or dissociating what is not, is done too.",
    )


@strawberry.input(description="Which apps: those that fit all that is given.")
class AppFilter(Filled):
    search: str | None = strawberry.field(
        default=strawberry.UNSET, description="Part of the name, in any case."
    )
    enabled: bool | None = strawberry.field(
        default=strawberry.UNSET, description="Only enabled, or only disabled, apps."
    )
    identity_source_id: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET,
        description="Only apps associated with this source (`src_…`).",
    )


@strawberry.input(description="How apps are ordered; equal ones by age, the same way.")
class AppOrder(Filled):
    field: AppOrderField = strawberry.field(description="What is compared.")
    direction: OrderDirection = strawberry.field(
        default=OrderDirection.ASC,
        graphql_type=OrderDirection | None,
        description="Which way.",
    )


# At the end, since what they name in turn is in this module.
from schema.identity_source import (  # noqa: E402
    IdentitySource,
    WecomMobileIdentitySource,
)
