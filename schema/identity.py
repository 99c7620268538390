from __future__ import annotations

from datetime import datetime
from typing import Any, Self

import strawberry

import models
from models import IdentityProvider, LinkOrigin, ids
from schema.context import Info
from schema.errors import InputError, no_errors
from schema.node import Node, Viewer
from services.errors import Unavailable
from services.profiles import Profile


async def user_of(root: strawberry.Parent[Identity], info: Info) -> User:
    user = await info.context.loaders.user.load(root.row.user_id)
    if user is None:
        # Deleted since its row was read: asked again, nobody meets it.
        raise Unavailable
    return User.of(user, root.viewer)


async def source_of(
    root: strawberry.Parent[Identity], info: Info
) -> IdentitySource | None:
    id = root.row.identity_source_id
    source = await info.context.loaders.identity_source.load(id) if id else None
    return WecomMobileIdentitySource.of(source, root.viewer) if source else None


@strawberry.type(
    description="What WeCom told of a member at their last login. Most corps tell"
    " userid and name only; everything else may be null."
)
class WecomProfile:
    user_id: str = strawberry.field(
        description="The member's userid, as WeCom writes it."
    )
    name: str | None = strawberry.field(description="The member's name.")
    alias: str | None = strawberry.field(description="Another name, often in English.")
    position: str | None = strawberry.field(description="The member's job title.")
    departments: list[int] = strawberry.field(
        description="WeCom's ids of the member's departments; 1 is the whole corp."
    )
    email: str | None = strawberry.field(
        description="An e-mail address. It was told, not verified."
    )
    phone: str | None = strawberry.field(
        description="A phone number in E.164. It was told, not verified."
    )
    avatar_url: str | None = strawberry.field(description="A picture of the member.")

    @classmethod
    def of(cls, profile: Profile) -> Self:
        return cls(
            user_id=profile.user_id,
            name=profile.name,
            alias=profile.alias,
            position=profile.position,
            departments=list(profile.departments),
            email=profile.email or profile.biz_mail,
            phone=profile.phone,
            avatar_url=profile.avatar_url,
        )

    @classmethod
    def stored(cls, fields: dict[str, Any]) -> Self:
        """Of what an identity or a ticket keeps."""
        return cls.of(Profile.stored(fields))


@strawberry.type(
    description="One outside identity linked to an account: unique by provider, issuer"
    " and subject."
)
class Identity(Node):
    id: strawberry.ID = strawberry.field(
        description="The identity's id, e.g. `idn_01kb3v5x9gf2tvrzc1q0k7m4dh`."
    )
    provider: IdentityProvider = strawberry.field(description="Who vouches for it.")
    issuer: str = strawberry.field(description="Whose member it is: WeCom's CorpID.")
    subject: str = strawberry.field(
        description="The member: WeCom's userid, case-folded. `profile.userId` has it"
        " as WeCom writes it."
    )
    user: User = strawberry.field(
        resolver=user_of, description="The account it is linked to."
    )
    identity_source: IdentitySource | None = strawberry.field(
        resolver=source_of,
        description="The source it was last used through; null if that source was"
        " deleted.",
    )
    profile: WecomProfile = strawberry.field(
        description="What WeCom told at the last login."
    )
    linked_at: datetime = strawberry.field(
        description="When it was linked to the account."
    )
    linked_by: LinkOrigin = strawberry.field(description="How it came to the account.")
    last_login_at: datetime | None = strawberry.field(
        description="When somebody last logged in with it; null: never."
    )
    row: strawberry.Private[models.Identity]
    viewer: strawberry.Private[Viewer]

    @classmethod
    def of(cls, identity: models.Identity, viewer: Viewer) -> Self:
        return cls(
            id=strawberry.ID(ids.show(ids.IDENTITY, identity.id)),
            provider=identity.provider,
            issuer=identity.issuer,
            subject=identity.subject,
            profile=WecomProfile.stored(identity.profile),
            linked_at=identity.linked_at,
            linked_by=identity.linked_by,
            last_login_at=identity.last_login_at,
            row=identity,
            viewer=viewer,
        )


@strawberry.input(description="A member to link to an account.")
class LinkIdentityInput:
    user_id: strawberry.ID = strawberry.field(description="The account's id (`usr_…`).")
    identity_source_id: strawberry.ID = strawberry.field(
        description="A source of the member's corp (`src_…`)."
    )
    subject: str = strawberry.field(
        description="The WeCom userid, from the member's page in WeCom's console; case"
        " does not matter."
    )


@strawberry.type(description="The identity that was linked, or why not.")
class LinkIdentityPayload:
    identity: Identity | None = strawberry.field(
        default=None, description="The identity; null where there are errors."
    )
    errors: list[InputError] = strawberry.field(
        default_factory=no_errors, description="Empty where it was linked."
    )


@strawberry.input(description="One of one's own identities, to unlink.")
class UnlinkMyIdentityInput:
    id: strawberry.ID = strawberry.field(
        description="The identity's id (`idn_…`). Refused where it would leave no way"
        " to log in."
    )


@strawberry.input(description="An identity to unlink from its account.")
class UnlinkIdentityInput:
    id: strawberry.ID = strawberry.field(
        description="The identity's id (`idn_…`). Sessions that came through it end."
    )


@strawberry.type(description="The account without the identity, or why not.")
class UnlinkIdentityPayload:
    user: User | None = strawberry.field(
        default=None,
        description="The account that had the identity; null where there are errors.",
    )
    errors: list[InputError] = strawberry.field(
        default_factory=no_errors, description="Empty where it was unlinked."
    )


# At the end, since what they name in turn is in this module.
from schema.identity_source import (  # noqa: E402
    IdentitySource,
    WecomMobileIdentitySource,
)
from schema.user import User  # noqa: E402
