"""What a listener serves: routes by raw path, the check of `Host`, trusted proxies (G12, G32, G36)."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fastiam.server.auth import Authenticator
from fastiam.server.config import ConfigError
from fastiam.server.config_sections import Listener
from fastiam.server.listeners import Address
from fastiam.server.protocol import Route, ServerProtocol, StreamRoute

_LOCAL_HOSTS = frozenset({b"localhost", b"127.0.0.1", b"[::1]"})


@dataclass(frozen=True, slots=True)
class Served:
    """One route, and what the application needs beside it."""

    route: Route | StreamRoute
    protocol: str
    path: str
    allow: bytes
    """Value of the field `Allow`."""
    checks_host: bool = True
    authenticates: bool = True


@dataclass(frozen=True, slots=True)
class Proxies:
    """Peers whose header on the end client is believed."""

    networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()
    has_unix: bool = False
    field: bytes = b"x-forwarded-for"

    def __bool__(self) -> bool:
        return bool(self.networks) or self.has_unix

    def trusts(self, address: str | None) -> bool:
        """Whether an address is a trusted proxy; None is a unix peer."""
        if address is None:
            return self.has_unix
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self.networks)


@dataclass(frozen=True, slots=True)
class Serving:
    """Everything that the requests of one listener are answered by; a reload replaces it as a whole."""

    exact: Mapping[bytes, Served]
    prefixes: Sequence[tuple[bytes, Served]]
    """Longest first."""
    authenticator: Authenticator
    hosts: frozenset[bytes] | None
    """Accepted values of `Host` without the port; None: any."""
    proxies: Proxies = field(default_factory=Proxies)
    bad_target: int = 400
    """Status for a target that is not a path (G31)."""

    def find(self, path: bytes) -> Served | None:
        """The route of a raw path."""
        found = self.exact.get(path)
        if found is None:
            for prefix, served in self.prefixes:
                if path.startswith(prefix):
                    return served
        return found

    def accepts_host(self, value: bytes) -> bool:
        """Whether a value of `Host` names this server."""
        if self.hosts is None:
            return True
        if value.startswith(b"["):
            name, bracket, port = value.partition(b"]")
            name += bracket
            port = port.removeprefix(b":") if port.startswith(b":") or not port else b"x"
        else:
            name, _, port = value.partition(b":")
        return name.lower() in self.hosts and (not port or port.isdigit())


def serving(
    name: str, listener: Listener, address: Address, protocols: Sequence[ServerProtocol], authenticator: Authenticator
) -> Serving:
    """Put the routes of protocols together.

    Raises
    ------
    ConfigError
        two protocols have the same path; a host or network is none.
    """
    exact: dict[bytes, Served] = {}
    prefixes: dict[bytes, Served] = {}
    for protocol in protocols:
        for route in protocol.routes():
            path = route.path.encode("ascii")
            is_prefix = isinstance(route, Route) and route.is_prefix
            if not path.startswith(b"/") or (is_prefix and not path.endswith(b"/")):
                raise ValueError(f"`{route.path}` is not the path of a route")
            table = prefixes if is_prefix else exact
            if path in table:
                both = f"`{table[path].protocol}` and `{protocol.name}`"
                raise ConfigError(f"listeners.{name}: {both} have the path {route.path}\nhelp: give one of them its own listener")
            allow = ", ".join(sorted(route.methods or ())).encode()
            table[path] = Served(
                route,
                protocol.name,
                route.path,
                allow,
                route.checks_host if isinstance(route, Route) else True,
                route.authenticates if isinstance(route, Route) else True,
            )
    hosts = frozenset(host.lower().encode() for host in listener.hosts)
    checks = bool(hosts) or address.is_loopback
    return Serving(
        exact,
        sorted(prefixes.items(), key=lambda item: -len(item[0])),
        authenticator,
        (hosts | _LOCAL_HOSTS if address.is_loopback else hosts) if checks and not address.is_unix else None,
        _proxies(name, listener),
        403 if {protocol.name for protocol in protocols} == {"extauthz"} else 400,
    )


def _proxies(name: str, listener: Listener) -> Proxies:
    networks = []
    for text in listener.trusted_proxies:
        if text == "unix":
            continue
        try:
            networks.append(ipaddress.ip_network(text))
        except ValueError as error:
            raise ConfigError(f"listeners.{name}: trusted_proxies: {error}") from None
    return Proxies(tuple(networks), "unix" in listener.trusted_proxies, listener.client_address.encode())
