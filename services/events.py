"""What an audit event says, for whoever reads the log."""

from __future__ import annotations

from models import AuditEvent
from services.language import Language, Text
from services.refusals import Refusal

_NOUNS = {
    "api_key": Text("API key", "API 密钥"),
    "app": Text("App", "应用"),
    "identity": Text("Identity", "外部身份"),
    "identity_source": Text("Identity source", "身份源"),
    "link": Text("Link", "绑定"),
    "login": Text("Login", "登录"),
    "session": Text("Session", "会话"),
    "user": Text("Account", "账号"),
}
_VERBS = {
    "associated": Text("associated", "已关联"),
    "binding_required": Text("asks to bind an account", "需要绑定账号"),
    "created": Text("created", "已创建"),
    "deleted": Text("deleted", "已删除"),
    "dissociated": Text("dissociated", "已取消关联"),
    "failed": Text("refused", "被拒绝"),
    "link_confirmed": Text("linked already", "已处于绑定状态"),
    "linked": Text("linked", "已绑定"),
    "password_change_failed": Text("password change refused", "密码修改被拒绝"),
    "password_changed": Text("password changed", "密码已修改"),
    "password_set": Text("password set", "密码已设置"),
    "recheck_failed": Text("not looked at again", "未能复查"),
    "refresh_failed": Text("refresh refused", "续期被拒绝"),
    "repeated": Text("answered again", "已重复应答"),
    "reuse_detected": Text(
        "ended: a refresh token was used again", "已结束：刷新令牌被重复使用"
    ),
    "revoked": Text("revoked", "已吊销"),
    "signed_out": Text("signed out", "已退出"),
    "succeeded": Text("succeeded", "成功"),
    "tested": Text("tested", "已测试"),
    "unlink_failed": Text("unlinking refused", "解绑被拒绝"),
    "unlinked": Text("unlinked", "已解绑"),
    "updated": Text("updated", "已更新"),
}
_REASONS = {refusal.code: refusal.text for refusal in Refusal.__subclasses__()}
_BECAUSE = Text("{what}: {why}", "{what}：{why}")
_WHICH = Text("{what} ({fields})", "{what}（{fields}）")
_TIMES = Text("{what} ({count} times)", "{what}（{count} 次）")


def sentence(event: AuditEvent, language: Language) -> str:
    """
    What happened, in one line.

    An action that is not known here, of a newer version's, is told by its own name.
    """
    what = _action(event.action, language)
    reason = _REASONS.get(event.failure or "")  # type: ignore[call-overload]
    if reason is not None:
        what = _BECAUSE(language, what=what, why=reason(language))
    if event.changed_fields:
        fields = event.changed_fields.replace(",", ", ")
        what = _WHICH(language, what=what, fields=fields)
    if event.count > 1:
        what = _TIMES(language, what=what, count=event.count)
    return what


def _action(action: str, language: Language) -> str:
    noun, _, verb = action.rpartition(".")
    if noun not in _NOUNS or verb not in _VERBS:
        return action
    gap = "" if language is Language.ZH else " "
    return f"{_NOUNS[noun](language)}{gap}{_VERBS[verb](language)}"
