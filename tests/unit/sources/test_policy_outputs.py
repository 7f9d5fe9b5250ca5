"""Outputs of calls for one policy: `aws s3api get-bucket-policy` and its like. No Deny in them is lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from account_exports import ANA, DEP, MANAGED, A, export, write

import fastiam
from fastiam import PolicyError, SourceError

R = "eu-west-1"
BUCKET, QUEUE, TOPIC = "arn:aws:s3:::reports", f"arn:aws:sqs:{R}:{A}:jobs", f"arn:aws:sns:{R}:{A}:news"
KEY, FUNCTION = f"arn:aws:kms:{R}:{A}:key/1234abcd-12ab-34cd-56ef-1234567890ab", f"arn:aws:lambda:{R}:{A}:function:f"
SECRET, IMAGES = f"arn:aws:secretsmanager:{R}:{A}:secret:db-AbCdEf", f"arn:aws:ecr:{R}:{A}:repository/web"


def deny(action: str, *resources: str, **more: object) -> dict:
    about = {"Resource": list(resources)} if resources else {}
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*", "Action": action, **about, **more}]}


def output(document: object, name: str = "Policy", **more: object) -> dict:
    return {name: json.dumps(document), **more}


OUTPUTS = [
    # the call, its output, whether `resource_of` names the resource, the action and resource of a request that it denies
    ("s3api get-bucket-policy", output(deny("s3:*", BUCKET, f"{BUCKET}/*")), "", "s3:GetObject", f"{BUCKET}/may"),
    ("s3api get-bucket-policy of objects", output(deny("s3:*", f"{BUCKET}/*")), "", "s3:GetObject", f"{BUCKET}/may"),
    ("s3api get-bucket-policy with the ARN", output(deny("s3:*", f"{BUCKET}/*")), BUCKET, "s3:GetObject", f"{BUCKET}/may"),
    ("s3api get-bucket-policy as text", deny("s3:*", f"{BUCKET}/*"), BUCKET, "s3:GetObject", f"{BUCKET}/may"),
    ("sqs get-queue-attributes", {"Attributes": output(deny("sqs:*", QUEUE))}, "", "sqs:SendMessage", QUEUE),
    ("sqs get-queue-attributes of all", {"Attributes": output(deny("sqs:*", "*"), QueueArn=QUEUE)}, "", "sqs:SendMessage", QUEUE),
    ("sns get-topic-attributes", {"Attributes": output(deny("sns:*", "*"), TopicArn=TOPIC)}, "", "sns:Publish", TOPIC),
    ("kms get-key-policy", output(deny("kms:*", "*"), PolicyName="default"), KEY, "kms:Decrypt", KEY),
    ("lambda get-policy", output(deny("lambda:*", FUNCTION), RevisionId="1"), "", "lambda:InvokeFunction", FUNCTION),
    ("secretsmanager get-resource-policy", output(deny("secretsmanager:*", "*"), "ResourcePolicy", ARN=SECRET, Name="db"), "",
     "secretsmanager:GetSecretValue", SECRET),
    ("ecr get-repository-policy", output(deny("ecr:*"), "policyText", registryId=A, repositoryName="web"), IMAGES,
     "ecr:BatchGetImage", IMAGES),
]  # fmt: skip


def load(folder: Path, content: object, given: str = "", *, name: str = "policy.output.json", **more) -> fastiam.Directory:
    path = write(folder, name, content)
    return fastiam.load(write(folder, "export.json", export()), path, resource_of={path: given} if given else {}, **more)


def outcome(directory: fastiam.Directory, action: str, resource: str, who: str = ANA) -> str:
    return directory.compile().decide(who, action, resource, resource_account=A).outcome.name


@pytest.mark.parametrize(("content", "given", "action", "resource"), [row[1:] for row in OUTPUTS], ids=[r[0] for r in OUTPUTS])
def test_deny_in_the_output_of_a_call_counts(tmp_path, content, given, action, resource):
    assert outcome(fastiam.load(write(tmp_path, "export.json", export())), action, resource) != "EXPLICIT_DENY"
    for mode in ("lenient", "strict"):
        directory = load(tmp_path, content, given, mode=mode)
        assert outcome(directory, action, resource) == "EXPLICIT_DENY"
        assert not directory.findings


@pytest.mark.parametrize("form", ["in a list", "with ResponseMetadata", "in a folder", "as YAML"])
def test_output_is_read_in_each_form_that_clients_write(tmp_path, form):
    content: object = output(deny("s3:*", f"{BUCKET}/*"))
    if form == "with ResponseMetadata":
        content = {**content, "ResponseMetadata": {"HTTPStatusCode": 200}}
    if form == "as YAML":
        content = f"Policy: '{json.dumps(deny('s3:*', f'{BUCKET}/*'))}'\n"
    write(tmp_path, "export.json", export())
    path = write(tmp_path, "p.yaml" if form == "as YAML" else "p.json", [content] if form == "in a list" else content)
    paths = [tmp_path] if form == "in a folder" else [tmp_path / "export.json", path]
    assert outcome(fastiam.load(*paths), "s3:GetObject", f"{BUCKET}/may") == "EXPLICIT_DENY"


UNNAMED = [
    # name of the file, its policy, what the error names
    (
        "two buckets",
        "x.json",
        deny("s3:*", f"{BUCKET}/*", "arn:aws:s3:::other/*"),
        "`arn:aws:s3:::other` and `arn:aws:s3:::reports`",
    ),
    ("a pattern of buckets", "x.json", deny("s3:*", "arn:aws:s3:::rep*"), "neither it nor its statements name one resource"),
    ("a key", "key.json", deny("kms:*", "*"), "neither it nor its statements name one resource"),
    ("no resource", "web.json", deny("ecr:*"), "neither it nor its statements name one resource"),
    ("another bucket's file", "web.json", deny("s3:*", "arn:aws:s3:::rep*"), "neither"),
    ("everything but one", "x.json", deny("sqs:*", NotResource=QUEUE), "neither"),
    ("a queue of any account", "jobs.json", deny("sqs:*", f"arn:aws:sqs:{R}:*:jobs"), "neither"),
]


@pytest.mark.parametrize(("name", "document", "named"), [row[1:] for row in UNNAMED], ids=[row[0] for row in UNNAMED])
def test_output_without_one_resource_is_an_error(tmp_path, name, document, named):
    with pytest.raises(SourceError, match="does not say which resource has it") as error:
        load(tmp_path, output(document), name=name)
    assert named in str(error.value) and f"--resource-of {tmp_path / name}=ARN" in error.value.cli_text()
    for skip_unknown in (False, True):  # it is understood, and may deny
        with pytest.raises(SourceError):
            load(tmp_path, output(document), name=name, skip_unknown=skip_unknown)


def test_bucket_of_the_file_name_is_a_finding(tmp_path):
    directory = load(tmp_path, output(deny("s3:*", "arn:aws:s3:::rep*")), name="reports.json")
    assert outcome(directory, "s3:GetObject", f"{BUCKET}/may") == "EXPLICIT_DENY"
    (finding,) = directory.findings
    assert finding.code == "POLICY-OF-FILE" and f"`{BUCKET}`" in finding.message


def test_given_resource_must_be_the_one_of_the_output(tmp_path):
    for content in ({"Attributes": output(deny("sqs:*", "*"), QueueArn=QUEUE)}, output(deny("sqs:*", QUEUE))):
        with pytest.raises(SourceError, match=f"whose policy is that of `{QUEUE}`"):
            load(tmp_path, content, f"{QUEUE}2")


@pytest.mark.parametrize(
    ("arn", "message"),
    [
        ("reports", "`reports` is not an ARN"),
        (f"{BUCKET}/may", "has no resource policy"),
        (f"arn:aws:kms:{R}:{A}:alias/a", "has no resource policy"),
        (ANA, "has no resource policy"),
        (f"arn:aws:iam::{A}:role/Absent", "no file has the record"),
    ],
)
def test_given_resource_must_be_one_that_has_a_policy(tmp_path, arn, message):
    with pytest.raises(SourceError, match=message):
        load(tmp_path, output(deny("x:*", "*")), arn)


def test_given_resource_of_a_file_that_needs_none_is_an_error(tmp_path):
    for path in (write(tmp_path, "export.json", export()), tmp_path / "absent.json"):
        with pytest.raises(SourceError, match="was not read, or contains no policy without an owner"):
            fastiam.load(tmp_path / "export.json", resource_of={path: BUCKET})


def test_policy_that_contradicts_another_file_is_an_error(tmp_path):
    first = write(tmp_path, "a.json", output(deny("s3:*", f"{BUCKET}/*")))
    again = write(tmp_path, "b.json", output(deny("s3:*", f"{BUCKET}/*"), RevisionId="2"))
    assert len(fastiam.load(first, again).documents()) == 1
    with pytest.raises(SourceError, match=r"has another policy, in `.*a\.json`"):
        fastiam.load(first, write(tmp_path, "c.json", output(deny("s3:Get*", f"{BUCKET}/*"))))


def test_policy_joins_a_resource_of_another_file(tmp_path):
    """In any order: the record keeps its account, and gets the policy."""
    known = {"format": "fastiam-directory", "version": 1, "resources": [{"arn": BUCKET, "account": A}]}
    paths = [write(tmp_path, "known.json", known), write(tmp_path, "policy.json", output(deny("s3:*", BUCKET)))]
    for order in (1, -1):
        resource = fastiam.load(*paths[::order], mode="strict").tables.resources[BUCKET]
        assert (resource.account, len(resource.policies)) == (A, 1)


def test_unreadable_policy_of_a_known_resource_denies(tmp_path):
    broken = {"Attributes": {"QueueArn": QUEUE, "Policy": '{"Version": "2012-10-17", "Statement": [null]}'}}
    directory = load(tmp_path, broken)
    assert "POLICY-NOT-READ" in {finding.code for finding in directory.findings}
    assert outcome(directory, "sqs:SendMessage", QUEUE) == "EXPLICIT_DENY"
    with pytest.raises(PolicyError):
        load(tmp_path, broken, mode="strict")
    with pytest.raises(SourceError, match="does not say which resource has it"):
        load(tmp_path, {"Policy": "{"})


@pytest.mark.parametrize("content", [{"ARN": SECRET, "Name": "db"}, {"Attributes": {"QueueArn": QUEUE, "CreatedTimestamp": "1"}}])
def test_resource_without_a_policy_is_read(tmp_path, content):
    directory = load(tmp_path, content)
    assert [resource.policies for resource in directory.tables.resources.values()] == [()]


@pytest.mark.parametrize(
    "content", [{"Attributes": {"QueueArn": QUEUE}}, {"Attributes": {"TopicArn": TOPIC, "SubscriptionArn": "x"}}]
)
def test_attributes_that_may_lack_the_policy_are_unknown(tmp_path, content):
    with pytest.raises(SourceError, match="the format of the content is unknown"):
        load(tmp_path, content)


# -- policies of users, groups and roles ---------------------------------------------------------------------------------------


def inline(name: str, document: object, **more: object) -> dict:
    return {**more, "PolicyName": name, "PolicyDocument": document}


NO_DELETE = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "s3:Delete*", "Resource": "*"}]}


@pytest.mark.parametrize(
    ("owner", "more"),
    [(ANA, {"UserName": "ana"}), (DEP, {"RoleName": "Dep"}), (f"arn:aws:iam::{A}:group/Eng", {"GroupName": "Eng"})],
)
def test_inline_policy_joins_its_identity(tmp_path, owner, more):
    who = DEP if owner == DEP else ANA
    directory = load(tmp_path, inline("no-delete", NO_DELETE, **more), owner, mode="strict")
    decision = directory.compile().decide(who, "s3:DeleteObject", f"{BUCKET}/may", resource_account=A)
    assert decision.outcome.name == "EXPLICIT_DENY" and decision.statement.policy == "no-delete"
    with pytest.raises(SourceError, match="without its account"):
        load(tmp_path, inline("no-delete", NO_DELETE, **more))


def test_inline_policy_must_be_that_of_its_identity(tmp_path):
    content = inline("no-delete", NO_DELETE, RoleName="Dep")
    for arn in (ANA, f"arn:aws:iam::{A}:role/Other", MANAGED):
        with pytest.raises(SourceError, match="whose policy is that of `role/Dep`"):
            load(tmp_path, content, arn)
    with pytest.raises(SourceError, match="no file has the record"):
        load(tmp_path, content, f"arn:aws:iam::{A}:role/Dep")
    with pytest.raises(SourceError, match="has another policy `deploy`"):
        load(tmp_path, inline("deploy", NO_DELETE, RoleName="Dep"), DEP)


def test_trust_policy_joins_a_role_without_one(tmp_path):
    account = export()
    trust = account["RoleDetailList"][0].pop("AssumeRolePolicyDocument")
    path, role = write(tmp_path, "export.json", account), write(tmp_path, "trust.json", trust)
    assert fastiam.load(path, role, resource_of={role: DEP}).tables.entities[DEP].trust is not None
    path = write(tmp_path, "export.json", export())
    with pytest.raises(SourceError, match="has another policy"):
        fastiam.load(path, write(tmp_path, "trust.json", deny("sts:*")), resource_of={role: DEP})


def test_policy_version_takes_the_given_policy(tmp_path):
    version = {"PolicyVersion": {"VersionId": "v1", "IsDefaultVersion": True, "Document": NO_DELETE}}
    more = f"arn:aws:iam::{A}:policy/More"
    assert load(tmp_path, version, more).tables.managed[more].default == "v1"
    with pytest.raises(SourceError, match="does not have the ARN of its policy"):
        load(tmp_path, version)
    with pytest.raises(SourceError, match=f"whose policy is `{MANAGED}`"):
        load(tmp_path, version | {"PolicyArn": MANAGED}, more)


# -- files that are not understood -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["lenient", "strict"])
def test_file_that_is_not_understood_is_skipped_only_on_demand(tmp_path, mode):
    write(tmp_path, "export.json", export())
    other = write(tmp_path, "package.json", {"name": "x"})
    write(tmp_path, "README.md", "# no data")
    for paths in ([tmp_path], [tmp_path / "export.json", other]):
        with pytest.raises(SourceError, match=rf"{other}:1:1: the format of the content is unknown"):
            fastiam.load(*paths, mode=mode)
        directory = fastiam.load(*paths, mode=mode, skip_unknown=True)
        assert str(other) in {finding.source for finding in directory.findings}
        assert directory.snapshot().principal(ANA).known
