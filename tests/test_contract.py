"""What is served is what the contract says, and whatever it says is described."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import graphql
import pytest
from graphql import GraphQLNamedType, GraphQLSchema, print_ast
from graphql.utilities import find_breaking_changes

from hefu.api import schema

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "graphql"
CONTRACT = graphql.build_schema((ROOT / "tests/contract.graphql").read_text("utf-8"))
SERVED = graphql.build_schema(schema.as_str())
PACKAGES = ["hefu", "models", "resolvers", "schema", "services", "wecom"]


def test_the_snapshot_is_what_is_served() -> None:
    snapshot = (FOLDER / "schema.graphql").read_text("utf-8")
    assert snapshot.rstrip("\n") == schema.as_str().rstrip("\n"), "run scripts/schema"


def test_nothing_of_the_contract_is_broken() -> None:
    changes = find_breaking_changes(CONTRACT, SERVED)
    assert [change.description for change in changes] == []


def test_every_default_is_the_contracts() -> None:
    assert dict(defaults(SERVED, within=CONTRACT)) == dict(defaults(CONTRACT))


def test_everything_is_described() -> None:
    assert list(undescribed(SERVED)) == []


@pytest.mark.parametrize(
    "path", sorted(FOLDER.glob("operations/**/*.graphql")), ids=lambda path: path.stem
)
def test_every_operation_is_valid(path: Path) -> None:
    assert graphql.validate(SERVED, graphql.parse(path.read_text("utf-8"))) == []


def test_the_graphql_folder_is_not_a_package() -> None:
    assert list(FOLDER.rglob("*.py")) == [], "it would stand in graphql-core's place"
    assert not Path(graphql.__file__).is_relative_to(FOLDER)


@pytest.mark.parametrize("package", PACKAGES)
def test_no_dependency_brings_a_package_of_our_name(package: str) -> None:
    owners = importlib.metadata.packages_distributions().get(package, [])
    assert set(owners) <= {"hefu"}


def named(schema: GraphQLSchema) -> Iterator[GraphQLNamedType]:
    for name, type_ in schema.type_map.items():
        if not name.startswith("__") and not graphql.is_specified_scalar_type(type_):
            yield type_


def inputs(schema: GraphQLSchema) -> Iterator[tuple[str, Any]]:
    """Every argument and every field of an input, by where it stands."""
    for type_ in named(schema):
        for name, field in getattr(type_, "fields", {}).items():
            if graphql.is_input_object_type(type_):
                yield f"{type_.name}.{name}", field
            for argument, value in getattr(field, "args", {}).items():
                yield f"{type_.name}.{name}({argument}:)", value


def defaults(
    schema: GraphQLSchema, within: GraphQLSchema | None = None
) -> Iterator[tuple[str, str]]:
    known = {place for place, _ in inputs(within or schema)}
    for place, value in inputs(schema):
        if place in known:
            yield place, default(value)


def default(value: Any) -> str:
    node = value.ast_node.default_value
    return "none" if node is None else print_ast(node)


def undescribed(schema: GraphQLSchema) -> Iterator[str]:
    for type_ in named(schema):
        if not type_.description:
            yield type_.name
        if graphql.is_enum_type(type_):
            for name, value in type_.values.items():
                if not value.description:
                    yield f"{type_.name}.{name}"
        for name, field in getattr(type_, "fields", {}).items():
            if not field.description:
                yield f"{type_.name}.{name}"
    for place, value in inputs(schema):
        if not value.description:
            yield place
