"""Writes to the account model: what is refused, what a lenient model notes, and that a failed write changes nothing."""

from __future__ import annotations

import json
import pickle

import pytest

from fastiam import Directory, DirectoryError, Layer, Outcome, load
from fastiam.errors import PolicyError

A, B, M = "111111111111", "222222222222", "999999999999"
ANA, DEP = f"arn:aws:iam::{A}:user/eng/ana", f"arn:aws:iam::{A}:role/ops/Dep"
LINKED = f"arn:aws:iam::{A}:role/aws-service-role/x.amazonaws.com/Linked"
MANAGED, BKT = f"arn:aws:iam::{A}:policy/P", "arn:aws:s3:::bkt"
ALLOW = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
RESOURCE = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}]}
BAD = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "Get*", "Resource": "*"}]}


def trust(who: str) -> dict:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": who}, "Action": "sts:AssumeRole"}]}


def make(mode: str = "strict") -> Directory:
    directory = Directory(mode=mode)
    directory.add_managed_policy(MANAGED, ALLOW)
    directory.add_group("Eng", account=A)
    directory.add_principal(ANA)
    directory.add_resource(BKT, account=A, policy=RESOURCE)
    directory.add_endpoint("vpce-1")
    return directory


# a write, the message, and the code of the finding in a lenient directory (None: an error in both modes)
WRITES = {
    "a session": (lambda d: d.add_principal(f"arn:aws:sts::{A}:assumed-role/Dep/run1"), "is a session", None),
    "a federated user": (lambda d: d.add_principal(f"arn:aws:sts::{A}:federated-user/kio"), "is a session", None),
    "a service": (lambda d: d.add_principal("ec2.amazonaws.com"), "not a user or role", None),
    "a provider": (lambda d: d.add_principal(f"arn:aws:iam::{A}:saml-provider/idp"), "not a user or role", None),
    "no text": (lambda d: d.add_principal(None), "must be text", None),
    "a group as principal": (lambda d: d.add_principal(f"arn:aws:iam::{A}:group/Eng"), "not a principal", None),
    "the same user": (lambda d: d.add_principal(ANA), "already", "DIR-EXISTS"),
    "a name that differs by case": (lambda d: d.add_principal(f"arn:aws:iam::{A}:user/ANA"), "ignoring case", "DIR-NAME"),
    "a name of the wrong letters": (lambda d: d.add_principal(f"arn:aws:iam::{A}:user/a b"), "not a valid name", "DIR-NAME"),
    "a long name": (lambda d: d.add_principal(f"arn:aws:iam::{A}:role/{'r' * 65}"), "not a valid name", "DIR-NAME"),
    "a long path": (lambda d: d.add_principal(f"arn:aws:iam::{A}:role/{'p' * 512}/r"), "not a valid path", "DIR-NAME"),
    "an account of letters": (lambda d: d.add_account("A"), "not an account id", None),
    "a policy that is not there": (
        lambda d: d.add_principal(DEP, identity_policies=[f"{MANAGED}x"]), "document is unknown", "DIR-NO-POLICY",
    ),
    "a boundary that is not there": (
        lambda d: d.add_principal(DEP, permissions_boundary=f"{MANAGED}x"), "denies everything", "DIR-NO-BOUNDARY",
    ),
    "a group that is not there": (lambda d: d.add_principal(f"{ANA}2", groups=["None"]), "not there", "DIR-NO-GROUP"),
    "a group of another account": (
        lambda d: d.add_principal(f"{ANA}2", groups=[f"arn:aws:iam::{B}:group/Eng"]), "another account", None,
    ),
    "a role in a group": (lambda d: d.add_principal(DEP, groups=["Eng"]), "cannot be in a group", None),
    "a user with a trust policy": (lambda d: d.add_principal(f"{ANA}2", trust_policy=trust(A)), "no trust policy", None),
    "a trust policy of a user": (lambda d: d.set_trust_policy(ANA, trust(A)), "no trust policy", None),
    "a trust policy of an unknown role": (lambda d: d.set_trust_policy(DEP, trust(A)), "there is no", None),
    "a root user with policies": (
        lambda d: d.add_principal(f"arn:aws:iam::{A}:root", identity_policies=ALLOW), "no policies", "D6",
    ),
    "a root user with tags": (lambda d: d.add_principal(f"arn:aws:iam::{A}:root", tags={"a": "b"}), "no tags", None),
    "a service-linked role with a boundary": (
        lambda d: d.add_principal(LINKED, permissions_boundary=ALLOW), "no permissions boundary", "D6",
    ),
    "a tag that is a number": (lambda d: d.add_principal(DEP, tags={"a": 1}), "text as key and value", None),
    "trust in a user that is not there": (lambda d: d.add_principal(DEP, trust_policy=trust(f"{ANA}2")), "does not have", "N32"),
    "trust in a role that does not exist": (
        lambda d: d.add_principal(DEP, trust_policy=trust(f"arn:aws:iam::{A}:role/None")), "does not have", "N32",
    ),
    "the same group, other case": (lambda d: d.add_group("ENG", account=A), "ignoring case", "DIR-NAME"),
    "the same group": (lambda d: d.add_group("Eng", account=A), "already", "DIR-EXISTS"),
    "a group without account": (lambda d: d.add_group("Ops"), "names no account", None),
    "a group that is a user": (lambda d: d.add_group(ANA), "not a group", None),
    "the same managed policy": (lambda d: d.add_managed_policy(MANAGED, ALLOW), "already", "DIR-EXISTS"),
    "a managed policy that is a user": (lambda d: d.add_managed_policy(ANA, ALLOW), "not a managed policy", None),
    "no version in force": (lambda d: d.add_managed_policy(f"{MANAGED}2", versions={"v2": ALLOW}), "no version `v1`", None),
    "the same resource": (lambda d: d.add_resource(BKT), "already", "DIR-EXISTS"),
    "no resource": (lambda d: d.add_resource("bkt"), "not a resource", None),
    "a policy of an object": (lambda d: d.add_resource(f"{BKT}/key", policy=RESOURCE), "no policy is read", "6.10"),
    "a policy of an alias": (
        lambda d: d.add_resource(f"arn:aws:kms:us-east-1:{A}:alias/a", policy=RESOURCE), "no policy is read", "6.10",
    ),
    "restricting a resource other than a bucket": (
        lambda d: d.add_resource(f"arn:aws:sqs:us-east-1:{A}:q", restrict_public_buckets=True), "not a bucket", None,
    ),
    "the policy of nothing": (lambda d: d.set_resource_policy(f"{BKT}2", RESOURCE), "there is no", None),
    "the same endpoint": (lambda d: d.add_endpoint("vpce-1"), "already", "DIR-EXISTS"),
    "an endpoint without id": (lambda d: d.add_endpoint(""), "not the id", None),
    "a policy that is none": (lambda d: d.add_resource(f"{BKT}2", policy=[17]), "must be JSON text", None),
}  # fmt: skip


