"""Where the policies of a request ARN are stored: spec 6.10, row by row."""

from __future__ import annotations

import pytest

from fastiam import Directory
from fastiam.directory.governing_resources import governing_resources_of, stored_arn

A = "111111111111"
ana = f"arn:aws:iam::{A}:user/eng/ana"


def at(service: str, rest: str, region: str = "eu-west-1", account: str = A) -> str:
    return f"arn:aws:{service}:{region}:{account}:{rest}"


S3 = "arn:aws:s3:::b"
API = "arn:aws:apigateway:eu-west-1::/restapis/id"
ROWS = [
    # request, groups of governing resources, governs
    (f"{S3}", [[S3]], "always"),
    (f"{S3}/key/k", [[S3]], "always"),
    (at("s3", "accesspoint/n"), [[at("s3", "accesspoint/n")]], "always"),
    (at("s3", "accesspoint/n/object/key"), [[at("s3", "accesspoint/n")]], "always"),
    (at("lambda", "function:f"), [[at("lambda", "function:f")]], "always"),
    (at("lambda", "function:f:q"), [[at("lambda", "function:f:q"), at("lambda", "function:f")]], "always"),
    (at("lambda", "layer:l:1"), [[at("lambda", "layer:l:1")]], "always"),
    (at("dynamodb", "table/t"), [[at("dynamodb", "table/t")]], "always"),
    (at("dynamodb", "table/t/index/i"), [[at("dynamodb", "table/t")]], "always"),
    (at("dynamodb", "table/t/stream/s"), [[at("dynamodb", "table/t/stream/s")]], "always"),
    (at("dynamodb", "table/t/backup/b"), [], "always"),
    (at("dynamodb", "table/t/import/i"), [], "always"),
    (at("dynamodb", "table/t/export/e"), [[at("dynamodb", "table/t")]], "always"),
    (at("kms", "key/id"), [[at("kms", "key/id")]], "always"),
    (at("kms", "alias/n"), [], "always"),
    (at("secretsmanager", "secret:n-AbCdEf"), [[at("secretsmanager", "secret:n-AbCdEf")]], "always"),
    (at("sqs", "q"), [[at("sqs", "q")]], "always"),
    (at("sns", "t"), [[at("sns", "t")]], "always"),
    (at("sns", "t:0f1e"), [[at("sns", "t")]], "always"),
    (at("ecr", "repository/n"), [[at("ecr", "repository/n")]], "always"),
    (at("logs", "log-group:g"), [[at("logs", "log-group:g")], [at("logs", "*")]], "service"),
    (at("logs", "log-group:g:*"), [[at("logs", "log-group:g")], [at("logs", "*")]], "service"),
    (at("logs", "log-group:g:log-stream:s"), [[at("logs", "log-group:g")], [at("logs", "*")]], "service"),
    (at("logs", "destination:d"), [[at("logs", "destination:d")]], "always"),
    (at("kinesis", "stream/s"), [[at("kinesis", "stream/s")]], "always"),
    (at("kinesis", "stream/s/consumer/c:1"), [[at("kinesis", "stream/s/consumer/c:1"), at("kinesis", "stream/s")]], "always"),
    (at("events", "event-bus/n"), [[at("events", "event-bus/n")]], "always"),
    (API, [[API]], "always"),
    (f"{API}/stages/prod/x", [[API]], "always"),
    (at("execute-api", "id/prod/GET/pets"), [[API]], "always"),
    (at("execute-api", "id"), [[API]], "always"),
    (at("es", "domain/d"), [[at("es", "domain/d")]], "always"),
    (at("es", "domain/d/index/_search"), [[at("es", "domain/d")]], "always"),
    (f"arn:aws:iam::{A}:role/p/R", [[f"arn:aws:iam::{A}:role/p/R"]], "trust"),
    (at("backup", "backup-vault:n"), [[at("backup", "backup-vault:n")]], "always"),
    (at("backup", "recovery-point:n"), [], "always"),
    (at("glacier", "vaults/n"), [[at("glacier", "vaults/n")]], "always"),
    (
        at("codeartifact", "package/d/repo/npm//p"),
        [[at("codeartifact", "repository/d/repo")], [at("codeartifact", "domain/d")]],
        "always",
    ),
    (at("codeartifact", "package-group/d/x"), [[at("codeartifact", "domain/d")]], "always"),
    (at("elasticfilesystem", "file-system/fs"), [[at("elasticfilesystem", "file-system/fs")]], "always"),
    (at("elasticfilesystem", "access-point/ap"), [], "always"),
    (at("ses", "identity/n"), [[at("ses", "identity/n")]], "always"),
    (at("acm-pca", "certificate-authority/id"), [[at("acm-pca", "certificate-authority/id")]], "always"),
    (at("acm-pca", "certificate-authority/id/certificate/c"), [[at("acm-pca", "certificate-authority/id")]], "always"),
    (at("glue", "catalog"), [[at("glue", "catalog")]], "always"),
    (at("glue", "database/d"), [[at("glue", "catalog")]], "always"),
    (at("glue", "table/d/t"), [[at("glue", "catalog")]], "always"),
    (at("glue", "userDefinedFunction/d/f"), [[at("glue", "catalog")]], "always"),
    (at("glue", "connection/c"), [[at("glue", "catalog")]], "always"),
    (at("glue", "job/j"), [[at("glue", "job/j")]], "always"),
]


