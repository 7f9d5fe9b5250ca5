"""How much memory the Python objects take that requests bring: about, and cheaply told.

Tables count their bytes. What stands beside them (policies of sessions, the maps that find what is there already) is several
times as large for a session, so the bound on the cache counts it too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fastiam.model.policy import Policy, Statement

THING = 150  # an entry of a map that interns: the slot, a key of a few objects, the number
_TEXT = 60  # a text beside its characters
_SESSION = 1100  # a session, and that it is found again, by what it says too
_POLICY, _STATEMENT, _CONDITION = 350, 450, 250


def policy_bytes(policy: Policy) -> int:
    """The memory of a policy as it was read."""
    source = policy.origin.source.text if policy.origin is not None else None
    return _POLICY + len(source or "") + sum(map(_statement_bytes, policy.statements))


def _statement_bytes(s: Statement) -> int:
    texts = _texts_bytes((*(s.actions or ()), *(s.resources or ()), s.sid or ""))
    principals = _texts_bytes(entry.value for entry in s.principals or ())
    return _STATEMENT + texts + principals + sum(_CONDITION + _texts_bytes(entry.values) for entry in s.conditions)


def session_bytes(documents: Iterable[object]) -> int:
    """The memory of a session that is kept, with the documents that it brings."""
    return _SESSION + sum(map(_document_bytes, documents))


def _document_bytes(document: object) -> int:
    if isinstance(document, str | bytes):
        return _TEXT + len(document)
    if isinstance(document, Mapping):
        return 330 + sum(_document_bytes(value) for value in document.values())
    if isinstance(document, list | tuple):
        return 120 + 16 * len(document) + sum(map(_document_bytes, document))
    return 0  # a policy that was read, and counts as such


def _texts_bytes(texts: Iterable[str]) -> int:
    return sum(_TEXT + len(text) for text in texts)
