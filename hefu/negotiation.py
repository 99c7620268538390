"""Media types: what a request's body is, and what its sender would read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

GRAPHQL = "application/graphql-response+json"
JSON = "application/json"
HTML = "text/html"

# More ranges than any client sends.
MOST_RANGES = 32


class MediaType(NamedTuple):
    name: str
    parameters: dict[str, str]

    @property
    def is_utf8(self) -> bool:
        return self.parameters.get("charset", "utf-8").lower() in {"utf-8", "utf8"}

    @property
    def quality(self) -> float:
        try:
            return min(max(float(self.parameters.get("q", "1")), 0.0), 1.0)
        except ValueError:
            return 0.0


def parse(text: str) -> MediaType:
    name, *parameters = text.split(";")
    pairs = (parameter.partition("=") for parameter in parameters)
    return MediaType(
        name.strip().lower(),
        {key.strip().lower(): value.strip().strip('"') for key, _, value in pairs},
    )


@lru_cache(maxsize=64)
def is_json(content_type: str) -> bool:
    """
    Whether a body is JSON, said exactly.

    A form of another site can send `text/plain;x=application/json` without asking a
    browser for leave; what is matched as a part of a text lets it in.
    """
    media = parse(content_type)
    return media.name == JSON and media.is_utf8


@lru_cache(maxsize=64)
def answer_type(accept: str | None) -> str | None:
    """The media type to answer in; None if the client would read neither."""
    # GraphQL over HTTP: without Accept, or with */*, clients expect application/json.
    return best(accept, (GRAPHQL, JSON), default=JSON)


def wants_page(accept: str | None) -> bool:
    """Whether this is a browser's address bar: it names HTML, and no JSON above it."""
    ranges = tuple(_ranges(accept or ""))
    named = {media.name for media in ranges if media.quality > 0}
    return HTML in named and best(accept, (JSON, HTML), default=JSON) == HTML


def best(accept: str | None, offers: Sequence[str], *, default: str) -> str | None:
    if accept is None or not accept.strip():
        return default
    ranges = tuple(_ranges(accept))
    # Named ones win over wildcards, and a wildcard means the default, unless that is
    # the one that is refused.
    ranked = [(_quality(ranges, offer), offer) for offer in offers]
    quality, chosen = max(ranked, key=lambda pair: pair[0])
    if quality > 0:
        return chosen
    return next(
        (each for each in (default, *offers) if _any_quality(ranges, each) > 0), None
    )


def _quality(ranges: Sequence[MediaType], offer: str) -> float:
    return max(
        (each.quality for each in ranges if each.name == offer and each.is_utf8),
        default=0.0,
    )


def _any_quality(ranges: Sequence[MediaType], offer: str) -> float:
    wildcards = {"*/*", offer.partition("/")[0] + "/*"}
    refused = any(each.name == offer and each.quality == 0 for each in ranges)
    if refused:
        return 0.0
    return max((each.quality for each in ranges if each.name in wildcards), default=0.0)


def _ranges(accept: str) -> Iterator[MediaType]:
    for text in accept.split(",")[:MOST_RANGES]:
        yield parse(text)
