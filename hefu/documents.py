"""Documents, ready to run: bounded, parsed and validated once, then remembered."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    InlineFragmentNode,
    IntValueNode,
    NoSchemaIntrospectionCustomRule,
    OperationDefinitionNode,
    OperationType,
    SelectionNode,
    SelectionSetNode,
    ValuesOfCorrectTypeRule,
    VariableNode,
    Visitor,
    get_variable_values,
    parse,
    specified_rules,
    validate,
    visit,
)
from graphql.execution.values import VariableValues
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule

from hefu import bounds, costs
from hefu.bounds import Bounds, TooMuch
from hefu.coercion import MOST_ERRORS, MaskedValuesRule
from hefu.plans import MutationPlan, Plan, Plans
from services import pages
from services.errors import BadRequest
from services.language import Text

RULES = (
    *(
        MaskedValuesRule if rule is ValuesOfCorrectTypeRule else rule
        for rule in specified_rules
    ),
    MaybeNullValidationRule,
    OneOfInputValidationRule,
)
# Dense documents take this much memory for each of their characters, tokens included.
TREE_BYTES = 200
# "Expected Name, found String 'hunter2'": the kind of what was found is enough.
_TOKEN = re.compile(r"\b(String|BlockString|Name|Int|Float) ['\"].*['\"]", re.DOTALL)

NO_VARIABLES = VariableValues({}, {})

NO_SUCH_OPERATION = Text(
    "The document has no operation of that name.", "文档中没有此名称的操作。"
)
WHICH_OPERATION = Text(
    "Several operations: operationName must name one.",
    "文档含有多个操作：operationName 必须指明其一。",
)
COST = Text(
    "The query could load {cost} objects, past the bound of {most}: ask for smaller"
    " pages or fewer nested lists.",
    "该查询可能加载 {cost} 个对象，超出上限 {most}：请减小页大小或减少嵌套列表。",
)
# graphql-core stops at these by a sentence of its own, which names one of them.
STOPPED_BY = {"tokens": bounds.TOKENS, "comments": bounds.COMMENTS}


class Invalid(Exception):
    """The document does not parse or does not validate."""

    def __init__(self, errors: list[GraphQLError]) -> None:
        super().__init__(f"{len(errors)} errors")
        self.errors = errors


class UnknownOperation(BadRequest):
    """The request does not say which of the document's operations it means."""


class Document:
    """One valid document and the operations in it."""

    def __init__(
        self, schema: GraphQLSchema, tree: DocumentNode, limits: Bounds
    ) -> None:
        self.tree = tree
        self._schema = schema
        self._limits = limits
        self._operations: dict[str | None, OperationDefinitionNode] = {}
        self._fragments: dict[str, FragmentDefinitionNode] = {}
        for definition in tree.definitions:
            if isinstance(definition, OperationDefinitionNode):
                self._operations[_name(definition)] = definition
            if isinstance(definition, FragmentDefinitionNode):
                self._fragments[definition.name.value] = definition
        # A login is the same price for everybody: only documents that could go past
        # the bound are priced again with each request's variables.
        self._priced = {
            name: costs.worst(schema, operation, self._fragments) > limits.cost
            for name, operation in self._operations.items()
        }
        self._page_sizes = {
            name: tuple(costs.page_sizes(operation, self._fragments))
            for name, operation in self._operations.items()
        }
        self._plans = {
            name: Plans(schema, operation, self._fragments)
            for name, operation in self._operations.items()
        }

    def plan(
        self, operation: OperationDefinitionNode, variables: VariableValues
    ) -> Plan | MutationPlan | None:
        """How to run it without graphql-core's executor, if it can be."""
        return self._plans[_name(operation)].of(variables)

    def variables(
        self, operation: OperationDefinitionNode, given: Mapping[str, Any]
    ) -> VariableValues | None:
        """The values of the operation's variables; None where some do not fit."""
        declared = operation.variable_definitions
        if not declared:
            return NO_VARIABLES
        found = get_variable_values(
            self._schema, declared, dict(given), max_errors=1, hide_suggestions=True
        )
        return None if isinstance(found, list) else found

    def operation(self, name: str | None) -> OperationDefinitionNode:
        if name:
            found = self._operations.get(name)
            if found is None:
                raise UnknownOperation(NO_SUCH_OPERATION)
            return found
        if len(self._operations) != 1:
            raise UnknownOperation(WHICH_OPERATION)
        return next(iter(self._operations.values()))

    def roots(self, operation: OperationDefinitionNode) -> set[str]:
        """The names of the fields that it begins with."""
        names: set[str] = set()
        spread: set[str] = set()
        left = list(operation.selection_set.selections)
        while left:
            node = left.pop()
            if isinstance(node, FieldNode):
                names.add(node.name.value)
            elif isinstance(node, InlineFragmentNode):
                left += node.selection_set.selections
            # Each fragment once: nested ones would be walked 2^n times.
            elif isinstance(node, FragmentSpreadNode) and node.name.value not in spread:
                spread.add(node.name.value)
                left += self._fragments[node.name.value].selection_set.selections
        return names

    def is_query(self, operation: OperationDefinitionNode) -> bool:
        return operation.operation is OperationType.QUERY

    def hold_page_sizes(
        self, operation: OperationDefinitionNode, variables: Mapping[str, Any]
    ) -> None:
        """Raises TooMuch where a page is to be larger than allowed, or of nothing."""
        for value in self._page_sizes[operation.name.value if operation.name else None]:
            size: Any = None
            if isinstance(value, IntValueNode):
                size = int(value.value)
            if isinstance(value, VariableNode):
                size = variables.get(value.name.value)
            if size is not None and not 1 <= size <= pages.LARGEST:
                raise TooMuch(pages.PAGE_SIZE, largest=pages.LARGEST)

    def hold_cost(
        self, operation: OperationDefinitionNode, variables: Mapping[str, Any]
    ) -> None:
        """Raises TooMuch where the operation could load more than is allowed."""
        if not self._priced[_name(operation)]:
            return
        cost = costs.of(self._schema, operation, self._fragments, variables)
        if cost > self._limits.cost:
            raise TooMuch(COST, cost=cost, most=self._limits.cost)


