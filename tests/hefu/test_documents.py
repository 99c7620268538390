from __future__ import annotations

import time
from contextlib import suppress

import pytest
from graphql import GraphQLSchema, get_introspection_query, print_ast

from hefu.bounds import TooMuch
from hefu.documents import Document, Documents, Invalid, UnknownOperation
from tests.hefu.sample_app import schema

SCHEMA: GraphQLSchema = schema._schema  # pyright: ignore[reportPrivateUsage]
# Generous: it tells a freeze of many seconds from a slow machine, nothing finer.
HANG = 3.0


@pytest.fixture
def documents() -> Documents:
    return Documents(SCHEMA)


def prepare(documents: Documents, query: str) -> Document:
    return documents.prepare(query, introspection=False)


def nested(levels: int) -> str:
    selves = levels - 2
    return "{person{" + "self{" * selves + "name" + "}" * selves + "}}"


LOGIN = 'signInWithPassword(input:{account:"a",password:"b"})'
REFRESH = 'refreshSession(input:{account:"a",password:"b"})'


@pytest.mark.parametrize(
    ("within", "past", "named"),
    [
        (nested(10), nested(11), "10 levels of depth"),
        (
            "{person{" + " ".join(f"a{i}:name" for i in range(30)) + "}}",
            "{person{" + " ".join(f"a{i}:name" for i in range(31)) + "}}",
            "30 aliases",
        ),
        (
            "{person{" + "name @skip(if:false) " * 30 + "}}",
            "{person{" + "name @skip(if:false) " * 31 + "}}",
            "30 directives",
        ),
        ("{" + "hello " * 20 + "}", "{" + "hello " * 21 + "}", "20 root fields"),
        ("{hello}" + " " * (16 * 1024 - 7), "{hello}" + " " * (16 * 1024 - 6), "16384"),
        ("{hello #" + "界" * 5458 + "\n}", "{hello #" + "界" * 5459 + "\n}", "16384"),
        ("{person{" + "name " * 400 + "}}", "{person{" + "name " * 1000 + "}}", "1000"),
        ("#\n" * 200 + "{hello}", "#\n" * 201 + "{hello}", "200 comments"),
        (f"mutation{{{LOGIN}}}", f"mutation{{{LOGIN} b:{LOGIN}}}", "One login"),
        (f"mutation{{{LOGIN}}}", f"mutation{{{LOGIN} {REFRESH}}}", "One login"),
        (
            f"mutation{{...F}} fragment F on Mutation{{{LOGIN}}}",
            f"mutation{{...F b:{LOGIN}}} fragment F on Mutation{{{LOGIN}}}",
            "One login",
        ),
        (
            f"mutation{{...{{...F}}}} fragment F on Mutation{{{REFRESH}}}",
            f"mutation{{...{{a:{REFRESH}}} ...{{b:{REFRESH}}}}}",
            "One login",
        ),
    ],
)
def test_each_bound_holds_on_both_sides(
    documents: Documents, within: str, past: str, named: str
) -> None:
    prepare(documents, within)
    with pytest.raises(TooMuch, match=named):
        prepare(documents, past)


def test_tokens_are_counted_to_the_last(documents: Documents) -> None:
    names = " ".join(f"$v{i}:Int" for i in range(248))
    with pytest.raises(Invalid):  # 1,000 tokens: only the rules object to it.
        prepare(documents, f"query({names}){{hello a b}}")
    with pytest.raises(TooMuch, match="1000 tokens"):
        prepare(documents, f"query({names}){{hello a b c}}")


def test_the_same_field_may_be_selected_a_thousand_times(
    documents: Documents,
) -> None:
    query = "{person{" + "name " * 994 + "}}"  # With braces and root, 1,000 tokens.
    tree = prepare(documents, query + " ").tree
    assert print_ast(tree) == "{\n  person {\n    name\n  }\n}"
    with pytest.raises(Invalid, match="1 errors"):
        prepare(documents, '{hello(name:"a") hello(name:"b")}')


def test_a_fragments_extent_counts_at_every_spread(documents: Documents) -> None:
    ten = " ".join(f"a{i}:name" for i in range(10))
    fragment = f"fragment F on Person{{{ten}}}"
    spread = "self{...F}"
    prepare(documents, "{person{...F " + spread * 2 + "}}" + fragment)
    with pytest.raises(TooMuch, match="30 aliases"):
        prepare(documents, "{person{...F " + spread * 3 + "}}" + fragment)
    tail = "fragment F on Person{self{self{self{name}}}}"
    prepare(documents, "{person{self{self{self{self{self{...F}}}}}}}" + tail)
    with pytest.raises(TooMuch, match="depth"):
        prepare(documents, "{person{self{self{self{self{self{self{...F}}}}}}}}" + tail)


def test_each_operation_is_held_to_the_bounds(documents: Documents) -> None:
    with pytest.raises(TooMuch, match="depth"):
        prepare(documents, "query A{hello} query B" + nested(11))


def ladder(rungs: int, last: str) -> str:
    steps = "".join(
        f"fragment F{i} on Person{{...F{i + 1} ...F{i + 1}}}" for i in range(rungs)
    )
    return f"{{person{{...F0}}}}{steps}fragment F{rungs} on Person{{{last}}}"


