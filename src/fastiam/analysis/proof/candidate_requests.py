"""Requests for candidates of a proof, and their decisions under both sides by the engine and the specification evaluator.

INVARIANT: a request that is returned is allowed with the new policies and not with the old ones, by both evaluators.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from fastiam.analysis.proof.key_values import CLOCK_NAME
from fastiam.analysis.proof.search import Candidate
from fastiam.errors import RequestValueError
from fastiam.model.arn import Arn, is_account, split_arn
from fastiam.model.decision import Layer, StatementRef
from fastiam.model.explanation import Explanation
from fastiam.model.key_registry import fold
from fastiam.model.policy import Effect, Policy, PolicyKind
from fastiam.model.profile import Policies, PrincipalKind, PrincipalProfile, ResourceProfile, Settings
from fastiam.model.request import ContextValue, Request, date_text
from fastiam.model.result import Json, Result, fields_to_json, to_json
from fastiam.model.session import Session
from fastiam.policy.document import read_policy
from fastiam.simulation.ad_hoc_engine import decide_profiles
from fastiam.simulation.profiles import profiles_from_documents
from fastiam.spec import decide
from fastiam.spec.actions import split_action
from fastiam.spec.service_rules import needs_resource_policy

ACCOUNT, OTHER_ACCOUNT, NAME = "123456789012", "210987654321", "probe"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
SETTINGS = Settings()
# keys that the engine derives from principal, resource and other keys: a request does not contain them (H57, H75)
_DERIVED = frozenset(
    (
        "aws:principalarn aws:principalaccount aws:principaltype aws:username aws:principalisawsservice aws:principalservicename"
        " aws:resourceaccount aws:viaawsservice aws:calledviafirst aws:calledvialast"
    ).split()
)
_REGION = "aws:requestedregion"


def _policy(document: Mapping[str, object], kind: PolicyKind) -> Policy:
    return read_policy({"Version": "2012-10-17", **document}, kind, name="probe")


ALLOW_ALL: Policies = (
    _policy({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}, PolicyKind.IDENTITY),
)  # what a principal has beside the policies in question
ALLOW_EVERYONE: Policies = (
    _policy({"Statement": {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}}, PolicyKind.RESOURCE),
)


@dataclass(frozen=True, slots=True)
class ProofRequest(Result):
    """A request that the new policies allow and the old ones do not.

    Attributes
    ----------
    principal
        an ARN, service name or `*`.
    session
        a session of it, to be passed to an engine in its place: a federated user, or a role session with session tags.
    context
        condition keys as in `fastiam.simulate`; every other key has any value.
    resource_account
        the owner of the resource.
    now
        the instant of the request, if policies compare it.
    """

    principal: str
    action: str
    resource: str
    context: Mapping[str, str | list[str]] = field(default_factory=dict)
    resource_account: str | None = None
    now: datetime | None = None
    session: Session | None = None

    def to_dict(self) -> dict[str, Json]:
        """Return the JSON form, with `now` as text, and the session without its policies."""
        found = fields_to_json(replace(self, now=None, session=None))
        found["now"] = None if self.now is None else date_text(self.now)
        parts = ("kind", "issuer", "tags", "context")
        session = self.session
        found["session"] = None if session is None else {name: to_json(getattr(session, name)) for name in parts}
        return found


@dataclass(frozen=True, slots=True)
class Probe:
    """A principal that can make the request of a candidate.

    Attributes
    ----------
    context
        keys that principal elements read (K1).
    canonical_id
        of its account, for S3.
    is_bounded
        it has a permissions boundary (N22).
    """

    principal: str | Session
    context: Mapping[str, str | list[str]] = field(default_factory=dict)
    canonical_id: str | None = None
    is_bounded: bool = False

    @property
    def name(self) -> str:
        """The principal as text."""
        return self.principal if isinstance(self.principal, str) else self.principal.arn


@dataclass(frozen=True, slots=True)
class Verified:
    """A request with its decision under the new policies."""

    request: ProofRequest
    statement: StatementRef | None
    stronger: bool = False


class Sides:
    """The old and the new policies of one kind of layer."""

    def __init__(self, kind: PolicyKind, old: Policies, new: Policies) -> None:
        self.kind, self._policies = kind, (old, new)

    def verify(self, candidate: Candidate) -> Verified | None:
        """Return a request of the candidate that both evaluators decide as new access, or None if none is found."""
        for probe in probes(candidate, users=self.kind is not PolicyKind.SESSION):
            for with_region in (False, True):
                made = make_request(candidate, probe, with_region=with_region)
                found = None if made is None else self._verify(*made)
                if found is not None:
                    return found
        return None

    def _verify(
        self, request: ProofRequest, profile: PrincipalProfile, target: ResourceProfile, given: Request
    ) -> Verified | None:
        sides = [_with_layer(self.kind, profile, target, policies, given.action) for policies in self._policies]
        found = newly_allowed(sides[0], sides[1], given)
        if found is None:
            return None
        old, new = found
        is_rcp = self.kind is PolicyKind.RCP
        effect, side = (Effect.DENY, old) if is_rcp else (Effect.ALLOW, new)
        refs = [one.ref for one in side.statements if one.effect is effect and one.ref.layer is Layer(self.kind.value)]
        return Verified(request, refs[0] if refs else None)


Profiles = tuple[PrincipalProfile, ResourceProfile]


def newly_allowed(old: Profiles, new: Profiles, request: Request) -> tuple[Explanation, Explanation] | None:
    """Return the explanations of a request that both evaluators allow for the new profiles and not for the old ones, or None."""
    after = decide(*new, request)
    if not after.decision.allowed:
        return None
    before = decide(*old, request)
    if before.decision.allowed or not decide_profiles(*new, request, None, SETTINGS).allowed:
        return None
    return None if decide_profiles(*old, request, None, SETTINGS).allowed else (before, after)


def _with_layer(
    kind: PolicyKind, profile: PrincipalProfile, target: ResourceProfile, policies: Policies, action: str
) -> tuple[PrincipalProfile, ResourceProfile]:
    """Return the profiles with policies as one layer; the other layers allow all (H55)."""
    profile = replace(profile, identity_policies=ALLOW_ALL)
    if profile.account != target.account or needs_resource_policy(target, split_action(action), SETTINGS):
        target = replace(target, policies=_delegation(profile.account))
    if kind is PolicyKind.IDENTITY:
        profile = replace(profile, identity_policies=policies)
    elif kind is PolicyKind.BOUNDARY:
        profile = replace(profile, boundary=policies, bounded=True)
    elif kind is PolicyKind.SESSION:
        profile = replace(profile, session_policies=policies)
    elif kind is PolicyKind.SCP:
        profile = replace(profile, scps=(policies,), scp_note="")
    else:
        target = replace(target, rcps=(policies,), rcp_note="")
    return profile, target


def _delegation(account: str | None) -> Policies:
    statement = {"Effect": "Allow", "Principal": {"AWS": account or ACCOUNT}, "Action": "*"}
    return (_policy({"Statement": statement}, PolicyKind.RESOURCE),)


# -- requests ---------------------------------------------------------------------------------------------------------


def text_of(candidate: Candidate, key: str) -> str | None:
    """Return the single value of a key by its folded name, or None."""
    for name, value in candidate.values.items():
        if fold(name) == key and value.value is not None and not value.value.multi:
            return value.value.values[0]
    return None


def probes(candidate: Candidate, *, users: bool = True) -> Iterator[Probe]:
    """Yield principals with an account for a candidate: a user, and a session of a role (H56)."""
    arn = split_arn(candidate.resource)
    partition = "aws" if arn is None else arn.partition
    given = text_of(candidate, "aws:principalaccount")
    account = given if given and is_account(given) else arn.account if arn and is_account(arn.account) else ACCOUNT
    named = split_arn(text_of(candidate, "aws:principalarn") or "")
    if named is not None and named.service == "iam" and is_account(named.account):
        if named.rest.startswith("user/"):
            yield Probe(str(named))
            return
        if named.rest.startswith("role/"):
            yield Probe(role_session(named))
            return
    if users:
        yield Probe(f"arn:{partition}:iam::{account}:user/{text_of(candidate, 'aws:username') or NAME}")
    yield Probe(role_session(Arn(partition, "iam", "", account, f"role/{NAME}")))


def role_session(role: Arn, name: str = NAME) -> Session:
    """Return a session of a role by the name of the session."""
    arn = f"arn:{role.partition}:sts::{role.account}:assumed-role/{role.rest.rpartition('/')[2]}/{name}"
    return Session(arn, kind=PrincipalKind.ROLE, issuer=str(role))


def make_request(
    candidate: Candidate, probe: Probe, *, owner: str | None = None, with_region: bool = False
) -> tuple[ProofRequest, PrincipalProfile, ResourceProfile, Request] | None:
    """Return the request of a candidate by a principal, with its profiles without policies; None if there is no such request."""
    now: datetime = NOW
    context: dict[str, str | list[str]] = {}
    for name, value in candidate.values.items():
        if name == CLOCK_NAME and value.value is not None:
            now = datetime.fromtimestamp(int(value.value.values[0]), UTC)
        elif value.value is not None and fold(name) not in _DERIVED and (with_region or fold(name) != _REGION):
            context |= _given(name, value.value)
    context |= {**_service_chain(candidate, context), **probe.context}
    arn = split_arn(candidate.resource)
    if owner is None:
        given = text_of(candidate, "aws:resourceaccount")
        owner = given if given and is_account(given) and arn is not None and not is_account(arn.account) else None
    try:
        profile, target, _, request = profiles_from_documents(
            probe.principal, candidate.action, candidate.resource, context=context, now=now, resource_account=owner, mode="strict"
        )
    except RequestValueError:
        return None
    profile = replace(profile, canonical_id=probe.canonical_id, bounded=probe.is_bounded)
    if probe.is_bounded:
        profile = replace(profile, boundary=ALLOW_ALL)
    has_clock = CLOCK_NAME in candidate.values
    shown = ProofRequest(probe.name, candidate.action, candidate.resource, context, owner, now if has_clock else None)
    return shown, profile, target, request


def _service_chain(candidate: Candidate, context: Mapping[str, object]) -> dict[str, list[str]]:
    """Return `aws:CalledVia` for the values of the keys that are derived from it."""
    if any(fold(name) == "aws:calledvia" for name in context):
        return {}
    first, last = text_of(candidate, "aws:calledviafirst"), text_of(candidate, "aws:calledvialast")
    chain = [service for service in dict.fromkeys((first, last)) if service]
    if not chain and (text_of(candidate, "aws:viaawsservice") or "").lower() == "true":
        chain = ["ec2.amazonaws.com"]
    return {"aws:CalledVia": chain} if chain else {}


def _given(name: str, value: ContextValue) -> dict[str, str | list[str]]:
    """Return a value as a caller passes it; two spellings of the key for one that has a conflict (C6)."""
    if value.conflict:
        first, *others = value.values
        return {name: first, name.swapcase(): others[0] if len(others) == 1 else others}
    return {name: list(value.values) if value.multi else value.values[0]}
