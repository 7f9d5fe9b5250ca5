"""A batch has a fast path for common requests, which a request with a special rule must not take.

Each row is decided by a single call and in a batch, with columns of every form, twice: the second batch finds all entries cached.
"""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import pytest
from runners import COLUMNS
from specification import explained_decision

import fastiam
from fastiam import Outcome

A, B, M = "111111111111", "222222222222", "999999999999"
NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
USER, ROLE, BOUND = f"arn:aws:iam::{A}:user/ana", f"arn:aws:iam::{A}:role/app", f"arn:aws:iam::{A}:role/bound"
TAGGER = f"arn:aws:iam::{A}:user/tagger"
SESSION, CHINA = f"arn:aws:sts::{A}:assumed-role/app/run", f"arn:aws-cn:iam::{A}:user/mei"
OK, NO, DENY = Outcome.ALLOW, Outcome.IMPLICIT_DENY, Outcome.EXPLICIT_DENY


def document(*statements):
    return {"Version": "2012-10-17", "Statement": list(statements)}


def statement(effect, action, resource="*", **more):
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


EVERYTHING = document(statement("Allow", "*"))
EU = {"StringEquals": {"aws:RequestedRegion": "eu-west-1"}}
WORK = document(
    statement("Allow", "*"),
    statement("Deny", "s3:DeleteObject"),
    statement("Deny", "logs:*", "arn:aws:logs:*:*:secret"),
    statement("Allow", "sns:Publish", "arn:aws:sns:*:*:own-*"),
)
TAGGED = document(
    statement("Allow", ["iam:PassRole", "s3:ListBucket"], Condition={"StringEquals": {"aws:ResourceTag/stage": "prod"}})
)

# who, action, resource, outcome, rule
ROWS = (
    (USER, "s3:GetObject", "arn:aws:s3:::own/x", OK, "an allow on everything"),
    (USER, "s3:DeleteObject", "arn:aws:s3:::own/x", DENY, "a deny on everything"),
    (USER, "s3:GetObject", "arn:aws:s3:::theirs/x", NO, "D21: a bucket of another account, by its record"),
    (USER, "sqs:SendMessage", f"arn:aws:sqs:eu-west-1:{B}:q", NO, "D21: another account, by the field"),
    (USER, "sqs:SendMessage", f"arn:aws:sqs:eu-west-1:{A}:q", OK, "its own account, by the field"),
    (USER, "sqs:SendMessage", f"arn:aws:sqs:us-east-1:{A}:q", NO, "D10: an SCP that allows one Region alone"),
    (USER, "sqs:SendMessage", f"arn:aws-cn:sqs:eu-west-1:{A}:q", NO, "N16: another partition"),
    (CHINA, "s3:GetObject", "arn:aws-cn:s3:::own/x", OK, "another partition of its own"),
    (ROLE, "sts:GetSessionToken", "*", NO, "7.4: roles get no session token"),
    (SESSION, "sts:GetFederationToken", f"arn:aws:sts::{A}:federated-user/x", NO, "7.4: roles get no federation token"),
    (USER, "sts:GetCallerIdentity", "*", OK, "6.3: whatever policies say"),
    (USER, "iam:DeletePolicy", "arn:aws:iam::aws:policy/ReadOnlyAccess", NO, "D17: policies of AWS"),
    (USER, "iam:UpdateRole", f"arn:aws:iam::{A}:role/aws-reserved/x", NO, "D17: reserved roles"),
    (USER, "kms:CreateAlias", f"arn:aws:kms:eu-west-1:{A}:alias/aws/s3", NO, "D17: aliases of AWS"),
    (USER, "kms:Decrypt", f"arn:aws:kms:eu-west-1:{A}:key/k", NO, "6.3: a key without a policy"),
    (USER, "sts:AssumeRole", ROLE, NO, "6.3: a role without a trust policy"),
    (BOUND, "s3:GetObject", "arn:aws:s3:::own/x", NO, "D3: a boundary that allows nothing of it"),
    (BOUND, "sqs:SendMessage", f"arn:aws:sqs:eu-west-1:{A}:q", OK, "D3: a boundary that does"),
    (TAGGER, "iam:PassRole", ROLE, NO, "6.3: no tags of the role for iam:PassRole"),
    (TAGGER, "s3:ListBucket", "arn:aws:s3:::nowhere", NO, "5.4: no tag in the column, and no record"),
    (TAGGER, "s3:ListBucket", "arn:aws:s3:::own", OK, "5.4: where the column has none, the tag of the record"),
    (USER, "logs:GetLogEvents", f"arn:aws:logs:eu-west-1:{A}:log-group:g:secret", DENY, "R5: a Deny whose stars cross colons"),
    (USER, "logs:GetLogEvents", f"arn:aws:logs:eu-west-1:{A}:log-group:g:open", OK, "R5: and what it does not reach so"),
    (f"arn:aws:iam::{A}:root", "sqs:SendMessage", f"arn:aws:sqs:eu-west-1:{A}:q", OK, "root"),
    ("s3.amazonaws.com", "sqs:SendMessage", f"arn:aws:sqs:eu-west-1:{A}:q", NO, "a service without a resource policy"),
    ("*", "s3:GetObject", "arn:aws:s3:::own/x", NO, "nobody"),
    (f"arn:aws:iam::{A}:user/gone", "s3:GetObject", "arn:aws:s3:::own/x", NO, "a user without a record"),
    (USER, "s3:ListAllMyBuckets", "*", OK, "no resource"),
    (ROLE, "s3:GetObject", "arn:aws:s3:::guarded/a/secret/b", DENY, "D2: a Deny of the bucket that names the caller"),
    (USER, "s3:GetObject", "arn:aws:s3:::guarded/a/secret/b", OK, "D2: and one that names another principal"),
    (USER, "s3:GetObject", f"arn:aws:s3:eu-west-1:{A}:accesspoint/ap/object/x", DENY, "6.10: an object behind an access point"),
    (USER, "s3:GetObject", f"arn:aws:s3:eu-west-1:{A}:accesspoint/ap2/object/x", OK, "6.10: behind another one"),
    (ROLE, "s3:GetObject", "arn:aws:s3:::guarded/a/open/b", OK, "D2: or another part of it"),
)


