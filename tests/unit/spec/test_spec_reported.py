"""What the specification evaluator reports: statements, undetermined tests, derived context and unknown keys."""

from dataclasses import replace
from typing import Any

import pytest
from spec_profiles import (
    ALLOW,
    ANA,
    AROOT,
    DENY,
    DEP,
    DEPENDS,
    EXPLICIT,
    FED,
    IMPLICIT,
    KEY,
    NO,
    OK,
    ROLE,
    ROOT_A,
    RUN1,
    SVC,
    USER,
    YES,
    ZERO,
    A,
    B,
    a_bucket,
    ask,
    grant,
    policy,
    statement,
    verdict,
)

from fastiam.model.decision import Layer, Outcome
from fastiam.model.policy import PolicyKind
from fastiam.model.profile import AccountFacts, EndpointProfile, PrincipalProfile, ResourceProfile
from fastiam.model.request import ContextValue

# -- what is reported (D50, D51, 6.9) -----------------------------------------------------------------------------------


def test_explicit_deny_reports_first_layer_and_statement() -> None:  # D50, D51, E259, E340, E345
    scps = (YES, (ALLOW, policy(statement("Allow"), statement("Deny"), name="ou")), NO)
    resource = a_bucket(policy(statement("Deny", who="*"), name="rp", kind=PolicyKind.RESOURCE))
    explanation = ask(replace(USER, identity_policies=YES + NO, scps=scps), resource)
    ref = explanation.decision.statement
    assert ref is not None and (ref.layer, ref.level, ref.policy, ref.index) == (Layer.SCP, 1, "ou", 1)
    assert [(each.ref.layer, each.ref.level) for each in explanation.denies] == [
        (Layer.SCP, 1),
        (Layer.SCP, 2),
        (Layer.RESOURCE, 0),
        (Layer.IDENTITY, 0),
    ]
    first, second = policy(statement("Allow"), name="one"), policy(statement("Allow"), name="two")
    for order in ((first, second), (second, first)):
        decision = ask(replace(USER, identity_policies=order)).decision
        assert decision.statement is not None and decision.statement.policy == order[0].name


def test_reported_grant_has_a_sufficient_class() -> None:  # D51, E344
    decision = ask(replace(USER, identity_policies=YES), a_bucket(grant(A, ANA))).decision
    assert decision.statement is not None and (decision.layer, decision.statement.index) == (Layer.RESOURCE, 1)
    decision = ask(replace(USER, identity_policies=YES), a_bucket(grant(A, ANA), account=B)).decision
    assert decision.statement is not None and decision.statement.layer is Layer.IDENTITY
    decision = ask(ROOT_A, a_bucket(grant(A))).decision
    assert decision.statement is not None and decision.statement.index == 0
    assert ask(ROOT_A).decision.statement is None


MISSING = [  # principal, layers, resource, missing
    (USER, {}, a_bucket(), (("identity",), ("resource:D",))),  # E258
    (USER, {"identity_policies": YES, "boundary": ZERO}, a_bucket(), (("boundary",), ("resource:D",))),
    (USER, {}, a_bucket(account=B), (("resource", "identity"),)),
    (USER, {"identity_policies": YES}, a_bucket(account=B), (("resource",),)),
    (USER, {"scps": (YES, ZERO, ZERO)}, a_bucket(), (("scp:1", "scp:2", "identity"), ("scp:1", "scp:2", "resource:D"))),
    (USER, {"scps": (), "identity_policies": YES}, a_bucket(), (("scp",),)),
    (ROLE, {"boundary": ZERO, "session_policies": ZERO}, a_bucket(grant(DEP)), (("boundary", "session"), ("resource:D",))),
    (SVC, {}, a_bucket(), (("resource",),)),
    (USER, {"identity_policies": YES}, a_bucket(arn=KEY), (("resource",),)),
    (USER, {}, a_bucket(arn=KEY), (("resource", "identity"), ("resource:D",))),
    (AROOT, {}, a_bucket(), (("session",),)),
    (USER, {"identity_policies": YES, "session_policies": ZERO}, a_bucket(), (("session",),)),
    (USER, {}, a_bucket(unknown_owner=True), ()),
]


