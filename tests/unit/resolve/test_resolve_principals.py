"""Callers as profiles: kinds (spec N3 to N6), keys (5.2, 5.3, 7.5, 7.6), layers (6.1), SCPs (D11)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from fastiam import Directory, RequestValueError, Session
from fastiam.errors import PolicyError
from fastiam.model.profile import PrincipalKind

A, B, M, X = "111111111111", "222222222222", "999999999999", "333333333333"
ROOT, ANA, DEP = f"arn:aws:iam::{A}:root", f"arn:aws:iam::{A}:user/eng/ana", f"arn:aws:iam::{A}:role/ops/Dep"
RUN1, KIO = f"arn:aws:sts::{A}:assumed-role/Dep/run1", f"arn:aws:sts::{A}:federated-user/kio"
LINKED = f"arn:aws:iam::{A}:role/aws-service-role/x.amazonaws.com/Linked"
ALLOW = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
ISSUED, LATER = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 1, tzinfo=UTC)


def make() -> Directory:
    directory = Directory()
    directory.set_organization("o-1", management_account=M, accounts={A: "ou-a", B: "ou-b"}, delegated_administrators=[B])
    directory.add_account(A, canonical_id="cafe")
    directory.add_group("eng", account=A, identity_policies=[("of-group", ALLOW)])
    directory.add_principal(
        ANA,
        identity_policies=[("of-ana", ALLOW)],
        permissions_boundary=ALLOW,
        tags={"Team": "r", "cost": "1"},
        unique_id="AIDAANA",
        groups=["ENG"],
    )
    directory.add_principal(DEP, identity_policies=ALLOW, tags={"Team": "r"}, unique_id="AROADEP")
    directory.add_principal(LINKED, identity_policies=ALLOW)
    directory.add_principal(f"arn:aws:iam::{A}:user/bo")
    return directory


@pytest.fixture(scope="module")
def snapshot():
    return make().snapshot()


def keys_of(profile) -> dict:
    """The keys as plain values; lists for those that are multivalued."""
    return {k: list(v.values) if v.multi else v.values[0] for k, v in profile.keys.items()}


ORG = {"aws:principalorgid": "o-1", "aws:principalorgpaths": ["o-1/r-1/ou-a/"], "aws:principalorgmasteraccountid": M}
OF_A = {"aws:principalaccount": A, "aws:principalisawsservice": "false", **ORG}
TAGS = {"aws:principaltag/team": "r", "aws:principaltag/cost": "1"}
USER = OF_A | TAGS | {
    "aws:principalarn": ANA, "aws:principaltype": "User", "aws:userid": "AIDAANA", "aws:username": "ana",
}  # fmt: skip
ROLE = OF_A | {"aws:principalarn": DEP, "aws:principaltype": "AssumedRole", "aws:principaltag/team": "r"}
FED = OF_A | TAGS | {"aws:principalarn": KIO, "aws:principaltype": "FederatedUser", "aws:userid": f"{A}:kio"}
OF_ROOT = OF_A | {"aws:principalarn": ROOT, "aws:principaltype": "Account", "aws:userid": A}
T = {"aws:tokenissuetime": "2026-01-01T00:00:00Z"}
MFA, NO_MFA = {"aws:multifactorauthpresent": "true"}, {"aws:multifactorauthpresent": "false"}
NOT_KNOWN = {"aws:tokenissuetime": ["unknown"]}  # a conflict (C6)

KEYS = [
    ("root", ROOT, PrincipalKind.ROOT, OF_ROOT),
    ("user", ANA, PrincipalKind.USER, USER),
    ("role", DEP, PrincipalKind.ROLE, ROLE | NO_MFA | NOT_KNOWN),
    ("session by name", RUN1, PrincipalKind.ROLE, ROLE | NO_MFA | NOT_KNOWN | {"aws:userid": "AROADEP:run1"}),
    ("service", "ec2.amazonaws.com", PrincipalKind.SVC, {
        "aws:principalisawsservice": "true", "aws:principalservicename": "ec2.amazonaws.com",
        "aws:principalservicenameslist": ["ec2.amazonaws.com"],
    }),
    ("anonymous", "*", PrincipalKind.ANON, {
        "aws:principalaccount": "anonymous", "aws:principaltype": "Anonymous", "aws:userid": "anonymous",
    }),
    ("saml", f"arn:aws:iam::{A}:saml-provider/idp", PrincipalKind.SAML, {}),
    ("oidc", f"arn:aws:iam::{A}:oidc-provider/x.org", PrincipalKind.OIDC, {
        "aws:federatedprovider": f"arn:aws:iam::{A}:oidc-provider/x.org",
    }),
    ("role session", Session(RUN1, kind="ROLE", issuer=DEP, issued_at=ISSUED), PrincipalKind.ROLE,
     ROLE | T | NO_MFA | {"aws:userid": "AROADEP:run1"}),
    ("role session without issuer", Session(RUN1, kind="ROLE"), PrincipalKind.ROLE,
     ROLE | NO_MFA | {"aws:userid": "AROADEP:run1"}),
    ("role session by SAML", Session(RUN1, kind="ROLE", issuer=DEP, context={"saml:sub": "s"}), PrincipalKind.ROLE,
     ROLE | {"saml:sub": "s", "aws:userid": "AROADEP:run1"}),
    ("role session by OIDC", Session(RUN1, kind="ROLE", issuer=DEP, context={"aws:FederatedProvider": "accounts.google.com"}),
     PrincipalKind.ROLE, ROLE | {"aws:federatedprovider": "accounts.google.com", "aws:userid": "AROADEP:run1"}),
    ("role session with MFA in the call", Session(RUN1, kind="ROLE", issuer=DEP, mfa_at=ISSUED), PrincipalKind.ROLE,
     ROLE | NO_MFA | {"aws:userid": "AROADEP:run1"}),
    ("source identity", Session(RUN1, kind="ROLE", issuer=DEP, source_identity="ana"), PrincipalKind.ROLE,
     ROLE | NO_MFA | {"aws:sourceidentity": "ana", "aws:userid": "AROADEP:run1"}),
    ("session tags", Session(RUN1, kind="ROLE", issuer=DEP, tags={"team": "s", "New": "n"}), PrincipalKind.ROLE,
     ROLE | NO_MFA | {"aws:principaltag/team": "s", "aws:principaltag/new": "n", "aws:userid": "AROADEP:run1"}),
    ("token", Session(ANA, kind="USER", issued_at=ISSUED), PrincipalKind.USER, USER | T | NO_MFA),
    ("token with MFA", Session(ANA, kind="USER", issued_at=ISSUED, mfa_at=LATER), PrincipalKind.USER, USER | T | MFA),
    ("token of root", Session(ROOT, kind="ROOT", issued_at=ISSUED), PrincipalKind.ROOT, OF_ROOT | T | NO_MFA),
    ("federated", Session(KIO, kind="FED", issuer=ANA, issued_at=ISSUED), PrincipalKind.FED, FED | T),
    ("federated with tags", Session(KIO, kind="FED", issuer=ANA, tags={"TEAM": "k"}), PrincipalKind.FED,
     FED | {"aws:principaltag/team": "k"}),
    ("federated by root", Session(KIO, kind="FED", issuer=ROOT), PrincipalKind.FED,
     {k: v for k, v in FED.items() if k not in TAGS}),
    ("assumed root", Session(ROOT, kind="AROOT", issued_at=ISSUED), PrincipalKind.AROOT,
     OF_ROOT | T | {"aws:assumedroot": "true"}),
]  # fmt: skip


@pytest.mark.parametrize(("subject", "kind", "expected"), [row[1:] for row in KEYS], ids=[row[0] for row in KEYS])
def test_a_caller_has_the_keys_of_its_kind_and_no_others(snapshot, subject, kind, expected):
    """5.2, 5.3, 7.5 (S20, S22), 7.6."""
    profile = snapshot.principal(subject)
    assert profile.kind is kind
    assert profile.known
    assert keys_of(profile) == expected


def test_the_age_of_mfa_is_kept_as_its_instant(snapshot):
    """7.6: seconds since MFA."""
    profile = snapshot.principal(Session(ANA, kind="USER", mfa_at=LATER))
    assert (profile.mfa, profile.temporary, profile.mfa_at) == (True, True, int(LATER.timestamp()))


def test_a_token_without_mfa_is_temporary_without_mfa(snapshot):
    profile = snapshot.principal(Session(ANA, kind="USER"))
    assert (profile.mfa, profile.temporary, profile.mfa_at) == (False, True, None)


NAMES = [
    # subject, action, kind (N3)
    ("accounts.google.com", "sts:AssumeRoleWithWebIdentity", PrincipalKind.OIDC),
    ("accounts.google.com", "STS:assumerolewithwebidentity", PrincipalKind.OIDC),
    ("sts.amazonaws.com", "sts:AssumeRole", PrincipalKind.SVC),
    ("idp.example", "sts:AssumeRoleWithSAML", PrincipalKind.SAML),
    (ROOT, "", PrincipalKind.ROOT),
    (LINKED, "", PrincipalKind.SLR),
    (f"arn:aws:sts::{A}:assumed-role/Linked/s", "", PrincipalKind.SLR),
    (f"arn:aws:iam::{A}:role/other/path/Dep", "", PrincipalKind.ROLE),
]


@pytest.mark.parametrize(("subject", "action", "kind"), NAMES)
def test_kind_of_a_name_follows_from_its_form_and_the_records(snapshot, subject, action, kind):
    profile = snapshot.principal(subject, action)
    assert profile.kind is kind
    assert profile.known


@pytest.mark.parametrize(
    "text",
    [
        "", "arn:aws:s3:::b", f"arn:aws:iam::{A}:group/eng", f"arn:aws:iam::{A}:user/", f"arn:aws:iam:eu-west-1:{A}:root",
        "arn:aws:iam::12:root", f"arn:aws:sts::{A}:assumed-role/Dep", f"arn:aws:sts::{A}:assumed-role/ops/Dep/run1",
        f"arn:aws:sts::{A}:federated-user/a/b", "arn:aws:iam", "two\nlines",
    ],
)  # fmt: skip
def test_any_other_arn_is_an_error(snapshot, text):
    """N3."""
    with pytest.raises(RequestValueError, match="is not a principal"):
        snapshot.principal(text)


UNKNOWN = [
    f"arn:aws:iam::{A}:user/nobody", f"arn:aws:iam::{A}:user/ana", f"arn:aws:iam::{A}:role/dep", KIO,
    f"arn:aws:sts::{A}:assumed-role/None/s", Session(KIO, kind="FED"),
    Session(KIO, kind="FED", issuer=f"arn:aws:iam::{A}:user/nobody"), Session(f"arn:aws:iam::{A}:user/nobody", kind="USER"),
    f"arn:aws-us-gov:iam::{A}:user/eng/ana", f"arn:aws-us-gov:sts::{A}:assumed-role/Dep/run1",
]  # fmt: skip


@pytest.mark.parametrize("subject", UNKNOWN, ids=str)
def test_callers_without_a_record_are_not_known(snapshot, subject):
    assert not snapshot.principal(subject).known


def test_the_root_of_an_account_without_a_record_may_come(snapshot):
    """D22: it uses what another account's policy gives to its account."""
    profile = snapshot.principal(f"arn:aws:iam::{X}:root")
    assert profile.known
    assert profile.scps is None and profile.scp_note == "outside_organization"


