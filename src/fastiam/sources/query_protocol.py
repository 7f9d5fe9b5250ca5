"""Responses of the IAM Query protocol, in the forms that clients write.

The command line and boto3 return plain objects and lists. A direct conversion of the XML keeps more: the enclosing elements
`{"XResponse": {"XResult": {...}}}`, lists as `{"member": [...]}` (an item without a list if there is one, null or "" if there is
none), booleans and documents as text.
"""

from __future__ import annotations

from fastiam.sources.located_values import LocatedValue


def unwrapped(node: LocatedValue) -> LocatedValue:
    """Return the response without its enclosing elements."""
    for ending in ("Response", "Result"):
        names = [name for name in node.value if name.endswith(ending)] if isinstance(node.value, dict) else []
        if len(names) == 1 and isinstance(node.value, dict) and isinstance(node.value[names[0]], dict):
            node = node.child(names[0], node.value[names[0]])
    return node


def listed(node: LocatedValue, name: str) -> list[LocatedValue]:
    """Return the values of a list, or no values if it is absent."""
    found = node.get(name)
    if found is None or found.value == "":
        return []
    if not isinstance(found.value, dict):
        return found.items()
    member = found.object(("member",)).get("member")
    if member is None:
        return []
    below = found.child("member", member)
    return below.items() if isinstance(member, list) else [below]


def flag(node: LocatedValue, name: str, default: bool = False) -> bool:
    """Return a boolean, which can be text."""
    found = node.get(name)
    if found is None:
        return default
    if found.value in ("true", "false"):
        return found.value == "true"
    return node.flag_of(name)
