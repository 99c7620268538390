"""What a first login would do, tried without doing it."""

from __future__ import annotations

import strawberry

from schema.errors import InputError, no_errors
from schema.identity_source import AccountAssociationInput
from schema.inputs import Filled
from schema.user import User
from services.binding import Outcome
from services.refusals import LoginFailureCode


@strawberry.type(description="A rule that was looked at.")
class BindingStep:
    rule: str = strawberry.field(
        description="Its name, e.g. `field_matching.one`: stable, and the same that the"
        " audit event of such a login carries."
    )
    message: str = strawberry.field(
        description="What it says, for people, in the language of the request's"
        " Accept-Language."
    )


@strawberry.type(
    description="What a first login with this profile would do, and why; nothing is"
    " changed."
)
class BindingPreview:
    outcome: Outcome = strawberry.field(description="What it would do.")
    user: User | None = strawberry.field(
        description="The account it would log in to; null where there is none yet."
    )
    failure: LoginFailureCode | None = strawberry.field(
        description="REFUSE: what the app would be told."
    )
    steps: list[BindingStep] = strawberry.field(
        description="The rules that led there, in order; the last one decided."
    )


@strawberry.input(description="A login to imagine.")
class PreviewBindingInput(Filled):
    identity_source_id: strawberry.ID = strawberry.field(
        description="The source it comes through (`src_…`)."
    )
    app_id: strawberry.ID = strawberry.field(description="The app it is for (`app_…`).")
    wecom_user_id: str = strawberry.field(
        description="The member's userid; case does not matter."
    )
    email: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="The e-mail that WeCom would tell. Omitted or null: none.",
    )
    phone: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="The phone that WeCom would tell. Omitted or null: none.",
    )
    login_only: bool | None = strawberry.field(
        default=strawberry.UNSET,
        description="Login-only mode, to try instead of the saved one. Omitted or null:"
        " the saved one.",
    )
    account_association: AccountAssociationInput | None = strawberry.field(
        default=strawberry.UNSET,
        description="Rules to try instead of the saved ones. Omitted or null: the saved"
        " ones.",
    )


@strawberry.type(description="The preview, or why there is none.")
class PreviewBindingPayload:
    preview: BindingPreview | None = strawberry.field(
        default=None, description="The preview; null where there are errors."
    )
    errors: list[InputError] = strawberry.field(
        default_factory=no_errors,
        description="What is wrong with the input; a refused login is no error.",
    )
