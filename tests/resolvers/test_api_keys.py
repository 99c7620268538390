from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from models import ApiKey, AuditActorType, AuditEvent, Role, User, database, ids
from schema.scalars import show
from services import owners
from services.api_keys import is_well_formed
from services.errors import InputRejected
from tests.house import House, Json

OPERATIONS = Path(__file__).parents[2] / "graphql" / "operations" / "admin"
CREATE = (OPERATIONS / "create_api_key.graphql").read_text()
REVOKE = (OPERATIONS / "revoke_api_key.graphql").read_text()
ANYTHING = "{ apps { totalCount } }"


async def create(house: House, **input: Any) -> Json:
    given = {"name": "billing", "role": "ADMIN", **input}
    data = await house.data(CREATE, {"input": given}, token=await house.key())
    payload: Json = data["createApiKey"]
    return payload


async def revoke(house: House, id: str, token: str | None = None) -> Json:
    data = await house.data(
        REVOKE, {"input": {"id": id}}, token=token or await house.key()
    )
    payload: Json = data["revokeApiKey"]
    return payload


def codes(payload: Json) -> set[tuple[str, str]]:
    return {(".".join(each["path"]), each["code"]) for each in payload["errors"]}


async def refusal(house: House, token: str) -> tuple[int, str, str]:
    response = await house.post(ANYTHING, token=token)
    told = response.json()["errors"][0]["extensions"]
    return response.status_code, told["code"], told["reason"]


async def only_owner(house: House) -> str:
    """The id of the one key that is OWNER."""
    await house.key()
    return ids.show(ids.API_KEY, (await ApiKey.get(role=Role.OWNER)).id)


# ------------------------------------------------------------------- creating


async def test_a_key_is_shown_once_and_stored_as_its_digest(house: House) -> None:
    payload = await create(house, name=" billing ")

    secret, key = payload["secret"], payload["apiKey"]
    assert payload == {
        "apiKey": {
            "id": key["id"],
            "name": "billing",
            "role": "ADMIN",
            "prefix": secret[:11],
            "createdAt": key["createdAt"],
            "expiresAt": None,
            "lastUsedAt": None,
            "revokedAt": None,
        },
        "secret": secret,
        "errors": [],
    }
    rows = await ApiKey.filter(name="billing").values()
    assert secret not in repr(rows)
    told = await AuditEvent.get(action="api_key.created", subject_id=key["id"])
    assert (told.actor_type, told.actor_name) == (AuditActorType.API_KEY, "owner")
    assert told.changed_fields == "name,role,expiresAt"


async def test_a_scanner_tells_a_key_from_noise(house: House) -> None:
    secret = (await create(house))["secret"]

    assert secret.startswith("hefu_")
    assert len(secret) == 54
    assert is_well_formed(secret)
    other = "a" if secret[20] != "a" else "b"
    assert not is_well_formed(f"{secret[:20]}{other}{secret[21:]}")
    assert not is_well_formed(secret + "\n")


async def test_everything_that_is_wrong_is_told_at_once(house: House) -> None:
    await house.key()
    payload = await create(
        house, name=" ", role="MEMBER", expiresAt="2020-01-01T00:00:00Z"
    )

    assert codes(payload) == {
        ("input.name", "REQUIRED"),
        ("input.role", "OUT_OF_RANGE"),
        ("input.expiresAt", "OUT_OF_RANGE"),
    }
    assert (payload["apiKey"], payload["secret"]) == (None, None)
    assert await ApiKey.all().count() == 1


async def test_the_console_makes_keys_by_nobody(house: House) -> None:
    await house.key()

    told = await AuditEvent.get(action="api_key.created")
    assert (told.actor_type, told.actor_id) == (AuditActorType.SYSTEM, None)


# ---------------------------------------------------------------------- using


@pytest.mark.parametrize("role", ["VIEWER", "ADMIN", "OWNER"])
async def test_a_key_acts_with_its_role(house: House, role: str) -> None:
    secret = (await create(house, role=role))["secret"]
    assert "errors" not in await house.answer(ANYTHING, token=secret)

    body = await house.answer(
        CREATE, {"input": {"name": "x", "role": "VIEWER"}}, token=secret
    )
    assert ("errors" not in body) == (role == "OWNER")


async def test_an_expired_key_is_refused(house: House) -> None:
    soon = house.clock() + timedelta(minutes=5)
    secret = (await create(house, expiresAt=show(soon)))["secret"]
    assert "errors" not in await house.answer(ANYTHING, token=secret)
    house.clock.advance(minutes=5)

    assert await refusal(house, secret) == (200, "UNAUTHENTICATED", "EXPIRED")


async def test_a_revoked_key_is_refused_at_once(house: House) -> None:
    made = await create(house)
    payload = await revoke(house, made["apiKey"]["id"])

    revoked_at = payload["apiKey"]["revokedAt"]
    assert payload == {
        "apiKey": {**made["apiKey"], "revokedAt": revoked_at},
        "errors": [],
    }
    assert await refusal(house, made["secret"]) == (401, "UNAUTHENTICATED", "REVOKED")


