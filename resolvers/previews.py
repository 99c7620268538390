"""What a first login would do."""

from __future__ import annotations

from resolvers.identity_sources import account_association
from schema.binding_preview import (
    BindingPreview,
    BindingStep,
    PreviewBindingInput,
    PreviewBindingPayload,
)
from schema.context import Info
from schema.node import Viewer
from schema.user import User
from services.previews import Question


async def preview_binding(
    info: Info, input: PreviewBindingInput
) -> PreviewBindingPayload:
    caller = info.context.caller
    question = Question(
        identity_source_id=input.identity_source_id,
        app_id=input.app_id,
        wecom_user_id=input.wecom_user_id,
        email=input.email,
        phone=input.phone,
        login_only=input.login_only,
        account_association=account_association(input.account_association),
    )
    preview = await info.context.services.previews.preview(caller, question)
    language = caller.origin.language
    return PreviewBindingPayload(
        preview=BindingPreview(
            outcome=preview.outcome,
            user=User.of(preview.user, Viewer.of(caller)) if preview.user else None,
            failure=preview.failure,
            steps=[
                BindingStep(rule=step.rule, message=step.text(language))
                for step in preview.steps
            ],
        )
    )
