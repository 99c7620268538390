"""
What WeCom refused a source's settings with, remembered for all processes.

A wrong secret that is sent again and again has WeCom block the caller's address for an
hour, and with it the logins of every corp. So for a minute nobody asks again.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TypeGuard

import wecom
from models import IdentitySource, database
from services.clock import Clock
from services.language import Language, Text

REMEMBERED = timedelta(minutes=1)

WRONG_SECRET = 40001
UNTRUSTED_ADDRESS = 60020
WRONG_AGENT = 301002

# Nothing is held against settings that are new.
CLEARED: dict[str, None] = dict.fromkeys(
    ("problem_code", "problem_address", "problem_since", "problem_until")
)

_FORBIDDEN_CALL = Text(
    "The app may not use this part of WeCom's API. See WeCom's console: App "
    "Management, the app, its permissions and visible range.",
    "应用无权调用该接口，请在企业微信管理后台“应用管理”中检查该应用的权限与可见范围。",
)
_MEANINGS = {
    **dict.fromkeys(range(48001, 48007), _FORBIDDEN_CALL),
    WRONG_SECRET: Text(
        "The secret is wrong, or the app is stopped. Copy the secret anew from "
        "WeCom's console: App Management, the app, Secret.",
        "Secret 错误或应用已停用。请在企业微信管理后台“应用管理”中打开该应用，"
        "重新复制 Secret。",
    ),
    40013: Text(
        "WeCom knows no such CorpID. See WeCom's console: My Company.",
        "CorpID 不存在。请在企业微信管理后台“我的企业”中核对企业 ID。",
    ),
    40056: Text(
        "WeCom knows no such AgentID. See WeCom's console: App Management, the app.",
        "AgentID 不存在。请在企业微信管理后台“应用管理”中打开该应用核对。",
    ),
    40091: Text(
        "The secret is another corp's. Copy the one of the app in this corp.",
        "Secret 属于其他企业，请复制本企业该应用的 Secret。",
    ),
    50001: Text(
        "The code was issued for another app. The schema, CorpID and AgentID must be "
        "the same app's.",
        "code 由其他应用签发，schema、CorpID 与 AgentID 须属于同一应用。",
    ),
    50003: Text(
        "The app is disabled. Enable it in WeCom's console: App Management.",
        "应用已停用，请在企业微信管理后台“应用管理”中启用。",
    ),
    UNTRUSTED_ADDRESS: Text(
        "The server's address {address} is not among the app's trusted ones. Add it in "
        "WeCom's console: App Management, the app, Trusted IPs; it takes about a "
        "minute to work.",
        "服务器 IP {address} 不在应用的企业可信 IP 中。请在企业微信管理后台“应用管理”"
        "中打开该应用，将其加入“企业可信IP”，约一分钟后生效。",
    ),
    WRONG_AGENT: Text(
        "The secret is not this AgentID's. Copy both from the same app in WeCom's "
        "console: App Management.",
        "Secret 与 AgentID 不属于同一应用，请在企业微信管理后台“应用管理”中"
        "从同一应用复制。",
    ),
}
_OTHERWISE = Text(
    "WeCom refuses these settings with error {code}. Compare CorpID, AgentID and "
    "secret with WeCom's console: App Management.",
    "企业微信以错误码 {code} 拒绝了此配置，请在企业微信管理后台“应用管理”中核对"
    "企业 ID、AgentID 与 Secret。",
)
_REMEMBER = """
UPDATE identity_sources SET problem_code = $1, problem_address = $2,
    problem_since = CASE WHEN problem_code = $1 THEN problem_since ELSE $3 END,
    problem_until = $4
WHERE id = $5 AND settings_version = $6
"""
_CLEAR = """
UPDATE identity_sources SET problem_code = NULL, problem_address = NULL,
    problem_since = NULL, problem_until = NULL
WHERE id = $1 AND settings_version = $2
"""
# Nothing that was remembered since.
_CLEAR_REMEMBERED = f"{_CLEAR} AND problem_until = $3"


class Problems:
    """The refusals that stand, each against the settings that it was given to."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock

    async def remember(self, source: IdentitySource, error: wecom.WecomError) -> None:
        """
        Remember `error`, if it is one to remember.

        :param source: as it was when WeCom was asked: settings that were changed
            meanwhile are not held responsible.
        """
        if _is_lasting(error):
            await self._note(source, error, until=self._clock() + REMEMBERED)

    async def show(self, source: IdentitySource, error: wecom.Misconfigured) -> None:
        """Show `error`, which keeps no login from asking WeCom."""
        await self._note(source, error, until=None)

    async def clear(self, source: IdentitySource) -> None:
        """WeCom took the settings of `source`, as they were when it was asked."""
        if source.problem_code is not None:
            await database.fetch(_CLEAR, source.id, source.settings_version)

    async def clear_remembered(self, source: IdentitySource) -> None:
        """
        As `clear`, for logins: none asks about the agent, and so disproves less; nor
        does it what WeCom said of these settings after `source` was read.
        """
        until = source.problem_until
        if until is not None:
            known = source.id, source.settings_version, until
            await database.fetch(_CLEAR_REMEMBERED, *known)

    async def _note(
        self,
        source: IdentitySource,
        error: wecom.Misconfigured,
        *,
        until: datetime | None,
    ) -> None:
        await database.fetch(
            _REMEMBER,
            error.errcode,
            error.seen_ip,
            self._clock(),
            until,
            source.id,
            source.settings_version,
        )


def standing(source: IdentitySource, now: datetime) -> int | None:
    """The errcode that everybody gets for now, without WeCom being asked."""
    until = source.problem_until
    return source.problem_code if until and now < until else None


def message(code: int, language: Language, *, address: str | None = None) -> str:
    """
    What WeCom's `code` means for a source, and what to do: for administrators only.

    :param address: the one that WeCom saw the server come from, where it told.
    """
    text = _MEANINGS.get(code, _OTHERWISE)
    return text(language, code=code, address=address or "")


def _is_lasting(error: wecom.WecomError) -> TypeGuard[wecom.Misconfigured]:
    """What a caller can bring about by a code of his own (50001) is not."""
    if not isinstance(error, wecom.Misconfigured):
        return False
    return error.call == "gettoken" or error.errcode == UNTRUSTED_ADDRESS
