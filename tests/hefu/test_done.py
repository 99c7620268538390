"""A mutation is done once, whatever goes wrong after it was done."""

from __future__ import annotations

import itertools
from collections.abc import Generator
from typing import Any

import httpx
import pytest
import strawberry

from hefu import plans
from hefu.endpoint import GraphQLEndpoint
from hefu.middleware import Envelope
from services.errors import Forbidden
from tests.hefu.sample_app import SampleContext, open_context

pytestmark = pytest.mark.ways

done: list[str] = []


@strawberry.type
class Note:
    text: str

    @strawberry.field
    async def author(self) -> str | None:
        """Somebody else may not know."""
        raise Forbidden

    @strawberry.field
    def length(self) -> int:
        return len(self.text)

    @strawberry.field
    def page(self) -> int:
        raise RuntimeError("no pages: hunter2")


@strawberry.type
class Written:
    note: Note


@strawberry.type
class Refused:
    why: str


@strawberry.type
class Query:
    @strawberry.field
    def notes(self) -> list[str]:
        return done


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def write(self, text: str) -> Written | Refused:
        if not text:
            return Refused(why="it is empty")
        done.append(text)
        return Written(note=Note(text=text))

    @strawberry.mutation
    def write_down(self, text: str) -> Note:
        done.append(text)
        return Note(text=text)

    @strawberry.mutation
    async def tear(self, text: str) -> Note | None:
        done.append(f"{text} is torn")
        raise Forbidden


@pytest.fixture
def schema() -> Generator[strawberry.Schema]:
    done.clear()
    yield strawberry.Schema(query=Query, mutation=Mutation)
    done.clear()


@pytest.fixture(params=["by its plan", "by the executor"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(plans, "HAS_PLANS", request.param == "by its plan")
    return str(request.param)


async def ask(schema: strawberry.Schema, query: str) -> dict[str, Any]:
    endpoint: GraphQLEndpoint[SampleContext] = GraphQLEndpoint(
        schema, open_context=open_context, graphiql=True
    )
    transport = httpx.ASGITransport(Envelope(endpoint, allowed_origins=[]))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        answer = await http.post("/graphql", json={"query": query})
    told: dict[str, Any] = answer.json()
    for error in told.get("errors", []):
        error["extensions"].pop("requestId", None)
    return told


async def test_fields_are_done_in_their_order(
    schema: strawberry.Schema, way: str
) -> None:
    told = await ask(
        schema,
        """mutation {
          a: write(text: "one") { __typename ... on Written { note { text length } } }
          __typename
          b: write(text: "") { ... on Refused { why } }
          c: writeDown(text: "three") { length }
        }""",
    )
    assert told == {
        "data": {
            "a": {"__typename": "Written", "note": {"text": "one", "length": 3}},
            "__typename": "Mutation",
            "b": {"why": "it is empty"},
            "c": {"length": 5},
        }
    }
    assert list(told["data"]) == ["a", "__typename", "b", "c"]
    assert done == ["one", "three"]


@pytest.mark.parametrize(
    ("selected", "path"),
    [
        ("note { author text }", ["b", "note", "author"]),
        ("note { text page }", ["b", "note", "page"]),
    ],
)
async def test_what_fails_below_it_does_not_do_it_again(
    schema: strawberry.Schema, way: str, selected: str, path: list[str]
) -> None:
    told = await ask(
        schema,
        f"""mutation {{
          a: writeDown(text: "one") {{ text }}
          b: write(text: "two") {{ ... on Written {{ {selected} }} }}
          c: writeDown(text: "three") {{ text }}
        }}""",
    )
    [error] = told["errors"]
    assert error["path"] == path
    assert "hunter2" not in error["message"]
    # Where a value is missing that must not be, the rest is not begun.
    if told["data"] is None:
        assert done == ["one", "two"]
    else:
        assert told["data"]["b"] == {"note": {"author": None, "text": "two"}}
        assert done == ["one", "two", "three"]


async def test_what_failed_itself_is_not_tried_again(
    schema: strawberry.Schema, way: str
) -> None:
    told = await ask(
        schema,
        """mutation {
          a: tear(text: "one") { text }
          b: writeDown(text: "two") { text }
        }""",
    )
    [error] = told["errors"]
    assert (error["path"], error["extensions"]) == (["a"], {"code": "FORBIDDEN"})
    assert told["data"] == {"a": None, "b": {"text": "two"}}
    assert done == ["one is torn", "two"]


async def test_both_ways_tell_the_same(
    schema: strawberry.Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = (
        'write(text: "one") { ... on Written { note { author } } }',
        'write(text: "") { __typename ... on Refused { why } }',
        'tear(text: "two") { text }',
        'writeDown(text: "three") { text length }',
        'writeDown(text: "four") { page }',
    )
    for chosen in itertools.permutations(fields, 3):
        query = "\n".join(f"f{place}: {each}" for place, each in enumerate(chosen))
        told = []
        for has_plans in (True, False):
            monkeypatch.setattr(plans, "HAS_PLANS", has_plans)
            done.clear()
            answer = await ask(schema, f"mutation {{ {query} }}")
            told.append((answer, list(done)))
        assert told[0] == told[1], query
