"""New principal names: most are interned from a template, in a few microseconds.

Invariant: the tables contain of a name what the account model resolves for it (`Snapshot.principal`), for each way to intern it
and in each order of names.
"""

from __future__ import annotations

import random
import threading

import pyarrow as pa
import pytest
from seeds import few_or_all, seeds
from specification import explained_decision

import fastiam
from fastiam import Directory, Engine, RequestValueError
from fastiam.kernel.testing import principal_of

A, B, M, X = "111111111111", "222222222222", "999999999999", "333333333333"  # X has no record, and no place in the organisation
BUCKET, QUEUE, KEY = "arn:aws:s3:::bucket", f"arn:aws:sqs:eu-west-1:{A}:q", f"arn:aws:kms:eu-west-1:{A}:key/k"
SSO = "AWSReservedSSO_Admin_0123456789abcdef"
LINKED = "aws-service-role/x.amazonaws.com/AWSServiceRoleForX"
ALL_OF_A = {"Effect": "Allow", "Action": "*", "Resource": "*"}


def policy(*statements):
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(action, principal=None, **condition):
    one = {"Effect": "Allow", "Action": action, "Resource": "*", **({"Condition": condition} if condition else {})}
    return one if principal is None else {**one, "Principal": principal}


WORK = policy(
    allow("s3:GetObject"),
    allow("sqs:*", StringLike={"aws:userid": "*:i-0*"}),
    allow("sns:*", ArnLike={"aws:PrincipalArn": "arn:*:iam::*:role/*/Deploy"}),
    {"Effect": "Allow", "Action": "dynamodb:*", "Resource": "arn:aws:dynamodb:*:*:table/${aws:userid}"},
    {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"StringEquals": {"aws:userid": "AROADEPLOY:bad"}}},
)


def make() -> Directory:
    directory = Directory()
    directory.set_organization("o-1", management_account=M, accounts={A: "ou-a", B: "ou-b"})
    directory.add_account(A, canonical_id="cafe")
    directory.add_principal(
        f"arn:aws:iam::{A}:role/ops/deep/Deploy", identity_policies=WORK, unique_id="AROADEPLOY", tags={"Team": "r"}
    )
    directory.add_principal(f"arn:aws:iam::{A}:role/Made", identity_policies=WORK)
    directory.add_principal(f"arn:aws:iam::{A}:role/NoId", identity_policies=WORK, unique_id=None, permissions_boundary=WORK)
    directory.add_principal(f"arn:aws:iam::{A}:role/{LINKED}", identity_policies=WORK)
    directory.add_principal(f"arn:aws:iam::{A}:role/aws-reserved/sso.amazonaws.com/eu-west-1/{SSO}", identity_policies=WORK)
    directory.add_principal(f"arn:aws-cn:iam::{B}:role/Deploy", identity_policies=WORK)
    directory.add_principal(f"arn:aws-us-gov:iam::{B}:role/gov/Deploy", identity_policies=WORK)
    directory.add_principal(f"arn:aws:iam::{M}:role/Deploy", identity_policies=WORK)
    directory.add_principal(f"arn:aws:iam::{A}:user/eng/ana", identity_policies=WORK)
    sessions = [f"arn:aws:sts::{A}:assumed-role/Deploy/i-0named", f"arn:aws:sts::{X}:assumed-role/Foreign/named"]
    users = [f"arn:aws:iam::{X}:user/named", f"arn:aws:iam::{X}:role/path/Known"]
    named = policy(
        allow(["s3:PutObject", "s3:GetObject"], {"AWS": sessions + users}),
        allow("s3:ListBucket", {"AWS": f"arn:aws:iam::{X}:root"}),
    )
    directory.add_resource(BUCKET, account=A, policy=named)
    directory.add_resource(KEY, policy=policy(allow("kms:*", {"AWS": [f"arn:aws:iam::{A}:root", *sessions]})))
    return directory


