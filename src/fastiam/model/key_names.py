"""Names that are like those of condition keys: a column `SecureTransport`, `request_tags`, `RequestTag/env`.

Each condition key has a `:`, so that none of these names is one.
"""

from __future__ import annotations

import re
from functools import cache

from fastiam.model.key_registry import KEYS, PREFIXES, SetBy, fold

_TAG = re.compile(r"(?:aws[\W_]?)?(request|resource|principal)[\W_]?tags?(?:[\W_](.*))?", re.IGNORECASE | re.DOTALL)


def is_key_of_tag(name: str) -> bool:
    """Whether a name is that of a tag without its `aws:`, such as `RequestTag/team:name`."""
    return fold(name).startswith(("requesttag/", "resourcetag/", "principaltag/"))


def likely_key(name: str) -> str:
    """The key that a name is like, or the keys of a set of tags (`aws:RequestTag/*`); "" for none."""
    if fold(name) == "tags":
        return "aws:RequestTag/*"
    tag = _TAG.fullmatch(name)
    if tag is not None:
        return PREFIXES[f"aws:{tag[1].lower()}tag/"].name + (tag[2] or "*")
    return _by_letters().get(letters(name), "")


def is_like_key(name: str) -> bool:
    """Whether a column of this name would be a loss if it is not read: a key of a request or session, or a set of tags."""
    key = likely_key(name)
    info = KEYS.get(fold(key))
    return bool(key) and key.startswith("aws:") and (info is None or info.set_by is not SetBy.DERIVED)


def letters(name: str) -> str:
    """Only letters and digits, so that `source_ip` is like `aws:SourceIp`."""
    return "".join(filter(str.isalnum, fold(name)))


@cache
def _by_letters() -> dict[str, str]:
    found: dict[str, str] = {}
    for info in sorted(KEYS.values(), key=lambda info: not info.name.startswith("aws:")):
        for text in (info.name, info.name.partition(":")[2]):
            found.setdefault(letters(text), info.name)
    return found
