"""ARNs split into their six fields, without wildcards: each matcher reads patterns itself."""

from __future__ import annotations

import re
from typing import NamedTuple

_ACCOUNT = re.compile(r"[0-9]{12}")


class Arn(NamedTuple):
    """`arn:partition:service:region:account:rest`; `rest` keeps further colons."""

    partition: str
    service: str
    region: str
    account: str
    rest: str

    def __str__(self) -> str:
        return ":".join(("arn", *self))


def split_arn(text: str) -> Arn | None:
    """The fields of an ARN, or None if the text has fewer than six or does not start with `arn`."""
    parts = text.split(":", 5)
    return Arn(*parts[1:]) if len(parts) == 6 and parts[0] == "arn" else None


def is_arn(text: str) -> bool:
    """Whether the text is an ARN: `split_arn` gives its fields."""
    return text.startswith("arn:") and text.count(":") >= 5


def is_account(text: str) -> bool:
    """Whether the text is an account id: 12 ASCII digits (spec 1.7)."""
    return _ACCOUNT.fullmatch(text) is not None
