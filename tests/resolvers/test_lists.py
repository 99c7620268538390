"""Lists: every page, in both directions, of every order and with every filter."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from models import App, AuditEvent, Role, User, UserStatus, ids
from tests.house import House, Json

START = datetime(2026, 1, 1, tzinfo=UTC)

USERS = """
query($first: Int, $after: String, $last: Int, $before: String,
      $filter: UserFilter, $orderBy: UserOrder) {
  page: users(first: $first, after: $after, last: $last, before: $before,
              filter: $filter, orderBy: $orderBy) {
    nodes { username displayName } edges { cursor node { username displayName } }
    totalCount pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}
"""
APPS = """
query($first: Int, $after: String, $last: Int, $before: String,
      $filter: AppFilter, $orderBy: AppOrder) {
  page: apps(first: $first, after: $after, last: $last, before: $before,
             filter: $filter, orderBy: $orderBy) {
    nodes { id name } edges { cursor node { name } }
    totalCount pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}
"""
SOURCES = """
query($filter: IdentitySourceFilter, $orderBy: IdentitySourceOrder) {
  page: identitySources(filter: $filter, orderBy: $orderBy) {
    nodes { identifier } totalCount
  }
}
"""
LATEST = """
query($orderBy: UserOrder) { page: users(orderBy: $orderBy) { nodes { id } } }
"""
EVENTS = """
query($first: Int, $after: String, $last: Int, $before: String,
      $filter: AuditEventFilter) {
  page: auditEvents(first: $first, after: $after, last: $last, before: $before,
                    filter: $filter) {
    nodes { requestId action } edges { cursor node { requestId } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}
"""


async def user(
    name: str | None, shown: str, *, hour: int | None = None, **fields: Any
) -> User:
    last = START + timedelta(hours=hour) if hour is not None else None
    return await User.create(
        username=name,
        username_key=name and name.casefold(),
        display_name=shown,
        display_name_key=shown.casefold(),
        created_at=START,
        updated_at=START,
        last_login_at=last,
        last_login_hour=last or datetime(1970, 1, 1, tzinfo=UTC),
        **fields,
    )


async def app(name: str, **fields: Any) -> App:
    return await App.create(
        name=name,
        name_key=name.casefold(),
        created_at=START,
        updated_at=START,
        **fields,
    )


async def event(request: str, minute: int, **fields: Any) -> AuditEvent:
    return await AuditEvent.create(
        occurred_at=START + timedelta(minutes=minute),
        action=fields.pop("action", "login.failed"),
        actor_type="ANONYMOUS",
        request_id=request,
        **fields,
    )


async def page(house: House, query: str, **variables: Any) -> Json:
    data = await house.data(query, variables, token=await house.key(Role.VIEWER))
    found: Json = data["page"]
    return found


async def refused(house: House, query: str, **variables: Any) -> list[str]:
    token = await house.key(Role.VIEWER)
    answer = await house.answer(query, variables, token=token)
    assert answer.get("data") is None  # Past a bound there is none at all.
    return codes(answer)


def codes(answer: Json) -> list[str]:
    return [error["extensions"]["code"] for error in answer.get("errors", [])]


async def walk(house: House, query: str, size: int, **variables: Any) -> list[Json]:
    """Every page from the list's beginning to its end."""
    pages = [await page(house, query, first=size, **variables)]
    while pages[-1]["pageInfo"]["hasNextPage"]:
        after = pages[-1]["pageInfo"]["endCursor"]
        pages.append(await page(house, query, first=size, after=after, **variables))
    return pages


async def walk_back(
    house: House, query: str, size: int, **variables: Any
) -> list[Json]:
    """Every page from the list's end to its beginning, in the list's order."""
    pages = [await page(house, query, last=size, **variables)]
    while pages[0]["pageInfo"]["hasPreviousPage"]:
        before = pages[0]["pageInfo"]["startCursor"]
        found = await page(house, query, last=size, before=before, **variables)
        pages.insert(0, found)
    return pages


def shown(pages: list[Json], name: str = "displayName") -> list[Any]:
    return [node[name] for each in pages for node in each["nodes"]]


def cursor(*parts: object) -> str:
    text = json.dumps(parts)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.fixture
async def people(house: House) -> House:
    """Seven accounts: names of equal case, none at all, and equal hours."""
    await user("bob", "1", hour=5)
    await user(None, "2")
    await user("Amy", "3", hour=5)
    await user(None, "4", hour=1)
    await user("amy-2", "5", hour=5)
    await user("amy.2", "6")
    await user("Ünal", "7", hour=9)
    return house


ORDERS = [
    (None, None, "1234567"),
    ("CREATED_AT", "ASC", "1234567"),
    ("CREATED_AT", "DESC", "7654321"),
    ("LAST_LOGIN_AT", "ASC", "2641357"),
    ("LAST_LOGIN_AT", "DESC", "7531462"),
    ("USERNAME", "ASC", "3561724"),
    ("USERNAME", "DESC", "4271653"),
    ("USERNAME", None, "3561724"),
]


@pytest.mark.parametrize(("field", "direction", "expected"), ORDERS)
async def test_every_order_is_walked_in_both_directions(
    people: House, field: str | None, direction: str | None, expected: str
) -> None:
    order = {"field": field, "direction": direction} if field else None
    for size in (1, 2, 3, 7, 8):
        for way in (walk, walk_back):
            pages = await way(people, USERS, size, orderBy=order)
            assert "".join(shown(pages)) == expected
            assert all(each["totalCount"] == 7 for each in pages)
            nexts = [each["pageInfo"]["hasNextPage"] for each in pages]
            previous = [each["pageInfo"]["hasPreviousPage"] for each in pages]
            assert nexts == [True] * (len(pages) - 1) + [False]
            assert previous == [False] + [True] * (len(pages) - 1)


async def test_accounts_run_by_their_last_login_to_the_moment(house: House) -> None:
    entrance = await house.entrance(app={"requireState": False})
    accounts: dict[str, str] = {}
    for userid in ("LiSi", "zhangsan", "bob_jones-2", "LiSi"):
        login = await entrance.present(house.wecom.approve(userid))
        accounts[userid] = login["user"]["id"]
        house.clock.advance(seconds=61)

    latest = {"field": "LAST_LOGIN_AT", "direction": "DESC"}
    found = await page(house, LATEST, orderBy=latest)
    expected = [accounts[userid] for userid in ("LiSi", "bob_jones-2", "zhangsan")]
    assert [node["id"] for node in found["nodes"]] == expected


async def test_logins_of_one_minute_move_an_account_once(house: House) -> None:
    entrance = await house.entrance(app={"requireState": False})

    async def log_in(userid: str) -> User:
        login = await entrance.present(house.wecom.approve(userid))
        return await User.get(id=ids.read(ids.USER, login["user"]["id"]))

    first = await log_in("zhangsan")
    assert first.last_login_hour == first.last_login_at
    house.clock.advance(seconds=30)
    second = await log_in("zhangsan")
    assert second.last_login_hour == first.last_login_hour
    assert second.last_login_at != first.last_login_at


async def test_a_list_of_nothing(house: House) -> None:
    assert await page(house, USERS) == {
        "nodes": [],
        "edges": [],
        "totalCount": 0,
        "pageInfo": {
            "hasNextPage": False,
            "hasPreviousPage": False,
            "startCursor": None,
            "endCursor": None,
        },
    }


async def test_a_page_is_20_where_no_size_is_asked_for(house: House) -> None:
    for number in range(21):
        await app(f"{number}")
    found = await page(house, APPS)
    assert [node["name"] for node in found["nodes"]] == [str(n) for n in range(20)]
    assert found["pageInfo"]["hasNextPage"] is True
    again = await page(house, APPS, first=None, last=None, after=None, before=None)
    assert again == found


async def test_edges_and_nodes_are_the_same_objects(people: House) -> None:
    found = await page(people, USERS, first=3)
    assert [edge["node"] for edge in found["edges"]] == found["nodes"]
    cursors = [edge["cursor"] for edge in found["edges"]]
    assert len(set(cursors)) == 3
    assert found["pageInfo"] == {
        "hasNextPage": True,
        "hasPreviousPage": False,
        "startCursor": cursors[0],
        "endCursor": cursors[-1],
    }


async def test_behind_the_last_and_before_the_first_there_is_nothing(
    people: House,
) -> None:
    whole = await page(people, USERS)
    ends = whole["pageInfo"]
    behind = await page(people, USERS, after=ends["endCursor"])
    assert (behind["nodes"], behind["totalCount"]) == ([], 7)
    assert behind["pageInfo"] == {
        "hasNextPage": False,
        "hasPreviousPage": True,
        "startCursor": None,
        "endCursor": None,
    }
    ahead = await page(people, USERS, last=2, before=ends["startCursor"])
    assert ahead["nodes"] == []
    assert ahead["pageInfo"]["hasPreviousPage"] is False
    assert ahead["pageInfo"]["hasNextPage"] is True


@pytest.mark.parametrize(
    ("size", "expected", "previous", "following"),
    [
        ({"first": 2}, "34", True, True),
        ({"last": 2}, "45", True, True),
        # Whoever goes on while there is more comes to the window's end.
        ({"first": 3}, "345", True, False),
        ({"last": 3}, "345", False, True),
        ({}, "345", True, False),
    ],
)
async def test_between_two_cursors(
    people: House, size: Json, expected: str, previous: bool, following: bool
) -> None:
    whole = await page(people, USERS)
    between = {
        "after": whole["edges"][1]["cursor"],
        "before": whole["edges"][5]["cursor"],
    }
    found = await page(people, USERS, **size, **between)
    assert "".join(shown([found])) == expected
    assert found["pageInfo"]["hasPreviousPage"] is previous
    assert found["pageInfo"]["hasNextPage"] is following


async def test_cursors_the_wrong_way_round_hold_nothing_between_them(
    people: House,
) -> None:
    whole = await page(people, USERS)
    found = await page(
        people,
        USERS,
        after=whole["edges"][5]["cursor"],
        before=whole["edges"][1]["cursor"],
    )
    assert found["nodes"] == []


async def test_what_comes_and_goes_between_pages_repeats_and_hides_nothing(
    people: House,
) -> None:
    order = {"field": "USERNAME"}
    first = await page(people, USERS, first=3, orderBy=order)
    assert shown([first]) == ["3", "5", "6"]
    await User.filter(display_name__in=["5", "6"]).delete()
    await user("aaron", "8")
    await user("carl", "9")
    after = first["pageInfo"]["endCursor"]
    second = await page(people, USERS, first=3, after=after, orderBy=order)
    assert shown([second]) == ["1", "9", "7"]
    assert second["pageInfo"]["hasPreviousPage"] is True
    before = second["pageInfo"]["startCursor"]
    back = await page(people, USERS, last=3, before=before, orderBy=order)
    assert shown([back]) == ["8", "3"]
    assert back["pageInfo"]["hasPreviousPage"] is False


async def test_a_page_size_goes_from_1_to_100(house: House) -> None:
    for end in ("first", "last"):
        for size in (0, -1, 101, 2_147_483_647):
            assert await refused(house, USERS, **{end: size}) == ["BAD_REQUEST"]
        for size in (1, 100):
            assert await page(house, USERS, **{end: size})


async def test_first_and_last_contradict_each_other(house: House) -> None:
    assert await refused(house, USERS, first=1, last=1) == ["BAD_REQUEST"]


USER_ID = "01890a5d-ac96-774b-bcce-b302099a8057"


CURSORS = [
    "",
    "x",
    "not a cursor",
    "ü",
    "A" * 5000,
    "[" * 1000,
    cursor(),
    cursor(1),
    cursor(1, "users"),
    cursor(1, "users", "x"),
    cursor(1, "users", 1),
    cursor(1, "users", None),
    cursor(1, "users", USER_ID, USER_ID),
    cursor(2, "users", USER_ID),
    cursor(1, "users-", USER_ID),
    cursor(1, "apps", USER_ID),
    cursor(1, "users.username", "amy", USER_ID),
    cursor({"1": "users"}),
    base64.urlsafe_b64encode(b"[" * 900).decode(),
    base64.urlsafe_b64encode(b"\xff\xfe").decode(),
]


async def test_a_cursor_that_is_none_is_refused(house: House) -> None:
    for bad in CURSORS:
        assert await refused(house, USERS, after=bad) == ["BAD_REQUEST"], bad
        assert await refused(house, USERS, last=1, before=bad) == ["BAD_REQUEST"], bad


PLACES = [
    ("USERNAME", ("users.username", "a\0", USER_ID)),
    ("USERNAME", ("users.username", "\ud800", USER_ID)),
    ("USERNAME", ("users.username", "amy", "amy")),
    ("LAST_LOGIN_AT", ("users.last_login", "2026-01-01T00:00:00", USER_ID)),
    ("LAST_LOGIN_AT", ("users.last_login", "2026-01-01T00:00:00+14:00", USER_ID)),
    ("LAST_LOGIN_AT", ("users.last_login", "tomorrow", USER_ID)),
]


async def test_a_cursor_of_values_that_no_row_has_is_refused(house: House) -> None:
    for field, parts in PLACES:
        after, order = cursor(1, *parts), {"field": field}
        found = await refused(house, USERS, after=after, orderBy=order)
        assert found == ["BAD_REQUEST"], parts


async def test_a_cursor_of_another_order_is_refused(people: House) -> None:
    by_name = await page(people, USERS, orderBy={"field": "USERNAME"})
    after = by_name["pageInfo"]["endCursor"]
    assert await refused(people, USERS, after=after) == ["BAD_REQUEST"]
    assert await refused(people, APPS, after=after) == ["BAD_REQUEST"]
    backwards = {"field": "USERNAME", "direction": "DESC"}
    found = await refused(people, USERS, after=after, orderBy=backwards)
    assert found == ["BAD_REQUEST"]


async def test_apps_of_one_name_run_by_creation(house: House) -> None:
    made = [await app(name) for name in ("b", "A", "a", "B", "a")]
    numbers = {ids.show(ids.APP, each.id): i for i, each in enumerate(made)}
    for direction, expected in (("ASC", [1, 2, 4, 0, 3]), ("DESC", [3, 0, 4, 2, 1])):
        order = {"field": "NAME", "direction": direction}
        for pages in (
            await walk(house, APPS, 2, orderBy=order),
            await walk_back(house, APPS, 2, orderBy=order),
        ):
            assert [numbers[id] for id in shown(pages, "id")] == expected


# ------------------------------------------------------------------ filters


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        ("", "123"),
        ("  ", "123"),
        ("A", "12"),
        ("amy", "1"),
        (" AMY ", "1"),
        ("mmy", ""),
        ("Übung", "2"),
        ("ü", "2"),
        ("STRASSE", "3"),
        ("bob@", "3"),
        ("+86138", "3"),
        ("emp-", "1"),
        ("%", ""),
        ("_", ""),
        ("a\0", ""),
    ],
)
async def test_accounts_are_searched_by_the_beginning_of_every_name(
    house: House, search: str, expected: str
) -> None:
    await user("Amy", "1", external_id="EMP-1", external_id_key="emp-1")
    await user("axel", "2", email="Übung@x.com", email_key="übung@x.com")
    await user(
        "Straße", "3", email="bob@x.com", email_key="bob@x.com", phone="+861381234"
    )
    found = await page(house, USERS, filter={"search": search})
    assert "".join(shown([found])) == expected
    assert found["totalCount"] == len(expected)


@pytest.mark.parametrize("name", ["users", "apps", "identitySources"])
@pytest.mark.parametrize("search", ["a" * 60_000, "%" * 26_000])
async def test_nothing_is_found_by_a_text_that_no_name_could_hold(
    house: House, name: str, search: str
) -> None:
    query = """
        query($search: String) { %s(filter: { search: $search }) { totalCount } }
    """
    await house.entrance()
    data = await house.data(query % name, {"search": search}, token=await house.key())
    assert data[name] == {"totalCount": 0}


async def test_spaces_alone_are_nothing_to_search_for(house: House) -> None:
    await house.mutate("createUser", {}, "user { id }", token=await house.key())
    for search in ("", "  "):
        found = await page(house, USERS, filter={"search": search})
        assert found["totalCount"] == 1


async def test_accounts_by_status_and_role(house: House) -> None:
    await user("a", "1", status=UserStatus.DISABLED)
    await user("b", "2", role=Role.ADMIN)
    await user("c", "3")
    for filter, expected in (
        ({"status": "DISABLED"}, "1"),
        ({"status": "ACTIVE"}, "23"),
        ({"role": "ADMIN"}, "2"),
        ({"role": "MEMBER", "status": "ACTIVE"}, "3"),
        ({"role": None, "status": None, "search": None}, "123"),
        ({"role": "OWNER"}, ""),
    ):
        found = await page(house, USERS, filter=filter)
        assert "".join(shown([found])) == expected


async def test_a_filtered_list_is_walked_by_pages(house: House) -> None:
    for number in range(6):
        await user(f"amy{number}" if number % 2 else None, f"{number}")
    for pages in (
        await walk(house, USERS, 1, filter={"search": "amy"}),
        await walk_back(house, USERS, 1, filter={"search": "amy"}),
    ):
        assert "".join(shown(pages)) == "135"
        assert [each["totalCount"] for each in pages] == [3, 3, 3]


async def test_accounts_by_the_source_of_their_identities(house: House) -> None:
    entrance = await house.entrance()
    await user("other", "other")
    assert (await entrance.log_in("zhangsan"))["__typename"] == "LoginSuccess"
    filter = {"identitySourceId": entrance.source_id}
    found = await page(house, USERS, filter=filter)
    assert found["totalCount"] == 1
    for unknown in (await house.source(), entrance.app_id, "src_x", ""):
        filter = {"identitySourceId": unknown}
        assert (await page(house, USERS, filter=filter))["nodes"] == []


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        ("SHOP", ["Shop", "The Workshop"]),
        ("shop ", ["Shop", "The Workshop"]),
        ("%", ["100%"]),
        ("_", ["a_b\\c"]),
        ("\\", ["a_b\\c"]),
        ("ß", ["Straße"]),
        ("STRASSE", ["Straße"]),
        ("nothing", []),
        ("\0", []),
    ],
)
async def test_apps_are_searched_by_part_of_the_name(
    house: House, search: str, expected: list[str]
) -> None:
    for name in ("Shop", "The Workshop", "100%", "a_b\\c", "Straße"):
        await app(name)
    found = await page(house, APPS, filter={"search": search})
    assert shown([found], "name") == expected


