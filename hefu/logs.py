"""
JSON lines on standard error, and nothing in them that must not be read.

Secrets stand in WeCom's URLs, in SQL's parameters, in documents and in the texts of
database errors. So libraries are heard from warnings on only, an exception is logged
as its type and its frames, and addresses of people are masked wherever they turn up.
"""

from __future__ import annotations

import logging
import re
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

import orjson

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)

# httpx and httpcore log URLs, tortoise, asyncpg and aiosqlite statements with values,
# strawberry whole documents: not one line of theirs is worth one password.
SILENCED = (
    "aiosqlite",
    "asyncpg",
    "graphql",
    "httpcore",
    "httpx",
    "multipart",
    "python_multipart",
    "strawberry",
    "tortoise",
)
# Their warnings say that a pool or a connection is in trouble, and carry no values.
QUIETENED = ("asyncio", "opentelemetry", "uvicorn", "uvicorn.error")

_EMAIL = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
# No id, time or port is a bare run of so many digits with a plus or a Chinese prefix.
_PHONE = re.compile(r"(?<![\w-])(?:\+\d{7,15}|1[3-9]\d{9})(?![\w-])")

# What logging itself keeps in a record; everything else came as `extra`.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class JsonLines(logging.Formatter):
    """One record, one line."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": _time(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            # asyncio's second line is a task's repr, with what it raised in it.
            "message": mask(record.getMessage().partition("\n")[0]),
        }
        if (current := request_id.get()) is not None:
            line["requestId"] = current
        for name, value in vars(record).items():
            # uvicorn repeats each message in colours.
            if name not in _STANDARD and name != "color_message":
                line[name] = mask(value) if isinstance(value, str) else value
        if record.exc_info and record.exc_info[1] is not None:
            line |= described(record.exc_info[1])
        return orjson.dumps(line, default=repr).decode()


# Of causes; a cycle of them would never end.
LONGEST_CHAIN = 8


def config(level: str) -> dict[str, Any]:
    """For `logging.config.dictConfig`, and for uvicorn to hand to its workers."""
    quiet = {name: {"level": "WARNING", "propagate": True} for name in QUIETENED}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": "hefu.logs.JsonLines"}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "json",
                "stream": "ext://sys.stderr",
            },
            "nowhere": {"class": "logging.NullHandler"},
        },
        "root": {"level": level.upper(), "handlers": ["stderr"]},
        "loggers": quiet
        | {
            # uvicorn's own line would hold the query string, and so the document.
            "uvicorn.access": {"handlers": ["nowhere"], "propagate": False},
        }
        | {
            name: {"level": "CRITICAL", "handlers": ["nowhere"], "propagate": False}
            for name in SILENCED
        },
    }


def described(error: BaseException) -> dict[str, Any]:
    """The type and the frames of an exception, and of what caused it, without texts."""
    kinds: list[str] = []
    cause: BaseException | None = error
    while cause is not None and len(kinds) < LONGEST_CHAIN:
        kinds.append(f"{type(cause).__module__}.{type(cause).__qualname__}")
        cause = cause.__cause__ or cause.__context__
    return {"exception": kinds, "frames": frames(error.__traceback__)}


def frames(trace: TracebackType | None) -> list[str]:
    return [
        f"{frame.filename}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(trace, limit=-20)
    ]


def mask(text: str) -> str:
    """E-mail addresses and phone numbers, recognisable to those who know them."""
    text = _EMAIL.sub(lambda found: _masked_email(found.group()), text)
    return _PHONE.sub(lambda found: f"{found.group()[:3]}…{found.group()[-2:]}", text)


def _masked_email(address: str) -> str:
    name, _, host = address.partition("@")
    return f"{name[0]}…@{host}"


def _time(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
