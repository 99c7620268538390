"""
A request's line and headers, read once.

Starlette's `Headers` goes through all of them for each name that is looked up, and half
a dozen are looked up for each request.
"""

from __future__ import annotations

from starlette.types import Scope


class Head:
    """
    What stands before a request's body.

    Names of headers are bytes in lower case, as ASGI has them.
    """

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.method: str = scope["method"]
        given: list[tuple[bytes, bytes]] = list(scope["headers"])
        given.reverse()
        self._first = dict(given)
        self._given = given if len(self._first) < len(given) else None

    @property
    def request_id(self) -> str:
        request_id: str = self.scope["state"]["request_id"]
        return request_id

    @property
    def peer(self) -> str:
        """The address that the connection came from."""
        client = self.scope.get("client")
        return client[0] if client else ""

    def first(self, name: bytes) -> str | None:
        """The header's value: of several the first."""
        value = self._first.get(name)
        return None if value is None else value.decode("latin-1")

    def joined(self, name: bytes) -> str | None:
        """All of the header's values, as one list (RFC 9110, 5.3)."""
        if self._given is None:
            return self.first(name)
        values = [value for key, value in reversed(self._given) if key == name]
        return b",".join(values).decode("latin-1") if values else None