async def test_apps_by_what_serves_them(house: House) -> None:
    on, off = await app("on"), await app("off", enabled=False)
    source = await house.source(ids.show(ids.APP, on.id))
    for filter, expected in (
        ({"enabled": True}, ["on"]),
        ({"enabled": False}, ["off"]),
        ({"identitySourceId": source}, ["on"]),
        ({"identitySourceId": source, "enabled": False}, []),
        ({"identitySourceId": ids.show(ids.APP, off.id)}, []),
    ):
        found = await page(house, APPS, filter=filter)
        assert shown([found], "name") == expected


async def test_sources_by_all_that_they_are_filtered_and_ordered_by(
    house: House,
) -> None:
    app_id = await house.app()
    await house.source(app_id, identifier="one", displayName="Beta")
    await house.source(identifier="two", displayName="alpha", enabled=False)
    await house.source(identifier="three", displayName="Alpha", corpId="ww9")
    for variables, expected in (
        ({}, ["one", "two", "three"]),
        ({"filter": {"search": "ALPH"}}, ["two", "three"]),
        ({"filter": {"search": "ONE"}}, ["one"]),
        ({"filter": {"enabled": False}}, ["two"]),
        ({"filter": {"corpId": "ww9"}}, ["three"]),
        ({"filter": {"corpId": "WW9"}}, []),
        ({"filter": {"corpId": "\0"}}, []),
        ({"filter": {"appId": app_id}}, ["one"]),
        ({"filter": {"appId": "app_x"}}, []),
        ({"orderBy": {"field": "IDENTIFIER"}}, ["one", "three", "two"]),
        (
            {"orderBy": {"field": "DISPLAY_NAME", "direction": "DESC"}},
            ["one", "three", "two"],
        ),
        ({"orderBy": {"field": "DISPLAY_NAME"}}, ["two", "three", "one"]),
        (
            {"orderBy": {"field": "CREATED_AT", "direction": None}},
            ["one", "two", "three"],
        ),
    ):
        found = await page(house, SOURCES, **variables)
        assert shown([found], "identifier") == expected
        assert found["totalCount"] == len(expected)


