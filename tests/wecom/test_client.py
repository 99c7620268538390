from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial

import httpx
import pytest

from tests.wecom.conftest import Clock, Play
from wecom import (
    Agent,
    AgentInfo,
    BadAnswer,
    Busy,
    Client,
    CodeRejected,
    ConnectionLost,
    Limited,
    Member,
    MemberRefused,
    Misconfigured,
    Outsider,
    Profile,
    Refused,
    StaleToken,
    TimedOut,
    UnknownRefusal,
    Unreachable,
    WecomError,
)
from wecom.sandbox import examples
from wecom.transport import Transport

AGENT = examples.AGENT


async def test_a_code_names_its_member_as_wecom_spells_them(
    client: Client, play: Play
) -> None:
    assert await client.member_for_code(AGENT, play.approve("LiSi")) == Member("LiSi")


@pytest.mark.parametrize("spelling", ["UserId", "userid"])
async def test_both_spellings_of_userid_are_read(
    client: Client, play: Play, spelling: str
) -> None:
    """`userid` against `UserId` broke two libraries."""
    play.fault("body", body=f'{{"{spelling}":"zhangsan","DeviceId":""}}')
    assert await client.member_for_code(AGENT, play.approve()) == Member("zhangsan")


@pytest.mark.parametrize("spelling", ["OpenId", "openid"])
async def test_an_openid_is_an_outsiders_and_no_userid(
    client: Client, play: Play, spelling: str
) -> None:
    """Three clients let outsiders in by mixing them up."""
    play.fault("body", body=f'{{"{spelling}":"zhangsan","DeviceId":""}}')
    assert await client.member_for_code(AGENT, play.approve()) == Outsider()


async def test_a_linked_corps_member_is_an_outsider(client: Client, play: Play) -> None:
    """`CorpId/userid` keyed on would be an identity of this corp."""
    code = play.approve("ww7f3a0c5d9e2b4816/zhangsan")
    assert await client.member_for_code(AGENT, code) == Outsider()


@pytest.mark.parametrize(
    "userid",
    [
        *("", " zhangsan", "zhang san", "-zhangsan", "张三", "z" * 65, "zhangsan\n"),
        *(7, True, None, ["zhangsan"], {"userid": "zhangsan"}, 1.5),
    ],
)
async def test_a_strange_userid_is_never_keyed_on(
    client: Client, play: Play, userid: object
) -> None:
    play.fault("field", name="UserId", value=userid)
    with pytest.raises(BadAnswer) as failure:
        await client.member_for_code(AGENT, play.approve())
    assert failure.value.code_seen


async def test_two_spellings_that_disagree_are_not_understood(
    client: Client, play: Play
) -> None:
    play.fault("field", name="userid", value="somebody-else")
    with pytest.raises(BadAnswer):
        await client.member_for_code(AGENT, play.approve())


async def test_an_answer_that_names_nobody_is_not_understood(
    client: Client, play: Play
) -> None:
    play.fault("without", name="UserId")
    with pytest.raises(BadAnswer):
        await client.member_for_code(AGENT, play.approve())


async def test_a_ticket_is_used_where_there_is_one(client: Client, play: Play) -> None:
    code = play.approve("zhangsan", consented=True)
    member = await client.member_for_code(AGENT, code)
    assert isinstance(member, Member)
    assert member.user_ticket
    told = await client.profile(AGENT, "zhangsan")
    profile = await client.completed(AGENT, told, member.user_ticket)
    assert profile.email == "zhangsan@example.com"
    assert profile.mobile == "13800000001"


async def test_an_app_of_today_tells_hardly_more_than_a_name(
    client: Client, play: Play
) -> None:
    assert await client.profile(AGENT, "lisi") == Profile(
        userid="LiSi",
        name="李四",
        position="产品经理",
        departments=(1,),
        status=1,
    )


async def test_an_old_app_tells_email_and_mobile(client: Client, play: Play) -> None:
    profile = await client.profile(examples.OLD_AGENT, "alice.smith")
    assert profile == Profile(
        userid="alice.smith",
        name="Alice Smith",
        alias="Alice",
        position="Designer",
        departments=(1, 2),
        status=1,
        email="alice@example.com",
        mobile="+44 7700 900123",
    )


