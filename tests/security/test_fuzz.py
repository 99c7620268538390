"""Whatever Hypothesis makes of the schema, by whoever, in little memory."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from graphql import (
    GraphQLInputType,
    get_named_type,
    is_enum_type,
    is_input_object_type,
    is_list_type,
    is_non_null_type,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.security.conftest import Row
from tests.security.documents import Call, calls
from tests.security.serving import Served

pytestmark = pytest.mark.slow

MEMORY = 512 * 1024 * 1024
CALLS = calls()

texts = st.text(max_size=40) | st.sampled_from(["\0", "", "wecom", "%", "x" * 3000])
ids = texts | st.builds(
    "{}_{}".format,
    st.sampled_from(["usr", "app", "src", "idn", "ses", "key", "evt", ""]),
    st.text("0123456789abcdefghjkmnpqrstvwxyz", min_size=26, max_size=26),
)
SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "String": texts,
    "ID": ids,
    "Int": st.integers() | st.sampled_from([0, 1, 100, 101, -1]),
    "Boolean": st.booleans(),
    "DateTime": st.datetimes().map(lambda moment: f"{moment.isoformat()}Z") | texts,
}
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3)
    ),
    max_leaves=8,
)


def values(type_: GraphQLInputType) -> st.SearchStrategy[Any]:
    """Mostly of the type; now and then of none."""
    if is_non_null_type(type_):
        return values(type_.of_type)
    if is_list_type(type_):
        return st.lists(values(type_.of_type), max_size=3) | st.none()
    if is_input_object_type(type_):
        required = {
            name: values(each.type)
            for name, each in type_.fields.items()
            if is_non_null_type(each.type)
        }
        optional = {
            name: values(each.type)
            for name, each in type_.fields.items()
            if not is_non_null_type(each.type)
        }
        return st.fixed_dictionaries(required, optional=optional)
    if is_enum_type(type_):
        return st.sampled_from(sorted(type_.values)) | st.none()
    return SCALARS[get_named_type(type_).name] | st.none()


@st.composite
def requests(draw: st.DrawFn) -> tuple[Call, dict[str, Any]]:
    call = draw(st.sampled_from(CALLS))
    variables = {
        name: draw(values(each.type)) for name, each in call.field.args.items()
    }
    if draw(st.integers(0, 9)) == 0 and variables:
        variables[draw(st.sampled_from(sorted(variables)))] = draw(anything)
    return call, variables


@pytest.mark.parametrize("who", ["nobody", "owner"])
def test_nothing_hypothesis_sends_is_the_servers_fault(
    server: Served, row: Callable[[str], Row], who: str
) -> None:
    line = row("Fuzz: Hypothesis over every root field, under 512 MiB")
    _limit_memory(server)
    headers = {"Authorization": f"Bearer {server.key}"} if who == "owner" else {}

    with httpx.Client(timeout=60, headers=headers) as client:

        @settings(
            max_examples=400,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        )
        @given(requests())
        def attempt(request: tuple[Call, dict[str, Any]]) -> None:
            call, variables = request
            line.tried += 1
            asked = {"query": call.document, "variables": variables}
            body = json.dumps(asked).encode()
            answer = client.post(
                f"{server.url}/graphql",
                content=body,
                headers={"Content-Type": "application/json"},
            )
            told = answer.text
            if answer.status_code >= 500 or '"INTERNAL"' in told:
                line.through.append((call.name, variables, told[:300]))

        attempt()
    server.forget_memory()
    line.measure("memory", server.memory() / 1024 / 1024, "MiB in all")
    assert server.process.poll() is None


def _limit_memory(server: Served) -> None:
    """What is past it is not allocated: the server would answer 500, or die."""
    _, hard = resource.prlimit(server.process.pid, resource.RLIMIT_AS)
    if hard != resource.RLIM_INFINITY:
        return  # The test before this one did.
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    [line] = [each for each in status.splitlines() if each.startswith("VmSize")]
    most = int(line.split()[1]) * 1024 + MEMORY
    resource.prlimit(server.process.pid, resource.RLIMIT_AS, (most, most))
