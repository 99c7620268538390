from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wecom import Member, answers
from wecom.answers import Malformed, Outsider
from wecom.errors import refusal

READERS: list[Callable[[answers.Fields], object]] = [
    answers.errcode,
    answers.grant,
    answers.member,
    answers.profile,
    answers.detail,
    answers.agent_info,
]

NAMES = st.sampled_from(
    [
        *("UserId", "userid", "OpenId", "openid", "user_ticket", "email", "name"),
        *("errcode", "errmsg", "access_token", "expires_in"),
        *("department", "status", "agentid", "close"),
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(NAMES | st.text(), inner),
    max_leaves=10,
)


def read_by_all(body: bytes) -> None:
    try:
        fields = answers.fields(body)
    except Malformed:
        return
    for read in READERS:
        try:
            read(fields)
        except Malformed:
            continue


@given(st.binary())
@example(b"[" * 200_000)
@example(b'{"errcode":' + b"9" * 5000 + b"}")
@example(b'{"a":' * 100_000)
@example('{"errcode":0}'.encode("utf-16"))
def test_any_bytes_are_read_or_malformed(body: bytes) -> None:
    read_by_all(body)


@given(st.dictionaries(NAMES, JSON))
def test_any_object_is_read_or_malformed(answer: dict[str, object]) -> None:
    read_by_all(json.dumps(answer).encode("utf-8", "surrogatepass"))


@given(st.text())
def test_a_member_is_only_who_matches(userid: str) -> None:
    """Compared with the rule as it is written, a character at a time."""
    letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    good = (
        1 <= len(userid) <= 64
        and userid[0] in letters
        and all(char in letters + "_-@." for char in userid)
    )
    try:
        named = answers.member({"UserId": userid})
    except Malformed:
        named = None
    assert isinstance(named, Member) == good


@pytest.mark.parametrize("empty", [None, ""])
def test_an_empty_userid_beside_an_openid_is_an_outsiders(empty: str | None) -> None:
    """Some servers write out what they have nothing for."""
    assert answers.member({"UserId": empty, "OpenId": "oAAAA"}) == Outsider()
    assert answers.member({"UserId": "amy", "OpenId": empty}) == Member("amy")
    for two_minds in ({"OpenId": empty}, {"userid": "amy"}):
        with pytest.raises(Malformed):
            answers.member({"UserId": empty, **two_minds})


@given(st.text(), st.text(min_size=1))
def test_an_errmsg_never_holds_the_secret(errmsg: str, secret: str) -> None:
    told = refusal(
        40001, errmsg + secret, call="gettoken", code_seen=False, secrets=[secret]
    )
    assert secret not in told.errmsg or secret in "… "
    assert len(told.errmsg) <= 512


def test_ticket_and_grant_do_not_show_themselves() -> None:
    shown = repr([answers.Grant("hush", 1), Member("zhangsan", "hush")])
    assert "hush" not in shown


@pytest.mark.parametrize("body", [b"null", b"[]", b"1", b'"x"', b"", b"{}{}"])
def test_what_is_not_one_object_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        answers.fields(body)
