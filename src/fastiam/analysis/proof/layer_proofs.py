"""Proofs about the policies of one layer: that new ones allow nothing that old ones do not, or a request that shows the contrary.

Policies are compared as statements of one layer (docs/proofs.md). A request is returned only if the engine and the specification
evaluator decide it as new access; a proof only if no cell of `search` has a candidate. All else is undecided.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from fastiam.analysis.proof import resource_policies
from fastiam.analysis.proof.candidate_requests import Sides
from fastiam.analysis.proof.cells import ProofLimitError
from fastiam.analysis.proof.formula import Budget
from fastiam.analysis.proof.result import Proof, ProofResult
from fastiam.analysis.proof.run import make_budget, run_cases
from fastiam.analysis.proof.search import ALWAYS_OF_ACCOUNTS, Case, Scope, layer_gain
from fastiam.analysis.proof.statement_formulas import BoundStatement
from fastiam.directory.stored_policies import Mode, PolicyLike
from fastiam.errors import RequestValueError
from fastiam.model.arguments import check_choice
from fastiam.model.policy import PolicyKind
from fastiam.model.profile import Policies
from fastiam.model.request import shorten
from fastiam.policy.action_patterns import split_action_pattern
from fastiam.policy.document import read_policy
from fastiam.policy.wildcards import matches_everything

Kind = Literal["identity", "boundary", "session", "resource", "trust", "scp", "rcp"]
KINDS = ("identity", "boundary", "session", "resource", "trust", "scp", "rcp")
LIMIT, TIMEOUT = 300_000, 10.0
# AWS decides these calls without identity policies (6.3, 7.4)
_WITHOUT_POLICIES = ("sts:getcalleridentity", "sts:getsessiontoken")
_NAMING_PRINCIPALS = (PolicyKind.RESOURCE, PolicyKind.TRUST, PolicyKind.RCP)


def read_side(given: PolicyLike | Sequence[PolicyLike], kind: str, mode: Mode, name: str) -> Policies:
    """Return the policies of an argument.

    Raises
    ------
    PolicyError, RequestValueError
        as `no_new_access`.
    """
    check_choice(kind, "kind", "kind", *KINDS)
    if isinstance(given, (str, bytes, Mapping)):
        return (read_policy(given, PolicyKind(kind), mode=mode, name=name),)
    if not isinstance(given, Sequence):
        raise RequestValueError(f"policies come as a list of documents, not `{type(given).__name__}`", column=name)
    documents: Sequence[Any] = given
    return tuple(read_policy(one, PolicyKind(kind), mode=mode, name=f"{name}[{i}]") for i, one in enumerate(documents))


def prove_not_granted(
    policies: Policies,
    actions: Sequence[str],
    resources: Sequence[str],
    kind: str,
    *,
    partitions: Collection[str] = ("aws",),
    limit: int = LIMIT,
    timeout: float | None = TIMEOUT,
) -> Proof:
    """Return the proof of `access_not_granted` for policies that are read.

    A request in question is one that the same policies with a Deny for the patterns no longer allow.
    """
    check_grants(kind)
    _check_patterns(actions, resources)
    statement: dict[str, object] = {"Effect": "Deny", "Action": list(actions) or "*"}
    if kind != "trust":
        statement["Resource"] = list(resources) or "*"
    if kind in ("resource", "trust"):
        statement["Principal"] = "*"
    denial = read_policy({"Version": "2008-10-17", "Statement": statement}, PolicyKind(kind), mode="lenient", name="question")
    budget = make_budget(limit, timeout)
    return prove_within((*policies, denial), policies, PolicyKind(kind), tuple(partitions), False, budget, granted=True)


def check_grants(kind: str) -> None:
    if kind == "rcp":
        raise RequestValueError("an RCP grants no access", column="kind", hint="pass the policies that grant")


def _check_patterns(actions: Sequence[str], resources: Sequence[str]) -> None:
    for text in actions:
        if not matches_everything(text) and split_action_pattern(text) is None:
            raise RequestValueError(f"`{shorten(text)}` is not a pattern of actions", column="actions", hint="write `s3:Get*`")
    for text in resources:
        if not matches_everything(text) and not text.startswith("arn:"):
            raise RequestValueError(f"`{shorten(text)}` is not a pattern of resources", column="resources", hint="write an ARN")


def prove(
    old: Policies,
    new: Policies,
    kind: PolicyKind,
    *,
    partitions: Collection[str] = ("aws",),
    actions: Literal["any", "known"] = "any",
    limit: int = LIMIT,
    timeout: float | None = TIMEOUT,
) -> Proof:
    """Return the proof for policies that are read."""
    check_choice(actions, "actions", "actions", "any", "known")
    return prove_within(old, new, kind, tuple(partitions), actions == "known", make_budget(limit, timeout))


def prove_within(
    old: Policies,
    new: Policies,
    kind: PolicyKind,
    partitions: tuple[str, ...],
    known_actions: bool,
    budget: Budget,
    *,
    granted: bool = False,
) -> Proof:
    """Return the proof of one layer; UNDECIDED if it exceeds the budget. `granted` is that of `resource_policies.cases`."""
    try:
        return _prove(old, new, kind, partitions, known_actions, budget, granted)
    except ProofLimitError as error:
        return Proof(ProofResult.UNDECIDED, reason=str(error), combinations=budget.tried)


def _prove(
    old: Policies,
    new: Policies,
    kind: PolicyKind,
    partitions: tuple[str, ...],
    known_actions: bool,
    budget: Budget,
    granted: bool,
) -> Proof:
    before, after = ([BoundStatement(policy, one) for policy in side for one in policy.statements] for side in (old, new))
    if kind in _NAMING_PRINCIPALS:
        scope = resource_policies.scope_of(kind, partitions, known_actions)
        found = resource_policies.principals((*before, *after), partitions)
        scope = replace(scope, resource_patterns=(*scope.resource_patterns, *resource_policies.resource_patterns(found)))
        cases = resource_policies.cases(kind, (old, new), (before, after), found, granted=granted)
        return run_cases(cases, scope, budget)
    scope = Scope(
        partitions, ALWAYS_OF_ACCOUNTS, tuple((text,) for text in _WITHOUT_POLICIES), covers_action=_is_decided_by_policies
    )
    case = Case(before, after, layer_gain, Sides(kind, old, new).verify)
    return run_cases([case], replace(scope, known_actions=known_actions), budget)


def _is_decided_by_policies(action: tuple[str, str]) -> bool:
    return ":".join(action) not in _WITHOUT_POLICIES
