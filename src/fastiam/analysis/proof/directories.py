"""Proofs for whole directories: no principal is newly allowed anything (H78).

A principal whose own policies or keys change is proved with all of its layers. A changed policy of a resource and changed RCPs
are proved for all principals, also for those without a record. INVARIANT: each difference of the two snapshots is proved, or is
part of a request that the engines decide, or leaves the result undecided.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from functools import partial

from fastiam.analysis.access.compare import different_settings
from fastiam.analysis.access.decision_changes import Change
from fastiam.analysis.access.diff import diff
from fastiam.analysis.proof.candidate_requests import (
    NAME,
    NOW,
    Probe,
    ProofRequest,
    Verified,
    make_request,
    role_session,
    text_of,
)
from fastiam.analysis.proof.formula import Budget
from fastiam.analysis.proof.principal_change import PrincipalChange
from fastiam.analysis.proof.result import Proof, ProofResult
from fastiam.analysis.proof.run import run_cases
from fastiam.analysis.proof.search import ALWAYS_OF_ACCOUNTS, Candidate
from fastiam.errors import RequestValueError
from fastiam.model.arn import is_account, split_arn
from fastiam.model.key_registry import SetBy, fold, key_info
from fastiam.model.policy import Effect, Policy, PolicyKind, Statement
from fastiam.model.principal_layers import principal_layers
from fastiam.model.profile import ROLES, Policies, PrincipalKind, PrincipalProfile
from fastiam.model.protocols import AnalysisEngine
from fastiam.model.request import ContextValue
from fastiam.model.session import Session
from fastiam.resolve.changes import changes_between
from fastiam.resolve.derived_keys import TAG
from fastiam.resolve.keys_read import differing_keys, keys_read
from fastiam.resolve.snapshot import Snapshot
from fastiam.runtime.forking import cached_property
from fastiam.spec.principal_elements import check_principals
from fastiam.spec.principal_entries import Form, make_request_principal, read_entry
from fastiam.spec.service_rules import credential_forbids
from fastiam.spec.statement_keys import StatementKeys
from fastiam.spec.three_valued import T

ProveLayer = Callable[[Policies, Policies, PolicyKind, Budget], Proof]
_EVERYTHING = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
_MAX_STORED = 100
_OTHER_ACCOUNTS = ("123456789012", "210987654321")


def prove_directories(
    old: AnalysisEngine,
    new: AnalysisEngine,
    prove_layer: ProveLayer,
    *,
    partitions: Collection[str],
    known_actions: bool,
    budget: Budget,
) -> Proof:
    """Return the proof for two engines; `prove_layer` proves the policies of one layer for all principals."""
    settings = different_settings(old, new)
    if settings:
        return Proof(ProofResult.UNDECIDED, reason=f"the engines differ in {settings}")
    run = _Directories(old, new, prove_layer, tuple(partitions), known_actions, budget)
    return run.proof()


class _Directories:
    """Two engines with equal settings, and the differences of their snapshots."""

    def __init__(
        self,
        old: AnalysisEngine,
        new: AnalysisEngine,
        prove_layer: ProveLayer,
        partitions: tuple[str, ...],
        known_actions: bool,
        budget: Budget,
    ) -> None:
        self._engines, self._prove_layer, self._budget = (old, new), prove_layer, budget
        self._partitions, self._known_actions = partitions, known_actions
        self._old, self._new = old.snapshot, new.snapshot
        self._shared = [policy for snapshot in (self._old, self._new) for policy in _resource_side(snapshot)]

    def proof(self) -> Proof:
        """Return the result, with that of each principal that differs."""
        changes = changes_between(self._old, self._new)
        by_principal = {name: found for name in sorted(changes.principals) if (found := self._of_principal(name)) is not None}
        others = self._others(sorted(changes.resources), sorted(changes.accounts))
        others += [f"the policies of endpoint `{id_}` differ" for id_ in sorted(changes.endpoints) if self._differs_at(id_)]
        if changes.everything:
            others.append("only one directory has endpoint policies")
        found = next((one for one in by_principal.values() if one.request is not None), None)
        if found is None and (others or any(not one.proved for one in by_principal.values())):
            found = self._compared()
        if found is None:
            reasons = [*(f"{name}: {one.reason}" for name, one in by_principal.items() if not one.proved), *others]
            found = Proof(ProofResult.UNDECIDED if reasons else ProofResult.PROVED, reason="; ".join(reasons[:5]))
        return replace(found, combinations=self._budget.tried, by_principal=by_principal)

    # -- principals ---------------------------------------------------------------------------------------------------

    def _of_principal(self, name: str) -> Proof | None:
        """Return the proof for a principal and all of its sessions; None if its profiles are equal."""
        found = [proof for subject in self._subjects(name) if (proof := self._of_subject(subject)) is not None]
        for result in (ProofResult.NEW_ACCESS, ProofResult.UNDECIDED, ProofResult.PROVED):
            for proof in found:
                if proof.result is result:
                    return proof
        return None

    def _subjects(self, name: str) -> Iterator[str | Session]:
        """Yield a principal, and sessions that it issues. Those of a role have its ARN and the same layers."""
        yield name
        arn = split_arn(name)
        is_root = arn is not None and arn.rest == "root"
        if arn is not None and (is_root or arn.rest.startswith("user/")):
            federated = f"arn:{arn.partition}:sts::{arn.account}:federated-user/{NAME}"
            yield Session(federated, kind=PrincipalKind.FED, issuer=name, policies=[_EVERYTHING])
            if is_root:
                yield Session(name, kind=PrincipalKind.AROOT, policies=[_EVERYTHING])
            else:
                yield Session(name, kind=PrincipalKind.USER)

    def _of_subject(self, subject: str | Session) -> Proof | None:
        before, after = self._old.principal(subject), self._new.principal(subject)
        if _content(before) == _content(after):
            return None
        if not after.known:
            return Proof(ProofResult.PROVED)
        if before.known and self._is_read_by_others(before, after):
            reason = "policies of resources read keys of the principal that differ"
            return Proof(ProofResult.UNDECIDED, reason=reason)
        change = PrincipalChange(before, after, self._engines[0].settings, self._matches(after))
        present = ALWAYS_OF_ACCOUNTS | frozenset(self._engines[0].context_defaults)
        scope = change.scope(self._partitions, present, self._known_actions)
        if isinstance(subject, Session) and after.kind is not PrincipalKind.FED:  # all else is as for its long-term credentials
            long_term = self._new.principal(subject.arn)
            scope = replace(scope, covers_action=partial(credential_forbids, long_term))
        if not scope.partitions:
            return Proof(ProofResult.PROVED)

        def verify(candidate: Candidate, match: str) -> Verified | None:
            return self._verify(candidate, subject, after, self._stored if match else ())

        return run_cases(change.cases(verify), scope, self._budget)

    def _is_read_by_others(self, before: PrincipalProfile, after: PrincipalProfile) -> bool:
        """Whether the policies of resources can have another result for the principal as it is now."""
        if _identity(before) != _identity(after):
            return bool(self._shared)
        names = {name for name in ("unique_id", "canonical_id", "bounded") if getattr(before, name) != getattr(after, name)}
        if any(_reads_attribute(statement, names) for policy in self._shared for statement in policy.statements):
            return True
        if "unique_id" in names and "aws:userid" in keys_read(self._shared):
            return True
        return not differing_keys(before, after).isdisjoint(keys_read(self._shared))

    def _matches(self, profile: PrincipalProfile) -> list[str]:
        """Return the classes in which policies of resources can name the principal."""
        request = make_request_principal(profile, profile.partition, {})
        found: dict[str, None] = {"D": None} if profile.kind is PrincipalKind.FED and self._shared else {}
        for policy in self._shared:
            for statement in policy.statements:
                if statement.effect is Effect.ALLOW:
                    match = check_principals(statement, policy, request, False, StatementKeys({}, (), T))
                    found |= dict.fromkeys(match.possible)
        return list(found)

    @cached_property
    def _stored(self) -> tuple[str, ...]:
        """Resources with policies of their own, and an object of each bucket."""
        stored = [arn for arn, record in self._new.resources() if record.policies][:_MAX_STORED]
        return tuple(text for arn in stored for text in ((arn, f"{arn}/{NAME}") if ":s3:::" in arn else (arn,)))

    def _verify(
        self, candidate: Candidate, subject: str | Session, profile: PrincipalProfile, stored: tuple[str, ...]
    ) -> Verified | None:
        """Return the request of a candidate by the principal, if both engines and the evaluator decide it as new access.

        `stored` are resources that are tried in place of that of the candidate: their policies can grant what it needs.
        """
        for resource in (candidate.resource, *stored):
            found = self._verify_at(replace(candidate, resource=resource), subject, profile)
            if found is not None:
                return found
        return None

    def _verify_at(self, candidate: Candidate, subject: str | Session, profile: PrincipalProfile) -> Verified | None:
        asked = _asked(candidate, subject, self._old.principal(subject), profile)
        if asked is None:
            return None
        candidate, probe = asked
        has_owner = (parts := split_arn(candidate.resource)) is not None and is_account(parts.account)
        other = next(one for one in _OTHER_ACCOUNTS if one != profile.account)
        for owner in (None,) if has_owner else (None, profile.account, other):
            made = make_request(candidate, probe, owner=owner)
            found = None if made is None else self._decided(made[0], probe.principal)
            if found is not None:
                return found
        return None

    def _decided(self, request: ProofRequest, principal: str | Session) -> Verified | None:
        """Return a request that only the new engine allows, by both evaluators."""
        if isinstance(principal, Session):
            request = replace(request, session=principal)
        given = {"resource_account": request.resource_account, "now": request.now or NOW}
        arguments = (principal, request.action, request.resource, request.context)
        try:
            old, new = (engine.decide(*arguments, **given) for engine in self._engines)  # type: ignore[arg-type]
            if old.allowed or not new.allowed:
                return None
            before, after = (engine.explain(*arguments, **given) for engine in self._engines)  # type: ignore[arg-type]
        except RequestValueError:
            return None  # the request contradicts a directory
        if before.decision.allowed or not after.decision.allowed:
            return None
        return Verified(request, new.statement)

    @cached_property
    def _keys_read(self) -> frozenset[str]:
        """The folded keys that policies of the directories read; tags of users and roles have two names (5.5)."""
        names = frozenset(keys_read(policy for snapshot in (self._old, self._new) for policy in snapshot.policies()))
        return names | {name.replace("iam:", "aws:", 1) for name in names if name.startswith("iam:resourcetag/")}

    # -- resources, accounts and endpoints ------------------------------------------------------------------------------

    def _others(self, resources: list[str], accounts: list[str]) -> list[str]:
        """Return the changes of resources and accounts that are not proved for all principals."""
        found = []
        for arn in resources:
            before, after = self._old.facts(arn), self._new.facts(arn)
            if before == after:
                continue
            kind = PolicyKind.TRUST if before.governs == "trust" or after.governs == "trust" else PolicyKind.RESOURCE
            sides = (replace(before, policies=None, governs="", keys={}), replace(after, policies=None, governs="", keys={}))
            tags = {name for name in {*before.keys, *after.keys} if before.keys.get(name) != after.keys.get(name)}
            if sides[0] != sides[1] or not tags.isdisjoint(self._keys_read):
                found.append(f"the owner, the tags or the settings of `{arn}` differ")
            elif not self._prove_layer(before.policies or (), after.policies or (), kind, self._budget).proved:
                found.append(f"the policy of `{arn}` is not proved")
        for account in accounts:
            facts = [snapshot.account_facts(account) for snapshot in (self._old, self._new)]
            if replace(facts[0], rcps=None, rcp_note="") != replace(facts[1], rcps=None, rcp_note=""):
                found.append(f"the organization of account `{account}` differs")
            rcps = [tuple(policy for level in one.rcps or () for policy in level) for one in facts]
            if rcps[0] != rcps[1] and not self._prove_layer(rcps[0], rcps[1], PolicyKind.RCP, self._budget).proved:
                found.append(f"the RCPs of account `{account}` are not proved")
        return found

    def _differs_at(self, endpoint: str) -> bool:
        return self._old.endpoint(endpoint) != self._new.endpoint(endpoint)

    def _compared(self) -> Proof | None:
        """Return a request that `diff` finds as gained, if both evaluators decide it so without unknown keys."""
        found = diff(*self._engines)
        for group in found.groups:
            if group.change in (Change.GAINED, Change.MAY_GAIN):
                request = ProofRequest(*found.request(group.example))
                verified = self._decided(request, request.principal)
                if verified is not None:
                    return Proof(ProofResult.NEW_ACCESS, request, verified.statement)
        return None


def _asked(
    candidate: Candidate, subject: str | Session, before: PrincipalProfile, profile: PrincipalProfile
) -> tuple[Candidate, Probe] | None:
    """Return who makes the request of a candidate, and the candidate without the keys that a session has; None if none can.

    A role is asked about by the ARN of a session. One that has tags of its own, or a federated user, is a `Session`.
    """
    arn = split_arn(profile.name)
    if arn is None or profile.kind not in (*ROLES, PrincipalKind.FED):
        return candidate, Probe(subject)
    values = {fold(name): (name, value.value) for name, value in candidate.values.items() if value.value is not None}
    name = candidate.session_name or NAME
    if profile.kind in ROLES:
        user_id = text_of(candidate, "aws:userid")
        if user_id is not None and profile.unique_id is not None:
            start, _, name = user_id.partition(":")
            if start != profile.unique_id:
                return None
            del values["aws:userid"]
        session = role_session(arn, name)
    else:
        assert isinstance(subject, Session)
        session = subject
    tags = {
        name[len(TAG) :]: value.values[0]
        for key, (name, value) in values.items()
        if key.startswith(TAG) and not value.multi and not value == before.keys.get(key) == profile.keys.get(key)
    }
    if not tags and profile.kind in ROLES:
        return _without(candidate, ("aws:userid",) if "aws:userid" not in values else ()), Probe(session.arn)
    of_session = {key for key in values if (info := key_info(key)) is not None and info.set_by is SetBy.SESSION}
    context = {values[key][0]: _plain_value(values[key][1]) for key in of_session}
    made = replace(session, tags=tags, context=context)
    removed = [*of_session, *(TAG + fold(key) for key in tags), *(() if "aws:userid" in values else ("aws:userid",))]
    return _without(candidate, removed), Probe(made)


def _without(candidate: Candidate, keys: Collection[str]) -> Candidate:
    return replace(candidate, values={name: value for name, value in candidate.values.items() if fold(name) not in keys})


def _plain_value(value: ContextValue) -> str | list[str]:
    return list(value.values) if value.multi else value.values[0]


def _content(profile: PrincipalProfile) -> object:
    """Return a profile with the content of its policies, which are compared by identity otherwise."""
    layers = {
        layer: [[(policy.variables, policy.statements) for policy in level] for level in levels]
        for layer, levels in principal_layers(profile).items()
    }
    return layers, replace(profile, identity_policies=(), boundary=None, session_policies=None, scps=None)


def _identity(profile: PrincipalProfile) -> object:
    """Return the attributes of a principal that many principal elements read."""
    return profile.kind, profile.account, profile.service_names


def _reads_attribute(statement: Statement, names: Collection[str]) -> bool:
    """Whether the principal element of a statement reads one of the attributes that few of them read."""
    entries = statement.principals or ()
    return (
        "bounded" in names
        and statement.not_principal  # N22
        or "canonical_id" in names
        and any(entry.type == "CanonicalUser" for entry in entries)
        or "unique_id" in names
        and any(read_entry(entry.type, entry.value).form is Form.UNIQUE_ID for entry in entries)
    )


def _resource_side(snapshot: Snapshot) -> Iterator[Policy]:
    """Yield the policies of resources, the trust policies, the RCPs and the policies of endpoints."""
    for arn in (*(arn for arn, _ in snapshot.resources()), *snapshot.entity_resources()):
        yield from snapshot.facts(arn).policies or ()
    for account in snapshot.accounts():
        yield from (policy for level in account.rcps or () for policy in level)
    for endpoint in snapshot.endpoints():
        yield from endpoint.policies or ()