# ------------------------------------------------------------------ audit events


async def test_events_run_newest_first_and_equal_ones_by_their_ids(
    house: House,
) -> None:
    for request, minute in (("a", 5), ("b", 1), ("c", 5), ("d", 9), ("e", 5)):
        await event(request, minute)
    filter = {"action": "login.failed"}
    for size in (1, 2, 5):
        for pages in (
            await walk(house, EVENTS, size, filter=filter),
            await walk_back(house, EVENTS, size, filter=filter),
        ):
            assert "".join(shown(pages, "requestId")) == "decab"


async def test_events_by_all_that_they_are_filtered_by(house: House) -> None:
    source, app_ = ids.new(), ids.new()
    who, what = ids.show(ids.USER, ids.new()), ids.show(ids.APP, app_)
    await event("a", 1, action="app.updated", actor_id=who, subject_id=what)
    await event("b", 2, failure="INVALID_CODE", app_id=app_)
    await event("c", 3, failure="INVALID_STATE", identity_source_id=source)
    shown_source = ids.show(ids.SOURCE, source)
    for filter, expected in (
        ({"action": "app.updated"}, "a"),
        ({"actorId": who}, "a"),
        ({"subjectId": what}, "a"),
        ({"subjectId": what, "actorId": "usr_x"}, ""),
        ({"failure": "INVALID_CODE"}, "b"),
        ({"appId": what}, "b"),
        ({"appId": shown_source}, ""),
        ({"identitySourceId": shown_source}, "c"),
        ({"requestId": "b"}, "b"),
        ({"requestId": "\0"}, ""),
        ({"until": "2026-01-01T00:03:00Z"}, "ba"),
        ({"until": "2026-01-01T08:02:00+08:00"}, "a"),
        (
            {"since": "2026-01-01T00:02:00Z", "until": "2026-01-01T00:04:00Z"},
            "cb",
        ),
        ({"since": "2026-01-01T00:03:00.001Z", "until": "2026-01-02T00:00:00Z"}, ""),
    ):
        for pages in (
            await walk(house, EVENTS, 1, filter=filter),
            await walk_back(house, EVENTS, 1, filter=filter),
        ):
            assert "".join(shown(pages, "requestId")) == expected


