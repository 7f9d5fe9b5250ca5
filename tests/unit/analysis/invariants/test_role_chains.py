"""Invariants with `through: roles`: roles that a principal of the scope can assume, one after another."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from seeds import seeds
from small_world_checks import allowed_rows, violations
from small_worlds import ANA, BO, DEP, EVE, OPS, A, SmallWorld
from trap_world import BKT, B, X, allow, deny, grant, world
from trap_world import DEP as ROLE

import fastiam
from fastiam.analysis.invariants import role_chains
from fastiam.analysis.invariants.model import Invariant, InvariantOutcome, InvariantResult
from fastiam.analysis.invariants.prove_invariant import prove_invariant

HOLDS, FAILS, UNDECIDED = InvariantOutcome.HOLDS, InvariantOutcome.FAILS, InvariantOutcome.UNDECIDED
S3, OBJECTS = "s3:*", f"{BKT}/*"
ISSUER = "token.actions.githubusercontent.com"
NEXT = f"arn:aws:iam::{A}:role/Next"


def trust(principal: Any, *actions: str, when: Any = None) -> dict[str, Any]:
    found = grant(principal, list(actions or ("sts:AssumeRole",)), "*", when)
    found.pop("Resource")
    return found


def through(engine: fastiam.Engine, principals: Any, actions: Any = S3, **more: Any) -> InvariantResult:
    return prove_invariant(engine, Invariant(never={"principals": principals, "actions": actions, **more}, through="roles"))


def check_path(engine: fastiam.Engine, result: InvariantResult) -> None:
    """Decide each request of a path, and check that each step is by the role of the step before."""
    assert result.path[-1] == result.request
    for request in result.path:
        caller = request.session or request.principal
        decision = engine.decide(
            caller, request.action, request.resource, request.context, resource_account=request.resource_account, now=request.now
        )
        assert decision.allowed, request
    for before, after in zip(result.path, result.path[1:], strict=False):
        assert after.session is not None
        assert after.session.issuer == before.resource


def of_oidc(**more: Any) -> fastiam.Engine:
    provider = {"Federated": f"arn:aws:iam::{A}:oidc-provider/{ISSUER}"}
    when = {"StringLike": {f"{ISSUER}:sub": "repo:acme/*"}}
    return world(dep=[allow(S3)], trust=[trust(provider, "sts:AssumeRoleWithWebIdentity", when=when)], **more)


def test_TB35_a_provider_reaches_a_role() -> None:
    engine = of_oidc()
    assert prove_invariant(engine, Invariant(never={"principals": "federated:*", "actions": S3})).result is HOLDS
    result = through(engine, "federated:*")
    assert result.result is FAILS, result.reason
    assert [one.action for one in result.path][0] == "sts:AssumeRoleWithWebIdentity"
    check_path(engine, result)


def test_a_user_reaches_a_role() -> None:
    engine = world(dep=[allow(S3)], ana=[allow("sts:AssumeRole")], trust=[trust({"AWS": ANA})])
    result = through(engine, ANA)
    assert result.result is FAILS, result.reason
    assert [one.principal.rpartition("/")[2] for one in result.path][0] == "ana"
    check_path(engine, result)


def test_a_chain_of_two_roles_is_found() -> None:
    made = fastiam.Directory()
    made.set_organization("o-1", management_account="999999999999", accounts={A: None})
    made.add_principal(ANA, identity_policies=[policy(allow("sts:AssumeRole"))])
    made.add_principal(BO, identity_policies=[policy(allow("sts:AssumeRole"))])
    made.add_principal(NEXT, identity_policies=[policy(allow("sts:AssumeRole"))], trust_policy=policy(trust({"AWS": ANA})))
    made.add_principal(ROLE, identity_policies=[policy(allow(S3))], trust_policy=policy(trust({"AWS": NEXT})))
    made.add_resource(BKT, account=A)
    engine = made.compile()
    result = through(engine, ANA, resources=OBJECTS)
    assert result.result is FAILS, result.reason
    assert [one.resource for one in result.path][:2] == [NEXT, ROLE]
    check_path(engine, result)
    assert through(engine, BO, resources=OBJECTS).result is HOLDS


def policy(*statements: Any) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


@pytest.mark.parametrize(
    ("made", "principals", "expected"),
    [
        ({"dep": [allow(S3)], "ana": [], "trust": [trust({"AWS": A})]}, ANA, HOLDS),  # no identity Allow of its own
        ({"dep": [allow(S3)], "trust": [trust({"AWS": ANA})]}, ANA, FAILS),  # named in its account
        ({"dep": [allow("ec2:*")], "trust": [trust({"AWS": ANA})]}, ANA, HOLDS),
        ({"dep": [allow(S3)], "trust": [trust({"Service": "ec2.amazonaws.com"})]}, "kind:USER", HOLDS),
        ({"dep": [allow(S3)], "trust": [trust({"Service": "ec2.amazonaws.com"})]}, "services", FAILS),
        # the account of a stranger decides whether its principals may
        ({"dep": [allow(S3)], "trust": [trust({"AWS": X})]}, "outside", UNDECIDED),
    ],
)
def test_trust_and_own_policies_decide_about_a_role(made: dict[str, Any], principals: str, expected: InvariantOutcome) -> None:
    engine = world(**made)
    result = through(engine, principals, resources=OBJECTS)
    assert result.result is expected, (result.reason, result.path)
    if expected is FAILS:
        check_path(engine, result)


def test_roles_without_a_trust_policy_are_an_assumption() -> None:
    result = through(world(dep=[allow(S3)]), "kind:USER", resources=OBJECTS)
    assert result.result is HOLDS
    assert "roles without a recorded trust policy are not assumed" in result.assumptions


def test_only_never_goes_through_roles() -> None:
    with pytest.raises(fastiam.RequestValueError, match="through"):
        Invariant(always={"principals": ANA, "actions": S3}, through="roles")


NAMED = {"StringEquals": {"sts:RoleSessionName": "alice"}}
CURRENT = "aws:CurrentTime"


def of_saml(*dep: Any) -> dict[str, Any]:
    provider = {"Federated": f"arn:aws:iam::{A}:saml-provider/corp"}
    return {"dep": [allow(S3), *dep], "trust": [trust(provider, "sts:AssumeRoleWithSAML")]}


def reached(given: Any, *dep: Any, actions: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"dep": list(dep), "ana": [allow("sts:*")], "trust": [trust({"AWS": ANA}, "sts:AssumeRole", *actions, when=given)]}


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (reached(NAMED, allow(S3)), FAILS),
        (reached(NAMED, allow(S3, when={"StringLike": {"aws:userid": "*:alice"}})), FAILS),
        # the session would have another name
        (reached(NAMED, allow(S3, when={"StringLike": {"aws:userid": "*:bob"}})), UNDECIDED),
        (
            reached({"StringNotEquals": {"sts:RoleSessionName": "bob"}}, allow(S3, when={"StringLike": {"aws:userid": "*:bob"}})),
            UNDECIDED,
        ),
        # it would have the tag, or the identity
        (
            reached(
                {"StringEquals": {"aws:RequestTag/team": "red"}},
                allow(S3),
                deny(S3, when={"Null": {"aws:PrincipalTag/team": "false"}}),
                actions=("sts:TagSession",),
            ),
            UNDECIDED,
        ),
        (
            reached(
                {"StringEquals": {"sts:SourceIdentity": "ana"}},
                allow(S3),
                deny(S3, when={"Null": {"aws:SourceIdentity": "false"}}),
                actions=("sts:SetSourceIdentity",),
            ),
            UNDECIDED,
        ),
        # no session lasts for ten years
        (
            reached(
                {"DateLessThan": {CURRENT: "2020-01-01T00:00:00Z"}},
                allow(S3, when={"DateGreaterThan": {CURRENT: "2030-01-01T00:00:00Z"}}),
            ),
            UNDECIDED,
        ),
        # only a provider gives it
        (reached(None, allow(S3, when={"StringEquals": {"saml:aud": "x"}})), UNDECIDED),
    ],
)
def test_chain_is_shown_only_if_its_calls_give_its_sessions(made: Any, expected: InvariantOutcome) -> None:
    result = through(world(**made), ANA, resources=OBJECTS)
    assert result.result is expected, (result.reason, result.path)


def test_chain_does_not_guess_keys_that_a_provider_gives() -> None:
    for without in ({"Null": {"aws:FederatedProvider": "false"}}, {"Null": {"aws:MultiFactorAuthPresent": "true"}}):
        result = through(world(**of_saml(deny(S3, when=without))), "federated:*", resources=OBJECTS)
        assert result.result is UNDECIDED, result.path


@pytest.mark.parametrize(
    "made",
    [
        # a role of a stranger that ana may assume may be trusted by the role, or may be what the bucket allows
        {"dep": [allow(S3)], "trust": [trust({"AWS": f"arn:aws:iam::{X}:role/Between"})]},
        {"bucket": [grant({"AWS": X}, S3, [BKT, OBJECTS])]},
    ],
)
def test_roles_without_a_record_are_open_without_assumptions(made: dict[str, Any]) -> None:
    engine = world(ana=[allow("sts:*")], **made)
    scope = {"principals": ANA, "actions": S3, "resources": OBJECTS}
    assert prove_invariant(engine, Invariant(never=scope, through="roles")).assumptions
    assert prove_invariant(engine, Invariant(never=scope, through="roles", closed=False)).result is UNDECIDED


# -- assumptions, cycles and limits ------------------------------------------------------------------------------------


def test_chain_to_a_resource_of_unknown_policy_is_not_shown() -> None:
    """A role may access what is outside, if policies that no record has allow it: no engine decides its request."""
    engine = world(dep=[allow(S3)], trust=[trust({"AWS": ANA})])
    result = through(engine, ANA, resources="outside")
    assert result.result is UNDECIDED, result.path
    assert "no request verifies each step" in result.reason
    assert not result.path
    assert prove_invariant(engine, Invariant(never={"principals": ROLE, "actions": S3, "resources": "outside"})).note


def test_roles_without_access_need_an_assumption() -> None:
    engine = world(ana=[allow("sts:*")], trust=[trust({"AWS": ANA})])
    result = through(engine, ANA, resources=OBJECTS)
    assert result.result is HOLDS, result.reason
    assert "principals, resources, actions and tests that are not known allow roles nothing" in result.assumptions
    strict = prove_invariant(
        engine, Invariant(never={"principals": ANA, "actions": S3, "resources": OBJECTS}, through="roles"), strict=True
    )
    assert strict.result is UNDECIDED
    assert "allow roles nothing" in strict.reason


def of_roles(*roles: tuple[str, Any], last: Any = S3) -> fastiam.Engine:
    """Return an engine with roles by name, each with the principals that may assume it; the last one has access."""
    made = fastiam.Directory("lenient")  # roles may trust those that come after them
    made.set_organization("o-1", management_account="999999999999", accounts={A: None})
    made.add_principal(ANA, identity_policies=[policy(allow("sts:AssumeRole"))])
    for name, trusted in roles:
        may = [allow("sts:AssumeRole"), *([allow(last)] if name == roles[-1][0] else [])]
        made.add_principal(named(name), identity_policies=[policy(*may)], trust_policy=policy(trust({"AWS": trusted})))
    made.add_resource(BKT, account=A)
    return made.compile()


def named(role: str) -> str:
    return f"arn:aws:iam::{A}:role/{role}"


@pytest.mark.parametrize(
    ("of_first", "of_last", "expected"),
    [
        ([named("Q")], [named("P")], HOLDS),  # each trusts the other
        ([named("P")], [named("Q"), named("P")], HOLDS),  # itself
        ([named("Q"), ANA], [named("P")], FAILS),
    ],
)
def test_roles_that_trust_each_other_end_the_search(of_first: Any, of_last: Any, expected: InvariantOutcome) -> None:
    engine = of_roles(("P", of_first), ("Q", of_last))
    result = through(engine, ANA, resources=OBJECTS)
    assert result.result is expected, result.reason
    if expected is FAILS:
        assert [one.resource for one in result.path][:2] == [named("P"), named("Q")]
        check_path(engine, result)


@pytest.mark.parametrize(("n_roles", "expected"), [(3, FAILS), (4, UNDECIDED)])
def test_chain_beyond_the_limit_of_steps_is_undecided(
    monkeypatch: pytest.MonkeyPatch, n_roles: int, expected: InvariantOutcome
) -> None:
    monkeypatch.setattr(role_chains, "_MAX_STEPS", 3)
    before = [ANA, *(named(f"R{number}") for number in range(n_roles))]
    engine = of_roles(*((f"R{number}", before[number]) for number in range(n_roles)))
    result = through(engine, ANA, resources=OBJECTS)
    assert result.result is expected, result.reason
    assert ("a chain of more than 3 steps" in result.reason) is (expected is UNDECIDED)
    if expected is FAILS:
        assert len(result.path) == n_roles + 1
        check_path(engine, result)


def test_more_roles_than_the_limit_are_undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = of_roles(*((f"R{number}", named("Last")) for number in range(3)), ("Last", [named(f"R{n}") for n in range(3)]))
    assert through(engine, ANA, resources=OBJECTS).result is HOLDS
    monkeypatch.setattr(role_chains, "_MAX_ROLES", 2)
    result = through(engine, ANA, resources=OBJECTS)
    assert result.result is UNDECIDED
    assert "of more than 2 roles" in result.reason


def check_world(seed: int, counts: Counter[str]) -> None:
    small = SmallWorld(seed)
    allowed = allowed_rows(small)
    for principals in (small.random.choice([ANA, BO, EVE]), small.random.choice([f"account:{A}", f"account:{B}", "kind:USER"])):
        scope = {**small.invariant(), "principals": principals}
        result = prove_invariant(small.engine, Invariant(never=scope, through="roles"), timeout=None)
        counts[result.result.value] += 1
        if result.result is FAILS and result.path:
            counts["chains"] += 1
            check_path(small.engine, result)
        if result.result is HOLDS:
            own = violations(scope, allowed, small)
            assert not own, (seed, scope, own[0], small._steps)
            chains = chains_of(small, scope, allowed)
            assert not chains, (seed, scope, chains[0], small._steps)


def chains_of(small: SmallWorld, scope: dict[str, Any], allowed: list[Any]) -> list[Any]:
    """Return the calls of AssumeRole with which a principal of the scope begins a chain to a role that violates an invariant."""
    of_roles = {**scope, "principals": "everyone", "except": None}
    reached = {row[0].names[-1] for row in violations(of_roles, allowed, small) if row[0].kind in ("ROLE", "SLR")}
    calls = [row for row in allowed if row[1] == "sts:AssumeRole" and row[2] in (DEP, OPS)]
    for _ in range(3):
        reached |= {row[0].names[-1] for row in calls if row[2] in reached and row[0].kind in ("ROLE", "SLR")}
    return [
        row
        for row in calls
        if row[2] in reached
        and small.has_principal(scope["principals"], row[0])
        and not small.has_principal(scope.get("except"), row[0])
    ]


@pytest.mark.parametrize("first", [2 * number for number in seeds(10, 300)])
def test_no_chain_of_requests_contradicts_a_proof(first: int) -> None:
    counts: Counter[str] = Counter()
    for seed in range(20_000 + first, 20_000 + first + 2):
        check_world(seed, counts)
    assert sum(counts.values()) >= 4
