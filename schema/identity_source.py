from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Self
from uuid import UUID

import strawberry

import models
from models import (
    AccountAssociationMode,
    BindingMethod,
    IdentityProvider,
    MatchField,
    ids,
)
from schema.context import Info
from schema.errors import InputError, InputWarning, no_errors
from schema.inputs import Filled
from schema.node import Node, Viewer, only
from schema.pages import After, Before, Connection, First, Last, asked
from services import problems
from services.batches import PartOf
from services.lists import IdentitySourceOrderField
from services.pages import OrderDirection

# What a person may read of a source that they logged in through.
OPEN = frozenset({"id", "identifier", "display_name", "corp_id", "agent_id", "schema"})


async def apps_of(
    root: strawberry.Parent[IdentitySource],
    info: Info,
    *,
    first: First = strawberry.UNSET,
    after: After = strawberry.UNSET,
    last: Last = strawberry.UNSET,
    before: Before = strawberry.UNSET,
) -> Connection[App]:
    root.viewer.require_admin()
    loader = info.context.loaders.apps_of_source
    part = asked(first, after, last, before).of(loader.nested.order)
    key = PartOf(root.key, part)
    return Connection.of(
        await loader.load(key),
        App.of,
        root.viewer,
        count=partial(loader.counts.load, key.whole),
    )


@strawberry.type(
    description="Which account a person gets at their first login through a source."
)
class AccountAssociation:
    mode: AccountAssociationMode = strawberry.field(
        description="What happens at a first login."
    )
    match_fields: list[MatchField] = strawberry.field(
        description="FIELD_MATCHING: the fields compared, in no order of preference:"
        " two hits of different accounts are a conflict. Empty in other modes unless"
        " set before."
    )
    binding_methods: list[BindingMethod] = strawberry.field(
        description="ASK_TO_BIND: how a person may prove an existing account to be"
        " theirs."
    )
    match_across_corps: bool = strawberry.field(
        description="FIELD_MATCHING: whether an account that already belongs to another"
        " corp may be matched."
    )

    @classmethod
    def of(cls, source: models.IdentitySource) -> Self:
        return cls.told(
            source.association_mode,
            source.match_fields,
            source.binding_methods,
            source.match_across_corps,
        )

    @classmethod
    def told(
        cls,
        mode: AccountAssociationMode,
        fields: str,
        methods: str,
        across: bool,
    ) -> Self:
        """Of what the columns of a source hold."""
        return cls(
            mode=mode,
            match_fields=[MatchField(name) for name in _names(fields)],
            binding_methods=[BindingMethod(name) for name in _names(methods)],
            match_across_corps=across,
        )


@strawberry.interface(
    description="How a third-party login method is configured. WeCom Mobile is the"
    " first kind; others will implement this too."
)
class IdentitySource(Node):
    id: strawberry.ID = strawberry.field(
        description="The source's id, e.g. `src_01kb3v5x9gf2tvrzc1q0k7m4dh`."
    )
    identifier: str = strawberry.field(
        description="What mobile apps name it by, e.g. `acme-wecom`. Unique; lowercase"
        " letters, digits and '-'; 1 to 31 characters; cannot change once set."
    )
    display_name: str = strawberry.field(
        description="Shown on the login button: 1 to 64 characters."
    )
    enabled: bool = strawberry.field(
        description="False: nobody logs in through it, and sessions that came through"
        " it are not refreshed until it is enabled again."
    )
    login_only: bool = strawberry.field(
        description="Login-only mode: only existing accounts may log in; none is"
        " created."
    )
    account_association: AccountAssociation = strawberry.field(
        description="Which account a person gets at their first login."
    )
    apps: Connection[App] = strawberry.field(
        resolver=apps_of,
        description="The apps this source is associated with, oldest first. A new"
        " source is associated with none, so it serves none.",
    )
    created_at: datetime = strawberry.field(description="When it was created.")
    updated_at: datetime = strawberry.field(
        description="When its settings last changed."
    )
    key: strawberry.Private[UUID]
    viewer: strawberry.Private[Viewer]


def message(root: strawberry.Parent[IdentitySourceProblem], info: Info) -> str:
    language = info.context.caller.origin.language
    return problems.message(root.wecom_error_code, language, address=root.address)


@strawberry.type(description="What WeCom last refused a source's settings with.")
class IdentitySourceProblem:
    wecom_error_code: int = strawberry.field(
        description="WeCom's errcode, e.g. 40001 for a wrong secret."
    )
    since: datetime = strawberry.field(
        description="When WeCom began to refuse these settings."
    )
    message: str = strawberry.field(
        resolver=message,
        description="What it means and what to do, in the language of the request's"
        " Accept-Language.",
    )
    address: strawberry.Private[str | None]

    @classmethod
    def of(cls, source: models.IdentitySource) -> Self | None:
        return cls.told(
            source.problem_code, source.problem_since, source.problem_address
        )

    @classmethod
    def told(
        cls, code: int | None, since: datetime | None, address: str | None
    ) -> Self | None:
        """Of what the columns of a source hold."""
        if code is None or since is None:
            return None
        return cls(wecom_error_code=code, since=since, address=address)


