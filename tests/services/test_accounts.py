"""What logins ask of accounts; all else about them goes through the front door."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from models import MatchField, Role, User, database, together
from services import clock
from services.account_fields import NewAccount
from services.accounts import Accounts
from services.audit import Audit
from services.callers import Caller, Origin
from services.passwords import Passwords

OWNER = Caller(Origin("request", "203.0.113.7"), role=Role.OWNER)
EVERY = frozenset(MatchField)


@pytest.fixture
async def accounts(database_url: str) -> AsyncGenerator[Accounts]:
    passwords = Passwords()
    async with database.opened(database_url):
        yield Accounts(
            audit=Audit(clock=clock.now), clock=clock.now, passwords=passwords
        )
    passwords.close()


AMY = NewAccount(
    username="Amy",
    email="Amy@Example.com",
    email_verified=True,
    phone="13800000000",
    phone_verified=True,
    external_id="E-1",
)
BOB = NewAccount(
    username="E-1", email="bob@example.com", phone="13800000001", external_id="amy"
)


@pytest.mark.parametrize(
    ("fields", "told", "found"),
    [
        (["EMAIL"], {"emails": ["AMY@example.COM"]}, {"Amy"}),
        (["EMAIL"], {"emails": ["other@example.com", "amy@example.com"]}, {"Amy"}),
        (["EMAIL"], {"emails": ["bob@example.com"]}, set()),
        (["PHONE"], {"phone": "138 0000 0000"}, {"Amy"}),
        (["PHONE"], {"phone": "13800000001"}, set()),
        (["PHONE"], {"phone": "no number"}, set()),
        (["USERNAME"], {"userid": "aMY"}, {"Amy"}),
        (["EXTERNAL_ID"], {"userid": "e-1"}, {"Amy"}),
        (["EXTERNAL_ID", "USERNAME"], {"userid": "AMY"}, {"Amy", "E-1"}),
        (EVERY, {"emails": ["amy@example.com"], "userid": "E-1"}, {"Amy", "E-1"}),
        (EVERY, {"emails": ["amy@example.com"], "phone": "13800000000"}, {"Amy"}),
        (["EMAIL"], {"phone": "13800000000", "userid": "amy"}, set()),
        (EVERY, {"emails": ["", "nul\0", "\ud83d"], "phone": "", "userid": ""}, set()),
        (EVERY, {}, set()),
        ([], {"userid": "amy"}, set()),
    ],
)
async def test_every_account_that_a_configured_field_matches(
    accounts: Accounts, fields: list[str], told: dict[str, Any], found: set[str]
) -> None:
    await accounts.create(OWNER, AMY)
    await accounts.create(OWNER, BOB)
    await accounts.create(OWNER, NewAccount())

    matched = await accounts.candidates(map(MatchField, fields), **told)

    assert sorted(str(user.username) for user in matched) == sorted(found)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("张三", "张三"),
        (" Amy  Pond ", "Amy  Pond"),
        ("x" * 100, "x" * 64),
        ("two\nlines\0", "twolines"),
        ("\ud83d", None),
    ],
)
async def test_an_account_for_a_member_has_a_name_and_nothing_else(
    accounts: Accounts, name: str, shown: str | None
) -> None:
    made = accounts.new_for_member(name)
    await together.write(together.insert(made))

    user = await User.get(id=made.id)
    assert user.display_name == shown
    empty = (user.username, user.email, user.phone, user.external_id)
    assert empty == (None,) * 4
    assert (user.role, user.status, user.password_hash) == ("MEMBER", "ACTIVE", None)
    assert user.last_login_hour.year == 1970
