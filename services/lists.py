"""Every list of the admin API: what it may be filtered and ordered by."""

from __future__ import annotations

from enum import StrEnum


class IdentitySourceOrderField(StrEnum):
    CREATED_AT = "CREATED_AT"
    IDENTIFIER = "IDENTIFIER"
    DISPLAY_NAME = "DISPLAY_NAME"


class AppOrderField(StrEnum):
    CREATED_AT = "CREATED_AT"
    NAME = "NAME"


class UserOrderField(StrEnum):
    CREATED_AT = "CREATED_AT"
    LAST_LOGIN_AT = "LAST_LOGIN_AT"
    USERNAME = "USERNAME"
