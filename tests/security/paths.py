"""Every way through the graph, generated from the schema itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from graphql import (
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLObjectType,
    get_named_type,
    is_composite_type,
    is_interface_type,
    is_object_type,
    is_required_argument,
    is_union_type,
)

from tests.security.documents import SCHEMA

Holder = GraphQLObjectType | GraphQLInterfaceType
Edge = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Way:
    """The fields from a root to an object, and the type that it has there."""

    steps: tuple[str, ...]
    type: Holder
    edges: frozenset[Edge] = frozenset()

    def select(self, inner: str) -> str:
        """`inner` of that object, and nothing else on the way."""
        for step in reversed(self.steps):
            inner = f"{step} {{ {inner} }}"
        return inner

    def leaves(self) -> Iterator[str]:
        """Fields that hold a value and not another object."""
        for name, field in self.type.fields.items():
            if not is_composite_type(get_named_type(field.type)):
                yield name


def ways(type_name: str, *, ends: frozenset[str], deepest: int) -> list[Way]:
    """
    Every way from a type on that takes no field of a type twice.

    :param ends: types of which no object's objects are looked at.
    """
    start = SCHEMA.type_map[type_name]
    assert is_object_type(start) or is_interface_type(start)
    found: list[Way] = []
    waiting = [Way((), start)]
    while waiting:
        way = waiting.pop()
        found.append(way)
        if way.type.name in ends or len(way.steps) >= deepest:
            continue
        for name, field in way.type.fields.items():
            edge = (way.type.name, name)
            if edge not in way.edges:
                waiting += _further(way, name, field, edge)
    return found


def _further(way: Way, name: str, field: GraphQLField, edge: Edge) -> Iterator[Way]:
    inner = get_named_type(field.type)
    if not is_composite_type(inner):
        return
    assert not any(map(is_required_argument, field.args.values()))
    edges = way.edges | {edge}
    steps = (*way.steps, name)
    if is_object_type(inner) or is_interface_type(inner):
        yield Way(steps, inner, edges)
    if is_interface_type(inner) or is_union_type(inner):
        for each in SCHEMA.get_possible_types(inner):
            yield Way((*steps, f"... on {each.name}"), each, edges)