@pytest.mark.parametrize("fault", ["errcode", "reset_before", "not_json", "nan"])
async def test_a_failing_ticket_fails_nothing(
    client: Client, play: Play, fault: str
) -> None:
    """Profile errors failed logins that needed no profile."""
    play.fault(fault, "getuserdetail", times=9)
    told = await client.profile(AGENT, "zhangsan")
    assert await client.completed(AGENT, told, "ticket") == told


async def test_a_ticket_of_another_member_adds_nothing(
    client: Client, play: Play
) -> None:
    code = play.approve("alice.smith", consented=True)
    member = await client.member_for_code(AGENT, code)
    assert isinstance(member, Member)
    assert member.user_ticket
    told = await client.profile(AGENT, "zhangsan")
    profile = await client.completed(AGENT, told, member.user_ticket)
    assert profile.email is None


async def test_a_member_without_an_email_crashes_nothing(
    client: Client, play: Play
) -> None:
    profile = await client.profile(examples.OLD_AGENT, "bob_jones-2")
    assert (profile.email, profile.mobile, profile.avatar) == (None, None, None)


async def test_agent_info(client: Client) -> None:
    assert await client.agent_info(AGENT) == AgentInfo("1000012", "禾府登录", False)


async def test_a_secret_of_another_agent_is_found_out(client: Client) -> None:
    mixed = replace(AGENT, agent_id="1000003")
    with pytest.raises(Misconfigured) as refusal:
        await client.agent_info(mixed)
    assert refusal.value.errcode == 301002


CLASSES: list[tuple[type[Refused], list[int]]] = [
    (CodeRejected, [40029, 42003, 40163]),
    (Busy, [-1, 45033]),
    (Limited, [45009]),
    (MemberRefused, [40003, 46004, 50002, 60011, 60111]),
    (
        Misconfigured,
        [
            40001,
            40013,
            40056,
            40091,
            43009,
            48001,
            48002,
            48003,
            48004,
            48005,
            48006,
            50001,
            50003,
            60020,
            301002,
            2000002,
        ],
    ),
    (StaleToken, [40014, 42001, 41001]),
    (UnknownRefusal, [1, 99999, -2]),
]


@pytest.mark.parametrize(
    ("kind", "errcode"), [(kind, code) for kind, codes in CLASSES for code in codes]
)
async def test_every_errcode_has_its_class_and_its_number_of_requests(
    client: Client, play: Play, kind: type[Refused], errcode: int
) -> None:
    """A retry too many of a wrong secret blocks the whole address for an hour."""
    play.fault("errcode", times=9, errcode=errcode, errmsg="no\x00\n")
    with pytest.raises(Refused) as refusal:
        await client.member_for_code(AGENT, play.approve())
    assert type(refusal.value) is kind
    assert refusal.value.errcode == errcode
    assert refusal.value.errmsg == "no  "
    assert refusal.value.call == "getuserinfo"
    assert refusal.value.code_seen
    repeated: dict[type[Refused], int] = {Busy: 3, StaleToken: 2}
    requests = repeated.get(kind, 1)
    assert play.calls("getuserinfo") == requests
    assert play.calls("gettoken") == (2 if kind is StaleToken else 1)


async def test_a_wrong_secret_is_sent_once(client: Client, play: Play) -> None:
    """40001 is a stale token in WeChat; ported clients refresh on it for ever."""
    with pytest.raises(Misconfigured) as refusal:
        await client.member_for_code(replace(AGENT, secret="wrong"), play.approve())
    assert refusal.value.errcode == 40001
    assert not refusal.value.code_seen
    assert play.calls("gettoken") == 1
    assert play.calls("getuserinfo") == 0


async def test_60020_tells_the_address_that_wecom_saw(
    client: Client, play: Play
) -> None:
    """The most frequent complaint of all."""
    told = "not allow to access from your ip, hint: [1], from ip: 203.0.113.9, more"
    play.fault("errcode", errcode=60020, errmsg=told)
    with pytest.raises(Misconfigured) as refusal:
        await client.member_for_code(AGENT, play.approve())
    assert refusal.value.seen_ip == "203.0.113.9"


