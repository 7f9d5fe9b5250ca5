"""What a search of a directory does not check: principals and resources of which a policy is missing or cannot be read.

A policy without a record denies everything, and a statement that cannot be read allows nothing (V4, F7): a search finds nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from fastiam.model.policy import Policy
from fastiam.model.principal_layers import principal_layers
from fastiam.resolve.snapshot import Snapshot


def principals_with_unreadable_policies(snapshot: Snapshot, principals: Collection[str] = ()) -> list[str]:
    """Return one line if policies of users and roles, or of some of them, are missing or cannot be read.

    Parameters
    ----------
    principals
        the ARNs of those to check; empty: all.
    """
    found: dict[str, str] = {}
    for name, _ in snapshot.names():
        if not principals or name in principals:
            layers = principal_layers(snapshot.principal(name)).values()
            unreadable = _first_unreadable(policy for levels in layers for level in levels for policy in level)
            if unreadable is not None:
                found[name] = unreadable
    if not found:
        return []
    name, policy = next(iter(found.items()))
    others = f", and {len(found) - 1:,} more principals with such a policy" if len(found) > 1 else ""
    return [f"what `{name}` may do: its policy `{policy}` is missing or cannot be read{others}"]


def unreadable_policy_of(snapshot: Snapshot, resource: str) -> list[str]:
    """Return one line if a policy of a resource is missing or cannot be read."""
    unreadable = _first_unreadable(snapshot.facts(resource).policies or ())
    return [] if unreadable is None else [f"what `{resource}` allows: its policy `{unreadable}` cannot be read"]


def _first_unreadable(policies: Iterable[Policy]) -> str | None:
    """The name of the first policy with a statement that cannot be read, or None."""
    for policy in policies:
        if any(statement.undetermined for statement in policy.statements):
            return policy.name or policy.arn or "policy"
    return None