@pytest.fixture(scope="module")
def engine():
    directory = fastiam.Directory()
    for arn in (USER, ROLE, CHINA):
        directory.add_principal(arn, identity_policies=[("Work", WORK)])
    directory.add_principal(
        BOUND, identity_policies=[("All", EVERYTHING)], permissions_boundary=document(statement("Allow", "sqs:*"))
    )
    directory.add_principal(TAGGER, identity_policies=[("Pass", TAGGED)])
    directory.add_resource("arn:aws:s3:::own", account=A, tags={"stage": "prod"})
    directory.add_resource("arn:aws:s3:::theirs", account=B)
    guard = statement("Deny", "s3:GetObject", "arn:aws:s3:::guarded/*/secret/*", Principal={"AWS": ROLE})
    directory.add_resource("arn:aws:s3:::guarded", account=A, policy=document(guard))
    deny_all = statement("Deny", "s3:*", Principal="*")
    directory.add_resource(f"arn:aws:s3:eu-west-1:{A}:accesspoint/ap", account=A, policy=document(deny_all))
    directory.set_organization("o-1", management_account=M, accounts={A: "r-1", B: "r-1"})
    region = document(statement("Allow", "sqs:*", Condition=EU), {"Effect": "Allow", "NotAction": "sqs:*", "Resource": "*"})
    directory.set_scps(A, [[("Full", EVERYTHING)], [("Region", region)]])
    return directory.compile()


@pytest.mark.parametrize("form", COLUMNS)
def test_batch_row_equals_single_call(engine, form):
    column = COLUMNS[form]
    rows = ROWS * 5  # some of each kind in a block
    context = {"aws:ResourceTag/stage": column([None if row[1].startswith("s3:") else "prod" for row in rows])}
    alone = [
        engine.decide(*row[:3], {} if row[1].startswith("s3:") else {"aws:ResourceTag/stage": "prod"}, now=NOW) for row in rows
    ]
    columns = [column([row[i] for row in rows]) for i in range(3)]
    for _ in range(2):
        quick = engine.decide_many(*columns, context, now=NOW)
        explained = engine.decide_many(*columns, context, now=NOW, reasons=True)
        for row, one, many, fast in zip(rows, alone, explained, quick.outcome.tolist(), strict=True):
            assert one.outcome is row[3] and many.outcome is row[3] and fast == row[3], row[4]
            assert (many.layer, many.statement, many.reason) == (one.layer, one.statement, one.reason), row[4]
            assert many.assumed_owner == one.assumed_owner, row[4]