async def test_the_cause_is_read_from_errmsg(client: Client, play: Play) -> None:
    """`err_msg` read instead of `errmsg` hid the cause."""
    play.fault("body", body='{"errcode":60111,"errmsg":"cause","err_msg":"other"}')
    with pytest.raises(MemberRefused, match="cause"):
        await client.member_for_code(AGENT, play.approve())


async def test_busy_is_asked_again_after_a_pause(
    client: Client, play: Play, slept: list[float]
) -> None:
    play.fault("errcode", times=2, errcode=-1)
    await client.member_for_code(AGENT, play.approve())
    assert len(slept) == 2
    assert 0.15 <= slept[0] <= 0.25
    assert 0.375 <= slept[1] <= 0.625


async def test_a_code_that_was_spent_by_a_busy_answer_is_spent(
    client: Client, play: Play
) -> None:
    play.fault("errcode", errcode=-1)
    play.fault("errcode", errcode=40029)
    with pytest.raises(CodeRejected) as refusal:
        await client.member_for_code(AGENT, play.approve())
    assert refusal.value.code_seen


async def test_a_stale_token_is_not_noticed(client: Client, play: Play) -> None:
    await client.member_for_code(AGENT, play.approve())
    play.sandbox.world.expire_tokens()
    await client.member_for_code(AGENT, play.approve())
    assert play.calls("gettoken") == 2
    assert play.calls("getuserinfo") == 3


async def test_a_busy_wecom_is_asked_thrice_beside_what_a_stale_token_costs(
    client: Client, play: Play
) -> None:
    play.fault("errcode", errcode=-1)
    play.fault("errcode", errcode=42001)
    play.fault("errcode", times=9, errcode=-1)
    with pytest.raises(Busy):
        await client.member_for_code(AGENT, play.approve())
    assert play.calls("getuserinfo") == 4
    assert play.calls("gettoken") == 2


@pytest.mark.parametrize(
    "fault", ["reset_before", "reset_after", "close_before", "close_after"]
)
@pytest.mark.parametrize("warm", [False, True])
async def test_a_code_is_never_sent_twice_by_itself(
    client: Client, play: Play, fault: str, warm: bool
) -> None:
    """A kept connection that breaks makes other clients repeat a GET silently."""
    if warm:
        await client.member_for_code(AGENT, play.approve())
    before = play.calls("getuserinfo")
    play.fault(fault)
    with pytest.raises(ConnectionLost) as failure:
        await client.member_for_code(AGENT, play.approve())
    assert failure.value.code_seen
    assert play.calls("getuserinfo") == before + 1


@pytest.mark.parametrize("fault", ["reset_before", "close_after"])
async def test_what_only_reads_is_asked_again_when_the_connection_breaks(
    client: Client, play: Play, fault: str
) -> None:
    play.fault(fault, "gettoken")
    play.fault(fault, "user_get")
    assert (await client.profile(AGENT, "zhangsan")).name == "张三"
    assert play.calls("gettoken") == play.calls("user_get") == 2


async def test_without_a_connection_the_code_was_not_seen(wecom_clock: Clock) -> None:
    client = Client(base_url="http://127.0.0.1:1", clock=wecom_clock)
    with pytest.raises(Unreachable) as failure:
        await client.member_for_code(AGENT, "code")
    await client.aclose()
    assert failure.value.call == "gettoken"
    assert not failure.value.code_seen


