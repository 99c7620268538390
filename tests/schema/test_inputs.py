"""What is left out of an input, and what is null in it."""

from __future__ import annotations

import pytest

from tests.house import House, Json

SETTINGS = (
    "enabled requireState allowSignUp allowPasswordSignIn adminAccess"
    " accessTokenLifetime refreshTokenLifetime sessionLifetime"
)
DEFAULTS = {
    "enabled": True,
    "requireState": True,
    "allowSignUp": True,
    "allowPasswordSignIn": False,
    "adminAccess": False,
    "accessTokenLifetime": 900,
    "refreshTokenLifetime": 2592000,
    "sessionLifetime": 15552000,
}


@pytest.mark.parametrize("given", [{}, dict.fromkeys(DEFAULTS)])
async def test_null_is_the_default_as_if_the_field_were_left_out(
    house: House, given: Json
) -> None:
    payload = await house.mutate(
        "createApp",
        {"name": "Example", **given},
        f"app {{ {SETTINGS} }} errors {{ code }}",
        token=await house.key(),
    )
    assert payload == {"app": DEFAULTS, "errors": []}


async def test_in_an_update_what_is_left_out_stays(house: House) -> None:
    app = await house.app(enabled=False, sessionLifetime=3600)
    payload = await house.mutate(
        "updateApp",
        {"id": app, "name": "Renamed"},
        "app { name enabled sessionLifetime } errors { code }",
        token=await house.key(),
    )
    changed = {"name": "Renamed", "enabled": False, "sessionLifetime": 3600}
    assert payload == {"app": changed, "errors": []}


async def test_errors_stand_in_the_payload_with_their_paths(house: House) -> None:
    for language, message in (
        ("en", "This must not be empty."),
        ("zh-CN", "此项不能为空。"),
    ):
        payload = await house.mutate(
            "createApp",
            {"name": " ", "accessTokenLifetime": 1},
            "app { id } errors { path code message }",
            token=await house.key(),
            accept_language=language,
        )
        assert payload["app"] is None
        paths = [(error["path"], error["code"]) for error in payload["errors"]]
        assert paths == [
            (["input", "name"], "REQUIRED"),
            (["input", "accessTokenLifetime"], "OUT_OF_RANGE"),
        ]
        assert payload["errors"][0]["message"] == message