@pytest.mark.parametrize("form", COLUMNS)
def test_condition_is_evaluated_with_the_value_of_its_row(engine, form):
    column = COLUMNS[form]
    regions = ["eu-west-1", "us-east-1", "eu-west-1", None] * 200
    n = len(regions)
    columns = (
        column([USER] * n),
        column(["sqs:SendMessage"] * n),
        column([f"arn:aws:sqs:us-east-1:{A}:q{i % 7}" for i in range(n)]),
    )
    for _ in range(2):
        got = engine.decide_many(*columns, {"aws:RequestedRegion": column(regions)}, now=NOW)
        assert got.outcome.tolist() == [OK if region == "eu-west-1" else NO for region in regions]


def test_cached_principal_is_checked_for_new_context_keys(engine):
    """K1: the keys of the request determine whether a column can contradict a fixed value."""
    sizes = []
    for account, expected in ((None, OK), (A, OK), (B, Outcome.ERROR), (None, OK)) * 3:
        context = {} if account is None else {"aws:PrincipalAccount": [account]}
        found = engine.decide_many([USER], ["s3:GetObject"], ["arn:aws:s3:::own/x"], context, now=NOW, on_error="deny")
        assert found.outcome[0] == expected, account
        sizes.append(engine.stats()["bytes"])
    assert sizes[-1] == sizes[-5] > engine.stats()["compiled_bytes"]


@pytest.mark.parametrize("form", ["dictionary", "plain", "chunks"])
def test_cached_context_check_is_per_value_and_principal(form):
    """K1: a tag that a column gives, of users with that tag, with another one and without any."""
    directory = fastiam.Directory(quotas=None)
    tags = {"red": {"team": "red"}, "blue": {"team": "blue"}, "bare": {}}
    users = {name: f"arn:aws:iam::{A}:user/{name}" for name in tags}
    for name, user in users.items():
        directory.add_principal(user, identity_policies=[document(statement("Allow", "s3:*"))], tags=tags[name])
    engine = directory.compile()
    names = ["red", "blue", "bare", "red", "red", "blue"] * 200
    agreed = [tags[name].get("team") if i % 5 else None for i, name in enumerate(names)]

    def outcomes(values):
        column = pa.array(values, pa.string())
        if form != "plain":
            column = column.dictionary_encode()
        if form == "chunks":
            halves = [pa.array(half, pa.string()).dictionary_encode() for half in (values[:700], values[700:])]
            column = pa.chunked_array([halves[0], halves[1]])
        found = engine.decide_many(
            [users[name] for name in names],
            "s3:GetObject",
            "arn:aws:s3:::b/k",
            {"aws:PrincipalTag/team": column},
            on_error="deny",
        )
        return found.outcome.tolist()

    wrong = [{6: "blue", 8: "red", 703: "red", 1100: "red"}.get(i, value) for i, value in enumerate(agreed)]
    expected = [
        OK if value in (None, tags[name].get("team")) else Outcome.ERROR for name, value in zip(names, wrong, strict=True)
    ]
    assert expected.count(Outcome.ERROR) >= 3
    for _ in range(2):
        assert set(outcomes(agreed)) == {OK}
        assert outcomes(wrong) == expected


# -- keys of KMS -------------------------------------------------------------------------------------------------------------

NAMED, BARE, LIMITED = (f"arn:aws:iam::{A}:role/{name}" for name in ("named", "bare", "limited"))
RUN = f"arn:aws:sts::{A}:assumed-role/named/run"
OUTSIDE = f"arn:aws:iam::{B}:role/named"


def grant(who, **more):
    return statement("Allow", "kms:*", Principal=who if who == "*" else {"AWS": who}, **more)


TLS, NO_TLS = ({"Condition": {"Bool": {"aws:SecureTransport": value}}} for value in ("true", "false"))
ROOT = f"arn:aws:iam::{A}:root"
KEY_POLICIES = {
    "none": None,
    "account": [grant(ROOT)],
    "another account": [grant(f"arn:aws:iam::{B}:root")],
    "role": [grant(NAMED)],
    "session": [grant(RUN)],
    "everybody": [grant("*")],
    "every principal, with a true condition": [grant("*", **TLS)],
    "every principal, with a false condition": [grant("*", **NO_TLS)],
    "account by a condition": [grant(A, **TLS)],
    "account, then a role": [grant(ROOT), grant([NAMED, BARE])],
    "a role, then the account": [grant(LIMITED), grant(A)],
    "account, then every principal": [grant(ROOT), grant("*", **TLS)],
    "both accounts": [grant([A, B])],
    "account, not a role": [grant(ROOT), statement("Deny", "kms:Decrypt", Principal={"AWS": NAMED})],
    "account, but a Deny": [grant(ROOT), statement("Deny", "kms:*", Principal="*", **TLS)],
    "many": [*(grant(f"arn:aws:iam::{A}:role/other-{i}") for i in range(12)), grant(ROOT), grant(BARE)],
    "another action": [statement("Allow", "kms:Encrypt", Principal={"AWS": ROOT})],
}


