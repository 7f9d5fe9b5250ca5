"""An organisation as a tree, and the SCPs and RCPs on an account's path (spec D10 to D14, G3, G5)."""

from __future__ import annotations

import pytest

from fastiam import Directory, DirectoryError

A, B, C, M, X = "111111111111", "222222222222", "444444444444", "999999999999", "333333333333"
FULL = "arn:aws:organizations::aws:policy/service_control_policy/p-FullAWSAccess"


def scp(sid: str, effect: str = "Allow") -> dict:
    return {"Version": "2012-10-17", "Statement": [{"Sid": sid, "Effect": effect, "Action": "*", "Resource": "*"}]}


def rcp(sid: str) -> dict:
    statement = {"Sid": sid, "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*"}
    return {"Version": "2012-10-17", "Statement": [statement]}


def root_of(directory: Directory, account: str):
    return directory.snapshot().principal(f"arn:aws:iam::{account}:root")


def path_of(directory: Directory, account: str) -> str | None:
    return directory.snapshot().account_facts(account).org_path


PLACES = [
    # accounts, units -> path of A
    ({A: None}, {}, "o-1/r-1/"),
    ({A: "r-1"}, {}, "o-1/r-1/"),
    ({A: "ou-a"}, {}, "o-1/r-1/ou-a/"),
    ({A: "ou-a/ou-b"}, {}, "o-1/r-1/ou-a/ou-b/"),
    ({A: "r-1/ou-a/ou-b/"}, {}, "o-1/r-1/ou-a/ou-b/"),
    ({A: "o-1/r-1/ou-a/"}, {}, "o-1/r-1/ou-a/"),
    ({A: ["ou-a", "ou-b"]}, {}, "o-1/r-1/ou-a/ou-b/"),
    ({A: "ou-b"}, {"ou-b": "ou-a", "ou-a": "r-1"}, "o-1/r-1/ou-a/ou-b/"),
    ({A: "ou-b", B: "ou-a/ou-b"}, {}, "o-1/r-1/ou-a/ou-b/"),
    ({A: "ou-b", B: "r-1/ou-b"}, {"ou-z": "r-1"}, "o-1/r-1/ou-b/"),
    ({A: "ou-a/ou-b"}, {"ou-a": "r-1"}, "o-1/r-1/ou-a/ou-b/"),
    ({A: "ou-b", B: "ou-a/ou-b"}, {"ou-a": "r-1"}, "o-1/r-1/ou-a/ou-b/"),
]


@pytest.mark.parametrize(("accounts", "units", "path"), PLACES)
def test_account_path_is_that_of_the_organisation_tree(accounts, units, path):
    """5.2: the path ends with `/` and does not hold the account."""
    directory = Directory()
    directory.set_organization("o-1", accounts=accounts, organizational_units=units)
    assert path_of(directory, A) == path


BROKEN = [
    ({"id": "x-1"}, "not an organisation"),
    ({"root": "1"}, "not an organisation"),
    ({"accounts": {"A": None}}, "not an account id"),
    ({"accounts": {A: "b"}}, "not an organisational unit"),
    ({"accounts": {A: "r-2/ou-a"}}, "does not start at"),
    ({"accounts": {A: "r-1/ou-b"}, "organizational_units": {"ou-b": "ou-a", "ou-a": "r-1"}}, "has two parents"),
    ({"organizational_units": {"ou-a": "ou-b"}}, "not in the organisation"),
    ({"organizational_units": {"ou-a": "ou-b", "ou-b": "ou-a"}}, "is below itself"),
    ({"management_account": "M"}, "not an account id"),
    ({"delegated_administrators": [X]}, "does not belong to"),
    ({"scps": {"ou-z": []}}, "is not a root, unit or account"),
    ({"policy_types": ["TAG_POLICY"]}, "is not a policy type"),
    ({"accounts": {A: "o-2/r-1/ou-a"}}, "is not in the organisation"),
    ({"accounts": {A: "ou-a", B: A}}, "not an organisational unit"),
    ({"accounts": {A: None}, "organizational_units": {"ou-a": A}}, "which is an account"),
    ({"accounts": {A: "ou-a"}, "delegated_administrators": ["ou-a"]}, "`ou-a` is not an account"),
    ({"accounts": {A: None}, "delegated_administrators": {A: "iam.amazonaws.com"}}, "which is one text\nhelp: write a list"),
    ({"accounts": {A: None}, "delegated_administrators": {A: ["iam"]}}, "`iam` is not a service"),
]

