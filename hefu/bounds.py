"""
What one document may ask for, measured in a single memoised pass before validation.

A fragment is measured once and its extent reused at every spread, so a ladder of
fragments that would unfold to millions of selections costs a step per line.
The pass needs no schema; the rules of validation run only on what it has let through.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionNode,
    SelectionSetNode,
)

from services.errors import BadRequest
from services.language import Text

# Each checks a password, spends a code or spends a token: under thirty aliases one
# request would be thirty guesses, counted by every proxy as one.
ONCE_PER_REQUEST = frozenset(
    {
        "wecomMobileLogin",
        "bindExistingAccount",
        "bindNewAccount",
        "linkWecomMobile",
        "signInWithPassword",
        "changeMyPassword",
        "refreshSession",
    }
)
INTROSPECTION = frozenset({"__schema", "__type"})

# The usual introspection query unwraps nine levels of `ofType` and is 13 levels deep.
INTROSPECTION_DEPTH = 30
# The usual answer is 180 KB, and under thirty aliases it would be five megabytes.
INTROSPECTIONS = {"__schema": 1, "__type": 4}

PAST = Text(
    "The document is past a bound: at most {most} {what}.",
    "文档超出限制：最多 {most} {what}。",
)
BYTES = Text("bytes", "字节")
TOKENS = Text("tokens", "个词法单元")
COMMENTS = Text("comments", "条注释")
DEPTH = Text("levels of depth", "层深度")
SELECTIONS = Text("selections", "个选择")
ALIASES = Text("aliases", "个别名")
DIRECTIVES = Text("directives", "个指令")
ROOT_FIELDS = Text("root fields", "个根字段")
INTROSPECTED_ALIASES = Text("aliases in introspection", "个内省别名")
NESTED = Text("The document's fragments are nested too deeply.", "文档的片段嵌套过深。")
ONCE = Text(
    "One login, bind, link, sign-in, password change or refresh per request.",
    "每个请求只能包含一次登录、绑定、关联、密码登录、修改密码或刷新。",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The stated limits; tests and deployments never need others."""

    source_bytes: int = 16 * 1024
    tokens: int = 1_000
    comments: int = 200
    depth: int = 10
    aliases: int = 30
    directives: int = 30
    root_fields: int = 20
    # With fragments unfolded no document may select more than its tokens could spell
    # without them: the overlap check of validation compares what is unfolded.
    selections: int = 1_000
    cost: int = 10_000


class TooMuch(BadRequest):
    """The request is past a bound; the message names it."""


class Extent(NamedTuple):
    """How far a selection reaches, with its fragments unfolded."""

    depth: int = 0
    selections: int = 0
    aliases: int = 0
    directives: int = 0

    def beside(self, other: Extent) -> Extent:
        return Extent(
            max(self.depth, other.depth),
            self.selections + other.selections,
            self.aliases + other.aliases,
            self.directives + other.directives,
        )


def check(document: DocumentNode, bounds: Bounds) -> None:
    """Raises TooMuch where any operation or fragment goes past a bound."""
    survey = _Survey(document, bounds)
    try:
        for definition in document.definitions:
            if isinstance(
                definition, (OperationDefinitionNode, FragmentDefinitionNode)
            ):
                survey.check(definition)
    except RecursionError:
        # `... { ... { ... } }` deepens no answer, but it does deepen this walk.
        raise TooMuch(NESTED) from None


