"""A plan's answer is the executor's answer, byte by byte."""

from __future__ import annotations

from typing import Any

import pytest

from hefu import plans
from models import Role
from tests.house import House

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
]
# Each goes wrong while it runs; the executor has the last word.
FAILING = [
    "{ identitySources(first: 1, last: 1) { nodes { id } } }",
    "{ apps { nodes { id identitySources(first: 1, last: 1) { nodes { id } } } } }",
    '{ __typename apps(after: "nonsense") { nodes { id } } }',
    "{ apiKeys { id } __typename }",
]
UNPLANNED = [
    "{ ... { __typename } }",
    "{ ...F } fragment F on Query { __typename }",
    "{ __typename @include(if: true) }",
    "{ __schema { queryType { name } } }",
    "{ apps { nodes { id } } apps { nodes { name } } }",
]


class Count:
    """How many operations were answered by their plans."""

    def __init__(self) -> None:
        self.answered = 0


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch) -> Count:
    told = Count()
    run = plans.Plan.run

    async def counted(self: plans.Plan, executor: Any) -> dict[str, Any] | None:
        data = await run(self, executor)
        told.answered += data is not None
        return data

    monkeypatch.setattr(plans.Plan, "run", counted)
    return told


async def both(
    house: House, query: str, monkeypatch: pytest.MonkeyPatch
) -> tuple[bytes, bytes]:
    token, variables = await house.key(Role.VIEWER), {"n": 2}
    planned = await house.post(query, variables, token=token)
    monkeypatch.setattr(plans, "HAS_PLANS", False)
    # A document that differs by a blank is prepared anew.
    executed = await house.post(f"{query} ", variables, token=token)
    return planned.content, executed.content


async def furnish(house: House) -> None:
    for _ in range(3):
        app = await house.app()
        await house.associate(app, await house.source(app))


def without_ids(content: bytes) -> bytes:
    return content.partition(b'"requestId"')[0]


@pytest.mark.parametrize("query", PLANNED)
async def test_a_plan_answers_as_the_executor_does(
    house: House, query: str, count: Count, monkeypatch: pytest.MonkeyPatch
) -> None:
    await furnish(house)
    before = count.answered
    planned, executed = await both(house, query, monkeypatch)
    assert b'"errors"' not in planned
    assert planned == executed
    assert count.answered == before + 1


@pytest.mark.parametrize("query", FAILING)
async def test_what_goes_wrong_is_told_by_the_executor(
    house: House, query: str, count: Count, monkeypatch: pytest.MonkeyPatch
) -> None:
    await furnish(house)
    before = count.answered
    planned, executed = await both(house, query, monkeypatch)
    assert b'"errors"' in planned
    assert without_ids(planned) == without_ids(executed)
    assert count.answered == before


@pytest.mark.parametrize("query", UNPLANNED)
async def test_what_has_no_plan_is_executed(
    house: House, query: str, count: Count, monkeypatch: pytest.MonkeyPatch
) -> None:
    await furnish(house)
    before = count.answered
    planned, executed = await both(house, query, monkeypatch)
    assert planned == executed
    assert count.answered == before
