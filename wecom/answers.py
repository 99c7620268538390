"""
What WeCom answers, read strictly: whatever is not as documented is not understood.

`Malformed` is the only thing that is raised here, whatever the bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

Fields = Mapping[str, object]

MAX_TEXT = 512
MAX_LIFETIME = 7 * 24 * 3600

USERID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_\-@.]{0,63}")
CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")
SURROGATE = re.compile(r"[\ud800-\udfff]")
PRINTABLE_ASCII = re.compile(r"[!-~]{1,512}")


class Malformed(ValueError):
    """Quotes nothing of the answer: it may hold a token."""


@dataclass(frozen=True, slots=True)
class Grant:
    """An access token, and for how many seconds it is good."""

    access_token: str = field(repr=False)
    expires_in: int


@dataclass(frozen=True, slots=True)
class Member:
    """`userid` as WeCom spelled it; case tells no two members of a corp apart."""

    userid: str
    user_ticket: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Outsider:
    """Nobody of this corp. The openid is dropped, lest it be taken for a userid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """What a member agreed to tell of themselves."""

    userid: str
    email: str | None = None
    biz_mail: str | None = None
    mobile: str | None = None
    avatar: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile(Detail):
    """
    Values as WeCom told them, trimmed; what it left empty is None.

    `status` is 1 active, 2 disabled, 4 not activated, 5 left the corp. An administrator
    may set `email` with no proof.
    """

    name: str | None = None
    alias: str | None = None
    position: str | None = None
    departments: tuple[int, ...] = ()
    status: int | None = None


@dataclass(frozen=True, slots=True)
class AgentInfo:
    agent_id: str
    name: str | None
    closed: bool


def fields(body: bytes) -> Fields:
    """
    Two values under one key would let two readers see two different answers; UTF-16,
    which `json` would guess from bytes, likewise.
    """
    try:
        read: object = _DECODER.decode(body.decode())
    except (ValueError, RecursionError):
        read = None
    if not isinstance(read, dict):
        raise Malformed("not a JSON object")
    return read  # pyright: ignore[reportUnknownVariableType]


def errcode(answer: Fields) -> int:
    """Absent on some successes, so 0 where there is none."""
    return _integer(answer, "errcode") if "errcode" in answer else 0


def grant(answer: Fields) -> Grant:
    token = answer.get("access_token")
    if not isinstance(token, str) or not PRINTABLE_ASCII.fullmatch(token):
        raise Malformed("access_token")
    expires_in = _integer(answer, "expires_in")
    if not 1 <= expires_in <= MAX_LIFETIME:
        raise Malformed("expires_in")
    return Grant(token, expires_in)


def member(answer: Fields) -> Member | Outsider:
    """
    Reads both spellings: `userid` against `UserId` broke two other clients.

    An empty one is none: what stands beside an outsider's openid is no member's.
    """
    told = [answer[name] for name in ("UserId", "userid") if name in answer]
    if all(each in (None, "") for each in told):
        return _outsider(answer)
    userid = told[0]
    if any(other != userid for other in told) or not isinstance(userid, str):
        raise Malformed("userid")
    if "/" in userid:  # CorpId/userid: a linked corp's.
        return Outsider()
    return Member(_userid(userid), _text(answer, "user_ticket"))


def of_member(answer: Fields) -> tuple[str | None, int | None]:
    """A userid and a status, as far as an odd answer tells them: nobody is let in."""
    userid, status = answer.get("userid"), str(answer.get("status"))
    number = re.fullmatch(r"([0-9])(\.0)?", status)
    return None if userid is None else str(userid), int(number[1]) if number else None


def profile(answer: Fields) -> Profile:
    return Profile(
        userid=_userid(answer.get("userid")),
        name=_text(answer, "name"),
        alias=_text(answer, "alias"),
        position=_text(answer, "position"),
        departments=_integers(answer, "department"),
        status=_integer(answer, "status") if "status" in answer else None,
        email=_text(answer, "email"),
        biz_mail=_text(answer, "biz_mail"),
        mobile=_text(answer, "mobile"),
        avatar=_text(answer, "avatar"),
    )


def detail(answer: Fields) -> Detail:
    return Detail(
        userid=_userid(answer.get("userid")),
        email=_text(answer, "email"),
        biz_mail=_text(answer, "biz_mail"),
        mobile=_text(answer, "mobile"),
        avatar=_text(answer, "avatar"),
    )


def agent_info(answer: Fields) -> AgentInfo:
    return AgentInfo(
        agent_id=str(_integer(answer, "agentid")),
        name=_text(answer, "name"),
        closed=_integer(answer, "close") != 0 if "close" in answer else False,
    )


def _outsider(answer: Fields) -> Outsider:
    for name in ("OpenId", "openid"):
        if _text(answer, name):
            return Outsider()
    raise Malformed("neither a userid nor an openid")


def _userid(value: object) -> str:
    if not isinstance(value, str) or not USERID.fullmatch(value):
        raise Malformed("userid")
    return value


def _text(answer: Fields, name: str) -> str | None:
    """Control characters become spaces: PostgreSQL stores no NUL, a log has lines."""
    value = answer.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > MAX_TEXT or SURROGATE.search(value):
        raise Malformed(name)
    return CONTROLS.sub(" ", value).strip() or None


def _integer(answer: Fields, name: str) -> int:
    return _int32(answer.get(name), name)


def _integers(answer: Fields, name: str) -> tuple[int, ...]:
    values: object = answer.get(name, [])
    if not isinstance(values, list):
        raise Malformed(name)
    items: list[object] = values
    return tuple(_int32(item, name) for item in items)


def _int32(value: object, name: str) -> int:
    """Of 32 bits, as they are stored. True is no number, though it is to Python."""
    if type(value) is not int or not -(2**31) <= value < 2**31:
        raise Malformed(name)
    return value


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Malformed("a key twice")
    return found


def _no_number(constant: str) -> object:
    raise Malformed("NaN or Infinity")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_number)
