"""Lists within lists: right for every parent, by as few statements as can be."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from models import App, Association, IdentitySource, Role, Session, User, database, ids
from services.clock import now
from tests.house import House, Json

START = datetime(2026, 1, 1, tzinfo=UTC)
PAGE_INFO = "pageInfo { hasNextPage hasPreviousPage startCursor endCursor }"


async def apps(count: int) -> list[App]:
    made = [
        App(
            id=ids.new(),
            name=f"app {number}",
            name_key=f"app {number}",
            created_at=START,
            updated_at=START,
        )
        for number in range(count)
    ]
    await App.bulk_create(made)
    return made


async def sources(count: int) -> list[IdentitySource]:
    made = [
        IdentitySource(
            id=ids.new(),
            identifier=f"source-{number}",
            display_name=f"Source {number}",
            display_name_key=f"source {number}",
            corp_id="ww1",
            agent_id="1",
            schema="wwauth1",
            secret_sealed=b"",
            secret_key_id="none",
            secret_hint="****",
            secret_updated_at=START,
            created_at=START,
            updated_at=START,
        )
        for number in range(count)
    ]
    await IdentitySource.bulk_create(made)
    return made


async def associate(*pairs: tuple[IdentitySource, App]) -> None:
    await Association.bulk_create(
        [
            Association(
                id=ids.new(),
                identity_source_id=source.id,
                app_id=app.id,
                created_at=START,
            )
            for source, app in pairs
        ]
    )


async def user(name: str) -> User:
    return await User.create(
        display_name=name,
        display_name_key=name,
        created_at=START,
        updated_at=START,
        last_login_hour=START,
    )


async def session(user: User, app: App, number: int, **fields: Any) -> Session:
    moment = now()
    ends: Json = {
        "expires_at": moment + timedelta(days=1),
        "ends_at": moment + timedelta(days=2),
    }
    return await Session.create(
        user_id=user.id,
        app_id=app.id,
        resolution="PASSWORD",
        device_name=f"{number}",
        created_at=moment,
        last_seen_at=moment,
        **ends | fields,
    )


async def ask(house: House, query: str, **variables: Any) -> Json:
    return await house.data(query, variables, token=await house.key(Role.VIEWER))


class Statements:
    """How many statements a request runs, besides what finds its caller."""

    def __init__(self, house: House, caplog: pytest.LogCaptureFixture) -> None:
        self._house = house
        self._caplog = caplog

    async def of(self, query: str, **variables: Any) -> int:
        own = await self._run("{ identitySourceKinds { typeName } }")
        return await self._run(query, **variables) - own

    async def _run(self, query: str, **variables: Any) -> int:
        await ask(self._house, query, **variables)
        logger = "tortoise.db_client"
        with self._caplog.at_level(logging.DEBUG, logger):
            self._caplog.clear()
            await ask(self._house, query, **variables)
            told = [each for each in self._caplog.records if each.name == logger]
        return len(told)


@pytest.fixture
def statements(house: House, caplog: pytest.LogCaptureFixture) -> Statements:
    return Statements(house, caplog)


@pytest.mark.ways
async def test_fifty_sources_with_three_apps_each_take_one_statement(
    house: House, statements: Statements
) -> None:
    three, fifty = await apps(3), await sources(50)
    await associate(*[(source, app) for source in fifty for app in three])
    query = "{ identitySources(first: 50) { nodes { apps { nodes { name } } } } }"
    data = await ask(house, query)
    names = [{"name": f"app {number}"} for number in range(3)]
    nodes = data["identitySources"]["nodes"]
    assert nodes == [{"apps": {"nodes": names}}] * 50
    assert await statements.of(query) == 1


@pytest.mark.ways
async def test_each_count_that_is_asked_for_takes_one_statement_for_all(
    house: House, statements: Statements
) -> None:
    await associate(*[(source, (await apps(1))[0]) for source in await sources(9)])
    nested = "identitySources {{ {} nodes {{ apps {{ {} }} }} }}"
    for fields, expected in (
        (("", PAGE_INFO), 1),
        (("totalCount", PAGE_INFO), 2),
        (("totalCount", "totalCount"), 3),
    ):
        assert await statements.of("{" + nested.format(*fields) + "}") == expected
    data = await ask(house, "{" + nested.format("totalCount", "totalCount") + "}")
    assert data["identitySources"] == {
        "totalCount": 9,
        "nodes": [{"apps": {"totalCount": 1}}] * 9,
    }


async def test_lists_of_different_parts_and_filters_are_told_apart(
    house: House, statements: Statements
) -> None:
    [app] = await apps(1)
    amy, bob = await user("amy"), await user("bob")
    for number in range(3):
        await session(amy, app, number)
    await session(bob, app, 3, revoked_at=START)
    await session(bob, app, 4, expires_at=START)
    query = """{
      users { nodes {
        displayName
        going: sessions { totalCount nodes { device { name } } }
        one: sessions(first: 1) { totalCount nodes { device { name } } }
        oldest: sessions(last: 1) { nodes { device { name } } }
        ended: sessions(active: false) { totalCount nodes { device { name } } }
        all: sessions(active: null) { totalCount nodes { device { name } } }
      } }
    }"""

    def devices(*names: str, counted: int | None = None) -> Json:
        nodes = [{"device": {"name": name}} for name in names]
        total = {} if counted is None else {"totalCount": counted}
        return {**total, "nodes": nodes}

    data = await ask(house, query)
    assert data["users"]["nodes"] == [
        {
            "displayName": "amy",
            "going": devices("2", "1", "0", counted=3),
            "one": devices("2", counted=3),
            "oldest": devices("0"),
            "ended": devices(counted=0),
            "all": devices("2", "1", "0", counted=3),
        },
        {
            "displayName": "bob",
            "going": devices(counted=0),
            "one": devices(counted=0),
            "oldest": devices(),
            "ended": devices("4", "3", counted=2),
            "all": devices("4", "3", counted=2),
        },
    ]
    # The accounts; a page of each of five kinds, a count of each of three.
    assert await statements.of(query) == 1 + 5 + 3


async def test_sessions_stop_being_active_as_time_goes_by(house: House) -> None:
    [app], amy = await apps(1), await user("amy")
    await session(amy, app, 1)
    query = "{ users { nodes { sessions { totalCount } } } }"
    before = await ask(house, query)
    house.clock.advance(days=1, seconds=1)
    after = await ask(house, query)
    counts = [
        each["users"]["nodes"][0]["sessions"]["totalCount"] for each in (before, after)
    ]
    assert counts == [1, 0]


async def test_nested_lists_are_walked_in_both_directions(house: House) -> None:
    five = await apps(5)
    [source, other] = await sources(2)
    await associate(*[(source, app) for app in reversed(five)], (other, five[0]))
    query = f"""
    query($id: ID!, $first: Int, $after: String, $last: Int, $before: String) {{
      node(id: $id) {{ ... on IdentitySource {{
        apps(first: $first, after: $after, last: $last, before: $before) {{
          nodes {{ name }} totalCount {PAGE_INFO}
        }}
      }} }}
    }}"""
    id = ids.show(ids.SOURCE, source.id)

    async def part(**variables: Any) -> Json:
        data = await ask(house, query, id=id, **variables)
        found: Json = data["node"]["apps"]
        return found

    def names(found: Json) -> str:
        return "".join(node["name"].removeprefix("app ") for node in found["nodes"])

    first = await part(first=2)
    second = await part(first=2, after=first["pageInfo"]["endCursor"])
    third = await part(first=2, after=second["pageInfo"]["endCursor"])
    forwards = [first, second, third]
    assert [names(each) for each in forwards] == ["01", "23", "4"]
    assert {each["totalCount"] for each in forwards} == {5}
    infos = [each["pageInfo"] for each in forwards]
    assert [each["hasNextPage"] for each in infos] == [True, True, False]
    assert [each["hasPreviousPage"] for each in infos] == [False, True, True]

    beyond = await part(first=2, after=third["pageInfo"]["endCursor"])
    assert beyond["nodes"] == []
    assert beyond["pageInfo"]["hasPreviousPage"] is True

    back = await part(last=2, before=third["pageInfo"]["startCursor"])
    assert names(back) == "23"
    assert back["pageInfo"]["hasNextPage"] is True
    assert back["pageInfo"]["hasPreviousPage"] is True
    assert names(await part(last=2)) == "34"
    start = await part(last=4, before=second["pageInfo"]["startCursor"])
    assert names(start) == "01"
    assert start["pageInfo"]["hasPreviousPage"] is False


async def test_a_nested_list_is_bounded_like_any_other(house: House) -> None:
    [source] = await sources(1)
    id = ids.show(ids.SOURCE, source.id)
    for arguments in ("first: 0", "first: 101", "last: 1, first: 1", 'after: "x"'):
        query = (
            f'{{ identitySource(id: "{id}") {{ apps({arguments}) {{ totalCount }} }} }}'
        )
        answer = await house.answer(query, token=await house.key(Role.VIEWER))
        assert [each["extensions"]["code"] for each in answer["errors"]] == [
            "BAD_REQUEST"
        ]


@pytest.mark.ways
async def test_objects_of_one_type_are_loaded_together(
    house: House, statements: Statements
) -> None:
    entrance = await house.entrance()
    for member in ("zhangsan", "lisi", "zhangsan"):
        assert (await entrance.log_in(member))["__typename"] == "LoginSuccess"
    query = """{
      users(first: 5) { nodes {
        identities { user { id } identitySource { id apps { nodes { id } } } }
        sessions { nodes {
          user { id } app { id identitySources { nodes { id } } }
          identity { id } identitySource { id }
        } }
      } }
    }"""
    data = await ask(house, query)
    source, app = {"id": entrance.source_id}, {"id": entrance.app_id}
    for person in data["users"]["nodes"]:
        [identity] = person["identities"]
        assert identity["identitySource"] == {**source, "apps": {"nodes": [app]}}
        for each in person["sessions"]["nodes"]:
            assert each["identitySource"] == source
            assert each["user"] == identity["user"]
            assert each["app"] == {**app, "identitySources": {"nodes": [source]}}
    counts = [len(person["sessions"]["nodes"]) for person in data["users"]["nodes"]]
    assert counts == [2, 1]
    # The accounts, their identities and sessions, their sources, apps and identities,
    # the accounts again, and both kinds of list of those.
    assert await statements.of(query) <= 9


@pytest.mark.ways
async def test_pictures_come_with_the_identities(
    house: House, statements: Statements
) -> None:
    entrance = await house.entrance()
    for member in ("zhangsan", "lisi"):
        assert (await entrance.log_in(member))["__typename"] == "LoginSuccess"
    query = "{ users { nodes { avatarUrl identities { id } } } }"
    assert len((await ask(house, query))["users"]["nodes"]) == 2
    assert await statements.of(query) == 2


@pytest.mark.parametrize("fails", [False, True])
async def test_each_field_of_a_mutation_shows_what_it_has_left_behind(
    house: House, fails: bool
) -> None:
    """Not what was read for the field before it, nor what the one after it changed."""
    [source], [app] = await sources(1), await apps(1)
    input = {
        "appId": ids.show(ids.APP, app.id),
        "identitySourceId": ids.show(ids.SOURCE, source.id),
    }
    shown = "{{ app {{ identitySources{} {{ totalCount nodes {{ identifier }} }} }} }}"
    answer = await house.answer(
        "mutation($input: AppAssociationInput!, $after: String) {"
        f" first: associateApp(input: $input) {shown.format('')}"
        f" then: dissociateApp(input: $input) {shown.format('')}"
        f" last: associateApp(input: $input) {shown.format('(after: $after)')}"
        " }",
        {"input": input, "after": "no cursor" if fails else None},
        token=await house.key(),
    )

    data = answer["data"]
    one = {"totalCount": 1, "nodes": [{"identifier": "source-0"}]}
    assert data["first"]["app"]["identitySources"] == one
    none: Json = {"totalCount": 0, "nodes": []}
    assert data["then"]["app"]["identitySources"] == none
    assert ("errors" in answer) is fails
    last = data["last"]["app"]
    assert (last is None) if fails else (last["identitySources"] == one)


async def test_what_was_deleted_leaves_null_behind(house: House) -> None:
    entrance = await house.entrance()
    await entrance.log_in()
    await database.fetch("DELETE FROM identity_sources")
    data = await ask(
        house,
        "{ users { nodes { identities { identitySource { id } issuer }"
        " sessions { nodes { identitySource { id } app { id } } } } } }",
    )
    [person] = data["users"]["nodes"]
    assert person["identities"][0]["identitySource"] is None
    assert person["sessions"]["nodes"] == [
        {"identitySource": None, "app": {"id": entrance.app_id}}
    ]
