"""Invariants over ad-hoc documents: a user and a role of one account with these layers (T74).

Other layers allow everything, as in the proofs of documents (docs/proofs.md). Resources are of the account or of another one.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast

from fastiam.analysis.invariants.classes import Member
from fastiam.analysis.invariants.model import LIMIT, TIMEOUT, Invariant, InvariantResult
from fastiam.analysis.invariants.organization_analysis import OrganizationAnalysis
from fastiam.analysis.invariants.prove_invariant import prove_in
from fastiam.analysis.invariants.routes import Route
from fastiam.analysis.invariants.scope import InvariantScope
from fastiam.analysis.invariants.subjects import of_long_term, sessions_of
from fastiam.analysis.invariants.universe import LISTED, Home
from fastiam.analysis.proof.candidate_requests import ACCOUNT, ALLOW_ALL, NAME, OTHER_ACCOUNT, role_session
from fastiam.directory.account_records import Tables
from fastiam.errors import RequestValueError
from fastiam.model.arn import Arn
from fastiam.model.policy import Policy, PolicyKind
from fastiam.model.profile import PrincipalKind, Settings
from fastiam.model.protocols import AnalysisEngine
from fastiam.model.request import ContextValue
from fastiam.policy.document import read_policy
from fastiam.resolve.snapshot import Snapshot
from fastiam.runtime.forking import cached_property
from fastiam.simulation.profiles import profiles_from_documents


def prove_invariant_of_documents(
    invariant: Invariant,
    layers: Mapping[str, Any],
    *,
    mode: Literal["strict", "lenient"] = "strict",
    limit: int = LIMIT,
    timeout: float | None = TIMEOUT,
) -> InvariantResult:
    """Prove an invariant about `everyone` over documents.

    Parameters
    ----------
    layers
        the arguments of `fastiam.simulate` that are policies.
    mode, limit, timeout
        as in `fastiam.simulate` and `prove_invariant`.

    Raises
    ------
    RequestValueError
        the scope cannot be read, or is about other principals than `everyone`.
    PolicyError
        a document or a condition is rejected.
    """
    engine = cast(AnalysisEngine, _NoDirectory())
    scope = InvariantScope(invariant, engine.snapshot)
    if invariant.quantifier != "never" or invariant.through != "none":
        raise RequestValueError("an invariant over documents is `never`, without `through`", column=invariant.quantifier)
    if scope.principals != (("everyone",),) or scope.excepted:
        raise RequestValueError("an invariant over documents is about `everyone`", column="principals")
    return prove_in(_DocumentAnalysis(engine, invariant, scope, layers, mode), limit=limit, timeout=timeout)


# what a resource policy allows that is not given: a grant to the account bypasses no other layer (6.5)
_DELEGATION = (
    read_policy(
        {
            "Version": "2012-10-17",
            "Statement": {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "*", "Resource": "*"},
        },
        PolicyKind.RESOURCE,
        name="resource policy",
    ),
)


@dataclass(frozen=True, slots=True)
class _NoDirectory:
    """What an analysis reads of an engine, without a directory."""

    snapshot: Snapshot = field(default_factory=lambda: Snapshot(Tables()))
    settings: Settings = field(default_factory=Settings)
    context_defaults: Mapping[str, ContextValue] = field(default_factory=dict)


class _DocumentAnalysis(OrganizationAnalysis):
    """An invariant over documents."""

    def __init__(
        self,
        engine: AnalysisEngine,
        invariant: Invariant,
        scope: InvariantScope,
        layers: Mapping[str, Any],
        mode: Literal["strict", "lenient"],
    ) -> None:
        super().__init__(engine, invariant, scope)
        user = f"arn:aws:iam::{ACCOUNT}:user/{NAME}"
        session = role_session(Arn("aws", "iam", "", ACCOUNT, f"role/{NAME}"))
        of_user = {name: value for name, value in layers.items() if name != "session_policies"}
        self._user, target, self._endpoint, _ = profiles_from_documents(
            user, "s3:GetObject", "arn:aws:s3:::b", mode=mode, **of_user
        )
        self._role = profiles_from_documents(session, "s3:GetObject", "arn:aws:s3:::b", mode=mode, **layers)[0]
        self.everywhere = _DELEGATION if target.policies is None else target.policies
        self._home = Home(
            ACCOUNT, membership=LISTED, has_record=True, scps=self._user.scps, rcps=target.rcps, rcp_note=target.rcp_note
        )

    @cached_property
    def owners(self) -> dict[Hashable, Home]:
        """The account of the principals, and another one."""
        return {home.account: home for home in (self._home, replace(self._home, account=OTHER_ACCOUNT))}

    def routes(self) -> list[Route]:
        """Return the one route: through the endpoint, if the documents have one."""
        return [Route(self._endpoint)]

    @cached_property
    def _members(self) -> list[Member]:
        return list(self._subjects())

    def _subjects(self) -> Iterator[Member]:
        own = self._user.identity_policies or ALLOW_ALL
        names = self.universe.names_after
        for one in of_long_term(replace(self._user, identity_policies=own), LISTED, {}, names, is_recorded=False):
            if one.kind is PrincipalKind.USER:
                yield one, self._home
        for one in sessions_of(replace(self._role, identity_policies=own), names, None, LISTED, {}, is_recorded=False):
            yield one, self._home

    def policies(self) -> list[Policy]:
        """Return the documents."""
        found: list[Policy] = [*self._policies_of_resources(), *self._limit_policies]
        for profile in (self._user, self._role):
            found += (*profile.identity_policies, *(profile.boundary or ()), *(profile.session_policies or ()))
            found += (policy for level in profile.scps or () for policy in level)
        return found

    def _policies_of_resources(self) -> list[Policy]:
        return list(self.everywhere or ())

    @cached_property
    def _limit_policies(self) -> list[Policy]:
        of_endpoint = () if self._endpoint is None else self._endpoint.policies or ()
        return [*(policy for level in self._home.rcps or () for policy in level), *of_endpoint]
