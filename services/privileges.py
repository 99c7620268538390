"""What only an owner may touch: accounts whose role is above MEMBER."""

from __future__ import annotations

from models import Role, User
from services.callers import Caller
from services.errors import InputErrorCode, rejected
from services.language import Text

PRIVILEGED = Text(
    "Only an owner may change an account whose role is above MEMBER.",
    "仅所有者可更改角色高于 MEMBER 的账号。",
)


def check(caller: Caller, user: User, path: str) -> None:
    """
    :param path: below `input`: what names the account.
    :raises InputRejected: FORBIDDEN, since it depends on the object that was named.
    """
    if user.role is not Role.MEMBER and caller.role is not Role.OWNER:
        raise rejected(path, InputErrorCode.FORBIDDEN, PRIVILEGED)
