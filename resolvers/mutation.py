"""Everything that changes something, in the order of the contract."""

from __future__ import annotations

import strawberry

from resolvers import (
    api_keys,
    apps,
    identity_sources,
    linking,
    login,
    passwords,
    sessions,
    users,
)
from resolvers.arguments import described_by_type
from resolvers.payloads import errors_as_data
from schema.api_key import ApiKeyPayload, CreateApiKeyPayload
from schema.app import AppAssociationPayload, AppPayload
from schema.connection_report import TestIdentitySourcePayload
from schema.identity import LinkIdentityPayload, UnlinkIdentityPayload
from schema.identity_source import DeletePayload, WecomMobileIdentitySourcePayload
from schema.login import (
    LinkIdentityResult,
    LoginResult,
    RefreshSessionResult,
    StartWecomMobileLoginResult,
)
from schema.session import (
    RevokeSessionPayload,
    RevokeSessionsPayload,
    SignOutPayload,
)
from schema.user import ChangeMyPasswordPayload, UserPayload


@described_by_type
@errors_as_data
@strawberry.type(description="Everything that changes something.")
class Mutation:
    # -- anyone: mobile apps
    start_wecom_mobile_login: StartWecomMobileLoginResult = strawberry.mutation(
        resolver=login.start_wecom_mobile,
        description="Begin a login with WeCom: what the SDK wants, and a one-time state"
        " bound to a verifier that stays on the device.",
    )
    wecom_mobile_login: LoginResult = strawberry.mutation(
        resolver=login.wecom_mobile,
        description="Exchange the code that WeCom's app gave for a session. Where the"
        " answer got lost, the very same request is answered the same for a minute.",
    )
    bind_existing_account: LoginResult = strawberry.mutation(
        resolver=login.bind_existing_account,
        description="After BindingRequired: log in to an account that the person proves"
        " to be theirs, and link it.",
    )
    bind_new_account: LoginResult = strawberry.mutation(
        resolver=login.bind_new_account,
        description="After BindingRequired: log in to a new account.",
    )
    sign_in_with_password: LoginResult = strawberry.mutation(
        resolver=login.sign_in_with_password,
        description="Log in without WeCom, where the app allows it.",
    )
    refresh_session: RefreshSessionResult = strawberry.mutation(
        resolver=login.refresh_session,
        description="Replace the tokens of a session. Everything that the session rests"
        " on is looked at again.",
    )
    # -- the holder of an access token
    sign_out: SignOutPayload = strawberry.mutation(
        resolver=sessions.sign_out,
        description="End the access token's session, or, with no live token, the"
        " refresh token's.",
    )
    revoke_my_session: RevokeSessionPayload = strawberry.mutation(
        resolver=sessions.revoke_mine,
        description="End one of one's own sessions: that of a lost phone, say.",
    )
    start_wecom_mobile_link: StartWecomMobileLoginResult = strawberry.mutation(
        resolver=linking.start_wecom_mobile,
        description="Begin to link a WeCom member to one's own account. Wants a login"
        " less than ten minutes old.",
    )
    link_wecom_mobile: LinkIdentityResult = strawberry.mutation(
        resolver=linking.wecom_mobile,
        description="Link the member whose code it is to one's own account. Wants a"
        " login less than ten minutes old, and the state of the same session.",
    )
    unlink_my_identity: UnlinkIdentityPayload = strawberry.mutation(
        resolver=linking.unlink_mine,
        description="Unlink an identity from one's own account, and end the sessions"
        " that came through it. Wants a login less than ten minutes old.",
    )
    change_my_password: ChangeMyPasswordPayload = strawberry.mutation(
        resolver=passwords.change_mine,
        description="Change one's own password and end one's other sessions. A first"
        " password wants a login less than ten minutes old.",
    )
    # -- the admin API: ADMIN and up
    create_wecom_mobile_identity_source: WecomMobileIdentitySourcePayload = (
        strawberry.mutation(
            resolver=identity_sources.create_wecom_mobile,
            description="Create a WeCom Mobile source. It serves no app until"
            " `associateApp`.",
        )
    )
    update_wecom_mobile_identity_source: WecomMobileIdentitySourcePayload = (
        strawberry.mutation(
            resolver=identity_sources.update_wecom_mobile,
            description="Change what is sent of a source. A changed agent or secret"
            " clears its `problem`.",
        )
    )
    delete_identity_source: DeletePayload = strawberry.mutation(
        resolver=identity_sources.delete,
        description="Delete a source. Its identities stay with their corp; sessions"
        " that came through it can no longer refresh.",
    )
    test_identity_source: TestIdentitySourcePayload = strawberry.mutation(
        resolver=identity_sources.test_connection,
        description="Ask WeCom whether a source's settings work. Nothing is changed but"
        " the source's `problem`.",
    )
    create_app: AppPayload = strawberry.mutation(
        resolver=apps.create,
        description="Create an app. No source serves it until `associateApp`.",
    )
    update_app: AppPayload = strawberry.mutation(
        resolver=apps.update,
        description="Change what is sent of an app. Disabling it ends its sessions.",
    )
    delete_app: DeletePayload = strawberry.mutation(
        resolver=apps.delete, description="Delete an app and end its sessions."
    )
    associate_app: AppAssociationPayload = strawberry.mutation(
        resolver=apps.associate, description="Let a source serve an app."
    )
    dissociate_app: AppAssociationPayload = strawberry.mutation(
        resolver=apps.dissociate,
        description="Let a source serve an app no longer. Sessions that came through it"
        " stay, but cannot refresh meanwhile.",
    )
    create_user: UserPayload = strawberry.mutation(
        resolver=users.create,
        description="Create an account. Only an OWNER gives it a role above MEMBER.",
    )
    update_user: UserPayload = strawberry.mutation(
        resolver=users.update,
        description="Change what is sent of an account. Disabling it ends its"
        " sessions.",
    )
    set_user_password: UserPayload = strawberry.mutation(
        resolver=users.set_password,
        description="Set somebody's password or take it away, and end all of their"
        " sessions.",
    )
    delete_user: DeletePayload = strawberry.mutation(
        resolver=users.delete,
        description="Delete an account with its identities and sessions.",
    )
    link_identity: LinkIdentityPayload = strawberry.mutation(
        resolver=linking.link,
        description="Link a WeCom member to an account: they log in to it from then"
        " on.",
    )
    unlink_identity: UnlinkIdentityPayload = strawberry.mutation(
        resolver=linking.unlink,
        description="Unlink an identity from its account, and end the sessions that"
        " came through it.",
    )
    revoke_session: RevokeSessionPayload = strawberry.mutation(
        resolver=sessions.revoke, description="End anybody's session."
    )
    revoke_sessions: RevokeSessionsPayload = strawberry.mutation(
        resolver=sessions.revoke_all,
        description="End all sessions of an account, an identity, a source or an app.",
    )
    # -- OWNER
    create_api_key: CreateApiKeyPayload = strawberry.mutation(
        resolver=api_keys.create,
        description="Create an API key. Its secret is shown this once.",
    )
    revoke_api_key: ApiKeyPayload = strawberry.mutation(
        resolver=api_keys.revoke,
        description="Revoke an API key, at once and for ever.",
    )