def _name(operation: OperationDefinitionNode) -> str | None:
    return operation.name.value if operation.name else None


class Documents:
    """Prepares documents; keeps those that were valid, the latest used longest."""

    def __init__(
        self,
        schema: GraphQLSchema,
        *,
        cache_size: int = 512,
        cache_bytes: int = 32 * 1024 * 1024,
        limits: Bounds | None = None,
    ) -> None:
        self._schema = schema
        self._limits = limits or Bounds()
        self._cache_size = cache_size
        self._cache_bytes = cache_bytes
        self._cache: OrderedDict[tuple[str, bool], Document] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._cache)

    def prepare(self, query: str, *, introspection: bool) -> Document:
        """Raises TooMuch or Invalid; neither leaves anything behind."""
        # What an administrator may ask is not what a phone may ask.
        key = (query, introspection)
        known = self._cache.get(key)
        if known is not None:
            self._cache.move_to_end(key)
            return known
        document = Document(
            self._schema, self._valid(query, introspection=introspection), self._limits
        )
        self._remember(key, document)
        return document

    def _valid(self, query: str, *, introspection: bool) -> DocumentNode:
        parsed = self._parse(query)
        bounds.check(parsed, self._limits)
        tree: DocumentNode = visit(parsed, _Repetition(query))
        rules = RULES if introspection else (*RULES, NoSchemaIntrospectionCustomRule)
        errors = validate(
            self._schema,
            tree,
            rules,
            max_errors=MOST_ERRORS - 1,  # One more says that there were more.
            hide_suggestions=not introspection,
        )
        if errors:
            raise Invalid(errors if introspection else list(map(_bare, errors)))
        return tree

    def _parse(self, query: str) -> DocumentNode:
        most = self._limits
        if len(query.encode(errors="surrogatepass")) > most.source_bytes:
            raise TooMuch(bounds.PAST, most=most.source_bytes, what=bounds.BYTES)
        try:
            return parse(
                query,
                max_lexical_tokens=most.tokens,
                max_comments=most.comments,
            )
        except GraphQLSyntaxError as error:
            if error.message.endswith("Parsing aborted."):
                raise self._stopped(error.message) from None
            raise Invalid([_without_token(error)]) from None

    def _stopped(self, message: str) -> TooMuch:
        for name, what in STOPPED_BY.items():
            if f"{name}." in message:
                return TooMuch(bounds.PAST, most=getattr(self._limits, name), what=what)
        return TooMuch(bounds.NESTED)

    def _remember(self, key: tuple[str, bool], document: Document) -> None:
        self._cache[key] = document
        self._bytes += _weight(key)
        while len(self._cache) > self._cache_size or self._bytes > self._cache_bytes:
            oldest, _ = self._cache.popitem(last=False)
            self._bytes -= _weight(oldest)


class _Repetition(Visitor):
    """
    Selects once what one selection set selects twice in the very same words.

    It means the same, and the overlap check compares every pair of equal names: of 990
    it makes 490,000 pairs, then gives up on a document that is valid.
    """

    def __init__(self, source: str) -> None:
        super().__init__()
        self._source = source

    def enter_selection_set(
        self, node: SelectionSetNode, *_: object
    ) -> SelectionSetNode | None:
        different = {_text(each, self._source): each for each in node.selections}
        if len(different) == len(node.selections):
            return None
        return replace(node, selections=tuple(different.values()))


def _text(node: SelectionNode, source: str) -> str:
    return source[node.loc.start : node.loc.end] if node.loc else str(id(node))


def _without_token(error: GraphQLSyntaxError) -> GraphQLError:
    message = _TOKEN.sub(r"\1", error.message)
    return GraphQLError(message, source=error.source, positions=error.positions)


def _bare(error: GraphQLError) -> GraphQLError:
    """ScalarLeafsRule suggests, whoever asks: "Did you mean 'me { ... }'?"."""
    return GraphQLError(error.message.partition(" Did you mean ")[0], error.nodes)


def _weight(key: tuple[str, bool]) -> int:
    return len(key[0]) * TREE_BYTES
