"""Statements as they apply to the requests of one principal: sets of actions and resources, and residual conditions.

Known keys of the principal and of the context are inserted; every other key is unknown (spec 6.11).
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from fastiam.analysis.access.grants import GrantStatement
from fastiam.analysis.pattern_sets import PatternSet, action_pattern_set, intersects_patterns, resource_pattern_set
from fastiam.model.arn import split_arn
from fastiam.model.decision import Layer, StatementRef
from fastiam.model.policy import ConditionEntry, Effect, Policy, PrincipalEntry, Statement
from fastiam.model.profile import Policies, PrincipalProfile
from fastiam.model.request import ContextValue
from fastiam.policy.wildcards import matches_everything
from fastiam.spec.conditions import check_entry
from fastiam.spec.principal_elements import check_principals
from fastiam.spec.principal_entries import make_request_principal
from fastiam.spec.statement_keys import StatementKeys
from fastiam.spec.three_valued import F, T, Truth

EVERYTHING = PatternSet("*", ())
# the part of a resource below its ARN that the same policy governs
_GOVERNED_SUFFIXES = {
    "s3": "/*", "lambda": ":*", "dynamodb": "/*", "sns": ":*", "logs": ":*", "kinesis": "/*", "es": "/*", "acm-pca": "/*",
}  # fmt: skip
# principal entries that name one account, or one service, and are never undetermined
_NAMES_ONE_ACCOUNT = re.compile(r"[0-9]{12}|arn:aws[a-z-]*:iam::[0-9]{12}:(?:root|(?:user|role)/[\w+=,.@/-]+)")
_NAMES_ONE_ROLE = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/(?:[\w+=,.@/-]*/)?([\w+=,.@-]+)")
_NAMES_ONE_SERVICE = re.compile(r"[a-z0-9.-]+\.amazonaws\.com")


@dataclass(frozen=True)
class ApplicableStatement:
    """A statement that can apply to requests of the principal.

    Attributes
    ----------
    actions, resources
        pattern sets; the excluded ones if `not_actions`, `not_resources`.
    conditions
        the residual conditions.
    is_certain
        no test other than `conditions` is undetermined (`U`).
    classes
        classes of the principal match (D50), for statements of resource policies.
    """

    ref: StatementRef
    actions: tuple[PatternSet, ...]
    resources: tuple[PatternSet, ...]
    not_actions: bool
    not_resources: bool
    conditions: tuple[ConditionEntry, ...]
    is_certain: bool
    classes: str = ""

    def intersects(self, action: PatternSet, resource: PatternSet) -> bool:
        """Whether it can apply to some request with an action and a resource of these sets."""
        return intersects_patterns(self.actions, self.not_actions, action) and intersects_patterns(
            self.resources, self.not_resources, resource
        )

    def covers(self, action: PatternSet, resource: PatternSet) -> bool:
        """Whether it applies to every request with an action and a resource of these sets."""
        if self.conditions or not self.is_certain:
            return False
        return _covers(self.actions, self.not_actions, action) and _covers(self.resources, self.not_resources, resource)

    def as_grant_statement(self) -> GrantStatement:
        """Return its public form."""
        actions, resources = (tuple(one.text for one in patterns) for patterns in (self.actions, self.resources))
        return GrantStatement(self.ref, actions, resources, self.not_actions, self.not_resources, self.conditions)


def _covers(patterns: tuple[PatternSet, ...], inverted: bool, one: PatternSet) -> bool:
    if inverted:
        return not any(map(one.intersects, patterns))
    return any(map(one.is_subset_of, patterns))


class _UnknownKeys(Container[str]):
    """All keys without a value, except those that are known to be absent."""

    def __init__(self, keys: Mapping[str, ContextValue], absent: frozenset[str]) -> None:
        self._keys, self._absent = keys, absent
        self._prefixes = tuple(key for key in absent if key.endswith("/"))

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and not (key in self._keys or key in self._absent or key.startswith(self._prefixes))

    def __bool__(self) -> bool:
        return True


class StatementReader:
    """Reads statements for one principal. `given` and `absent` are the context keys that the program passes."""

    def __init__(self, profile: PrincipalProfile, given: Mapping[str, ContextValue], absent: frozenset[str]) -> None:
        self._account, self._role_name = profile.account, profile.role_name
        self._keys = {**{k: v for k, v in profile.keys.items() if k not in profile.open_keys}, **given}
        self._absent = profile.absent_keys | absent
        self._unknown = _UnknownKeys(self._keys, self._absent)
        self._request_principal = make_request_principal(profile, profile.partition or "aws", given)

    def read_all(
        self, policies: Policies, layer: Layer, level: int, effect: Effect | None = None
    ) -> Iterator[tuple[Effect, ApplicableStatement]]:
        """Yield the statements of policies that can apply, with their effect; of one effect only if it is given."""
        for policy in policies:
            for statement in policy.statements:
                if effect in (None, statement.effect):
                    found = self._read(statement, policy, layer, level)
                    if found is not None:
                        yield statement.effect, found

    def _read(self, statement: Statement, policy: Policy, layer: Layer, level: int) -> ApplicableStatement | None:
        """Return a statement, or None if it applies to no request of the principal."""
        is_deny = statement.effect is Effect.DENY
        if statement.undetermined and not is_deny:
            return None
        classes = ""
        is_certain = not statement.undetermined
        if layer in (Layer.RESOURCE, Layer.RCP):
            is_listed = statement.principals is not None and not statement.not_principal
            if is_listed and not any(map(self._may_name_principal, statement.principals or ())):
                return None
            match = check_principals(statement, policy, self._request_principal, False, self._statement_keys(T))
            classes = match.classes
            if match.result is F or not is_deny and match.result is not T:
                return None
            sure = check_principals(statement, policy, self._request_principal, False, self._statement_keys(F))
            is_certain = is_certain and sure.result == match.result
        conditions = self._residual_conditions(statement, policy.variables, is_deny)
        if conditions is None:
            return None
        not_action, actions = statement.not_action, _present(map(action_pattern_set, statement.actions or ()))
        is_malformed = len(actions) < len(statement.actions or ())
        if statement.actions is None:
            actions = (EVERYTHING,)
        elif is_malformed and is_deny:
            actions, not_action, is_certain = (EVERYTHING,), False, False
        elif is_malformed and not_action:
            return None  # A5
        resources = self._resources(statement, policy.variables, is_deny)
        if resources is None or not (actions and resources) and not (not_action or statement.not_resource):
            return None
        ref = StatementRef.of(policy, statement, layer, level)
        return ApplicableStatement(
            ref, actions, resources, not_action, statement.not_resource, conditions, is_certain, classes
        )  # fmt: skip

    def _statement_keys(self, residual: Truth) -> StatementKeys:
        return StatementKeys(self._keys, self._unknown, residual)

    def _may_name_principal(self, entry: PrincipalEntry) -> bool:
        """Whether an entry can name the principal. PERF: the text excludes most entries of an organization."""
        if self._account is None or entry.type not in ("AWS", "Service"):
            return True
        if entry.type == "Service":
            return _NAMES_ONE_SERVICE.fullmatch(entry.value) is None
        if self._account not in entry.value:
            return _NAMES_ONE_ACCOUNT.fullmatch(entry.value) is None
        role = _NAMES_ONE_ROLE.fullmatch(entry.value)
        return role is None or role[1] == self._role_name

    def _resources(self, statement: Statement, variables: bool, is_deny: bool) -> tuple[PatternSet, ...] | None:
        if statement.resources is None:
            return (EVERYTHING,)
        strictly = not is_deny and not statement.not_resource
        found = _present(
            resource_pattern_set(one, variables, self._keys, self._absent, grants=strictly) for one in statement.resources
        )
        if statement.not_resource and not is_deny and len(found) < len(statement.resources):
            return None  # VR8: undetermined, so that an Allow does not apply
        if is_deny and not statement.not_resource and not all(map(_is_resource_pattern, statement.resources)):
            return (EVERYTHING,)  # V25: undetermined, so that a Deny applies
        return found

    def _residual_conditions(self, statement: Statement, variables: bool, is_deny: bool) -> tuple[ConditionEntry, ...] | None:
        """Return the conditions that can be true or false, or None if one excludes that the statement applies."""
        found = []
        for entry in statement.conditions:
            optimistic = check_entry(entry, variables, self._statement_keys(T))
            pessimistic = check_entry(entry, variables, self._statement_keys(F))
            if optimistic is F or not is_deny and optimistic is not T:
                return None
            if pessimistic is F or not is_deny and pessimistic is not T:
                found.append(entry)
        return tuple(found)


def _present(found: Iterable[PatternSet | None]) -> tuple[PatternSet, ...]:
    return tuple(one for one in found if one is not None)


def _is_resource_pattern(text: str) -> bool:
    return text.startswith("arn:") or matches_everything(text)


def _governed_patterns(arn: str) -> tuple[PatternSet, ...]:
    """Return the resources that the policies stored under an ARN govern (6.10), or a superset of them."""
    parts = split_arn(arn)
    texts = [arn]
    if parts is not None and parts.service in _GOVERNED_SUFFIXES:
        texts.append(arn + _GOVERNED_SUFFIXES[parts.service])
    elif parts is not None and parts.service in ("apigateway", "execute-api", "glue", "codeartifact"):
        texts.append(f"arn:{parts.partition}:*:{parts.region}:*:*")
    return _present(resource_pattern_set(text, False, {}, frozenset()) for text in texts)


def restricted_to_governed(statement: ApplicableStatement, arn: str) -> ApplicableStatement:
    """Return a statement of the policy stored under an ARN with those of its resources that the policy governs (D62)."""
    if statement.not_resources:
        return statement
    governed = _governed_patterns(arn)
    kept: list[PatternSet] = []
    for pattern_set in statement.resources:
        inside = [one for one in governed if one.is_subset_of(pattern_set)]
        if inside or not pattern_set.parts:
            kept += inside
        elif any(map(pattern_set.intersects, governed)):
            kept.append(pattern_set)
    return replace(statement, resources=tuple(kept))


def as_possible_deny(deny: ApplicableStatement, arn: str) -> ApplicableStatement:
    """Return a Deny of the policy stored under an ARN for grants on all resources: it covers no set of requests."""
    resources = _governed_patterns(arn) if deny.not_resources else deny.resources
    return replace(deny, resources=resources, not_resources=False, is_certain=False)