class _Survey:
    def __init__(self, document: DocumentNode, bounds: Bounds) -> None:
        self._bounds = bounds
        self._fragments = {
            definition.name.value: definition
            for definition in document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }
        self._extents: dict[str, Extent] = {}
        self._root_names: dict[str, dict[str, int]] = {}

    def check(
        self, definition: OperationDefinitionNode | FragmentDefinitionNode
    ) -> None:
        # A fragment may be for introspection: its depth counts where it is spread.
        is_fragment = isinstance(definition, FragmentDefinitionNode)
        extent = self._selections(definition.selection_set, 0, exempt=is_fragment)
        directives = extent.directives + len(definition.directives or ())
        for variable in definition.variable_definitions or ():
            directives += len(variable.directives or ())
        self._hold(DIRECTIVES, directives, self._bounds.directives)
        if isinstance(definition, OperationDefinitionNode):
            self._check_root(definition)

    def _check_root(self, operation: OperationDefinitionNode) -> None:
        names = self._names_at_root(operation.selection_set, frozenset())
        self._hold(ROOT_FIELDS, sum(names.values()), self._bounds.root_fields)
        for name, most in INTROSPECTIONS.items():
            self._hold(name, names.get(name, 0), most)
        if operation.operation is not OperationType.MUTATION:
            return
        if sum(names.get(name, 0) for name in ONCE_PER_REQUEST) > 1:
            raise TooMuch(ONCE)

    def _selections(
        self, selection_set: SelectionSetNode | None, level: int, *, exempt: bool
    ) -> Extent:
        """Measures selections; `level` is how deep this walk itself has gone."""
        extent = Extent()
        if selection_set is None:
            return extent
        deepest = INTROSPECTION_DEPTH if exempt else self._bounds.depth
        for selection in selection_set.selections:
            extent = extent.beside(self._selection(selection, level, exempt=exempt))
            # Held at every step, so no number grows past what a few spreads add.
            self._hold(DEPTH, max(level, extent.depth), deepest)
            self._hold(SELECTIONS, extent.selections, self._bounds.selections)
            self._hold(ALIASES, extent.aliases, self._bounds.aliases)
            self._hold(DIRECTIVES, extent.directives, self._bounds.directives)
        return extent

    def _selection(
        self, selection: SelectionNode, level: int, *, exempt: bool
    ) -> Extent:
        own = Extent(selections=1, directives=len(selection.directives or ()))
        if isinstance(selection, FieldNode):
            return own.beside(self._field(selection, level, exempt=exempt))
        if isinstance(selection, InlineFragmentNode):
            inner = self._selections(selection.selection_set, level, exempt=exempt)
            return own.beside(inner)
        if isinstance(selection, FragmentSpreadNode):
            return own.beside(self._spread(selection.name.value, exempt=exempt))
        return own

    def _field(self, field: FieldNode, level: int, *, exempt: bool) -> Extent:
        introspects = field.name.value in INTROSPECTION
        inner = self._selections(
            field.selection_set,
            0 if introspects else level + 1,
            exempt=exempt or introspects,
        )
        if introspects:
            self._hold(INTROSPECTED_ALIASES, inner.aliases, 0)
        return Extent(
            1 if introspects else inner.depth + 1,
            inner.selections,
            inner.aliases + (field.alias is not None),
            inner.directives,
        )

    def _spread(self, name: str, *, exempt: bool) -> Extent:
        key = f"{name} {exempt}"
        known = self._extents.get(key)
        if known is not None:
            return known
        fragment = self._fragments.get(name)
        # Validation reports the unknown fragment, and the cycle: met again while it
        # is being measured, a fragment adds nothing.
        self._extents[key] = Extent()
        if fragment is None:
            return self._extents[key]
        extent = self._selections(fragment.selection_set, 0, exempt=exempt)
        self._extents[key] = extent
        return extent

    def _names_at_root(
        self, selection_set: SelectionSetNode, within: frozenset[str]
    ) -> dict[str, int]:
        names: dict[str, int] = {}
        for selection in selection_set.selections:
            if isinstance(selection, FieldNode):
                _add(names, [(selection.name.value, 1)])
            elif isinstance(selection, InlineFragmentNode):
                inner = self._names_at_root(selection.selection_set, within)
                _add(names, inner.items())
            elif isinstance(selection, FragmentSpreadNode):
                _add(names, self._names_in(selection.name.value, within).items())
        return names

    def _names_in(self, name: str, within: frozenset[str]) -> dict[str, int]:
        known = self._root_names.get(name)
        if known is not None:
            return known
        fragment = self._fragments.get(name)
        if fragment is None or name in within:
            return {}
        names = self._names_at_root(fragment.selection_set, within | {name})
        self._root_names[name] = names
        return names

    def _hold(self, what: Text | str, asked: int, most: int) -> None:
        if asked > most:
            raise TooMuch(PAST, most=most, what=what)


def _add(names: dict[str, int], more: Iterable[tuple[str, int]]) -> None:
    for name, count in more:
        names[name] = names.get(name, 0) + count
