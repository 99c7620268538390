"""The two languages in which Hefu speaks to people."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache


class Language(StrEnum):
    EN = "en"
    ZH = "zh-CN"


@dataclass(frozen=True, slots=True)
class Text:
    """One sentence in both languages; `{name}` stands for a value, or another text."""

    en: str
    zh: str

    def __call__(self, language: Language, /, **values: object) -> str:
        sentence = self.zh if language is Language.ZH else self.en
        if not values:
            return sentence
        told = {
            name: value(language) if isinstance(value, Text) else value
            for name, value in values.items()
        }
        return sentence.format(**told)


@lru_cache(maxsize=64)
def preferred(accept_language: str | None) -> Language:
    """
    The language that an `Accept-Language` asks for most (RFC 9110, 12.5.4).

    English where neither is named: `zh`, in any script or region, is answered in zh-CN.
    """
    ranked = sorted(
        map(_range, (accept_language or "").split(",")[:32]), key=lambda item: -item[1]
    )
    for tag, quality in ranked:
        primary = tag.partition("-")[0].lower()
        if quality > 0 and primary in {"en", "zh"}:
            return Language.ZH if primary == "zh" else Language.EN
    return Language.EN


def _range(text: str) -> tuple[str, float]:
    tag, _, parameter = text.strip().partition(";")
    name, _, value = parameter.strip().partition("=")
    if name != "q":
        return tag.strip(), 1.0
    try:
        return tag.strip(), float(value)
    except ValueError:
        return tag.strip(), 0.0
