"""`fastiam.simulate`: one decision over ad-hoc policies. A conformance case has the same shape."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Literal

from fastiam.directory.stored_policies import Mode, PolicyLike
from fastiam.model.arguments import check_choice
from fastiam.model.decision import Decision
from fastiam.model.profile import Settings
from fastiam.model.request import Context
from fastiam.model.session import Session
from fastiam.simulation.profiles import profiles_from_documents


def simulate(
    principal: str | Session,
    action: str,
    resource: str,
    *,
    context: Context = {},  # noqa: B006  (a mapping that is only read)
    now: datetime | None = None,
    resource_account: str | None = None,
    identity_policies: Sequence[PolicyLike] = (),
    resource_policy: PolicyLike | None = None,
    permissions_boundary: PolicyLike | Sequence[PolicyLike] | None = None,
    session_policies: Sequence[PolicyLike] | None = None,
    scps: Sequence[Sequence[PolicyLike]] | None = None,
    rcps: Sequence[Sequence[PolicyLike]] | None = None,
    vpc_endpoint_policies: Sequence[PolicyLike] | None = None,
    unknown: Collection[str] = (),
    engine: Literal["compiled", "reference"] = "compiled",
    mode: Mode = "strict",
) -> Decision:
    """Decide one request over the policies given, and nothing else.

    For policy arguments, `None` means that there is no such layer; an empty list is a layer that allows nothing. A policy is
    JSON text, bytes, or a parsed mapping.

    Parameters
    ----------
    principal
        an ARN (root, user, role, session, federated user, provider), a service name, `*`, or a `Session` Spec N3 defines the kind
        of a string. A `Session` may have session policies, tags and session keys.
    action
        one literal action, `s3:GetObject`
    resource
        `*`, or one literal ARN
    context
        context keys; a list is several values. A given value takes precedence over a derived one (K1).
    now
        the instant of the request, an aware datetime; None: the clock.
    resource_account
        owner of the resource, if its ARN has no account (D23).
    identity_policies
        of the principal and its groups; for a session, of its issuer.
    resource_policy
        of the resource; also a trust policy or key policy (D18).
    permissions_boundary
        one document, or several that form one layer.
    scps, rcps
        one list of documents per level of the organisation path, root first.
    vpc_endpoint_policies
        of the endpoint that the request came through.
    unknown
        context keys with unknown values, or prefixes such as `aws:ResourceTag/*` for all keys with this prefix that are not in
        `context` (spec 6.11). A decision that depends on them is DEPENDS and names them.
    engine
        `reference` is the slow specification evaluator; both give the same decision.
    mode
        `strict` rejects documents with errors; `lenient` reads them as spec F5 says.

    Raises
    ------
    PolicyError
        a document is rejected; the message points at line and column.
    RequestValueError
        another argument cannot be read, or names a layer that the kind of the principal cannot have (D6).
    """
    check_choice(engine, "engine", "engine", "compiled", "reference")
    profile, target, endpoint, request = profiles_from_documents(
        principal,
        action,
        resource,
        context=context,
        now=now,
        resource_account=resource_account,
        identity_policies=identity_policies,
        resource_policy=resource_policy,
        permissions_boundary=permissions_boundary,
        session_policies=session_policies,
        scps=scps,
        rcps=rcps,
        vpc_endpoint_policies=vpc_endpoint_policies,
        unknown=unknown,
        mode=mode,
    )
    if engine == "reference":
        from fastiam.spec import decide  # PERF: the compiled engine does not need it

        return decide(profile, target, request, endpoint=endpoint).decision
    from fastiam.simulation.ad_hoc_engine import decide_profiles  # PERF: `reference` does not need it

    return decide_profiles(profile, target, request, endpoint, Settings())