@pytest.mark.parametrize("name", WRITES)
def test_a_refused_write_is_an_error_and_changes_nothing(name):
    write, message, _ = WRITES[name]
    directory = make()
    before, findings = directory.to_json(), directory.findings
    with pytest.raises(DirectoryError, match=message):
        write(directory)
    assert directory.to_json() == before
    assert directory.findings == findings


@pytest.mark.parametrize("name", WRITES)
def test_a_lenient_directory_notes_what_aws_would_refuse(name):
    """F5: what exists already must load, and nothing is swallowed."""
    write, message, code = WRITES[name]
    directory = make("lenient")
    if code is None:
        with pytest.raises(DirectoryError, match=message):
            write(directory)
        return
    write(directory)
    assert code in [finding.code for finding in directory.findings]


def test_a_rejected_document_changes_nothing():
    directory = make()
    before = directory.to_json()
    with pytest.raises(PolicyError, match="V24"):
        directory.add_principal(DEP, identity_policies=[ALLOW, BAD])
    assert directory.to_json() == before
    assert directory.findings == ()


def test_documents_of_a_lenient_directory_are_read_leniently():
    directory = make("lenient")
    directory.add_principal(DEP, identity_policies=[ALLOW, BAD])
    assert [finding.code for finding in directory.findings] == ["V24"]


