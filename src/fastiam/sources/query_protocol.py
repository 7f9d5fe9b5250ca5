"""Answers of IAM's Query protocol, in the forms in which clients write them down.

The command line and boto3 give plain objects and lists. Who turns the XML into values by himself keeps more of it:
`{"XResponse": {"XResult": {...}}}` around, `{"member": [...]}` for a list (without the list where it has one item, and null
or "" where it has none), truth values and documents as text.
"""

from __future__ import annotations

from fastiam.sources.located_values import LocatedValue


def unwrapped(node: LocatedValue) -> LocatedValue:
    """The answer without the elements around it."""
    for ending in ("Response", "Result"):
        names = [name for name in node.value if name.endswith(ending)] if isinstance(node.value, dict) else []
        if len(names) == 1 and isinstance(node.value, dict) and isinstance(node.value[names[0]], dict):
            node = node.child(names[0], node.value[names[0]])
    return node


def listed(node: LocatedValue, name: str) -> list[LocatedValue]:
    """The values of the list of that name; none where it is absent."""
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
    """The truth value of that name, which may be text."""
    found = node.get(name)
    if found is None:
        return default
    if found.value in ("true", "false"):
        return found.value == "true"
    return node.flag_of(name)