@pytest.mark.parametrize(("principal", "layers", "resource", "expected"), MISSING)
def test_missing_lists_the_smallest_alternatives(
    principal: PrincipalProfile, layers: dict, resource: ResourceProfile, expected: tuple
) -> None:
    explanation = ask(replace(principal, **layers), resource)
    assert (explanation.decision.outcome, explanation.missing) == (IMPLICIT, expected)  # 6.9


def test_bypassed_lists_layers_that_a_grant_overrides() -> None:  # E205, 6.9
    layers = {"boundary": ZERO, "session_policies": ZERO}
    assert ask(replace(ROLE, **layers), a_bucket(grant(RUN1))).bypassed == (Layer.IDENTITY, Layer.BOUNDARY, Layer.SESSION)
    assert ask(replace(USER, boundary=ZERO), a_bucket(grant(ANA))).bypassed == (Layer.IDENTITY, Layer.BOUNDARY)
    assert ask(replace(ROLE, identity_policies=YES), a_bucket(grant(DEP))).bypassed == ()


def test_limits_give_the_reason_of_layers_that_do_not_apply() -> None:  # 6.9
    principal = replace(USER, identity_policies=YES, boundary=ZERO, scp_note="management_account")
    limits = {each.layer: (each.result, each.reason, each.level) for each in ask(principal, a_bucket(rcps=((),))).limits}
    assert limits == {
        Layer.RCP: ("allow", "", None),
        Layer.SCP: ("not_applicable", "management_account", None),
        Layer.VPCE: ("not_applicable", "no_endpoint", None),
        Layer.BOUNDARY: ("implicit_deny", "", None),
        Layer.SESSION: ("not_applicable", "none", None),
    }
    limits = {each.layer: (each.result, each.level) for each in ask(replace(FED, scps=(YES, ZERO))).limits}
    assert limits[Layer.SCP] == ("implicit_deny", 1)
    assert limits[Layer.SESSION] == ("implicit_deny", None)


def test_near_miss_names_the_failed_test() -> None:  # 6.9
    statements = (
        statement("Allow", "s3:Put*"),
        statement("Allow", resource="arn:aws:s3:::other"),
        statement("Allow", StringEquals=("aws:RequestedRegion", "eu-west-1"), ForAnyValue_StringLike=("k:list", "a")),
        statement("Allow", ForAnyValue_StringLikeIfExists=("K:list", "a", "b")),
    )
    explanation = ask(replace(USER, identity_policies=(policy(*statements),)), context={"k:list": ["c"]})
    assert [(each.ref.index, each.element, each.operator, each.expected, each.actual) for each in explanation.near_misses] == [
        (0, "Action", "", ("s3:Put*",), ("s3:getobject",)),
        (1, "Resource", "", ("arn:aws:s3:::other",), ("arn:aws:s3:::bkt/x",)),
        (3, "Condition", "ForAnyValue:StringLikeIfExists", ("a", "b"), ("c",)),
    ]


def test_explanation_lists_absent_keys_and_unresolved_variables() -> None:  # 6.9
    statements = (
        statement("Allow", resource="arn:aws:s3:::bkt/${aws:PrincipalTag/Team}"),
        statement("Allow", StringEquals=("aws:SourceVpc", "${aws:PrincipalTag/vpc}")),
        statement("Allow", "ec2:*", StringEquals=("k:other", "a")),
        statement("Allow", resource="arn:aws:s3:::other", StringEquals=("k:another", "a")),
    )
    explanation = ask(replace(USER, identity_policies=(policy(*statements),)))
    assert explanation.unresolved_variables == ("aws:principaltag/team",)
    assert explanation.absent_keys == ("aws:principaltag/team", "aws:sourcevpc")


# -- indeterminate (F3, F6, F7) -----------------------------------------------------------------------------------------


def test_denial_by_undetermined_test_is_indeterminate() -> None:  # F3, F6, E046
    doubtful = policy(statement("Deny", "s3:GetObject "))
    explanation = ask(replace(USER, identity_policies=(ALLOW, doubtful)))
    assert explanation.decision.outcome is EXPLICIT and explanation.decision.indeterminate
    assert explanation.denies[0].indeterminate and explanation.denies[0].reasons == ("V24",)
    assert not ask(replace(USER, identity_policies=(ALLOW, DENY, doubtful))).decision.indeterminate  # the reported one is T
    granted = ask(replace(USER, identity_policies=(policy(statement("Allow", "s3:GetObject ")),))).decision
    assert granted.outcome is IMPLICIT and granted.indeterminate
    assert not ask(USER).decision.indeterminate


