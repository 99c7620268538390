"""A plan's answer is the executor's answer, byte by byte."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
from typing import Any

import httpx
import pytest
from graphql.execution.values import VariableValues

from hefu import plans
from hefu.coercion import MOST_ERRORS
from models import Role
from tests import test_every_field, test_operations
from tests.house import House

pytestmark = pytest.mark.ways

NESTED = """
identitySources(first: 2) {
  nodes {
    id identifier enabled createdAt accountAssociation { mode matchFields }
    apps(first: 1) { nodes { id name } totalCount
    pageInfo { endCursor hasNextPage } edges { cursor node { id } } }
  }
  totalCount pageInfo { hasNextPage endCursor }
}
"""
PLANNED = [
    "{ __typename }",
    "{ me { id } }",
    f"{{ {NESTED} }}",
    f"{{ __typename a: {NESTED} b: {NESTED} }}",
    "query($n: Int) { apps(first: $n) { __typename nodes { name __typename } } }",
    '{ node(id: "app_01kb3v5x9gf2tvrzc1q0k7m4dh") { __typename id } }',
    '{ nodes(ids: ["nonsense"]) { id } }',
    "{ identitySourceKinds { typeName provider displayName } }",
    "{ users { nodes { id role identities { id } sessions { totalCount } } } }",
    "{ auditEvents(first: 3) { nodes { action occurredAt actorType } } }",
    # Lists of lists of lists, from either end, the same list twice.
    """
    query($n: Int) { apps { nodes { id
      identitySources(last: $n) { totalCount nodes { enabled
        ... on WecomMobileIdentitySource { problem { since } }
        apps(last: 2) { nodes { name createdAt identitySources { nodes { id } } }
          edges { cursor node { id } } pageInfo { startCursor hasPreviousPage } } } }
      first: identitySources(first: 1) { pageInfo { hasNextPage } edges { __typename
        node { __typename accountAssociation { mode } apps { nodes { enabled } } } } }
    } } }
    """,
    # Lists of a page from its end, and behind a cursor, in an order of two columns.
    """
    query($after: String!) {
      identitySources(last: 2, filter: { enabled: true },
          orderBy: { field: DISPLAY_NAME, direction: DESC }) {
        nodes { id apps { nodes { id } } } pageInfo { hasPreviousPage }
      }
      apps(first: 2, after: $after, orderBy: { field: NAME, direction: ASC }) {
        nodes { id identitySources(last: 1) { nodes { id } } } pageInfo { hasNextPage }
      }
    }
    """,
    # What Apollo, Relay and urql send.
    "{ ... { __typename } }",
    "{ ...F } fragment F on Query { __typename }",
    "{ __typename @include(if: true) }",
    "{ apps { nodes { id } } apps { nodes { name id } } }",
    """
    query($n: Int) { identitySources(first: $n) { ...Page pageInfo { ...Info } } }
    fragment Page on IdentitySourceConnection {
      edges { cursor node { __typename ...Source } } nodes { ...Source enabled }
    }
    fragment Source on IdentitySource {
      id name: displayName ... on WecomMobileIdentitySource { corpId problem { since } }
      apps(first: 3) { nodes { ...Of ... on Node { id } } }
    }
    fragment Of on App { id name }
    fragment Info on PageInfo { hasNextPage endCursor }
    """,
    """
    query($n: Int = 1, $yes: Boolean = true, $no: Boolean!) {
      apps(first: $n) {
        nodes { id @skip(if: $yes) name @include(if: $yes) ...Sources @skip(if: $no) }
        totalCount @include(if: $no)
      }
    }
    fragment Sources on App { identitySources { nodes { id @include(if: $yes) } } }
    """,
]
# Each goes wrong while it runs; the executor has the last word.
FAILING = [
    "{ identitySources(first: 1, last: 1) { nodes { id } } }",
    "{ apps { nodes { id identitySources(first: 1, last: 1) { nodes { id } } } } }",
    '{ __typename apps(after: "nonsense") { nodes { id } } }',
    "{ apiKeys { id } __typename }",
]
UNPLANNED = [
    "{ __schema { queryType { name } } }",
    # Each way that the directives decide is a plan: five variables would be 32.
    """
    query($a: Boolean = true, $b: Boolean = true, $c: Boolean = true,
          $d: Boolean = true, $e: Boolean = true) {
      a: __typename @skip(if: $a) b: __typename @skip(if: $b)
      c: __typename @skip(if: $c) d: __typename @skip(if: $d)
      e: __typename @skip(if: $e) __typename
    }
    """,
    # A ladder of fragments: 30 lines that unfold to thousands of fields.
    'query { identity(issuer: "x", subject: "y") { ...F0 } }'
    + "".join(
        f" fragment F{n} on Identity {{ a{n}: user {{ identities {{ ...F{n + 1} }} }}"
        f" b{n}: user {{ identities {{ ...F{n + 1} }} }} "
        f" c{n}: user {{ identities {{ ...F{n + 1} }} }} }}"
        for n in range(3)
    )
    + " fragment F3 on Identity {"
    + " ".join(f"l{n}: id" for n in range(20))
    + " }",
]

# Of a person: what is refused somewhere within, and what is not.
WRONG = [
    'sessions(after: "bad") { totalCount }',
    'sessions(before: "bad") { nodes { id } }',
    "sessions { nodes { app { identitySources { totalCount } } } }",
    "identities { identitySource { apps { totalCount } } }",
]
RIGHT = [
    "right: identities { id }",
    "right: identities { identitySource { id } }",
    "right: sessions { nodes { app { id } } }",
    "right: sessions { nodes { user { identities { id } } } totalCount }",
    "right: sessions { nodes { identity { user { sessions { totalCount } } } } }",
]
BESIDE = [
    "{{ me {{ {wrong} {right} }} }}",
    "{{ me {{ {right} {wrong} }} }}",
    "{{ a: me {{ {wrong} }} b: me {{ {right} }} }}",
    "{{ a: me {{ {right} {wrong} }} b: me {{ {right} }} }}",
    "{{ me {{ sessions {{ nodes {{ user {{ {wrong} {right} }} }} }} }} }}",
]


class Twice(House):
    """A house whose every query is asked twice: by its plan, and without one."""

    asked = 0

    async def post(self, query: str, *given: Any, **named: Any) -> httpx.Response:
        planned = await super().post(query, *given, **named)
        if re.search(r"^\s*mutation\b", query, re.MULTILINE):
            return planned
        plans.HAS_PLANS = False
        try:
            executed = await super().post(query, *given, **named)
        finally:
            plans.HAS_PLANS = True
        assert planned.status_code == executed.status_code
        assert data_of(planned.content) == data_of(executed.content), query
        assert errors_of(planned.content) == errors_of(executed.content), query
        self.asked += 1
        return planned


@pytest.fixture
def twice(house: House) -> Twice:
    return Twice(**vars(house))


class Count:
    """How many operations were answered by their plans."""

    def __init__(self) -> None:
        self.answered = 0


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch) -> Count:
    told = Count()
    run = plans.Plan.run

    async def counted(
        self: plans.Plan, context: object, variables: VariableValues
    ) -> dict[str, Any] | None:
        data = await run(self, context, variables)
        told.answered += data is not None
        return data

    monkeypatch.setattr(plans.Plan, "run", counted)
    return told


async def both(
    house: House, query: str, after: str, monkeypatch: pytest.MonkeyPatch
) -> tuple[bytes, bytes]:
    token = await house.key(Role.VIEWER)
    variables = {"n": 2, "no": False, "after": after}
    planned = await house.post(query, variables, token=token)
    monkeypatch.setattr(plans, "HAS_PLANS", False)
    executed = await house.post(query, variables, token=token)
    return planned.content, executed.content


async def furnish(house: House) -> str:
    """Lists of different lengths, and of nothing; the first app's cursor, by name."""
    apps = [await house.app() for _ in range(4)]
    sources = [await house.source() for _ in range(4)]
    for number, app in enumerate(apps):
        for source in sources[4 - number :]:
            await house.associate(app, source)
    order = "orderBy: { field: NAME, direction: ASC }"
    query = f"{{ apps(first: 1, {order}) {{ pageInfo {{ endCursor }} }} }}"
    data = await house.data(query, token=await house.key())
    cursor: str = data["apps"]["pageInfo"]["endCursor"]
    return cursor


