"""Deleted, created again and renamed: who a grant means afterwards."""

from __future__ import annotations

import pickle
import re

import pytest
from account_world import (
    ALLOW,
    ANA,
    AWS,
    BKT,
    BO,
    CHAIN,
    DEP,
    ENG,
    IAM,
    KEY,
    LINKED,
    OIDC,
    PROFILE,
    SAML,
    A,
    P,
    Q,
    allowed,
    doing,
    granting,
    names,
)

import fastiam
from fastiam import Directory, DirectoryError


def trusting(*who: str) -> dict:
    return {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": list(who)}, "Action": "sts:AssumeRole"}],
    }


def session(role: str, name: str = "run") -> str:
    return f"arn:aws:sts::{A}:assumed-role/{role.rsplit('/', 1)[1]}/{name}"


# -- deleting, and creating again ------------------------------------------------------------------------------------------


def test_unreferenced_records_can_be_deleted(directory):
    directory.delete_instance_profile(PROFILE)
    directory.delete_provider(SAML)
    directory.delete_provider(OIDC)
    directory.delete_resource(BKT)
    directory.delete_endpoint("vpce-1")
    directory.detach_policy(ANA, P)
    directory.remove_user_from_group(ANA, ENG)
    directory.delete_group(ENG)
    for arn in (ANA, BO, DEP, CHAIN, LINKED):  # a service-linked role takes its policies with it
        directory.delete_principal(arn)
    for arn in (P, Q, AWS):
        directory.delete_policy(arn)
    empty = Directory()
    empty.add_account(A)
    tables, none = directory.tables, empty.tables
    for table in tables.__slots__:
        assert getattr(tables, table) == getattr(none, table) or table in ("accounts", "organization")
    assert not any(vars(directory._store.indexes).values()), "no index keeps anything"


IDS = [("AIDAANA", "AIDANEW"), ("new", "new"), (None, None)]


@pytest.mark.parametrize(("old", "new"), IDS)
def test_grant_to_a_deleted_user_excludes_a_new_user_of_its_name(old, new):
    """E117, N30, N31."""
    directory = Directory()
    directory.add_principal(ANA, unique_id=old)
    directory.add_principal(BO)
    directory.add_resource(BKT, account=A, policy=granting(ANA, BO))
    directory.add_resource(KEY, policy=granting(ANA))
    engine = directory.compile()
    assert engine.is_allowed(ANA, "s3:GetObject", BKT)
    directory.delete_principal(ANA)
    directory.add_principal(ANA, unique_id=new)
    assert engine.is_allowed(ANA, "s3:GetObject", BKT), "an engine answers as it did"
    for now in (engine.updated(directory), directory.compile()):
        assert not now.is_allowed(ANA, "s3:GetObject", BKT)
        assert not now.is_allowed(ANA, "kms:Decrypt", KEY)
        assert now.is_allowed(BO, "s3:GetObject", BKT)
    text = directory.to_json()
    assert re.search(r'"AIDA\w+"', text.split('"resources"')[1]), "the orphaned id stays visible"


def test_a_grant_to_an_id_ends_with_it():
    """E117 as in the catalogue."""
    directory = Directory()
    directory.add_principal(ANA, unique_id="AIDAANA")
    directory.add_resource(BKT, account=A, policy=granting("AIDAANA"))
    assert allowed(directory, ANA, "s3:GetObject")
    directory.delete_principal(ANA)
    directory.add_principal(ANA, unique_id="AIDANEW")
    decision = directory.compile().decide(ANA, "s3:GetObject", BKT)
    assert decision.outcome is fastiam.Outcome.IMPLICIT_DENY


@pytest.mark.parametrize("named", [DEP, f"{IAM}:role/Dep"])
@pytest.mark.parametrize("where", ["add_principal", "set_trust_policy", "add_resource"])
def test_trust_in_a_deleted_role_excludes_a_new_role(named, where):
    """E118, N11, N30: with or without the path, and wherever the trust policy was stored."""
    directory = Directory()
    directory.add_principal(DEP, identity_policies=[("all", ALLOW)], unique_id="AROADEP")
    if where == "add_resource":
        directory.add_principal(CHAIN)
        directory.add_resource(CHAIN, policy=trusting(named))
    else:
        directory.add_principal(CHAIN, trust_policy=trusting(named) if where == "add_principal" else trusting(A))
        if where == "set_trust_policy":
            directory.set_trust_policy(CHAIN, trusting(named))
    assert allowed(directory, session(DEP), "sts:AssumeRole", CHAIN)
    directory.delete_inline_policy(DEP, "all")
    directory.delete_principal(DEP)
    directory.add_principal(DEP, identity_policies=[("all", ALLOW)], unique_id="AROANEW")
    decision = directory.compile().decide(session(DEP), "sts:AssumeRole", CHAIN)
    assert decision.outcome is fastiam.Outcome.IMPLICIT_DENY


def test_a_grant_by_condition_survives():
    """E119, N33: `aws:PrincipalArn` is never rewritten."""
    directory = Directory()
    policy = granting("*", ArnEquals={"aws:PrincipalArn": DEP})
    directory.add_principal(DEP)
    directory.add_resource(BKT, account=A, policy=policy)
    directory.delete_principal(DEP)
    directory.add_principal(DEP)
    assert allowed(directory, session(DEP), "s3:GetObject")


