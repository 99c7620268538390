"""What somebody types to say which account is theirs."""

from __future__ import annotations

import unicodedata

from models import BindingMethod
from services import phones
from services.forms import is_printable

# Of the longest e-mail. What is longer is nobody's name.
LONGEST = 254

USERNAME = "username_key"
EMAIL = "verified_email"
PHONE = "verified_phone"

_COLUMNS = {
    BindingMethod.USERNAME_PASSWORD: USERNAME,
    BindingMethod.EMAIL_PASSWORD: EMAIL,
    BindingMethod.PHONE_PASSWORD: PHONE,
}


def sought(text: str, method: BindingMethod | None = None) -> dict[str, str]:
    """
    The columns that `text` may be found in, and its value there.

    A username holds no @ and does not begin with +, so only digits can be a username
    and a phone number at once: see `Accounts.find_for_sign_in`.

    :param method: only what this one accepts.
    """
    name = _normal(text)
    if not name or not is_printable(name):
        return {}
    found = {EMAIL if "@" in name else USERNAME: name.casefold()}
    phone = phones.normalise(name)
    if phone is not None:
        found[PHONE] = phone
    if method is None:
        return found
    column = _COLUMNS[method]
    return {column: found[column]} if column in found else {}


def compared(text: str) -> str:
    """`text` in the one spelling under which guesses at it are counted."""
    name = _normal(text)
    return phones.normalise(name) or name.casefold() or text


def _normal(text: str) -> str:
    """As it would be stored; empty where it is nobody's name."""
    line = text.strip()
    return unicodedata.normalize("NFKC", line) if len(line) <= LONGEST else ""
