"""
What somebody typed, read and bounded: everything wrong with a form is told at once.

    form = Form()
    name = form.line("name", new.name, most=64)
    lifetime = form.number("lifetime", new.lifetime, 60, 3600, default=900)
    form.check()

Each reading returns a value that is good only once `check` has passed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Final, TypeVar

from services.errors import InputErrorCode, InputRejected, Problem
from services.language import Text

E = TypeVar("E", bound=StrEnum)

NAME_LENGTH = 64


class Absent(Enum):
    """The type of `ABSENT`: in an update, a field that was not sent and so stays."""

    ABSENT = "ABSENT"


ABSENT: Final = Absent.ABSENT

REQUIRED = Text("This must not be empty.", "此项不能为空。")
TOO_SHORT = Text("This takes at least {least} characters.", "至少 {least} 个字符。")
TOO_LONG = Text("This takes at most {most} characters.", "最多 {most} 个字符。")
OUT_OF_RANGE = Text(
    "This goes from {least} to {most}.", "取值范围为 {least} 至 {most}。"
)
UNPRINTABLE = Text("This must not hold control characters.", "此项不能包含控制字符。")
TAKEN = Text("This is taken already.", "此值已被占用。")
NOT_FOUND = Text("There is nothing of this id.", "未找到此 ID 对应的对象。")

# Besides control characters: halves of surrogate pairs, which no database stores, and
# separators of lines and paragraphs, which tear a list apart.
_UNPRINTABLE = {"Cc", "Cs", "Zl", "Zp"}

# These show a text in another order than it is stored in: `gpj.exe` as `exe.jpg`.
_BIDI_CONTROLS = re.compile("[\u202a-\u202e\u2066-\u2069]")

_INVISIBLE = {"Cf", "Zs"}


@dataclass(frozen=True, slots=True)
class Shape:
    """What a line of one kind looks like."""

    most: int
    pattern: re.Pattern[str]
    otherwise: Text


class Form:
    """The values of one input, and what is wrong with them."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def refuse(
        self, path: str, code: InputErrorCode, text: Text, **values: object
    ) -> None:
        """
        :param path: below `input`, in camelCase, e.g. `accountAssociation.matchFields`.
        """
        self.problems.append(Problem(tuple(path.split(".")), code, text, values))

    def accepts(self, path: str) -> bool:
        """Whether nothing is wrong at `path` so far: only then is it worth a query."""
        wanted = tuple(path.split("."))
        return all(problem.path != wanted for problem in self.problems)

    def check(self) -> None:
        """
        :raises InputRejected: with every problem found so far.
        """
        if self.problems:
            raise InputRejected(self.problems)

    def line(
        self,
        path: str,
        value: str | None,
        *,
        most: int = NAME_LENGTH,
        least: int = 1,
        pattern: re.Pattern[str] | None = None,
        otherwise: Text = UNPRINTABLE,
    ) -> str:
        """
        A line that must be there: trimmed, `least` to `most` characters, any script.

        :param pattern: what the whole trimmed line must match,
        :param otherwise: and the sentence where it does not.
        """
        line = (value or "").strip()
        if not line:
            self.refuse(path, InputErrorCode.REQUIRED, REQUIRED)
        elif len(line) < least:
            self.refuse(path, InputErrorCode.TOO_SHORT, TOO_SHORT, least=least)
        elif len(line) > most:
            self.refuse(path, InputErrorCode.TOO_LONG, TOO_LONG, most=most)
        elif not is_printable(line):
            self.refuse(path, InputErrorCode.INVALID_FORMAT, UNPRINTABLE)
        elif pattern and not pattern.fullmatch(line):
            self.refuse(path, InputErrorCode.INVALID_FORMAT, otherwise)
        return line

    def optional_line(
        self,
        path: str,
        value: str | None,
        *,
        most: int = NAME_LENGTH,
        least: int = 1,
        pattern: re.Pattern[str] | None = None,
        otherwise: Text = UNPRINTABLE,
    ) -> str | None:
        """As `line`; None where nothing is left after trimming."""
        if value is None or not value.strip():
            return None
        return self.line(
            path, value, most=most, least=least, pattern=pattern, otherwise=otherwise
        )

    def shaped(self, path: str, value: str | None, shape: Shape) -> str:
        """A line of that shape, which must be there."""
        return self.line(
            path,
            value,
            most=shape.most,
            pattern=shape.pattern,
            otherwise=shape.otherwise,
        )

    def flag(self, path: str, value: bool | None) -> bool:
        """Yes or no, which must be said."""
        if value is None:
            self.refuse(path, InputErrorCode.REQUIRED, REQUIRED)
        return bool(value)

    def number(
        self, path: str, value: int | None, least: int, most: int, *, default: int
    ) -> int:
        """A number from `least` to `most`; the default where there is none."""
        if value is None:
            return default
        if not least <= value <= most:
            self.refuse(
                path,
                InputErrorCode.OUT_OF_RANGE,
                OUT_OF_RANGE,
                least=least,
                most=most,
            )
        return value


def camel_case(name: str) -> str:
    """`require_state` as inputs and audit events spell it: `requireState`."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def visible(name: str) -> str:
    """Of a name that nobody here has typed: what can be shown of it, or nothing."""
    if not is_printable(name):
        kept = _BIDI_CONTROLS.sub("", name)
        name = "".join(
            char for char in kept if unicodedata.category(char) not in _UNPRINTABLE
        )
    cut = name.strip()[:NAME_LENGTH].strip()
    return cut if is_printable(cut) else ""


def is_printable(line: str) -> bool:
    """
    Whether `line` can be shown as one line, and shows something.

    Joiners and marks of direction stay allowed: scripts and emoji need them.
    """
    categories = {unicodedata.category(char) for char in line}
    return (
        not categories & _UNPRINTABLE
        and not categories <= _INVISIBLE
        and not _BIDI_CONTROLS.search(line)
    )


def distinct(values: Iterable[E] | None) -> list[E]:
    """Each once, in the order of first mention; none where there is no list."""
    return list(dict.fromkeys(values or ()))
