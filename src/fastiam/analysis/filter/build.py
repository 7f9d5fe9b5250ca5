"""A filter from policies: the formula that is true of a row if and only if `decide` allows its request (spec 6.4).

Everything that does not differ between rows comes from the code that decides a request: profiles from the engine, constant tests
and the combining algorithm from the specification evaluator. INVARIANT: where the formula contains an `Unknown`, replacing it
towards true gives a superset of the allowed rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from fastiam.analysis.filter import patterns
from fastiam.analysis.filter.cases import differs, recorded_cases
from fastiam.analysis.filter.combining import allowed
from fastiam.analysis.filter.formula import (
    Column,
    Equals,
    Formula,
    IsNull,
    Unknown,
    all_of,
    any_of,
    choice,
    is_not_null,
    matches,
    negation,
    size,
    where_text_is,
    where_text_starts,
)
from fastiam.analysis.filter.governed_arns import ArnCase
from fastiam.analysis.filter.patterns import Part, Symbol
from fastiam.analysis.filter.row_keys import (
    ACCOUNT,
    ACCOUNT_ID,
    ENDPOINT,
    VALID_ARN,
    Field,
    Row,
    RowKeys,
    agree_on_principal,
    field_pattern,
    without_column,
)
from fastiam.analysis.filter.row_statements import StatementFormulas
from fastiam.analysis.filter.simplify import simplified
from fastiam.errors import RequestValueError
from fastiam.model.decision import Layer, Outcome, Reason
from fastiam.model.policy import Effect, Policy
from fastiam.model.profile import EndpointProfile, PrincipalKind, PrincipalProfile, ResourceFacts, ResourceProfile
from fastiam.model.protocols import AnalysisEngine
from fastiam.model.request import ContextValue
from fastiam.spec.actions import split_action
from fastiam.spec.combining import decided_without_policies
from fastiam.spec.evaluate import decision_inputs
from fastiam.spec.layers import LayerInput, applicable_layers
from fastiam.spec.principal_elements import check_principals
from fastiam.spec.principal_entries import CLASSES, SERVICE_NAMES, USER_ID, make_request_principal
from fastiam.spec.service_rules import needs_resource_policy, service_refusal
from fastiam.spec.statement_keys import StatementKeys
from fastiam.spec.three_valued import F, T
from fastiam.spec.unknown_keys import IAM_RESOURCE_TAG, RESOURCE_TAG

MAX_NODES, MAX_RESOURCES = 10_000, 5_000  # more: a superset only (H50)
_MAX_ENDPOINTS, _MAX_ACCOUNTS = 64, 32
_OWNER_KEYS = ("aws:resourceaccount", "aws:resourceorgid", "aws:resourceorgpaths")


@dataclass(frozen=True, slots=True)
class _Owner:
    """An owner of the resources of a case: the argument for the engine, and the text if it differs between the rows."""

    account: str | None
    text: tuple[Column, ...] | Field | None = None
    is_known: bool = True


@dataclass(frozen=True)
class BuiltFilter:
    """The formula of a filter, and the first instant at which it can change."""

    formula: Formula
    valid_until: datetime | None


def build(engine: AnalysisEngine, subject: Any, row: Row, account: Column | str | None) -> BuiltFilter:
    """The filter of a principal and an action over rows. Raises the errors of a request with the constant parts of the rows."""
    principal, target, _ = engine.profiles(subject, "*", row.request, account if isinstance(account, str) else None)
    builder = _Builder(engine, principal, account)
    early = decided_without_policies(decision_inputs(principal, target, split_action(row.request.action), row.settings))
    if early is not None and early.outcome is not Outcome.ALLOW:
        return BuiltFilter(False, None)
    builder.is_always_allowed = early is not None
    valid = any_of((Equals(row.arn, ("*",)), matches(row.arn, VALID_ARN)))
    found = all_of((valid, agree_on_principal(row, principal), builder.of_rows(row)))
    return BuiltFilter(simplified(found, row.arn), min(builder.statements.changes, default=None))


class _Builder:
    def __init__(self, engine: AnalysisEngine, principal: PrincipalProfile, account: Column | str | None) -> None:
        self._engine, self._snapshot, self._principal, self._account = engine, engine.snapshot, principal, account
        self._recorded = recorded_cases(engine.snapshot)
        self._may_apply: dict[tuple[int, Effect], bool] = {}
        self.statements = StatementFormulas()
        self.is_always_allowed = False

    # -- endpoints (6.8, D40) -------------------------------------------------------------------------------------------

    def of_rows(self, row: Row) -> Formula:
        """The formula of all rows: one for each endpoint that a column names."""
        column = row.columns.get(ENDPOINT)
        if column is None:
            return self._of_endpoint(row)
        endpoints = [endpoint.id for endpoint in self._snapshot.endpoints()]
        if len(endpoints) > _MAX_ENDPOINTS:
            return Unknown(row.names[ENDPOINT], "vpce")
        by_formula: dict[Formula, list[str]] = {}
        for id_ in endpoints:
            value = ContextValue((id_,), name=row.names[ENDPOINT])
            by_formula.setdefault(self._of_endpoint(without_column(row, ENDPOINT, value)), []).append(id_)
        found = [all_of((Equals((column,), tuple(ids)), formula)) for formula, ids in by_formula.items()]
        absent = all_of((IsNull(column.name), self._of_endpoint(without_column(row, ENDPOINT, None))))
        is_other = all_of((is_not_null(column.name), *([negation(Equals((column,), tuple(endpoints)))] if endpoints else ())))
        other: Formula = False  # an unknown endpoint denies
        is_exempt = self.is_always_allowed or self._principal.kind is PrincipalKind.SVC
        if is_exempt or not self._snapshot.has_endpoint_policies:
            other = self._of_endpoint(row)
        return any_of((*found, absent, all_of((is_other, other))))

    def _of_endpoint(self, row: Row) -> Formula:
        """The formula of rows with one endpoint: that of all ARNs, replaced for the ARNs of records."""
        try:
            self._engine.profiles(self._principal, "*", row.request)
        except RequestValueError:
            return False
        tags = self._tags_read(row)
        default = self._without_record(row, tags)
        starts = _Starts()
        levels: tuple[dict[Formula, list[ArnCase]], dict[Formula, list[ArnCase]]] = ({}, {})
        for case, facts in self._recorded.below:
            outer = starts.find(case.sample)
            if outer is None and not self._differs(row, facts, case.sample, tags):
                continue
            formula = where_text_starts(self._of_record(row, case, facts), row.arn, case.start)
            if formula != where_text_starts(default if outer is None else outer, row.arn, case.start):
                starts.add(case, formula)
                levels[outer is not None].setdefault(formula, []).append(case)
                if len(starts) > MAX_RESOURCES:
                    return self._of_any_resource(row)
        found = default
        for groups in levels:
            found = self._replaced(row, found, groups)
        exact: dict[Formula, list[ArnCase]] = {}
        count = 0
        for case, facts in self._recorded.exact:
            outer = starts.find(case.sample)
            if outer is None and case.sample != "*" and not self._differs(row, facts, case.sample, tags):
                continue
            formula = where_text_is(self._of_record(row, case, facts), row.arn, facts.arn)
            if formula != where_text_is(default if outer is None else outer, row.arn, case.sample):
                exact.setdefault(formula, []).append(case)
                count += 1
                if count > MAX_RESOURCES:
                    return self._of_any_resource(row)
        found = self._replaced(row, found, exact)
        return self._of_any_resource(row) if size(found) > MAX_NODES else found

    def _replaced(self, row: Row, formula: Formula, groups: dict[Formula, list[ArnCase]]) -> Formula:
        """The formula, with another one for the ARNs of each group of cases."""
        conditions = {other: any_of(case.condition(row.arn) for case in cases) for other, cases in groups.items()}
        others = negation(any_of(conditions.values()))
        return any_of((*(all_of((condition, other)) for other, condition in conditions.items()), all_of((others, formula))))

    def _differs(self, row: Row, facts: ResourceFacts, arn: str, tags: frozenset[str]) -> bool:
        action = split_action(row.request.action)
        has_policies = {
            "trust": action[0] == "sts",
            "service": self._principal.kind is PrincipalKind.SVC,
        }.get(facts.governs, action != ("iam", "passrole")) and self._can_apply(row, facts, *Effect)
        is_own = facts.account == self._principal.account and not self.is_always_allowed
        needs_record = self._account is not None and not is_own  # the owner of a row can contradict the record
        return differs(facts, arn, tags, has_policies=has_policies, needs_record=needs_record)

    def _can_apply(self, row: Row, facts: ResourceFacts, *effects: Effect) -> bool:
        """Whether a statement of the resource's policies is about the action and can name the principal. True too often."""
        return any(self._policy_can_apply(row, policy, effect) for policy in facts.policies or () for effect in effects)

    def _policy_can_apply(self, row: Row, policy: Policy, effect: Effect) -> bool:
        found = self._may_apply.get((id(policy), effect))
        if found is None:
            action, given = split_action(row.request.action), row.request.context
            principal = make_request_principal(self._principal, None, given, action)
            is_any = USER_ID in row.columns or SERVICE_NAMES in row.columns
            known = StatementKeys(given, (), T)
            found = self._may_apply[id(policy), effect] = any(
                is_any or check_principals(statement, policy, principal, False, known).result is not F
                for statement in policy.statements
                if statement.effect is effect and self.statements.is_about(statement, action)
            )
        return found

    def _is_never(self, row: Row, facts: ResourceFacts) -> bool:
        """Whether the ARNs of a record belong to another account whose policies grant nothing: no other layer can allow them."""
        own = self._principal.account
        is_foreign = own is None or facts.account not in (None, own)
        return is_foreign and not self.is_always_allowed and not self._can_apply(row, facts, Effect.ALLOW)

    def _tags_read(self, row: Row) -> frozenset[str]:
        """The resource tags that a statement reads, or a column or the context gives, under their first name (5.5)."""
        principal, resource, endpoint = self._profiles(row, self._sample(), _Owner(None))
        layers = applicable_layers(principal, resource, endpoint, split_action(row.request.action), row.settings)
        names = {*self.statements.names_read(layers, split_action(row.request.action)), *row.columns, *row.request.context}
        tags = {
            RESOURCE_TAG + name.removeprefix(IAM_RESOURCE_TAG) if name.startswith(IAM_RESOURCE_TAG) else name for name in names
        }
        return frozenset(name for name in tags if name.startswith(RESOURCE_TAG))

    # -- ARNs without a record -------------------------------------------------------------------------------------------

    def _sample(self, service: str = "", account: str = "", start: str = "") -> str:
        partition = self._principal.partition or "aws"
        return f"arn:{partition}:{service or self._recorded.unused}::{account}:{start}{self._recorded.unused}"

    def _without_record(self, row: Row, tags: frozenset[str]) -> Formula:
        """Resources without a policy are allowed in the account of the principal only."""
        own = self._principal.account
        if self.is_always_allowed:
            return self._always_allowed(row)
        if own is None or self._principal.partition is None or isinstance(self._account, str) and self._account != own:
            return False
        arn, partition = row.arn, matches(row.arn, (f"arn:{self._principal.partition}:", Symbol.ANY))
        excluded = [matches(arn, pattern) for pattern, sample in self._special_arns() if self._is_refused(row, sample)]
        entity = any_of(matches(arn, _rest("iam", type_)) for type_ in ("user/", "role/"))
        found = []
        for owned, owner, field in self._own_account(row, own):
            plain, tagged = (
                self._of_profile(row, self._sample(service, field, start), owner, is_any_region=True)
                for service, start in (("", ""), ("iam", "user/"))
            )
            found.append((owned, choice(entity, tagged, plain)))
        return all_of((partition, negation(any_of(excluded)), _any_case(found)))

    def _own_account(self, row: Row, own: str) -> Iterator[tuple[Formula, _Owner, str]]:
        """How an ARN can belong to the principal's account (D23): the condition, the owner, and the account field of a sample."""
        if isinstance(self._account, str):
            yield True, _Owner(own), ""
            return
        no_column: Formula = True
        if isinstance(self._account, Column):
            yield Equals((self._account,), (own,)), _Owner(own), ""
            no_column = IsNull(self._account.name)
        yield all_of((no_column, matches(row.arn, field_pattern(ACCOUNT, (own,))))), _Owner(own), ""
        if self._engine.unknown_owner == "deny":  # except the resources of AWS
            yield all_of((no_column, matches(row.arn, field_pattern(ACCOUNT, ("aws",))))), _Owner(None), "aws"
        else:
            yield all_of((no_column, negation(matches(row.arn, field_pattern(ACCOUNT, ACCOUNT_ID))))), _Owner(None), ""

    def _special_arns(self) -> Iterator[tuple[tuple[Part, ...], str]]:
        """ARNs for which a rule of a service can forbid what policies allow (6.3, D17), each with a sample."""
        for service, account, start in (
            ("kms", "", "key/"), ("kms", "", "alias/aws/"), ("iam", "", "role/"), ("iam", "aws", "policy/"),
            ("iam", "", "role/aws-reserved/"), ("iam", "", "role/aws-service-role/"),
        ):  # fmt: skip
            yield _rest(service, start, account), self._sample(service, account, start)

    def _is_refused(self, row: Row, sample: str) -> bool:
        """Whether a rule of the service denies a resource of the principal's account that has no policy."""
        action = split_action(row.request.action)
        resource = ResourceProfile(sample, self._principal.partition, self._principal.account)
        is_forbidden = service_refusal(self._principal, resource, action, row.settings) is Reason.HARD_RULE
        return is_forbidden or needs_resource_policy(resource, action, row.settings)

    def _always_allowed(self, row: Row) -> Formula:
        """A call that policies do not affect (6.3): denied only where a request cannot be read."""
        tests: list[Formula] = [self._of_profile(row, self._sample(), _Owner(None))]
        if isinstance(self._account, Column):
            tests.append(any_of((IsNull(self._account.name), matches((self._account,), ACCOUNT_ID))))
        tests += [Unknown(key, "K1") for key in _OWNER_KEYS if key in row.columns or key in row.request.context]
        return all_of(tests)

    # -- ARNs with a record, or governed by one ----------------------------------------------------------------------------

    def _of_record(self, row: Row, case: ArnCase, facts: ResourceFacts) -> Formula:
        """The formula of the ARNs of one case, by owner."""
        if self._is_never(row, facts):
            return False
        return _any_case(
            (condition, self._of_profile(row, case.sample, owner)) for condition, owner in self._owners(row, case, facts)
        )

    def _owners(self, row: Row, case: ArnCase, facts: ResourceFacts) -> Iterator[tuple[Formula, _Owner]]:
        """The owners that the resources of a case can have (D23, H73)."""
        if isinstance(self._account, str):
            yield True, _Owner(self._account)
            return
        column = self._account
        no_column: Formula = True
        if column is not None:
            no_column = IsNull(column.name)
            if facts.account is not None:
                yield Equals((column,), (facts.account,)), _Owner(facts.account)
            else:
                yield from self._owners_by_text((column,), lambda pattern: matches((column,), pattern))
        if facts.account is not None or not case.is_any_account:
            yield no_column, _Owner(None)
            return
        by_field = Field(row.arn, ACCOUNT)
        for condition, owner in self._owners_by_text(by_field, lambda parts: matches(row.arn, field_pattern(ACCOUNT, parts))):
            yield all_of((no_column, condition)), owner
        is_id = matches(row.arn, field_pattern(ACCOUNT, ACCOUNT_ID))
        yield all_of((no_column, negation(is_id))), _Owner(None)

    def _owners_by_text(
        self, text: tuple[Column, ...] | Field, condition_of: Callable[[tuple[Part, ...]], Formula]
    ) -> Iterator[tuple[Formula, _Owner]]:
        """An owner for each account that is known, and one for all others."""
        ids = sorted(self._recorded.accounts | ({self._principal.account} if self._principal.account else set()))
        if len(ids) > _MAX_ACCOUNTS:
            yield condition_of(ACCOUNT_ID), _Owner(None, is_known=False)
            return
        conditions = [condition_of((id_,)) for id_ in ids]
        yield from zip(conditions, map(_Owner, ids), strict=True)
        other = next(id_ for id_ in map("{:012d}".format, range(len(ids) + 1)) if id_ not in ids)
        yield all_of((condition_of(ACCOUNT_ID), negation(any_of(conditions)))), _Owner(other, text)

    # -- decisions over profiles -------------------------------------------------------------------------------------------

    def _profiles(self, row: Row, sample: str, owner: _Owner) -> tuple[PrincipalProfile, ResourceProfile, EndpointProfile | None]:
        return self._engine.profiles(self._principal, sample, row.request, owner.account)

    def _of_profile(self, row: Row, sample: str, owner: _Owner, *, is_any_region: bool = False) -> Formula:
        """Where requests on resources with the profile of a sample are allowed."""
        if not owner.is_known:
            return Unknown("resource_account", "D23")
        try:
            principal, resource, endpoint = self._profiles(row, sample, owner)
        except RequestValueError:  # the constants contradict the record (K1, D23)
            return False
        keys = RowKeys(row, principal, resource, endpoint, is_any_region, owner.text)
        agree = keys.agree(self._recorded.accounts)
        if self.is_always_allowed or agree is False:
            return agree
        if endpoint is not None and not endpoint.known and principal.kind is not PrincipalKind.SVC:
            return False
        action = split_action(row.request.action)
        verdicts = self.statements.verdicts(applicable_layers(principal, resource, endpoint, action, row.settings), keys)
        return all_of((agree, allowed(principal, decision_inputs(principal, resource, action, row.settings), verdicts)))

    def _of_any_resource(self, row: Row) -> Formula:
        """A superset for directories with too many records: resource policies and RCPs are unknown (H50)."""
        unknown = Unknown("Resource", "too many resource policies")
        if self.is_always_allowed:
            return unknown
        principal, resource, endpoint = self._profiles(row, self._sample(), _Owner(None))
        if endpoint is not None and not endpoint.known and principal.kind is not PrincipalKind.SVC:
            return False
        keys = RowKeys(row, principal, resource, endpoint, True, is_any_resource=True)
        action = split_action(row.request.action)
        layers = [
            LayerInput(layer.layer, None) if layer.layer in (Layer.RCP, Layer.RESOURCE) else layer
            for layer in applicable_layers(principal, resource, endpoint, action, row.settings)
        ]
        verdicts = replace(self.statements.verdicts(layers, keys), match=dict.fromkeys(CLASSES, unknown))
        inputs = decision_inputs(principal, resource, action, row.settings)
        inputs = replace(inputs, service_refusal=None, required=False, public_access=False)
        found = any_of(allowed(principal, replace(inputs, same_account=same), verdicts) for same in (True, False))
        # the Denies of resources are left out, also where no grant of a resource matters
        return all_of((unknown, found))


