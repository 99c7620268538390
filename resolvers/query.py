"""Everything that can be asked, in the order of the contract."""

from __future__ import annotations

import strawberry

from resolvers import directory, lists, previews
from resolvers.arguments import described_by_type
from resolvers.payloads import errors_as_data
from schema.api_key import ApiKey
from schema.app import App, AppConnection
from schema.audit_event import AuditEventConnection
from schema.binding_preview import PreviewBindingPayload
from schema.identity import Identity
from schema.identity_source import (
    IdentitySource,
    IdentitySourceConnection,
    IdentitySourceKind,
    LoginOption,
)
from schema.node import Node
from schema.user import User, UserConnection


@described_by_type
@errors_as_data
@strawberry.type(description="Everything that can be asked.")
class Query:
    # -- anyone
    login_options: list[LoginOption] = strawberry.field(
        resolver=directory.login_options,
        description="The login buttons of an app, oldest source first; none where the"
        " app is unknown or disabled. For anybody.",
    )
    # -- the holder of an access token
    me: User | None = strawberry.field(
        resolver=directory.me,
        description="Whoever the access token belongs to; null without one, and with an"
        " API key.",
    )
    # -- the admin API: an API key or a signed-in VIEWER and up
    node: Node | None = strawberry.field(
        resolver=directory.node,
        description="Any object by its id; null where there is none. VIEWER; API keys"
        " OWNER.",
    )
    nodes: list[Node | None] = strawberry.field(
        resolver=directory.nodes,
        description="Objects by their ids, in the order of the ids; null where there is"
        " none. VIEWER; API keys OWNER.",
    )
    identity_source_kinds: list[IdentitySourceKind] | None = strawberry.field(
        resolver=directory.identity_source_kinds,
        description="The kinds of source that can be created. VIEWER.",
    )
    identity_source: IdentitySource | None = strawberry.field(
        resolver=directory.identity_source,
        description="A source by its id or its identifier: exactly one argument."
        " VIEWER.",
    )
    identity_sources: IdentitySourceConnection = strawberry.field(
        resolver=lists.identity_sources,
        description="The sources, oldest first unless ordered otherwise. VIEWER.",
    )
    app: App | None = strawberry.field(
        resolver=directory.app, description="An app by its id. VIEWER."
    )
    apps: AppConnection = strawberry.field(
        resolver=lists.apps,
        description="The apps, oldest first unless ordered otherwise. VIEWER.",
    )
    user: User | None = strawberry.field(
        resolver=directory.user,
        description="An account by one of its names: exactly one argument. VIEWER.",
    )
    identity: Identity | None = strawberry.field(
        resolver=directory.identity,
        description="A WeCom member's identity, where it is linked. VIEWER.",
    )
    users: UserConnection = strawberry.field(
        resolver=lists.users,
        description="The accounts, oldest first unless ordered otherwise. VIEWER.",
    )
    audit_events: AuditEventConnection = strawberry.field(
        resolver=lists.audit_events,
        description="What happened, newest first. VIEWER.",
    )
    preview_binding: PreviewBindingPayload | None = strawberry.field(
        resolver=previews.preview_binding,
        description="What a first login of a member would do, and why; nothing is"
        " changed. VIEWER.",
    )
    # -- OWNER
    api_keys: list[ApiKey] | None = strawberry.field(
        resolver=lists.api_keys,
        description="Every API key, oldest first, revoked and expired ones among them."
        " OWNER.",
    )
