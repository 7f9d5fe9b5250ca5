"""Real policies decide as the reference does: all AWS managed policies, and a lab account of many users and roles.

Requests are drawn from the policies themselves: actions that their patterns match, ARNs made from their resource patterns,
conditions that are partly satisfied, and near misses of each. A fixed seed makes runs equal.
`python tests/engine/test_real_data.py ROWS` runs more requests.
"""

from __future__ import annotations

import gzip
import json
import random
import re
import sys
from collections import Counter
from datetime import UTC, datetime
from functools import cache

import pytest
from specification import decision
from surroundings import SHARED

import fastiam
from fastiam import Outcome
from fastiam.errors import RequestValueError
from fastiam.model.key_registry import key_info
from fastiam.model.request import Request, epoch_seconds, read_context

ACCOUNT = "123456789012"
NOW = datetime(2030, 1, 1, tzinfo=UTC)
ROWS = 1_500

pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason=f"no shared data at {SHARED}")


@cache
def managed():
    """Name and document of every AWS managed policy."""
    with gzip.open(SHARED / "aws-managed-policies.jsonl.gz", "rt") as lines:
        return [(policy["name"], policy["document"]) for policy in map(json.loads, lines)]


@cache
def user_policies():
    """What each of 200 users holds: eight managed policies, and for every fourth one more as boundary."""
    rng, arns = random.Random(1), [f"arn:aws:iam::aws:policy/{name}" for name, _ in managed()]
    return [(rng.sample(arns, 8), None if i % 4 else rng.choice(arns)) for i in range(200)]


@cache
def managed_directory():
    """A role for every managed policy, and users that hold several of them, one as their boundary."""
    directory = fastiam.Directory(mode="lenient")
    arns = []
    for name, document in managed():
        arns.append(f"arn:aws:iam::aws:policy/{name}")
        directory.add_managed_policy(arns[-1], document)
    for i, arn in enumerate(arns):
        directory.add_principal(f"arn:aws:iam::{ACCOUNT}:role/r{i}", identity_policies=[arn], tags={"team": "red"})
    for i, (policies, boundary) in enumerate(user_policies()):
        directory.add_principal(f"arn:aws:iam::{ACCOUNT}:user/u{i}", identity_policies=policies, permissions_boundary=boundary)
    directory.add_resource("arn:aws:s3:::bucket", account=ACCOUNT)
    return directory


@cache
def lab_directory():
    return fastiam.load(SHARED / "gaad-lab-account.json.gz")


class Draw:
    """Requests about what policies talk of."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def one(self, value):
        return self.rng.choice(value if isinstance(value, list) else [value])

    def statement(self, document):
        return self.one(document["Statement"])

    def action(self, statement) -> str:
        """A literal action that the statement names, or one beside it."""
        pattern = self.one(statement.get("Action") or statement.get("NotAction"))
        if pattern == "*":
            return self.one(["s3:GetObject", "iam:PassRole", "ec2:RunInstances", "sts:AssumeRole", "made:Up"])
        literal = re.sub(r"[*?]", lambda _: self.one(["x", "Object", "Describe"]), pattern)
        prefix, _, name = literal.partition(":")
        literal = f"{prefix}:{name or 'Get'}"
        if self.chance(0.1):
            literal = literal[:-1] if len(name) > 1 else literal + "x"
        return literal.upper() if self.chance(0.1) else literal

    def resource(self, statement) -> str:
        """A literal ARN that the statement's pattern matches more often than not, or any."""
        pattern = self.one(statement.get("Resource") or statement.get("NotResource") or "*")
        if not pattern.startswith("arn:") or pattern.count(":") < 5:
            return self.one(["*", "arn:aws:s3:::bucket/key", f"arn:aws:sqs:eu-west-1:{ACCOUNT}:q", "arn:aws:s3:::bucket"])
        filled = re.sub(r"\$\{([*?$])\}", r"\1", re.sub(r"\$\{aws:(?:PrincipalAccount|ResourceAccount)\}", ACCOUNT, pattern))
        filled = re.sub(r"\$\{[^}]*\}", lambda _: self.one(["red", "r1", "x"]), filled)
        fields = filled.split(":", 5)
        fields[1] = fields[1] if "*" not in fields[1] else "aws"
        fields[3] = re.sub(r"[*?]+", "eu-west-1", fields[3])
        fields[4] = re.sub(r"[*?]+", lambda _: self.one([ACCOUNT] * 4 + ["999999999999"]), fields[4])
        fields[5] = re.sub(r"[*?]", lambda _: self.one(["x", "a/b", "", "key", "9"]), fields[5]) or "x"
        if self.chance(0.15):
            at = self.rng.randrange(len(fields[5]))
            fields[5] = fields[5][:at] + self.one(["", "z", "/"]) + fields[5][at + 1 :] or "x"
        return ":".join(fields)

    def context(self, statement) -> dict[str, object]:
        """Values for the keys of the condition: often the first value of the policy, made literal."""
        found: dict[str, object] = {}
        for operator, entries in statement.get("Condition", {}).items():
            for key, values in entries.items():
                derived = (info := key_info(key.lower())) is not None and info.set_by.name != "REQUEST"
                if derived or self.chance(0.3) or operator.startswith("Null"):
                    continue
                value = re.sub(r"\$\{[^}]*\}|[*?]", "x", str(self.one(values))) if self.chance(0.8) else "other"
                found[key] = [value, "more"] if operator.startswith("For") and self.chance(0.5) else value
        return found


