from __future__ import annotations

import json
import logging
import subprocess
import sys

import pytest

from hefu import logs

SCRIPT = """
import logging, logging.config
from hefu import logs
logging.config.dictConfig(logs.config("debug"))
for name in ("httpx", "httpcore.http11", "strawberry.execution", "tortoise.db_client",
             "asyncpg", "aiosqlite", "uvicorn.access"):
    logging.getLogger(name).critical("canary")
    logging.getLogger(name).debug("canary")
logging.getLogger("uvicorn.error").info("canary")
logging.getLogger("asyncio").error("Lost\\nfuture: Error('canary')")
logging.getLogger("hefu").debug("told", extra={"user": "usr_1"})
try:
    raise ValueError("canary")
except ValueError:
    logging.getLogger("hefu").exception("Failed")
"""


def formatted(message: str, *args: object, **extra: object) -> dict[str, object]:
    record = logging.makeLogRecord(
        {"name": "hefu", "msg": message, "args": args, "levelname": "INFO"} | extra
    )
    line = logs.JsonLines().format(record)
    assert "\n" not in line
    return dict(json.loads(line))


def test_no_library_is_heard_with_what_must_not_be_read() -> None:
    ran = subprocess.run(  # noqa: S603
        (sys.executable, "-c", SCRIPT),
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [json.loads(line) for line in ran.stderr.splitlines()]
    assert "canary" not in ran.stderr
    assert [line["message"] for line in lines] == ["Lost", "told", "Failed"]
    assert lines[1]["user"] == "usr_1"
    assert lines[2]["exception"] == ["builtins.ValueError"]


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("to li.lei@example.com.cn now", "to l…@example.com.cn now"),
        ("call +8613800138000", "call +86…00"),
        ("call 13800138000.", "call 138…00."),
        ("usr_01kb8613800138000", "usr_01kb8613800138000"),
        ("took 1500 ms on port 8000", "took 1500 ms on port 8000"),
    ],
)
def test_peoples_addresses_are_masked(text: str, masked: str) -> None:
    assert formatted(text)["message"] == masked
    assert formatted("%s", text)["message"] == masked
    assert formatted("x", detail=text)["detail"] == masked


def test_a_line_names_its_request() -> None:
    token = logs.request_id.set("0123")
    try:
        assert formatted("x")["requestId"] == "0123"
    finally:
        logs.request_id.reset(token)
    assert "requestId" not in formatted("x")


def test_what_is_logged_cannot_begin_a_line_of_its_own() -> None:
    assert formatted("x", detail='a\n{"level":"error"}')["detail"] == (
        'a\n{"level":"error"}'
    )
