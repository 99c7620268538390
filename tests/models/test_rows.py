"""Rows made without Tortoise's ceremony are the rows that Tortoise makes."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from tortoise.models import Model

from models import (
    AuditActorType,
    AuditEvent,
    Identity,
    LinkOrigin,
    LoginResolution,
    Progress,
    RefreshToken,
    Session,
    SpentCode,
    User,
    database,
    digests,
    ids,
    rows,
    together,
)
from services import clock

NOW = clock.now()
THERE = NOW.astimezone(timezone(timedelta(hours=8)))


@pytest.fixture(autouse=True)
async def opened(database_url: str) -> AsyncGenerator[None]:
    async with database.opened(database_url):
        yield


MADE: list[tuple[type[Model], dict[str, Any]]] = [
    (
        SpentCode,
        {
            "digest": digests.of("code"),
            "request_digest": digests.of("request"),
            "progress": Progress.PENDING,
            "created_at": NOW,
            "expires_at": THERE,
        },
    ),
    (
        Session,
        {
            "user_id": ids.new(),
            "app_id": ids.new(),
            "resolution": LoginResolution.LINKED,
            "device_name": "张三的手机",
            "created_at": NOW,
            "last_seen_at": NOW,
            "expires_at": THERE,
            "ends_at": NOW,
        },
    ),
    (
        RefreshToken,
        {
            "digest": digests.of("token"),
            "session_id": ids.new(),
            "key_id": ids.new(),
            "created_at": NOW,
        },
    ),
    (
        AuditEvent,
        {
            "occurred_at": THERE,
            "action": "login.succeeded",
            "actor_type": AuditActorType.USER,
            "request_id": "r" * 32,
        },
    ),
    (
        Identity,
        {
            "user_id": ids.new(),
            "issuer": "ww",
            "subject": "zhangsan",
            "profile": {"name": "张三", "departments": [1]},
            "linked_at": NOW,
            "linked_by": LinkOrigin.CREATED,
            "checked_at": NOW,
        },
    ),
]
EACH = pytest.mark.parametrize(
    ("model", "values"), MADE, ids=[model.__name__ for model, _ in MADE]
)


@EACH
async def test_a_row_has_the_attributes_that_tortoise_gives_it(
    model: type[Model], values: dict[str, Any]
) -> None:
    given = values if "digest" in values else {"id": ids.new(), **values}

    assert vars(rows.new(model, **given)) == vars(model(**given))


@EACH
async def test_its_values_are_those_that_tortoise_writes(
    model: type[Model], values: dict[str, Any]
) -> None:
    row = rows.new(model, **values)
    fields = model._meta.fields_map
    names = model._meta.fields_db_projection
    expected = [fields[name].to_db_value(getattr(row, name), row) for name in names]

    assert list(map(_plain, rows.values(row))) == list(map(_plain, expected))


@EACH
async def test_an_id_is_made_where_none_is_given(
    model: type[Model], values: dict[str, Any]
) -> None:
    first, second = rows.new(model, **values), rows.new(model, **values)

    assert (first.pk != second.pk) == ("digest" not in values)


async def test_what_is_written_is_read_again() -> None:
    code = rows.new(SpentCode, **MADE[0][1])

    await together.write(together.insert(code))

    read = await SpentCode.get(digest=code.digest)
    assert (read.progress, read.expires_at) == (Progress.PENDING, THERE)


async def test_a_text_that_is_too_long_is_not_written() -> None:
    with pytest.raises(ValueError, match="65 characters"):
        rows.values(rows.new(User, username="a" * 65))


async def test_a_column_that_there_is_not_is_no_row() -> None:
    with pytest.raises(TypeError, match="usernane"):
        rows.new(User, usernane="amy")


def _plain(value: Any) -> Any:
    """As both drivers store it."""
    if isinstance(value, uuid.UUID):
        return str(value)
    return value.isoformat() if isinstance(value, datetime) else value
