"""`Engine.escalations`: each pattern of the catalogue, the layers that break it, and paths of several steps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import fastiam
from fastiam.analysis.escalation.catalog import OBTAINED, EscalationPattern, built_in_patterns
from fastiam.analysis.escalation.paths import find_escalations

A = "111111111111"
IAM = f"arn:aws:iam::{A}:"
ANA, BOB, ROLE, OWN, GROUP = (f"{IAM}{rest}" for rest in ("user/ana", "user/bob", "role/admin", "role/own", "group/team"))
OTHER = f"{IAM}role/other"
OBTAINING = {"obtained-user": "create-access-key", "obtained-role": "assume-role"}
ANYTHING = "anything in the account"
PATTERNS = {pattern.id: pattern for pattern in built_in_patterns()}
ALL = {"Effect": "Allow", "Action": "*", "Resource": "*"}


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(*actions: str, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": resource, **more}


def deny(*actions: str) -> dict[str, Any]:
    return {"Effect": "Deny", "Action": list(actions), "Resource": "*"}


def trust(**principal: str) -> dict[str, Any]:
    return document({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"})


UNUSED_TRUST = trust(Service="unused.amazonaws.com")


def world(*statements: dict[str, Any], principal: str = ANA, trusted: dict[str, Any] = UNUSED_TRUST) -> fastiam.Directory:
    """A principal with these statements, and an administrator role with this trust policy."""
    directory = fastiam.Directory(quotas=None, mode="lenient")
    own: dict[str, Any] = {"trust_policy": UNUSED_TRUST} if ":role/" in principal else {}
    directory.add_principal(principal, identity_policies=[document(*statements)] if statements else [], **own)
    directory.add_principal(ROLE, identity_policies=[document(ALL)], trust_policy=trusted)
    return directory


def paths_of(directory: fastiam.Directory, principal: str = ANA, **options: Any) -> list[tuple[str, str, str]]:
    """Target, outcome and patterns of the paths of a principal."""
    found = directory.compile().escalations(**options)
    return [(each.target, each.outcome.name, " ".join(each.pattern)) for each in found if each.principal == principal]


# -- each pattern -----------------------------------------------------------------------------------------------------


def world_of(pattern: EscalationPattern, *statements: dict[str, Any]) -> tuple[fastiam.Directory, str, str]:
    """A directory in which a principal with these statements has what the pattern is about; the principal and the target."""
    principal = OWN if pattern.target == "self-role" else ANA
    trusted = trust(Service=pattern.service) if pattern.service else trust(AWS=A)
    if pattern.id.startswith("update-assume-role-policy"):
        trusted = UNUSED_TRUST
    directory = world(*statements, principal=principal, trusted=trusted)
    if pattern.target in ("user", "obtained-user"):
        directory.add_principal(BOB, identity_policies=[] if pattern.to_anything else [document(ALL)])
    if pattern.target == "obtained-role":
        directory.add_principal(OTHER, trust_policy=trust(AWS=ANA))
    if pattern.target in OBTAINED:
        directory.add_managed_policy(f"{IAM}policy/theirs", document(allow("s3:ListAllMyBuckets")))
        directory.attach_policy(BOB if pattern.target == "obtained-user" else OTHER, f"{IAM}policy/theirs")
    if pattern.target == "obtained-user":
        directory.add_group(GROUP)
        directory.add_user_to_group(BOB, GROUP)
    if pattern.target in ("group", "own-group"):
        directory.add_group(GROUP, [document(ALL)] if pattern.target == "group" else [])
        if pattern.target == "own-group":
            directory.add_user_to_group(ANA, GROUP)
    if pattern.target == "own-policy":
        directory.add_managed_policy(f"{IAM}policy/own", document(allow("s3:ListAllMyBuckets")))
        directory.attach_policy(ANA, f"{IAM}policy/own")
    if pattern.service == "ec2.amazonaws.com":
        directory.create_instance_profile(f"{IAM}instance-profile/admin", role=ROLE)
    target = ANYTHING if pattern.to_anything else BOB if pattern.target == "user" else ROLE
    return directory, principal, target


def found_by(pattern: EscalationPattern, *statements: dict[str, Any]) -> list[tuple[str, str]]:
    obtaining = [PATTERNS[OBTAINING[pattern.target]]] if pattern.target in OBTAINING else []
    given = [allow(each.action) for found in obtaining for each in found.permissions]
    directory, principal, target = world_of(pattern, *statements, *given)
    found = find_escalations(directory.compile(), "admin", ["*"], None, [*obtaining, pattern])
    for path in found:
        if path.outcome is fastiam.Outcome.ALLOW:
            assert all(step.outcome is fastiam.Outcome.ALLOW and step.statement for step in path.steps)
    return [(each.target, each.outcome.name) for each in found if (each.principal, each.target) == (principal, target)]


@pytest.mark.parametrize("pattern", PATTERNS.values(), ids=PATTERNS)
def test_pattern_needs_each_of_its_permissions(pattern: EscalationPattern) -> None:
    actions = [each.action for each in pattern.permissions if not each.unless_denied]
    target = world_of(pattern)[2]
    assert found_by(pattern, allow(*actions)) == [(target, "DEPENDS" if pattern.assumption else "ALLOW")]
    for missing in set(actions):
        rest = [action for action in actions if action != missing]
        assert found_by(pattern, *([allow(*rest)] if rest else [])) == [], missing
    for needed in {each.action for each in pattern.permissions}:
        assert found_by(pattern, allow(*actions), deny(needed)) == [], needed


def test_every_action_of_the_catalogue_exists() -> None:
    data = fastiam.AwsData.installed()
    for pattern in PATTERNS.values():
        for permission in pattern.permissions:
            prefix, _, name = permission.action.partition(":")
            assert name.lower() in data.service(prefix).actions, permission.action


# -- layers, conditions and resources ---------------------------------------------------------------------------------


def test_h64_new_principals_lead_to_anything_in_the_account() -> None:
    """H64: the target is not on record."""
    statement = allow("iam:CreateUser", "iam:AttachUserPolicy", "iam:CreateAccessKey", resource=f"{IAM}user/new-*")
    (path,) = world(statement).compile().escalations()
    assert (path.target, path.account, path.pattern) == (ANYTHING, A, ("create-user-attach-policy",))
    assert {step.resource for step in path.steps} == {f"{IAM}user/new-zq0"}
    (version,) = world_of(PATTERNS["create-policy-version"], allow("iam:CreatePolicyVersion"))[0].compile().escalations()
    assert (version.target, version.steps[0].resource) == (ANYTHING, f"{IAM}policy/own")


def test_boundary_keeps_a_new_policy_from_giving_more() -> None:
    statement = allow("iam:PutUserPolicy")
    assert paths_of(world(statement)) == [(ANYTHING, "ALLOW", "put-user-policy")]
    bounded = world()
    bounded.add_principal(
        BOB, identity_policies=[document(statement)], permissions_boundary=document(allow("iam:PutUserPolicy", "s3:*"))
    )
    assert paths_of(bounded, BOB) == []


def test_control_policy_of_the_organization_breaks_a_path() -> None:
    directory = world(allow("iam:PassRole", "lambda:*"), trusted=trust(Service="lambda.amazonaws.com"))
    assert paths_of(directory) == [(ROLE, "ALLOW", "lambda-create-function-invoke")]
    directory.set_scps(A, [[document(ALL, deny("lambda:CreateFunction", "lambda:UpdateFunction*"))]])
    assert paths_of(directory) == []


def test_path_by_an_existing_role_remains_without_pass_role() -> None:
    statements = (allow("codebuild:*", "iam:PassRole"), deny("iam:PassRole"))
    directory = world(*statements, trusted=trust(Service="codebuild.amazonaws.com"))
    assert paths_of(directory) == [(ROLE, "DEPENDS", "codebuild-start-build")]
    (path,) = directory.compile().escalations()
    assert path.assumptions == ("a CodeBuild project has the role",)


def test_condition_decides_between_sure_and_possible() -> None:
    mfa = {"Bool": {"aws:MultiFactorAuthPresent": "true"}}
    directory = world(allow("iam:PutUserPolicy", Condition=mfa))
    (path,) = directory.compile().escalations()
    assert (path.outcome.name, path.depends_on) == ("DEPENDS", ("aws:multifactorauthpresent",))
    assert paths_of(directory, unknown=("aws:RequestTag/*",)) == []


def test_pass_role_is_decided_for_the_service() -> None:
    passed = {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}
    statements = (allow("iam:PassRole", Condition=passed), allow("lambda:CreateFunction", "lambda:InvokeFunction"))
    assert paths_of(world(*statements, trusted=trust(Service="lambda.amazonaws.com"))) == []
    statements = (allow("iam:PassRole", Condition=passed), allow("ec2:RunInstances"))
    directory = world(*statements, trusted=trust(Service="ec2.amazonaws.com"))
    assert paths_of(directory) == [(ROLE, "DEPENDS", "ec2-run-instances")], "no instance profile is on record"
    directory.create_instance_profile(f"{IAM}instance-profile/admin", role=ROLE)
    assert paths_of(directory) == [(ROLE, "ALLOW", "ec2-run-instances")]


def test_resource_patterns_of_the_principal_are_tried() -> None:
    statements = (
        allow("iam:PassRole", resource=ROLE),
        allow("lambda:CreateFunction", "lambda:InvokeFunction", resource=f"arn:aws:lambda:eu-west-1:{A}:function:team-*"),
    )
    (path,) = world(*statements, trusted=trust(Service="lambda.amazonaws.com")).compile().escalations()
    assert path.steps[1].resource == f"arn:aws:lambda:eu-west-1:{A}:function:team-zq0"
    assert [(step.principal, step.action) for step in path.steps] == [
        (ANA, "iam:PassRole"),
        (ANA, "lambda:CreateFunction"),
        (ANA, "lambda:InvokeFunction"),
        ("lambda.amazonaws.com", "sts:AssumeRole"),
    ]
    assert [step.statement is not None and step.statement.index for step in path.steps] == [0, 1, 1, 0]


# -- paths ------------------------------------------------------------------------------------------------------------


def chain() -> fastiam.Directory:
    """ana can assume `first`, which can assume `second`, which can assume the administrator role."""
    directory = world(allow("sts:AssumeRole", resource=f"{IAM}role/first"), trusted=trust(AWS=f"{IAM}role/second"))
    directory.add_principal(f"{IAM}role/first", identity_policies=[document(allow("sts:AssumeRole"))], trust_policy=trust(AWS=A))
    directory.add_principal(f"{IAM}role/second", trust_policy=trust(AWS=f"{IAM}role/first"))
    return directory


def test_path_of_several_steps_is_found_and_sure() -> None:
    found = {each.principal: each for each in chain().compile().escalations()}
    assert found.keys() == {ANA, f"{IAM}role/first", f"{IAM}role/second"}
    path = found[ANA]
    assert (path.target, path.outcome.name, path.pattern) == (ROLE, "ALLOW", ("assume-role",) * 3)
    assert [step.principal for step in path.steps] == [ANA, f"{IAM}role/first", f"{IAM}role/second"]


def test_target_can_be_any_user_or_role() -> None:
    directory = chain()
    assert paths_of(directory, to=f"{IAM}role/second") == [(f"{IAM}role/second", "ALLOW", "assume-role assume-role")]
    engine = directory.compile()
    with pytest.raises(fastiam.RequestValueError, match="is not a user or role of the directory") as error:
        engine.escalations(to=f"{IAM}role/secnd")
    assert error.value.hint == f"did you mean `{IAM}role/second`?"
    with pytest.raises(fastiam.RequestValueError):
        engine.escalations(to=f"{IAM}root")


def test_longer_sure_path_is_preferred_to_a_shorter_possible_one() -> None:
    directory = chain()
    mfa = {"Bool": {"aws:MultiFactorAuthPresent": "true"}}
    write = allow("iam:UpdateAssumeRolePolicy", resource=ROLE, Condition=mfa)
    directory.put_inline_policy(ANA, "trust", document(write))
    assert paths_of(directory) == [(ROLE, "ALLOW", "assume-role assume-role assume-role")]
    directory.put_inline_policy(f"{IAM}role/first", "no", document(deny("sts:AssumeRole")))
    assert paths_of(directory) == [(ROLE, "DEPENDS", "update-assume-role-policy")]


def test_path_crosses_accounts_by_trust_only() -> None:
    other = "arn:aws:iam::222222222222:role/ops"
    directory = world(allow("sts:AssumeRole", "iam:CreateAccessKey", "iam:PutRolePolicy"))
    directory.add_principal(other, identity_policies=[document(ALL)], trust_policy=trust(AWS=A))
    directory.add_principal("arn:aws:iam::222222222222:user/root-like", identity_policies=[document(ALL)])
    (path,) = directory.compile().escalations()
    assert (path.target, path.account, path.pattern) == (other, "222222222222", ("assume-role",))


OFFICE = {"IpAddress": {"aws:SourceIp": "198.51.100.0/24"}}
ALL_BUT_S3 = {"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"}
LIMITED = {  # administrators, and their path
    "in the office, PutUserPolicy anywhere": ([ALL | {"Condition": OFFICE}, allow("iam:PutUserPolicy")], "ALLOW put-user-policy"),
    "in the office": ([ALL | {"Condition": OFFICE}], "DEPENDS put-user-policy"),
    "all but S3": ([ALL_BUT_S3], "ALLOW put-user-policy"),
    "all but one bucket": ([{"Effect": "Allow", "Action": "*", "NotResource": "arn:aws:s3:::pay/*"}], "ALLOW put-user-policy"),
    "S3 denied": ([ALL, deny("s3:*")], "ALLOW create-role-attach-policy"),
    "S3 denied without MFA": ([ALL, deny("s3:*") | {"Condition": {"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}}}],
        "ALLOW create-role-attach-policy"),
}  # fmt: skip


@pytest.mark.parametrize(("statements", "path"), LIMITED.values(), ids=LIMITED)
def test_administrator_with_a_limit_has_a_path(statements: list[dict[str, Any]], path: str) -> None:
    directory = world(*statements)
    assert (ANYTHING, *path.split(" ")) in paths_of(directory)
    assert {each.principal for each in directory.compile().administrators()} == {ANA, ROLE}


def test_administrator_with_a_boundary_has_a_path() -> None:
    directory = world()
    boundary = document(ALL_BUT_S3)
    directory.add_principal(BOB, identity_policies=[document(ALL)], permissions_boundary=boundary)
    assert paths_of(directory, BOB) == [
        (ANYTHING, "ALLOW", "put-user-policy-create-access-key"),
        (ROLE, "ALLOW", "update-assume-role-policy"),
    ]


def test_administrator_without_a_limit_has_no_path() -> None:
    directory = world(ALL_BUT_S3, allow("s3:*"), allow("s3:GetObject", Condition=OFFICE))
    assert directory.compile().escalations() == []
    directory.set_scps(A, [[document(ALL, deny("organizations:LeaveOrganization"), deny("ec2:*") | {"Condition": OFFICE})]])
    assert directory.compile().escalations() == [], "what the organization denies, it denies to all"
    except_iam = {"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}
    assert paths_of(world(except_iam, trusted=trust(AWS=A))) == [(ROLE, "ALLOW", "assume-role")]


def test_administrators_are_listed_with_what_makes_them_so() -> None:
    engine = world(ALL | {"Sid": "Office", "Condition": OFFICE}).compile()
    ana, role = engine.administrators()
    assert (ana.principal, ana.target, ana.pattern, ana.outcome.name, ana.depends_on) == (
        ANA,
        ANA,
        (),
        "DEPENDS",
        ("aws:sourceip",),
    )
    assert (role.outcome.name, [step.action for step in role.steps]) == ("ALLOW", ["iam:PutUserPolicy", "zq0:zq0"])
    assert {step.statement.index for step in role.steps if step.statement} == {0}
    assert engine.administrators(to=ROLE) == [ana, role]
    with pytest.raises(fastiam.RequestValueError):
        engine.administrators(to=f"{IAM}role/none")


def test_path_is_possible_if_a_deny_of_the_principal_remains() -> None:
    (path,) = world(allow("iam:PutUserPolicy"), deny("s3:*")).compile().escalations()
    assert (path.outcome.name, path.pattern) == ("DEPENDS", ("put-user-policy",))
    assert path.assumptions == ("nothing is needed that other policies of the principal deny",)


# -- what steps change --------------------------------------------------------------------------------------------------


def of_groups(*groups: list[dict[str, Any]], own: dict[str, Any] | None = None) -> fastiam.Directory:
    """ana, who can join `team0` and what else `own` allows, and groups with these statements."""
    directory = fastiam.Directory(quotas=None, mode="lenient")
    for i, statements in enumerate(groups):
        directory.add_group(f"{IAM}group/team{i}", [document(*statements)])
    directory.add_principal(ANA, identity_policies=[document(own or allow("iam:AddUserToGroup", resource=f"{IAM}group/team0"))])
    return directory


def test_user_that_joins_a_group_has_its_paths() -> None:
    assert paths_of(of_groups([allow("iam:*")])) == [(ANYTHING, "ALLOW", "add-user-to-group put-user-policy")]
    assert paths_of(of_groups([allow("iam:PutUserPolicy"), deny("iam:*")])) == []
    assert paths_of(of_groups([allow("iam:PutUserPolicy")], own=allow("s3:*"))) == []


def test_group_can_allow_to_join_the_next() -> None:
    joining = allow("iam:AddUserToGroup", resource=f"{IAM}group/team1")
    found = paths_of(of_groups([joining], [allow("iam:PutUserPolicy")]))
    assert found == [(ANYTHING, "ALLOW", "add-user-to-group add-user-to-group put-user-policy")]


def test_groups_can_give_the_permissions_of_a_pattern_together() -> None:
    directory = of_groups([allow("iam:PassRole")], [allow("lambda:*")], [deny("s3:*")], own=allow("iam:AddUserToGroup"))
    directory.add_principal(ROLE, identity_policies=[document(ALL)], trust_policy=trust(Service="lambda.amazonaws.com"))
    (path,) = directory.compile().escalations()
    assert (path.target, path.outcome.name) == (ROLE, "ALLOW")
    assert path.pattern[-1] == "lambda-create-function-invoke"
    assert {step.resource for step in path.steps if step.action == "iam:AddUserToGroup"} >= {
        f"{IAM}group/team0",
        f"{IAM}group/team1",
    }


def of_role(*actions: str, trusted: dict[str, Any] = UNUSED_TRUST) -> fastiam.Directory:
    """ana with these actions, and a role that has a managed policy."""
    directory = fastiam.Directory(quotas=None, mode="lenient")
    directory.add_managed_policy(f"{IAM}policy/app", document(allow("s3:GetObject")))
    directory.add_principal(OTHER, identity_policies=[f"{IAM}policy/app"], trust_policy=trusted)
    directory.add_principal(ANA, identity_policies=[document(allow(*actions))])
    return directory


CHAINS = [  # actions, what the role trusts, and the patterns
    (["iam:CreatePolicyVersion", "sts:AssumeRole"], {"AWS": A}, "create-policy-version-of-obtained-role assume-role"),
    (["iam:CreatePolicyVersion", "iam:UpdateAssumeRolePolicy"], {},
        "create-policy-version-of-obtained-role update-assume-role-policy"),
    (["iam:PutRolePolicy", "iam:UpdateAssumeRolePolicy"], {}, "put-policy-of-obtained-role update-assume-role-policy"),
    (["iam:AttachRolePolicy", "iam:UpdateAssumeRolePolicy"], {}, "attach-policy-to-obtained-role update-assume-role-policy"),
    (["iam:PutRolePolicy", "iam:PassRole", "lambda:CreateFunction", "lambda:InvokeFunction"], {"Service": "lambda.amazonaws.com"},
        "put-policy-of-obtained-role lambda-create-function-invoke"),
]  # fmt: skip


@pytest.mark.parametrize(("actions", "trusted", "patterns"), CHAINS, ids=[patterns for *_, patterns in CHAINS])
def test_policy_of_an_obtained_role_can_be_written(actions: list[str], trusted: dict[str, str], patterns: str) -> None:
    trust_policy = trust(**trusted) if trusted else UNUSED_TRUST
    assert paths_of(of_role(*actions, trusted=trust_policy)) == [(ANYTHING, "ALLOW", patterns)]
    for missing in actions:
        rest = [action for action in actions if action != missing]
        assert paths_of(of_role(*rest, trusted=trust_policy)) == [], missing


def test_boundary_of_an_obtained_role_keeps_it_from_giving_more() -> None:
    directory = of_role("iam:PutRolePolicy", "sts:AssumeRole", trusted=trust(AWS=A))
    directory.set_permissions_boundary(OTHER, document(allow("s3:*")))
    assert paths_of(directory) == []


TRUST_WRITERS = [  # statements of ana, and the outcome of her path to a role whose trust policy she can write
    ([allow("iam:UpdateAssumeRolePolicy")], ["ALLOW"]),
    ([allow("iam:UpdateAssumeRolePolicy"), deny("sts:AssumeRole")], []),
    ([allow("iam:UpdateAssumeRolePolicy"), deny("sts:AssumeRole") | {"Condition": OFFICE}], ["DEPENDS"]),
]


@pytest.mark.parametrize(("statements", "outcomes"), TRUST_WRITERS, ids=["free", "denied", "denied in the office"])
def test_role_is_decided_with_the_written_trust_policy(statements: list[dict[str, Any]], outcomes: list[str]) -> None:
    found = paths_of(world(*statements))
    assert found == [(ROLE, outcome, "update-assume-role-policy") for outcome in outcomes]
    directory = world(*statements)
    directory.set_scps(A, [[document(ALL, deny("sts:AssumeRole"))]])
    assert paths_of(directory) == []


PROTECTED = [
    "aws-service-role/support.amazonaws.com/AWSServiceRoleForSupport",
    "aws-reserved/sso.amazonaws.com/AWSReservedSSO_Admin_1",
]


@pytest.mark.parametrize("path", PROTECTED)
def test_role_that_only_aws_changes_is_not_a_target_of_changes(path: str) -> None:
    directory = fastiam.Directory(quotas=None, mode="lenient")
    trusted = trust(Service="support.amazonaws.com")
    directory.add_principal(f"{IAM}role/{path}", identity_policies=[document(ALL)], trust_policy=trusted)
    directory.add_principal(f"{IAM}role/{path}2", identity_policies=[document(allow("iam:PutRolePolicy"))], trust_policy=trusted)
    directory.add_principal(ANA, identity_policies=[document(allow("iam:UpdateAssumeRolePolicy", "iam:PutRolePolicy"))])
    assert directory.compile().escalations() == []
    directory.put_inline_policy(ANA, "assume", document(allow("sts:AssumeRole")))
    directory.add_principal(OTHER, identity_policies=[document(ALL)], trust_policy=trusted)
    assert {path.target for path in directory.compile().escalations()} == {OTHER}


def test_path_and_its_json_form_name_statements_only() -> None:
    (path,) = world(allow("iam:PutUserPolicy", Sid="Own")).compile().escalations()
    form = path.to_dict()
    assert form["pattern"] == ["put-user-policy"] and form["outcome"] == "ALLOW"
    assert form["steps"][0]["statement"]["sid"] == "Own"  # type: ignore[index, call-overload]
    json.dumps(form)


# -- the catalogue ----------------------------------------------------------------------------------------------------

PATTERN = {"id": "own", "target": "self-user", "permissions": [{"action": "iam:PutUserPolicy", "resource": "target"}]}
WRONG = [
    ("{", "the catalogue is not JSON"),
    ("[]", "the catalogue is not a list of patterns"),
    (json.dumps([1]), "a pattern must be an object"),
    (json.dumps([PATTERN | {"id": ""}]), "a pattern needs an `id`"),
    (json.dumps([PATTERN | {"id": 5}]), "`id` must be text"),
    (json.dumps([PATTERN, PATTERN]), "two patterns have the id `own`"),
    (json.dumps([PATTERN | {"target": "bucket"}]), "`target` must be one of user, role"),
    (json.dumps([PATTERN | {"target": "service-role"}]), "a pattern has a `service` if, and only if"),
    (json.dumps([PATTERN | {"leads_to": "root"}]), "`leads_to` must be `anything`"),
    (json.dumps([PATTERN | {"wieght": 1}]), "unknown member `wieght`"),
    (json.dumps([PATTERN | {"permissions": []}]), "`permissions` must be a list"),
    (json.dumps([PATTERN | {"permissions": [{"action": "iam:*", "resource": "*"}]}]), "must be an action"),
    (json.dumps([PATTERN | {"permissions": [{"action": "iam:PassRole", "resource": "x"}]}]), "must be `target`"),
    (json.dumps([PATTERN | {"permissions": [{"action": "iam:PassRole", "resource": "*", "unless": "x"}]}]), "must be `denied`"),
    (json.dumps([PATTERN | {"target": "none"}]), "a pattern without a target has no permission on it"),
]


@pytest.mark.parametrize(("text", "message"), WRONG, ids=[message for _, message in WRONG])
def test_wrong_catalogue_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "paths.json").write_text(text)
    with pytest.raises(fastiam.SourceError, match="paths.json") as error:
        world().compile().escalations(paths=tmp_path / "paths.json")
    assert message in str(error.value)


def test_catalogue_of_a_file_replaces_the_built_in_one(tmp_path: Path) -> None:
    (tmp_path / "paths.json").write_text(json.dumps([PATTERN]))
    directory = world(allow("iam:PutUserPolicy", "iam:AttachUserPolicy"))
    assert paths_of(directory, paths=tmp_path / "paths.json") == [(ANYTHING, "ALLOW", "own")]


# -- a real account ---------------------------------------------------------------------------------------------------


def test_lab_account_has_the_paths_that_it_was_made_for(shared: Path) -> None:
    """The users `fp1` to `fp4` are built so that simple tools report a path that does not exist; `fn1` to `fn4` the contrary."""
    engine = fastiam.load(shared / "gaad-lab-account.json.gz").compile()
    found = engine.escalations()
    principals = {path.principal.rpartition("/")[2] for path in found}
    assert not [name for name in principals if name.startswith(("fp1", "fp2", "fp3", "fp4"))]
    sure = {path.principal.rpartition("/")[2]: path.pattern for path in found if path.outcome is fastiam.Outcome.ALLOW}
    assert sure["fn2-exploitableResourceConstraint-user"] == ("create-policy-version",)
    assert sure["privesc-codeBuildCreateProjectPassRole-user"] == ("codebuild-create-project",)
    assert sure["privesc13-AddUserToGroup-user"][0] == "add-user-to-group"
    assert len(principals) == 69