STARTS = [
    *(
        f"arn:aws:sts::{A}:assumed-role/{role}/"
        for role in ("Deploy", "Made", "NoId", "AWSServiceRoleForX", SSO, "Nobody", "deploy", "ops/deep/Deploy")
    ),
    *(
        f"arn:{partition}:sts::{account}:assumed-role/Deploy/"
        for partition in ("aws", "aws-cn", "aws-us-gov")
        for account in (A, B, M, X)
    ),
    f"arn:aws:sts::{X}:assumed-role/Foreign/",
    *(f"arn:aws:iam::{account}:user/{path}" for account in (A, B, M, X) for path in ("", "eng/", "a/b/", "/")),
    *(
        f"arn:aws:iam::{account}:role/{path}"
        for account in (A, B, M, X)
        for path in ("", "ops/", "aws-service-role/", f"{LINKED}/")
    ),
    *(f"arn:{partition}:sts::{A}:federated-user/" for partition in ("aws", "aws-cn")),
    f"arn:aws:iam::{A}:saml-provider/",
    f"arn:aws:iam::{A}:oidc-provider/",
    f"arn:aws:iam::{A}:group/",
    f"arn:aws:iam:eu-west-1:{A}:user/",
    f"arn::iam::{A}:user/",
    "arn:aws:iam::12345:user/",
    f"arn:aws:sts::{A}:assumed-role/",
    "service/",
    "",
]
LASTS = [
    "i-0aa", "i-0ab", "i-0named", "named", "bad", "Deploy", "Made", "Known", "root", "a:b", "user@example.com,x=y.z_-+", "*", "?",
    "${x}", "with space", "x" * 65, "y" * 3000, "~", "é", "日本", "tab\t", "line\n", "\x7f", "\u2028", "", "s3.amazonaws.com",
]  # fmt: skip
REQUESTS = [
    ("s3:GetObject", f"{BUCKET}/x", {}),
    ("s3:PutObject", f"{BUCKET}/x", {}),
    ("s3:ListBucket", BUCKET, {}),
    ("sqs:SendMessage", QUEUE, {}),
    ("sns:Publish", f"arn:aws:sns:eu-west-1:{A}:t", {}),
    ("kms:Decrypt", KEY, {}),
    ("dynamodb:GetItem", f"arn:aws:dynamodb:eu-west-1:{A}:table/AROADEPLOY:i-0aa", {}),
    ("sqs:SendMessage", QUEUE, {"aws:userid": "AROADEPLOY:i-0aa"}),
    ("sqs:SendMessage", QUEUE, {"aws:username": "i-0aa", "aws:PrincipalTag/Team": "r"}),
    ("sns:Publish", QUEUE, {"aws:PrincipalArn": f"arn:aws:iam::{A}:role/x/Deploy"}),
]  # fmt: skip


@pytest.fixture(scope="module")
def snapshot():
    return make().snapshot()


@pytest.fixture
def engine(snapshot):
    return Engine.from_snapshot(snapshot)


def shuffled(seed: int) -> list[str]:
    names = [start + last for start in STARTS for last in LASTS] + ["*", "ec2.amazonaws.com", f"arn:aws:iam::{A}:root"]
    random.Random(seed).shuffle(names)
    return names


def answer(ask, *request):
    try:
        return ask(*request)
    except RequestValueError as error:
        return str(error)


def interns(engine: Engine, name: str) -> bool:
    """Return whether the engine accepts the name as a principal; the engine has interned it then."""
    try:
        engine.is_allowed(name, "s3:GetObject", f"{BUCKET}/x")
    except RequestValueError:
        return False
    return True


@pytest.mark.parametrize("seed", seeds(1, 4))
def test_tables_of_a_name_equal_the_account_model(engine, snapshot, seed):
    compiler, names = engine.resolver.compiler, engine.names
    for name in shuffled(seed):
        if interns(engine, name):
            number = names.find_principal(name.encode())
            by_itself = compiler.principal(names, snapshot.principal(name))
            assert principal_of(names, number) == principal_of(names, by_itself), name
        else:
            with pytest.raises(RequestValueError):
                snapshot.principal(name)


@pytest.mark.parametrize("seed", seeds(1, 2))
def test_decisions_of_new_names_equal_the_reference(engine, seed):
    for name in shuffled(seed)[: few_or_all(600, 10_000)]:
        for action, resource, context in REQUESTS:
            decided = answer(engine.decide, name, action, resource, context)
            explained = answer(lambda *request: explained_decision(engine, *request), name, action, resource, context)
            assert decided == explained, (name, action, context)


