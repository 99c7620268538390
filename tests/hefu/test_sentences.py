"""What graphql-core says in English, said in Chinese."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from itertools import product

import pytest
from graphql import specified_rules
from graphql.language import lexer, parser
from graphql.validation.rules import scalar_leafs

from hefu import sentences
from services.language import Language

# The schema has no subscriptions, and neither @defer nor @stream.
NEVER_DRAWN = ("defer_stream", "stream_directive", "single_field_subscriptions")
NAMED = {"GraphQLError": 0, "GraphQLSyntaxError": 2}


def drawn() -> Iterator[str]:
    """Each sentence of the installed release that a document can draw from it."""
    modules = {inspect.getmodule(rule) for rule in specified_rules} | {lexer, parser}
    for module in modules - {None}:
        assert module is not None
        if any(name in module.__name__ for name in NEVER_DRAWN):
            continue
        for call in ast.walk(ast.parse(inspect.getsource(module))):
            yield from said(call)


def said(call: ast.AST) -> Iterator[str]:
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
        return
    place = NAMED.get(call.func.id)
    if place is None or len(call.args) <= place:
        return
    for text in spelled(call.args[place]):
        # What aborts parsing is told as the bound that it is.
        if text and not text.endswith("Parsing aborted."):
            yield text


def spelled(node: ast.expr) -> Iterator[str]:
    """The texts that an expression can have, with X for what is named in it."""
    if isinstance(node, ast.Constant):
        yield str(node.value)
    elif isinstance(node, ast.JoinedStr):
        parts = [
            each if isinstance(each, ast.Constant) else None for each in node.values
        ]
        yield "".join("X" if part is None else str(part.value) for part in parts)
    elif isinstance(node, ast.BinOp):
        pairs = product(spelled(node.left), spelled(node.right))
        yield from (left + right for left, right in pairs)
    elif isinstance(node, ast.IfExp):
        yield from spelled(node.body)
        yield from spelled(node.orelse)
    elif isinstance(node, ast.Call):
        yield ""  # `did_you_mean` says nothing to most callers.


ALL = sorted(set(drawn()))


def test_the_sentences_are_found() -> None:
    assert len(ALL) > 50
    assert "Unknown fragment 'X'." in ALL
    assert "Unterminated string." in ALL


@pytest.mark.parametrize("sentence", ALL)
def test_each_is_told_in_chinese(sentence: str) -> None:
    told = sentences.told(sentence, Language.ZH)
    assert sentences.OTHERWISE not in told
    assert "X" in told or "X" not in sentence or "conflict" in sentence
    assert sentences.told(sentence, Language.EN) == sentence


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        (
            "Syntax Error: Expected Name, found <EOF>.",
            "语法错误：应为 Name，却遇到 <EOF>。",
        ),
        (
            "Variable $input.device.platform: Expected a value of type 'ID!'.",
            "变量 $input.device.platform：此处应为类型 'ID!' 的值。",
        ),
        (
            "Unknown type 'Usr'. Did you mean 'User', 'Role', or 'Node'?",
            "未知的类型 'Usr'。是否应为 'User'、'Role'、'Node'？",
        ),
        ("A sentence of a later release.", sentences.OTHERWISE),
    ],
)
def test_sentences_within_sentences(english: str, chinese: str) -> None:
    assert sentences.told(english, Language.ZH) == chinese


def test_the_rule_that_suggests_to_everybody_still_does() -> None:
    # `hefu/documents.py` takes its suggestion away.
    assert "Did you mean" in inspect.getsource(scalar_leafs)
