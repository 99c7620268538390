"""The fields of an account: how they look, how they are compared, and who has them."""

from __future__ import annotations

import functools
import operator
import re
import unicodedata
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tortoise.expressions import Q

from models import Role, User, UserStatus
from services import phones
from services.errors import InputErrorCode
from services.forms import ABSENT, REQUIRED, TAKEN, Absent, Form, Shape
from services.language import Text

USERNAME_LEAST = 2
USERNAME = Shape(
    64,
    re.compile(r"[\w.-]+"),
    Text(
        "Letters, digits, '_', '-' and '.' only.", "只能包含字母、数字、“_”、“-”和“.”。"
    ),
)
# What mail servers accept, without quotes: a typo is found, an exotic address passes.
EMAIL = Shape(
    254,
    re.compile(
        r"[^\s@.<>()\[\],;:\\\"]+(\.[^\s@.<>()\[\],;:\\\"]+)*"
        r"@((?!-)(?:[^\W_]|-){1,63}(?<!-)\.)+(?!-)(?:[^\W_]|-){2,63}(?<!-)"
    ),
    Text("This is no e-mail address.", "邮箱地址格式不正确。"),
)
EXTERNAL_ID_LENGTH = 128

NO_PHONE = Text("This is no phone number.", "手机号格式不正确。")
NOTHING_TO_VERIFY = Text(
    "There is nothing here that could be verified.", "没有可验证的邮箱或手机号。"
)

Columns = dict[str, Any]
# By the input's field, in camelCase: one may be stored in several columns.
Values = dict[str, Columns]

# A unique column, and the fields that may have brought it into conflict.
UNIQUE = {
    "username_key": ("username",),
    "external_id_key": ("externalId",),
    "verified_email": ("email", "emailVerified"),
    "verified_phone": ("phone", "phoneVerified"),
}


@dataclass(frozen=True, slots=True)
class NewAccount:
    """An account to be. It needs none of its fields."""

    username: str | None = None
    display_name: str | None = None
    email: str | None = None
    email_verified: bool = False
    phone: str | None = None
    phone_verified: bool = False
    external_id: str | None = None
    password: str | None = field(default=None, repr=False)
    role: Role = Role.MEMBER


@dataclass(frozen=True, slots=True)
class AccountChanges:
    """What is absent stays; a null clears what may be empty."""

    username: str | Absent | None = ABSENT
    display_name: str | Absent | None = ABSENT
    email: str | Absent | None = ABSENT
    email_verified: bool | Absent | None = ABSENT
    phone: str | Absent | None = ABSENT
    phone_verified: bool | Absent | None = ABSENT
    external_id: str | Absent | None = ABSENT
    status: UserStatus | Absent | None = ABSENT
    role: Role | Absent | None = ABSENT


def read(form: Form, given: NewAccount | AccountChanges) -> Values:
    """What was sent, but for the role, the status and what is verified."""
    values: Values = {}
    if given.username is not ABSENT:
        values["username"] = _username(form, given.username)
    if given.display_name is not ABSENT:
        values["displayName"] = _display_name(form, given.display_name)
    if given.email is not ABSENT:
        values["email"] = _email(form, given.email)
    if given.phone is not ABSENT:
        values["phone"] = _phone(form, given.phone)
    if given.external_id is not ABSENT:
        values["externalId"] = _external_id(form, given.external_id)
    return values


def verify(
    form: Form, given: NewAccount | AccountChanges, sent: Values, user: User
) -> Values:
    """
    What is verified once `sent` is written to `user`.

    A new address is not, whatever the old one was, unless it is said to be.
    """
    email = sent.get("email", {}).get("email_key", user.email_key)
    kept = user.email_verified and email == user.email_key
    verified = _flag(form, "emailVerified", given.email_verified, email, otherwise=kept)
    values: Values = {"emailVerified": {"verified_email": email if verified else None}}
    phone = sent.get("phone", {}).get("phone", user.phone)
    kept = user.phone_verified and phone == user.phone
    verified = _flag(form, "phoneVerified", given.phone_verified, phone, otherwise=kept)
    return values | {"phoneVerified": {"verified_phone": phone if verified else None}}


