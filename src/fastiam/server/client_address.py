"""The end client behind trusted proxies, by `X-Forwarded-For` or `Forwarded` (G36, RFC 7239)."""

from __future__ import annotations

import ipaddress
import re

from fastiam.server.http import Peer
from fastiam.server.serving import Proxies

Headers = tuple[tuple[bytes, bytes], ...]

_PAIR = re.compile(r'\s*([\w!#$%&\'*+.^`|~-]+)=(?:([\w!#$%&\'*+.^`|~-]+)|"((?:[^"\\]|\\.)*)")\s*(?:;|$)')
_ELEMENT = re.compile(r'(?:[^",]|"(?:[^"\\]|\\.)*+")++')
_BALANCED = re.compile(r'(?:[^"]|"(?:[^"\\]|\\.)*+")*+')


def find_client(peer: Peer, is_tls: bool, headers: Headers, proxies: Proxies) -> tuple[str | None, bool]:
    """The address of the end client, and whether it used TLS.

    The walk goes from the last entry to the first and ends at the first one that is not a trusted proxy. An entry that is not an
    address ends it without an address. The entry where it ends states the scheme too, in `Forwarded`; `X-Forwarded-For` has
    `X-Forwarded-Proto` beside it. A client behind a proxy that states no scheme used no TLS, as far as is known.
    """
    if not proxies.trusts(peer.address):
        return peer.address, is_tls
    text = b",".join([value for name, value in headers if name == proxies.field]).decode("latin-1")
    is_forwarded = proxies.field == b"forwarded"
    hops = _forwarded(text) if is_forwarded else [(part.strip(), "") for part in text.split(",")] if text else []
    address, proto = peer.address, ""
    for hop, stated in reversed(hops):
        address, proto = read_hop(hop), stated
        if address is None or not proxies.trusts(address):
            break
    protos = [] if is_forwarded else [value for name, value in headers if name == b"x-forwarded-proto"]
    if protos:
        proto = b",".join(protos).decode("latin-1")  # of several it is not known which one is that of the client
    elif not hops:
        return address, is_tls  # of the proxy itself
    return address, proto.strip().lower() == "https"


def _forwarded(text: str) -> list[tuple[str, str]]:
    """The parameters `for` and `proto` of each element of `Forwarded`; empty where there is none, or several."""
    found = []
    # A quote that does not end separates elements, as do all after it. Looking for the end of each takes quadratic time.
    end = _BALANCED.match(text).end()  # type: ignore[union-attr]  # it matches every text
    for element in (*_ELEMENT.findall(text[:end]), *filter(None, re.split('[",]', text[end:]))):
        values: dict[str, str] = {}
        at = 0
        while at < len(element):
            match = _PAIR.match(element, at)
            if match is None:
                values = {}
                break
            name, value = match[1].lower(), match[2] if match[2] is not None else re.sub(r"\\(.)", r"\1", match[3])
            values[name] = "" if name in values else value
            at = match.end()
        found.append((values.get("for", ""), values.get("proto", "")))
    return found


def read_hop(hop: str) -> str | None:
    """The IP address in an entry, with or without a port."""
    if hop.startswith("["):
        hop = hop[1:].partition("]")[0]
    elif hop.count(":") == 1:
        hop = hop.partition(":")[0]
    try:
        address = ipaddress.ip_address(hop)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped  # a policy names the network as IPv4, and so do `trusted_proxies`
    return str(address)
