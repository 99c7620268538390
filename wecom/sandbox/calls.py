"""
WeCom's calls, answered from the world. Each takes a request's query, body and address.

Where it matters the answers are spelled as the real ones are: `UserId` in one
getuserinfo, `userid` in the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from wecom.sandbox.world import App, Login, Person, Refusal, World

Fields = dict[str, object]


@dataclass(frozen=True)
class Asked:
    query: Mapping[str, str]
    body: Mapping[str, object]
    address: str

    def app(self, world: World) -> App:
        return world.authorized(
            self.query.get("access_token", ""), address=self.address
        )


def gettoken(world: World, asked: Asked) -> Fields:
    token, seconds = world.grant(
        asked.query.get("corpid", ""),
        asked.query.get("corpsecret", ""),
        address=asked.address,
    )
    return {"access_token": token, "expires_in": seconds}


def user_getuserinfo(world: World, asked: Asked) -> Fields:
    """Its success has no errcode."""
    login = world.spend(asked.query.get("code", ""), asked.app(world))
    if login.openid:
        return {"OpenId": login.openid, "DeviceId": "sandbox"}
    return {"UserId": login.userid, "DeviceId": "sandbox", **_ticket(world, login)}


def auth_getuserinfo(world: World, asked: Asked) -> Fields:
    login = world.spend(asked.query.get("code", ""), asked.app(world))
    if login.openid:
        return {"openid": login.openid}
    return {"userid": login.userid, **_ticket(world, login)}


def getuserdetail(world: World, asked: Asked) -> Fields:
    """Never a name."""
    app = asked.app(world)
    person = world.consented(str(asked.body.get("user_ticket", "")), app)
    return {"userid": person.userid, "gender": "0", **_contacts(person)}


def user_get(world: World, asked: Asked) -> Fields:
    app = asked.app(world)
    person = world.seen(asked.query.get("userid", ""), app)
    return {
        "userid": person.userid,
        "name": person.name,
        "department": list(person.departments),
        "main_department": person.departments[0],
        "position": person.position,
        "alias": person.alias,
        "status": person.status,
        **(_contacts(person) if app.tells_contacts else {}),
    }


def agent_get(world: World, asked: Asked) -> Fields:
    app = asked.app(world)
    if asked.query.get("agentid") != app.agent.agent_id:
        raise Refusal(301002, "not allow operate another agent with this accesstoken")
    return {
        "agentid": int(app.agent.agent_id),
        "name": app.name,
        "close": 0,
        "allow_userinfos": {"user": []},
    }


CALLS: dict[str, tuple[str, Callable[[World, Asked], Fields]]] = {
    "gettoken": ("/cgi-bin/gettoken", gettoken),
    "getuserinfo": ("/cgi-bin/user/getuserinfo", user_getuserinfo),
    "auth_getuserinfo": ("/cgi-bin/auth/getuserinfo", auth_getuserinfo),
    "getuserdetail": ("/cgi-bin/auth/getuserdetail", getuserdetail),
    "user_get": ("/cgi-bin/user/get", user_get),
    "agent_get": ("/cgi-bin/agent/get", agent_get),
}


def _ticket(world: World, login: Login) -> Fields:
    return {"user_ticket": world.ticket(login)} if login.consented else {}


def _contacts(person: Person) -> Fields:
    return {
        "mobile": person.mobile,
        "email": person.email,
        "biz_mail": person.biz_mail,
        "avatar": person.avatar,
    }