@strawberry.type(
    description="Login with WeCom (企业微信) from a mobile app: the person approves in"
    " the WeCom app on the same phone."
)
class WecomMobileIdentitySource(IdentitySource):
    corp_id: str = strawberry.field(
        description="Enterprise ID (CorpID), from WeCom's console under 我的企业, e.g."
        " `ww1234567890abcdef`. Cannot change once set: identities belong to a corp."
    )
    agent_id: str = strawberry.field(
        description="AgentId of the WeCom app, from its page in WeCom's console, e.g."
        " `1000012`."
    )
    schema: str = strawberry.field(
        description="The app's URL scheme from WeCom's 'authorized login' page, e.g."
        " `wwauth1e933be11645237c000012`."
    )
    secret_hint: str = strawberry.field(
        description="The last four characters of the secret. The secret itself is never"
        " returned."
    )
    secret_updated_at: datetime = strawberry.field(
        description="When the secret was last set."
    )
    problem: IdentitySourceProblem | None = strawberry.field(
        description="What WeCom last refused these settings with; null while it refuses"
        " nothing. Changed settings and a passing `testIdentitySource` clear it."
    )

    @classmethod
    def of(cls, source: models.IdentitySource, viewer: Viewer) -> Self:
        whole = cls(
            id=strawberry.ID(ids.show(ids.SOURCE, source.id)),
            identifier=source.identifier,
            display_name=source.display_name,
            enabled=source.enabled,
            login_only=source.login_only,
            account_association=AccountAssociation.of(source),
            created_at=source.created_at,
            updated_at=source.updated_at,
            corp_id=source.corp_id,
            agent_id=source.agent_id,
            schema=source.schema,
            secret_hint=source.secret_hint,
            secret_updated_at=source.secret_updated_at,
            problem=IdentitySourceProblem.of(source),
            key=source.id,
            viewer=viewer,
        )
        return whole if viewer.is_admin else only(OPEN, whole)


IdentitySourceConnection = Connection[IdentitySource]


@strawberry.type(
    description="A kind of source: what the page 'select an identity source' offers."
)
class IdentitySourceKind:
    type_name: str = strawberry.field(
        description="The name of the type that implements IdentitySource, e.g."
        " `WecomMobileIdentitySource`; its mutations are named after it."
    )
    provider: IdentityProvider = strawberry.field(description="Who vouches for people.")
    display_name: str = strawberry.field(
        description="What to call it, in the language of the request's Accept-Language."
    )
    description: str = strawberry.field(
        description="What it does, in one sentence, in the language of the request's"
        " Accept-Language."
    )


@strawberry.interface(
    description="A login button, and what its SDK needs when the app starts."
)
class LoginOption:
    identity_source: str = strawberry.field(
        description="The source's identifier: what `startWecomMobileLogin` wants."
    )
    display_name: str = strawberry.field(description="What stands on the button.")
    provider: IdentityProvider = strawberry.field(
        description="Who vouches for the person: which logo to show."
    )


@strawberry.type(description="A button 'log in with WeCom'.")
class WecomMobileLoginOption(LoginOption):
    schema: str = strawberry.field(
        description="The URL scheme that WeCom's SDK is registered with, e.g."
        " `wwauth1e933be11645237c000012`."
    )
    corp_id: str = strawberry.field(description="The CorpID that the SDK wants.")
    agent_id: str = strawberry.field(description="The AgentId that the SDK wants.")

    @classmethod
    def of(cls, source: models.IdentitySource) -> Self:
        return cls(
            identity_source=source.identifier,
            display_name=source.display_name,
            provider=IdentityProvider.WECOM,
            schema=source.schema,
            corp_id=source.corp_id,
            agent_id=source.agent_id,
        )


@strawberry.input(
    description="Which account a person gets at their first login. It replaces the"
    " former setting as a whole."
)
class AccountAssociationInput(Filled):
    mode: AccountAssociationMode = strawberry.field(
        description="What happens at a first login."
    )
    match_fields: list[MatchField] | None = strawberry.field(
        default=strawberry.UNSET,
        description="FIELD_MATCHING: the fields to compare, at least one. Prefer EMAIL"
        " and PHONE: only verified addresses are compared.",
    )
    binding_methods: list[BindingMethod] | None = strawberry.field(
        default=strawberry.UNSET,
        description="ASK_TO_BIND: how a person may prove an existing account to be"
        " theirs, at least one.",
    )
    match_across_corps: bool = strawberry.field(
        default=False,
        graphql_type=bool | None,
        description="FIELD_MATCHING: whether an account that already belongs to another"
        " corp may be matched. Leave it off unless all corps trust one another.",
    )


