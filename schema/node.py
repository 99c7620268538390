"""What every object with an id shares: the id, and as whom it is read."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Self, TypeVar
from uuid import UUID

import strawberry

from models import Role, Session
from services.callers import Caller
from services.errors import Forbidden

T = TypeVar("T")

# Stands in a field that exists but is not for this viewer.
HIDDEN: Any = object()


@dataclass(frozen=True, slots=True)
class Viewer:
    """
    As whom an object is read: a property of the object, not of the request.

    What a login's answer holds is read as the person who logged in, and not by the
    rights of an API key that a back end happened to send along.
    """

    role: Role
    session_id: UUID | None = None

    @classmethod
    def of(cls, caller: Caller) -> Self:
        """Whoever makes the request."""
        session = caller.session
        return cls(caller.role or Role.MEMBER, session.id if session else None)

    @classmethod
    def of_login(cls, session: Session) -> Self:
        """The person whose login, or refresh, ended in `session`."""
        return cls(Role.MEMBER, session.id)

    @property
    def is_admin(self) -> bool:
        return self.role.rank >= Role.VIEWER.rank

    def require_admin(self) -> None:
        """
        :raises Forbidden: a person's graph ends at their own sessions and identities.
        """
        if not self.is_admin:
            raise Forbidden


@strawberry.interface(
    description="An object that `node(id:)` finds again. Ids are TypeIDs: a prefix that"
    " tells the type and a UUIDv7, which sorts by creation. Treat them as opaque."
)
class Node:
    id: strawberry.ID = strawberry.field(
        description="For ever this object's and no other's, e.g."
        " `src_01kb3v5x9gf2tvrzc1q0k7m4dh`."
    )


def only(names: frozenset[str], whole: T) -> T:
    """
    `whole` with every field hidden that `names` does not list.

    A field that somebody adds is hidden until it is listed.
    """
    fields = dataclasses.fields(whole)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    kept = names | {"key", "viewer"}
    for field in fields:
        if field.init and field.name not in kept:
            setattr(whole, field.name, HIDDEN)
    return whole


def read(source: object, name: str) -> object:
    """
    The value of a plain field.

    :raises Forbidden: it is not for whoever looks.
    """
    value = getattr(source, name)
    if value is HIDDEN:
        raise Forbidden
    return value
