"""
Keeps httpx and httpcore from logging what is asked of WeCom.

They log whole URLs, and WeCom takes secrets, tokens and codes in URLs. Their loggers
stay as they are for everybody else: only what is logged while a request of ours is
under way is dropped, at the logger, before any handler of any level sees it.
"""

from __future__ import annotations

import logging
from contextvars import ContextVar

# A filter does not hold for a logger's children, so each is named.
LOGGERS = (
    "httpx",
    "httpcore.connection",
    "httpcore.http11",
    "httpcore.http2",
    "httpcore.proxy",
    "httpcore.socks",
)

_asking: ContextVar[bool] = ContextVar("asking_wecom", default=False)


def install() -> None:
    """Safe to call again."""
    for name in LOGGERS:
        logging.getLogger(name).addFilter(_is_somebody_elses)


class Silenced:
    """A block in which they say nothing."""

    def __enter__(self) -> None:
        self._before = _asking.set(True)

    def __exit__(self, *_: object) -> None:
        _asking.reset(self._before)


def _is_somebody_elses(record: logging.LogRecord) -> bool:
    return not _asking.get()