async def test_an_unknown_or_mistyped_key_is_invalid(house: House) -> None:
    secret = (await create(house))["secret"]
    await ApiKey.filter(name="billing").delete()

    for wrong in (secret, secret[:-1], "hefu_", "hefu_" + "0" * 49):
        assert await refusal(house, wrong) == (401, "UNAUTHENTICATED", "INVALID")


async def test_use_is_noted_once_a_minute(house: House) -> None:
    secret = (await create(house))["secret"]
    first = house.clock()
    noted: list[bool] = []
    for _ in range(3):
        await house.data(ANYTHING, token=secret)
        used = (await ApiKey.get(name="billing")).last_used_at
        noted.append(used is not None and used >= first)
        first = house.clock()
        house.clock.advance(seconds=31)

    assert noted == [True, False, True]


# ------------------------------------------------------------------- revoking


async def test_revoking_twice_is_revoking_once(house: House) -> None:
    id = (await create(house))["apiKey"]["id"]
    first = await revoke(house, id)
    house.clock.advance(minutes=1)

    assert await revoke(house, id) == first
    assert await AuditEvent.filter(action="api_key.revoked").count() == 1


@pytest.mark.parametrize("id", ["key_01kb3v5x9gf2tvrzc1q0k7m4dh", "app_", ""])
async def test_an_unknown_key_is_not_found(house: House, id: str) -> None:
    payload = await revoke(house, id)

    assert codes(payload) == {("input.id", "NOT_FOUND")}
    assert payload["apiKey"] is None


async def test_the_last_owner_stays(house: House) -> None:
    id = await only_owner(house)
    await create(house)
    expired = await create(
        house, role="OWNER", expiresAt=show(house.clock() + timedelta(minutes=1))
    )
    house.clock.advance(minutes=2)

    assert codes(await revoke(house, id)) == {("input.id", "LAST_OWNER")}
    assert await ApiKey.filter(revoked_at__not_isnull=True).count() == 0
    assert not await AuditEvent.exists(action="api_key.revoked")
    # It is nobody's way in any more, so it may go.
    assert codes(await revoke(house, expired["apiKey"]["id"])) == set()


async def test_an_active_account_is_an_owner_too(house: House) -> None:
    id = await only_owner(house)
    now = house.clock()
    account = User(role=Role.OWNER, created_at=now, updated_at=now, last_login_hour=now)
    await account.save(force_create=True)

    assert codes(await revoke(house, id)) == set()


async def test_owners_who_take_away_one_another_at_once_leave_one(house: House) -> None:
    secrets = [await house.key()]
    secrets += [(await create(house, role="OWNER"))["secret"] for _ in range(7)]
    owners = [await ApiKey.get(prefix=secret[:11]) for secret in secrets]
    victims = [ids.show(ids.API_KEY, key.id) for key in owners[1:] + owners[:1]]
    bodies = await asyncio.gather(
        *(
            house.answer(REVOKE, {"input": {"id": victim}}, token=secret)
            for secret, victim in zip(secrets, victims, strict=True)
        )
    )

    assert await ApiKey.filter(role=Role.OWNER, revoked_at=None).count() >= 1
    # Whoever came too late was revoked before being heard, or told so.
    for body in bodies:
        if "errors" not in body:
            errors = body["data"]["revokeApiKey"]["errors"]
            assert [each["code"] for each in errors] in ([], ["LAST_OWNER"])


async def test_whoever_takes_away_an_owner_sees_what_another_has_not_yet_committed(
    house: House,
) -> None:
    first = await only_owner(house)
    second = (await create(house, role="OWNER"))["apiKey"]["id"]
    taken = asyncio.Event()

    async def take(id: str, *, linger: float) -> None:
        async with database.transaction():
            key = ids.read(ids.API_KEY, id)
            await ApiKey.filter(id=key).update(revoked_at=house.clock())
            await owners.keep_one("id", now=house.clock())
            taken.set()
            await asyncio.sleep(linger)

    begun = asyncio.create_task(take(first, linger=0.3))
    await taken.wait()
    with pytest.raises(InputRejected, match="LAST_OWNER"):
        await take(second, linger=0)
    await begun

    left = await ApiKey.get(role=Role.OWNER, revoked_at=None)
    assert ids.show(ids.API_KEY, left.id) == second


# ---------------------------------------------------------------- who may what


@pytest.mark.parametrize("role", [None, Role.VIEWER, Role.ADMIN])
async def test_only_owners_have_to_do_with_keys(
    house: House, role: Role | None
) -> None:
    id = (await create(house))["apiKey"]["id"]
    token = await house.key(role) if role else None
    count = await ApiKey.all().count()
    for query, input in (
        (CREATE, {"name": "x", "role": "VIEWER"}),
        (REVOKE, {"id": id}),
    ):
        body = await house.answer(query, {"input": input}, token=token)
        expected = "FORBIDDEN" if role else "UNAUTHENTICATED"
        assert body["data"] is None
        assert [e["extensions"]["code"] for e in body["errors"]] == [expected]
    assert await ApiKey.all().count() == count
    assert await ApiKey.filter(revoked_at__not_isnull=True).count() == 0
