"""The sandbox's own JSON API: to play the phone, and to make things go wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, cast

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from wecom.sandbox.calls import CALLS
from wecom.sandbox.faults import AFTER, BEFORE, Fault
from wecom.sandbox.world import App, Login, Person

if TYPE_CHECKING:
    from wecom.sandbox.app import Sandbox

Fields = Mapping[str, object]

CHANGEABLE = {field.name: field for field in fields(Person) if field.name != "userid"}


class Control:
    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self.routes = [
            Route("/sandbox/world", self.world),
            Route("/sandbox/approve", self.approve, methods=["POST"]),
            Route("/sandbox/faults", self.add_fault, methods=["POST"]),
            Route("/sandbox/faults", self.clear_faults, methods=["DELETE"]),
            Route("/sandbox/calls", self.calls),
            Route("/sandbox/reset", self.reset, methods=["POST"]),
            Route("/sandbox/tokens/expire", self.expire_tokens, methods=["POST"]),
            Route(
                "/sandbox/members/{corp}/{userid}",
                self.change_member,
                methods=["PATCH", "DELETE"],
            ),
        ]

    async def world(self, request: Request) -> Response:
        """What the phone may choose from; no secrets, as a page shows it."""
        return _json(
            [
                {
                    "corpId": corp.corp_id,
                    "name": corp.name,
                    "apps": [_app(app) for app in corp.apps],
                    "members": [_member(person) for person in corp.people],
                }
                for corp in self._sandbox.world.corps
            ]
        )

    async def approve(self, request: Request) -> Response:
        """
        `userId` names a member, or, with a `/`, a linked corp's; `openId` an outsider.
        `consent` brings a user_ticket along.
        """
        asked = await _body(request)
        world = self._sandbox.world
        corp_id, agent_id = _word(asked, "corpId"), _word(asked, "agentId")
        app = world.app(corp_id, agent_id)
        corp = world.corp(corp_id)
        if app is None or corp is None:
            return _problem("no such corpId and agentId in this sandbox")
        userid, openid = _word(asked, "userId"), _word(asked, "openId")
        person = corp.person(userid)
        if not (person or openid or "/" in userid):
            return _problem("no such userId in this corp")
        login = Login(
            app,
            userid=person.userid if person else userid,
            openid=openid,
            consented=asked.get("consent") is True,
        )
        return _json({"code": world.approve(login), "state": asked.get("state")})

    async def add_fault(self, request: Request) -> Response:
        """`{"endpoint", "fault", "times"}`; what else is in it is the fault's own."""
        asked = dict(await _body(request))
        endpoint = asked.pop("endpoint", "*")
        name = asked.pop("fault", None)
        times = asked.pop("times", 1)
        if name not in BEFORE | AFTER:
            return _problem(f"fault is one of {', '.join(sorted(BEFORE | AFTER))}")
        if endpoint not in {"*", *CALLS} or not isinstance(times, int):
            return _problem(f"endpoint is one of *, {', '.join(CALLS)}")
        self._sandbox.faults.append(Fault(str(name), str(endpoint), times, asked))
        return _done()

    async def clear_faults(self, request: Request) -> Response:
        self._sandbox.faults.clear()
        return _done()

    async def calls(self, request: Request) -> Response:
        return _json({name: self._sandbox.calls[name] for name in CALLS})

    async def reset(self, request: Request) -> Response:
        self._sandbox.reset()
        return _done()

    async def expire_tokens(self, request: Request) -> Response:
        self._sandbox.world.expire_tokens()
        return _done()

    async def change_member(self, request: Request) -> Response:
        corp = self._sandbox.world.corp(request.path_params["corp"])
        person = corp.person(request.path_params["userid"]) if corp else None
        if corp is None or person is None:
            return _problem("no such member", status=404)
        if request.method == "DELETE":
            corp.people.remove(person)
            return _done()
        changes = await _body(request)
        if not changes.keys() <= CHANGEABLE.keys():
            return _problem(f"changeable are {', '.join(CHANGEABLE)}")
        for name, value in changes.items():
            setattr(person, name, value)
        return _json(_member(person))


def _app(app: App) -> Fields:
    return {
        "agentId": app.agent.agent_id,
        "name": app.name,
        "schema": app.schema,
        "tellsContacts": app.tells_contacts,
    }


def _member(person: Person) -> Fields:
    return {
        "userId": person.userid,
        "name": person.name,
        "status": person.status,
        "visible": person.visible,
    }


async def _body(request: Request) -> Fields:
    try:
        body: object = orjson.loads(await request.body() or b"{}")
    except orjson.JSONDecodeError:
        return {}
    return cast("Fields", body) if isinstance(body, dict) else {}


def _word(asked: Fields, name: str) -> str:
    return str(asked.get(name) or "")


def _json(content: object, *, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")


def _problem(message: str, *, status: int = 400) -> Response:
    return _json({"error": message}, status=status)


def _done() -> Response:
    return Response(status_code=204)
