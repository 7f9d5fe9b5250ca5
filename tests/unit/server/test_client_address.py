"""The end client behind trusted proxies (G36)."""

from __future__ import annotations

import pytest

from fastiam.server.client_address import find_client
from fastiam.server.config import Listener
from fastiam.server.http import Peer
from fastiam.server.serving import Proxies, _proxies

PROXY = Peer("tcp", "10.0.0.1")
CASES = {
    "one-hop": (PROXY, ["203.0.113.9"], "203.0.113.9"),
    "two-proxies": (PROXY, ["203.0.113.9, 10.0.0.2"], "203.0.113.9"),
    "client-states-a-hop": (PROXY, ["1.1.1.1, 203.0.113.9, 10.0.0.2"], "203.0.113.9"),
    "several-fields-in-order": (PROXY, ["1.1.1.1", "203.0.113.9", "10.0.0.2"], "203.0.113.9"),
    "no-field": (PROXY, [], "10.0.0.1"),
    "only-proxies": (PROXY, ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
    "not-an-address": (PROXY, ["203.0.113.9, unknown, 10.0.0.2"], None),
    "empty-entry": (PROXY, ["203.0.113.9,"], None),
    "with-a-port": (PROXY, ["203.0.113.9:4711"], "203.0.113.9"),
    "ipv6": (PROXY, ["2001:db8::1"], "2001:db8::1"),
    "ipv6-with-a-port": (PROXY, ["[2001:db8::1]:4711"], "2001:db8::1"),
    "mapped-ipv4": (PROXY, ["::ffff:203.0.113.9"], "203.0.113.9"),
    "mapped-ipv4-of-a-proxy": (PROXY, ["203.0.113.9, [::ffff:10.0.0.2]:80"], "203.0.113.9"),
    "untrusted-peer": (Peer("tcp", "203.0.113.1"), ["1.1.1.1"], "203.0.113.1"),
    "unix-peer": (Peer("unix", uid=1), ["203.0.113.9"], None),
}


def proxies(*names: str, field: str = "x-forwarded-for") -> Proxies:
    return _proxies("main", Listener(trusted_proxies=names, client_address=field))  # type: ignore[arg-type]


@pytest.mark.parametrize("peer, values, address", CASES.values(), ids=CASES)
def test_client_of_x_forwarded_for(peer: Peer, values: list[str], address: str | None) -> None:
    headers = tuple((b"x-forwarded-for", value.encode()) for value in values)
    assert find_client(peer, False, headers, proxies("10.0.0.0/8")) == (address, False)


FORWARDED = {
    "one": ("for=203.0.113.9", "203.0.113.9"),
    "names-in-any-case": ("For=203.0.113.9;Proto=https;By=10.0.0.1", "203.0.113.9"),
    "quoted": ('for="203.0.113.9:47011"', "203.0.113.9"),
    "ipv6": ('for="[2001:db8::1]:80"', "2001:db8::1"),
    "comma-in-quotes": ('for=203.0.113.9;host="a,for=1.1.1.1"', "203.0.113.9"),
    "proxies-after": ("for=1.1.1.1, for=203.0.113.9, for=10.0.0.2", "203.0.113.9"),
    "hidden": ("for=203.0.113.9, for=_hidden", None),
    "unknown": ("for=unknown", None),
    "broken": ('for="203.0.113.9', None),
    "without-for": ("proto=https", None),
    "quote-without-end-before": ('for=", for=203.0.113.9', "203.0.113.9"),
}


@pytest.mark.parametrize("value, address", FORWARDED.values(), ids=FORWARDED)
def test_client_of_forwarded(value: str, address: str | None) -> None:
    headers = ((b"forwarded", value.encode()), (b"x-forwarded-for", b"1.1.1.1"))
    assert find_client(PROXY, False, headers, proxies("10.0.0.0/8", field="forwarded"))[0] == address


def test_header_that_is_not_configured_is_ignored() -> None:
    headers = ((b"forwarded", b"for=1.1.1.1"), (b"x-forwarded-host", b"evil"), (b"x-real-ip", b"1.1.1.1"))
    assert find_client(PROXY, False, headers, proxies("10.0.0.0/8")) == ("10.0.0.1", False)


def test_unix_peer_is_trusted_if_listed() -> None:
    headers = ((b"x-forwarded-for", b"203.0.113.9"), (b"x-forwarded-proto", b"https"))
    assert find_client(Peer("unix", uid=1), False, headers, proxies("unix")) == ("203.0.113.9", True)
    assert find_client(Peer("unix", uid=1), False, headers, proxies("10.0.0.0/8")) == (None, False)


def test_scheme_is_believed_of_a_trusted_peer_once() -> None:
    https = (b"x-forwarded-proto", b"https")
    assert find_client(PROXY, False, (https,), proxies("10.0.0.0/8"))[1] is True
    assert find_client(PROXY, False, (https, https), proxies("10.0.0.0/8"))[1] is False
    assert find_client(Peer("tcp", "1.1.1.1"), False, (https,), proxies("10.0.0.0/8"))[1] is False
