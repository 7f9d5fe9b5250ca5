"""Whether a request is in the scope of an invariant, written a second time for tests: as the tables of the documentation say."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from json import dumps, loads
from typing import Any

import fastiam
from fastiam.analysis.proof.key_values import KeyTest
from fastiam.model.key_registry import fold
from fastiam.model.policy import ConditionEntry, PolicyKind
from fastiam.model.request import ContextValue
from fastiam.policy.document import read_policy
from fastiam.spec.three_valued import T

Row = tuple[Any, str, str, Mapping[str, Any]]  # principal, action, resource, context
MFA = "aws:MultiFactorAuthPresent"


def listed(given: Any) -> list[Any]:
    return [] if given is None else list(given) if isinstance(given, list | tuple) else [given]


@lru_cache(maxsize=4096)
def _entries(block: str) -> tuple[ConditionEntry, ...]:
    statement = {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": loads(block)}
    return read_policy({"Version": "2012-10-17", "Statement": statement}, PolicyKind.IDENTITY).statements[0].conditions


def kind_of(principal: Any) -> str:
    """Return the kind of a principal that an engine is asked about."""
    if isinstance(principal, fastiam.Session):
        return str(principal.kind)
    if principal == "*":
        return "ANON"
    return "SVC" if not principal.startswith("arn:") else "ROOT" if principal.endswith(":root") else "USER"


def account_of(principal: Any) -> str | None:
    text = principal.arn if isinstance(principal, fastiam.Session) else principal
    return text.split(":")[4] if text.startswith("arn:") else None


class ScopeTest:
    """The test of requests for one scope.

    Parameters
    ----------
    members
        the accounts of the organization `o-1`.
    owners
        of resources whose ARNs have no account, by the ARN of their bucket.
    """

    def __init__(self, scope: Mapping[str, Any], members: Collection[str], owners: Mapping[str, str]) -> None:
        self._scope, self._members, self._owners = scope, members, owners

    def has(self, row: Row, owner: str | None = None) -> bool:
        """Whether a request is in scope and not excepted."""
        principal, action, arn, context = row
        owner = owner or self._owner(arn, principal)
        if owner is None or not self._has_action(action) or not self._has_principal(principal):
            return False
        if not self._owns_any("resources", ["known"], owner, arn) or self._owns_any("except_resources", [], owner, arn):
            return False
        keys = self._keys(principal, context)
        if listed(self._scope.get("given")) and not self._any_is_true("given", keys):
            return False
        return not self._any_is_true("only_if", keys)

    def _has_action(self, action: str) -> bool:
        def matches(name: str) -> bool:
            return any(fnmatchcase(action.lower(), one.lower()) for one in listed(self._scope.get(name)))

        return matches("actions") and not matches("except_actions")

    def _has_principal(self, principal: Any) -> bool:
        is_session = isinstance(principal, fastiam.Session)
        names = [one for one in ((principal.arn, principal.issuer) if is_session else (principal,)) if one]
        kind, account = kind_of(principal), account_of(principal)

        def has(word: Any) -> bool:
            if isinstance(word, Mapping):
                return all(map(has, word["all"]))
            named = {"everyone": True, "anonymous": kind == "ANON", "services": kind == "SVC"}
            named |= {"organization": account in self._members, "outside": account is not None and account not in self._members}
            if word in named:
                return named[word]
            return word in (f"account:{account}", f"kind:{kind}") or any(fnmatchcase(one, word) for one in names)

        return any(map(has, listed(self._scope["principals"]))) and not any(map(has, listed(self._scope.get("except"))))

    def _owner(self, arn: str, principal: Any) -> str | None:
        field = arn.split(":")[4] if arn.startswith("arn:") else ""
        bucket = next((one for start, one in self._owners.items() if arn == start or arn.startswith(f"{start}/")), None)
        return bucket or (field if field.isdigit() else account_of(principal))

    def _owns_any(self, name: str, default: list[str], owner: str, arn: str) -> bool:
        is_member = owner in self._members

        def owns(word: Any) -> bool:
            if isinstance(word, Mapping):
                return all(map(owns, word["all"]))
            named = {"known": is_member, "organization": is_member, "all": True, "outside": not is_member}
            return named.get(word, word == f"account:{owner}" or word.startswith("arn:") and is_member and fnmatchcase(arn, word))

        return any(map(owns, listed(self._scope.get(name)) or default))

    def _keys(self, principal: Any, context: Mapping[str, Any]) -> dict[str, ContextValue]:
        keys = {fold(key): ContextValue(tuple(listed(value))) for key, value in context.items()}
        keys.setdefault("aws:viaawsservice", ContextValue(("false",)))
        if kind_of(principal) == "SVC" and context.get("aws:SourceAccount") in self._members:
            keys["aws:sourceorgid"] = ContextValue(("o-1",))
        if isinstance(principal, fastiam.Session) and kind_of(principal) in ("USER", "ROOT"):
            keys[fold(MFA)] = ContextValue(("true" if principal.mfa_at is not None else "false",))
        return keys

    def _any_is_true(self, name: str, keys: Mapping[str, ContextValue]) -> bool:
        def is_true(entries: Iterable[ConditionEntry]) -> bool:
            return all(KeyTest(entry, False).check(keys.get(fold(entry.key))) is T for entry in entries)

        return any(is_true(_entries(dumps(block))) for block in listed(self._scope.get(name)))
