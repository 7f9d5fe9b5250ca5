"""`fastiam.simulate`: profiles from ad-hoc policies (spec D6, D16, D18, D23, K1, N3 to N6)."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from fastiam import Outcome, PolicyError, RequestValueError, Session, simulate
from fastiam.model.policy import PolicyKind
from fastiam.model.profile import PrincipalKind
from fastiam.simulation.profiles import profiles_from_documents

A, B = "111111111111", "222222222222"
ROOT, ANA, DEP = f"arn:aws:iam::{A}:root", f"arn:aws:iam::{A}:user/eng/ana", f"arn:aws:iam::{A}:role/ops/Dep"
RUN1, KIO = f"arn:aws:sts::{A}:assumed-role/Dep/run1", f"arn:aws:sts::{A}:federated-user/kio"
LINKED = f"arn:aws:iam::{A}:role/aws-service-role/x.amazonaws.com/Linked"
BKT, KEY = "arn:aws:s3:::bkt/x", f"arn:aws:kms:us-east-1:{A}:key/k"
ALLOW = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
ANYONE = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}]}
TRUST = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": A}, "Action": "sts:AssumeRole"}]}
RCP = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*"}]}
ASSUMED = {"aws:AssumedRoot": True}


def profiles(principal=ANA, action="s3:GetObject", resource=BKT, **more):
    return profiles_from_documents(principal, action, resource, **more)


KINDS = [
    (ANA, {}, PrincipalKind.USER),
    (ROOT, {}, PrincipalKind.ROOT),
    (ROOT, ASSUMED, PrincipalKind.AROOT),
    (ROOT, {"aws:AssumedRoot": "TRUE"}, PrincipalKind.AROOT),
    (ROOT, {"aws:AssumedRoot": False}, PrincipalKind.ROOT),
    (ANA, ASSUMED, PrincipalKind.USER),
    (DEP, {}, PrincipalKind.ROLE),
    (LINKED, {}, PrincipalKind.SLR),
    (RUN1, {}, PrincipalKind.ROLE),
    (f"arn:aws:sts::{A}:assumed-role/Linked/s", {"aws:PrincipalArn": LINKED}, PrincipalKind.ROLE),  # N6
    (Session(f"arn:aws:sts::{A}:assumed-role/Linked/s", kind="ROLE", issuer=LINKED), {}, PrincipalKind.SLR),
    (Session(f"arn:aws:sts::{A}:assumed-role/Linked/s", kind="SLR"), {}, PrincipalKind.ROLE),  # N6
    (KIO, {}, PrincipalKind.FED),
    ("ec2.amazonaws.com", {}, PrincipalKind.SVC),
    ("*", {}, PrincipalKind.ANON),
]


@pytest.mark.parametrize(("principal", "context", "kind"), KINDS, ids=str)
def test_kind_follows_from_the_form_and_assumed_root(principal, context, kind):
    """N3, N6, K1."""
    assert profiles(principal, context=context)[0].kind is kind


ARNS = [
    (RUN1, f"arn:aws:iam::{A}:role/Dep"),
    (Session(RUN1, kind="ROLE", issuer=DEP), DEP),
    (DEP, DEP),
    (KIO, KIO),
    (ANA, ANA),
]


@pytest.mark.parametrize(("principal", "arn"), ARNS, ids=str)
def test_the_principal_arn_is_the_role_as_far_as_it_is_known(principal, arn):
    """N6."""
    assert profiles(principal)[0].keys["aws:principalarn"].values == (arn,)


IDS = [
    (ANA, "AIDAANA", "AIDAANA"),
    (RUN1, "AROADEP:run1", "AROADEP"),
    (DEP, "AROADEP:x", "AROADEP"),
    (KIO, f"{A}:kio", None),
    (ROOT, A, None),
    ("*", "anonymous", None),
]


@pytest.mark.parametrize(("principal", "given", "unique_id"), IDS)
def test_given_userid_determines_the_unique_id(principal, given, unique_id):
    """K1."""
    assert profiles(principal, context={"aws:userid": given})[0].unique_id == unique_id


def test_issuer_of_a_federated_user_is_known_only_if_given():
    """N2, N4."""
    bare, given = profiles(KIO)[0], profiles(Session(KIO, kind="FED", issuer=ANA))[0]
    by_root = profiles(Session(KIO, kind="FED", issuer=ROOT))[0]
    assert (bare.issuer_known, bare.user_arn, bare.issuer_root) == (False, None, False)
    assert (given.issuer_known, given.user_arn, given.issuer_root) == (True, ANA, False)
    assert (by_root.issuer_known, by_root.user_arn, by_root.issuer_root) == (True, None, True)


LAYERS = [
    # kind, identity, boundary, session (6.1)
    (ANA, True, True, False),
    (DEP, True, True, True),
    (RUN1, True, True, True),
    (LINKED, True, False, True),
    (KIO, True, True, True),
    (ROOT, False, False, False),
    ("ec2.amazonaws.com", False, False, False),
    ("*", False, False, False),
]
ARGUMENTS = ("identity_policies", "permissions_boundary", "session_policies")


@pytest.mark.parametrize(("principal", "allowed"), [(row[0], row[1:]) for row in LAYERS])
@pytest.mark.parametrize("argument", ARGUMENTS)
def test_layers_foreign_to_the_kind_are_refused_in_strict_only(principal, allowed, argument):
    """D6."""
    if allowed[ARGUMENTS.index(argument)]:
        profiles(principal, **{argument: [ALLOW]})
    else:
        with pytest.raises(RequestValueError, match="cannot have this layer") as error:
            profiles(principal, **{argument: [ALLOW]})
        assert error.value.column == argument
    kept = profiles(principal, mode="lenient", **{argument: [ALLOW]})[0]
    layer = {"identity_policies": kept.identity_policies, "permissions_boundary": kept.boundary}.get(
        argument, kept.session_policies
    )
    assert len(layer) == 1


def test_a_task_policy_belongs_to_an_assumed_root():
    profiles(ROOT, context=ASSUMED, session_policies=[ALLOW])
    with pytest.raises(RequestValueError):
        profiles(ROOT, context=ASSUMED, identity_policies=[ALLOW])


@pytest.mark.parametrize("argument", ["permissions_boundary", "session_policies", "scps", "rcps", "vpc_endpoint_policies"])
def test_layer_none_is_absent_and_empty_list_allows_nothing(argument):
    def layer(value):
        principal, resource, endpoint, _ = profiles(RUN1, **{argument: value})
        return {
            "permissions_boundary": principal.boundary, "session_policies": principal.session_policies, "scps": principal.scps,
            "rcps": resource.rcps, "vpc_endpoint_policies": endpoint and endpoint.policies,
        }[argument]  # fmt: skip

    assert layer(None) is None
    assert layer([]) == ()


def test_policies_are_called_after_their_arguments():
    """D51."""
    principal, resource, endpoint, _ = profiles(
        RUN1, identity_policies=[ALLOW, ALLOW], permissions_boundary=ALLOW, session_policies=[ALLOW], resource_policy=ANYONE,
        scps=[[ALLOW], [ALLOW, ALLOW]], rcps=[[RCP]], vpc_endpoint_policies=[ANYONE],
    )  # fmt: skip
    names = [p.name for p in (*principal.identity_policies, *principal.boundary, *principal.session_policies)]
    names += [p.name for level in principal.scps for p in level] + [p.name for level in resource.rcps for p in level]
    names += [p.name for p in (*resource.policies, *endpoint.policies)]
    assert names == [
        "identity_policies[0]", "identity_policies[1]", "permissions_boundary[0]", "session_policies[0]", "scps[0][0]",
        "scps[1][0]", "scps[1][1]", "rcps[0][0]", "resource_policy", "vpc_endpoint_policies[0]",
    ]  # fmt: skip


def test_a_single_document_is_a_list_of_one():
    text = json.dumps(ALLOW)
    principal = profiles(RUN1, identity_policies=text, permissions_boundary=text.encode(), session_policies=ALLOW)[0]
    assert [len(layer) for layer in (principal.identity_policies, principal.boundary, principal.session_policies)] == [1, 1, 1]


SCPS = [(ANA, ""), (ROOT, ""), (LINKED, "service_linked_role"), ("ec2.amazonaws.com", "no_account"), ("*", "no_account")]


@pytest.mark.parametrize(("principal", "note"), SCPS)
def test_scps_apply_except_to_exempt_principals(principal, note):
    """D11."""
    profile = profiles(principal, scps=[[ALLOW]])[0]
    assert (profile.scp_note, profile.scps is None) == (note, bool(note))


RCPS = [
    (ANA, BKT, None, True),
    (ANA, "*", None, True),
    ("*", BKT, None, True),
    ("ec2.amazonaws.com", "*", None, False),
    ("ec2.amazonaws.com", "*", B, True),
]


@pytest.mark.parametrize(("principal", "resource", "owner", "applies"), RCPS)
def test_rcps_apply_but_to_no_resource_of_no_account(principal, resource, owner, applies):
    """D16."""
    profile = profiles(principal, resource=resource, resource_account=owner, rcps=[[RCP]])[1]
    assert (profile.rcps is not None) is applies


OWNERS = [
    # resource, caller, given, owner, assumed, override (D23)
    (BKT, ANA, None, A, True, False),
    (BKT, ANA, B, B, False, False),
    (BKT, "*", None, None, False, False),
    (KEY, ANA, None, A, False, False),
    (KEY, ANA, B, B, False, True),
    ("*", ANA, None, A, True, False),
    ("arn:aws:iam::aws:policy/P", ANA, None, A, True, False),
]


@pytest.mark.parametrize(("resource", "principal", "given", "owner", "assumed", "override"), OWNERS)
def test_the_owner_is_found_without_a_directory(resource, principal, given, owner, assumed, override):
    profile = profiles(principal, resource=resource, resource_account=given)[1]
    assert (profile.account, profile.assumed_owner, profile.owner_override) == (owner, assumed, override)
    assert ("aws:resourceaccount" in profile.keys) is (owner is not None)


@pytest.mark.parametrize(
    ("action", "resource", "document", "kind"),
    [
        ("sts:AssumeRole", DEP, TRUST, PolicyKind.TRUST),
        ("STS:TagSession", DEP, TRUST, PolicyKind.TRUST),
        ("iam:GetRole", DEP, ANYONE, PolicyKind.RESOURCE),
        ("kms:Decrypt", KEY, ANYONE, PolicyKind.RESOURCE),
        ("s3:GetObject", BKT, ANYONE, PolicyKind.RESOURCE),
    ],
)
def test_the_kind_of_a_resource_policy_follows_from_the_request(action, resource, document, kind):
    """D18."""
    assert profiles(action=action, resource=resource, resource_policy=document)[1].policies[0].kind is kind


def test_a_session_brings_its_policies_tags_and_keys():
    session = Session(
        RUN1, kind="ROLE", issuer=DEP, policies=[ALLOW], tags={"Team": "s"}, source_identity="ana",
        issued_at=datetime(2026, 1, 1, tzinfo=UTC), context={"saml:sub": "x"},
    )  # fmt: skip
    profile = profiles(session)[0]
    assert [p.name for p in profile.session_policies] == ["session_policies[0]"]
    assert {k: v.values[0] for k, v in profile.keys.items() if k in (
        "aws:principaltag/team", "aws:sourceidentity", "aws:tokenissuetime", "saml:sub", "aws:multifactorauthpresent")} == {
        "aws:principaltag/team": "s", "aws:sourceidentity": "ana", "aws:tokenissuetime": "2026-01-01T00:00:00Z", "saml:sub": "x",
    }  # fmt: skip


def test_session_policies_come_from_one_place():
    with pytest.raises(RequestValueError, match="has its own") as error:
        profiles(Session(RUN1, kind="ROLE", issuer=DEP, policies=[ALLOW]), session_policies=[ALLOW])
    assert error.value.column == "session_policies"


def test_given_context_is_not_checked():
    """K1: in `simulate` the caller's values win."""
    principal, _, _, request = profiles(context={"aws:PrincipalAccount": B})
    assert principal.account == A
    assert request.context["aws:principalaccount"].values == (B,)


