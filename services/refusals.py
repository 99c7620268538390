"""
Why a login is refused: one class a reason, with its sentence for the person.

Raise it as a class where nothing else is known (`raise CodeInvalid`), or say which rule
decided and what WeCom answered, for the audit event.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from services.errors import Rejection
from services.language import Text


class LoginFailureCode(StrEnum):
    APP_UNAVAILABLE = "APP_UNAVAILABLE"
    IDENTITY_SOURCE_UNAVAILABLE = "IDENTITY_SOURCE_UNAVAILABLE"
    INVALID_CODE = "INVALID_CODE"
    INVALID_STATE = "INVALID_STATE"
    NOT_A_MEMBER = "NOT_A_MEMBER"
    MEMBER_NOT_ALLOWED = "MEMBER_NOT_ALLOWED"
    ACCOUNT_NOT_FOUND = "ACCOUNT_NOT_FOUND"
    PROFILE_INSUFFICIENT = "PROFILE_INSUFFICIENT"
    ACCOUNT_CONFLICT = "ACCOUNT_CONFLICT"
    ACCOUNT_DISABLED = "ACCOUNT_DISABLED"
    ALREADY_LINKED = "ALREADY_LINKED"
    INVALID_TICKET = "INVALID_TICKET"
    INVALID_CREDENTIALS = "INVALID_CREDENTIALS"
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
    INVALID_REFRESH_TOKEN = "INVALID_REFRESH_TOKEN"
    IDENTITY_SOURCE_MISCONFIGURED = "IDENTITY_SOURCE_MISCONFIGURED"
    WECOM_UNAVAILABLE = "WECOM_UNAVAILABLE"
    RATE_LIMITED = "RATE_LIMITED"


class LoginRetry(StrEnum):
    NEVER = "NEVER"
    SAME_REQUEST = "SAME_REQUEST"
    START_AGAIN = "START_AGAIN"


class Refusal(Rejection):
    """
    A login that is not to be.

    :param rule: the binding rule that decided, as audit events name it.
    :param wecom_error_code: what WeCom answered, where it did.
    :param retry_after: seconds until the same request may work.
    """

    code: ClassVar[LoginFailureCode]
    text: ClassVar[Text]
    retry: LoginRetry = LoginRetry.NEVER

    def __init__(
        self,
        rule: str | None = None,
        *,
        retry: LoginRetry | None = None,
        wecom_error_code: int | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(self.code)
        self.rule = rule
        self.retry = retry or self.retry
        self.wecom_error_code = wecom_error_code
        self.retry_after = retry_after
        # Of the event that tells of it: another request's, where refusals are folded.
        self.request_id: str | None = None


class AppUnavailable(Refusal):
    code = LoginFailureCode.APP_UNAVAILABLE
    text = Text("This app cannot log in at present.", "此应用暂时无法登录。")


class SourceUnavailable(Refusal):
    code = LoginFailureCode.IDENTITY_SOURCE_UNAVAILABLE
    text = Text(
        "This way to log in is not available for this app.", "此应用不支持该登录方式。"
    )


class CodeInvalid(Refusal):
    code = LoginFailureCode.INVALID_CODE
    retry = LoginRetry.START_AGAIN
    text = Text(
        "The login has expired. Please start again.", "登录已失效，请重新登录。"
    )


class StateInvalid(Refusal):
    code = LoginFailureCode.INVALID_STATE
    retry = LoginRetry.START_AGAIN
    text = Text(
        "This login was not started here, or it has expired. Please start again.",
        "此次登录并非由本机发起或已过期，请重新登录。",
    )


class NotAMember(Refusal):
    code = LoginFailureCode.NOT_A_MEMBER
    text = Text("Only members of the enterprise may log in.", "仅限本企业成员登录。")


class MemberNotAllowed(Refusal):
    code = LoginFailureCode.MEMBER_NOT_ALLOWED
    text = Text(
        "Your WeCom account may not use this app. Please ask your administrator.",
        "您的企业微信账号无权使用此应用，请联系管理员。",
    )


class AccountNotFound(Refusal):
    code = LoginFailureCode.ACCOUNT_NOT_FOUND
    text = Text(
        "You have no account here yet. Please ask your administrator.",
        "您尚无账号，请联系管理员开通。",
    )


class ProfileInsufficient(Refusal):
    code = LoginFailureCode.PROFILE_INSUFFICIENT
    text = Text(
        "WeCom does not tell enough about you to find your account. "
        "Please ask your administrator.",
        "企业微信未提供足够的信息以匹配您的账号，请联系管理员。",
    )


class AccountConflict(Refusal):
    code = LoginFailureCode.ACCOUNT_CONFLICT
    text = Text(
        "Your account could not be determined for certain. "
        "Please ask your administrator.",
        "无法唯一确定您的账号，请联系管理员。",
    )


class AccountDisabled(Refusal):
    code = LoginFailureCode.ACCOUNT_DISABLED
    text = Text("Your account is disabled.", "您的账号已被停用。")


class AlreadyLinked(Refusal):
    code = LoginFailureCode.ALREADY_LINKED
    text = Text(
        "The account is linked to another WeCom member already.",
        "该账号已绑定其他企业微信成员。",
    )


class TicketInvalid(Refusal):
    code = LoginFailureCode.INVALID_TICKET
    retry = LoginRetry.START_AGAIN
    text = Text("Binding has expired. Please log in again.", "绑定已失效，请重新登录。")


class CredentialsInvalid(Refusal):
    code = LoginFailureCode.INVALID_CREDENTIALS
    retry = LoginRetry.SAME_REQUEST
    text = Text("The account or the password is wrong.", "账号或密码错误。")


class MethodNotAllowed(Refusal):
    code = LoginFailureCode.METHOD_NOT_ALLOWED
    text = Text("This method is not allowed here.", "不支持此方式。")


class RefreshTokenInvalid(Refusal):
    code = LoginFailureCode.INVALID_REFRESH_TOKEN
    retry = LoginRetry.START_AGAIN
    text = Text("You are logged out. Please log in again.", "您已退出，请重新登录。")


class SourceMisconfigured(Refusal):
    code = LoginFailureCode.IDENTITY_SOURCE_MISCONFIGURED
    text = Text(
        "Logging in with WeCom is not set up correctly. "
        "Please tell your administrator.",
        "企业微信登录配置有误，请联系管理员。",
    )


class WecomUnavailable(Refusal):
    code = LoginFailureCode.WECOM_UNAVAILABLE
    retry = LoginRetry.START_AGAIN
    text = Text(
        "WeCom cannot be reached. Please try again later.",
        "企业微信暂时无法访问，请稍后再试。",
    )


class RateLimited(Refusal):
    code = LoginFailureCode.RATE_LIMITED
    retry = LoginRetry.SAME_REQUEST
    text = Text(
        "Too many attempts. Please wait a moment.", "尝试次数过多，请稍候再试。"
    )
