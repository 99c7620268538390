"""What WeCom told of a member, as it is stored, matched and shown."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

import wecom
from models import Identity
from services import forms, phones


@dataclass(frozen=True, slots=True)
class Profile:
    """
    A member's profile; most corps tell the userid and the name only.

    The userid is as WeCom writes it, and compared case-folded.
    """

    USERID: ClassVar = re.compile(r"[0-9A-Za-z][0-9A-Za-z_\-@.]{0,63}")

    user_id: str
    name: str | None = None
    alias: str | None = None
    position: str | None = None
    departments: tuple[int, ...] = ()
    email: str | None = None
    biz_mail: str | None = None
    phone: str | None = None
    avatar_url: str | None = None

    @classmethod
    def of(cls, member: wecom.Member, told: wecom.Profile | None) -> Self:
        """The profile that was told, or the userid alone."""
        if told is None:
            return cls(user_id=member.userid)
        return cls(
            user_id=told.userid,
            name=told.name,
            alias=told.alias,
            position=told.position,
            departments=tuple(told.departments),
            email=told.email,
            biz_mail=told.biz_mail,
            phone=phones.normalise(told.mobile) if told.mobile else None,
            avatar_url=told.avatar,
        )

    @classmethod
    def stored(cls, fields: dict[str, Any]) -> Self:
        """The profile in an identity or a ticket."""
        departments = tuple(fields.get("departments") or ())
        known: dict[str, Any] = {**fields, "departments": departments}
        return cls(**known)

    def to_store(self) -> dict[str, Any]:
        return {name: value for name in _NAMES if (value := getattr(self, name))}

    @property
    def subject(self) -> str:
        return self.user_id.casefold()

    @property
    def display_name(self) -> str:
        """For a new account: the name, or the userid where nothing of it is visible."""
        return forms.visible(self.name or "") or self.user_id

    @property
    def emails(self) -> tuple[str, ...]:
        return tuple(mail for mail in (self.email, self.biz_mail) if mail)


_NAMES = tuple(field.name for field in fields(Profile))


def newest_picture(identities: Iterable[Identity]) -> str | None:
    """
    The picture of the identity that logged in last, among those that have one.

    It is read where it is told, never copied to the account: what WeCom tells stays in
    the identity's profile (`binding-rules.md`, 5), and goes when that is unlinked.
    """
    told = [each for each in identities if each.profile.get("avatar_url")]
    if not told:
        return None
    newest = max(told, key=lambda each: (each.last_login_at or each.linked_at, each.id))
    return Profile.stored(newest.profile).avatar_url
