"""Servers beside the HTTP listeners in the same process: gRPC (G80, G22).

The module `fastiam.server.grpc` has `companion(section, services) -> Companion | None`. It is imported only for a section with
`grpc`, and started before the policies are loaded: until `use` is called, calls are refused, and the health service says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from fastiam.server.config_sections import Settings
from fastiam.server.decider import Decider
from fastiam.server.identity import Identity
from fastiam.server.observer import Observer
from fastiam.server.protocol import ServerProtocol

MODULES: Final = {"extauthz": "fastiam.server.grpc"}
"""Protocols that may have a companion, and its module."""


@dataclass(frozen=True, slots=True)
class Services:
    """What a companion shares with the HTTP application."""

    decider: Callable[[], Decider]
    """The source of decisions, once there is one."""
    observer: Observer
    """`decided` and `answered` count and log; `decided` is False if the answer must not be sent."""
    clock: Callable[[], datetime]
    new_id: Callable[[], str]
    """Makes decision ids; on the event loop only."""
    on_error: Callable[[BaseException, str], None]
    """Gets an unexpected exception and the decision id."""
    warn: Callable[[str], None]
    """Gets what is logged at the start."""
    is_ready: Callable[[], bool]
    """Whether the process is ready (G180)."""
    settings: Settings
    anonymous: Callable[[bool], Identity]
    """The identity of a peer without proof, by whether it is on loopback or a unix socket; a reload may change it."""
    connections: Mapping[str, int]
    """How many connections each server may have at a time, by the path of its section, such as `extauthz.grpc`."""


class Companion(Protocol):
    """One more server."""

    def check_settings(self) -> None:
        """Check what `start` checks, except whether the address is free.

        Raises
        ------
        ConfigError
            the address cannot be used.
        """

    async def start(self) -> str:
        """Accept calls; the address.

        Raises
        ------
        ConfigError
            the address cannot be used.
        """

    def use(self, protocol: ServerProtocol) -> None:
        """Answer by this protocol from now on: when policies are loaded, and after a reload."""

    def stopping(self) -> None:
        """Report that no further calls are wanted: the health service answers NOT_SERVING."""

    async def stop(self, seconds: float) -> None:
        """Finish the calls in work, at most so long."""
