from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from models import Association, AuditEvent, Identity, Role
from models import IdentitySource as Stored
from tests.house import House, Json
from wecom.sandbox import examples

OPERATIONS = Path(__file__).parents[2] / "graphql" / "operations" / "admin"
CREATE = (OPERATIONS / "create_wecom_mobile_identity_source.graphql").read_text()
UPDATE = (OPERATIONS / "update_wecom_mobile_identity_source.graphql").read_text()
DELETE = (OPERATIONS / "delete_identity_source.graphql").read_text()

SECRET = "canary-secret-that-nobody-may-ever-read-wxyz"
NEW: Json = {
    "identifier": "acme-wecom",
    "displayName": " 企业微信 ",
    "corpId": examples.HEFU,
    "agentId": "1000012",
    "secret": SECRET,
    "schema": "wwauth1e933be11645237c000012",
}
UNKNOWN = "src_01kb3v5x9gf2tvrzc1q0k7m4dh"


async def create(house: House, **input: Any) -> Json:
    data = await house.data(
        CREATE, {"input": {**NEW, **input}}, token=await house.key(Role.ADMIN)
    )
    payload: Json = data["createWecomMobileIdentitySource"]
    return payload


async def update(house: House, id: str, **input: Any) -> Json:
    data = await house.data(
        UPDATE, {"input": {"id": id, **input}}, token=await house.key(Role.ADMIN)
    )
    payload: Json = data["updateWecomMobileIdentitySource"]
    return payload


async def delete(house: House, id: str) -> Json:
    data = await house.data(
        DELETE, {"input": {"id": id}}, token=await house.key(Role.ADMIN)
    )
    payload: Json = data["deleteIdentitySource"]
    return payload


async def created(house: House, **input: Any) -> str:
    payload = await create(house, **input)
    id: str = payload["identitySource"]["id"]
    return id


def codes(payload: Json) -> set[tuple[str, str]]:
    return {(".".join(each["path"]), each["code"]) for each in payload["errors"]}


async def stored() -> list[Json]:
    rows: list[Json] = await Stored.all().values()
    return rows


async def event(action: str) -> AuditEvent:
    return await AuditEvent.get(action=action)


# ------------------------------------------------------------------- creating


async def test_a_new_source_is_whole_trimmed_and_serves_no_app(house: House) -> None:
    payload = await create(house)

    source = payload["identitySource"]
    assert payload == {
        "identitySource": {
            "id": source["id"],
            "identifier": "acme-wecom",
            "displayName": "企业微信",
            "enabled": True,
            "loginOnly": False,
            "accountAssociation": {
                "mode": "NONE",
                "matchFields": [],
                "bindingMethods": [],
                "matchAcrossCorps": False,
            },
            "corpId": examples.HEFU,
            "agentId": "1000012",
            "schema": "wwauth1e933be11645237c000012",
            "secretHint": "wxyz",
            "secretUpdatedAt": source["createdAt"],
            "problem": None,
            "createdAt": source["createdAt"],
            "updatedAt": source["createdAt"],
        },
        "errors": [],
        "warnings": [],
    }
    assert await Association.all().count() == 0


