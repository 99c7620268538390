#!/usr/bin/env -S .venv/bin/python
"""
What the working tree's SDL breaks for clients, compared with a release.

    scripts/breaking_changes.py [REF]

REF is a tag, a branch or a commit, or a file of SDL; without it the last release tag.
Exit status: 0 nothing breaks, 1 something does, 2 there is nothing to compare with.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from graphql import (
    GraphQLInputField,
    GraphQLSchema,
    build_schema,
    is_input_object_type,
    is_interface_type,
    is_object_type,
    print_ast,
)
from graphql.utilities import find_breaking_changes, find_dangerous_changes

ROOT = Path(__file__).resolve().parent.parent
SNAPSHOT = "graphql/schema.graphql"


class NothingToCompare(Exception):
    """There is no release, or no SDL in it."""


def main(arguments: list[str]) -> int:
    try:
        ref = arguments[0] if arguments else last_release()
        before = build_schema(published(ref))
    except NothingToCompare as error:
        print(error, file=sys.stderr)
        return 2
    after = build_schema((ROOT / SNAPSHOT).read_text("utf-8"))
    broken = [*breaking(before, after)]
    for description in broken:
        print(f"breaking: {description}")
    for change in find_dangerous_changes(before, after):
        if change.description not in broken:
            print(f"worth a look: {change.description}")
    print(f"{len(broken)} breaking changes since {ref}")
    return 1 if broken else 0


def breaking(before: GraphQLSchema, after: GraphQLSchema) -> Iterator[str]:
    """
    What a client of `before` could stumble over in `after`.

    graphql-core says nothing of an input's lost or changed default, and calls that of
    an argument merely dangerous: here a default is a promise, as clients leave it out.
    """
    for change in find_breaking_changes(before, after):
        yield change.description
    known = dict(inputs(after))
    for place, value in inputs(before):
        now = known.get(place)
        if now is not None and default(now) != default(value):
            yield f"{place} has the default {default(now)} instead of {default(value)}."


def inputs(schema: GraphQLSchema) -> Iterator[tuple[str, GraphQLInputField]]:
    """Every argument and every field of an input, by where it stands."""
    for type_ in schema.type_map.values():
        if type_.name.startswith("__"):
            continue
        if is_input_object_type(type_):
            for name, value in type_.fields.items():
                yield f"{type_.name}.{name}", value
        if is_object_type(type_) or is_interface_type(type_):
            for name, field in type_.fields.items():
                for argument, taken in field.args.items():
                    yield f"{type_.name}.{name}({argument}:)", taken


def default(value: GraphQLInputField) -> str:
    node = value.ast_node.default_value if value.ast_node else None
    return "none" if node is None else print_ast(node)


def last_release() -> str:
    """
    :raises NothingToCompare: nothing was released yet.
    """
    found = git("describe", "--tags", "--abbrev=0", "--match", "v[0-9]*")
    if found is None:
        raise NothingToCompare("There is no release tag yet: name a ref.")
    return found.strip()


def published(ref: str) -> str:
    """
    The SDL that `ref` promises.

    :raises NothingToCompare: there is none.
    """
    if ref.endswith(".graphql"):
        return Path(ref).read_text("utf-8")
    found = git("show", f"{ref}:{SNAPSHOT}")
    if found is None:
        raise NothingToCompare(f"There is no {SNAPSHOT} in {ref}.")
    return found


def git(*arguments: str) -> str | None:
    done = subprocess.run(
        ["git", *arguments],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout if done.returncode == 0 else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