def test_batch_of_new_names_equals_single_calls(engine, snapshot):
    names = [name for name in shuffled(7) if interns(engine, name)]
    requests = [(name, *request[:2]) for name in names for request in REQUESTS]
    columns = [pa.array(column) for column in zip(*requests, strict=True)]
    fresh = Engine.from_snapshot(snapshot)
    outcomes = fresh.decide_many(*columns, reasons=False).outcome
    assert outcomes.tolist() == [decision.outcome for decision in engine.decide_each(requests)]
    assert outcomes.tolist() == fresh.decide_many(*columns, reasons=False).outcome.tolist()


def test_saved_engine_resolves_names_equally(engine, tmp_path):
    engine.save(tmp_path / "engine")
    loaded = Engine.load(tmp_path / "engine")
    for name in shuffled(3):
        assert interns(loaded, name) == interns(engine, name)
        if interns(engine, name):
            one, two = (principal_of(of.names, of.names.find_principal(name.encode())) for of in (engine, loaded))
            for record in (one, two):
                record["principal_set"] = record["scp_set"] = None  # ids of later policy sets depend on the order of requests
            assert one == two, name


@pytest.mark.parametrize(
    "start",
    [
        f"arn:aws:sts::{A}:assumed-role/Deploy/",
        f"arn:aws:sts::{X}:assumed-role/Foreign/",
        f"arn:aws:iam::{A}:user/",
        f"arn:aws:iam::{A}:role/ops/",
        f"arn:aws:sts::{A}:federated-user/",
    ],
)
def test_second_name_of_a_template_reads_no_directory(engine, start):
    assert not engine.names.enter_from_template(f"{start}first".encode())
    assert interns(engine, f"{start}first")
    assert engine.names.enter_from_template(f"{start}second".encode())
    assert not engine.names.enter_from_template(f"{start}".encode())
    assert not engine.names.enter_from_template(f"{start}é".encode())


def test_known_role_does_not_share_an_unknown_template(engine):
    """N11: for each path in the name."""
    assert interns(engine, f"arn:aws:iam::{A}:role/x/Missing")
    wrong_path = f"arn:aws:iam::{A}:role/x/Deploy"
    assert not engine.names.enter_from_template(wrong_path.encode())
    assert engine.is_allowed(wrong_path, "s3:GetObject", f"{BUCKET}/x")


def test_next_engine_sees_added_and_deleted_principals():
    directory = make()
    live = fastiam.LiveEngine(directory)
    role, session = f"arn:aws:iam::{A}:role/New", f"arn:aws:sts::{A}:assumed-role/New/"
    request = ("s3:GetObject", f"{BUCKET}/x")
    assert not any(live.is_allowed(name, *request) for name in (role, session + "a", session + "b"))
    directory.add_principal(role, identity_policies=[("Work", WORK)])
    live.refresh()
    assert all(live.is_allowed(name, *request) for name in (role, session + "a", session + "b", session + "c"))
    directory.delete_inline_policy(role, "Work")
    directory.delete_principal(role)
    live.refresh()
    assert not any(live.is_allowed(name, *request) for name in (role, session + "a", session + "b", session + "c"))


def test_run_time_names_are_counted_and_dropped(snapshot):
    engine = Engine.from_snapshot(snapshot, cache_bytes=1 << 20)
    empty = engine.stats()["bytes"]
    for i in range(2_000):
        assert not engine.is_allowed(f"arn:aws:iam::{A}:user/{'p' * 2000}{i}/x", "s3:GetObject", f"{BUCKET}/x")
    for i in range(30_000):
        name = f"arn:aws:sts::{A}:assumed-role/{('Deploy', 'NoId', f'Unknown{i}')[i % 3]}/i-0{i}"
        assert engine.is_allowed(name, "s3:GetObject", f"{BUCKET}/x") == (i % 3 < 2)
    assert engine.resolver.compiler.tables.generation > 2
    assert engine.stats()["bytes"] - empty < 3 << 20


def test_threads_intern_names_concurrently(snapshot):
    engine = Engine.from_snapshot(snapshot, cache_bytes=1 << 20)
    wrong = []

    def ask(part: int) -> None:
        names = [f"arn:aws:sts::{A}:assumed-role/{('Deploy', 'Missing')[i % 2]}/{part % 2}-{i}" for i in range(6_000)]
        found = engine.are_allowed([(name, "s3:GetObject", f"{BUCKET}/x") for name in names])
        wrong.extend(name for i, name in enumerate(names) if found[i] != (i % 2 == 0))

    threads = [threading.Thread(target=ask, args=(part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
