"""
What well-known audits of GraphQL servers ask, each as a check.

The ideas are those of graphql-cop, as a stranger and with introspection off: what it
would call a finding must not be one here.
"""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from tests.security.conftest import Row
from tests.security.requests import body
from tests.security.serving import Served

pytestmark = pytest.mark.slow

JSON = {"Content-Type": "application/json"}
QUERY = "query cop {__typename}"
MUTATION = "mutation cop {__typename}"
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def ask(client: httpx.Client, query: str) -> httpx.Response:
    return client.post("/graphql", content=body(query), headers=JSON)


def alias_overloading(client: httpx.Client) -> bool:
    aliases = " ".join(f"alias{n}:__typename" for n in range(101))
    return ask(client, f"query cop {{{aliases}}}").status_code == 400


def batches(client: httpx.Client) -> bool:
    content = b"[" + b",".join([body(QUERY)] * 10) + b"]"
    return client.post("/graphql", content=content, headers=JSON).status_code == 400


def directive_overloading(client: httpx.Client) -> bool:
    answer = ask(client, f"query cop {{__typename {'@aa' * 10}}}")
    # Ten complaints of ten directives would say that each was looked at.
    return len(answer.json()["errors"]) < 10


def circular_introspection(client: httpx.Client) -> bool:
    nested = "fields{type{" * 3 + "name" + "}}" * 3
    answer = ask(client, f"query cop {{__schema{{types{{{nested}}}}}}}")
    return "data" not in answer.json()


def introspection(client: httpx.Client) -> bool:
    answer = ask(client, "query cop {__schema{types{name fields{name}}}}")
    return "data" not in answer.json()


def field_duplication(client: httpx.Client) -> bool:
    return ask(client, f"query cop {{{'__typename ' * 500}}}").status_code == 400


def field_suggestions(client: httpx.Client) -> bool:
    for query in ("query cop {__schema{directive}}", "{usr{id}}", "{me{idd}}", "{me}"):
        if "Did you mean" in ask(client, query).text:
            return False
    return True


def mutations_by_get(client: httpx.Client) -> bool:
    answer = client.get("/graphql", params={"query": MUTATION})
    return answer.status_code == 405 and "data" not in answer.json()


def forms_of_other_sites(client: httpx.Client) -> bool:
    refused = [
        client.post("/graphql", data={"query": QUERY}),
        client.post("/graphql", files={"query": (None, QUERY)}),
        client.post("/graphql", content=body(QUERY)),
        client.post(
            "/graphql", content=body(QUERY), headers={"Content-Type": "text/plain"}
        ),
    ]
    return all(answer.status_code == 415 for answer in refused)


def tracing(client: httpx.Client) -> bool:
    headers = JSON | {"X-Apollo-Tracing": "1", "apollo-federation-include-trace": "1"}
    answer = client.post("/graphql", content=body(QUERY), headers=headers)
    return bool(answer.json() == {"data": {"__typename": "Query"}})


def an_ide(client: httpx.Client) -> bool:
    for path in ("/", "/graphql", "/graphiql", "/playground", "/console", "/altair"):
        answer = client.get(path, headers=BROWSER)
        if answer.is_success or "<html" in answer.text.lower():
            return False
    return True


def errors_with_a_trace(client: httpx.Client) -> bool:
    for query in ("qwerty cop {abc}", '{app(id:"\\u0000"){id}}', "{app(id:1e9){id}}"):
        answer = ask(client, query)
        told = answer.text.lower()
        if answer.status_code >= 500 or "exception" in told or "traceback" in told:
            return False
    return True


def test_no_known_audit_has_a_finding(
    server: Served, row: Callable[[str], Row]
) -> None:
    line = row("GraphQL: what well-known audits look for")
    with httpx.Client(base_url=server.url, timeout=60) as client:
        for check in (
            alias_overloading,
            batches,
            directive_overloading,
            circular_introspection,
            introspection,
            field_duplication,
            field_suggestions,
            mutations_by_get,
            forms_of_other_sites,
            tracing,
            an_ide,
            errors_with_a_trace,
        ):
            line.tried += 1
            if not check(client):
                line.through.append(check.__name__)