async def test_the_secret_is_stored_sealed_and_logged_nowhere(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    await create(house)

    source = await Stored.get()
    assert SECRET.encode() not in source.secret_sealed
    assert SECRET not in caplog.text
    told = await event("identity_source.created")
    assert SECRET not in repr([getattr(told, name) for name in told._meta.fields])


@pytest.mark.parametrize(
    ("secret", "shown"),
    [("eleven-char", "char"), ("12345", "2345"), ("1234", "****"), ("1", "****")],
)
async def test_the_hint_is_the_last_four_characters_and_never_the_secret(
    house: House, secret: str, shown: str
) -> None:
    payload = await create(house, secret=secret)

    assert payload["identitySource"]["secretHint"] == shown


async def test_everything_that_is_wrong_is_told_at_once(house: House) -> None:
    await create(house)
    payload = await create(
        house,
        displayName="\u0007",
        corpId="ww 1",
        agentId="１２",
        secret=" ",
        schema="x" * 129,
        accountAssociation={"mode": "FIELD_MATCHING", "matchFields": []},
    )

    assert codes(payload) == {
        ("input.identifier", "TAKEN"),
        ("input.displayName", "INVALID_FORMAT"),
        ("input.corpId", "INVALID_FORMAT"),
        ("input.agentId", "INVALID_FORMAT"),
        ("input.secret", "REQUIRED"),
        ("input.schema", "TOO_LONG"),
        ("input.accountAssociation.matchFields", "REQUIRED"),
    }
    assert payload["identitySource"] is None
    assert payload["warnings"] == []
    assert await Stored.all().count() == 1


@pytest.mark.parametrize(
    ("identifier", "code"),
    [
        ("", "REQUIRED"),
        ("a" * 32, "TOO_LONG"),
        ("Acme", "INVALID_FORMAT"),
        ("acme_wecom", "INVALID_FORMAT"),
        ("企业", "INVALID_FORMAT"),
    ],
)
async def test_an_identifier_is_1_to_31_of_lowercase_letters_digits_and_hyphens(
    house: House, identifier: str, code: str
) -> None:
    assert codes(await create(house, identifier=identifier)) == {
        ("input.identifier", code)
    }
    assert codes(await create(house, identifier="a" * 31)) == set()


@pytest.mark.parametrize("name", ["企" * 64, "Ünïcödé 👩‍👩‍👧", "شركة"])
async def test_a_display_name_may_be_of_any_script(house: House, name: str) -> None:
    payload = await create(house, displayName=name)

    assert payload["identitySource"]["displayName"] == name


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("企" * 65, "TOO_LONG"),
        ("\u3000 ", "REQUIRED"),
        ("a\nb", "INVALID_FORMAT"),
        ("a\u202eb", "INVALID_FORMAT"),
        ("\u200b", "INVALID_FORMAT"),
    ],
)
async def test_a_display_name_that_cannot_be_shown_is_refused(
    house: House, name: str, code: str
) -> None:
    payload = await create(house, displayName=name)

    assert codes(payload) == {("input.displayName", code)}
    assert await Stored.all().count() == 0


async def test_of_two_who_create_one_identifier_at_once_one_is_told_taken(
    house: House,
) -> None:
    await house.key(Role.ADMIN)
    payloads = await asyncio.gather(*(create(house) for _ in range(4)))

    assert sorted(len(payload["errors"]) for payload in payloads) == [0, 1, 1, 1]
    assert {("input.identifier", "TAKEN")} in [codes(each) for each in payloads]
    assert await Stored.all().count() == 1


async def test_asking_to_bind_wants_a_method(house: House) -> None:
    payload = await create(house, accountAssociation={"mode": "ASK_TO_BIND"})

    assert codes(payload) == {("input.accountAssociation.bindingMethods", "REQUIRED")}


async def test_what_is_chosen_twice_is_chosen_once_and_other_modes_choices_are_kept(
    house: House,
) -> None:
    payload = await create(
        house,
        accountAssociation={
            "mode": "ASK_TO_BIND",
            "bindingMethods": ["EMAIL_PASSWORD", "PHONE_PASSWORD", "EMAIL_PASSWORD"],
            "matchFields": ["USERNAME"],
            "matchAcrossCorps": None,
        },
    )

    assert payload["identitySource"]["accountAssociation"] == {
        "mode": "ASK_TO_BIND",
        "matchFields": ["USERNAME"],
        "bindingMethods": ["EMAIL_PASSWORD", "PHONE_PASSWORD"],
        "matchAcrossCorps": False,
    }
    assert payload["warnings"] == []


async def test_an_explicit_null_is_the_default(house: House) -> None:
    payload = await create(house, enabled=None, loginOnly=None, accountAssociation=None)

    source = payload["identitySource"]
    assert (source["enabled"], source["loginOnly"]) == (True, False)
    assert source["accountAssociation"]["mode"] == "NONE"