def draw(seed: int, rows: int, identities) -> list[tuple[str, str, str, dict[str, object]]]:
    """Draw requests; `identities` are pairs of a principal and its policy documents."""
    make, out = Draw(seed), []
    for _ in range(rows):
        principal, documents = make.one(identities)
        statement = make.statement(make.one(documents))
        out.append((principal, make.action(statement), make.resource(statement), make.context(statement)))
    return out


def managed_identities():
    documents = dict(managed())
    by_arn = {f"arn:aws:iam::aws:policy/{name}": as_lists(document) for name, document in documents.items()}
    identities = [(f"arn:aws:iam::{ACCOUNT}:role/r{i}", [document]) for i, document in enumerate(by_arn.values())]
    return identities + [
        (f"arn:aws:iam::{ACCOUNT}:user/u{i}", [by_arn[arn] for arn in policies])
        for i, (policies, _) in enumerate(user_policies())
    ]


def as_lists(document):
    statements = document["Statement"]
    return {**document, "Statement": statements if isinstance(statements, list) else [statements]}


def lab_identities():
    """Users and roles of the lab with every document of the account: most requests match a policy of another principal."""
    snapshot = lab_directory().snapshot()
    principals = [profile.name for profile in snapshot.principals()]
    account = json.loads(gzip.decompress((SHARED / "gaad-lab-account.json.gz").read_bytes()))
    own: dict[str, list] = {}
    managed_documents = {
        policy["Arn"]: as_lists(version["Document"])
        for policy in account["Policies"]
        for version in policy["PolicyVersionList"]
        if version["IsDefaultVersion"]
    }
    for detail, inline in (("UserDetailList", "UserPolicyList"), ("RoleDetailList", "RolePolicyList")):
        for entity in account[detail]:
            documents = [as_lists(policy["PolicyDocument"]) for policy in entity.get(inline, ())]
            attached = [policy["PolicyArn"] for policy in entity.get("AttachedManagedPolicies", ())]
            own[entity["Arn"]] = documents + [managed_documents[arn] for arn in attached if arn in managed_documents]
    everything = list(managed_documents.values())
    return [(name, own.get(name) or everything) for name in principals]


def differences(directory, requests) -> tuple[Counter, list[str]]:
    """Outcomes of a batch, and the rows on which the reference over the same snapshot differs."""
    snapshot = directory.snapshot()
    engine = directory.compile()
    keys = sorted({key for *_, context in requests for key in context}, key=str.lower)
    folded = {key.lower(): key for key in keys}
    context = {
        key: [one_cell(context, name) for *_, context in requests] for name, key in folded.items()
    }  # spellings of one key share a column
    columns = list(zip(*(request[:3] for request in requests), strict=True))
    batch = engine.decide_many(*columns, context, now=NOW, reasons=True, on_error="deny")
    wrong = []
    for request, row in zip(requests, batch, strict=True):
        literal = reference(snapshot, *request)
        found = (row.outcome, row.layer, row.statement, row.reason)
        if literal is None:
            if row.outcome is not Outcome.ERROR:
                wrong.append(f"{request}: the reference raised, the engine returned {found}")
        elif found != (literal.outcome, literal.layer, literal.statement, literal.reason):
            wrong.append(f"{request}: reference {literal}, engine {row}")
    return Counter(batch.outcome.tolist()), wrong


def one_cell(context, folded):
    """The values of a key in any spelling; a column holds lists where one row has several."""
    values = [value for key, value in context.items() if key.lower() == folded]
    if not values:
        return None
    return values[0] if isinstance(values[0], list) else [values[0]]


