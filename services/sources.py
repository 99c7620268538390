"""Identity sources, as administrators make and change them."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from models import IdentitySource, Role, database, ids
from services import account_association, cautions
from services.account_association import AccountAssociation
from services.audit import Audit
from services.callers import Caller
from services.cautions import Caution
from services.clock import Clock
from services.errors import InputErrorCode, rejected
from services.forms import ABSENT, NOT_FOUND, REQUIRED, TAKEN, Absent, Form, Shape
from services.language import Text
from services.problems import CLEARED
from services.vault import CannotOpen, Vault

HINT_LENGTH = 4
NO_HINT = "*" * HINT_LENGTH

# Generous where WeCom publishes no bound: what is wrong shows in the connection test.
SCHEMA_LENGTH = 128
IDENTIFIER = Shape(
    31,
    re.compile(r"[a-z0-9-]+"),
    Text("Lowercase letters, digits and '-' only.", "只能包含小写字母、数字和“-”。"),
)
CORP_ID = Shape(
    64,
    re.compile(r"[0-9A-Za-z_-]+"),
    Text(
        "A CorpID has letters, digits, '-' and '_' only.",
        "企业 ID 只能包含字母、数字、“-”和“_”。",
    ),
)
AGENT_ID = Shape(
    16,
    re.compile(r"[0-9]+"),
    Text("An AgentID has digits only.", "AgentID 只能包含数字。"),
)
SECRET = Shape(
    256,
    re.compile(r"[!-~]+"),
    Text(
        "A secret has letters, digits and punctuation only, and no spaces.",
        "Secret 只能包含字母、数字和标点，不能有空格。",
    ),
)


@dataclass(frozen=True, slots=True)
class NewWecomMobile:
    identifier: str
    display_name: str
    corp_id: str
    agent_id: str
    secret: str = field(repr=False)
    schema: str
    login_only: bool | None = None
    account_association: AccountAssociation | None = None
    enabled: bool | None = None


@dataclass(frozen=True, slots=True)
class WecomMobileChanges:
    """What is absent stays, and so does the secret where it is null."""

    display_name: str | Absent | None = ABSENT
    agent_id: str | Absent | None = ABSENT
    secret: str | Absent | None = field(default=ABSENT, repr=False)
    schema: str | Absent | None = ABSENT
    login_only: bool | Absent | None = ABSENT
    account_association: AccountAssociation | Absent | None = ABSENT
    enabled: bool | Absent | None = ABSENT


@dataclass(frozen=True, slots=True)
class Saved:
    """A source, and what to say of it to whoever saved it."""

    source: IdentitySource
    cautions: list[Caution]


Columns = dict[str, Any]
# By the input's field, in camelCase: an association is one value of four columns.
Values = dict[str, Columns]


class Sources:
    """
    Sources as configured.

    Identities and sessions outlive a source: they belong to its corp and to their
    account, so that another source of the corp finds them again.
    """

    def __init__(self, *, audit: Audit, vault: Vault, clock: Clock) -> None:
        self._audit = audit
        self._vault = vault
        self._clock = clock

    async def create_wecom_mobile(self, caller: Caller, new: NewWecomMobile) -> Saved:
        """
        :raises InputRejected: with everything that is wrong.
        """
        caller.require(Role.ADMIN)
        form = Form()
        values = _read_new(form, new)
        secret = form.shaped("secret", new.secret, SECRET)
        if form.accepts("identifier") and await _is_taken(values["identifier"]):
            form.refuse("identifier", InputErrorCode.TAKEN, TAKEN)
        form.check()
        id = ids.new()
        now = self._clock()
        values["secret"] = self._sealed(id, secret, now)
        source = IdentitySource(
            id=id, created_at=now, updated_at=now, **_merged(values.values())
        )
        try:
            async with database.transaction():
                await source.save(force_create=True)
                await self._record(caller, "identity_source.created", source, values)
        except database.Taken:
            raise rejected("identifier", InputErrorCode.TAKEN, TAKEN) from None
        return Saved(source, cautions.of(source, values.keys()))

    async def update_wecom_mobile(
        self, caller: Caller, id: str, changes: WecomMobileChanges
    ) -> Saved:
        """
        Write what differs, and nothing else.

        A changed agent or secret is a new chance: what WeCom refused before is
        forgotten. The same secret typed once more is none.

        :raises InputRejected: with everything that is wrong.
        """
        caller.require(Role.ADMIN)
        form = Form()
        key = ids.read(ids.SOURCE, id)
        if not (key and await IdentitySource.exists(id=key)):
            form.refuse("id", InputErrorCode.NOT_FOUND, NOT_FOUND)
        sent = _read_changes(form, changes)
        secret = _new_secret(form, changes.secret)
        form.check()
        async with database.transaction():
            source = await self._locked(key)
            changed = _differing(source, sent)
            if secret is not None:
                changed["secret"] = self._replaced(source, secret)
            if changed:
                await self._change(source, changed)
                await self._record(caller, "identity_source.updated", source, changed)
        return Saved(source, cautions.of(source, sent.keys()))

    async def delete(self, caller: Caller, id: str) -> str:
        """
        Delete the source; its associations go with it, by their foreign key.

        :returns: the id.
        :raises InputRejected: NOT_FOUND.
        """
        caller.require(Role.ADMIN)
        async with database.transaction():
            source = await self._locked(ids.read(ids.SOURCE, id))
            await source.delete()
            await self._record(caller, "identity_source.deleted", source, {})
        return ids.show(ids.SOURCE, source.id)

    async def _locked(self, id: uuid.UUID | None) -> IdentitySource:
        """Until the transaction ends nobody else changes it."""
        found = IdentitySource.select_for_update().get_or_none(id=id)
        source = await found if id else None
        if source is None:
            raise rejected("id", InputErrorCode.NOT_FOUND, NOT_FOUND)
        return source

    async def _change(self, source: IdentitySource, changed: Values) -> None:
        columns = _merged(changed.values())
        if "agentId" in changed:
            columns |= _new_settings(source)
        source.update_from_dict({**columns, "updated_at": self._clock()})
        await source.save(update_fields=[*columns, "updated_at"])

    def _sealed(self, id: uuid.UUID, secret: str, now: datetime) -> Columns:
        sealed = self._vault.seal(secret, place=secret_place(id))
        return {
            "secret_sealed": sealed.ciphertext,
            "secret_key_id": sealed.key_id,
            "secret_hint": hint(secret),
            "secret_updated_at": now,
        }

    def _replaced(self, source: IdentitySource, secret: str) -> Columns:
        sealed = self._sealed(source.id, secret, self._clock())
        try:
            same = secret == open_secret(self._vault, source)
        except CannotOpen:
            same = False
        return sealed if same else sealed | _new_settings(source)

    async def _record(
        self,
        caller: Caller,
        action: str,
        source: IdentitySource,
        changed: Mapping[str, Columns],
    ) -> None:
        await self._audit.record(
            caller,
            action,
            subject=ids.show(ids.SOURCE, source.id),
            identity_source_id=source.id,
            corp_id=source.corp_id,
            changed=list(changed),
        )


def secret_place(id: uuid.UUID) -> str:
    """Where the secret of the source `id` is sealed for."""
    return f"identity_sources.secret/{ids.show(ids.SOURCE, id)}"


def open_secret(vault: Vault, source: IdentitySource) -> str:
    """
    :raises CannotOpen: the key that sealed it is gone.
    """
    return vault.open(
        source.secret_sealed, source.secret_key_id, place=secret_place(source.id)
    )


def hint(secret: str) -> str:
    """
    What is shown of a secret: enough to tell it from another one. WeCom's have 43
    characters; one of no more than four would be shown whole.
    """
    return secret[-HINT_LENGTH:] if len(secret) > HINT_LENGTH else NO_HINT


async def _is_taken(identifier: Columns) -> bool:
    return await IdentitySource.exists(**identifier)


def _new_settings(source: IdentitySource) -> Columns:
    return {"settings_version": source.settings_version + 1, **CLEARED}


def _read_new(form: Form, new: NewWecomMobile) -> Values:
    return {
        "identifier": {
            "identifier": form.shaped("identifier", new.identifier, IDENTIFIER)
        },
        "displayName": _display_name(form, new.display_name),
        "corpId": {"corp_id": form.shaped("corpId", new.corp_id, CORP_ID)},
        "agentId": _agent_id(form, new.agent_id),
        "schema": _schema(form, new.schema),
        "loginOnly": {"login_only": bool(new.login_only)},
        "accountAssociation": account_association.read(
            form, new.account_association
        ).columns(),
        "enabled": {"enabled": new.enabled is not False},
    }


def _read_changes(form: Form, changes: WecomMobileChanges) -> Values:
    """Of the secret nothing: whether it changed is seen only where it is opened."""
    sent: Values = {}
    if changes.display_name is not ABSENT:
        sent["displayName"] = _display_name(form, changes.display_name)
    if changes.agent_id is not ABSENT:
        sent["agentId"] = _agent_id(form, changes.agent_id)
    if changes.schema is not ABSENT:
        sent["schema"] = _schema(form, changes.schema)
    if changes.login_only is not ABSENT:
        sent["loginOnly"] = {"login_only": form.flag("loginOnly", changes.login_only)}
    if changes.account_association is not ABSENT:
        sent["accountAssociation"] = _association(form, changes.account_association)
    if changes.enabled is not ABSENT:
        sent["enabled"] = {"enabled": form.flag("enabled", changes.enabled)}
    return sent


def _display_name(form: Form, value: str | None) -> Columns:
    name = form.line("displayName", value)
    return {"display_name": name, "display_name_key": name.casefold()}


def _agent_id(form: Form, value: str | None) -> Columns:
    return {"agent_id": form.shaped("agentId", value, AGENT_ID)}


def _schema(form: Form, value: str | None) -> Columns:
    return {"schema": form.line("schema", value, most=SCHEMA_LENGTH)}


def _association(form: Form, value: AccountAssociation | None) -> Columns:
    """Null would quietly be the mode that gives everybody an account."""
    if value is None:
        form.refuse("accountAssociation", InputErrorCode.REQUIRED, REQUIRED)
    return account_association.read(form, value).columns()


def _new_secret(form: Form, value: str | Absent | None) -> str | None:
    if value is None or value is ABSENT:
        return None
    return form.shaped("secret", value, SECRET)


def _differing(source: IdentitySource, sent: Values) -> Values:
    return {
        name: columns
        for name, columns in sent.items()
        if any(getattr(source, column) != value for column, value in columns.items())
    }


def _merged(values: Iterable[Columns]) -> Columns:
    return {column: value for columns in values for column, value in columns.items()}
