from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from hefu.parameters import MOST_BYTES
from tests.hefu.sample_app import ORIGIN, create_app

GRAPHQL = "application/graphql-response+json"
JSON = "application/json"
ADMIN = {"Authorization": "Bearer admin"}


async def ask(client: httpx.AsyncClient, query: str, **rest: Any) -> httpx.Response:
    return await client.post("/graphql", json={"query": query, **rest})


async def send(
    client: httpx.AsyncClient, body: bytes | str, **headers: str
) -> httpx.Response:
    named = httpx.Headers({"Content-Type": JSON})
    named.update({name.replace("_", "-"): value for name, value in headers.items()})
    return await client.post("/graphql", content=body, headers=named)


def messages(answer: httpx.Response) -> list[str]:
    return [error["message"] for error in answer.json()["errors"]]


def codes(answer: httpx.Response) -> set[str]:
    return {error["extensions"]["code"] for error in answer.json()["errors"]}


async def test_a_query_is_answered(client: httpx.AsyncClient) -> None:
    answer = await ask(client, "{hello}")
    assert answer.status_code == 200
    assert answer.json() == {"data": {"hello": "Hello you"}}
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "body",
    [
        b"1",
        b"null",
        b'"query"',
        b"true",
        b"[]",
        b'[{"query":"{hello}"}]',
        b"",
        b"{",
        b"\xff\xfe",
        b'{"query":"{hello}","operationName":"\xc3\x28"}',
        b'{"query":"{hello}","operationName":"\\ud800"}',
        b'{"query":"{hello}","variables":{"a":"\\udfff"}}',
        b'{"query":"{hello}","variables":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
        b'{"query":"{hello}","variables":{"a":' + b"9" * 5000 + b"}}",
        b'{"query":"{hello}","variables":{"a":NaN}}',
        b'{"query":["{hello}"]}',
        b'{"query":"{hello}","variables":"{}"}',
        b'{"query":"{hello}","operationName":7}',
        b'{"query":"{hello}","extensions":[]}',
    ],
)
async def test_what_is_no_request_is_a_400(
    client: httpx.AsyncClient, body: bytes
) -> None:
    answer = await send(client, body)
    assert answer.status_code == 400
    assert codes(answer) == {"BAD_REQUEST"}
    assert "data" not in answer.json()


async def test_a_hash_in_place_of_a_document_is_told_in_its_clients_words(
    client: httpx.AsyncClient,
) -> None:
    """Apollo's clients then send the document; any other words they show to people."""
    persisted = {"persistedQuery": {"version": 1, "sha256Hash": "0" * 64}}
    for language in ("en", "zh-CN"):
        answer = await client.post(
            "/graphql",
            json={"extensions": persisted},
            headers={"Accept-Language": language},
        )
        assert answer.status_code == 400
        assert answer.json()["errors"] == [
            {
                "message": "PersistedQueryNotSupported",
                "extensions": {"code": "BAD_REQUEST"},
            }
        ]
    assert (await ask(client, "{hello}", extensions=persisted)).status_code == 200


async def test_unknown_extensions_are_fine(client: httpx.AsyncClient) -> None:
    answer = await ask(client, "{hello}", extensions={"clientLibrary": {"a": [1]}})
    assert answer.json() == {"data": {"hello": "Hello you"}}


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "text/plain;x=application/json",
        "application/json-seq",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=utf-16",
        "application/graphql",
        "",
    ],
)
async def test_other_content_types_are_refused(
    client: httpx.AsyncClient, content_type: str
) -> None:
    answer = await send(client, b'{"query":"{hello}"}', content_type=content_type)
    assert answer.status_code == 415


async def test_compressed_bodies_are_refused(client: httpx.AsyncClient) -> None:
    body = gzip.compress(b'{"query":"{hello}"}')
    assert (await send(client, body, content_encoding="gzip")).status_code == 415


async def test_a_body_may_be_64_kib_and_no_more(client: httpx.AsyncClient) -> None:
    body = b'{"query":"{hello}"}'.ljust(MOST_BYTES)
    assert (await send(client, body)).status_code == 200
    assert (await send(client, body + b" ")).status_code == 413


