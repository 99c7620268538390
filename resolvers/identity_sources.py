from __future__ import annotations

import strawberry

from schema.connection_report import (
    ConnectionCheck,
    ConnectionReport,
    TestIdentitySourcePayload,
)
from schema.context import Info
from schema.enums import ConnectionCheckName, ConnectionCheckStatus
from schema.errors import InputWarning
from schema.identity_source import (
    AccountAssociationInput,
    CreateWecomMobileIdentitySourceInput,
    DeleteIdentitySourceInput,
    DeletePayload,
    TestIdentitySourceInput,
    UpdateWecomMobileIdentitySourceInput,
    WecomMobileIdentitySource,
    WecomMobileIdentitySourcePayload,
)
from schema.inputs import sent
from schema.node import Viewer
from services.account_association import AccountAssociation
from services.connection_checks import Check
from services.sources import NewWecomMobile, Saved, WecomMobileChanges


async def create_wecom_mobile(
    info: Info, input: CreateWecomMobileIdentitySourceInput
) -> WecomMobileIdentitySourcePayload:
    fields = sent(input)
    fields["account_association"] = account_association(input.account_association)
    saved = await info.context.services.sources.create_wecom_mobile(
        info.context.caller, NewWecomMobile(**fields)
    )
    return _payload(info, saved)


async def update_wecom_mobile(
    info: Info, input: UpdateWecomMobileIdentitySourceInput
) -> WecomMobileIdentitySourcePayload:
    fields = sent(input)
    if "account_association" in fields:
        fields["account_association"] = account_association(input.account_association)
    saved = await info.context.services.sources.update_wecom_mobile(
        info.context.caller, input.id, WecomMobileChanges(**fields)
    )
    return _payload(info, saved)


async def delete(info: Info, input: DeleteIdentitySourceInput) -> DeletePayload:
    deleted = await info.context.services.sources.delete(info.context.caller, input.id)
    return DeletePayload(deleted_id=strawberry.ID(deleted))


async def test_connection(
    info: Info, input: TestIdentitySourceInput
) -> TestIdentitySourcePayload:
    caller = info.context.caller
    report, source = await info.context.services.connection_test.run(
        caller, input.id, wecom_user_id=input.wecom_user_id
    )
    return TestIdentitySourcePayload(
        report=ConnectionReport(
            ok=report.ok, checks=[_check(check) for check in report.checks]
        ),
        identity_source=WecomMobileIdentitySource.of(source, Viewer.of(caller)),
    )


def account_association(
    input: AccountAssociationInput | None,
) -> AccountAssociation | None:
    return AccountAssociation(**sent(input)) if input else None


def _payload(info: Info, saved: Saved) -> WecomMobileIdentitySourcePayload:
    caller = info.context.caller
    return WecomMobileIdentitySourcePayload(
        identity_source=WecomMobileIdentitySource.of(saved.source, Viewer.of(caller)),
        warnings=[
            InputWarning(
                path=["input", *caution.path],
                message=caution.text(caller.origin.language, **caution.values),
            )
            for caution in saved.cautions
        ],
    )


def _check(check: Check) -> ConnectionCheck:
    return ConnectionCheck(
        name=ConnectionCheckName(check.name),
        status=ConnectionCheckStatus(check.status),
        message=check.message,
        hint=check.hint,
        wecom_error_code=check.wecom_error_code,
    )
