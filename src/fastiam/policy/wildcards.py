"""Wildcard patterns (spec 2.1) as regular expressions."""

from __future__ import annotations

import re
from functools import lru_cache


@lru_cache(maxsize=8192)
def glob(pattern: str) -> re.Pattern[str]:
    """Compile a pattern for `fullmatch`: `*` is any text, `?` any character (P1), ASCII letters match in both cases.

    PERF: literals between two `*` are atomic groups. Each takes its first position, so that no match backtracks over them.
    """
    first, *rest = (re.escape(literal).replace(r"\?", ".") for literal in pattern.split("*"))
    if rest:
        first += "".join(f"(?>.*?{literal})" for literal in rest[:-1] if literal) + ".*" + rest[-1]
    return re.compile(first, re.DOTALL | re.IGNORECASE | re.ASCII)


def matches_everything(pattern: str) -> bool:
    """Whether a pattern consists of `*` only: every action (A1), every resource (R1)."""
    return bool(pattern) and not pattern.strip("*")