async def test_a_body_that_does_not_say_its_length_is_bounded(
    client: httpx.AsyncClient,
) -> None:
    async def chunks(count: int) -> AsyncIterator[bytes]:
        for _ in range(count):
            yield b" " * 1024
        yield b'{"query":"{hello}"}'

    for count, status in ((60, 200), (64, 413)):
        answer = await client.post(
            "/graphql", content=chunks(count), headers={"Content-Type": JSON}
        )
        assert answer.status_code == status


@pytest.mark.parametrize(
    ("accept", "answered"),
    [
        (JSON, JSON),
        (GRAPHQL, GRAPHQL),
        ("*/*", JSON),
        ("application/*", JSON),
        (f"{GRAPHQL}, {JSON};q=0.9", GRAPHQL),
        (f"{JSON}, {GRAPHQL};q=0.9", JSON),
        (f"{GRAPHQL}, {JSON}", GRAPHQL),
        ("multipart/mixed;deferSpec=20220824, application/json", JSON),
        (f"multipart/mixed, {GRAPHQL}, {JSON}", GRAPHQL),
        ("application/json; charset=utf-8", JSON),
        (f"{JSON};q=0, */*", GRAPHQL),
        (f"{JSON};q=0, application/*;q=0.1", GRAPHQL),
        (f"{GRAPHQL};q=0, */*", JSON),
        (f"{JSON};q=0, {GRAPHQL};q=0, */*", None),
        (f"{JSON};q=0, text/*", None),
        ("*/*;q=0", None),
        ("multipart/mixed", None),
        ("application/json; charset=utf-16", None),
        ("image/png", None),
    ],
)
async def test_the_answers_type_is_what_was_asked_for(
    client: httpx.AsyncClient, accept: str, answered: str | None
) -> None:
    answer = await send(client, b'{"query":"{hello}"}', accept=accept)
    if answered is None:
        assert answer.status_code == 406
        return
    assert answer.status_code == 200
    assert answer.headers["content-type"] == f"{answered}; charset=utf-8"


@pytest.mark.parametrize(
    "body",
    [
        b'{"query":"{"}',
        b'{"query":""}',
        b'{"query":"{nothing}"}',
        b'{"query":"query($a:String!){hello(name:$a)}","variables":{"a":1}}',
        b'{"query":"query($a:String!){hello(name:$a)}"}',
    ],
)
async def test_what_never_began_has_no_data(
    client: httpx.AsyncClient, body: bytes
) -> None:
    for media, status in ((GRAPHQL, 400), (JSON, 200)):
        answer = await send(client, body, accept=media)
        assert answer.status_code == status
        assert codes(answer) == {"BAD_REQUEST"}
        assert "data" not in answer.json()


async def test_past_a_bound_it_is_400_as_either(client: httpx.AsyncClient) -> None:
    query = b'{"query":"{' + b"hello " * 21 + b'}"}'
    for media in (GRAPHQL, JSON):
        answer = await send(client, query, accept=media)
        assert answer.status_code == 400
        assert "20 root fields" in answer.json()["errors"][0]["message"]


@pytest.mark.parametrize("size", [101, 0, -1])
@pytest.mark.parametrize("end", ["first", "last"])
async def test_a_page_size_past_its_bound_is_400_as_either(
    client: httpx.AsyncClient, end: str, size: int
) -> None:
    literal = {"query": f"{{people({end}:{size}){{__typename}}}}"}
    fragments = f"{{...F}} fragment F on Query{{people({end}:$n){{__typename}}}}"
    given = {"query": f"query($n:Int){fragments}", "variables": {"n": size}}
    default = {"query": f"query($n:Int={size}){fragments}"}
    for asked in (literal, given, default):
        for media in (GRAPHQL, JSON):
            headers = {"Accept": media}
            answer = await client.post("/graphql", json=asked, headers=headers)
            assert answer.status_code == 400
            assert codes(answer) == {"BAD_REQUEST"}
            assert "100" in answer.json()["errors"][0]["message"]
    for fine in (1, 100, None):
        answer = await ask(client, f"query($n:Int){fragments}", variables={"n": fine})
        assert "errors" not in answer.json()


