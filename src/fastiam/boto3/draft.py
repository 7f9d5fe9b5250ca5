"""A first policy of recorded calls, without the policies that the code has today (T121)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastiam.analysis.proof.prove import no_new_access
from fastiam.analysis.proof.result import ProofResult
from fastiam.boto3.recorded import CheckedRequest, SeenCall
from fastiam.model.logged_calls import LoggedOutcome

_REGION, _TAG = "aws:RequestedRegion", "aws:RequestTag/"
_NO_STREAM = ":log-stream:"
_Conditions = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Draft:
    """A policy that allows what was recorded, and nothing else.

    Attributes
    ----------
    document
        the actions by service and resources. What a call creates has `*` in place of its id.
    unresolved
        actions whose resources the calls do not determine, with the operation: they are not in the document.
    unmapped
        operations without known requests, as `service:Operation`.
    calls
        the number of calls that were used.
    """

    document: Mapping[str, Any]
    unresolved: tuple[tuple[str, str], ...]
    unmapped: tuple[str, ...]
    calls: int

    def __str__(self) -> str:
        lines = [json.dumps(self.document, indent=2)]
        out = "not in the policy:"
        lines += [f"{out} `{action}` of {operation}, on an unknown resource" for action, operation in self.unresolved]
        lines += [f"{out} {operation}, which has no mapping" for operation in self.unmapped]
        return "\n".join(lines)


def draft_of(seen: Iterable[SeenCall], *, conditions: bool) -> Draft:
    """Return a policy of recorded calls, checked both ways: it allows each request, and has no action that none needs.

    Parameters
    ----------
    seen
        calls; those that the endpoint denied, or that failed before authorization, do not count.
    conditions
        limit each statement to the Region and the tags that its requests have in common.
    """
    used = [call for call in seen if call.outcome is LoggedOutcome.ALLOWED]
    requests = [request for call in used for request in call.requests]
    known = [each for each in requests if each.action and each.resource is not None]
    document = {"Version": "2012-10-17", "Statement": list(_statements(known, conditions))}
    _check(document, known)
    unresolved = dict.fromkeys((each.action, each.operation) for each in requests if each.action and each.resource is None)
    unmapped = dict.fromkeys(f"{each.service}:{each.operation}" for each in requests if not each.action)
    return Draft(document, tuple(unresolved), tuple(unmapped), len(used))


def _statements(requests: Sequence[CheckedRequest], conditions: bool) -> Iterator[dict[str, Any]]:
    """Yield a statement for the actions of a service with the same resources and conditions."""
    by_action: dict[str, list[CheckedRequest]] = {}
    for each in requests:
        by_action.setdefault(each.action, []).append(each)
    grouped: dict[tuple[str, tuple[str, ...], _Conditions], list[str]] = {}
    for action in sorted(by_action):
        of_action = by_action[action]
        resources = tuple(sorted({_pattern(each) for each in of_action}))
        common = _common(of_action) if conditions else ()
        grouped.setdefault((action.partition(":")[0], resources, common), []).append(action)
    for (_, resources, common), actions in grouped.items():
        statement: dict[str, Any] = {"Effect": "Allow", "Action": actions, "Resource": list(resources)}
        if common:
            statement["Condition"] = {"StringEquals": dict(common)}
        yield statement


def _pattern(request: CheckedRequest) -> str:
    """Return the ARN of a request as a pattern. Keys of objects are literal, other `*` stand for an id that is not known yet."""
    resource = str(request.resource)
    if resource.endswith(_NO_STREAM):  # as AWS's guide names a log group
        return resource.removesuffix(_NO_STREAM) + ":*"
    if ":secretsmanager:" in resource:
        return request.forms[0] if request.forms else resource
    if ":s3:" not in resource:
        return resource
    return "".join(f"${{{char}}}" if char in "*?$" else char for char in resource)


def _common(requests: Sequence[CheckedRequest]) -> _Conditions:
    first, *others = [request.context for request in requests]
    keys = (key for key, value in first.items() if (key == _REGION or key.startswith(_TAG)) and isinstance(value, str))
    return tuple(sorted((key, str(first[key])) for key in keys if all(other.get(key) == first[key] for other in others)))


def _check(document: Mapping[str, Any], requests: Sequence[CheckedRequest]) -> None:
    """Check both guarantees by proof. INVARIANT: each recorded request is allowed, and each action is needed."""
    statements: list[dict[str, Any]] = document["Statement"]
    needed: dict[tuple[str, str, _Conditions], None] = {}
    for each in requests:
        needed[each.action, _pattern(each), _common([each])] = None
    for action, resource, common in needed:
        own: dict[str, Any] = {"Effect": "Allow", "Action": action, "Resource": resource}
        own |= {"Condition": {"StringEquals": dict(common)}} if common else {}
        if no_new_access(document, {**document, "Statement": [own]}).result is not ProofResult.PROVED:
            raise AssertionError(f"the draft does not allow `{action}` on `{resource}`")
    for statement in statements:
        for action in statement["Action"]:
            kept = {**statement, "Action": [other for other in statement["Action"] if other != action]}
            rest = [kept if one is statement else one for one in statements if one is not statement or kept["Action"]]
            if rest and no_new_access({**document, "Statement": rest}, document).result is not ProofResult.NEW_ACCESS:
                raise AssertionError(f"the draft does not need `{action}`")