@pytest.fixture(scope="module", params=["no SCP", "an SCP with a condition"])
def keys(request):
    directory = fastiam.Directory(quotas=None)
    directory.add_principal(NAMED, identity_policies=[EVERYTHING])
    directory.add_principal(BARE)
    directory.add_principal(LIMITED, identity_policies=[EVERYTHING], permissions_boundary=document(statement("Allow", "s3:*")))
    directory.add_principal(OUTSIDE, identity_policies=[EVERYTHING])
    for i, policy in enumerate(KEY_POLICIES.values()):
        if policy is not None:
            directory.add_resource(f"arn:aws:kms:eu-west-1:{A}:key/{i}", policy=document(*policy))
    if request.param != "no SCP":
        directory.set_scps(A, [[("Encrypted", document(statement("Allow", "*", **TLS)))]])
    return directory.compile()


def agree(engine, rows, sessions, context):
    """Check that batches, new and warm, coded and plain, with and without reasons, equal the reference in each row."""
    given = {key: value[0] for key, value in context.items()}
    expected = [explained_decision(engine, sessions.get(who, who), what, on, given) for who, what, on in rows]
    many = [column * 20 for column in map(list, zip(*rows, strict=True))]
    for form in COLUMNS.values():
        columns = [form(column) for column in many]
        given = {key: form(column * len(many[0])) for key, column in context.items()}
        for _ in range(3):
            found = engine.decide_many(*columns, given, sessions=sessions)
            explained = engine.decide_many(*columns, given, sessions=sessions, reasons=True)
            assert found.outcome.tolist() == explained.outcome.tolist() == [decision.outcome for decision in expected] * 20
            for i, decision in enumerate(expected):
                assert (explained[i].layer, explained[i].statement) == (decision.layer, decision.statement), rows[i]


def test_kms_key_access_requires_its_key_policy(keys):
    """6.3, 6.5: whom it names needs no other allow, its account does; a later statement may name whom that lets not in."""
    sessions = {
        "limited session": fastiam.Session(RUN, kind="ROLE", issuer=NAMED, policies=[document(statement("Allow", "s3:*"))]),
        RUN: fastiam.Session(RUN, kind="ROLE", issuer=NAMED),
    }
    callers = (NAMED, BARE, LIMITED, OUTSIDE, ROOT, *sessions)
    arns = [f"arn:aws:kms:eu-west-1:{A}:key/{i}" for i in range(len(KEY_POLICIES))] + [f"arn:aws:kms:eu-west-1:{B}:key/x"]
    agree(keys, [(who, "kms:Decrypt", arn) for who in callers for arn in arns], sessions, {"aws:SecureTransport": ["true"]})


# -- whose policy governs -------------------------------------------------------------------------------------------------------

