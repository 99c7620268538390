"""Writes docs/errors.md and docs/errors.zh.md from the schema and the refusals."""

from __future__ import annotations

from pathlib import Path

from graphql import GraphQLEnumType

from hefu.api import schema
from services.language import Language
from services.refusals import LoginFailureCode, Refusal

DOCS = Path(__file__).parent.parent / "docs"

REQUESTS = {
    "UNAUTHENTICATED": (
        "There is no credential, or one that does not count; `extensions.reason` is `MISSING`, `EXPIRED`, `INVALID`, `REVOKED` or `REAUTHENTICATE`. HTTP 401 for `INVALID` and `REVOKED`",
        "没有凭证或凭证无效；`extensions.reason` 为 `MISSING`、`EXPIRED`、`INVALID`、`REVOKED` 或 `REAUTHENTICATE`。`INVALID` 与 `REVOKED` 时 HTTP 状态为 401",
        "`EXPIRED`: refresh, send again; `REAUTHENTICATE`: log in again first; else log in",
        "`EXPIRED`：刷新后重发；`REAUTHENTICATE`：先重新登录；其他：登录",
    ),
    "FORBIDDEN": (
        "The caller's role does not allow it",
        "调用者的角色无此权限",
        "do not offer it to this role",
        "不要向该角色提供此操作",
    ),
    "BAD_REQUEST": (
        "The request is malformed, contradicts itself, or goes past a bound that the message names",
        "请求格式错误、自相矛盾，或超出消息中所述的限制",
        "mend the program",
        "修正程序",
    ),
    "UNAVAILABLE": (
        "The database does not answer. HTTP 503",
        "数据库无响应。HTTP 503",
        "send the same again in a moment",
        "稍后重发同一请求",
    ),
    "INTERNAL": (
        "A fault of Hefu's; the log tells of it under `extensions.requestId`",
        "合符自身的错误；可凭 `extensions.requestId` 在日志中查到",
        "report the request id",
        "报告 requestId",
    ),
}

ZH = {
    "APP_UNAVAILABLE": "应用不存在或已停用",
    "IDENTITY_SOURCE_UNAVAILABLE": "身份源不存在、已停用或未关联此应用；仅审计日志中可区分",
    "INVALID_CODE": "code 错误、已使用或超过五分钟",
    "INVALID_STATE": "state 缺失、伪造、过期、已使用，属于其他应用、身份源或用途，或缺少 codeVerifier",
    "NOT_A_MEMBER": "企业外部的人",
    "MEMBER_NOT_ALLOWED": "成员已禁用、离职，或不在应用可见范围内",
    "ACCOUNT_NOT_FOUND": "仅登录模式或已关闭注册，且没有可登录的账号",
    "PROFILE_INSUFFICIENT": "已开启字段匹配，但企业微信未提供任何用于比较的字段；不会创建账号",
    "ACCOUNT_CONFLICT": "匹配到多个账号，或匹配到不可匹配的账号",
    "ACCOUNT_DISABLED": "账号已停用",
    "INVALID_TICKET": "ticket 不存在、已使用、过期或尝试次数用尽",
    "METHOD_NOT_ALLOWED": "身份源不允许此绑定方式",
    "INVALID_REFRESH_TOKEN": "会话已结束",
    "IDENTITY_SOURCE_MISCONFIGURED": "企业微信拒绝了身份源的配置，需管理员处理",
    "WECOM_UNAVAILABLE": "企业微信无响应或响应异常",
    "RATE_LIMITED": "尝试过于频繁",
    "REQUIRED": "缺少值，或不可为空的值为空",
    "INVALID_FORMAT": "格式不正确",
    "TOO_SHORT": "太短；消息中有下限",
    "TOO_LONG": "太长；消息中有上限",
    "OUT_OF_RANGE": "数值或时间超出范围；消息中有范围",
    "TOO_WEAK": "密码太容易被猜到",
    "TAKEN": "该值必须唯一，且已被占用",
    "NOT_FOUND": "没有此 id 的对象，或类型不符",
    "CONFLICT": "各值之间或与对象当前状态矛盾",
    "ALREADY_LINKED": "身份已属于某个账号，或账号已有该企业的另一身份",
    "INVALID_CREDENTIALS": "账号或密码错误",
    "LAST_LOGIN_METHOD": "这会使此人无法再登录",
    "LAST_OWNER": "这会使系统没有 OWNER",
    "FORBIDDEN": "该角色可以做此类修改，但不能针对此对象或此值",
}