def test_policies_come_in_the_order_in_which_answers_name_them():
    """D51: own inline, own attached, then group by group the same."""
    managed = [f"arn:aws:iam::aws:policy/P{i}" for i in range(3)]
    directory = Directory()
    for arn in managed:
        directory.add_managed_policy(arn, ALLOW)
    directory.add_group("g1", [managed[1], ("g1-inline", ALLOW)], account=A)
    directory.add_group("g2", [("g2-inline", ALLOW), managed[2]], account=A)
    directory.add_principal(ANA, identity_policies=[managed[0], ("own", ALLOW), ALLOW], groups=["g2", "g1"])
    names = [policy.name for policy in directory.snapshot().principal(ANA).identity_policies]
    assert names == ["own", "identity_policies[2]", managed[0], "g2-inline", managed[2], "g1-inline", managed[1]]


def test_a_stored_policy_is_one_object_wherever_it_is_used():
    arn = "arn:aws:iam::aws:policy/P"
    directory = Directory()
    directory.add_managed_policy(arn, ALLOW)
    directory.add_principal(ANA, identity_policies=[arn], permissions_boundary=arn)
    directory.add_principal(DEP, identity_policies=[arn])
    one, other = (directory.snapshot().principal(p) for p in (ANA, DEP))
    assert one.identity_policies is other.identity_policies
    assert one.boundary is not None and one.boundary[0] is one.identity_policies[0]


