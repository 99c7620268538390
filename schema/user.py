from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Annotated, Self
from uuid import UUID

import strawberry

import models
from models import Role, UserStatus, ids
from schema.context import Info
from schema.errors import InputError, no_errors
from schema.inputs import Filled
from schema.node import Node, Viewer
from schema.pages import After, Before, Connection, First, Last, asked
from services.batches import PartOf
from services.lists import UserOrderField
from services.pages import OrderDirection
from services.profiles import newest_picture


async def identities_of(root: strawberry.Parent[User], info: Info) -> list[Identity]:
    found = await info.context.loaders.identities_of_user.load(root.key)
    return [Identity.of(identity, root.viewer) for identity in found]


async def picture_of(root: strawberry.Parent[User], info: Info) -> str | None:
    identities = await info.context.loaders.identities_of_user.load(root.key)
    return newest_picture(identities)


async def sessions_of(
    root: strawberry.Parent[User],
    info: Info,
    *,
    first: First = strawberry.UNSET,
    after: After = strawberry.UNSET,
    last: Last = strawberry.UNSET,
    before: Before = strawberry.UNSET,
    active: Annotated[
        bool | None,
        strawberry.argument(
            description="True: sessions that can be refreshed. False: those that have"
            " ended. Null: all."
        ),
    ] = True,
) -> Connection[Session]:
    loader = info.context.loaders.sessions_of_user
    part = asked(first, after, last, before).of(loader.nested.order)
    key = PartOf(root.key, part, active)
    return Connection.of(
        await loader.load(key),
        Session.of,
        root.viewer,
        count=partial(loader.counts.load, key.whole),
    )


@strawberry.type(description="An account.")
class User(Node):
    id: strawberry.ID = strawberry.field(
        description="The account's id, e.g. `usr_01kb3v5x9gf2tvrzc1q0k7m4dh`: the"
        " subject of its access tokens."
    )
    username: str | None = strawberry.field(
        description="Unique in any case; 2 to 64 of letters, digits, '_', '-' and '.'."
    )
    display_name: str | None = strawberry.field(
        description="What to call the person: 1 to 64 characters."
    )
    email: str | None = strawberry.field(
        description="Up to 254 characters. It serves to sign in and to be matched only"
        " once it is verified."
    )
    email_verified: bool = strawberry.field(
        description="Whether somebody made sure that the address is the person's."
    )
    phone: str | None = strawberry.field(description="E.164, e.g. `+8613800000000`.")
    phone_verified: bool = strawberry.field(
        description="Whether somebody made sure that the number is the person's."
    )
    external_id: str | None = strawberry.field(
        description="The account's id in another system, e.g. an employee number:"
        " unique in any case."
    )
    avatar_url: str | None = strawberry.field(
        resolver=picture_of,
        description="A picture of the person: what WeCom told of the member who logged"
        " in last, among those linked to the account. Most corps tell none.",
    )
    role: Role = strawberry.field(
        description="What the person may do on the admin API, from apps that have"
        " `adminAccess`."
    )
    status: UserStatus = strawberry.field(
        description="Whether the account may be used."
    )
    has_password: bool = strawberry.field(description="Whether a password is set.")
    identities: list[Identity] = strawberry.field(
        resolver=identities_of,
        description="The outside identities linked to the account, oldest first: at"
        " most one of each corp.",
    )
    sessions: Connection[Session] = strawberry.field(
        resolver=sessions_of,
        description="Where the person is logged in, newest first.",
    )
    created_at: datetime = strawberry.field(description="When it was created.")
    last_login_at: datetime | None = strawberry.field(
        description="When the person last logged in; a refresh is no login. Null:"
        " never."
    )
    key: strawberry.Private[UUID]
    viewer: strawberry.Private[Viewer]

    @classmethod
    def of(cls, user: models.User, viewer: Viewer) -> Self:
        return cls(
            id=strawberry.ID(ids.show(ids.USER, user.id)),
            username=user.username,
            display_name=user.display_name,
            email=user.email,
            email_verified=user.email_verified,
            phone=user.phone,
            phone_verified=user.phone_verified,
            external_id=user.external_id,
            role=user.role,
            status=user.status,
            has_password=user.password_hash is not None,
            created_at=user.created_at,
            last_login_at=user.last_login_at,
            key=user.id,
            viewer=viewer,
        )


UserConnection = Connection[User]


