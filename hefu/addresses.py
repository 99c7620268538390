"""Whose request it is, where proxies stand in between."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# A chain longer than this is not one of proxies.
LONGEST_CHAIN = 32


def networks(names: Iterable[str]) -> tuple[Network, ...]:
    """Reads `HEFU_TRUSTED_PROXIES`; raises ValueError naming what is no network."""
    return tuple(ip_network(name.strip(), strict=False) for name in names)


def client(
    peer: str | None, forwarded: Sequence[str], trusted: Sequence[Network]
) -> str | None:
    """
    The nearest address that is not a trusted proxy's.

    Whoever connects may write any X-Forwarded-For: each entry counts only as long as
    everything to its right, and the peer itself, is a proxy of ours. One that is no
    address ends the walk, for whatever stands left of it was written by a stranger.
    """
    if not trusted:
        return _alone(peer or "")
    nearest = _parse(peer or "")
    if nearest is None:
        return peer
    chain = ",".join(forwarded).rsplit(",", LONGEST_CHAIN)[-LONGEST_CHAIN:]
    for entry in reversed(chain):
        if not _is_trusted(nearest, trusted):
            break
        before = _parse(entry)
        if before is None:
            break
        nearest = before
    return str(nearest)


def is_trusted(peer: str, trusted: Sequence[Network]) -> bool:
    """Whether whoever connects is a proxy of ours."""
    address = _parse(peer)
    return address is not None and _is_trusted(address, trusted)


@lru_cache(maxsize=1024)
def _alone(peer: str) -> str:
    """The peer's address in its usual spelling; as it is where it is none."""
    nearest = _parse(peer)
    return peer if nearest is None else str(nearest)


def _is_trusted(address: Address, trusted: Sequence[Network]) -> bool:
    return any(address in network for network in trusted)


@lru_cache(maxsize=1024)
def _parse(text: str) -> Address | None:
    """An address, also as `1.2.3.4:80` or `[::1]:80`, as some proxies write it."""
    host = text.strip()
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