async def test_get_is_for_queries(client: httpx.AsyncClient) -> None:
    params = {"query": "query($n:String!){hello(name:$n)}", "variables": '{"n":"x"}'}
    answer = await client.get("/graphql", params=params)
    assert answer.json() == {"data": {"hello": "Hello x"}}
    query = 'mutation{rename(name:"x")}'
    answer = await client.get("/graphql", params={"query": query})
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    answer = await client.get("/graphql?query={hello}&variables=[")
    assert answer.status_code == 400
    answer = await client.get("/graphql?query={hello}&operationName=%ed%a0%80")
    assert answer.status_code == 400


async def test_other_methods_are_405(client: httpx.AsyncClient) -> None:
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "QUERY"):
        answer = await client.request(method, "/graphql")
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")


async def test_a_trailing_slash_is_no_redirect(client: httpx.AsyncClient) -> None:
    answer = await client.post("/graphql/", json={"query": "{hello}"})
    assert answer.status_code == 404


async def test_a_browser_gets_the_page_only_where_it_is_on() -> None:
    browser = {
        "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    }
    for graphiql, status in ((True, 200), (False, 400)):
        transport = httpx.ASGITransport(create_app(graphiql=graphiql))
        async with httpx.AsyncClient(
            transport=transport, base_url="http://hefu", headers=browser
        ) as client:
            answer = await client.get("/graphql")
            assert answer.status_code == status
            assert ("doctype" in answer.text) is graphiql


# ---------------------------------------------------------------- who may see names


async def test_introspection_is_for_those_with_a_role(
    client: httpx.AsyncClient,
) -> None:
    for query in ("{__schema{types{name}}}", '{__type(name:"Query"){name}}'):
        refused = await ask(client, query)
        assert "data" not in refused.json()
        client.headers = httpx.Headers(ADMIN)
        assert "errors" not in (await ask(client, query)).json()
        client.headers = httpx.Headers()
        assert (await ask(client, query)).json() == refused.json()
    assert (await ask(client, "{__typename}")).json() == {
        "data": {"__typename": "Query"}
    }


async def test_names_are_suggested_to_those_with_a_role_only(
    client: httpx.AsyncClient,
) -> None:
    asked = ("{helo}", "query($i:LoginInpu!){hello}", "{hello(nam:1)}", "{person}")
    for query in asked:
        assert "Did you mean" not in (await ask(client, query)).text
        answer = await client.post("/graphql", json={"query": query}, headers=ADMIN)
        assert "Did you mean" in answer.text


# ---------------------------------------------------------------- what errors say


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"[", {}),
        (b"[]", {}),
        (b"1", {}),
        (b"{}", {}),
        (b'{"query":"{hello}","variables":1}', {}),
        (b'{"query":"{hello}","operationName":1}', {}),
        (b'{"query":"{hello}","operationName":"x"}', {}),
        (b'{"query":"query A{hello} query B{hello}"}', {}),
        (b"{}".ljust(MOST_BYTES + 1), {}),
        (b'{"query":"{hello}"}', {"content-type": "text/plain"}),
        (b'{"query":"{hello}"}', {"content-encoding": "gzip"}),
        (b'{"query":"{hello}"}', {"accept": "image/png"}),
        (b'{"query":"{"}', {}),
        (b'{"query":"{nothing}"}', {}),
        (b'{"query":"{__schema{types{name}}}"}', {}),
        (b'{"query":"query($a:String!){hello(name:$a)}"}', {}),
        (b'{"query":"query($a:String!){hello(name:$a)}","variables":{"a":1}}', {}),
        (b'{"query":"{' + b"hello " * 21 + b'}"}', {}),
        (b'{"query":"{' + b"a " * 1001 + b'}"}', {}),
        (b'{"query":"{hello}' + b"#\\n" * 201 + b'"}', {}),
        (b'{"query":"{hello}' + b" " * 16384 + b'"}', {}),
        (b'{"query":"{people(first:101){__typename}}"}', {}),
        (b'{"query":"{fails}"}', {}),
        (b'{"query":"{forbidden}"}', {}),
        (b'{"query":"{anonymous}"}', {}),
        (b'{"query":"{gone}"}', {}),
    ],
)
async def test_whatever_is_refused_is_told_in_the_language_asked_for(
    client: httpx.AsyncClient, body: bytes, headers: dict[str, str]
) -> None:
    english = await send(client, body, **headers)
    chinese = await send(client, body, **headers, accept_language="zh-CN,zh;q=0.9")
    assert english.status_code == chinese.status_code
    for message in messages(english):
        assert message.isascii()
    for message in messages(chinese):
        assert any("\u4e00" <= each <= "\u9fff" for each in message), message


