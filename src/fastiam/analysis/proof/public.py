"""`fastiam.not_public`: whether a policy of a resource is public, as D33 and AWS's list of fixed values define it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from fastiam.analysis.proof import resource_policies
from fastiam.analysis.proof.cells import ProofLimitError
from fastiam.analysis.proof.layer_proofs import LIMIT, TIMEOUT, read_side
from fastiam.analysis.proof.names import arn_symbols
from fastiam.analysis.proof.result import Proof, ProofResult
from fastiam.analysis.proof.run import make_budget, run_cases
from fastiam.analysis.proof.statement_formulas import BoundStatement
from fastiam.directory.stored_policies import Mode, PolicyLike
from fastiam.errors import RequestValueError
from fastiam.model.arguments import check_choice, check_type
from fastiam.model.arn import Arn, split_arn
from fastiam.model.policy import PolicyKind
from fastiam.model.profile import PrincipalKind
from fastiam.model.request import shorten
from fastiam.resolve.public_access import is_public
from fastiam.spec.principal_entries import read_entry

_NO_REQUEST = "a statement is public (D33), and no request was found that the policy allows to a principal that it does not name"


def not_public(
    policy: PolicyLike | Sequence[PolicyLike],
    arn: str,
    *,
    kind: Literal["resource", "trust"] = "resource",
    limit: int = LIMIT,
    timeout: float | None = TIMEOUT,
    mode: Mode = "strict",
) -> Proof:
    """Prove that a policy of a resource is not public, or find a request that it allows to a principal that it does not name.

    A policy is public if an Allow for everyone is not limited by a condition with fixed values (D33). A fixed range of private or
    few addresses limits it.

    Parameters
    ----------
    arn
        the resource with the policy; of a bucket, its objects count too.
    kind
        `trust` for the trust policy of a role.
    limit, timeout, mode
        as in `no_new_access`.

    Returns
    -------
    Proof
        PROVED if the policy is not public; NEW_ACCESS with a request; UNDECIDED if it is public and no request shows it, such
        as where a Deny denies all.

    Raises
    ------
    PolicyError
        a document is rejected.
    RequestValueError
        another argument cannot be read.
    """
    check_choice(kind, "kind", "kind", "resource", "trust")
    check_type(arn, str, "arn", "text")
    parts = split_arn(arn)
    if parts is None or kind == "trust" and not (parts.service == "iam" and parts.rest.startswith("role/")):
        what = "a role" if kind == "trust" else "a resource"
        raise RequestValueError(f"`{shorten(arn)}` is not the ARN of {what}", column="arn", hint="write the ARN with the policy")
    given = read_side(policy, kind, mode, "policy")
    if not any(map(is_public, given)):
        return Proof(ProofResult.PROVED)
    statements = [BoundStatement(each, one) for each in given for one in each.statements]
    budget = make_budget(limit, timeout)
    try:
        outside = _outside(statements, parts)
    except ProofLimitError as error:
        return Proof(ProofResult.UNDECIDED, reason=str(error))
    rests = (parts.rest, f"{parts.rest}/*") if parts.service == "s3" and not parts.account else (parts.rest,)
    within = tuple(arn_symbols(parts.partition, parts.service, parts.region, parts.account, rest) for rest in rests)
    scope = resource_policies.scope_of(PolicyKind(kind), (parts.partition,), False)
    scope = replace(scope, resources=within, has_star=False)
    cases = resource_policies.cases(PolicyKind(kind), ((), given), ((), statements), outside, granted=True)
    found = run_cases(cases, scope, budget)
    if found.request is not None:
        return found
    return replace(found, result=ProofResult.UNDECIDED, reason=found.reason or _NO_REQUEST)


def _outside(statements: Sequence[BoundStatement], resource: Arn) -> list[resource_policies.Principal]:
    """Return the principals of no account that the policy or the resource names, unsigned callers first."""
    entries = [read_entry(entry.type, entry.value) for one in statements for entry in one.statement.principals or ()]
    named = {None, resource.account, *(entry.account for entry in entries)}
    found = resource_policies.principals(statements, (resource.partition,))
    unsigned = [one for one in found if one.profile.kind is PrincipalKind.ANON]
    return [*unsigned, *(one for one in found if one.profile.account not in named)]