def without_ids(content: bytes) -> bytes:
    return content.partition(b'"requestId"')[0]


def data_of(content: bytes) -> bytes:
    return content.partition(b',"errors":')[0]


def errors_of(content: bytes) -> list[str] | int:
    """In no order, as they come when statements end; past ten, whichever were first."""
    errors = json.loads(content).get("errors", [])
    if len(errors) >= MOST_ERRORS:
        return len(errors)
    for error in errors:
        error["extensions"].pop("requestId", None)
    return sorted(json.dumps(error, sort_keys=True) for error in errors)


@pytest.mark.parametrize("query", PLANNED)
async def test_a_plan_answers_as_the_executor_does(
    house: House, query: str, count: Count, monkeypatch: pytest.MonkeyPatch
) -> None:
    after = await furnish(house)
    before = count.answered
    planned, executed = await both(house, query, after, monkeypatch)
    assert b'"errors"' not in planned
    assert planned == executed
    assert count.answered == before + 1


@pytest.mark.parametrize("query", FAILING)
async def test_what_goes_wrong_is_told_by_the_executor(
    house: House, query: str, count: Count, monkeypatch: pytest.MonkeyPatch
) -> None:
    after = await furnish(house)
    before = count.answered
    planned, executed = await both(house, query, after, monkeypatch)
    assert b'"errors"' in planned
    assert without_ids(planned) == without_ids(executed)
    assert count.answered == before


