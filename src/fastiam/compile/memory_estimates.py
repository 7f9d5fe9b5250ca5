"""Estimates of the memory of Python objects in the run-time cache.

Tables count their bytes. For a session, the Python objects (its policies, the maps that find existing entries) are several times
as large, so the bound on the cache counts them too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fastiam.model.policy import Policy, Statement

ENTRY_BYTES = 150  # an entry of an interning map: the slot, a key of a few objects, the id
_TEXT = 60  # a text without its characters
_SESSION = 1100  # a session, and the entries of maps that find it
_POLICY, _STATEMENT, _CONDITION = 350, 450, 250


def policy_bytes(policy: Policy) -> int:
    """The estimated size of a policy in bytes."""
    source = policy.origin.source.text if policy.origin is not None else None
    return _POLICY + len(source or "") + sum(map(_statement_bytes, policy.statements))


def _statement_bytes(s: Statement) -> int:
    texts = _texts_bytes((*(s.actions or ()), *(s.resources or ()), s.sid or ""))
    principals = _texts_bytes(entry.value for entry in s.principals or ())
    return _STATEMENT + texts + principals + sum(_CONDITION + _texts_bytes(entry.values) for entry in s.conditions)


def session_bytes(documents: Iterable[object]) -> int:
    """The estimated size of a cached session with its policies in bytes."""
    return _SESSION + sum(map(_document_bytes, documents))


def _document_bytes(document: object) -> int:
    if isinstance(document, str | bytes):
        return _TEXT + len(document)
    if isinstance(document, Mapping):
        return 330 + sum(_document_bytes(value) for value in document.values())
    if isinstance(document, list | tuple):
        return 120 + 16 * len(document) + sum(map(_document_bytes, document))
    return 0  # a parsed policy, which is counted as such


def _texts_bytes(texts: Iterable[str]) -> int:
    return sum(_TEXT + len(text) for text in texts)