def test_layers_of_sessions_are_those_of_their_issuer(snapshot):
    """6.1, D2: identity policies and boundary of the issuer, session policies of the session."""
    ana, dep = snapshot.principal(ANA), snapshot.principal(DEP)
    fed = snapshot.principal(Session(KIO, kind="FED", issuer=ANA, policies=[ALLOW, ALLOW]))
    assert fed.identity_policies is ana.identity_policies and fed.boundary is ana.boundary and fed.bounded
    assert [p.name for p in fed.session_policies] == ["session_policies[0]", "session_policies[1]"]
    assert (fed.user_arn, fed.issuer_known, fed.issuer_root, fed.unique_id) == (ANA, True, False, "AIDAANA")
    run = snapshot.principal(Session(RUN1, kind="ROLE", issuer=DEP))
    assert run.identity_policies is dep.identity_policies
    assert (run.session_policies, run.session_arn, run.role_name, run.unique_id) == (None, RUN1, "Dep", "AROADEP")
    by_root = snapshot.principal(Session(KIO, kind="FED", issuer=ROOT))
    assert (by_root.issuer_root, by_root.user_arn, by_root.identity_policies) == (True, None, ())


def test_a_role_arn_is_some_session_of_the_role(snapshot):
    """N5."""
    dep = snapshot.principal(DEP)
    assert (dep.session_arn, dep.role_name) == (None, "Dep")
    assert "aws:userid" not in dep.keys


