"""`fastiam.simulate`: one decision over loose documents. It is also the shape of a conformance case."""

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

    For policy arguments `None` means that the layer is not there, an empty list that it is there and allows nothing. A
    policy is JSON text, bytes, or a parsed mapping.

    Parameters
    ----------
    principal : an ARN (root, user, role, session, federated user, provider), a service name, `*`, or a `Session`
        How a string gets its kind is in spec N3. A `Session` may bring session policies, tags and session keys.
    action : one literal action, `s3:GetObject`
    resource : `*`, or one literal ARN
    context : context keys; a list is several values. What is given here wins over what would be derived (K1).
    now : the instant of the request, an aware datetime; the clock is read where none is given.
    resource_account : owner of the resource, where its ARN does not tell (D23).
    identity_policies : the principal's own, its groups' included; for a session those of its issuer.
    resource_policy : of the resource; a trust policy or key policy comes here too (D18).
    permissions_boundary : one document, or several that form one layer.
    scps, rcps : one list of documents per level of the organisation path, root first.
    vpc_endpoint_policies : of the endpoint that the request came through.
    unknown : context keys of which nothing is known, or prefixes such as `aws:ResourceTag/*`, which stand for all keys that
        start so and that `context` does not hold (spec 6.11). An answer that depends on them is DEPENDS and names them.
    engine : `reference` is the slow, literal evaluator; both give the same answer.
    mode : `strict` rejects documents with errors; `lenient` reads them as spec F5 says.

    Raises
    ------
    PolicyError: a document is rejected; the message points at line and column.
    RequestValueError: another argument cannot be read, or names a layer that the requester's kind cannot have (D6).
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
        from fastiam.spec import decide

        return decide(profile, target, request, endpoint=endpoint).decision
    from fastiam.simulation.ad_hoc_engine import decide_profiles

    return decide_profiles(profile, target, request, endpoint, Settings())