MOMENTS = [
    "2026-01-01",
    "2026-01-01T00:00:00",
    "2026-01-01 00:00:00Z",
    "2026-13-01T00:00:00Z",
    "2026-01-01T00:00:00+25:00",
    "0001-01-01T00:00:00+10:00",
    "9999-12-31T23:59:59-10:00",
    "1969-12-31T23:59:59Z",
    "٢٠٢٦-01-01T00:00:00Z",
    1767225600,
    True,
]


async def test_a_moment_is_rfc_3339_with_an_offset(house: House) -> None:
    token = await house.key(Role.VIEWER)
    for bad in MOMENTS:
        filter = {"since": bad}
        answer = await house.answer(EVENTS, {"filter": filter}, token=token)
        assert codes(answer) == ["BAD_REQUEST"], bad
        assert str(bad) not in json.dumps(answer)


# ------------------------------------------------------------------ who may


FIELDS = [
    "identitySources { totalCount }",
    "apps { totalCount }",
    "users { totalCount }",
    "auditEvents { nodes { id } }",
    "apiKeys { id }",
    "identitySourceKinds { typeName }",
    'identitySource(identifier: "x") { id }',
    'app(id: "x") { id }',
    'user(id: "x") { id }',
    'identity(issuer: "x", subject: "x") { id }',
    'node(id: "x") { id }',
    'nodes(ids: ["x"]) { id }',
]


async def test_a_list_is_for_viewers_and_keys_are_for_owners(house: House) -> None:
    entrance = await house.entrance()
    member = (await entrance.log_in())["tokens"]["accessToken"]
    viewer, owner = await house.key(Role.VIEWER), await house.key(Role.OWNER)
    for field in FIELDS:
        query = f"{{ {field} }}"
        owners_only = ["FORBIDDEN"] if field.startswith("apiKeys") else []
        assert codes(await house.answer(query)) == ["UNAUTHENTICATED"], field
        assert codes(await house.answer(query, token=member)) == ["FORBIDDEN"], field
        assert codes(await house.answer(query, token=viewer)) == owners_only, field
        assert codes(await house.answer(query, token=owner)) == [], field