# ------------------------------------------------------------------- warnings


def matching(*fields: str, across: bool = False) -> Json:
    return {
        "accountAssociation": {
            "mode": "FIELD_MATCHING",
            "matchFields": list(fields),
            "matchAcrossCorps": across,
        }
    }


@pytest.mark.parametrize(
    ("input", "paths"),
    [
        ({"schema": "myapp"}, ["schema"]),
        ({"schema": "wwauth1e933be11645237c000013"}, ["schema"]),
        ({"schema": "WWAUTH1E933BE11645237C000012"}, []),
        (matching("USERNAME"), ["accountAssociation.matchFields"]),
        (matching("EMAIL", "PHONE"), ["accountAssociation.matchFields"]),
        (matching("EMAIL", "EXTERNAL_ID"), []),
        (matching("EXTERNAL_ID", across=True), ["accountAssociation.matchAcrossCorps"]),
    ],
)
async def test_what_looks_risky_is_saved_with_a_warning(
    house: House, input: Json, paths: list[str]
) -> None:
    payload = await create(house, **input)

    assert payload["errors"] == []
    assert [".".join(each["path"]) for each in payload["warnings"]] == [
        f"input.{path}" for path in paths
    ]
    assert all(each["message"] for each in payload["warnings"])


async def test_a_change_warns_of_nothing_that_was_not_sent(house: House) -> None:
    id = await created(house, schema="myapp", **matching("USERNAME"))

    assert (await update(house, id, displayName="B"))["warnings"] == []
    warnings = (await update(house, id, agentId="1000012"))["warnings"]
    assert [each["path"] for each in warnings] == [["input", "agentId"]]


async def test_warnings_and_errors_speak_chinese(house: House) -> None:
    data = await house.data(
        CREATE,
        {"input": {**NEW, "schema": "myapp"}},
        token=await house.key(Role.ADMIN),
        Accept_Language="zh-CN,en;q=0.5",
    )

    message = data["createWecomMobileIdentitySource"]["warnings"][0]["message"]
    assert message.startswith("企业微信管理后台")


# ------------------------------------------------------------------- changing


async def test_a_change_writes_what_is_sent_and_nothing_else(house: House) -> None:
    before = (await create(house))["identitySource"]
    house.clock.advance(minutes=1)
    payload = await update(house, before["id"], displayName=" B ", enabled=False)

    source = payload["identitySource"]
    assert source["updatedAt"] > before["updatedAt"]
    assert payload == {
        "identitySource": {
            **before,
            "displayName": "B",
            "enabled": False,
            "updatedAt": source["updatedAt"],
        },
        "errors": [],
        "warnings": [],
    }


async def test_two_administrators_do_not_undo_each_other(house: House) -> None:
    id = await created(house)
    await asyncio.gather(
        update(house, id, displayName="B"),
        update(house, id, loginOnly=True),
        update(house, id, **matching("EXTERNAL_ID")),
        update(house, id, schema="wwauth"),
    )

    source = await Stored.get()
    assert (source.display_name, source.login_only, source.schema) == (
        "B",
        True,
        "wwauth",
    )
    assert source.match_fields == "EXTERNAL_ID"


async def test_a_null_secret_stays_and_another_null_is_refused(house: House) -> None:
    id = await created(house)
    before = await stored()
    assert codes(await update(house, id, secret=None)) == set()
    refused = await update(
        house,
        id,
        displayName=None,
        agentId=None,
        schema=None,
        loginOnly=None,
        enabled=None,
        accountAssociation=None,
    )

    assert codes(refused) == {
        ("input.displayName", "REQUIRED"),
        ("input.agentId", "REQUIRED"),
        ("input.schema", "REQUIRED"),
        ("input.loginOnly", "REQUIRED"),
        ("input.enabled", "REQUIRED"),
        ("input.accountAssociation", "REQUIRED"),
    }
    assert await stored() == before


