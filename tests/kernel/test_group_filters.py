"""Groups of match ops with a common prefix are skipped together; a variable has one text for each principal.

Many statements are about the same action; requests are for what one of their patterns matches, and for what differs from
that by a byte.
"""

from __future__ import annotations

import random

import pyarrow as pa
import pytest
from pattern_texts import ACCOUNT, CROSSING, SHAPES, changed, piece, resource
from seeds import seeds
from specification import decision, explained_decision

import fastiam
from fastiam import Outcome
from fastiam.model.request import Request, read_context

ROLE = f"arn:aws:iam::{ACCOUNT}:role/app"
ANN = f"arn:aws:iam::{ACCOUNT}:user/ann"
TEAMS = {ANN: "ab-", ROLE: "b" * 20}
VARIABLES = (
    "${aws:username}",
    "${aws:PrincipalTag/team}",
    "${aws:PrincipalTag/other, 'ab'}",
    "${aws:PrincipalTag/other}",
    "${app:key}",
)
OPEN_HEADS = (
    *("arn:aws:s3*:::", "arn:aws:s3:*:*:", "arn:aws:s3:eu-*:*:"),
    *(f"arn:aws:s3:*:{ACCOUNT}:", "arn:aws:s3:eu-west-1:*:", "arn:aws:s3:::"),
)


def filled(pattern: str, who: str) -> str:
    """With what its variables stand for."""
    for variable, text in zip(VARIABLES, ("ann", TEAMS[who], "ab", "none", "key"), strict=True):
        pattern = pattern.replace(variable, text)
    return pattern


def common_prefix(rng: random.Random, n: int) -> list[str]:
    """Patterns of one service that begin alike, some of which have a variable."""
    start, patterns = piece(rng, rng.choice((0, 2, 3, 7, 8, 9, 30))), []
    for _ in range(n):
        pieces = [start + piece(rng, rng.choice((0, 1, 2, 5))), *(piece(rng, rng.choice((1, 2, 20))) for _ in range(2))]
        for at in rng.choices(range(3), k=rng.choice((0, 0, 0, 0, 1, 2))):
            pieces[at] += rng.choice(VARIABLES)
        patterns.append(rng.choice(("arn:aws:s3:::",) * 3 + OPEN_HEADS) + rng.choice(SHAPES[:8]).format(*pieces))
    return patterns


def likes(seed: int) -> tuple[fastiam.Directory, list[tuple[str, str, str]]]:
    """Two principals with the same statements, many of them about one action, and requests."""
    rng = random.Random(seed)
    statements, asked = [], []
    for i, n in enumerate((1, 2, 3, 4, 8, 15, 16, 17, 18, 20, 33, 40, 70)):
        patterns = common_prefix(rng, n)
        at = 0
        while at < n:
            few = patterns[at : at + rng.choice((1, 2, 4, 8, 20))]
            at += len(few)
            made = {"Effect": rng.choice(("Allow", "Allow", "Deny")), "Action": f"s3:Act{i}", "Resource": few}
            if rng.random() < 0.2:
                made["Condition"] = {"StringEquals": {"aws:username": "ann"}}
            statements.append(made)
        for pattern in rng.choices(patterns, k=8):
            for who in TEAMS:
                text = filled(pattern, who).replace("s3*:", "s3:").replace("eu-*", "eu-west-1")
                texts = [resource(rng, text), resource(rng, text, CROSSING)]
                asked += [(who, f"s3:Act{i}", text) for text in (*texts, *(changed(rng, text) for text in texts))]
        asked += [(who, f"s3:Act{i}", text) for who in TEAMS for text in ("*", "arn:aws:s3:::a")]
    directory = fastiam.Directory("lenient", quotas=None)  # R7: patterns of buckets with a Region
    policies = [{"Version": "2012-10-17", "Statement": statements[at : at + 7]} for at in range(0, len(statements), 7)]
    for who, team in TEAMS.items():
        directory.add_principal(who, identity_policies=policies, tags={"team": team})
    return directory, asked


HIDDEN = f"arn:aws:s3:${{a:{ACCOUNT}:b}}:{ACCOUNT}:c/"  # colons in `${...}` separate no fields


@pytest.mark.parametrize("effect", ["Allow", "Deny"])
@pytest.mark.parametrize("ends", [["ann"], ["${aws:username}"], ["*"], ["ann", "anna", "ann*"]], ids=" ".join)
def test_pattern_field_with_inner_colon_matches_no_resource(effect: str, ends: list[str]) -> None:
    """V28, R3, R5: read as one string the pattern may match, which is U."""
    directory = fastiam.Directory("lenient", quotas=None)
    made = [{"Effect": effect, "Action": "s3:*", "Resource": [HIDDEN + end for end in ends]}]
    made += [{"Effect": "Allow", "Action": "*", "Resource": "*"}] * (effect == "Deny")
    directory.add_principal(ANN, identity_policies=[{"Version": "2012-10-17", "Statement": made}])
    engine = directory.compile()
    asked = [HIDDEN + "ann", HIDDEN + "bob", "arn:aws:s3:::c/ann", f"arn:aws:s3:eu-west-1:{ACCOUNT}:c/ann"]
    matched = [effect == "Deny" and (text == asked[0] or (text == asked[1] and ends == ["*"])) for text in asked]
    expected = [2 if match else int(effect == "Deny") for match in matched]
    assert [int(explained_decision(engine, ANN, "s3:GetObject", text).outcome) for text in asked] == expected
    for _ in range(2):
        assert [int(engine.decide(ANN, "s3:GetObject", text).outcome) for text in asked] == expected
        assert engine.decide_many(ANN, "s3:GetObject", asked).outcome.tolist() == expected