def reference(snapshot, principal, action, resource, context):
    """The literal answer, or None where the request is an error."""
    cells = {key.lower(): key for key in context}
    try:
        given = read_context({key: one_cell(context, folded) for folded, key in cells.items()})
        who, what, endpoint = snapshot.profiles(principal, action, resource, given)
        request = Request(action, given, epoch_seconds(NOW))
        return decision(who, what, request, endpoint=endpoint, sources=snapshot.account_facts)
    except RequestValueError:
        return None


# -- requests ----------------------------------------------------------------------------------------------------------


def test_all_managed_policies_compile():
    directory = managed_directory()
    stats = directory.compile().stats()
    assert stats["policies"] == len(managed()) == 1643
    assert stats["principals"] == 1643 + 200 + 1
    assert 7_000 < stats["bodies"] <= stats["statements"] == 9030
    assert {finding.code for finding in directory.findings} == {"V28"}


def test_the_lab_account_compiles():
    engine = lab_directory().compile()
    assert engine.stats()["principals"] > 50


def test_managed_policies_equal_the_reference():
    outcomes, wrong = differences(managed_directory(), draw(7, ROWS, managed_identities()))
    assert not wrong, f"{len(wrong)} rows differ, the first: {wrong[0]}"
    assert outcomes[Outcome.ALLOW] > ROWS / 4 and outcomes[Outcome.IMPLICIT_DENY] > ROWS / 10
    assert outcomes[Outcome.EXPLICIT_DENY] > 5 and outcomes[Outcome.ERROR] < ROWS / 20


def test_lab_account_equals_the_reference():
    outcomes, wrong = differences(lab_directory(), draw(8, ROWS, lab_identities()))
    assert not wrong, f"{len(wrong)} rows differ, the first: {wrong[0]}"
    assert outcomes[Outcome.ALLOW] > ROWS / 20 and outcomes[Outcome.IMPLICIT_DENY] > ROWS / 20


@pytest.mark.parametrize(("directory", "identities"), [(managed_directory, managed_identities), (lab_directory, lab_identities)])
def test_saved_engine_decides_equally_with_equal_statements(directory, identities, tmp_path):
    engine = directory().compile()
    engine.save(tmp_path / "engine.fastiam")
    loaded = fastiam.Engine.load(tmp_path / "engine.fastiam")
    requests = draw(9, ROWS, identities())
    columns = list(zip(*(request[:3] for request in requests), strict=True))
    one, two = (list(e.decide_many(*columns, now=NOW, reasons=True, on_error="deny")) for e in (engine, loaded))
    assert one == two
    positions = [row.statement and row.statement.position for row in one]
    assert [row.statement and row.statement.position for row in two] == positions
    for request in requests[::300]:
        answers = []
        for e in (engine, loaded):
            try:
                answers.append(e.explain(*request, now=NOW))
            except RequestValueError as error:
                answers.append(str(error))
        assert answers[0] == answers[1]


def test_batch_decides_each_literal_action_of_managed_policies():
    """Each role requests every literal action of its own policy on `*`.

    An allow without condition is in force, unless the policy itself denies the action.
    """
    rows, must = [], []
    for i, (_, document) in enumerate(managed()):
        for statement in as_lists(document)["Statement"]:
            wide = statement.get("Resource") in ("*", ["*"])
            plain = statement["Effect"] == "Allow" and wide and "Condition" not in statement
            for action in statement.get("Action", ()) if isinstance(statement.get("Action"), list) else ():
                if "*" not in action and "?" not in action and ":" in action:
                    rows.append((f"arn:aws:iam::{ACCOUNT}:role/r{i}", action))
                    must.append(plain)
    batch = managed_directory().compile().decide_many(*zip(*rows, strict=True), "*", now=NOW, on_error="deny")
    assert len(batch) > 20_000
    missed = {row for row, outcome, wanted in zip(rows, batch.outcome.tolist(), must, strict=True) if wanted and outcome == 0}
    assert {action for _, action in missed} == {"sts:GetSessionToken"}  # no role can (7.4)


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    for name, directory, identities in (
        ("managed policies", managed_directory(), managed_identities()),
        ("lab account", lab_directory(), lab_identities()),
    ):
        outcomes, wrong = differences(directory, draw(99, rows, identities))
        counts = ", ".join(f"{Outcome(code).name} {n:,}" for code, n in outcomes.most_common())
        print(f"{name}: {rows:,} rows, {len(wrong)} differ ({counts})")
        print(*wrong[:5], sep="\n")


if __name__ == "__main__":
    main()
