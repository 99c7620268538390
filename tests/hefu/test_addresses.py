from __future__ import annotations

import pytest

from hefu import addresses

TRUSTED = addresses.networks(["10.0.0.0/8", "::1", "192.0.2.7"])


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        # Only a proxy's word counts, and only the entry that a proxy wrote.
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),
        ("10.1.2.3", ["198.51.100.1"], "198.51.100.1"),
        ("10.1.2.3", ["1.1.1.1, 198.51.100.1"], "198.51.100.1"),
        ("10.1.2.3", ["1.1.1.1, 198.51.100.1, 192.0.2.7"], "198.51.100.1"),
        ("10.1.2.3", ["1.1.1.1", "198.51.100.1", "192.0.2.7"], "198.51.100.1"),
        ("10.1.2.3", ["10.0.0.1, 10.0.0.2"], "10.0.0.1"),
        ("10.1.2.3", [], "10.1.2.3"),
        ("::1", ["2001:db8::5"], "2001:db8::5"),
        ("::1", ["[2001:db8::5]:443"], "2001:db8::5"),
        ("::1", ["198.51.100.1:4711"], "198.51.100.1"),
        ("::ffff:10.1.2.3", ["198.51.100.1"], "198.51.100.1"),
        ("10.1.2.3", ["198.51.100.1, nonsense"], "10.1.2.3"),
        ("10.1.2.3", ["nonsense, 198.51.100.1"], "198.51.100.1"),
        ("10.1.2.3", [""], "10.1.2.3"),
        ("10.1.2.3", [" , ,"], "10.1.2.3"),
        ("10.1.2.3", ["\x00, 999.1.1.1"], "10.1.2.3"),
        ("10.1.2.3", [",".join(["10.0.0.1"] * 50_000)], "10.0.0.1"),
        (None, ["198.51.100.1"], None),
    ],
)
def test_the_client_is_whoever_no_proxy_of_ours_is(
    peer: str | None, forwarded: list[str], client: str | None
) -> None:
    assert addresses.client(peer, forwarded, TRUSTED) == client


def test_without_trusted_proxies_nothing_is_believed() -> None:
    assert addresses.client("127.0.0.1", ["1.1.1.1"], ()) == "127.0.0.1"


def test_a_network_that_is_none_is_an_error() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        addresses.networks(["10.0.0.0/8", "nonsense"])
