"""Single objects, looked up by whoever may."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from uuid import UUID

from tortoise.models import Model

from models import (
    ApiKey,
    App,
    AuditEvent,
    Identity,
    IdentityProvider,
    IdentitySource,
    Role,
    Session,
    User,
    database,
    ids,
)
from models.fields import holds
from services import phones
from services.batches import Batches
from services.callers import Caller
from services.errors import BadRequest, Forbidden, Unauthenticated
from services.errors import UnauthenticatedReason as Reason
from services.language import Text

M = TypeVar("M", bound=Model)

MODELS: Final[Mapping[str, type[Model]]] = {
    ids.SOURCE: IdentitySource,
    ids.APP: App,
    ids.USER: User,
    ids.IDENTITY: Identity,
    ids.SESSION: Session,
    ids.API_KEY: ApiKey,
    ids.AUDIT_EVENT: AuditEvent,
}

_OPTIONS = """
SELECT {columns} FROM associations a
JOIN apps p ON p.id = a.app_id AND p.enabled
JOIN identity_sources t ON t.id = a.identity_source_id AND t.enabled
WHERE a.app_id = $1 ORDER BY t.id
"""

EXACTLY_ONE = Text("Give exactly one of {names}.", "请在 {names} 中恰好给出一个。")


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of identity source, by the GraphQL type that stands for it."""

    type_name: str
    provider: IdentityProvider
    display_name: Text
    description: Text


KINDS = (
    Kind(
        "WecomMobileIdentitySource",
        IdentityProvider.WECOM,
        Text("WeCom Mobile", "企业微信移动端"),
        Text(
            "People log in to a mobile app with the WeCom app on the same phone.",
            "用户在手机上通过企业微信 App 授权登录移动应用。",
        ),
    ),
)


class Directory:
    """Who and what there is."""

    def __init__(self, *, batches: Batches) -> None:
        self._batches = batches

    def me(self, caller: Caller) -> User | None:
        """
        Whoever holds the access token; nobody, where there is none.

        :raises Unauthenticated: it has expired.
        """
        if caller.role is None and caller.reason is not Reason.MISSING:
            raise Unauthenticated(caller.reason)
        return caller.user

    async def login_options(self, caller: Caller, app_id: str) -> list[IdentitySource]:
        """
        What anybody may log in to this app through, oldest first.

        An app that is unknown or disabled offers nothing.
        """
        id = ids.read(ids.APP, app_id)
        if id is None:
            return []
        sql = _OPTIONS.format(columns=database.columns(IdentitySource, "t"))
        rows = await database.fetch(sql, id)
        read = [database.read(IdentitySource, row, "t") for row in rows]
        return [source for source in read if source is not None]

    def kinds(self, caller: Caller) -> Sequence[Kind]:
        caller.require(Role.VIEWER)
        return KINDS

    async def nodes(
        self, caller: Caller, wanted: Sequence[str]
    ) -> list[Model | Forbidden | None]:
        """
        Objects by their ids, in this order: a statement for each type among them.

        An API key's is Forbidden to everybody but an OWNER, whether it exists or not.
        """
        caller.require(Role.VIEWER)
        parsed = [ids.parse(id) for id in wanted]
        by_prefix: defaultdict[str, set[UUID]] = defaultdict(set)
        for each in parsed:
            if each is not None:
                by_prefix[each[0]].add(each[1])
        found: dict[tuple[str, UUID], Model | Forbidden | None] = {}
        for prefix, keys in by_prefix.items():
            if prefix == ids.API_KEY and caller.role is not Role.OWNER:
                found |= {(prefix, key): Forbidden() for key in keys}
                continue
            rows = await self._batches.by_id(MODELS[prefix], list(keys))
            found |= {(prefix, row.pk): row for row in rows if row is not None}
        return [found.get(each) if each else None for each in parsed]

    async def app(self, caller: Caller, id: str) -> App | None:
        caller.require(Role.VIEWER)
        return await _find(App, id=ids.read(ids.APP, id))

    async def identity_source(
        self, caller: Caller, *, id: str | None = None, identifier: str | None = None
    ) -> IdentitySource | None:
        """
        :raises BadRequest: not exactly one of them is given.
        """
        caller.require(Role.VIEWER)
        _one({"id": id, "identifier": identifier})
        if id is not None:
            return await _find(IdentitySource, id=ids.read(ids.SOURCE, id))
        return await _find(IdentitySource, identifier=identifier)

    async def user(self, caller: Caller, **names: str | None) -> User | None:
        """
        An account by one of `id, username, email, phone, externalId`.

        Of an address that several accounts hold: the one that has it verified, or else
        the oldest.

        :raises BadRequest: not exactly one of them is given.
        """
        caller.require(Role.VIEWER)
        name, value = _one(names)
        if name == "id":
            return await _find(User, id=ids.read(ids.USER, value))
        if name == "email":
            return await _holder("email_key", "verified_email", _folded(value))
        if name == "phone":
            return await _holder("phone", "verified_phone", phones.normalise(value))
        column = {"username": "username_key", "externalId": "external_id_key"}[name]
        return await _find(User, **{column: _folded(value)})

    async def identity(
        self, caller: Caller, issuer: str, subject: str
    ) -> Identity | None:
        caller.require(Role.VIEWER)
        return await _find(
            Identity,
            provider=IdentityProvider.WECOM,
            issuer=issuer,
            subject=subject.casefold(),
        )


async def _find(model: type[M], **columns: Any) -> M | None:
    if not all(holds(model, column, value) for column, value in columns.items()):
        return None
    return await model.get_or_none(**columns)


async def _holder(column: str, verified: str, address: str | None) -> User | None:
    if not holds(User, column, address):
        return None
    row = await database.fetch_one(
        f"SELECT {database.columns(User, 't')} FROM users t WHERE t.{column} = $1 "
        f"ORDER BY CASE WHEN t.{verified} IS NULL THEN 1 ELSE 0 END, t.id LIMIT 1",
        address,
    )
    return database.read(User, row, "t") if row else None


def _one(given: Mapping[str, str | None]) -> tuple[str, str]:
    told = [(name, value) for name, value in given.items() if value is not None]
    if len(told) != 1:
        raise BadRequest(EXACTLY_ONE, names=", ".join(given))
    return told[0]


def _folded(text: str) -> str:
    return text.strip().casefold()
