"""The messages about a call that is refused, undecided, or was sent without a check."""

from __future__ import annotations

import botocore

from fastiam.analysis.access.call_decisions import CallDecision
from fastiam.boto3.call_errors import UncheckedCall
from fastiam.boto3.recorded import CheckedRequest, name_of
from fastiam.boto3.refusals import refusal_message
from fastiam.model.key_registry import spelled
from fastiam.sources.sdk_calls.call_keys import CALLED_VIA


def refused_message(request: CheckedRequest) -> str:
    """Return the text of a refused request, as AWS writes it."""
    assert request.decision is not None
    principal = name_of(request.principal) if request.principal is not None else "*"
    return refusal_message(principal, request.action, request.resource or "*", request.decision)


_LET_PASS = "help: `depends='warn'` lets such calls pass with a warning"


def undecided_message(request: CheckedRequest, decision: CallDecision) -> str:
    """Return what a request that is undecided depends on, and what to give for it."""
    names = [spelled(key) for key in decision.depends_on]
    resource = request.resource or "an unknown resource"
    text = f"`{request.service}` `{request.operation}` is undecided: `{request.action}` on `{resource}` depends on"
    text += f" {', '.join(names)}"
    if request.context.get(CALLED_VIA):
        return f"{text}, and a service makes this request for the caller\n{_LET_PASS}"
    keys = [name for name in names if ":" in name]
    if keys:
        return f"{text}\nhelp: " + ", ".join(f'context={{"{name}": ...}}' for name in keys)
    return f"{text}, which the call does not contain\n{_LET_PASS}"


def not_announced(service: str, operation: str) -> UncheckedCall:
    """Return the error for a call that botocore did not announce (T102)."""
    text = f"`{service}` `{operation}` was sent without a check: botocore {botocore.__version__} did not announce it, or a"
    return UncheckedCall(f"{text} handler that was registered before answered it")