async def test_values_are_not_repeated(client: httpx.AsyncClient) -> None:
    mutation = "mutation($i:LoginInput!){signInWithPassword(input:$i)}"
    for given in (
        {"account": "a", "password": ["hunter2"]},
        {"password": "hunter2"},
        {"account": "a", "password": "hunter2", "passwort": "hunter2"},
        "hunter2",
        ["hunter2"],
    ):
        answer = await ask(client, mutation, variables={"i": given})
        assert codes(answer) == {"BAD_REQUEST"}
        assert "hunter2" not in answer.text
        assert "$i" in answer.text


@pytest.mark.parametrize(
    "query",
    [
        'mutation{signInWithPassword(input:{account:"a",password:["hunter2"]})}',
        'mutation{signInWithPassword(input:{password:"hunter2"})}',
        "mutation{signInWithPassword(input:{account:1,password:hunter2})}",
        'mutation{signInWithPassword(input:"hunter2")}',
        'mutation{signInWithPassword "hunter2"}',
        'mutation{signInWithPassword(input:{account:"a",password:"hunter2"}',
        "mutation{signInWithPassword(input:{password:'hunter2'})}",
        'mutation($p:String="hunter2"){signInWithPassword(input:$p)}',
        'mutation($p:Int="hunter2"){signInWithPassword(input:{account:$p})}',
    ],
)
async def test_literals_are_not_repeated(client: httpx.AsyncClient, query: str) -> None:
    answer = await ask(client, query)
    assert codes(answer) == {"BAD_REQUEST"}
    assert "hunter2" not in answer.text


async def test_a_message_names_the_place_and_the_type(
    client: httpx.AsyncClient,
) -> None:
    mutation = "mutation($i:LoginInput!){signInWithPassword(input:$i)}"
    given = {"account": 1, "password": "x"}
    answer = await ask(client, mutation, variables={"i": given})
    message = "Variable $i.account: Expected a value of type 'String!'."
    assert [each["message"] for each in answer.json()["errors"]] == [message]


