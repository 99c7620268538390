"""Requests that nobody means well by."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator

KIB = 1024
ID = "app_01kb3v5x9gf2tvrzc1q0k7m4dh"
ME = "{me{id}}"


def body(query: object, **rest: object) -> bytes:
    return json.dumps({"query": query, **rest}).encode()


def deep_fragments(depth: int) -> str:
    """An 804-byte ladder of this kind freezes what walks fragments without memory."""
    rungs = "".join(
        f"fragment F{n} on User{{...F{n + 1} ...F{n + 1}}}" for n in range(depth)
    )
    return f"{{me{{...F0}}}}{rungs}fragment F{depth} on User{{id}}"


# What one may ask, and what is one too many.
BOUNDS: dict[str, tuple[str, str]] = {
    "document 16 KiB": (
        ME + " " * (16 * KIB - len(ME)),
        ME + " " * (16 * KIB - len(ME) + 1),
    ),
    "1,000 tokens": (
        "{me{" + "id " * 994 + "}}",
        "{me{" + "id " * 997 + "}}",
    ),
    "depth 10": (
        "{me{sessions{nodes{user{sessions{nodes{user{sessions{nodes{id}}}}}}}}}}",
        "{me{sessions{nodes{user{sessions{nodes{user{sessions{nodes{user{id}}}}}}}}}}}",
    ),
    "depth 10, in lists that take no page size": (
        "{me{" + "identities{user{" * 4 + "id" + "}}" * 4 + "}}",
        "{me{" + "identities{user{" * 4 + "identities{id}" + "}}" * 4 + "}}",
    ),
    "first and last 100": (
        "query($n:Int=100){me{sessions(first:$n){nodes{id}}}}",
        "query($n:Int=101){me{sessions(first:$n){nodes{id}}}}",
    ),
    "30 aliases": (
        "{me{" + " ".join(f"a{n}:id" for n in range(30)) + "}}",
        "{me{" + " ".join(f"a{n}:id" for n in range(31)) + "}}",
    ),
    "30 directives": (
        "{me{" + " ".join("id@skip(if:true)" for _ in range(30)) + "}}",
        "{me{" + " ".join("id@skip(if:true)" for _ in range(31)) + "}}",
    ),
    "20 root fields": (
        "{" + " ".join(f"a{n}:me{{id}}" for n in range(20)) + "}",
        "{" + " ".join(f"a{n}:me{{id}}" for n in range(21)) + "}",
    ),
}
ONCE = {
    "wecomMobileLogin": f'appId:"{ID}",identitySource:"x",code:"x"',
    "bindExistingAccount": (
        f'appId:"{ID}",ticket:"x",method:EMAIL_PASSWORD,account:"x",password:"x"'
    ),
    "bindNewAccount": f'appId:"{ID}",ticket:"x"',
    "linkWecomMobile": 'identitySource:"x",code:"x",state:"x",codeVerifier:"x"',
    "signInWithPassword": f'appId:"{ID}",account:"x",password:"x"',
    "refreshSession": 'refreshToken:"x"',
    "changeMyPassword": 'newPassword:"x"',
}


def twice() -> Iterator[str]:
    """Two of what may be asked once, plainly and by way of fragments."""
    for first, given in ONCE.items():
        for second, other in ONCE.items():
            pair = (f"a:{first}(input:{{{given}}})", f"b:{second}(input:{{{other}}})")
            yield f"mutation{{{pair[0]}{{__typename}} {pair[1]}{{__typename}}}}"
        call = f"{first}(input:{{{given}}}){{__typename}}"
        yield f"mutation{{a:{call} ...F}} fragment F on Mutation{{b:{call}}}"
        spread = f"fragment F on Mutation{{a:{call}}}"
        yield f"mutation{{...F ...on Mutation{{b:{call}}}}} {spread}"


# Each would freeze, fill or crash a server that bounds nothing.
DOCUMENTS: dict[str, str] = {
    "ladder of fragments, 804 bytes": deep_fragments(18),
    "ladder of fragments, 15 KiB": deep_fragments(300),
    "fragment that spreads itself": "{me{...F}}fragment F on User{...F}",
    "two fragments that spread each other": (
        "{me{...F}}fragment F on User{...G}fragment G on User{...F}"
    ),
    "cycle through fields": "{me{...F}}fragment F on User{sessions{nodes{user{...F}}}}",
    "10,000 directives": "{me{id" + "@skip(if:true)" * 1100 + "}}",
    "directives that repeat": "query" + "@skip(if:true)" * 1000 + ME,
    "1,000 nested inline fragments": "{" + "...{" * 1000 + "me{id}" + "}" * 1001,
    "4,000 nested selections": "{me" + "{a" * 4000 + "}" * 4001,
    "nested lists as an argument": "{nodes(ids:" + "[" * 3000 + "]" * 3000 + "){id}}",
    "nested objects as an argument": (
        "mutation{createUser(input:" + "{a:" * 2000 + "1" + "}" * 2000 + "){user{id}}}"
    ),
    "nested types of a variable": "query($a:"
    + "[" * 5000
    + "Int"
    + "]" * 5000
    + ")"
    + ME,
    "8,000 items in a list": "{nodes(ids:[" + "1 " * 7000 + "]){id}}",
    "a number of 5,000 digits": "{users(first:" + "9" * 5000 + "){nodes{id}}}",
    "a float of 5,000 digits": "{users(first:1e" + "9" * 5000 + "){nodes{id}}}",
    "5,000 comments": ME + "#\n" * 5000,
    "a comment of 16 KiB": ME + "#" * 16_400,
    "a string that never ends": '{nodes(ids:["' + "a" * 16_000,
    "a block string of quotes": '{nodes(ids:["""' + '\\"""' * 4000,
    "escapes": '{node(id:"' + "\\u{10FFFF}" * 1600,
    "lone surrogates": '{node(id:"\\uD800"){id}}',
    "a surrogate pair the wrong way round": '{node(id:"\\uDC00\\uD800"){id}}',
    "a byte order mark and NUL": "\ufeff{me\0{id}}",
    "nothing": "",
    "blanks": " ,\n" * 4000,
    "500 operations": " ".join(f"query Q{n}{{me{{id}}}}" for n in range(160)),
    "fields in conflict": (
        "{me{" + " ".join(f"id:{n}" for n in ("email", "phone") * 400) + "}}"
    ),
    "400 fields in conflict by argument": (
        "{me{"
        + " ".join(f"sessions(first:{n}){{nodes{{id}}}}" for n in range(80))
        + "}}"
    ),
    "200 fragments that overlap": (
        "{me{"
        + "...F0 " * 150
        + "}}"
        + "".join(f"fragment F{n} on User{{id email}}" for n in range(90))
    ),
    "a subscription": "subscription{me{id}}",
    "schema definitions": "type Query{me:Int}",
    "an extension": "extend type Query{me:Int}" + ME,
    "@defer": "{me{...@defer{id}}}",
    "@stream": "{me{identities@stream{id}}}",
    "unknown variables": "query($a:Int=" + "9" * 4000 + ")" + ME,
    "200 variables": "query(" + "".join(f"$v{n}:Int" for n in range(240)) + ")" + ME,
    "introspection": "{__schema{types{fields{type{fields{type{name}}}}}}}",
    "introspection of a type": '{__type(name:"User"){fields{name}}}',
    "introspection in a mutation": "mutation{__schema{types{name}}}",
    "pages in pages": (
        "{users(first:100){nodes{sessions(first:100){nodes{user{sessions(first:100)"
        "{nodes{id}}}}}}}}"
    ),
    "a page of 101": "{users(first:101){nodes{id}}}",
    "a page of -1": "{users(first:-1){nodes{id}}}",
    "both ends of a list": "{users(first:1 last:1){nodes{id}}}",
    "a page of 2^31": "{users(first:2147483648){nodes{id}}}",
}

_NEST = 10_000
BODIES: dict[str, bytes] = {
    "nothing": b"",
    "a number": b"1",
    "null": b"null",
    "true": b"true",
    "a string": b'"{me{id}}"',
    "a list": b"[]",
    "a batch": b"[" + body(ME) + b"]",
    "broken UTF-8": b"\xff\xfe\x00",
    "broken UTF-8 in a string": b'{"query":"{me{id}}","operationName":"\xc3\x28"}',
    "UTF-16": json.dumps({"query": ME}).encode("utf-16"),
    "UTF-32": json.dumps({"query": ME}).encode("utf-32"),
    "a lone surrogate as a name": b'{"query":"{me{id}}","operationName":"\\ud800"}',
    "a lone surrogate in the query": b'{"query":"{me{id}} #\\udfff"}',
    "a lone surrogate in a variable": (
        b'{"query":"{me{id}}","variables":{"a":"\\ud800"}}'
    ),
    "deep lists": b'{"query":"{me{id}}","variables":{"a":'
    + b"[" * _NEST
    + b"]" * _NEST
    + b"}}",
    "deep objects": b'{"query":"{me{id}}","variables":'
    + b'{"a":' * _NEST
    + b"1"
    + b"}" * _NEST
    + b"}",
    "deep and never closed": b"[" * 60_000,
    "5,000 digits": b'{"query":"{me{id}}","variables":{"a":' + b"9" * 5000 + b"}}",
    "an exponent": b'{"query":"{me{id}}","variables":{"a":1e999999}}',
    "NaN": b'{"query":"{me{id}}","variables":{"a":NaN}}',
    "Infinity": b'{"query":"{me{id}}","variables":{"a":-Infinity}}',
    "no query": b"{}",
    "query is null": body(None),
    "query is a list": body([ME]),
    "query is a number": body(1),
    "variables are a list": body(ME, variables=[]),
    "variables are text": body(ME, variables="{}"),
    "variables are a number": body(ME, variables=0),
    "variables are false": body(ME, variables=False),
    "operationName is a number": body(ME, operationName=1),
    "operationName is a list": body(ME, operationName=[]),
    "operationName is unknown": body(ME, operationName="x"),
    "extensions are a list": body(ME, extensions=[]),
    "NUL bytes": b"\0" * 1000,
    "a comment": b'/**/{"query":"{me{id}}"}',
    "a trailing comma": b'{"query":"{me{id}}",}',
    "single quotes": b"{'query':'{me{id}}'}",
    "two objects": body(ME) + body(ME),
    "XML": b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>',
    "gzip without its name": gzip.compress(body(ME)),
    "64 KiB and a byte": body(ME).ljust(64 * KIB + 1),
    "a megabyte": body(ME).ljust(KIB * KIB),
    "3 MB document": body("{me{" + "id " * 1_000_000 + "}}"),
    "300,000 items": body(
        "query($a:[ID!]!){nodes(ids:$a){id}}", variables={"a": ["x"] * 300_000}
    ),
    "2,000 unknown variables": body(
        ME.replace("{me", "query($a:Int!){me", 1),
        variables={f"v{n}": n for n in range(2000)},
    ),
    "an input of 3,000 unknown fields": body(
        "mutation($i:CreateUserInput!){createUser(input:$i){user{id}}}",
        variables={"i": {f"f{n}": n for n in range(3000)}},
    ),
    "a list of 10,000 wrong items": body(
        "query($a:[ID!]!){nodes(ids:$a){id}}", variables={"a": [None] * 10_000}
    ),
    "an enum that is none": body(
        "mutation($i:CreateUserInput!){createUser(input:$i){user{id}}}",
        variables={"i": {"role": "x" * 20_000}},
    ),
    "an object for a string": body(
        "query($a:ID!){node(id:$a){id}}", variables={"a": {"password": "hunter2"}}
    ),
    "a string for an object": body(
        "mutation($i:CreateUserInput!){createUser(input:$i){user{id}}}",
        variables={"i": "hunter2"},
    ),
}
