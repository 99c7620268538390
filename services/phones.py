"""Phone numbers in one spelling: E.164, as Google's libphonenumber has it."""

from __future__ import annotations

import re

import phonenumbers

# Of numbers that name no country.
REGION = "CN"

# Longer texts hold no number.
LONGEST = 32

# A plus and fifteen digits (ITU-T E.164, 6.1); libphonenumber knows longer ones.
LONGEST_E164 = 16

# The library also finds numbers inside of other texts, and reads 1-800-FLOWERS.
_NUMBER = re.compile(r"[+＋]?[\d\s()./－–-]+")


def normalise(text: str | None) -> str | None:
    """
    `text` in E.164, e.g. +8613800000000.

    None where it cannot be parsed or no such number can exist: as if it were not told.
    Ranges move faster than releases of a library, so a number need only be possible.
    """
    if not text or len(text) > LONGEST or not _NUMBER.fullmatch(text.strip()):
        return None
    try:
        number = phonenumbers.parse(text, REGION)
    except phonenumbers.NumberParseException:
        return None
    possible = phonenumbers.is_possible_number_with_reason(number)
    if possible != phonenumbers.ValidationResult.IS_POSSIBLE:
        return None
    shown = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return shown if len(shown) <= LONGEST_E164 else None
