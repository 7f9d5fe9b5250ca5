"""Proofs for planned changes: what is known only after the change is applied is never proved (H63)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from fastiam.analysis.proof.prove import no_new_access
from fastiam.analysis.proof.result import Proof, ProofResult
from fastiam.errors import FastiamError
from fastiam.model.decision import Outcome
from fastiam.model.protocols import AnalysisEngine
from fastiam.sources.plans.facts import UNKNOWN_PREFIX

_OPEN = "it depends on what the change does not say, or on what is not compared"


def prove_change(
    old: AnalysisEngine, new: AnalysisEngine, undecided: Collection[object], unknown: Sequence[str], **options: Any
) -> Proof:
    """Prove that a change gives no new access to any principal, as `fastiam.no_new_access` does for two engines.

    Parameters
    ----------
    undecided, unknown
        those of the planned change.
    options
        of `fastiam.no_new_access`.

    Returns
    -------
    Proof
        NEW_ACCESS only with a request whose decisions hold for each value of the unknown keys; PROVED only if nothing is
        undecided.
    """
    proof = no_new_access(old, new, **options)
    if not undecided:
        return proof
    by_principal = {name: _certain(one, old, new, unknown) for name, one in proof.by_principal.items()}
    found = _certain(proof, old, new, unknown)
    if found.request is None:
        found = next((one for one in by_principal.values() if one.request is not None), found)
    if found.request is None:
        reason = f"{found.reason}; {_OPEN}" if found.reason and found.reason != _OPEN else _OPEN
        found = replace(found, result=ProofResult.UNDECIDED, reason=reason)
    return replace(found, combinations=proof.combinations, by_principal=by_principal)


def _certain(proof: Proof, old: AnalysisEngine, new: AnalysisEngine, unknown: Sequence[str]) -> Proof:
    """Return a proof, undecided if the decisions of its request depend on the keys of a planned change."""
    if proof.request is None:
        return proof
    context = _without_unknown(proof.request.context)
    asked = proof.request.session or proof.request.principal, proof.request.action, proof.request.resource, context
    given: dict[str, Any] = {"resource_account": proof.request.resource_account, "now": proof.request.now, "unknown": unknown}
    try:
        before, after = (engine.explain(*asked, **given).decision.outcome for engine in (old, new))
    except FastiamError:
        before = after = Outcome.DEPENDS
    if after is Outcome.ALLOW and before in (Outcome.IMPLICIT_DENY, Outcome.EXPLICIT_DENY):
        return replace(proof, request=replace(proof.request, context=context))
    return replace(proof, result=ProofResult.UNDECIDED, request=None, statement=None, stronger=False, reason=_OPEN)


def _without_unknown(context: Mapping[str, str | list[str]]) -> dict[str, str | list[str]]:
    return {key: value for key, value in context.items() if not key.startswith(UNKNOWN_PREFIX)}