MISSING = {
    # what a user has that allows everything, and the name and layer of the Deny that is reported
    "an attached policy": ({"identity_policies": [ALLOW, f"{MANAGED}x"]}, f"{MANAGED}x", Layer.IDENTITY),
    "a boundary": ({"identity_policies": [ALLOW], "permissions_boundary": f"{MANAGED}x"}, f"{MANAGED}x", Layer.BOUNDARY),
    "one of two boundaries": (
        {"identity_policies": [ALLOW], "permissions_boundary": [ALLOW, f"{MANAGED}x"]}, f"{MANAGED}x", Layer.BOUNDARY,
    ),
    "a group": ({"identity_policies": [ALLOW], "groups": ["x"]}, f"arn:aws:iam::{A}:group/x", Layer.IDENTITY),
}  # fmt: skip


@pytest.mark.parametrize("name", MISSING)
def test_missing_record_denies_what_it_could_deny(name, tmp_path):
    """Its documents can contain a Deny, which a resource policy that names the user does not override."""
    has, missing, layer = MISSING[name]
    directory = make("lenient")
    directory.add_principal(f"{ANA}2", **has)
    grant = {**RESOURCE["Statement"][0], "Principal": {"AWS": f"{ANA}2"}}
    directory.set_resource_policy(BKT, RESOURCE | {"Statement": [grant]})
    engine, request = directory.compile(), (f"{ANA}2", "s3:GetObject", f"{BKT}/k")
    (tmp_path / "directory.json").write_text(directory.to_json())
    copy = pickle.loads(pickle.dumps(engine))
    for each in (engine, copy, pickle.loads(pickle.dumps(copy)), load(tmp_path).compile()):
        decision = each.decide(*request)
        assert (decision.outcome, decision.layer, decision.indeterminate) == (Outcome.EXPLICIT_DENY, layer, True)
        assert (decision.statement.policy, decision.statement.sid) == (missing, "DocumentNotRead")
        assert decision == each.explain(*request).decision
    if ":group/" in missing:
        directory.add_group(missing)
    else:
        directory.add_managed_policy(missing, ALLOW)
    assert engine.updated(directory).is_allowed(*request)


def test_a_policy_that_comes_later_counts_from_then_on():
    directory = make("lenient")
    directory.add_principal(DEP, identity_policies=[f"{MANAGED}x"])
    directory.add_managed_policy(f"{MANAGED}x", ALLOW)
    assert len(directory.snapshot().principal(DEP).identity_policies) == 1


def test_trust_policies_accept_names_and_external_roles():
    """N11, N32: for accounts outside the model the ARN is kept; a role may name itself."""
    directory = make()
    directory.add_principal(f"arn:aws:iam::{A}:role/Other", trust_policy=trust(f"arn:aws:iam::{B}:user/ben"))
    directory.add_principal(DEP, trust_policy=trust(f"arn:aws:iam::{A}:role/another/path/Other"))
    directory.add_principal(f"arn:aws:iam::{A}:role/Self", trust_policy=trust(f"arn:aws:iam::{A}:role/Self"))
    assert directory.snapshot().facts(DEP).policies is not None


def test_a_role_has_one_trust_policy_wherever_it_was_stored():
    directory = make()
    directory.add_resource(DEP, policy=trust(ANA))
    with pytest.raises(DirectoryError, match="already"):
        directory.add_principal(DEP, trust_policy=trust(A))
    directory.add_principal(DEP)
    with pytest.raises(DirectoryError, match="already"):
        directory.set_trust_policy(DEP, trust(A))
    directory.set_resource_policy(DEP, None)
    directory.set_trust_policy(DEP, trust(A))
    with pytest.raises(DirectoryError, match="already"):
        directory.set_resource_policy(DEP, trust(A))