async def refuse(source: Stored) -> None:
    source.problem_code = 40001
    source.problem_since = source.problem_until = source.created_at
    await source.save()


@pytest.mark.parametrize("change", [{"secret": "another"}, {"agentId": "1000003"}])
async def test_a_changed_secret_or_agent_is_a_new_chance(
    house: House, change: Json
) -> None:
    id = await created(house)
    await refuse(await Stored.get())
    house.clock.advance(minutes=1)
    payload = await update(house, id, **change)

    assert payload["identitySource"]["problem"] is None
    source = await Stored.get()
    assert source.settings_version == 2
    assert (source.problem_code, source.problem_until) == (None, None)
    assert (source.secret_updated_at > source.created_at) == ("secret" in change)


@pytest.mark.parametrize(
    "change", [{"secret": SECRET}, {"agentId": "1000012"}, {"displayName": "B"}]
)
async def test_what_does_not_change_how_wecom_is_asked_keeps_the_problem(
    house: House, change: Json
) -> None:
    id = await created(house)
    await refuse(await Stored.get())
    payload = await update(house, id, **change)

    assert payload["errors"] == []
    assert payload["identitySource"]["problem"]["wecomErrorCode"] == 40001
    assert (await Stored.get()).settings_version == 1


async def test_a_change_that_changes_nothing_succeeds_and_leaves_no_event(
    house: House,
) -> None:
    before = (await create(house))["identitySource"]
    house.clock.advance(minutes=1)
    payload = await update(house, before["id"], displayName="企业微信", enabled=True)

    assert payload == {"identitySource": before, "errors": [], "warnings": []}
    assert not await AuditEvent.exists(action="identity_source.updated")


async def test_the_event_names_who_what_and_which_fields(house: House) -> None:
    id = await created(house)
    await update(house, id, displayName="B", enabled=True, secret="canary-2")

    told = await event("identity_source.updated")
    assert (told.actor_name, told.subject_id) == ("admin", id)
    assert told.changed_fields == "displayName,secret"
    assert told.corp_id == examples.HEFU


# ------------------------------------------------------------------- deleting


async def test_a_deleted_source_takes_its_associations_and_leaves_its_identities(
    house: House,
) -> None:
    entrance = await house.entrance()
    login = await entrance.log_in()
    assert login["__typename"] == "LoginSuccess"
    payload = await delete(house, entrance.source_id)

    assert payload == {"deletedId": entrance.source_id, "errors": []}
    assert await Stored.all().count() == await Association.all().count() == 0
    assert await Identity.all().count() == 1
    assert (await event("identity_source.deleted")).subject_id == entrance.source_id
    assert codes(await delete(house, entrance.source_id)) == {("input.id", "NOT_FOUND")}


@pytest.mark.parametrize("id", [UNKNOWN, "app_01kb3v5x9gf2tvrzc1q0k7m4dh", "", "x\0"])
async def test_an_unknown_source_is_not_found(house: House, id: str) -> None:
    await create(house)

    assert codes(await update(house, id, displayName=" ")) == {
        ("input.id", "NOT_FOUND"),
        ("input.displayName", "REQUIRED"),
    }
    assert codes(await delete(house, id)) == {("input.id", "NOT_FOUND")}
    assert (await Stored.get()).display_name == "企业微信"


# ---------------------------------------------------------------- who may what


@pytest.mark.parametrize("role", [None, Role.VIEWER])
async def test_only_administrators_change_sources(
    house: House, role: Role | None
) -> None:
    id = await created(house)
    before = await stored()
    token = await house.key(role) if role else None
    for query, input in (
        (CREATE, {**NEW, "identifier": "other"}),
        (UPDATE, {"id": id, "enabled": False}),
        (DELETE, {"id": id}),
    ):
        body = await house.answer(query, {"input": input}, token=token)
        expected = "FORBIDDEN" if role else "UNAUTHENTICATED"
        assert body["data"] is None
        assert [e["extensions"]["code"] for e in body["errors"]] == [expected]
    assert await stored() == before
