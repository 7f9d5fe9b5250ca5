"""The section `[aws]` of the configuration."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import msgspec

from fastiam.errors import SourceError
from fastiam.server import protocol
from fastiam.server.config import ConfigError

if TYPE_CHECKING:
    from fastiam.cognito.user_pools import CodeMessage


class Oidc(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[aws.oidc]`.

    `fetch` : the issuers whose keys are read from the network, as exact `https` URLs. Providers come from calls of tenants: any
    other issuer needs pinned keys.
    `private_hosts` : names of hosts of issuers, and of their `jwks_uri`, whose addresses may be private.
    """

    fetch: tuple[str, ...] = ()
    private_hosts: tuple[str, ...] = ()


class Quotas(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[aws.quotas]`: the quotas of SCPs. AWS's own pages have two values.

    `scp_size` : characters of one. `scps_per_element` : attached to a root, unit or account.
    """

    scp_size: Annotated[int, msgspec.Meta(ge=1)] = 10_240
    scps_per_element: Annotated[int, msgspec.Meta(ge=1)] = 10


class Codes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[aws.codes]`: what delivers the codes and invitations of user pools. Without it, calls that send one are refused.

    `file` : each message is appended to a file as a line of JSON. `log` : it is written to the log of the server, the code in
    clear. `command` : a program and its arguments, which gets it as JSON on standard input.
    """

    file: str = ""
    log: bool = False
    command: tuple[str, ...] = ()

    def sender(self) -> Callable[[CodeMessage], None] | None:
        """The sender, or None.

        Raises
        ------
        ConfigError
            two of them, or one that cannot be used.
        """
        chosen = [name for name in self.__struct_fields__ if getattr(self, name)]
        if len(chosen) > 1:
            raise ConfigError(f"aws.codes: `{chosen[0]}` and `{chosen[1]}` are both set\nhelp: choose one of them")
        if not chosen:
            return None
        from fastiam.cognito.user_pools import CommandSender, FileSender, LogSender  # PERF: only pools send codes

        try:
            return LogSender() if self.log else FileSender(self.file) if self.file else CommandSender(self.command)
        except SourceError as error:
            raise ConfigError(f"aws.codes.{chosen[0]}: `{error.source}` {error.message}") from None


class Section(protocol.Section, frozen=True, kw_only=True):
    """`[aws]`.

    Attributes
    ----------
    path
        where the protocols are served; `/` takes every path that no other protocol of the listener has.
    hosts
        up to 4 values that may replace `Host` in signatures, where a proxy rewrites it.
    allow_unsigned_payload
        whether `UNSIGNED-PAYLOAD` is accepted over TLS.
    unsigned_per_second, unsigned_burst
        how many calls without a signature one client address may make: sign-in, sign-up, tokens from outside, certificates. More
        are refused.
    guests_per_pool, unused_guest_hours, used_guest_days
        how many guests an identity pool keeps, which are made without a signature: those without a session for so many hours, and
        others for so many days since their last one.
    unconfirmed_per_pool, unconfirmed_days
        how many users that have signed up and never confirmed a user pool has. Where it has as many, those that are older make
        room.
    unsigned_body
        bytes of a request without a signature. A larger one is decoded only after its signature was verified.
    cors_origins
        the origins of web pages that may call Cognito, such as `https://app.example`, each in full.
    public_url
        the address of `path` for clients, such as `https://login.example/aws`. New user pools have their issuer below it, and
        OpenID discovery names it. Without it the issuer is that of AWS.
    codes
        what delivers the codes of user pools.
    quotas
        of SCPs.
    """

    path: str = "/aws"
    hosts: tuple[str, ...] = ()
    allow_unsigned_payload: bool = False
    unsigned_per_second: Annotated[float, msgspec.Meta(gt=0)] = 10.0
    unsigned_burst: Annotated[int, msgspec.Meta(ge=1)] = 100
    guests_per_pool: Annotated[int, msgspec.Meta(ge=0)] = 100_000
    unused_guest_hours: Annotated[float, msgspec.Meta(gt=0, le=87_600)] = 1.0
    used_guest_days: Annotated[float, msgspec.Meta(gt=0, le=3_650)] = 90.0
    unconfirmed_per_pool: Annotated[int, msgspec.Meta(ge=1)] = 100_000
    unconfirmed_days: Annotated[float, msgspec.Meta(gt=0, le=3_650)] = 7.0
    unsigned_body: Annotated[int, msgspec.Meta(ge=1)] = 256 * 1024
    cors_origins: tuple[str, ...] = ()
    public_url: str = ""
    oidc: Oidc = Oidc()
    codes: Codes = Codes()
    quotas: Quotas = Quotas()