def test_undetermined_statement_with_a_false_test_is_false() -> None:  # F7, E035
    whole = replace(statement("Deny", "ec2:*"), undetermined=("V4",))
    assert verdict(replace(USER, identity_policies=(ALLOW, policy(whole)))) == (OK, "identity")
    assert verdict(replace(USER, identity_policies=(ALLOW, policy(replace(whole, actions=None))))) == (EXPLICIT, "identity")


def test_reasons_omit_rules_of_tests_without_effect() -> None:  # F2
    mixed = replace(statement("Deny", "bad"), actions=("bad", "s3:*"), resources=("bkt", "*"))
    doubt = replace(mixed, conditions=statement("Deny", NumericEquals=("k:n", "1")).conditions)
    explanation = ask(replace(USER, identity_policies=(ALLOW, policy(doubt))), context={"k:n": "x"})
    assert explanation.denies[0].reasons == ("C22",)
    assert ask(replace(USER, identity_policies=(ALLOW, policy(mixed)))).denies[0].reasons == ()


# -- derived context (section 5) ----------------------------------------------------------------------------------------


def context_of(principal: PrincipalProfile = USER, resource: ResourceProfile | None = None, **parts: Any) -> dict[str, Any]:
    return dict(ask(principal, resource, **parts).context)


def test_defaults_fill_keys_that_the_request_lacks() -> None:  # K1, K2, K5
    context = context_of(now=1893456000)
    assert context == {
        "aws:principalarn": (ANA,),
        "aws:username": ("ana",),
        "aws:securetransport": ("false",),
        "aws:useragent": ("",),
        "aws:viaawsservice": ("false",),
        "aws:epochtime": ("1893456000",),
        "aws:currenttime": ("2030-01-01T00:00:00Z",),
    }
    assert context_of(context={"AWS:SecureTransport": True, "aws:username": "bo"})["aws:username"] == ("bo",)


@pytest.mark.parametrize(
    ("given", "current", "epoch"),
    [
        ({"aws:EpochTime": 1893456000}, "2030-01-01T00:00:00Z", "1893456000"),  # E355
        ({"aws:CurrentTime": "2030-01-01"}, "2030-01-01", "1893456000"),
        ({"aws:CurrentTime": "soon"}, "soon", "soon"),
        ({"aws:CurrentTime": "2030-01-01T00:00:00.5Z"}, "2030-01-01T00:00:00.5Z", "2030-01-01T00:00:00.5Z"),
        ({"aws:EpochTime": "99999999999999"}, "99999999999999", "99999999999999"),
        ({"aws:EpochTime": "5", "aws:CurrentTime": "2000-01-01"}, "2000-01-01", "5"),
    ],
)
def test_one_clock_key_determines_the_other(given: dict, current: str, epoch: str) -> None:  # K5
    context = context_of(context=given)
    assert (context["aws:currenttime"], context["aws:epochtime"]) == ((current,), (epoch,))


@pytest.mark.parametrize(
    ("arn", "action", "expected"),
    [
        (f"arn:aws:sqs:eu-west-1:{A}:q", "sqs:SendMessage", ("eu-west-1",)),  # E356
        ("*", "iam:ListUsers", ("us-east-1",)),
        ("arn:aws:s3:::bkt", "s3:ListBucket", None),
        ("*", "ec2:DescribeInstances", None),
        ("arn:aws-cn:iam::1:user/x", "iam:GetUser", None),  # K6: partition `aws`
    ],
)
def test_requested_region_default(arn: str, action: str, expected: Any) -> None:  # K6
    assert context_of(resource=a_bucket(arn=arn), action=action).get("aws:requestedregion") == expected