UNITS = {"ou-sens": "r-1", "ou-work": "ou-sens"}
MISSPELT = [
    # arguments beside the units, what is misspelt, the hint
    ({"accounts": {A: "ou-sense"}}, "account `111111111111` is in `ou-sense`, which is not a unit", "did you mean `ou-sens`?"),
    ({"accounts": {A: ["ou-sense"]}}, "account `111111111111` is in `ou-sense`, which is not a unit", "did you mean `ou-sens`?"),
    ({"accounts": {A: "ou-9"}}, "`ou-9`, which is not a unit", "name it in `organizational_units`, or write its path"),
    ({"accounts": {A: "ou-sens/ou-new", B: "ou-nev"}}, "`ou-nev`, which is not a unit", "did you mean `ou-new`?"),
    ({"organizational_units": {**UNITS, "ou-b": "ou-sense"}}, "`ou-b` has the parent `ou-sense`", "did you mean `ou-sens`?"),
    ({"organizational_units": {**UNITS, "ou-b": "r-11"}}, "`ou-b` has the parent `r-11`", "did you mean `r-1`?"),
    ({"scps": {"ou-sense": []}}, "`ou-sense` is not a root, unit or account", "did you mean `ou-sens`?"),
    ({"rcps": {"ou-sense": []}}, "`ou-sense` is not a root, unit or account", "did you mean `ou-sens`?"),
    ({"accounts": {A: None}, "scps": {A[:-1] + "2": []}}, "is not a root, unit or account", f"did you mean `{A}`?"),
    ({"accounts": {A: None}, "delegated_administrators": [A[:-1] + "2"]}, "does not belong to", f"did you mean `{A}`?"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "message", "hint"), MISSPELT)
def test_a_misspelt_id_is_refused_with_the_nearest_one(arguments, message, hint):
    """A new unit with the misspelt id would not have the policies of the intended unit."""
    directory = Directory()
    with pytest.raises(DirectoryError) as refused:
        directory.set_organization(**{"id": "o-1", "organizational_units": UNITS} | arguments)
    assert message in refused.value.message
    assert refused.value.hint == hint
    assert directory.snapshot().account_facts(A).org_id is None


@pytest.mark.parametrize(("arguments", "message"), BROKEN)
def test_organisation_that_is_not_a_tree_is_refused(arguments, message):
    directory = Directory()
    with pytest.raises(DirectoryError, match=message):
        directory.set_organization(**{"id": "o-1"} | arguments)
    assert directory.snapshot().account_facts(A).org_id is None


def test_management_account_is_at_the_root_by_default():
    directory = Directory()
    directory.set_organization("o-1", management_account=M)
    assert path_of(directory, M) == "o-1/r-1/"
    assert root_of(directory, M).scp_note == "management_account"


def sids(levels) -> list[list[str | None]]:
    return [[policy.statements[0].sid or policy.name for policy in level] for level in levels]


def test_levels_run_from_the_root_to_the_account():
    """D10. What is not named has `FullAWSAccess` (G5); an empty list stays empty."""
    directory = Directory()
    directory.set_organization(
        "o-1",
        accounts={A: "ou-a/ou-b", B: "ou-a", C: None},
        scps={"r-1": [FULL, scp("root")], "ou-a": scp("a"), A: [scp("one"), scp("two")], B: []},
    )
    assert sids(root_of(directory, A).scps) == [["FullAWSAccess", "root"], ["a"], ["FullAWSAccess"], ["one", "two"]]
    assert sids(root_of(directory, B).scps) == [["FullAWSAccess", "root"], ["a"], []]
    assert sids(root_of(directory, C).scps) == [["FullAWSAccess", "root"], ["FullAWSAccess"]]


