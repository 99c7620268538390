"""The doors beside `/graphql`, when something goes wrong behind them."""

from __future__ import annotations

import pytest

from models import database
from tests.house import House


async def test_a_bug_is_told_as_everywhere_and_logged_once(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    await database.fetch("UPDATE server_keys SET public_jwk = 'canary99'")
    # What the application raises, the client of this test raises: uvicorn would log it.
    answer = await house.client.get("/.well-known/jwks.json")
    assert answer.status_code == 500
    [error] = answer.json()["errors"]
    id = answer.headers["x-request-id"]
    assert error == {
        "message": "Internal error",
        "extensions": {"code": "INTERNAL", "requestId": id},
    }
    assert [each.message for each in caplog.records] == ["Unexpected error"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/no/such/path", 404),
        ("GET", "/graphql/", 404),
        ("GET", "/health/live/", 404),
        ("DELETE", "/health/live", 405),
    ],
)
async def test_what_is_not_there(
    house: House, method: str, path: str, status: int
) -> None:
    assert (await house.client.request(method, path)).status_code == status
