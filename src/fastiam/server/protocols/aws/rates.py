"""How many unsigned calls one client may make: they guess passwords and codes, and cost a hash or a signature each."""

from __future__ import annotations

import ipaddress
import threading
from datetime import datetime
from typing import Final

_MOST: Final = 10_000  # clients with a count; the one that called longest ago is dropped
_NETWORK: Final = 64  # bits of an IPv6 address that one client has


class ClientCounts:
    """The counts of all clients. A reload and other listeners go on with them."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.clients: dict[str, tuple[float, datetime]] = {}
        """By client: calls that are left, and when that was so."""


class ClientRates:
    """Counts calls by address: `burst` at once, then `per_second`. From any thread."""

    def __init__(self, per_second: float, burst: int, counts: ClientCounts | None = None) -> None:
        self._per_second, self._burst = per_second, burst
        self._counts = counts or ClientCounts()

    def admits(self, address: str | None, now: datetime) -> bool:
        """Count a call; False if there are too many. A peer of a unix socket without an address is not limited."""
        if address is None:
            return True
        client, clients = _client(address), self._counts.clients
        with self._counts.lock:
            left, at = clients.pop(client, (float(self._burst), now))
            left = min(self._burst, left + max(0.0, (now - at).total_seconds()) * self._per_second)
            is_admitted = left >= 1
            while len(clients) >= _MOST:
                del clients[next(iter(clients))]
            clients[client] = left - is_admitted, now
        return is_admitted


def _client(address: str) -> str:
    """What one client has: an IPv4 address, or a network of IPv6."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return address
    return str(ipaddress.ip_network((parsed, _NETWORK), strict=False))
