"""
What may go wrong between the house and WeCom.

    WecomError
    ├── Refused                 WeCom said no, and with which errcode
    │   ├── StaleToken          40014, 41001, 42001
    │   ├── CodeRejected        40029, 40163, 42003
    │   ├── Busy                -1, 45033
    │   ├── Limited             45009
    │   ├── MemberRefused       40003, 46004, 50002, 60011, 60111
    │   ├── Misconfigured       40001, 40013, 48002, 50001, 60020, …
    │   └── UnknownRefusal      everything else
    └── Unavailable             no answer that could be understood
        ├── TimedOut            the whole call took too long
        ├── Unreachable         no connection
        ├── ConnectionLost      the connection broke
        ├── UnexpectedStatus    an HTTP status other than 200, redirects among them
        └── BadAnswer           too big, compressed, not JSON, or of another shape

WeCom puts secrets, tokens and codes into URLs, and httpx puts URLs into exceptions. So
no error here holds, causes or follows one of httpx's, and what WeCom says in `errmsg`
is cleaned before it is kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import ClassVar, Self
from urllib.parse import quote, quote_plus

MAX_ERRMSG = 512


class WecomError(Exception):
    """
    `call` is the call that failed, as metrics name it. `code_seen` is whether WeCom may
    have seen the login code: where it surely did not, the same code may be sent again.
    """

    outcome: ClassVar[str]
    """For metrics: one of a small fixed set."""

    def __init__(self, message: str, *, call: str, code_seen: bool) -> None:
        super().__init__(f"{call}: {message}")
        self.call = call
        self.code_seen = code_seen

    def again(self, *, code_seen: bool) -> Self:
        """A twin to raise: many wait for one gettoken, each with their own code."""
        twin = type(self).__new__(type(self), *self.args)
        twin.__dict__.update(self.__dict__, code_seen=code_seen)
        return twin


class Refused(WecomError):
    action: ClassVar[str]
    """What to do about it, for whoever reads the log."""

    errcodes: ClassVar[frozenset[int]] = frozenset()

    def __init__(
        self, *, errcode: int, errmsg: str, call: str, code_seen: bool
    ) -> None:
        super().__init__(f"{errcode} {errmsg}", call=call, code_seen=code_seen)
        self.errcode = errcode
        self.errmsg = errmsg


class StaleToken(Refused):
    """Expiry shows up as any of the three. The code is not spent by it."""

    outcome = "stale_token"
    action = "Fetch one fresh token and repeat the call once."
    errcodes = frozenset({40014, 41001, 42001})


class CodeRejected(Refused):
    outcome = "refused"
    action = "The person starts again."
    errcodes = frozenset({40029, 40163, 42003})


class Busy(Refused):
    outcome = "busy"
    action = "Try again later; it was tried three times."
    errcodes = frozenset({-1, 45033})


class Limited(Refused):
    outcome = "limited"
    action = "Ask less often; not again within this login."
    errcodes = frozenset({45009})


class MemberRefused(Refused):
    """Gone, disabled, or outside of what the WeCom app may see."""

    outcome = "refused"
    action = "Let this member in again in WeCom's console, if they should be."
    errcodes = frozenset({40003, 46004, 50002, 60011, 60111})


class Misconfigured(Refused):
    """
    Asking again cannot help, and a wrong secret sent several times has WeCom block the
    whole address for an hour. 40001 is a wrong secret here; in WeChat it is a stale
    token, and clients that were ported from there refresh on it for ever.
    """

    outcome = "misconfigured"
    action = "An administrator has to act, in WeCom's console or on the source."
    errcodes = frozenset(
        {40001, 40013, 40056, 40091, 43009, *range(48001, 48007)}
        | {50001, 50003, 60020, 301002, 2000002}
    )

    @property
    def seen_ip(self) -> str | None:
        """The address WeCom saw us come from, which 60020 wants among the trusted."""
        told = re.search(r"from ip: ?([0-9A-Fa-f.:]{2,45})", self.errmsg)
        return told[1].rstrip(".:") if told else None


class UnknownRefusal(Refused):
    outcome = "refused"
    action = "Look the errcode up in WeCom's documentation."


class Unavailable(WecomError):
    pass


class TimedOut(Unavailable):
    outcome = "timeout"


class Unreachable(Unavailable):
    outcome = "unreachable"


class ConnectionLost(Unavailable):
    outcome = "connection_lost"


class UnexpectedStatus(Unavailable):
    outcome = "bad_status"


class BadAnswer(Unavailable):
    """
    `userid` and `status` are what it tells of a member all the same: who is barred is
    not let in because their avatar is a number.
    """

    outcome = "bad_answer"
    userid: str | None = None
    status: int | None = None


CLASSES: Mapping[int, type[Refused]] = {
    errcode: refusal
    for refusal in (StaleToken, CodeRejected, Busy, Limited, MemberRefused)
    for errcode in refusal.errcodes
} | dict.fromkeys(Misconfigured.errcodes, Misconfigured)


def refusal(
    errcode: int,
    errmsg: object,
    *,
    call: str,
    code_seen: bool,
    secrets: Iterable[str] = (),
) -> Refused:
    """`secrets` are what the request held, should `errmsg` quote it."""
    return CLASSES.get(errcode, UnknownRefusal)(
        errcode=errcode,
        errmsg=_cleaned(errmsg, secrets) if isinstance(errmsg, str) else "",
        call=call,
        code_seen=code_seen,
    )


def _cleaned(errmsg: str, secrets: Iterable[str]) -> str:
    spellings = {
        spelling
        for secret in filter(None, secrets)
        for spelling in (
            secret,
            quote(secret, errors="replace"),
            quote_plus(secret, errors="replace"),
        )
    }
    # Longest first: a secret that is part of another would leave the other's rest.
    for spelling in sorted(spellings, key=len, reverse=True):
        errmsg = errmsg.replace(spelling, "…")
    return "".join(char if char.isprintable() else " " for char in errmsg)[:MAX_ERRMSG]
