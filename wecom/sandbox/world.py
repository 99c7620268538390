"""What the sandbox's WeCom knows: corps, apps, people, tokens, codes and tickets."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from wecom.agent import Agent

TOKEN_SECONDS = 7200
CODE_SECONDS = 300
TICKET_SECONDS = 1800
BAN_SECONDS = 3600


class Refusal(Exception):
    def __init__(self, errcode: int, errmsg: str) -> None:
        super().__init__(errcode, errmsg)
        self.errcode = errcode
        self.errmsg = errmsg


@dataclass(frozen=True)
class App:
    """A self-built app. With `trusted_ips`, others are refused with 60020."""

    agent: Agent
    schema: str
    name: str
    tells_contacts: bool = False
    trusted_ips: frozenset[str] | None = None


@dataclass
class Person:
    """`status` is 1 active, 2 disabled, 4 not activated, 5 left the corp."""

    userid: str
    name: str
    alias: str = ""
    position: str = ""
    departments: tuple[int, ...] = (1,)
    email: str = ""
    biz_mail: str = ""
    mobile: str = ""
    avatar: str = ""
    status: int = 1
    visible: bool = True


@dataclass
class Corp:
    corp_id: str
    name: str
    apps: list[App]
    people: list[Person]

    def person(self, userid: str) -> Person | None:
        """Case tells nobody apart."""
        wanted = userid.casefold()
        return next((p for p in self.people if p.userid.casefold() == wanted), None)


@dataclass(frozen=True)
class Login:
    """What a code stands for: exactly one of `userid` and `openid` is set."""

    app: App
    userid: str = ""
    openid: str = ""
    consented: bool = False


@dataclass
class Issued:
    """Something that ends: a token, a code, a ticket."""

    login: Login
    until: float


@dataclass
class World:
    """`clock` is in seconds. `ban_after` wrong secrets ban an address; None never."""

    corps: list[Corp]
    clock: Callable[[], float]
    ban_after: int | None
    tokens: dict[str, Issued] = field(default_factory=dict[str, Issued])
    codes: dict[str, Issued] = field(default_factory=dict[str, Issued])
    spent: set[str] = field(default_factory=set[str])
    tickets: dict[str, Issued] = field(default_factory=dict[str, Issued])
    wrong_secrets: Counter[str] = field(default_factory=Counter[str])
    banned: dict[str, float] = field(default_factory=dict[str, float])

    def corp(self, corp_id: str) -> Corp | None:
        return next((corp for corp in self.corps if corp.corp_id == corp_id), None)

    def app(self, corp_id: str, agent_id: str) -> App | None:
        corp = self.corp(corp_id)
        apps = corp.apps if corp else []
        return next((app for app in apps if app.agent.agent_id == agent_id), None)

    def approve(self, login: Login) -> str:
        """What the phone does: the code goes to the mobile app."""
        return self._issue(self.codes, login, CODE_SECONDS)

    def ticket(self, login: Login) -> str:
        return self._issue(self.tickets, login, TICKET_SECONDS)

    def grant(self, corp_id: str, secret: str, *, address: str) -> tuple[str, int]:
        """The token and its seconds. Asked again, it is the same one until it ends."""
        self._refuse_banned(address)
        app = self._app_by_secret(corp_id, secret, address)
        now = self.clock()
        for token, issued in self.tokens.items():
            if issued.login.app is app and issued.until > now:
                return token, int(issued.until - now)
        return self._issue(self.tokens, Login(app), TOKEN_SECONDS), TOKEN_SECONDS

    def authorized(self, token: str, *, address: str) -> App:
        if not token:
            raise Refusal(41001, "access_token missing")
        issued = self.tokens.get(token)
        if issued is None:
            raise Refusal(40014, "invalid access_token")
        if issued.until <= self.clock():
            raise Refusal(42001, "access_token expired")
        app = issued.login.app
        if app.trusted_ips is not None and address not in app.trusted_ips:
            raise Refusal(
                60020, f"not allow to access from your ip, from ip: {address}"
            )
        return app

    def spend(self, code: str, app: App) -> Login:
        issued = self.codes.get(code)
        if issued is None or code in self.spent:
            raise Refusal(40029, "invalid code")
        if issued.login.app is not app:
            raise Refusal(50001, "redirect_url not match, the code is another app's")
        if issued.until <= self.clock():
            raise Refusal(42003, "code expired")
        self.spent.add(code)
        return issued.login

    def consented(self, ticket: str, app: App) -> Person:
        issued = self.tickets.get(ticket)
        if not issued or issued.login.app is not app or issued.until <= self.clock():
            raise Refusal(40078, "invalid user_ticket")
        return self.seen(issued.login.userid, app)

    def seen(self, userid: str, app: App) -> Person:
        corp = self.corp(app.agent.corp_id)
        person = corp.person(userid) if corp else None
        if person is None:
            raise Refusal(60111, "userid not found")
        if not person.visible:
            raise Refusal(60011, "no privilege to access/modify contact/party/agent")
        return person

    def expire_tokens(self) -> None:
        """Early, as WeCom may; codes stay good."""
        for issued in self.tokens.values():
            issued.until = 0.0

    def _issue(self, among: dict[str, Issued], login: Login, seconds: int) -> str:
        name = secrets.token_urlsafe(32)
        among[name] = Issued(login, self.clock() + seconds)
        return name

    def _app_by_secret(self, corp_id: str, secret: str, address: str) -> App:
        corp = self.corp(corp_id)
        if corp is None:
            raise Refusal(40013, "invalid corpid")
        for app in corp.apps:
            if app.agent.secret == secret:
                return app
        self._count_wrong_secret(address)
        if any(app.agent.secret == secret for c in self.corps for app in c.apps):
            raise Refusal(40091, "secret is another corp's")
        raise Refusal(40001, "invalid credential")

    def _count_wrong_secret(self, address: str) -> None:
        self.wrong_secrets[address] += 1
        if self.ban_after and self.wrong_secrets[address] >= self.ban_after:
            self.banned[address] = self.clock() + BAN_SECONDS
            self.wrong_secrets[address] = 0

    def _refuse_banned(self, address: str) -> None:
        if self.banned.get(address, 0.0) > self.clock():
            raise Refusal(45009, "reach max api daily quota limit: address banned")
