"""
How many objects a valid operation may make the server load.

A page inside a page multiplies: a hundred users with a hundred sessions each are ten
thousand rows in one small document. The estimate takes every list at its fullest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sized
from typing import Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLNamedType,
    GraphQLOutputType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
    is_interface_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_object_type,
    type_from_ast,
)

LARGEST_PAGE = 100
USUAL_PAGE = 20
# Lists that take no page size: a person's identities, one for each corp, and the
# methods of a ticket. Ten would forbid what the bound on depth allows: an account's
# identities' account, four times over.
USUAL_LIST = 5
# A list of ids in a variable is no longer than the request's body, at two bytes each.
MOST_ITEMS = 32 * 1024
# The arguments that say how large a page is to be.
ENDS = frozenset({"first", "last"})
# The wrappers of a page stand for the page itself and load nothing of their own.
WRAPPERS = ("Connection", "Edge", "PageInfo")


def worst(
    schema: GraphQLSchema,
    operation: OperationDefinitionNode,
    fragments: Mapping[str, FragmentDefinitionNode],
) -> int:
    """The cost if every variable asked for the largest page."""
    return _Estimate(schema, fragments, None).operation(operation)


def of(
    schema: GraphQLSchema,
    operation: OperationDefinitionNode,
    fragments: Mapping[str, FragmentDefinitionNode],
    variables: Mapping[str, Any],
) -> int:
    """The cost with these (coerced) variables."""
    return _Estimate(schema, fragments, variables).operation(operation)


def page_sizes(
    operation: OperationDefinitionNode,
    fragments: Mapping[str, FragmentDefinitionNode],
) -> Iterator[ValueNode]:
    """What `first` and `last` are given anywhere in a valid operation."""
    waiting = [operation.selection_set]
    entered: set[str] = set()
    while waiting:
        for selection in waiting.pop().selections:
            if isinstance(selection, FieldNode):
                for argument in selection.arguments or ():
                    if argument.name.value in ENDS:
                        yield argument.value
            below = _below(selection, fragments, entered)
            if below is not None:
                waiting.append(below)


def _below(
    selection: SelectionNode,
    fragments: Mapping[str, FragmentDefinitionNode],
    entered: set[str],
) -> SelectionSetNode | None:
    if isinstance(selection, (FieldNode, InlineFragmentNode)):
        return selection.selection_set
    if not isinstance(selection, FragmentSpreadNode):
        return None
    name = selection.name.value
    if name in entered:
        return None
    entered.add(name)
    return fragments[name].selection_set


class _Estimate:
    def __init__(
        self,
        schema: GraphQLSchema,
        fragments: Mapping[str, FragmentDefinitionNode],
        variables: Mapping[str, Any] | None,
    ) -> None:
        self._schema = schema
        self._fragments = fragments
        self._variables = variables
        self._known: dict[str, int] = {}

    def operation(self, operation: OperationDefinitionNode) -> int:
        root = self._schema.get_root_type(operation.operation)
        return self._selections(operation.selection_set, root)

    def _selections(
        self, selection_set: SelectionSetNode | None, parent: GraphQLNamedType | None
    ) -> int:
        if selection_set is None:
            return 0
        return sum(self._selection(each, parent) for each in selection_set.selections)

    def _selection(
        self, selection: SelectionNode, parent: GraphQLNamedType | None
    ) -> int:
        if isinstance(selection, FieldNode):
            return self._field(selection, parent)
        if isinstance(selection, FragmentSpreadNode):
            return self._fragment(selection.name.value)
        if isinstance(selection, InlineFragmentNode):
            condition = selection.type_condition
            inner = type_from_ast(self._schema, condition) if condition else parent
            return self._selections(selection.selection_set, inner)
        return 0

    def _fragment(self, name: str) -> int:
        known = self._known.get(name)
        if known is not None:
            return known
        fragment = self._fragments[name]
        parent = type_from_ast(self._schema, fragment.type_condition)
        cost = self._known[name] = self._selections(fragment.selection_set, parent)
        return cost

    def _field(self, node: FieldNode, parent: GraphQLNamedType | None) -> int:
        if not (is_object_type(parent) or is_interface_type(parent)):
            return 0
        field = parent.fields.get(node.name.value)
        # Introspection reads the schema, which is no longer than it is.
        if field is None:
            return 0
        inner = get_named_type(field.type)
        if is_leaf_type(inner):
            return 0
        own = 0 if inner.name.endswith(WRAPPERS) else 1
        below = own + self._selections(node.selection_set, inner)
        return self._length(node, field, parent) * below

    def _length(
        self, node: FieldNode, field: GraphQLField, parent: GraphQLNamedType
    ) -> int:
        arguments = {each.name.value: each.value for each in node.arguments or ()}
        if "first" in field.args or "last" in field.args:
            given = [arguments[end] for end in ("first", "last") if end in arguments]
            return max((self._page(value) for value in given), default=USUAL_PAGE)
        if not _is_list(field.type) or parent.name.endswith(WRAPPERS):
            return 1
        lengths = [self._items(value) for value in arguments.values()]
        return max((each for each in lengths if each is not None), default=USUAL_LIST)

    def _page(self, value: ValueNode) -> int:
        size: Any = None
        if isinstance(value, IntValueNode):
            size = int(value.value)
        if isinstance(value, VariableNode):
            size = self._page_given(value.name.value)
        if not isinstance(size, int):
            return USUAL_PAGE
        return min(max(size, 0), LARGEST_PAGE)

    def _page_given(self, variable: str) -> Any:
        if self._variables is None:
            return LARGEST_PAGE
        return self._variables.get(variable)

    def _items(self, value: ValueNode) -> int | None:
        if isinstance(value, ListValueNode):
            return len(value.values)
        if not isinstance(value, VariableNode):
            return None
        if self._variables is None:
            return MOST_ITEMS
        given = self._variables.get(value.name.value)
        if not isinstance(given, Sized) or isinstance(given, (str, dict)):
            return None
        return len(given)


def _is_list(type_: GraphQLOutputType) -> bool:
    if is_non_null_type(type_):
        return is_list_type(type_.of_type)
    return is_list_type(type_)
