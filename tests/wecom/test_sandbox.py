from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.wecom.conftest import Clock, Play
from wecom.sandbox import examples

AGENT = examples.AGENT


@pytest.fixture
async def http(play: Play) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=play.url, trust_env=False) as http:
        yield http


async def asked(http: httpx.AsyncClient, path: str, **params: str) -> dict[str, object]:
    answer: dict[str, object] = (await http.get(path, params=params)).json()
    return answer


async def token_of(http: httpx.AsyncClient) -> str:
    answer = await asked(
        http, "/cgi-bin/gettoken", corpid=AGENT.corp_id, corpsecret=AGENT.secret
    )
    return str(answer["access_token"])


async def test_a_login_by_script(http: httpx.AsyncClient) -> None:
    wanted = {"corpId": AGENT.corp_id, "agentId": AGENT.agent_id, "userId": "LISI"}
    approved = await http.post("/sandbox/approve", json={**wanted, "state": "s"})
    assert approved.json()["state"] == "s"
    token, code = await token_of(http), approved.json()["code"]
    path = "/cgi-bin/user/getuserinfo"
    first = await asked(http, path, access_token=token, code=code)
    again = await asked(http, path, access_token=token, code=code)
    assert first == {"UserId": "LiSi", "DeviceId": "sandbox"}
    assert again["errcode"] == 40029


async def test_a_code_lives_five_minutes(
    http: httpx.AsyncClient, play: Play, wecom_clock: Clock
) -> None:
    code = play.approve()
    wecom_clock.advance(301)
    path = "/cgi-bin/auth/getuserinfo"
    told = await asked(http, path, access_token=await token_of(http), code=code)
    assert told["errcode"] == 42003


async def test_a_token_lives_two_hours(
    http: httpx.AsyncClient, wecom_clock: Clock
) -> None:
    token = await token_of(http)
    assert await token_of(http) == token
    wecom_clock.advance(7201)
    path = "/cgi-bin/user/get"
    assert (await asked(http, path, access_token=token))["errcode"] == 42001
    assert (await asked(http, path, access_token="x"))["errcode"] == 40014
    assert (await asked(http, path))["errcode"] == 41001


async def test_wrong_secrets_ban_an_address(http: httpx.AsyncClient) -> None:
    path, corp = "/cgi-bin/gettoken", AGENT.corp_id
    for _ in range(5):
        answer = await asked(http, path, corpid=corp, corpsecret="wrong")
        assert answer["errcode"] == 40001
    answer = await asked(http, path, corpid=corp, corpsecret=AGENT.secret)
    assert answer["errcode"] == 45009


@pytest.mark.parametrize(
    ("userid", "errcode"), [("zhouba", 60011), ("nobody", 60111), ("ZHANGSAN", 0)]
)
async def test_the_visible_range(
    http: httpx.AsyncClient, userid: str, errcode: int
) -> None:
    token = await token_of(http)
    told = await asked(http, "/cgi-bin/user/get", access_token=token, userid=userid)
    assert told["errcode"] == errcode


async def test_a_member_can_be_changed_and_removed(http: httpx.AsyncClient) -> None:
    path = f"/sandbox/members/{AGENT.corp_id}/zhangsan"
    assert (await http.patch(path, json={"status": 5})).json()["status"] == 5
    assert (await http.patch(path, json={"userid": "x"})).status_code == 400
    assert (await http.delete(path)).status_code == 204
    assert (await http.patch(path, json={"status": 1})).status_code == 404


async def test_faults_by_script(http: httpx.AsyncClient) -> None:
    wanted = {"endpoint": "gettoken", "fault": "errcode", "errcode": -1, "times": 1}
    assert (await http.post("/sandbox/faults", json=wanted)).status_code == 204
    assert (await asked(http, "/cgi-bin/gettoken"))["errcode"] == -1
    assert (await asked(http, "/cgi-bin/gettoken"))["errcode"] == 40013
    assert (await asked(http, "/sandbox/calls"))["gettoken"] == 2
    unknown = await http.post("/sandbox/faults", json={"fault": "flood"})
    assert unknown.status_code == 400


async def test_the_phone_is_served_whole_from_here(http: httpx.AsyncClient) -> None:
    for path in ("/", "/phone.js", "/phone.css"):
        page = await http.get(path)
        assert page.status_code == 200
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
        assert "://" not in page.text
        assert "onclick" not in page.text
    told = (await http.get("/sandbox/world")).text
    assert AGENT.secret not in told


async def test_private_apps_tell_no_contacts(
    http: httpx.AsyncClient, play: Play
) -> None:
    token = await token_of(http)
    told = await asked(http, "/cgi-bin/user/get", access_token=token, userid="zhangsan")
    assert not {"mobile", "email", "biz_mail", "avatar"} & told.keys()