@pytest.mark.parametrize("seed", seeds(1, 4))
def test_group_with_common_prefix_is_skipped_without_match(seed: int) -> None:
    """R5, VR5 to VR8, D51: outcome and statement are those of the reference, be there indexes or not."""
    directory, asked = likes(seed)
    snapshot = directory.snapshot()
    engines = [fastiam.Engine.from_snapshot(snapshot, index_from=index_from) for index_from in (8, 1000)]
    principals, actions, texts = map(list, zip(*asked, strict=True))
    forms = pa.array(texts), pa.array(texts).dictionary_encode()
    asks = [(engine, form) for engine in engines for form in forms]
    plain = [engine.decide_many(principals, actions, form).outcome.tolist() for engine, form in asks for _ in range(2)]
    answer = [list(engine.decide_many(principals, actions, form, reasons=True)) for engine, form in asks]
    seen = set()
    for row, (who, action, text) in enumerate(asked):
        subject, target, endpoint = snapshot.profiles(who, action, text, read_context({}))
        request = Request(action, read_context({}), 0)
        expected = decision(subject, target, request, endpoint=endpoint, sources=snapshot.account_facts)
        alone = [engine.decide(who, action, text) for engine in engines]
        outcomes = {found[row] for found in plain} | {int(one.outcome) for one in alone}
        assert outcomes == {int(expected.outcome)}, (who, action, text)
        assert all((found[row].outcome, found[row].statement) == (expected.outcome, expected.statement) for found in answer)
        assert all(one.statement == expected.statement for one in alone)
        seen.add(expected.outcome)
    assert seen == {Outcome.ALLOW, Outcome.IMPLICIT_DENY, Outcome.EXPLICIT_DENY}


@pytest.mark.parametrize("ending", ["-", "-report", "-reports", "-reports-", "-team-reports-archive"])
@pytest.mark.parametrize("n", [3, 4, 7, 16])
def test_patterns_with_equal_endings_match_their_own_resources(ending: str, n: int) -> None:
    """R3: of patterns whose literals differ early, and end alike, each matches what begins as it does."""
    starts = [f"{'abc'[i % 3]}{'x' * (i % 5)}{i}" for i in range(n)]
    heads = [f"arn:aws:s3:::{start}{ending}/" for start in starts]
    directory = fastiam.Directory(quotas=None)
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": [f"{head}*" for head in heads]}
    directory.add_principal(ANN, identity_policies=[{"Version": "2012-10-17", "Statement": statement}])
    others = [f"arn:aws:s3:::{start}{end}/key" for start in ("", "a", "bx", "c9", "zz") for end in (ending, ending[1:], "-other")]
    texts = [f"{head}key" for head in heads] + others
    expected = [any(text.startswith(head) for head in heads) for text in texts]
    engine = directory.compile()
    for _ in range(2):
        assert [engine.is_allowed(ANN, "s3:GetObject", text) for text in texts] == expected
        assert engine.decide_many(ANN, "s3:GetObject", texts).allowed.tolist() == expected


def test_region_far_into_a_pattern_with_any_account_has_to_match() -> None:
    """VR5: behind the 32 bytes by which patterns are filtered."""
    statement = {"Effect": "Allow", "Action": "*", "Resource": "arn:aws:elasticloadbalancing:ap-northeast-1:*:x/${aws:username}"}
    directory = fastiam.Directory(quotas=None)
    directory.add_principal(ANN, identity_policies=[{"Version": "2012-10-17", "Statement": statement}])
    regions = ("ap-northeast-1", "ap-northeast-2", "us-east-1", "")
    texts = [f"arn:aws:elasticloadbalancing:{region}:{ACCOUNT}:x/ann" for region in regions] * 300
    engine = directory.compile()
    for _ in range(2):
        found = engine.decide_many(ANN, "elasticloadbalancing:Do", texts)
        assert found.allowed.tolist() == [True, False, False, False] * 300


def test_account_of_a_pattern_with_any_region_has_to_match() -> None:
    """VR5: a Deny for one account does not cover what another account allows."""
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    deny = {"Effect": "Deny", "Action": "*", "Resource": f"arn:aws:sqs:*:{ACCOUNT}:x/${{aws:username}}"}
    directory = fastiam.Directory(quotas=None)
    directory.add_principal(ANN, identity_policies=[{"Version": "2012-10-17", "Statement": [deny, everything]}])
    texts = [f"arn:aws:sqs:eu-west-1:{account}:x/ann" for account in (ACCOUNT, "222222222222")]
    for text in texts:
        policy = {"Version": "2012-10-17", "Statement": everything | {"Principal": "*"}}
        directory.add_resource(text, policy=policy)
    engine = directory.compile()
    for _ in range(2):
        assert engine.decide_many(ANN, "sqs:Do", texts * 400).allowed.tolist() == [False, True] * 400