def test_keys_derived_from_other_keys() -> None:  # 5.4
    given = {"aws:RequestTag/CostCenter": "1", "aws:CalledVia": ["athena.amazonaws.com", "glue.amazonaws.com"]}
    context = context_of(context=given)
    assert context["aws:tagkeys"] == ("CostCenter",)
    assert context["aws:calledviafirst"] == ("athena.amazonaws.com",)
    assert context["aws:calledvialast"] == ("glue.amazonaws.com",)
    assert context["aws:viaawsservice"] == ("true",)
    facts = AccountFacts(B, org_id="o-1", org_path="o-1/r-1/ou-b/")
    context = context_of(SVC, context={"aws:SourceAccount": B}, sources={B: facts}.get)
    assert (context["aws:sourceorgid"], context["aws:sourceorgpaths"]) == (("o-1",), ("o-1/r-1/ou-b/",))
    assert "aws:sourceorgid" not in context_of(SVC, context={"aws:SourceAccount": A}, sources={B: facts}.get)
    assert context_of(replace(USER, mfa_at=40), now=100)["aws:multifactorauthage"] == ("60",)


def test_iam_resource_tags_are_an_alias_except_in_pass_role() -> None:  # 5.4, 5.5, E228
    keys = {"aws:resourcetag/k": ContextValue(("v",))}
    role = a_bucket(arn=DEP, keys=keys)
    context = context_of(resource=role, action="iam:GetRole")
    assert (context["iam:resourcetag/k"], context["aws:resourcetag/k"]) == (("v",), ("v",))
    passed = context_of(resource=role, action="iam:PassRole", context={"aws:ResourceTag/j": "w"})
    assert not [key for key in passed if "resourcetag" in key]
    assert "iam:resourcetag/k" not in context_of(resource=a_bucket(keys=keys))


def test_conditions_read_derived_keys() -> None:  # C44, E167
    secure = policy(statement("Allow", Bool=("aws:SecureTransport", "true")))
    assert verdict(replace(USER, identity_policies=(secure,))) == (IMPLICIT, "identity")
    assert verdict(replace(USER, identity_policies=(secure,)), context={"aws:SecureTransport": True}) == (OK, "identity")
    early = policy(statement("Allow", DateLessThan=("aws:EpochTime", "1970-01-02"), NumericLessThan=("aws:EpochTime", "86400")))
    assert verdict(replace(USER, identity_policies=(early,)), now=86399) == (OK, "identity")
    assert verdict(replace(USER, identity_policies=(early,)), now=86400) == (IMPLICIT, "identity")


# -- unknown keys (6.11) ------------------------------------------------------------------------------------------------


FROM_OFFICE = statement("Allow", IpAddress=("aws:SourceIp", "203.0.113.0/24"))
NOT_HERE = statement("Deny", StringNotEquals=("aws:RequestedRegion", "eu-west-1"))
NO_MFA = statement("Deny", BoolIfExists=("aws:MultiFactorAuthPresent", "false"))
TEAM = statement("Allow", resource="arn:aws:s3:::bkt/${aws:PrincipalTag/team}")


def depends(*args: Any, **parts: Any) -> tuple[Outcome, str, tuple[str, ...]]:
    decision = ask(*args, **parts).decision
    return decision.outcome, str(decision.layer), decision.depends_on


UNKNOWN = [  # layers, unknown keys, expected
    ({"identity_policies": (policy(FROM_OFFICE),)}, ["aws:SourceIp"], (DEPENDS, "identity", ("aws:sourceip",))),  # E346
    ({"identity_policies": (policy(FROM_OFFICE), ALLOW)}, ["aws:SourceIp"], (OK, "identity", ())),
    (
        {"identity_policies": YES, "scps": ((ALLOW, policy(NOT_HERE)),)},  # E347
        ["aws:RequestedRegion"],
        (DEPENDS, "scp", ("aws:requestedregion",)),
    ),
    ({"scps": ((ALLOW, policy(NOT_HERE)),)}, ["aws:RequestedRegion"], (IMPLICIT, "identity", ())),
    (
        {"identity_policies": (ALLOW, policy(NO_MFA)), "scps": (NO,)},
        ["aws:MultiFactorAuthPresent"],
        (EXPLICIT, "scp", ()),
    ),  # E348
    (
        {"identity_policies": (policy(TEAM),)},
        ["aws:PrincipalTag/team"],
        (DEPENDS, "identity", ("aws:principaltag/team",)),
    ),  # E349
    ({"identity_policies": (policy(FROM_OFFICE),)}, ["k:other"], (IMPLICIT, "identity", ())),
    # both could be false, and each is named although one of them is enough
    (
        {"identity_policies": (ALLOW, policy(NO_MFA, NOT_HERE))},
        ["aws:MultiFactorAuthPresent", "aws:RequestedRegion"],
        (DEPENDS, "identity", ("aws:multifactorauthpresent", "aws:requestedregion")),
    ),
    # the state of the boundary is the same in both runs
    (
        {"identity_policies": (policy(FROM_OFFICE),), "boundary": (ALLOW, policy(statement("Allow", Null=("k:x", "true"))))},
        ["aws:SourceIp", "k:x"],
        (DEPENDS, "identity", ("aws:sourceip",)),
    ),
]