# stored resources, with a Deny for every principal
STORED = (
    f"arn:aws:lambda:eu-west-1:{A}:function:f",
    f"arn:aws:lambda:eu-west-1:{A}:function:g:prod",
    f"arn:aws:dynamodb:eu-west-1:{A}:table/t",
    f"arn:aws:dynamodb:eu-west-1:{A}:table/t/stream/s",
    f"arn:aws:sns:eu-west-1:{A}:topic",
    f"arn:aws:kinesis:eu-west-1:{A}:stream/s",
    f"arn:aws:es:eu-west-1:{A}:domain/d",
    f"arn:aws:codeartifact:eu-west-1:{A}:domain/d",
    f"arn:aws:codeartifact:eu-west-1:{A}:repository/d/r",
    f"arn:aws:acm-pca:eu-west-1:{A}:certificate-authority/ca",
    f"arn:aws:glue:eu-west-1:{A}:catalog",
    f"arn:aws:execute-api:eu-west-1:{A}:api",
    f"arn:aws:logs:eu-west-1:{A}:log-group:g",
    f"arn:aws:secretsmanager:eu-west-1:{A}:secret:db-AbCdEf",
    f"arn:aws:secretsmanager:eu-west-1:{A}:secret:x-éabcd-AbCdEf",
    f"arn:aws:s3:eu-west-1:{A}:accesspoint/ap",
    f"arn:aws:ssm:eu-west-1:{A}:parameter/p",
    f"arn:aws:events:eu-west-1:{A}:event-bus/b",
)
BEYOND = {
    f"lambda:eu-west-1:{A}:": "function:f:1 function:f:2 function:f: function:g function:g:prod "
    "function:g:dev function:g:dev2 layer:f layer:f:1",
    f"dynamodb:eu-west-1:{A}:table/": "t/index/i t/index/j t/stream/x t/stream/y t/stream/ t/backup/b t/backup/c "
    "t/export/e u t/ u/index/i t/other/o",
    f"sns:eu-west-1:{A}:": "topic:sub topic:sub2 topic: topic2 topi other:sub other:sub2 topic/x topic/x:sub",
    f"kinesis:eu-west-1:{A}:stream/": "s/consumer/c:1 s/consumer/c:2 s/consumer/d s2 t/consumer/c:1",
    f"es:eu-west-1:{A}:domain/": "d/_search d/x/_search e e/_search e/_doc",
    f"codeartifact:eu-west-1:{A}:": "package/d/r/npm/x/y package/d/r/npm/x/z package/d/s/npm/x/y package/e/r/npm/x/y "
    "package-group/d/x package-group/d/y domain/e",
    f"acm-pca:eu-west-1:{A}:certificate-authority/": "ca/certificate/c ca/certificate/d cb cb/certificate/c",
    f"glue:eu-west-1:{A}:": "database/d database/e table/d/t table/e/u job/j job/k",
    f"glue:us-east-1:{A}:": "database/d",
    f"execute-api:eu-west-1:{A}:": "api/stage/GET/x api/stage/GET/y api/ api2/stage/GET/x",
    "apigateway:eu-west-1::": "/restapis/api/stages/s /restapis/api/stages/t /restapis/api/ /restapis/api2 /apis/api/routes/r",
    f"logs:eu-west-1:{A}:log-group:": "g:* g:log-stream:s g:log-stream:t/u g:log-stream: h "
    "h:log-stream:s h:log-stream:t g/h:log-stream:s",
    f"secretsmanager:eu-west-1:{A}:secret:": "db d db-XxXxXx x-éabcd x y-abcdef",
    f"s3:eu-west-1:{A}:accesspoint/": "ap/object/x ap/object/y/z ap2 ap2/object/x ap2/object/y",
    f"ssm:eu-west-1:{A}:parameter/": "p/q q p/",
    f"events:eu-west-1:{A}:event-bus/": "c",
}


def test_governing_policy_decides_single_calls_and_batches():
    """6.10, D60 to D62: a resource that only its own record can govern is not looked up again, with equal decisions."""
    directory = fastiam.Directory(quotas=None)
    directory.add_principal(NAMED, identity_policies=[EVERYTHING])
    directory.add_principal(BARE, identity_policies=[document(statement("Allow", "*", "arn:aws:secretsmanager:*:*:*-AbCdEf"))])
    for arn in STORED:
        directory.add_resource(arn, policy=document(statement("Deny", "*", Principal="*")))
    beyond = [f"arn:aws:{begin}{rest}" for begin, rests in BEYOND.items() for rest in rests.split()]
    rows = [(who, f"{arn.split(':')[2]}:Do", arn) for arn in (*STORED, *beyond) for who in (NAMED, BARE)]
    agree(directory.compile(), rows, {}, {})
    engine = directory.compile()
    for _ in range(2):
        for row in rows:
            assert engine.decide(*row) == explained_decision(engine, *row), row


def test_bucket_tags_are_not_object_tags():
    """6.10, 5.4: its policy governs them, its tags do not apply to them."""
    tagged = statement("Allow", "s3:*", Condition={"StringEquals": {"aws:ResourceTag/stage": "prod"}})
    directory = fastiam.Directory(quotas=None)
    directory.add_principal(NAMED, identity_policies=[document(tagged)])
    directory.add_resource("arn:aws:s3:::tagged", account=A, tags={"stage": "prod"})
    directory.add_resource("arn:aws:s3:::tagged/one", account=A, tags={"stage": "prod"})
    for engine in (directory.compile(), directory.compile()):
        rows = [(NAMED, "s3:GetObject", f"arn:aws:s3:::tagged{rest}") for rest in ("", "/one", "/two")]
        agree(engine, rows, {}, {})
        assert [engine.is_allowed(*row) for row in rows] == [True, True, False]