def test_the_version_in_force_is_the_one_that_counts():
    directory = Directory()
    directory.add_managed_policy(MANAGED, versions={"v1": ALLOW, "v2": {**ALLOW, "Id": "two"}}, default_version="v2")
    directory.add_principal(ANA, identity_policies=[MANAGED])
    (policy,) = directory.snapshot().principal(ANA).identity_policies
    assert (policy.id, policy.name, policy.arn) == ("two", MANAGED, MANAGED)


def test_an_inline_policy_is_replaced_by_its_name():
    directory = Directory()
    directory.add_principal(ANA, identity_policies=[("a", ALLOW), ("b", ALLOW)])
    directory.put_inline_policy(ANA, "a", {**ALLOW, "Id": "new"})
    directory.put_inline_policy(ANA, "c", ALLOW)
    assert [(p.name, p.id) for p in directory.snapshot().principal(ANA).identity_policies] == [
        ("a", "new"),
        ("b", None),
        ("c", None),
    ]
    with pytest.raises(DirectoryError, match="there is no"):
        directory.put_inline_policy(DEP, "a", ALLOW)


def test_stored_policy_is_independent_of_the_given_mapping():
    document = json.loads(json.dumps(ALLOW))
    directory = Directory()
    directory.add_principal(ANA, identity_policies=[document])
    before = directory.to_json()
    document["Statement"].append({"Effect": "Deny", "Action": "*", "Resource": "*"})
    assert directory.to_json() == before
    assert len(directory.snapshot().principal(ANA).identity_policies[0].statements) == 1


@pytest.mark.parametrize("document", [json.dumps(ALLOW), json.dumps(ALLOW).encode(), "%7B%22Statement%22%3A%5B%5D%7D"])
def test_documents_come_as_text_bytes_and_url_encoded(document):
    directory = Directory(mode="lenient")
    directory.add_principal(ANA, identity_policies=document)
    assert len(directory.snapshot().principal(ANA).identity_policies) == 1


def test_policy_tuple_is_two_documents_or_a_named_document():
    directory = Directory()
    text = json.dumps(ALLOW)
    directory.add_principal(ANA, identity_policies=(text, text))
    directory.add_principal(DEP, identity_policies=("deploy", text))
    snapshot = directory.snapshot()
    assert [p.name for p in snapshot.principal(ANA).identity_policies] == ["identity_policies[0]", "identity_policies[1]"]
    assert [p.name for p in snapshot.principal(DEP).identity_policies] == ["deploy"]


def test_snapshot_is_unaffected_by_later_writes():
    directory = make()
    old = directory.snapshot()
    directory.add_principal(DEP)
    directory.put_inline_policy(ANA, "new", ALLOW)
    directory.set_scps(A, [[ALLOW]])
    directory.set_resource_policy(BKT, None)
    new = directory.snapshot()
    assert not old.principal(DEP).known and new.principal(DEP).known
    assert old.principal(ANA).identity_policies == () and len(new.principal(ANA).identity_policies) == 1
    assert old.principal(ANA).scps is None and new.principal(ANA).scps is not None
    assert old.facts(BKT).policies is not None and new.facts(BKT).policies is None
    assert directory.snapshot() is new


def test_directories_and_snapshots_pickle():
    directory = make()
    directory.set_organization("o-1", management_account=M, accounts={A: "ou-a"})
    directory.add_principal(DEP, identity_policies=[MANAGED], permissions_boundary=MANAGED)
    again = pickle.loads(pickle.dumps(directory))
    assert again.to_json() == directory.to_json()
    profile = again.snapshot().principal(DEP)
    assert profile == directory.snapshot().principal(DEP)
    assert profile.boundary[0] is profile.identity_policies[0]
    assert list(pickle.loads(pickle.dumps(directory.snapshot())).principals()) == list(directory.snapshot().principals())
    again.add_principal(f"{ANA}2")


def test_account_details_are_set_before_or_after_principals():
    directory = Directory()
    directory.add_principal(ANA)
    directory.add_account(A, canonical_id="cafe", name="main")
    directory.add_account(A)
    assert directory.snapshot().principal(ANA).canonical_id == "cafe"


def test_mode_is_strict_or_lenient():
    with pytest.raises(ValueError, match="unknown mode"):
        Directory(mode="loose")
