"""How a source finds the account of somebody who logs in for the first time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from models import (
    AccountAssociationMode,
    BindingMethod,
    IdentitySource,
    MatchField,
)
from services.errors import InputErrorCode
from services.forms import REQUIRED, Form, distinct


@dataclass(frozen=True, slots=True)
class AccountAssociation:
    """
    A mode and its settings.

    What belongs to another mode is kept, and does nothing until that mode is chosen: an
    administrator who tries a mode out does not lose the settings of the one before.
    """

    mode: AccountAssociationMode = AccountAssociationMode.NONE
    match_fields: Sequence[MatchField] | None = ()
    binding_methods: Sequence[BindingMethod] | None = ()
    match_across_corps: bool | None = False

    @classmethod
    def of(cls, source: IdentitySource) -> Self:
        """The saved one."""
        return cls(
            source.association_mode,
            [MatchField(name) for name in source.match_fields.split(",") if name],
            [BindingMethod(name) for name in source.binding_methods.split(",") if name],
            source.match_across_corps,
        )

    def columns(self) -> dict[str, object]:
        """As `IdentitySource` stores it: one value, whichever part was changed."""
        return {
            "association_mode": self.mode,
            "match_fields": ",".join(self.match_fields or ()),
            "binding_methods": ",".join(self.binding_methods or ()),
            "match_across_corps": bool(self.match_across_corps),
        }

    def matches_by(self, *fields: MatchField) -> bool:
        """Whether an account is looked for by one of `fields`."""
        chosen = set(self.match_fields or ()).intersection(fields)
        return self.mode is AccountAssociationMode.FIELD_MATCHING and bool(chosen)


def read(
    form: Form, given: AccountAssociation | None, path: str = "accountAssociation"
) -> AccountAssociation:
    """`given` without what is said twice; the default where there is none."""
    if given is None:
        return AccountAssociation()
    matching = given.mode is AccountAssociationMode.FIELD_MATCHING
    if matching and not given.match_fields:
        form.refuse(f"{path}.matchFields", InputErrorCode.REQUIRED, REQUIRED)
    binding = given.mode is AccountAssociationMode.ASK_TO_BIND
    if binding and not given.binding_methods:
        form.refuse(f"{path}.bindingMethods", InputErrorCode.REQUIRED, REQUIRED)
    return AccountAssociation(
        given.mode,
        distinct(given.match_fields),
        distinct(given.binding_methods),
        bool(given.match_across_corps),
    )