@pytest.mark.parametrize(("layers", "unknown", "expected"), UNKNOWN)
def test_unknown_key_gives_depends(layers: dict, unknown: list, expected: tuple) -> None:  # D73, D74
    assert depends(replace(USER, **layers), unknown=tuple(unknown)) == expected


def test_depends_on_lists_the_keys_of_two_layers() -> None:  # E350
    layers = {
        "identity_policies": (policy(statement("Allow", StringEquals=("k:1", "a"))),),
        "session_policies": (policy(statement("Allow", StringEquals=("k:2", "a"))),),
    }
    principal = replace(ROLE, **layers)
    assert depends(principal, unknown=("k:1", "k:2")) == (DEPENDS, "identity", ("k:1", "k:2"))
    assert depends(principal, context={"k:1": "a"}, unknown=("k:2",)) == (DEPENDS, "session", ("k:2",))
    assert depends(principal, context={"k:1": "b"}, unknown=("k:2",)) == (IMPLICIT, "identity", ())


def test_keys_derived_from_an_unknown_key_are_unknown() -> None:  # D71
    def by(key: str, resource: ResourceProfile | None = None) -> Any:
        allow = policy(statement("Allow", StringEquals=(key, "a")))
        return lambda unknown, **parts: depends(replace(USER, identity_policies=(allow,)), resource, unknown=(unknown,), **parts)

    assert by("aws:CalledViaLast")("aws:CalledVia") == (DEPENDS, "identity", ("aws:calledvialast",))
    assert by("aws:EpochTime")("aws:CurrentTime") == (DEPENDS, "identity", ("aws:epochtime",))
    assert by("aws:TagKeys")("aws:RequestTag/x") == (DEPENDS, "identity", ("aws:tagkeys",))
    assert by("aws:SourceOrgID")("aws:SourceAccount") == (DEPENDS, "identity", ("aws:sourceorgid",))
    assert by("aws:SourceOrgID")("aws:SourceAccount", context={"aws:SourceOrgID": "a"}) == (OK, "identity", ())
    assert by("iam:ResourceTag/k", a_bucket(arn=DEP))("aws:ResourceTag/k") == (DEPENDS, "identity", ("iam:resourcetag/k",))
    assert by("aws:SecureTransport")("aws:SecureTransport") == (DEPENDS, "identity", ("aws:securetransport",))


def test_unknown_declaration_of_a_known_key_is_ignored() -> None:  # D71, K1
    allow = policy(statement("Allow", StringEquals=("aws:username", "bo")))
    assert depends(replace(USER, identity_policies=(allow,)), unknown=("aws:username",)) == (IMPLICIT, "identity", ())
    tagged = replace(USER, identity_policies=(policy(TEAM),), absent_keys=frozenset({"aws:principaltag/"}))
    assert depends(tagged, unknown=("aws:PrincipalTag/team",)) == (IMPLICIT, "identity", ())


def test_unknown_endpoint_key_gives_depends_of_its_layer() -> None:  # D71
    able, endpoint = replace(USER, identity_policies=YES), EndpointProfile("", known=False)
    assert depends(able, endpoint=endpoint, unknown=("aws:SourceVpce",)) == (DEPENDS, "vpce", ("aws:sourcevpce",))
    assert depends(USER, endpoint=endpoint, unknown=("aws:SourceVpce",)) == (IMPLICIT, "identity", ())


def test_unknown_user_id_gives_depends() -> None:  # D72, K1
    resource = a_bucket(grant("AIDAANA"))
    assert depends(USER, resource, unknown=("aws:userid",)) == (DEPENDS, "identity", ("aws:userid",))