@pytest.mark.parametrize(("request_arn", "groups", "governs"), ROWS, ids=[row[0].split(":", 2)[2] for row in ROWS])
def test_governing_resources_of_an_arn_follow_the_table(request_arn, groups, governs):
    """D60, D61."""
    found = governing_resources_of(request_arn)
    assert [list(group) for group in found.groups] == groups
    assert found.governs == governs


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        (at("logs", "log-group:g:*"), at("logs", "log-group:g")),
        (at("logs", "log-group:g"), at("logs", "log-group:g")),
        (at("execute-api", "id"), API),
        (API, API),
        (S3, S3),
    ],
)
def test_spellings_of_one_governing_resource_are_stored_as_one(given, stored):
    assert stored_arn(given) == stored


# -- over a directory ---------------------------------------------------------------------------------------------------


def policy(sid: str) -> dict:
    statement = {"Sid": sid, "Effect": "Allow", "Principal": {"AWS": ana}, "Action": "*", "Resource": "*"}
    return {"Version": "2012-10-17", "Statement": [statement]}


def sids(stored: list[str], request: str) -> list[str] | None:
    """The Sids of the policies that govern a request, each policy named after the ARN that it is stored under."""
    directory = Directory()
    for arn in stored:
        directory.add_resource(arn, account=A, policy=policy(arn))
    found = directory.snapshot().facts(request).policies
    return None if found is None else [p.statements[0].sid for p in found]


F, FQ = at("lambda", "function:f"), at("lambda", "function:f:live")
SECRET, OTHER = at("secretsmanager", "secret:db-AbCdEf"), at("secretsmanager", "secret:db-GhIjKl")
REPO, DOMAIN = at("codeartifact", "repository/d/repo"), at("codeartifact", "domain/d")
GROUP, REGION = at("logs", "log-group:/app/a"), at("logs", "*")
GOVERNING = [
    ("E330", [S3], f"{S3}/x", [S3]),
    ("E331", [at("s3", "accesspoint/ap")], at("s3", "accesspoint/ap/object/x"), [at("s3", "accesspoint/ap")]),
    ("E332 exact", [F, FQ], FQ, [FQ]),
    ("E332 else", [F, FQ], at("lambda", "function:f:7"), [F]),
    ("E333", [at("dynamodb", "table/t")], at("dynamodb", "table/t/stream/s"), None),
    ("E334", [at("kms", "key/k")], at("kms", "alias/a"), None),
    ("E335 partial", [SECRET], at("secretsmanager", "secret:db"), [SECRET]),
    ("E335 ends like a full ARN", [SECRET], at("secretsmanager", "secret:db-AbCdEg"), None),
    ("E335 too short", [SECRET], at("secretsmanager", "secret:d"), None),
    ("E335 two fit", [SECRET, OTHER], at("secretsmanager", "secret:db"), None),
    ("E336", [at("sns", "t")], at("sns", "t:0f1e2d3c"), [at("sns", "t")]),
    ("E337 order", [REGION, GROUP], f"{GROUP}:log-stream:s", [GROUP, REGION]),
    ("E338 order", [DOMAIN, REPO], at("codeartifact", "package/d/repo/npm//p"), [REPO, DOMAIN]),
    ("E339", [at("execute-api", "abc")], at("execute-api", "abc/prod/GET/pets"), [at("execute-api", "abc")]),
    ("E339 other", [at("execute-api", "abc")], at("execute-api", "abd/prod/GET/pets"), None),
]


@pytest.mark.parametrize(("stored", "request_arn", "expected"), [row[1:] for row in GOVERNING], ids=[r[0] for r in GOVERNING])
def test_stored_policies_govern_as_in_the_examples(stored, request_arn, expected):
    """E330 to E339."""
    assert sids(stored, request_arn) == expected


def test_a_partial_secret_is_decided_with_the_full_arn():
    directory = Directory()
    directory.add_resource(SECRET, tags={"env": "a"})
    facts = directory.snapshot().facts(at("secretsmanager", "secret:db"))
    assert facts.arn == SECRET
    assert facts.keys["aws:resourcetag/env"].values == ("a",)


def test_secret_stored_under_the_exact_arn_is_not_partial():
    directory = Directory()
    directory.add_resource(at("secretsmanager", "secret:db"))
    directory.add_resource(SECRET)
    assert directory.snapshot().facts(at("secretsmanager", "secret:db")).arn == at("secretsmanager", "secret:db")


@pytest.mark.parametrize(
    ("action", "governs"),
    [
        ("sts:AssumeRole", True),
        ("STS:assumerolewithsaml", True),
        ("sts:TagSession", True),
        ("sts:SetSourceIdentity", True),
        ("sts:GetCallerIdentity", False),
        ("iam:GetRole", False),
        ("iam:PassRole", False),
    ],
)
def test_a_trust_policy_governs_the_sts_calls_on_its_role_alone(action, governs):
    """6.10, row `iam`; E334."""
    role = f"arn:aws:iam::{A}:role/R"
    directory = Directory()
    directory.add_principal(ana)
    directory.add_principal(role, trust_policy={"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": ana}, "Action": "sts:AssumeRole"}]})  # fmt: skip
    snapshot = directory.snapshot()
    resource = snapshot.resource(role, action, snapshot.principal(ana))
    assert (resource.policies is not None) is governs


@pytest.mark.parametrize(("caller", "governs"), [("delivery.logs.amazonaws.com", True), (ana, False), ("*", False)])
def test_log_policies_govern_services_alone(caller, governs):
    """6.10, row `logs`; E337."""
    directory = Directory()
    directory.add_principal(ana)
    directory.add_resource(f"{GROUP}:*", policy=policy("x"))
    snapshot = directory.snapshot()
    resource = snapshot.resource(f"{GROUP}:log-stream:s", "logs:PutLogEvents", snapshot.principal(caller))
    assert (resource.policies is not None) is governs