@strawberry.input(description="A new account. None of its fields is needed.")
class CreateUserInput(Filled):
    username: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="Unique in any case; 2 to 64 of letters, digits, '_', '-' and '.'."
        " Case is kept.",
    )
    display_name: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="What to call the person: 1 to 64 characters after trimming.",
    )
    email: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="Up to 254 characters, e.g. `amy@example.com`.",
    )
    email_verified: bool = strawberry.field(
        default=False,
        graphql_type=bool | None,
        description="Whether you made sure that the address is the person's. Verified"
        " addresses are unique, sign in and are matched.",
    )
    phone: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="E.164, e.g. `+8613800000000`; a number without a country code is"
        " taken as China's.",
    )
    phone_verified: bool = strawberry.field(
        default=False,
        graphql_type=bool | None,
        description="Whether you made sure that the number is the person's. Verified"
        " numbers are unique, sign in and are matched.",
    )
    external_id: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="The account's id in another system: unique in any case, up to 128"
        " characters.",
    )
    password: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="8 to 128 characters. Omitted or null: the person has none and"
        " cannot sign in with one.",
    )
    role: Role = strawberry.field(
        default=Role.MEMBER,
        graphql_type=Role | None,
        description="What the person may do on the admin API. Only an OWNER creates"
        " anything above MEMBER.",
    )


@strawberry.input(
    description="Changes to an account. An omitted field stays as it is, and a null"
    " clears it where it may be empty."
)
class UpdateUserInput:
    id: strawberry.ID = strawberry.field(description="The account's id (`usr_…`).")
    username: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="Unique in any case; 2 to 64 of letters, digits, '_', '-' and '.'."
        " Null: none.",
    )
    display_name: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="What to call the person: 1 to 64 characters. Null: none.",
    )
    email: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="Up to 254 characters. A new address is not verified unless"
        " `emailVerified` says so too. Null: none.",
    )
    email_verified: bool | None = strawberry.field(
        default=strawberry.UNSET,
        description="Whether you made sure that the address is the person's.",
    )
    phone: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="E.164, e.g. `+8613800000000`. A new number is not verified unless"
        " `phoneVerified` says so too. Null: none.",
    )
    phone_verified: bool | None = strawberry.field(
        default=strawberry.UNSET,
        description="Whether you made sure that the number is the person's.",
    )
    external_id: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="The account's id in another system. Null: none.",
    )
    status: UserStatus | None = strawberry.field(
        default=strawberry.UNSET,
        description="DISABLED ends the person's sessions at once.",
    )
    role: Role | None = strawberry.field(
        default=strawberry.UNSET,
        description="What the person may do on the admin API. Only an OWNER changes it,"
        " and the last OWNER stays.",
    )


@strawberry.type(description="The account as it now is, or why not.")
class UserPayload:
    user: User | None = strawberry.field(
        default=None, description="The account; null where there are errors."
    )
    errors: list[InputError] = strawberry.field(
        default_factory=no_errors, description="Empty where it was done."
    )


@strawberry.input(description="A password for somebody else's account.")
class SetUserPasswordInput:
    id: strawberry.ID = strawberry.field(description="The account's id (`usr_…`).")
    password: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="8 to 128 characters. Null takes the password away, and has to be"
        " said. Either ends all of the account's sessions.",
    )


@strawberry.input(description="The account to delete.")
class DeleteUserInput:
    id: strawberry.ID = strawberry.field(
        description="The account's id (`usr_…`). Its identities and sessions go with"
        " it."
    )


@strawberry.input(description="One's own new password.")
class ChangeMyPasswordInput(Filled):
    current_password: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="The present password. Omitted or null only where there is none"
        " yet; then the login must be less than ten minutes old.",
    )
    new_password: str = strawberry.field(
        description="8 to 128 characters. The account's other sessions end."
    )


@strawberry.type(description="The account with its new password, or why not.")
class ChangeMyPasswordPayload:
    user: User | None = strawberry.field(
        default=None, description="The account; null where there are errors."
    )
    errors: list[InputError] = strawberry.field(
        default_factory=no_errors, description="Empty where the password was changed."
    )


@strawberry.input(description="Which accounts: those that fit all that is given.")
class UserFilter(Filled):
    search: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="The beginning of a username, display name, e-mail, phone or"
        " externalId, in any case.",
    )
    status: UserStatus | None = strawberry.field(
        default=strawberry.UNSET, description="Only accounts of this status."
    )
    role: Role | None = strawberry.field(
        default=strawberry.UNSET, description="Only accounts of exactly this role."
    )
    identity_source_id: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET,
        description="Only accounts with an identity last used through this source"
        " (`src_…`).",
    )


@strawberry.input(description="How accounts are ordered; equal ones by creation.")
class UserOrder(Filled):
    field: UserOrderField = strawberry.field(description="What is compared.")
    direction: OrderDirection = strawberry.field(
        default=OrderDirection.ASC,
        graphql_type=OrderDirection | None,
        description="Which way.",
    )


# At the end, since what they name in turn is in this module.
from schema.identity import Identity  # noqa: E402
from schema.session import Session  # noqa: E402
