"""docs/api.md names each operation that can refuse, and each code there is."""

from __future__ import annotations

import graphql
import pytest
from graphql import GraphQLEnumType, GraphQLObjectType

from hefu.api import schema
from tests import codes

SERVED = graphql.build_schema(schema.as_str())


def operations(enum: str) -> set[str]:
    """Those that can answer with one of the enum's codes."""
    roots = [SERVED.query_type, SERVED.mutation_type]
    fields = {
        name: each for root in roots if root for name, each in root.fields.items()
    }
    return {name for name, field in fields.items() if enum in refusals(field.type)}


def refusals(type_: graphql.GraphQLOutputType) -> set[str]:
    named = graphql.get_named_type(type_)
    if graphql.is_union_type(named):
        return {"LoginFailureCode"} & {f"{each.name}Code" for each in named.types}
    if isinstance(named, GraphQLObjectType) and "errors" in named.fields:
        return {"InputErrorCode"}
    return set()


@pytest.mark.parametrize("enum", ["LoginFailureCode", "InputErrorCode"])
def test_each_operation_that_can_refuse_has_a_row(enum: str) -> None:
    assert set(codes.documented()[enum]) == operations(enum)


@pytest.mark.parametrize("enum", ["LoginFailureCode", "InputErrorCode"])
def test_each_code_is_some_operations(enum: str) -> None:
    type_ = SERVED.type_map[enum]
    assert isinstance(type_, GraphQLEnumType)
    told = set().union(*codes.documented()[enum].values())
    assert told == set(type_.values)


def test_a_code_that_is_not_listed_is_told() -> None:
    error = {"code": "TAKEN", "path": ["input", "id"]}
    with pytest.raises(AssertionError, match=r"deleteApp gives \{'TAKEN'\}"):
        codes.check({"data": {"deleteApp": {"errors": [error]}}})
    with pytest.raises(AssertionError, match="refreshSession gives"):
        codes.check({"data": {"refreshSession": {"code": "INVALID_CODE"}}})