@pytest.mark.parametrize(
    "query",
    [
        ladder(22, "name"),
        ladder(22, "a:name"),
        ladder(80, "self{name}"),
        ladder(80, "name @skip(if:true)"),
        ladder(80, ""),
        "{person{" + "self{" * 5000 + "name" + "}" * 5000 + "}}",
        "{hello(name:" + "[" * 5000 + "]" * 5000 + ")}",
        "{nodes(ids:[" + "1," * 300_000 + "])}",
        "{person{name " + "@skip(if:false)" * 10_000 + "}}",
        "{person{" + "name " * 600_000 + "}}",
        "#" * 3_000_000,
        "#\n" * 8_000,
        "{people(first:" + "9" * 5000 + "){__typename}}",
        "{" + "...{" * 300 + "hello" + "}" * 300 + "}",
        "{person{...A}} fragment A on Person{...B ...B}fragment B on Person{...A ...A}",
        "{...A} fragment A on Query{...A}",
        "query(" + "$a:Int " * 240 + "){hello}",
        "{person{" + "self{name} " * 240 + "}}",
        "{person{" + "...{self{name}} " * 140 + "}}",
    ],
    ids=range(19),
)
def test_nothing_freezes_it(documents: Documents, query: str) -> None:
    began = time.perf_counter()
    with suppress(TooMuch, Invalid):
        prepare(documents, query)
    assert time.perf_counter() - began < HANG


# ---------------------------------------------------------------- nested lists


def cost_of(documents: Documents, query: str, **variables: object) -> None:
    document = prepare(documents, query)
    document.hold_cost(document.operation(None), variables)


def pages(first: str, second: str) -> str:
    inner = f"friends({second}){{nodes{{name}}}}"
    return f"{{people({first}){{nodes{{{inner}}}}}}}"


def test_pages_within_pages_multiply(documents: Documents) -> None:
    cost_of(documents, pages("first:100", "first:99"))  # 100 + 100 * 99
    with pytest.raises(TooMuch, match="10000"):
        cost_of(documents, pages("first:100", "first:100"))
    with pytest.raises(TooMuch, match="10000"):
        cost_of(documents, pages("last:100", "last:100"))
    with pytest.raises(TooMuch, match="10000"):
        cost_of(documents, pages("first:1000000000", "first:100"))
    cost_of(documents, pages("first:100", "after:null").replace("(after:null)", ""))


def test_the_variables_of_the_request_are_what_counts(documents: Documents) -> None:
    query = "query($a:Int $b:Int=20)" + pages("first:$a", "last:$b")
    cost_of(documents, query, a=100, b=99)
    cost_of(documents, query, a=100)
    cost_of(documents, query, a=-5, b=100)
    with pytest.raises(TooMuch, match="10000"):
        cost_of(documents, query, a=100, b=100)


def test_the_length_of_a_list_of_ids_counts(documents: Documents) -> None:
    query = "query($i:[ID!]!){nodes(ids:$i){friends(first:100){nodes{name}}}}"
    cost_of(documents, query, i=["x"] * 99)
    with pytest.raises(TooMuch, match="10000"):
        cost_of(documents, query, i=["x"] * 100)


def test_fragments_cost_at_every_spread(documents: Documents) -> None:
    fragment = "fragment A on Person{friends(first:49){nodes{name}}}"
    query = "{people(first:100){nodes{...A SELF}}}" + fragment
    cost_of(documents, query.replace("SELF", "self{...A}"))
    with pytest.raises(TooMuch, match="10000"):
        cost_of(documents, query.replace("SELF", "self{...A self{...A}}"))


# ---------------------------------------------------------------- the cache


def test_a_valid_document_is_remembered(documents: Documents) -> None:
    assert prepare(documents, "{hello}") is prepare(documents, "{hello}")


def test_what_is_not_valid_leaves_nothing_behind(documents: Documents) -> None:
    for query in ("{", "{nothing}", nested(11), "{__schema{types{name}}}"):
        with pytest.raises((Invalid, TooMuch)):
            prepare(documents, query)
    assert len(documents) == 0


def test_the_oldest_is_forgotten_first() -> None:
    documents = Documents(SCHEMA, cache_size=2)
    first = prepare(documents, "{hello}")
    prepare(documents, "{a:hello}")
    assert prepare(documents, "{hello}") is first
    prepare(documents, "{b:hello}")
    assert len(documents) == 2
    assert prepare(documents, "{hello}") is first


def test_the_cache_is_bounded_by_bytes_too() -> None:
    documents = Documents(SCHEMA, cache_bytes=200_000)
    for number in range(20):
        prepare(documents, f"{{a{number}:hello}}".ljust(300))
    assert len(documents) == 3


def test_what_was_valid_for_a_role_is_not_valid_for_all(documents: Documents) -> None:
    query = get_introspection_query(input_value_deprecation=True)
    documents.prepare(query, introspection=True)
    with pytest.raises(Invalid) as refusal:
        prepare(documents, query)
    assert "introspection has been disabled" in refusal.value.errors[0].message


def test_an_unknown_operation_is_refused(documents: Documents) -> None:
    document = prepare(documents, "query A{hello} query B{hello}")
    assert document.operation("A") is not document.operation("B")
    for name in (None, "C"):
        with pytest.raises(UnknownOperation):
            document.operation(name)
