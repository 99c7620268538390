"""Colours, where a terminal shows them and nobody asked for none (no-color.org)."""

from __future__ import annotations

import os
from typing import TextIO


def bold(text: str, stream: TextIO) -> str:
    return _styled(text, "1", stream)


def red(text: str, stream: TextIO) -> str:
    return _styled(text, "31", stream)


def _styled(text: str, style: str, stream: TextIO) -> str:
    plain = "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
    if plain or not stream.isatty():
        return text
    return f"\x1b[{style}m{text}\x1b[0m"
