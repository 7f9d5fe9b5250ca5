"""The end client behind trusted proxies (G36)."""

from __future__ import annotations

import pytest

from fastiam.server.client_address import find_client
from fastiam.server.config_sections import Listener
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


HTTPS, HTTP = (b"x-forwarded-proto", b"https"), (b"x-forwarded-proto", b"http")
HOP = (b"x-forwarded-for", b"203.0.113.9")
SCHEMES = {
    "stated": (PROXY, False, [HTTPS], True),
    "stated-http-over-a-tls-link": (PROXY, True, [HOP, HTTP], False),
    "twice": (PROXY, True, [HOP, HTTPS, HTTPS], False),
    "of-client-and-proxy": (PROXY, True, [HOP, HTTPS, HTTP], False),
    "list": (PROXY, True, [HOP, (b"x-forwarded-proto", b"https, http")], False),
    "empty": (PROXY, True, [HOP, (b"x-forwarded-proto", b"")], False),
    "empty-without-a-client": (PROXY, True, [(b"x-forwarded-proto", b"")], False),
    "not-stated-of-a-client": (PROXY, True, [HOP], False),
    "of-the-proxy-itself": (PROXY, True, [], True),
    "untrusted-peer": (Peer("tcp", "1.1.1.1"), False, [HTTPS], False),
    "untrusted-peer-with-tls": (Peer("tcp", "1.1.1.1"), True, [HTTP], True),
}


@pytest.mark.parametrize("peer, link, headers, is_tls", SCHEMES.values(), ids=SCHEMES)
def test_scheme_beside_x_forwarded_for(peer: Peer, link: bool, headers: list[tuple[bytes, bytes]], is_tls: bool) -> None:
    assert find_client(peer, link, tuple(headers), proxies("10.0.0.0/8"))[1] is is_tls


PROTOS = {
    "stated": ("for=203.0.113.9;proto=https", True),
    "quoted-in-any-case": ('proto="HTTPS";for=203.0.113.9', True),
    "http": ("for=203.0.113.9;proto=http", False),
    "not-stated": ("for=203.0.113.9", False),
    "of-the-client-and-not-of-a-proxy": ("for=203.0.113.9;proto=http, for=10.0.0.2;proto=https", False),
    "client-states-an-element": ("for=1.1.1.1;proto=https, for=203.0.113.9;proto=http", False),
    "client-opens-a-quote": ('for="1.1.1.1;proto=https, for=203.0.113.9;proto=http', False),
    "twice-in-an-element": ("for=203.0.113.9;proto=https;proto=https", False),
    "hidden-client": ("for=1.1.1.1;proto=https, for=_hidden;proto=http", False),
    "hidden-client-with-tls": ("for=_hidden;proto=https", True),
    "only-proxies": ("for=10.0.0.3;proto=https, for=10.0.0.2;proto=http", True),
    "other-scheme": ("for=203.0.113.9;proto=httpss", False),
}


@pytest.mark.parametrize("field", [HTTPS, HTTP], ids=["client-says-https", "client-says-http"])
@pytest.mark.parametrize("value, is_tls", PROTOS.values(), ids=PROTOS)
def test_scheme_of_forwarded_is_that_of_its_element(value: str, is_tls: bool, field: tuple[bytes, bytes]) -> None:
    """The proxy that writes `Forwarded` passes `X-Forwarded-Proto` of its client on."""
    headers, trusted = ((b"forwarded", value.encode()), field), proxies("10.0.0.0/8", field="forwarded")
    for link in (False, True):
        assert find_client(PROXY, link, headers, trusted)[1] is is_tls


def test_x_forwarded_proto_is_not_read_beside_forwarded() -> None:
    for link in (False, True):
        assert find_client(PROXY, link, (HTTPS,), proxies("10.0.0.0/8", field="forwarded")) == ("10.0.0.1", link)