class _Starts:
    """Cases below records, with their formulas, by the start of their ARNs."""

    def __init__(self) -> None:
        self._found: dict[str, list[tuple[ArnCase, Formula]]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, case: ArnCase, formula: Formula) -> None:
        self._found.setdefault(case.start, []).append((case, formula))
        self._count += 1

    def find(self, arn: str) -> Formula | None:
        """The formula of the case with the longest start that contains an ARN."""
        for end in range(len(arn), 0, -1) if self._found else ():
            for case, formula in self._found.get(arn[:end], ()):
                if patterns.matches(case.pattern or (case.start, Symbol.ANY), arn):
                    return formula
        return None


def _rest(service: str, start: str, account: str = "") -> tuple[Part, ...]:
    """ARNs of a service whose last field has this start."""
    field: Part = account or Symbol.FIELD
    return ("arn:", Symbol.FIELD, f":{service}:", Symbol.FIELD, ":", field, f":{start}", Symbol.ANY)


def _any_case(cases: Iterable[tuple[Formula, Formula]]) -> Formula:
    """The formula of the one case whose condition is true; equal formulas once."""
    by_formula: dict[Formula, list[Formula]] = {}
    for condition, formula in cases:
        by_formula.setdefault(formula, []).append(condition)
    return any_of(all_of((any_of(conditions), formula)) for formula, conditions in by_formula.items())
