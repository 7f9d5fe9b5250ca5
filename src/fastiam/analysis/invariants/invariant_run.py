"""One run of a proof of an invariant: its cases in order, those first that limits prove (5.2).

INVARIANT: that there is no request is returned only if no case has a candidate.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, replace

from fastiam.analysis.invariants.cases import Case
from fastiam.analysis.invariants.classes import (
    Member,
    SubjectClass,
)
from fastiam.analysis.invariants.counterexamples import Verified, Verifier, variable_values
from fastiam.analysis.invariants.key_domains import RESOURCE_TAGS
from fastiam.analysis.invariants.model import InvariantOutcome, InvariantResult
from fastiam.analysis.invariants.organization_analysis import Limited, OrganizationAnalysis, Recorded
from fastiam.analysis.invariants.places import Place
from fastiam.analysis.invariants.routes import UNKNOWN_ENDPOINT, Route, sources
from fastiam.analysis.invariants.subjects import Subject
from fastiam.analysis.invariants.universe import Home
from fastiam.analysis.proof.cells import ProofLimitError
from fastiam.analysis.proof.formula import Budget
from fastiam.analysis.proof.search import Candidate, Search
from fastiam.analysis.proof.variable_values import assignments, variable_names
from fastiam.aws_data.catalog import actions_of
from fastiam.model.arn import is_account, split_arn
from fastiam.model.request import ContextValue
from fastiam.runtime.forking import cached_property

_MAX_CANDIDATES = 40  # of one case that are verified
_MAX_ASSIGNMENTS = 12
_MAX_SPLITS = 200
_UNRECORDED = "a request is allowed only if policies without a record allow it"
_OPEN = "no request verifies a possible violation: it depends on policy variables, or on keys that exclude each other"


@dataclass(frozen=True, slots=True)
class Opened:
    """The assumptions that a proof does without (T66)."""

    principals: bool = False
    resources: bool = False
    names: bool = False
    undetermined: bool = False
    organization: bool = False
    endpoints: bool = False


EVERYTHING = Opened(True, True, True, True, True, True)


class InvariantRun:
    """One proof: all cases of an invariant over an engine.

    Parameters
    ----------
    only_unrecorded
        about the users and roles without a record alone, in accounts that have some.

    Attributes
    ----------
    needs_names
        some case has no candidate only because AWS has no such action.
    """

    needs_names = False

    def __init__(self, analysis: OrganizationAnalysis, budget: Budget, opened: Opened, *, only_unrecorded: bool = False) -> None:
        self._recorded: Recorded = "no" if only_unrecorded else "both" if opened.principals else "yes"
        self._analysis, self._budget, self._opened = analysis, budget, opened
        self._scope, self._records, self._relevant = analysis.scope, analysis.records, analysis.relevant
        quantifier = analysis.invariant.quantifier
        self._is_always, self._is_sometimes = quantifier == "always", quantifier == "sometimes"
        # undetermined tests deny already, where a proof is about requests that are denied
        self._undetermined = opened.undetermined and not self._is_always
        self._world = analysis.world(self._undetermined)
        self._knows_actions = analysis.knows_actions and not opened.names
        self._verifier = Verifier(analysis.engine)
        self._stops_at_candidates = False
        self._split: dict[str, Place] = {}
        self._found: Verified | None = None
        self._reasons: dict[str, None] = {}
        self._has_candidates = False
        self._n_classes = 0

    @cached_property
    def _groups(self) -> Mapping[Hashable, list[Member]]:
        return self._analysis.groups(self._recorded, self._undetermined)

    # -- the proof ----------------------------------------------------------------------------------------------------

    def result(self) -> InvariantResult:
        """Return the result without assumptions."""
        try:
            groups = self._groups
            vacuous = "" if groups else "no principal is in the scope"
            vacuous = vacuous or ("" if self._analysis.owners else "no resource is in the scope")
            if self._knows_actions and not self._world.cells.of(frozenset()).known:
                vacuous = vacuous or "AWS has no action of the scope"
            self._run()
            if self._is_always and self._found is None and not self._reasons and not vacuous and not self._has_requests():
                vacuous = "AWS has no request of the scope"
        except ProofLimitError as error:
            self._reasons[str(error)] = None
            groups, vacuous = {}, ""
        names = {subject.issuer or subject.profile.name for one in groups.values() for subject, _ in one if subject.is_recorded}
        seen = InvariantResult(
            InvariantOutcome.HOLDS,
            principals=len(names),
            classes=self._n_classes,
            resources=len(self._analysis.resource_policies),
            combinations=self._budget.tried,
        )
        if self._found is not None:
            one = self._found
            return replace(
                seen,
                result=InvariantOutcome.FAILS,
                request=one.request,
                explanation=one.explanation,
                statement=one.statement,
                note=one.note,
            )
        if self._reasons:
            return replace(seen, result=InvariantOutcome.UNDECIDED, reason="; ".join(list(self._reasons)[:3]))
        return replace(seen, vacuous=vacuous)

    def holds_open(self) -> bool:
        """Whether there is no candidate; it ends with the first one."""
        self._stops_at_candidates = True
        try:
            self._run()
        except ProofLimitError:
            return False
        return not self._has_candidates

    def open_classes(self) -> list[SubjectClass]:
        """Return the classes of all principals for which the proof does not exclude a violation; see `reasons` too.

        Raises
        ------
        ProofLimitError
            the budget is spent.
        """
        self._stops_at_candidates = True
        limited = self._proved_by_limits()
        found: list[SubjectClass] = []
        waiting: list[SubjectClass] = []
        for one in self._left(limited):
            self._has_candidates = False
            self._without_record(one, limited)
            (found if self._has_candidates else waiting).append(one)
        for arn, owner in self._places():
            for one in [*waiting]:
                self._has_candidates = False
                self._at_record(one, arn, owner, limited)
                if self._has_candidates:
                    found.append(one)
                    waiting.remove(one)
        return found

    @property
    def reasons(self) -> list[str]:
        """Why a proof is not complete."""
        return list(self._reasons)

    @property
    def _is_done(self) -> bool:
        return self._found is not None or self._stops_at_candidates and self._has_candidates

    def _has_requests(self) -> bool:
        """Whether AWS has a request of the scope at all."""
        self._split = {}
        return any(
            case.is_in_scope
            and next(self._search(case, known_actions=self._knows_actions).candidates((), case.statements, case.scope_gain), None)
            for group in self._groups.values()
            for subject, home in group
            for owner in self._analysis.universe.homes
            for case in self._cases(subject, home, owner)
        )

    def _run(self) -> None:
        if self._is_always:
            self._decide_each_alone()
            return
        limited = self._proved_by_limits()
        left = self._left(limited)
        for one in left:
            if self._is_done:
                return
            self._without_record(one, limited)
        for arn, owner in self._places():
            for one in left:
                if self._is_done:
                    return
                self._at_record(one, arn, owner, limited)

    def _left(self, limited: Limited) -> list[SubjectClass]:
        """Return the classes that limits do not prove for all owners."""
        owners = {self._analysis.owner_signature(owner, of_limits=True) for owner in self._analysis.owners.values()}
        left: list[SubjectClass] = []
        for limits in self._groups:
            # PERF: identity policies of the others do not matter
            if any((limits, owner) not in limited for owner in owners):
                left += self._analysis.classes(self._recorded, self._undetermined, limits)
            else:
                self._n_classes += 1
        self._n_classes += len(left)
        return left

    def _places(self) -> Iterator[tuple[str, Home]]:
        """Yield the records of the scope with their owners, those that cases split off while they are decided included."""
        done: set[str] = set()
        while True:
            found = (*(arn for arn, _ in self._analysis.resource_policies), *self._split)
            waiting = [arn for arn in dict.fromkeys(found) if arn not in done]
            if not waiting:
                return
            others = (other for one in waiting for other in self._records.of_other_owners(one) if other not in done)
            for arn in dict.fromkeys((*waiting, *others)):
                done.add(arn)
                owner = self._owner_of(arn)
                if owner is None:
                    self._reasons[f"the owner of `{arn}` is not known"] = None
                elif self._scope.owner_choices(owner, self._scope.resources):
                    yield arn, owner

    def _decide_each_alone(self) -> None:
        """Decide each principal and kind of credentials by itself, with each owner and record (T72)."""
        members = [one for group in self._groups.values() for one in group]
        self._n_classes = len(members)
        for subject, home in members:
            seen: set[Hashable] = set()
            for one in self._analysis.universe.homes:
                is_own = home is not None and one.account == home.account
                owner = home if home is not None and is_own else one
                name = is_own, self._analysis.owner_signature(owner)
                if name in seen or not self._scope.owner_choices(owner, self._scope.resources):
                    continue
                seen.add(name)
                any_policy = not owner.has_record or self._opened.resources
                self._decide(self._cases(subject, home, owner, any_policy=any_policy))
                if self._is_done:
                    return
        for arn, owner in self._places():
            for subject, home in members:
                for place, tags in self._parts(arn):
                    self._decide(self._cases(subject, home, owner, place=place, tags=tags))
                if self._is_done:
                    return

    def _proved_by_limits(self) -> Limited:
        """Return the pairs of limits and owners that SCPs, RCPs and endpoint policies prove alone (level 1)."""
        name = self._recorded, self._undetermined, self._knows_actions
        kept = self._analysis.kept_limits.get(name)
        if kept is not None:
            return kept
        found: Limited = set()
        owners: dict[Hashable, Home] = {}
        for owner in self._analysis.owners.values():
            owners.setdefault(self._analysis.owner_signature(owner, of_limits=True), owner)
        for limits, ((subject, home), *_) in self._groups.items():
            for signature, owner in owners.items():
                cases = self._cases(subject, home, owner, limits_only=True)
                if not any(self._first(case) for case in cases):
                    found.add((limits, signature))
        self._analysis.kept_limits[name] = found
        return found

    def _first(self, case: Case) -> Candidate | None:
        if not case.is_in_scope:
            return None
        if not case.is_limited:
            return Candidate("", "")
        if next(self._candidates(case, known_actions=False), None) is None:
            return None
        found = next(self._candidates(case, known_actions=self._knows_actions), None)
        self.needs_names = self.needs_names or found is None
        return found

    def _cases(
        self,
        subject: Subject,
        home: Home | None,
        owner: Home,
        *,
        place: Place | None = None,
        tags: Mapping[str, ContextValue] | None = None,
        any_policy: bool = False,
        limits_only: bool = False,
    ) -> Iterator[Case]:
        is_unlimited = self._opened.organization and (home is None or home.org_id is None)
        for route in self._routes:
            if self._is_done:
                return
            may_deny = any_policy or not subject.is_recorded or is_unlimited or route.is_unknown and self._opened.endpoints
            for source in sources(self._analysis.source_homes, subject, self._analysis.keys):
                yield Case(
                    self._world, self._relevant, subject, home, owner,
                    place=place, tags=tags, route=route, source=source, any_policy=any_policy, limits_only=limits_only,
                    may_deny=may_deny,
                    split=self._split if place is None and not limits_only else {},
                    everywhere=None if limits_only else self._analysis.everywhere,
                )  # fmt: skip

    @cached_property
    def _routes(self) -> list[Route]:
        if self._analysis.invariant.keys != "aws":
            return [Route(), *(Route(one) for one in self._analysis.universe.endpoints)]
        found = self._analysis.routes()
        return [*found, UNKNOWN_ENDPOINT] if self._is_always and self._opened.endpoints else found

    def _without_record(self, one: SubjectClass, limited: Limited) -> None:
        """Decide resources without a record: of the account of the principal, and of accounts whose policies are not known."""
        subject, home = one.first
        if home is not None and self._scope.owner_choices(home, self._scope.resources):
            any_policy = (not home.has_record or self._opened.resources) and self._analysis.everywhere is None
            if (one.limits, self._analysis.owner_signature(home, of_limits=True)) not in limited:
                self._decide(self._cases(subject, home, home, any_policy=any_policy))
        for owner in self._analysis.owners.values():
            is_known = self._analysis.everywhere is None and owner.has_record
            if is_known and not self._opened.resources:
                continue
            if (one.limits, self._analysis.owner_signature(owner, of_limits=True)) in limited:
                continue
            member = one.outside_of(owner.account)
            if member is not None and not self._is_done:
                self._decide(self._cases(*member, owner, any_policy=self._analysis.everywhere is None))

    def _at_record(self, one: SubjectClass, arn: str, owner: Home, limited: Limited) -> None:
        """Decide the resources of a record, for principals of its account and for others."""
        if (one.limits, self._analysis.owner_signature(owner, of_limits=True)) in limited:
            return
        for member in (one.in_account(owner.account), one.outside_of(owner.account)):
            if member is not None and not self._is_done:
                for place, tags in self._parts(arn):
                    self._decide(self._cases(*member, owner, place=place, tags=tags))

    def _owner_of(self, arn: str) -> Home | None:
        account = self._records.owner(arn)
        return None if account is None else self._analysis.universe.home_of(account)

    def _parts(self, arn: str) -> Iterator[tuple[Place, Mapping[str, ContextValue] | None]]:
        """Yield a record, and what is below it, if statements read its tags; else all of it."""
        place, tags = self._records.place(arn), self._records.facts(arn).keys
        if not tags or not any(key.startswith(RESOURCE_TAGS) for key in self._analysis.keys):
            yield place, None
            return
        yield Place(arn, place.patterns[:1]), tags
        if len(place.patterns) > 1:
            yield Place(arn, place.patterns[1:]), None

    # -- one case -----------------------------------------------------------------------------------------------------

    def _candidates(self, case: Case, *, known_actions: bool) -> Iterator[Candidate]:
        return self._search(case, known_actions=known_actions).candidates((), case.statements, case.gain)

    def _search(self, case: Case, *, known_actions: bool) -> Search:
        return Search(case.search_scope(known_actions=known_actions), case.statements, self._budget)

    def _decide(self, cases: Iterator[Case]) -> None:
        for case in cases:
            if self._is_done:
                return
            while self._decide_one(case):  # again without the resources of a record that was found
                case = case.again(self._split, case.assumed)

    def _decide_one(self, case: Case) -> bool:
        """Decide a case; True if a candidate is about a resource with a record that is not yet a place of its own."""
        if not case.is_in_scope or not self._is_always and not case.can_be_allowed:
            return False
        if next(self._candidates(case, known_actions=False), None) is None:
            return False
        failed: Candidate | None = None
        number = -1
        for number, candidate in enumerate(self._candidates(case, known_actions=self._knows_actions)):
            if self._is_of_new_record(case, candidate):
                return True
            self._has_candidates = True
            if self._stops_at_candidates:
                return False
            found = self._verified(case, candidate) or self._with_variables(case, candidate)
            if found is not None and not (self._is_sometimes and found.is_assumed):
                self._found = found
                return False
            failed = failed or candidate
            if found is not None:
                self._reasons[_UNRECORDED] = None
            if number >= _MAX_CANDIDATES:
                break
        self.needs_names = self.needs_names or number < 0
        if failed is not None and _UNRECORDED not in self._reasons:
            self._reasons[f"{_OPEN} ({case.subject.profile.name}, {failed.action}, {failed.resource})"] = None
        return False

    def _verified(self, case: Case, candidate: Candidate) -> Verified | None:
        """Return the request of a candidate, on a resource of the owner's account if its type has an account."""
        prefix, _, name = candidate.action.partition(":")
        parts, action = split_arn(candidate.resource), None
        if parts is not None and not is_account(parts.account) and self._analysis.knows_actions:
            action = actions_of(prefix).get(name.lower())
        if parts is not None and action is not None and all("${Account}" in kind.arn for kind in action.types):
            fields = candidate.resource.split(":", 5)
            own = replace(candidate, resource=":".join((*fields[:4], case.owner.account, fields[5])))
            found = self._verifier.verify(case, own)
            if found is not None:
                return found
        return self._verifier.verify(case, candidate)

    def _is_of_new_record(self, case: Case, candidate: Candidate) -> bool:
        if case.place is not None or candidate.resource == "*":
            return False
        records = [one for one in self._records.of(candidate.resource) if one not in self._split]
        if case.any_policy:  # keys and roles have a policy, so that a record without one does not say what it is (4.2)
            records = [one for one in records if self._records.policies(one) or one.split(":", 3)[2] not in ("kms", "iam")]
        if not records or len(self._split) + len(records) > _MAX_SPLITS:
            return False
        self._split.update({one: self._records.place(one) for one in records})
        return True

    def _with_variables(self, case: Case, candidate: Candidate) -> Verified | None:
        """Return a request for a candidate that depends on policy variables, with values that make one of it."""
        if not candidate.is_open or case.assumed:
            return None
        names = [one for one in variable_names(case.statements) if case.known(one) is None]
        found: list[dict[str, ContextValue | None]] = []
        patterns = [text for one in case.statements for text in one.statement.resources or () if "${" in text]
        for text in dict.fromkeys(patterns):
            for values in variable_values(text, candidate.resource):
                found.append({name: ContextValue((value,)) for name, value in values.items() if name in names})
        found += [dict(known) for known in assignments(names)]
        for assumed in itertools.islice((one for one in found if one), _MAX_ASSIGNMENTS):
            bound = case.again(case.split, assumed)
            candidates = self._candidates(bound, known_actions=self._knows_actions)
            for each in itertools.islice(candidates, _MAX_CANDIDATES):
                verified = self._verifier.verify(bound, each)
                if verified is not None:
                    return verified
        return None