WORDS = {
    Language.EN: {
        "title": "Errors",
        "made": "Made from the schema by `python -m scripts.error_catalogue`; a test compares.",
        "login": "How a login is refused: `LoginFailure`",
        "login_note": "Data, not a GraphQL error. Show `message`; obey `retry` as it comes, for it may differ from what is usual: [what to show](mobile/index.md#every-outcome-and-what-to-show).",
        "login_head": "| `code` | means | usual `retry` | `message` |",
        "input": "What is wrong with an input: `InputError`",
        "input_note": "Data, in `errors` of a mutation's payload, all of a form's at once. `path` names the field; `message` is for the person. Nothing was changed.",
        "input_head": "| `code` | means |",
        "request": "Why a request was not answered: GraphQL `errors`",
        "request_note": "`extensions.code`; `message` is for developers.",
        "request_head": "| `code` | means | do |",
    },
    Language.ZH: {
        "title": "错误一览",
        "made": "由 `python -m scripts.error_catalogue` 根据 schema 生成，并由测试比对。",
        "login": "登录被拒绝：`LoginFailure`",
        "login_note": "这是数据，不是 GraphQL 错误。直接显示 `message`，并按返回的 `retry` 处理（可能与通常值不同）：[如何显示](mobile/index.md#outcomes)。",
        "login_head": "| `code` | 含义 | 通常的 `retry` | `message` |",
        "input": "输入有误：`InputError`",
        "input_note": "这是数据，位于 mutation 返回的 `errors` 中，一次给出表单的全部错误。`path` 指明字段，`message` 供显示。没有任何改动。",
        "input_head": "| `code` | 含义 |",
        "request": "请求未被处理：GraphQL `errors`",
        "request_note": "见 `extensions.code`；`message` 供开发者阅读。",
        "request_head": "| `code` | 含义 | 处理 |",
    },
}


def catalogue(language: Language) -> str:
    words = WORDS[language]
    parts = [
        f"# {words['title']}",
        words["made"],
        *_section(words, "login", 4, _logins(language)),
        *_section(words, "input", 2, _inputs(language)),
        *_section(words, "request", 3, _requests(language)),
    ]
    return "\n\n".join(parts) + "\n"


def _section(
    words: dict[str, str], name: str, columns: int, rows: list[str]
) -> list[str]:
    head = [words[f"{name}_head"], "| " + " | ".join(["---"] * columns) + " |"]
    return [f"## {words[name]}", words[f"{name}_note"], "\n".join([*head, *rows])]


def _logins(language: Language) -> list[str]:
    refusals = {refusal.code: refusal for refusal in Refusal.__subclasses__()}
    return [
        f"| `{code}` | {_meaning('LoginFailureCode', code, language)}"
        f" | `{refusals[LoginFailureCode(code)].retry}`"
        f" | {refusals[LoginFailureCode(code)].text(language)} |"
        for code in _enum("LoginFailureCode").values
    ]


def _inputs(language: Language) -> list[str]:
    return [
        f"| `{code}` | {_meaning('InputErrorCode', code, language)} |"
        for code in _enum("InputErrorCode").values
    ]


def _requests(language: Language) -> list[str]:
    first = 0 if language is Language.EN else 1
    return [
        f"| `{code}` | {texts[first]} | {texts[first + 2]} |"
        for code, texts in REQUESTS.items()
    ]


def _meaning(enum: str, code: str, language: Language) -> str:
    if language is Language.ZH:
        return ZH[code]
    description = _enum(enum).values[code].description or ""
    return " ".join(description.split()).rstrip(".")


def _enum(name: str) -> GraphQLEnumType:
    found = schema._schema.get_type(name)  # pyright: ignore[reportPrivateUsage]
    assert isinstance(found, GraphQLEnumType)
    return found


def main() -> None:
    for language, name in ((Language.EN, "errors.md"), (Language.ZH, "errors.zh.md")):
        (DOCS / name).write_text(catalogue(language), encoding="utf-8")


if __name__ == "__main__":
    main()
