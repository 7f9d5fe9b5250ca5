"""Changes of condition keys that a plan shows and fastiam does not compare: tags of resources, and unique ids (H80).

Such a change is undecided if a policy of either side reads the key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fastiam.model.key_registry import fold
from fastiam.model.policy import Policy
from fastiam.resolve.keys_read import keys_read
from fastiam.spec.principal_entries import Form, read_entry

USER_ID = "aws:userid"
_TAG = "tag/"
_OF_OTHERS = ("principal", "request")  # in the names of keys of tags that are not those of a resource


def tag_keys(tags: Iterable[str]) -> frozenset[str]:
    """Return what stands for the keys of resource tags of each service, such as `aws:ResourceTag/k` and `ec2:ResourceTag/k`."""
    return frozenset(_TAG + fold(name) for name in tags)


ANY_TAG = frozenset({_TAG})


def changed_tags(before: object, after: object) -> frozenset[str]:
    """Return the keys of the tags that differ between two values: mappings, or lists of objects with a key and a value."""
    old, new = _pairs(before), _pairs(after)
    return tag_keys(name for name in {*old, *new} if old.get(name) != new.get(name))


def _pairs(value: object) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for item in value if isinstance(value, list) else [value]:
        if not isinstance(item, Mapping):
            continue
        members = {fold(str(name)): member for name, member in item.items()}
        if isinstance(value, list) and isinstance(members.get("key"), str):
            found[members["key"]] = members.get("value")
        elif any(isinstance(member, (list, Mapping)) for member in item.values()):
            for member in item.values():
                found |= _pairs(member)
        else:
            found |= {str(name): member for name, member in item.items() if member is not None}
    return found


def read_by(policies: Iterable[Policy]) -> frozenset[str]:
    """Return the keys that policies read, as far as a plan can show that they change."""
    found = set()
    given = list(policies)
    for name in keys_read(given):
        prefix, slash, tag = name.partition("/")
        if name == USER_ID:
            found.add(USER_ID)
        elif slash and prefix.endswith("tag") and not any(other in prefix for other in _OF_OTHERS):
            found |= {_TAG, _TAG + tag}
    for policy in given:
        for statement in policy.statements:
            if any(read_entry(entry.type, entry.value).form is Form.UNIQUE_ID for entry in statement.principals or ()):
                found.add(USER_ID)
    return frozenset(found)