@strawberry.input(description="A new WeCom Mobile source.")
class CreateWecomMobileIdentitySourceInput(Filled):
    identifier: str = strawberry.field(
        description="What mobile apps name it by, e.g. `acme-wecom`. Unique; lowercase"
        " letters, digits and '-'; 1 to 31 characters; cannot change once set."
    )
    display_name: str = strawberry.field(
        description="Shown on the login button: 1 to 64 characters, e.g. `企业微信`."
    )
    corp_id: str = strawberry.field(
        description="Enterprise ID (CorpID), from WeCom's console under 我的企业, e.g."
        " `ww1234567890abcdef`. Cannot change once set."
    )
    agent_id: str = strawberry.field(
        description="AgentId of the WeCom app, from its page in WeCom's console, e.g."
        " `1000012`."
    )
    secret: str = strawberry.field(
        description="Secret of the WeCom app, from the same page. It is stored"
        " encrypted and never returned."
    )
    schema: str = strawberry.field(
        description="The app's URL scheme from WeCom's 'authorized login' page, e.g."
        " `wwauth1e933be11645237c000012`."
    )
    login_only: bool = strawberry.field(
        default=False,
        graphql_type=bool | None,
        description="Login-only mode: only existing accounts may log in; none is"
        " created.",
    )
    account_association: AccountAssociationInput | None = strawberry.field(
        default=strawberry.UNSET,
        description="Which account a person gets at their first login. Omitted or null:"
        " mode NONE, a new one.",
    )
    enabled: bool = strawberry.field(
        default=True,
        graphql_type=bool | None,
        description="False: nobody logs in through it yet.",
    )


@strawberry.input(
    description="Changes to a WeCom Mobile source. An omitted field stays as it is."
)
class UpdateWecomMobileIdentitySourceInput:
    id: strawberry.ID = strawberry.field(description="The source's id (`src_…`).")
    display_name: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="Shown on the login button: 1 to 64 characters.",
    )
    agent_id: str | None = strawberry.field(
        default=strawberry.UNSET, description="AgentId of the WeCom app."
    )
    secret: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="Secret of the WeCom app. Omitted or null: the secret stays.",
    )
    schema: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="The app's URL scheme from WeCom's 'authorized login' page.",
    )
    login_only: bool | None = strawberry.field(
        default=strawberry.UNSET,
        description="Login-only mode: only existing accounts may log in.",
    )
    account_association: AccountAssociationInput | None = strawberry.field(
        default=strawberry.UNSET,
        description="Which account a person gets at their first login. It replaces the"
        " former setting as a whole.",
    )
    enabled: bool | None = strawberry.field(
        default=strawberry.UNSET,
        description="False: nobody logs in through it, and sessions that came through"
        " it are not refreshed until it is enabled again.",
    )


@strawberry.type(description="The source as it now is, or why not.")
class WecomMobileIdentitySourcePayload:
    identity_source: WecomMobileIdentitySource | None = strawberry.field(
        default=None, description="The source; null where there are errors."
    )
    errors: list[InputError] = strawberry.field(
        default_factory=no_errors, description="Empty where it was saved."
    )
    warnings: list[InputWarning] = strawberry.field(
        default_factory=list[InputWarning],
        description="It was saved, but look at these.",
    )


@strawberry.input(description="The source whose settings to try.")
class TestIdentitySourceInput(Filled):
    # pytest takes a class of this name for a test.
    __test__ = False

    id: strawberry.ID = strawberry.field(description="The source's id (`src_…`).")
    wecom_user_id: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="The userid of a member to read, for PROFILE_FIELDS; without one"
        " that check is SKIPPED.",
    )


@strawberry.input(description="The source to delete.")
class DeleteIdentitySourceInput:
    id: strawberry.ID = strawberry.field(
        description="The source's id (`src_…`). Its identities stay with their corp and"
        " serve any other source of that corp."
    )


@strawberry.type(description="What was deleted, or why not.")
class DeletePayload:
    deleted_id: strawberry.ID | None = strawberry.field(
        default=None,
        description="The id of what is gone; null where there are errors.",
    )
    errors: list[InputError] = strawberry.field(
        default_factory=no_errors, description="Empty where it was deleted."
    )


@strawberry.input(
    description="Which identity sources: those that fit all that is given."
)
class IdentitySourceFilter(Filled):
    search: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="Part of the identifier or display name, in any case.",
    )
    enabled: bool | None = strawberry.field(
        default=strawberry.UNSET,
        description="Only enabled, or only disabled, sources.",
    )
    corp_id: str | None = strawberry.field(
        default=strawberry.UNSET, description="Only sources of this corp: the CorpID."
    )
    app_id: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET,
        description="Only sources associated with this app (`app_…`).",
    )


@strawberry.input(description="How identity sources are ordered.")
class IdentitySourceOrder(Filled):
    field: IdentitySourceOrderField = strawberry.field(description="What is compared.")
    direction: OrderDirection = strawberry.field(
        default=OrderDirection.ASC,
        graphql_type=OrderDirection | None,
        description="Which way.",
    )


def _names(text: str) -> list[str]:
    return text.split(",") if text else []


# At the end, since what they name in turn is in this module.
from schema.app import App  # noqa: E402
