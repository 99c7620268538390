"""
Everything that a caller is expected to handle.

* Rejection
  - Refusal                     becomes a LoginFailure: see `services/refusals.py`
  - InputRejected               becomes a payload's `errors`
  - RequestRejected             becomes a GraphQL error
    · Unauthenticated
    · Forbidden
    · BadRequest
    · Unavailable

Whatever is not one of these is a bug: logged with a request id and masked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar

from services.language import Language, Text


class Rejection(Exception):
    """Base class of everything that a caller is expected to handle."""


class InputErrorCode(StrEnum):
    REQUIRED = "REQUIRED"
    INVALID_FORMAT = "INVALID_FORMAT"
    TOO_SHORT = "TOO_SHORT"
    TOO_LONG = "TOO_LONG"
    OUT_OF_RANGE = "OUT_OF_RANGE"
    TOO_WEAK = "TOO_WEAK"
    TAKEN = "TAKEN"
    NOT_FOUND = "NOT_FOUND"
    CONFLICT = "CONFLICT"
    ALREADY_LINKED = "ALREADY_LINKED"
    INVALID_CREDENTIALS = "INVALID_CREDENTIALS"
    RATE_LIMITED = "RATE_LIMITED"
    LAST_LOGIN_METHOD = "LAST_LOGIN_METHOD"
    LAST_OWNER = "LAST_OWNER"
    FORBIDDEN = "FORBIDDEN"


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one value: its `path` is below `input`, in camelCase."""

    path: tuple[str, ...]
    code: InputErrorCode
    text: Text
    values: dict[str, object] = field(default_factory=dict[str, object])


class InputRejected(Rejection):
    """An input that would not do; nothing was changed."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(", ".join(problem.code for problem in problems))
        self.problems = tuple(problems)


def rejected(
    path: str, code: InputErrorCode, text: Text, **values: object
) -> InputRejected:
    """An input that fails for one reason, at `path` below `input`."""
    return InputRejected([Problem((path,), code, text, values)])


class RequestRejected(Rejection):
    """
    A request that its caller may not make, or not like this.

    Told in the caller's language where it is shown; `str()` is for logs, in English.
    """

    code: ClassVar[str]

    def __init__(self, text: Text, **values: object) -> None:
        super().__init__(text(Language.EN, **values))
        self._text = text
        self._values = values

    def message(self, language: Language) -> str:
        return self._text(language, **self._values)


class UnauthenticatedReason(StrEnum):
    EXPIRED = "EXPIRED"
    REVOKED = "REVOKED"
    INVALID = "INVALID"
    MISSING = "MISSING"
    REAUTHENTICATE = "REAUTHENTICATE"


class Unauthenticated(RequestRejected):
    """There is no credential, or one that does not count."""

    code = "UNAUTHENTICATED"

    SENTENCES: ClassVar = {
        UnauthenticatedReason.EXPIRED: Text(
            "The access token or API key has expired.", "访问令牌或 API 密钥已过期。"
        ),
        UnauthenticatedReason.REVOKED: Text(
            "The session or API key was revoked.", "会话或 API 密钥已被撤销。"
        ),
        UnauthenticatedReason.INVALID: Text(
            "The credential is not valid.", "凭据无效。"
        ),
        UnauthenticatedReason.MISSING: Text(
            "This needs an access token or an API key.",
            "此操作需要访问令牌或 API 密钥。",
        ),
        UnauthenticatedReason.REAUTHENTICATE: Text(
            "This needs a login of the last minutes.", "此操作需要最近几分钟内的登录。"
        ),
    }

    def __init__(self, reason: UnauthenticatedReason) -> None:
        super().__init__(self.SENTENCES[reason])
        self.reason = reason


NOT_ALLOWED = Text(
    "The caller's role does not allow this.", "调用者的角色无权执行此操作。"
)
NOT_AVAILABLE = Text("The service is not available at the moment.", "服务暂时不可用。")


class Forbidden(RequestRejected):
    """The caller is known, and may not."""

    code = "FORBIDDEN"

    def __init__(self, text: Text = NOT_ALLOWED) -> None:
        super().__init__(text)


class BadRequest(RequestRejected):
    """The request contradicts itself, or goes past a bound."""

    code = "BAD_REQUEST"


class Unavailable(RequestRejected):
    """The database cannot be reached; the same request may work in a moment."""

    code = "UNAVAILABLE"

    def __init__(self) -> None:
        super().__init__(NOT_AVAILABLE)
