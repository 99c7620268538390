"""WeCom takes secrets, tokens and codes in URLs. None of them may be heard of again."""

from __future__ import annotations

import logging
import traceback
from urllib.parse import quote

import httpx
import pytest

from tests.wecom.conftest import Clock, Play
from wecom import Agent, Client, WecomError
from wecom.sandbox import examples

FAULTS = [
    *["reset_before", "close_after", "hang", "garbage", "truncated", "redirect"],
    *["status", "not_json", "duplicate_keys", "endless", "errcode", "empty"],
]


def shown(error: BaseException | None) -> str:
    """All that a log, a tracker or a debugger would print of an error."""
    if error is None:
        return ""
    trace = "".join(traceback.format_exception(error))
    attributes = repr(vars(error))
    causes = shown(error.__cause__) + shown(error.__context__)
    return f"{error!s} {error!r} {attributes} {trace} {causes}"


def canaries(play: Play, agent: Agent, code: str) -> list[str]:
    tokens = [*play.sandbox.world.tokens]
    plain = [agent.secret, code, *tokens]
    return [*plain, *map(quote, plain), "access_token=", "corpsecret="]


@pytest.mark.parametrize("own", [True, False], ids=["our transport", "httpx's"])
async def test_no_log_line_holds_what_was_in_a_url(
    play: Play, wecom_clock: Clock, caplog: pytest.LogCaptureFixture, own: bool
) -> None:
    """httpx logs whole URLs at INFO, httpcore at DEBUG."""
    caplog.set_level(logging.DEBUG)
    http = None if own else httpx.AsyncClient(trust_env=False)
    client = Client(base_url=play.url, clock=wecom_clock, http=http, timeout=0.3)
    code = play.approve()
    await client.member_for_code(examples.AGENT, code)
    profile = await client.profile(examples.AGENT, "lisi")
    await client.completed(examples.AGENT, profile, "ticket-canary")
    for fault in ("reset_before", "redirect", "hang", "not_json"):
        play.fault(fault)
        with pytest.raises(WecomError):
            await client.member_for_code(examples.AGENT, code)
    await client.aclose()
    if http:
        await http.aclose()
    for canary in [*canaries(play, examples.AGENT, code), "ticket-canary"]:
        assert canary not in caplog.text


async def test_others_log_as_before(
    client: Client, play: Play, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with httpx.AsyncClient(trust_env=False) as http:
        await http.get(play.url + "/sandbox/calls")
    assert "/sandbox/calls" in caplog.text


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("endpoint", ["gettoken", "getuserinfo"])
@pytest.mark.parametrize("own", [True, False], ids=["our transport", "httpx's"])
async def test_no_error_holds_what_was_in_a_url(
    play: Play, wecom_clock: Clock, fault: str, endpoint: str, own: bool
) -> None:
    """httpx's exceptions carry the request, and with it the URL."""
    http = None if own else httpx.AsyncClient(trust_env=False)
    client = Client(base_url=play.url, clock=wecom_clock, http=http, timeout=0.2)
    code = play.approve()
    tell = f"{code} {quote(examples.AGENT.secret)}"
    play.fault(fault, endpoint, times=3, errcode=40013, errmsg=tell)
    with pytest.raises(WecomError) as failure:
        await client.member_for_code(examples.AGENT, code)
    await client.aclose()
    if http:
        await http.aclose()
    told = shown(failure.value)
    relevant = [code] if endpoint == "getuserinfo" else []
    for canary in [examples.AGENT.secret, *play.sandbox.world.tokens, *relevant]:
        assert canary not in told
    assert "httpx" not in repr(failure.value.__context__)
    assert failure.value.__cause__ is None
