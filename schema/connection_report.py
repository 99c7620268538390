"""Whether a source's settings work, asked of WeCom itself."""

from __future__ import annotations

import strawberry

from schema.enums import ConnectionCheckName, ConnectionCheckStatus
from schema.errors import InputError, no_errors
from schema.identity_source import IdentitySource


@strawberry.type(description="One thing that a connection test looked at.")
class ConnectionCheck:
    name: ConnectionCheckName = strawberry.field(description="What was looked at.")
    status: ConnectionCheckStatus = strawberry.field(description="How it went.")
    message: str = strawberry.field(
        description="What was found, for people, in the language of the request's"
        " Accept-Language."
    )
    hint: str | None = strawberry.field(
        description="What to do, and where in WeCom's console; null where nothing is to"
        " be done."
    )
    wecom_error_code: int | None = strawberry.field(
        description="The errcode that WeCom answered, where it was one."
    )


@strawberry.type(description="Whether a source's settings work, asked of WeCom itself.")
class ConnectionReport:
    ok: bool = strawberry.field(description="Whether no check failed.")
    checks: list[ConnectionCheck] = strawberry.field(
        description="Every check, in the order of ConnectionCheckName."
    )


@strawberry.type(description="The report, or why there is none.")
class TestIdentitySourcePayload:
    # pytest takes a class of this name for a test.
    __test__ = False

    report: ConnectionReport | None = strawberry.field(
        default=None, description="The report; null where there are errors."
    )
    identity_source: IdentitySource | None = strawberry.field(
        default=None,
        description="The source as it now is: a passing test clears its `problem`.",
    )
    errors: list[InputError] = strawberry.field(
        default_factory=no_errors,
        description="What is wrong with the input; a failing check is no error.",
    )