async def refuse_taken(form: Form, values: Values, *, but: uuid.UUID) -> None:
    """
    Refuse what is another account's.

    Looked up rather than read from a violated constraint: its text carries the values,
    and it names one field where several may be taken.

    :param but: the account that may have them: the one that they are for.
    """
    wrong = {problem.path[0] for problem in form.problems}
    columns = merged(values)
    sought = {
        column: columns[column]
        for column, fields in UNIQUE.items()
        if columns.get(column) is not None and wrong.isdisjoint(fields)
    }
    if not sought:
        return
    found = await User.filter(any_of(sought)).exclude(id=but)
    for column, value in sought.items():
        if any(getattr(user, column) == value for user in found):
            path = next(name for name in UNIQUE[column] if name in values)
            form.refuse(path, InputErrorCode.TAKEN, TAKEN)


def names(user: User) -> tuple[str | None, ...]:
    """What everybody may know of an account, and so no password of it."""
    return user.username, user.display_name, user.email, user.phone, user.external_id


def any_of(columns: Mapping[str, Any]) -> Q:
    """Accounts of which one of `columns` has its value; there must be one."""
    return functools.reduce(operator.or_, (Q(**{k: v}) for k, v in columns.items()))


def merged(values: Values) -> Columns:
    return {column: value for part in values.values() for column, value in part.items()}


def differing(user: User, values: Values) -> Values:
    """Those of `values` that `user` does not have yet."""
    return {
        name: columns
        for name, columns in values.items()
        if any(getattr(user, column) != value for column, value in columns.items())
    }


def _username(form: Form, value: str | None) -> Columns:
    if value is None:
        return {"username": None, "username_key": None}
    name = form.line(
        "username",
        value,
        most=USERNAME.most,
        least=USERNAME_LEAST,
        pattern=USERNAME.pattern,
        otherwise=USERNAME.otherwise,
    )
    _be_plain(form, "username", name, USERNAME.otherwise)
    return {"username": name, "username_key": name.casefold()}


def _display_name(form: Form, value: str | None) -> Columns:
    if value is None:
        return {"display_name": None, "display_name_key": None}
    name = form.line("displayName", value)
    return {"display_name": name, "display_name_key": name.casefold()}


def _email(form: Form, value: str | None) -> Columns:
    if value is None:
        return {"email": None, "email_key": None}
    email = form.shaped("email", value, EMAIL)
    _be_plain(form, "email", email, EMAIL.otherwise)
    return {"email": email, "email_key": email.casefold()}


def _phone(form: Form, value: str | None) -> Columns:
    if value is None:
        return {"phone": None}
    phone = phones.normalise(value)
    if not value.strip():
        form.refuse("phone", InputErrorCode.REQUIRED, REQUIRED)
    elif phone is None:
        form.refuse("phone", InputErrorCode.INVALID_FORMAT, NO_PHONE)
    return {"phone": phone}


def _external_id(form: Form, value: str | None) -> Columns:
    if value is None:
        return {"external_id": None, "external_id_key": None}
    id = form.line("externalId", value, most=EXTERNAL_ID_LENGTH)
    return {"external_id": id, "external_id_key": id.casefold()}


def _be_plain(form: Form, path: str, text: str, otherwise: Text) -> None:
    """Full-width letters and zero-width spaces make two names look like one."""
    if _is_wrong(form, path):
        return
    if not (text.isprintable() and unicodedata.is_normalized("NFKC", text)):
        form.refuse(path, InputErrorCode.INVALID_FORMAT, otherwise)


def _flag(
    form: Form,
    path: str,
    value: bool | Absent | None,
    address: str | None,
    *,
    otherwise: bool,
) -> bool:
    if value is ABSENT:
        return otherwise
    flag = form.flag(path, value)
    wrong = _is_wrong(form, path.removesuffix("Verified"))
    if flag and address is None and not wrong:
        form.refuse(path, InputErrorCode.CONFLICT, NOTHING_TO_VERIFY)
    return flag


def _is_wrong(form: Form, path: str) -> bool:
    return any(problem.path == (path,) for problem in form.problems)