def test_rcps_are_those_that_were_attached():
    """G3, D13: `RCPFullAWSAccess` is everywhere and decides nothing."""
    directory = Directory()
    directory.set_organization("o-1", accounts={A: "ou-a"}, rcps={"ou-a": rcp("a")})
    assert sids(directory.snapshot().account_facts(A).rcps) == [[], ["a"], []]


@pytest.mark.parametrize(("types", "scp_note", "rcp_note"), [
    ([], "policy_type_disabled", "policy_type_disabled"),
    (["SERVICE_CONTROL_POLICY"], "", "policy_type_disabled"),
    (["RESOURCE_CONTROL_POLICY"], "policy_type_disabled", ""),
])  # fmt: skip
def test_a_policy_type_that_is_not_enabled_does_not_apply(types, scp_note, rcp_note):
    """D11."""
    directory = Directory()
    directory.set_organization("o-1", accounts={A: None}, policy_types=types)
    assert root_of(directory, A).scp_note == scp_note
    assert directory.snapshot().account_facts(A).rcp_note == rcp_note


def test_levels_can_be_set_per_account_without_an_organisation():
    directory = Directory()
    directory.set_scps(A, [[scp("root")], [], scp("account")])
    directory.set_rcps(A, [[rcp("root")]])
    assert sids(root_of(directory, A).scps) == [["root"], [], ["account"]]
    facts = directory.snapshot().account_facts(A)
    assert (sids(facts.rcps), facts.org_id, facts.org_path) == ([["root"]], None, None)


def test_given_levels_replace_those_of_the_tree_until_removed():
    directory = Directory()
    directory.set_organization("o-1", management_account=M, accounts={A: None}, scps={A: scp("tree")})
    directory.set_scps(A, [[scp("given")]])
    directory.set_scps(M, [[scp("given")]])
    assert sids(root_of(directory, A).scps) == [["given"]]
    assert root_of(directory, M).scps is None  # D11
    directory.set_scps(A, None)
    assert sids(root_of(directory, A).scps) == [["FullAWSAccess"], ["tree"]]


@pytest.mark.parametrize(("levels", "expected"), [([], ()), ([[]], ((),))])
def test_a_path_without_policies_allows_nothing(levels, expected):
    """D10, E260."""
    directory = Directory()
    directory.set_scps(A, levels)
    assert root_of(directory, A).scps == expected


def test_equal_levels_of_many_accounts_are_the_same_policies():
    directory = Directory()
    for account in (A, B):
        directory.set_scps(account, [[scp("root")], [scp(account)]])
    one, other = root_of(directory, A).scps, root_of(directory, B).scps
    assert one[0][0] is other[0][0]
    assert one[1][0] is not other[1][0]


def test_delegates_are_given_for_iam_or_service_by_service():
    """7.4."""
    directory = Directory()
    directory.set_organization(
        "o-1", management_account=M, accounts={A: None, B: None},
        delegated_administrators={A: ["iam.amazonaws.com", "guardduty.amazonaws.com"], B: ["guardduty.amazonaws.com"]},
    )  # fmt: skip
    assert [root_of(directory, account).may_assume_root for account in (A, B, M)] == [True, False, True]


def test_a_new_organisation_replaces_the_old_one():
    directory = Directory()
    directory.set_organization("o-1", accounts={A: "ou-a"})
    directory.set_organization("o-2", accounts={B: "ou-b"})
    assert (path_of(directory, A), path_of(directory, B)) == (None, "o-2/r-1/ou-b/")
