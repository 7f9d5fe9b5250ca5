"""The table of the operations that are served. Each group of operations is a module with its part of the table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, Final

from fastiam.server.protocols.aws.calls import Call, Result
from fastiam.sts.signed_calls import Permission

Handler = Callable[[Call], Result]


@dataclass(frozen=True, slots=True)
class Operation:
    """How one operation is served.

    Attributes
    ----------
    handler
        acts, and gives the members of the output shape, after `permissions` were allowed; in the transaction of a write.
    permissions
        all must be allowed.
    library_decides
        the library authorizes the call (STS), and there are no permissions.
    writes
        runs in a transaction.
    own_transactions
        the library puts what it writes into its own transactions, with slow work before them.
    prepare
        slow work, such as the hash of a password, after a first decision and outside of the transaction.
    may_fetch
        reads the keys of an identity provider, which may be silent.
    is_short
        reads a few records, however many there are, so that it may run on the event loop.
    """

    handler: Handler
    permissions: tuple[Permission, ...] = ()
    writes: bool = False
    prepare: Callable[[Call], Any] | None = None
    library_decides: bool = False
    own_transactions: bool = False
    may_fetch: bool = False
    is_short: bool = False

    def __post_init__(self) -> None:
        if self.is_short and (self.writes or self.prepare or self.own_transactions or self.may_fetch):
            raise ValueError(f"`{self.handler.__name__}` reads only, or is not short")
        if bool(self.permissions) is self.library_decides:
            raise ValueError(f"`{self.handler.__name__}` needs permissions, unless the library decides")


Table = Mapping[str, Operation]

PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "iam": (
        "iam_users",
        "iam_credentials",
        "iam_roles",
        "iam_linked_roles",
        "iam_policies",
        "iam_groups",
        "iam_instance_profiles",
        "iam_mfa",
        "iam_providers",
        "iam_account",
        "iam_simulation",
    ),
    "sts": ("sts",),
    "rolesanywhere": ("roles_anywhere",),
    "organizations": ("organizations", "organization_policies", "organization_details", "organization_handshakes"),
    "cognito-identity": ("identity_pools",),
    "cognito-idp": ("user_pools",),
}
"""The modules with the operations of each service."""


@cache
def operations(service: str) -> Table:
    """The operations of a service by name."""
    table: dict[str, Operation] = {}
    for part in _parts(service):
        assert not table.keys() & part.keys(), table.keys() & part.keys()
        table.update(part)
    return table


def _parts(service: str) -> Iterator[Table]:
    """The parts of a service's table. Each of these modules imports `Operation`."""
    for name in PARTS.get(service, ()):
        table: Table = import_module(f"{__package__}.{name}").OPERATIONS
        yield table


NOTHING: Final[Result] = {}
