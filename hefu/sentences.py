"""
graphql-core's sentences about documents and values, in Chinese.

It speaks English only. The table holds each sentence that a request to this schema can
draw from it; a test reads the sentences out of the installed release, so one that an
upgrade adds is missed there and not by a reader. Where in the document it is stands
beside the sentence, in `locations`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from services.language import Language

# `{name}` stands for what the sentence names: a field, a type, a place in the input.
CHINESE = {
    # The lexer and the parser, after "Syntax Error: ".
    "Expected {wanted}, found {found}.": "应为 {wanted}，却遇到 {found}。",
    "Unexpected '..', did you mean '...'?": "意外的 '..'，是否应为 '...'？",
    "Unexpected character: {found}.": "意外的字符：{found}。",
    "Unexpected single quote character ('), did you mean to use a double quote (\")?": (
        "意外的单引号 (')，是否应为双引号 (\")？"
    ),
    "Unexpected variable '{name}' in constant value.": "常量中不能使用变量 '{name}'。",
    "Unexpected description, descriptions are not supported on shorthand queries.": (
        "简写的查询不能带有描述。"
    ),
    "Unexpected description, only GraphQL definitions support descriptions.": (
        "只有 GraphQL 定义可以带有描述。"
    ),
    "Unexpected {found}.": "意外的 {found}。",
    "Invalid number, expected digit before '.', did you mean '{name}'?": (
        "数字无效：'.' 之前应有数字，是否应为 '{name}'？"
    ),
    "Invalid number, unexpected digit after 0: {found}.": (
        "数字无效：0 之后不应有数字 {found}。"
    ),
    "Invalid number, expected digit but got: {found}.": (
        "数字无效：应为数字，却遇到 {found}。"
    ),
    "Invalid character within String: {found}.": "字符串中有无效字符：{found}。",
    "Invalid character: {found}.": "无效字符：{found}。",
    "Invalid Unicode escape sequence: {found}.": "无效的 Unicode 转义：{found}。",
    "Invalid character escape sequence: {found}.": "无效的转义：{found}。",
    "Unterminated string.": "字符串没有结束。",
    "{found} is reserved and cannot be used for an enum value.": (
        "{found} 是保留字，不能用作枚举值。"
    ),
    # The rules of validation.
    "The {name} definition is not executable.": "{name} 的定义不可执行。",
    "The {name} operation is not supported by the schema.": (
        "此接口不支持 {name} 操作。"
    ),
    "This anonymous operation must be the only defined operation.": (
        "匿名操作必须是文档中唯一的操作。"
    ),
    "Cannot query field '{name}' on type '{type}'.": (
        "类型 '{type}' 没有字段 '{name}'。"
    ),
    "Unknown argument '{name}' on field '{field}'.": (
        "字段 '{field}' 没有参数 '{name}'。"
    ),
    "Unknown argument '{name}' on directive '{directive}'.": (
        "指令 '{directive}' 没有参数 '{name}'。"
    ),
    "Unknown argument '{name}' on fragment '{fragment}'.": (
        "片段 '{fragment}' 没有参数 '{name}'。"
    ),
    "Unknown type '{name}'.": "未知的类型 '{name}'。",
    "Unknown directive '{name}'.": "未知的指令 '{name}'。",
    "Unknown fragment '{name}'.": "未知的片段 '{name}'。",
    "Directive '{name}' may not be used on {place}.": (
        "指令 '{name}' 不能用于 {place}。"
    ),
    "The directive '{name}' can only be used once at this location.": (
        "指令 '{name}' 在此处只能使用一次。"
    ),
    "Fragment cannot condition on non composite type '{type}'.": (
        "片段不能以非复合类型 '{type}' 为条件。"
    ),
    "Fragment '{name}' cannot condition on non composite type '{type}'.": (
        "片段 '{name}' 不能以非复合类型 '{type}' 为条件。"
    ),
    "Fragment cannot be spread here as objects of type '{parent}'"
    " can never be of type '{type}'.": (
        "片段不能在此展开：'{parent}' 类型的对象不可能是 '{type}' 类型。"
    ),
    "Fragment '{name}' cannot be spread here as objects of type '{parent}'"
    " can never be of type '{type}'.": (
        "片段 '{name}' 不能在此展开：'{parent}' 类型的对象不可能是 '{type}' 类型。"
    ),
    "Fragment '{name}' is never used.": "片段 '{name}' 从未使用。",
    "Cannot spread fragment '{name}' within itself.": "片段 '{name}' 不能展开自身。",
    "Cannot spread fragment '{name}' within itself via {path}.": (
        "片段 '{name}' 不能经由 {path} 展开自身。"
    ),
    "Fragment '{name}' argument '{argument}' of type '{type}' is required,"
    " but it was not provided.": (
        "缺少片段 '{name}' 必需的参数 '{argument}'（类型 '{type}'）。"
    ),
    "Variable '{name}' is never used.": "变量 '{name}' 从未使用。",
    "Variable '{name}' is never used in operation '{operation}'.": (
        "变量 '{name}' 在操作 '{operation}' 中从未使用。"
    ),
    "Variable '{name}' is never used in fragment '{fragment}'.": (
        "变量 '{name}' 在片段 '{fragment}' 中从未使用。"
    ),
    "Variable '{name}' is not defined.": "变量 '{name}' 没有定义。",
    "Variable '{name}' is not defined by operation '{operation}'.": (
        "操作 '{operation}' 没有定义变量 '{name}'。"
    ),
    "Variable '{name}' cannot be non-input type '{type}'.": (
        "变量 '{name}' 不能是非输入类型 '{type}'。"
    ),
    "Variable '{name}' of type '{type}' used in position expecting type '{wanted}'.": (
        "变量 '{name}' 的类型为 '{type}'，此处应为 '{wanted}'。"
    ),
    "Variable '{name}' is of type '{type}' but must be non-nullable to be used for"
    " OneOf Input Object '{input}'.": (
        "变量 '{name}'（类型 '{type}'）必须非空，才能用于 '{input}'。"
    ),
    "Argument '{name}' of type '{type}' is required, but it was not provided.": (
        "缺少必需的参数 '{name}'（类型 '{type}'）。"
    ),
    "Argument '{name}' has invalid value.": "参数 '{name}' 的值无效。",
    "Argument '{name}' has invalid value": "参数 '{name}' 的值无效",
    "There can be only one argument named '{name}'.": "参数 '{name}' 只能出现一次。",
    "There can be only one input field named '{name}'.": (
        "输入字段 '{name}' 只能出现一次。"
    ),
    "There can be only one variable named '{name}'.": "变量 '{name}' 只能定义一次。",
    "There can be only one operation named '{name}'.": "操作 '{name}' 只能定义一次。",
    "There can be only one fragment named '{name}'.": "片段 '{name}' 只能定义一次。",
    "Fields '{name}' conflict because {reason}. Use different aliases on the fields"
    " to fetch both if this was intentional.": (
        "字段 '{name}' 互相冲突。若确需同时查询，请使用不同的别名。"
    ),
    "Spreads '{name}' conflict because {reason}.": "片段展开 '{name}' 互相冲突。",
    "Field '{name}' must not have a selection since type '{type}' has no subfields.": (
        "字段 '{name}' 的类型 '{type}' 没有子字段，不能带有选择集。"
    ),
    "Field '{name}' of type '{type}' must have a selection of subfields.": (
        "字段 '{name}'（类型 '{type}'）必须选择子字段。"
    ),
    "Field '{name}' of type '{type}' must have at least one field selected.": (
        "字段 '{name}'（类型 '{type}'）必须至少选择一个子字段。"
    ),
    "GraphQL introspection has been disabled, but the requested query contained the"
    " field '{name}'.": "内省已关闭，但查询中包含字段 '{name}'。",
    "Maximum introspection depth exceeded": "内省嵌套过深",
    "Too many validation errors, error limit reached. Validation aborted.": (
        "验证错误过多，验证已中止。"
    ),
    # Values, as `hefu/coercion.py` tells them.
    "Expected a value of type '{type}'.": "此处应为类型 '{type}' 的值。",
    "Expected value of type '{type}' to be an object.": (
        "类型 '{type}' 的值应为对象。"
    ),
    "Expected value of type '{type}' to include required field '{name}'.": (
        "类型 '{type}' 的值缺少必需的字段 '{name}'。"
    ),
    "Expected value of type '{type}' not to include unknown field '{name}'.": (
        "类型 '{type}' 没有字段 '{name}'。"
    ),
    "Expected value of non-null type '{type}' not to be null.": (
        "非空类型 '{type}' 的值不能为 null。"
    ),
    "Expected a value of non-null type '{type}' to be provided.": (
        "缺少非空类型 '{type}' 的值。"
    ),
    "The variables do not fit the operation.": "变量与操作不符。",
}
OTHERWISE = "GraphQL 文档或变量无效。"

_SYNTAX = "Syntax Error: "
_VARIABLE = re.compile(r"Variable (?P<at>\$[^ ]+): (?P<rest>.*)", re.DOTALL)
_SUGGESTION = re.compile(r" Did you mean (?P<names>[^?]+)\?$")


def told(message: str, language: Language) -> str:
    """A sentence of graphql-core's in the language that was asked for."""
    return _chinese(message) if language is Language.ZH else message


def _chinese(message: str) -> str:
    if message.startswith(_SYNTAX):
        return f"语法错误：{_chinese(message.removeprefix(_SYNTAX))}"
    variable = _VARIABLE.fullmatch(message)
    if variable:
        return f"变量 {variable['at']}：{_chinese(variable['rest'])}"
    suggestion = _SUGGESTION.search(message)
    if suggestion and not message.startswith("Invalid number"):
        names = re.sub(r",? or ", "、", suggestion["names"]).replace(", ", "、")
        return f"{_sentence(message[: suggestion.start()])}是否应为 {names}？"
    return _sentence(message)


def _sentence(message: str) -> str:
    for pattern, chinese in _patterns():
        match = pattern.fullmatch(message)
        if match:
            return chinese.format(**match.groupdict())
    return OTHERWISE


@lru_cache(maxsize=1)
def _patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple(_compiled())


def _compiled() -> Iterator[tuple[re.Pattern[str], str]]:
    for english, chinese in CHINESE.items():
        text = re.sub(r"\\{(\w+)\\}", r"(?P<\1>.+?)", re.escape(english))
        yield re.compile(text, re.DOTALL), chinese
