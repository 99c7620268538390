"""Pages of a list: keyset pagination, and cursors that hold a place in one order."""

from __future__ import annotations

from enum import StrEnum


class OrderDirection(StrEnum):
    ASC = "ASC"
    DESC = "DESC"
