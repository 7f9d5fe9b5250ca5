"""The policy enforcement point (PEP) behind a request, and what it may request and state (G28, G49)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

DECIDE: Final = "decide"
SEARCH: Final = "search"
EXPLAIN: Final = "explain"
BULK: Final = "bulk"
AWS: Final = "aws"
METRICS: Final = "metrics"
PLAYGROUND: Final = "playground"

ASSERT_TAGS: Final = "assert:tags"
ASSERT_SESSION: Final = "assert:session"
ASSERT_OWNER: Final = "assert:owner"
ASSERT_CONTEXT: Final = "assert:context"

USE_SCOPES: Final = frozenset({DECIDE, SEARCH, EXPLAIN, BULK, AWS, METRICS, PLAYGROUND})
TRUST_SCOPES: Final = frozenset({ASSERT_TAGS, ASSERT_SESSION, ASSERT_OWNER, ASSERT_CONTEXT})


@dataclass(frozen=True, slots=True)
class Identity:
    """A PEP. It is never the principal of a decision (G30)."""

    name: str
    """Name of its token, uid, certificate name, or its address; for logs only."""
    scopes: frozenset[str]
    """Names of `USE_SCOPES` and `TRUST_SCOPES`; no scope implies another one."""
    is_anonymous: bool = False
    """Whether the listener asks for no proof (`auth = "none"`)."""

    def has(self, scope: str) -> bool:
        """Whether it has that scope."""
        return scope in self.scopes