def test_a_profile_of_a_session_is_resolved_once(snapshot):
    session = Session(RUN1, kind="ROLE", issuer=DEP, policies=[ALLOW])
    assert snapshot.principal(session) is snapshot.principal(session)


def test_session_policies_are_strict_in_a_lenient_directory():
    """F5: a person writes them."""
    directory = Directory(mode="lenient")
    directory.add_principal(DEP)
    bad = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "Get*", "Resource": "*"}]}
    with pytest.raises(PolicyError, match="V24"):
        directory.snapshot().principal(Session(RUN1, kind="ROLE", issuer=DEP, policies=[bad]))


def test_managed_session_policies_follow_inline_ones():
    """D4, D51."""
    arn = f"arn:aws:iam::{A}:policy/P"
    directory = Directory()
    directory.add_managed_policy(arn, ALLOW)
    directory.add_principal(DEP)
    profile = directory.snapshot().principal(Session(RUN1, kind="ROLE", issuer=DEP, policies=[arn, ALLOW]))
    assert [policy.name for policy in profile.session_policies] == ["session_policies[0]", arn]
    with pytest.raises(RequestValueError, match="document is unknown"):
        directory.snapshot().principal(Session(RUN1, kind="ROLE", issuer=DEP, policies=[arn + "x"]))


CONTRADICTIONS = [
    (Session(ANA, kind="ROLE", issuer=DEP), "not the ARN of a session"),
    (Session(RUN1, kind="USER"), "not the ARN of a session"),
    (Session(DEP, kind="ROLE"), "not the ARN of a session"),
    (Session(RUN1, kind="ROLE", issuer=LINKED), "cannot be the issuer"),
    (Session(RUN1, kind="ROLE", issuer=ANA), "cannot be the issuer"),
    (Session(RUN1, kind="ROLE", issuer=f"arn:aws:iam::{B}:role/Dep"), "cannot be the issuer"),
    (Session(KIO, kind="FED", issuer=DEP), "cannot be the issuer"),
    (Session(KIO, kind="FED", issuer=f"arn:aws:iam::{B}:user/ana"), "cannot be the issuer"),
    (Session("*", kind="ANON"), "has no sessions"),
    (Session(ANA, kind="USER", policies=[ALLOW]), "cannot have session policies"),
    (Session(ROOT, kind="ROOT", policies=[ALLOW]), "cannot have session policies"),
    (Session(ROOT, kind="AROOT", tags={"a": "b"}), "has no tags"),
]


@pytest.mark.parametrize(("session", "message"), CONTRADICTIONS)
def test_a_session_that_contradicts_itself_is_an_error(snapshot, session, message):
    """N2, D6."""
    with pytest.raises(RequestValueError, match=message):
        snapshot.principal(session)


NOTES = [
    (ANA, ""),
    (ROOT, ""),
    (f"arn:aws:iam::{M}:root", "management_account"),
    (LINKED, "service_linked_role"),
    (f"arn:aws:iam::{X}:root", "outside_organization"),
    ("ec2.amazonaws.com", "no_account"),
    ("*", "no_account"),
]


@pytest.mark.parametrize(("subject", "note"), NOTES)
def test_scps_apply_to_members_alone(snapshot, subject, note):
    """D11."""
    profile = snapshot.principal(subject)
    assert profile.scp_note == note
    assert (profile.scps is None) is bool(note)


def test_management_account_and_delegate_administer_iam(snapshot):
    """7.4."""
    may = {account: snapshot.principal(f"arn:aws:iam::{account}:root").may_assume_root for account in (A, B, M, X)}
    assert may == {A: False, B: True, M: True, X: False}


def test_canonical_ids_belong_to_all_callers_of_an_account(snapshot):
    assert {snapshot.principal(s).canonical_id for s in (ROOT, ANA, RUN1, Session(KIO, kind="FED", issuer=ANA))} == {"cafe"}


def test_all_callers_are_listed_once(snapshot):
    names = [profile.name for profile in snapshot.principals()]
    assert sorted(names) == sorted(
        [*(f"arn:aws:iam::{a}:root" for a in (A, B, M)), ANA, DEP, LINKED, f"arn:aws:iam::{A}:user/bo"]
    )