def test_sessions_accounts_and_services_keep_their_names():
    """N33."""
    directory = Directory()
    directory.add_principal(DEP)
    policy = granting(session(DEP), A, f"{IAM}:root", f"arn:aws:sts::{A}:federated-user/ana")
    directory.add_resource(BKT, account=A, policy=policy)
    before = directory.tables.resources[BKT].policies
    directory.delete_principal(DEP)
    assert directory.tables.resources[BKT].policies == before


def test_a_deny_with_not_principal_spares_the_deleted_user_alone():
    """N30: the new user is not the one that the policy exempts."""
    statement = {"Effect": "Deny", "NotPrincipal": {"AWS": [ANA, A]}, "Action": "*", "Resource": "*"}
    directory = Directory()
    directory.add_principal(ANA, identity_policies=[("all", ALLOW)])
    directory.add_resource(BKT, account=A, policy={"Version": "2012-10-17", "Statement": statement})
    assert allowed(directory, ANA, "s3:GetObject")
    directory.delete_inline_policy(ANA, "all")
    directory.delete_principal(ANA)
    directory.add_principal(ANA, identity_policies=[("all", ALLOW)])
    assert not allowed(directory, ANA, "s3:GetObject")


# -- new names -------------------------------------------------------------------------------------------------------------


def test_a_renamed_user_stays_who_it_is_and_policies_follow(directory):
    """N34."""
    directory.set_resource_policy(BKT, granting(ANA))
    directory.add_resource(KEY, policy=granting(f"{IAM}:root", ArnEquals={"aws:PrincipalArn": ANA}))
    directory.set_trust_policy(CHAIN, trusting(ANA))
    new = directory.rename(ANA, "Anna", path="/ops/")
    assert new == f"{IAM}:user/ops/Anna"
    engine = directory.compile()
    assert engine.is_allowed(new, "s3:PutObject", BKT) and not engine.is_allowed(ANA, "s3:PutObject", BKT)
    assert engine.is_allowed(new, "sts:AssumeRole", CHAIN)
    entity = directory.tables.entities[new]
    assert (entity.unique_id, entity.groups, entity.attached, entity.name) == ("AIDAANA", (ENG,), (P,), "Anna")
    assert ANA not in directory.tables.entities and not engine.is_allowed(new, "kms:Decrypt", KEY)
    directory.add_principal(ANA)
    assert not allowed(directory, ANA, "s3:PutObject")


def test_a_name_may_change_its_case(directory):
    new = directory.rename(ANA, "ANA")
    with pytest.raises(DirectoryError, match="ignoring case"):
        directory.add_principal(ANA)
    assert directory.rename(new, "ana") == ANA == directory.rename(ANA, "ana")


def test_a_renamed_group_keeps_its_members(directory):
    directory.attach_policy(ENG, Q)
    new = directory.rename(ENG, "People")
    assert directory.tables.entities[ANA].groups == (new,) and names(directory, ANA) == [P, Q]
    directory.add_principal(f"{BO}2", groups=["people"])
    with pytest.raises(DirectoryError, match="not there"):
        directory.add_principal(f"{BO}3", groups=["Eng"])


# -- ids -------------------------------------------------------------------------------------------------------------------


def test_ids_are_made_with_the_right_prefix_letters_and_length(directory):
    """Spec 7.3."""
    tables = directory.tables
    made = [tables.entities[BO], tables.entities[CHAIN], tables.groups[ENG], tables.managed[P], tables.instance_profiles[PROFILE]]
    for record, prefix in zip(made, ("AIDA", "AROA", "AGPA", "ANPA", "AIPA"), strict=True):
        assert re.fullmatch(f"{prefix}[A-Z2-7]{{17}}", record.unique_id)


@pytest.mark.parametrize(("arn", "id_"), [(ANA, "AROAX"), (DEP, "AIDAX"), (ANA, "ana"), (ANA, "")])
def test_an_id_that_no_policy_can_name_is_worth_a_word(arn, id_):
    directory = Directory()
    directory.add_principal(arn, unique_id=id_)
    (finding,) = directory.findings
    assert (finding.code, finding.severity) == ("DIR-ID", fastiam.Severity.WARN) and arn in finding.message


def test_generated_id_cannot_be_contradicted_by_a_request():
    """K1: a given id can be contradicted; an unknown id is absent."""
    directory = Directory()
    policy = ("own", doing("s3:*", Condition={"StringLike": {"aws:userid": "AIDA*"}}))
    for name, id_ in (("made", "new"), ("given", "AIDAGIVEN"), ("unknown", None)):
        directory.add_principal(f"{IAM}:user/{name}", unique_id=id_, identity_policies=[policy])
    directory.add_resource(BKT, account=A)
    for engine in (directory.compile(), pickle.loads(pickle.dumps(directory)).compile()):
        ask = [engine.is_allowed(f"{IAM}:user/{name}", "s3:GetObject", BKT) for name in ("made", "given", "unknown")]
        assert ask == [True, True, False]
        assert engine.is_allowed(f"{IAM}:user/made", "s3:GetObject", BKT, {"aws:userid": "AIDATRUE"})
        with pytest.raises(fastiam.RequestValueError, match="aws:userid"):
            engine.is_allowed(f"{IAM}:user/given", "s3:GetObject", BKT, {"aws:userid": "AIDATRUE"})
