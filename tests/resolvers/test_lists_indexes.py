"""Each order, and each filter of audit events, is read along an index."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest

from models import database
from tests.house import House, Json

# Enough for a planner to think about; equal moments among them, as in a busy second.
# A part at a time: a statement may take five seconds, and a machine may be busy.
EVENTS_STORED, PART = 20_000, 1_000
FILL = {
    "postgres": """
INSERT INTO audit_events (id, occurred_at, action, actor_type, actor_id, subject_id,
    app_id, identity_source_id, failure, changed_fields, count, request_id)
SELECT gen_random_uuid(), now() - make_interval(secs => n / 3), 'a' || (n % 50),
    'SYSTEM', 'usr_' || (n % 50), 'usr_' || (n % 60),
    ('00000000-0000-7000-8000-' || lpad((n % 50)::text, 12, '0'))::uuid,
    ('00000000-0000-7000-8000-' || lpad((n % 40)::text, 12, '0'))::uuid,
    'INVALID_CODE', '', 1, 'r' || (n % 50)
FROM generate_series($1::int, $2::int) AS s(n)
""",
    "sqlite": """
WITH RECURSIVE s(n) AS (SELECT $1 UNION ALL SELECT n + 1 FROM s WHERE n < $2)
INSERT INTO audit_events (id, occurred_at, action, actor_type, actor_id, subject_id,
    app_id, identity_source_id, failure, changed_fields, count, request_id)
SELECT lower(hex(randomblob(16))), datetime('now', '-' || (n / 3) || ' seconds'),
    'a' || (n % 50), 'SYSTEM', 'usr_' || (n % 50), 'usr_' || (n % 60),
    printf('00000000-0000-7000-8000-%012d', n % 50),
    printf('00000000-0000-7000-8000-%012d', n % 40),
    'INVALID_CODE', '', 1, 'r' || (n % 50) FROM s
""",
}
APP = "app_0000000000e008000000000001"
SOURCE = "src_0000000000e008000000000001"
BETWEEN = {"since": "2026-01-01T00:00:00Z", "until": "2126-01-01T00:00:00Z"}
FILTERS: list[Json] = [
    {},
    BETWEEN,
    {"action": "a1"},
    {"actorId": "usr_1"},
    {"subjectId": "usr_1"},
    {"appId": APP},
    {"identitySourceId": SOURCE},
    {"failure": "INVALID_STATE"},
    {"requestId": "r1"},
    {"action": "a1", **BETWEEN},
    {"requestId": "r1", "action": "a1"},
]
EVENTS = """
query($filter: AuditEventFilter, $first: Int, $after: String) {
  auditEvents(filter: $filter, first: $first, after: $after) {
    nodes { id } pageInfo { endCursor }
  }
}
"""
ORDERS = [
    ("users", "UserOrder", "CREATED_AT"),
    ("users", "UserOrder", "LAST_LOGIN_AT"),
    ("users", "UserOrder", "USERNAME"),
    ("apps", "AppOrder", "CREATED_AT"),
    ("apps", "AppOrder", "NAME"),
    ("identitySources", "IdentitySourceOrder", "CREATED_AT"),
    ("identitySources", "IdentitySourceOrder", "IDENTIFIER"),
    ("identitySources", "IdentitySourceOrder", "DISPLAY_NAME"),
]


class Plans:
    """How the database goes about the statements of a request."""

    def __init__(self, house: House, caplog: pytest.LogCaptureFixture) -> None:
        self._house = house
        self._caplog = caplog

    async def of(self, table: str, query: str, **variables: Any) -> list[str]:
        """The plan of each statement that reads `table`."""
        token = await self._house.key()
        logger = "tortoise.db_client"
        with self._caplog.at_level(logging.DEBUG, logger):
            self._caplog.clear()
            await self._house.data(query, variables, token=token)
            told = [each.args for each in self._caplog.records if each.name == logger]
        found: list[str] = []
        for args in told:
            assert isinstance(args, tuple)
            sql, values = args
            assert isinstance(sql, str)
            if f"FROM {table} t" in sql:
                found.append(await self._explained(sql, values))
        return found

    async def _explained(self, sql: str, values: Any) -> str:
        client = database.connection()
        if database.dialect() == "sqlite":
            rows = await client.execute_query_dict(f"EXPLAIN QUERY PLAN {sql}", values)
            return "\n".join(row["detail"] for row in rows)
        # Of a few rows PostgreSQL reads all: the question is whether it must.
        async with database.transaction():
            await database.fetch("SET LOCAL enable_seqscan = off")
            await database.fetch("SET LOCAL enable_bitmapscan = off")
            rows = await database.connection().execute_query_dict(
                f"EXPLAIN {sql}", values
            )
        return "\n".join(row["QUERY PLAN"] for row in rows)


def along(plan: str) -> None:
    """No row is read that is not in the index's order, and none is sorted."""
    assert "SORT" not in plan.upper(), plan
    assert "B-TREE" not in plan, plan
    assert "Seq Scan" not in plan, plan
    assert not re.search(r"SCAN \w+$", plan, re.MULTILINE), plan
    assert re.search(r"(?i)using .*(index|key)|index (only )?scan", plan), plan


@pytest.fixture
def plans(house: House, caplog: pytest.LogCaptureFixture) -> Plans:
    return Plans(house, caplog)


async def test_audit_events_are_read_along_an_index_by_every_filter(
    house: House, plans: Plans
) -> None:
    for start in range(1, EVENTS_STORED, PART):
        await database.fetch(FILL[database.dialect()], start, start + PART - 1)
    await database.fetch("ANALYZE")
    token = await house.key()
    first = await house.data(EVENTS, {"first": 1}, token=token)
    cursor = first["auditEvents"]["pageInfo"]["endCursor"]
    for filter in FILTERS:
        for after in (None, cursor):
            found = await plans.of(
                "audit_events", EVENTS, filter=filter, first=5, after=after
            )
            assert len(found) == (1 if after is None else 2)
            for plan in found:
                along(plan)


@pytest.mark.parametrize(("list_", "type_", "field"), ORDERS)
async def test_every_order_is_read_along_an_index(
    house: House, plans: Plans, list_: str, type_: str, field: str
) -> None:
    for name in ("one", "two", "three"):
        app_id = await house.app(name=name)
        await house.source(app_id, identifier=name)
        await house.mutate(
            "createUser",
            {"username": name},
            "errors { code }",
            token=await house.key(),
        )
    table = {"identitySources": "identity_sources"}.get(list_, list_)
    query = (
        f"query($order: {type_}, $after: String) {{ {list_}(first: 1, after: $after,"
        " orderBy: $order) { nodes { id } pageInfo { endCursor } } }"
    )
    for direction in ("ASC", "DESC"):
        order = {"field": field, "direction": direction}
        token = await house.key()
        page = await house.data(query, {"order": order}, token=token)
        cursor = page[list_]["pageInfo"]["endCursor"]
        for after in (None, cursor):
            found = await plans.of(table, query, order=order, after=after)
            assert len(found) == (1 if after is None else 2)
            for plan in found:
                along(plan)
