"""Resources that stand for all that a pattern matches, so that a call whose resource has an unknown id can be decided (T109).

INVARIANT: each pattern of a policy that is about the action matches all resources of the form, or none of them, and each resource
of the form with a record is one of those returned. So the other ones are decided as their representative.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from fastiam.analysis.pattern_sets import PatternSet, action_pattern_set, intersects_patterns, resource_pattern_set
from fastiam.model.policy import Policy, Statement
from fastiam.policy.wildcards import glob
from fastiam.resolve.snapshot import Snapshot

_MAX_RECORDS = 20
_NO_ID = "id-that-the-call-does-not-contain"
_SUFFIX = "-??????"  # of the ARN of a secret


def representatives(snapshot: Snapshot, action: str, form: str, *, session_policies: Iterable[Policy] = ()) -> list[str] | None:
    """Return resources that stand for all of a form, an ARN with `*`; None if policies or records distinguish too many.

    A form that ends in `-??????` is of a secret by name: one record determines it.
    """
    if form == "*":
        return [form]
    matches = glob(form).fullmatch
    recorded = [arn for arn in chain((arn for arn, _ in snapshot.resources()), snapshot.entity_resources()) if matches(arn)]
    if form.endswith(_SUFFIX) and len(recorded) == 1:
        return recorded
    target, wanted = resource_pattern_set(form, False, {}, frozenset()), action_pattern_set(action)
    if target is None or wanted is None or len(recorded) > _MAX_RECORDS:
        return None
    for policy in chain(snapshot.policies(), session_policies):
        if any(_divides(policy, statement, wanted, target) for statement in policy.statements):
            return None
    return [form.replace("*", _NO_ID).replace("?", "x"), *recorded]


def _divides(policy: Policy, statement: Statement, wanted: PatternSet, target: PatternSet) -> bool:
    """Whether a statement about the action matches some resources of a form, and perhaps not the others."""
    actions = [found for text in statement.actions or ("*",) if (found := action_pattern_set(text)) is not None]
    if not intersects_patterns(actions, statement.not_action, wanted):
        return False
    for text in statement.resources or ():
        pattern = resource_pattern_set(text, policy.variables, {}, frozenset())
        if pattern is not None and pattern.intersects(target) and not target.is_subset_of(pattern):
            return True
    return False