async def test_where_connecting_for_the_code_fails_it_was_not_seen(
    client: Client, play: Play, wecom_clock: Clock
) -> None:
    """The token was got earlier; WeCom is gone now."""
    closed = asyncio.Event()

    async def answer_once(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await reader.readuntil(b"\r\n\r\n")
        server.close()
        body = b'{"access_token":"t","expires_in":7200}'
        head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
        writer.write(head % len(body) + body)
        writer.close()
        closed.set()

    server = await asyncio.start_server(answer_once, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    alone = Client(base_url=f"http://127.0.0.1:{port}", clock=wecom_clock)
    with pytest.raises(Unreachable) as failure:
        await alone.member_for_code(AGENT, "code")
    await alone.aclose()
    assert failure.value.call == "getuserinfo"
    assert not failure.value.code_seen


async def test_a_hanging_getuserinfo_may_have_spent_the_code(
    client: Client, play: Play
) -> None:
    play.fault("hang")
    with pytest.raises(TimedOut) as failure:
        await client.member_for_code(AGENT, play.approve())
    assert failure.value.code_seen


@pytest.mark.parametrize("own", [True, False], ids=["our transport", "httpx's"])
async def test_the_code_leaves_once_there_is_a_connection(
    play: Play, wecom_clock: Clock, own: bool
) -> None:
    """Whoever gives up while all connections are taken may send the code again."""
    transport: httpx.AsyncBaseTransport = Transport(max_connections=1)
    if not own:
        limits = httpx.Limits(max_connections=1)
        transport = httpx.AsyncHTTPTransport(limits=limits, trust_env=False)
    sent: list[None] = []

    async def asked() -> Member | Outsider:
        code = play.approve()
        sending = partial(sent.append, None)
        return await client.member_for_code(AGENT, code, sending=sending)

    async with httpx.AsyncClient(transport=transport) as http:
        client = Client(base_url=play.url, clock=wecom_clock, http=http)
        await client.fresh_token(AGENT)
        play.fault("hang", "user_get")
        async with asyncio.TaskGroup() as group:
            other = group.create_task(client.profile(AGENT, "zhangsan"))
            await asyncio.sleep(0.05)
            assert play.calls("user_get") == 1
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asked(), 0.2)
            other.cancel()
        assert sent == []
        await asked()
        await client.aclose()
    assert sent == [None]


async def test_a_hanging_gettoken_has_not(client: Client, play: Play) -> None:
    play.fault("hang", "gettoken")
    with pytest.raises(TimedOut) as failure:
        await client.member_for_code(AGENT, play.approve())
    assert not failure.value.code_seen
    assert play.calls("gettoken") == 1


async def test_a_login_cut_short_leaves_nothing_broken(
    client: Client, play: Play, observed: list[tuple[str, str]]
) -> None:
    play.fault("hang")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await client.member_for_code(AGENT, play.approve())
    assert ("getuserinfo", "cancelled") in observed
    await client.member_for_code(AGENT, play.approve())


async def test_outcomes_are_observed(
    client: Client, play: Play, observed: list[tuple[str, str]]
) -> None:
    play.fault("errcode", errcode=42001)
    play.fault("status", "user_get", status=500)
    await client.member_for_code(AGENT, play.approve())
    with pytest.raises(WecomError):
        await client.profile(AGENT, "zhangsan")
    assert observed == [
        ("gettoken", "ok"),
        ("getuserinfo", "stale_token"),
        ("gettoken", "ok"),
        ("getuserinfo", "ok"),
        ("user_get", "bad_status"),
    ]


async def test_a_code_of_any_characters_is_sent_as_it_is(
    client: Client, play: Play
) -> None:
    for code in ("a&access_token=b", "\ud800", "码\r\nHost: x", "#?%"):
        with pytest.raises(CodeRejected):
            await client.member_for_code(AGENT, code)


async def test_two_corps_with_the_same_userid_stay_apart(
    client: Client, play: Play
) -> None:
    here = await client.profile(AGENT, "zhangsan")
    there = await client.profile(examples.OTHER_CORP_AGENT, "zhangsan")
    assert (here.name, there.name) == ("张三", "Zoe Zhang")


async def test_a_code_of_another_app_is_50001(client: Client, play: Play) -> None:
    code = play.approve(agent=examples.OLD_AGENT)
    with pytest.raises(Misconfigured) as refusal:
        await client.member_for_code(AGENT, code)
    assert refusal.value.errcode == 50001


def test_an_agent_does_not_show_its_secret() -> None:
    assert "hush" not in repr(Agent("ww", "1", "hush"))