def test_an_endpoint_is_named_by_the_context():
    endpoint = profiles(context={"aws:SourceVpce": "vpce-1"}, vpc_endpoint_policies=[ANYONE])[2]
    assert (endpoint.id, endpoint.known) == ("vpce-1", True)


BROKEN = [
    ({"action": "s3:*"}, "action"),
    ({"resource": "bkt"}, "resource"),
    ({"principal": "arn:aws:s3:::b"}, "principal"),
    ({"principal": 7}, "principal"),
    ({"resource_account": "1"}, "resource_account"),
    ({"now": datetime(2026, 1, 1)}, "now"),
    ({"context": {"aws:username": ["a", "b"]}}, "aws:username"),
    ({"identity_policies": [7]}, "identity_policies[0]"),
    ({"identity_policies": 7}, "identity_policies"),
    ({"scps": ALLOW}, "scps"),
    ({"mode": "loose"}, "mode"),
    ({"engine": "fast"}, "engine"),
]


@pytest.mark.parametrize(("arguments", "column"), BROKEN)
def test_an_argument_that_cannot_be_read_is_named(arguments, column):
    request = {"principal": ANA, "action": "s3:GetObject", "resource": BKT, "engine": "reference"} | arguments
    with pytest.raises(RequestValueError) as error:
        simulate(**request)
    assert error.value.column == column


def test_a_rejected_document_is_a_policy_error():
    with pytest.raises(PolicyError, match=r"identity_policies\[0\]:1:"):
        simulate(ANA, "s3:GetObject", BKT, identity_policies=['{"Version": "2012-10-17", "Statement": {"Effect": "allow"}}'])


def test_simulate_decides():
    decision = simulate(ANA, "s3:GetObject", BKT, identity_policies=[ALLOW], engine="reference")
    assert decision.outcome is Outcome.ALLOW and decision.assumed_owner
