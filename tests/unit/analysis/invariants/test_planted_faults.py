"""Planted faults of the proof of invariants, each found by a trap case."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from test_places import test_records_below_hide_no_other_resource as version_is_found
from test_role_chains import test_a_chain_of_two_roles_is_found as chain_is_found
from test_trap_cases import TRAPS
from test_trap_cases import test_TB46_an_exception_by_ARN_makes_no_class_of_each_role as few_and_many_roles
from test_trap_cases import test_the_answer_is_that_of_the_rules as answer_of
from test_traps_of_quantifiers import TRAPS as TRAPS_OF_QUANTIFIERS
from test_traps_of_quantifiers import test_the_answer_of_a_quantifier_is_that_of_the_rules as answer_of_quantifier

from fastiam.analysis import allow_formula
from fastiam.analysis.invariants import (
    cases,
    classes,
    invariant_run,
    key_domains,
    organization_analysis,
    places,
    role_chains,
    subjects,
    universe,
    worlds,
)
from fastiam.analysis.proof import key_values, search, statement_formulas
from fastiam.analysis.proof.domains import KeyDomain
from fastiam.analysis.proof.key_values import KeyTest
from fastiam.model.policy import Effect
from fastiam.model.profile import PrincipalKind
from fastiam.spec.three_valued import F

Plant = Callable[[pytest.MonkeyPatch], None]


def _clear() -> None:
    """Clear what is cached between proofs, so that no fault outlives its test."""
    kept = (
        allow_formula._expansion, worlds._keys_of, classes._only_result, key_domains.readable, key_values.key_values,
        search._resource_cells, statement_formulas._action_at_least,
    )  # fmt: skip
    for one in kept:
        one.cache_clear()


@pytest.fixture(autouse=True)
def _nothing_kept() -> Iterator[None]:
    _clear()
    yield
    _clear()


def _absence_is_not_a_value(plant: pytest.MonkeyPatch) -> None:
    sound = KeyDomain.has
    plant.setattr(KeyDomain, "has", lambda self, one, n: sound(self, one, n) and (one.value is not None or not self.present))


def _negated_if_exists_is_false(plant: pytest.MonkeyPatch) -> None:
    sound = KeyTest.check

    def planted(self: KeyTest, value: Any) -> Any:
        is_negated = "Not" in self.entry.operator and self.entry.if_exists
        return F if value is None and is_negated else sound(self, value)

    plant.setattr(KeyTest, "check", planted)


def _without_neighbours(plant: pytest.MonkeyPatch) -> None:
    sound = key_values._VALUES[key_values._ADDRESS]
    only_first = {key_values._ADDRESS: lambda texts: [one for one in sound(texts) if _is_first_address(one, texts)]}
    plant.setattr(key_values, "_VALUES", {**key_values._VALUES, **only_first})


def _is_first_address(spellings: Any, texts: Any) -> bool:
    return any(text.partition("/")[0] in spellings for text in texts)


def _no_boundaries_in_not_principal(plant: pytest.MonkeyPatch) -> None:
    sound = worlds.make_request_principal
    plant.setattr(worlds, "make_request_principal", lambda profile, *more: sound(replace(profile, bounded=False), *more))


def _letters_as(plant: pytest.MonkeyPatch, old: str, new: str, kinds: tuple[PrincipalKind, ...]) -> None:
    sound = worlds.World.letters

    def planted(self: Any, subject: Any, home: Any, policy: Any, statement: Any, *more: Any, **named: Any) -> str:
        found = sound(self, subject, home, policy, statement, *more, **named)
        return found.replace(old, new) if subject.kind in kinds and statement.effect is Effect.ALLOW else found

    plant.setattr(worlds.World, "letters", planted)


def _role_bypasses(plant: pytest.MonkeyPatch) -> None:
    _letters_as(plant, "R", "D", (PrincipalKind.ROLE,))


def _session_does_not(plant: pytest.MonkeyPatch) -> None:
    _letters_as(plant, "D", "R", (PrincipalKind.ROLE,))


def _no_named_sessions(plant: pytest.MonkeyPatch) -> None:
    sound = universe.Universe.names_after
    plant.setattr(universe.Universe, "names_after", lambda self, *given: [one for one in sound(self, *given) if not one.is_named])


def _one_account(plant: pytest.MonkeyPatch) -> None:
    sound = cases.decision_inputs
    plant.setattr(
        cases, "decision_inputs", lambda profile, *more: replace(sound(profile, *more), same_account=profile.account is not None)
    )


def _subjects(plant: pytest.MonkeyPatch, change: Callable[[Any, Any], Any]) -> None:
    sound = universe.Universe.subjects

    def planted(self: Any) -> Iterator[Any]:
        for subject, home in sound(self):
            found = change(subject, home)
            if found is not None:
                yield found, home

    plant.setattr(universe.Universe, "subjects", planted)


def _without_roots(plant: pytest.MonkeyPatch) -> None:
    _subjects(plant, lambda one, home: None if one.kind is PrincipalKind.ROOT else one)


def _limited_management_account(plant: pytest.MonkeyPatch) -> None:
    sound = universe.Universe.subjects

    def planted(self: Any) -> Iterator[Any]:
        organization = self._organization
        root = tuple(one.policy for one in organization.attached("SERVICE_CONTROL_POLICY", organization.root))
        for subject, home in sound(self):
            is_of_management = home is not None and home.account == organization.management_account
            profile = replace(subject.profile, scps=(root,), scp_note="") if is_of_management else subject.profile
            yield replace(subject, profile=profile), home

    plant.setattr(universe.Universe, "subjects", planted)


def _limited_service_linked_roles(plant: pytest.MonkeyPatch) -> None:
    sound = cases.applicable_layers

    def planted(profile: Any, *more: Any) -> Any:
        is_linked = profile.kind is PrincipalKind.SLR
        return sound(replace(profile, kind=PrincipalKind.ROLE) if is_linked else profile, *more)

    plant.setattr(cases, "applicable_layers", planted)


def _rcps_of_every_service(plant: pytest.MonkeyPatch) -> None:
    sound = cases.applicable_layers

    def planted(profile: Any, target: Any, endpoint: Any, call: Any, settings: Any) -> Any:
        found = sound(profile, target, endpoint, call, settings)
        rcps = sound(profile, target, endpoint, ("s3", "getobject"), settings)[0]
        return (rcps, *found[1:])

    plant.setattr(cases, "applicable_layers", planted)


def _fixed_tags(plant: pytest.MonkeyPatch) -> None:
    sound = subjects.trust_allows
    plant.setattr(subjects, "trust_allows", lambda trust, action: action != "sts:TagSession" and sound(trust, action))


def _routes(plant: pytest.MonkeyPatch, keep: Callable[[Any], bool]) -> None:
    sound = organization_analysis.routes
    plant.setattr(organization_analysis, "routes", lambda *given, **named: [one for one in sound(*given, **named) if keep(one)])


def _without_recorded_endpoints(plant: pytest.MonkeyPatch) -> None:
    _routes(plant, lambda one: one.endpoint is None)


def _without_unknown_endpoints(plant: pytest.MonkeyPatch) -> None:
    _routes(plant, lambda one: not one.is_unknown)


def _merged_by_keys(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(classes.Signatures, "_values", lambda self, subject, reads: ())


def _merged_by_names(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(classes.NamingIndex, "key", lambda self, subject: subject.kind)


def _deny_dropped(plant: pytest.MonkeyPatch) -> None:
    sound = worlds.Relevance.__call__

    def planted(self: Any, statement: Any) -> bool:
        inverted = statement.not_action and statement.effect is Effect.DENY
        return sound(self, replace(statement, not_action=False) if inverted else statement)

    plant.setattr(worlds.Relevance, "__call__", planted)


def _level_left_out(plant: pytest.MonkeyPatch) -> None:
    def change(one: Any, home: Any) -> Any:
        return replace(one, profile=replace(one.profile, scps=one.profile.scps[:1])) if one.profile.scps else one

    _subjects(plant, change)


def _outside_has_the_id(plant: pytest.MonkeyPatch) -> None:
    sound = universe.Universe._classes

    def planted(self: Any, account: str) -> Iterator[Any]:
        yield from sound(self, account)
        if self._organization is not None:
            yield universe.Home(account, org_id=self._organization.id, paths_vary=True)

    plant.setattr(universe.Universe, "_classes", planted)


def _key_allowed_by_identity(plant: pytest.MonkeyPatch) -> None:
    sound = cases.decision_inputs
    plant.setattr(cases, "decision_inputs", lambda *given: replace(sound(*given), required=False))


def _undetermined_is_true(plant: pytest.MonkeyPatch, name: str) -> None:
    sound = cases.BoundStatement
    asked = cases.Case._ask

    def planted(self: Any, each: str, policy: Any) -> None:
        with pytest.MonkeyPatch.context() as inner:
            if each == name:
                inner.setattr(cases, "BoundStatement", lambda *given: sound(*given[:-1], True))
            asked(self, each, policy)

    plant.setattr(cases.Case, "_ask", planted)


def _only_if_undetermined(plant: pytest.MonkeyPatch) -> None:
    _undetermined_is_true(plant, "only_if")


def _given_undetermined(plant: pytest.MonkeyPatch) -> None:
    _undetermined_is_true(plant, "given")


def _owner_is_the_account_of_the_principal(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(classes.SubjectClass, "outside_of", lambda self, account: None)


def _console_is_limited(plant: pytest.MonkeyPatch) -> None:
    def change(one: Any, home: Any) -> Any:
        if not one.sign_in:
            return one
        return replace(one, profile=replace(one.profile, temporary=True, mfa=one.fixed[subjects.MFA] is subjects.TRUE))

    _subjects(plant, change)


def _tags_always_sent(plant: pytest.MonkeyPatch) -> None:
    sound = cases.Case.domain

    def planted(self: Any, key: str) -> KeyDomain:
        found = sound(self, key)
        is_tag = self.tags is not None and key.startswith(key_domains.RESOURCE_TAGS)
        has_value = is_tag and ("aws:" + key.partition(":")[2]) in self.tags
        return replace(found, absent=False) if has_value else found

    plant.setattr(cases.Case, "domain", planted)


def _keys_compared_before_entries(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(classes, "_truth", lambda subject, one: None)


def _via_needs_called_via(plant: pytest.MonkeyPatch) -> None:
    sound = key_domains.clauses
    entry, called = key_domains.entry, key_domains.CALLED_VIA
    clause = key_domains.Clause(((entry("Bool", key_domains.VIA, "false"),), (entry("Null", called, "false"),)))

    def planted(keys: Any, extra: Any = ()) -> Iterator[Any]:
        yield from sound(keys, extra)
        if clause.keys.issubset(keys):
            yield clause

    plant.setattr(key_domains, "clauses", planted)


def _no_session_tokens(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(organization_analysis, "of_session_token", lambda console: console)


def _unknown_policies_allow(plant: pytest.MonkeyPatch) -> None:
    sound = cases.Case._allowed

    def planted(self: Any, *given: Any) -> Any:
        self.may_deny = False
        return sound(self, *given)

    plant.setattr(cases.Case, "_allowed", planted)


def _forbidden_changes_are_allowed(plant: pytest.MonkeyPatch) -> None:
    sound = cases.decision_inputs
    plant.setattr(cases, "decision_inputs", lambda *given: replace(sound(*given), service_refusal=None))


def _one_policy_for_versions(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(places.Records, "below", lambda self, arn: ())


def _endpoints_that_no_key_reads_are_left_out(plant: pytest.MonkeyPatch) -> None:
    sound = organization_analysis.routes
    plant.setattr(organization_analysis, "routes", lambda endpoints, keys, **_: sound(endpoints, keys))


# the same of the other quantifiers
OF_QUANTIFIERS: dict[str, tuple[Plant, str]] = {
    "GetSessionToken is left out of always": (_no_session_tokens, "TB34 GetSessionToken without MFA cannot call IAM"),
    "always takes an approximation as exact": (_unknown_policies_allow, "own policies of an account without a record"),
    "AWS forbids no change": (_forbidden_changes_are_allowed, "one action of two that AWS forbids"),
    "endpoints that no key reads are left out": (_endpoints_that_no_key_reads_are_left_out, "an endpoint that does not allow"),
}


# what is planted, and the trap case whose answer it changes; None: TB46, about the number of classes
FAULTS: dict[str, tuple[Plant, str | None]] = {
    "absence is not a value of a key": (_absence_is_not_a_value, "TB5 ForAllValues is true without tags"),
    "a negated operator with IfExists is false without the key": (
        _negated_if_exists_is_false,
        "TB2 IfExists changes nothing of a negated operator",
    ),
    "a range without its neighbours": (_without_neighbours, "an address after a range in a range"),
    "a boundary does not end an exception of NotPrincipal": (
        _no_boundaries_in_not_principal,
        "TB8 a boundary ends an exception of NotPrincipal",
    ),
    "a grant to a role bypasses the boundary": (_role_bypasses, "TB10 one to the role does not"),
    "a grant to a session does not": (_session_does_not, "TB9 a grant to the session bypasses the boundary"),
    "a session has no class of its own": (_no_named_sessions, "TB9 a grant to the session bypasses the boundary"),
    "another account needs no identity policy": (_one_account, "TB11 nothing is bypassed in another account"),
    "roots are left out": (_without_roots, "TB13 without its policies"),
    "SCPs limit the management account": (_limited_management_account, "TB20 SCPs do not reach the management account"),
    "RCPs limit service-linked roles": (_limited_service_linked_roles, "TB19 RCPs do not reach service-linked roles"),
    "RCPs limit every service": (_rcps_of_every_service, "RCPs do not reach all services"),
    "tags of a role are those of its sessions": (_fixed_tags, "TB24 a session tag replaces that of the role"),
    "an endpoint with a record is not a case": (_without_recorded_endpoints, "TB27 a policy of the endpoint that allows"),
    "classes are joined although a key differs": (_merged_by_keys, "one of two users with equal policies"),
    "classes are joined although a policy names one": (_merged_by_names, "TB9 a grant to the session bypasses the boundary"),
    "a Deny is dropped by the test of an Allow": (_deny_dropped, "a Deny of all other actions"),
    "a level of SCPs is left out": (_level_left_out, "TB31 each level of SCPs has to allow"),
    "a principal outside has the id of the organization": (
        _outside_has_the_id,
        "TB21 no principal outside has the id of the organization",
    ),
    "identity policies allow for keys": (_key_allowed_by_identity, "TB18 an identity Allow alone is not enough for a key"),
    "only_if counts undetermined as true": (_only_if_undetermined, "only_if is not true of a value that cannot be read"),
    "given counts undetermined as true": (_given_undetermined, "given is not true of it"),
    "only the account of the principal has resources without a record": (
        _owner_is_the_account_of_the_principal,
        "TB36 without the SCP",
    ),
    "endpoints of others are denied": (_without_unknown_endpoints, "TB37 an endpoint of another organization"),
    "the console has the limits of GetSessionToken": (
        _console_is_limited,
        "TB39 of a call that a session without MFA cannot make",
    ),
    "a tag of a record is always sent": (_tags_always_sent, "TB38 AWS sends no tag of an object"),
    "keys are compared before their entries": (_keys_compared_before_entries, None),
    "a call through a service needs CalledVia": (_via_needs_called_via, "TB32 few services write themselves into the chain"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_trap_case_finds_a_planted_fault(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    plant, trap = FAULTS[fault]
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        if trap is None:
            few_and_many_roles()
        else:
            answer_of(TRAPS[trap])


@pytest.mark.parametrize("fault", OF_QUANTIFIERS)
def test_a_trap_case_finds_a_fault_of_always(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    plant, trap = OF_QUANTIFIERS[fault]
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        answer_of_quantifier(TRAPS_OF_QUANTIFIERS[trap])


def test_a_fault_of_places_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    _one_policy_for_versions(monkeypatch)
    with pytest.raises(AssertionError):
        version_is_found()


def _no_second_step(plant: pytest.MonkeyPatch) -> None:
    sound = role_chains._Search._add

    def planted(self: Any, role: Any, is_recorded: bool, following: Any, *more: Any) -> None:
        if following is None:
            sound(self, role, is_recorded, following, *more)

    plant.setattr(role_chains._Search, "_add", planted)


def _no_records_of_roles(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(invariant_run.InvariantRun, "_places", lambda self: ())


def _roles_assume_nothing(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(role_chains, "ROLES", ())


@pytest.mark.parametrize("fault", [_no_second_step, _no_records_of_roles, _roles_assume_nothing])
def test_a_chain_finds_a_planted_fault(monkeypatch: pytest.MonkeyPatch, fault: Plant) -> None:
    fault(monkeypatch)
    with pytest.raises(AssertionError):
        chain_is_found()