@pytest.mark.parametrize("beside", BESIDE)
async def test_a_refused_field_takes_none_beside_it_along(
    twice: Twice, beside: str
) -> None:
    """Each is answered: of two that wait for one object, neither cuts the other off."""
    login = await (await twice.entrance()).log_in()
    token = login["tokens"]["accessToken"]
    for wrong, right in itertools.product(WRONG, RIGHT):
        query = beside.format(wrong=wrong, right=right)
        async with asyncio.timeout(5):
            answer = await twice.post(query, token=token)
        assert answer.status_code == 200
        assert answer.json()["errors"], query


async def test_nor_does_one_in_what_a_mutation_gives(house: House) -> None:
    login = await (await house.entrance()).log_in()
    key, of = await house.key(), f'input: {{ id: "{login["user"]["id"]}" }}'
    wrong = 'sessions(after: "bad") { totalCount }'
    for right in RIGHT:
        query = f"mutation {{ updateUser({of}) {{ user {{ {wrong} {right} }} }} }}"
        async with asyncio.timeout(5):
            answer = await house.post(query, token=key)
        assert answer.status_code == 200
        [error] = answer.json()["errors"]
        assert error["extensions"]["code"] == "BAD_REQUEST"


@pytest.mark.parametrize("query", UNPLANNED)
async def test_what_has_no_plan_is_executed(
    house: House, query: str, count: Count, monkeypatch: pytest.MonkeyPatch
) -> None:
    after = await furnish(house)
    before = count.answered
    planned, executed = await both(house, query, after, monkeypatch)
    assert planned == executed
    assert count.answered == before


async def test_every_field_of_the_contract_is_the_same_both_ways(twice: Twice) -> None:
    await test_every_field.test_every_field_of_the_contract_answers(twice)
    assert twice.asked > 20


async def test_every_example_is_the_same_both_ways(twice: Twice) -> None:
    await test_operations.test_every_example_does_what_it_is_for(twice)
    assert twice.asked > 10