async def test_an_unexpected_error_is_masked(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await ask(client, "{hello fails}")
    request_id = answer.headers["x-request-id"]
    assert answer.status_code == 200
    assert answer.json() == {
        "data": {"hello": "Hello you", "fails": None},
        "errors": [
            {
                "message": "Internal error",
                "extensions": {"code": "INTERNAL", "requestId": request_id},
                "locations": [{"line": 1, "column": 8}],
                "path": ["fails"],
            }
        ],
    }
    assert len(caplog.records) == 1
    assert vars(caplog.records[0])["requestId"] == request_id
    assert "hunter2" not in str(vars(caplog.records[0]))


async def test_domain_errors_speak_for_themselves(client: httpx.AsyncClient) -> None:
    for field, status, code in (
        ("forbidden", 200, "FORBIDDEN"),
        ("anonymous", 200, "UNAUTHENTICATED"),
        ("revoked", 401, "UNAUTHENTICATED"),
        ("unavailable", 503, "UNAVAILABLE"),
        ("gone", 503, "UNAVAILABLE"),
    ):
        answer = await ask(client, f"{{{field}}}")
        assert (answer.status_code, codes(answer)) == (status, {code})
        assert answer.json()["data"] == {field: None}
        assert "db.internal" not in answer.text
    reason = (await ask(client, "{anonymous}")).json()["errors"][0]["extensions"]
    assert reason == {"code": "UNAUTHENTICATED", "reason": "MISSING"}


async def test_a_bad_credential_is_401_and_a_lost_database_503(
    client: httpx.AsyncClient,
) -> None:
    client.headers = httpx.Headers({"Authorization": "Bearer forged"})
    answer = await ask(client, "{hello}")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    extensions = answer.json()["errors"][0]["extensions"]
    assert extensions == {"code": "UNAUTHENTICATED", "reason": "INVALID"}
    client.headers = httpx.Headers({"Authorization": "Bearer down"})
    answer = await ask(client, "{hello}")
    assert (answer.status_code, codes(answer)) == (503, {"UNAVAILABLE"})


async def test_at_most_ten_errors(client: httpx.AsyncClient) -> None:
    names = range(20)
    unknown = " ".join(f"x{each}" for each in names)
    variables = ",".join(f"$v{each}:String!" for each in names)
    uses = " ".join(f"a{each}:hello(name:$v{each})" for each in names)
    failing = " ".join(f"f{each}:fails" for each in names)
    asked = (
        f"{{person{{{unknown}}}}}",
        f"query({variables}){{{uses}}}",
        f"{{{failing}}}",
    )
    for query in asked:
        assert len((await ask(client, query)).json()["errors"]) == 10


async def test_a_lone_surrogate_in_an_answer_is_no_crash(
    client: httpx.AsyncClient,
) -> None:
    answer = await ask(client, "{surrogate}")
    assert (answer.status_code, answer.content) == (
        200,
        b'{"data":{"surrogate":"\\ud800"}}',
    )


async def test_deep_input_objects_are_refused(client: httpx.AsyncClient) -> None:
    deep: dict[str, Any] = {}
    for _ in range(400):
        deep = {"inner": deep}
    query = "query($i:Nested!){nest(input:$i)}"
    answer = await ask(client, query, variables={"i": deep})
    assert codes(answer) == {"BAD_REQUEST"}


@pytest.mark.parametrize(
    "given", [5, "x", True, 1.5, ["x"], {"inner": 5}, {"inner": {"inner": "x"}}]
)
async def test_a_scalar_for_an_object_is_400_as_either(
    client: httpx.AsyncClient, given: object
) -> None:
    asked = {"query": "query($i:Nested!){nest(input:$i)}", "variables": {"i": given}}
    body = json.dumps(asked).encode()
    for media in (GRAPHQL, JSON):
        answer = await send(client, body, accept=media)
        assert answer.status_code == 400
        assert codes(answer) == {"BAD_REQUEST"}


async def test_several_operations_need_a_name(client: httpx.AsyncClient) -> None:
    query = "query A{hello} query B{person{name}}"
    answer = await ask(client, query, operationName="A")
    assert answer.json() == {"data": {"hello": "Hello you"}}
    for name in (None, "C", ""):
        answer = await ask(client, query, operationName=name)
        assert answer.status_code == 400


# ---------------------------------------------------------------- every answer


async def test_every_answer_is_dressed(client: httpx.AsyncClient) -> None:
    answers = [
        await ask(client, "{hello}"),
        await client.get("/nowhere"),
        await client.put("/graphql"),
        await client.get("/crash"),
        await client.get("/cut"),
    ]
    assert [each.status_code for each in answers] == [200, 404, 405, 500, 500]
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "://" not in policy
    assert len({each.headers["x-request-id"] for each in answers}) == 5
    assert "hunter2" not in answers[-2].text


async def test_a_callers_own_request_id_is_not_taken(
    client: httpx.AsyncClient,
) -> None:
    answer = await send(client, b'{"query":"{hello}"}', x_request_id="forged")
    assert answer.headers["x-request-id"] != "forged"


async def test_cors_is_for_the_allowed_origin_exactly(
    client: httpx.AsyncClient,
) -> None:
    body = b'{"query":"{hello}"}'
    answer = await send(client, body, origin=ORIGIN)
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert answer.headers["access-control-expose-headers"] == "X-Request-Id"
    assert "access-control-allow-credentials" not in answer.headers
    for stranger in ("https://evil.example", ORIGIN + ".evil", "null", ORIGIN.upper()):
        answer = await send(client, body, origin=stranger)
        assert "access-control-allow-origin" not in answer.headers
        assert answer.headers["vary"] == "Origin"


async def test_preflights(client: httpx.AsyncClient) -> None:
    asked = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    for origin, status in ((ORIGIN, 204), ("https://evil.example", 403)):
        answer = await client.options("/graphql", headers=asked | {"Origin": origin})
        assert answer.status_code == status
        allowed = answer.headers.get("access-control-allow-origin")
        assert allowed == (ORIGIN if status == 204 else None)
        assert answer.headers["cache-control"] == "no-store"
        assert "x-request-id" in answer.headers
