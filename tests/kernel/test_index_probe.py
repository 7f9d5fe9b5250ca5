"""Index probes of a batch find what the specification evaluator finds for each request, in every layer with a long list.

Patterns consist of few words, so that many share some; requests are for what one of them matches, and for what differs from
that by a byte. Their last fields are of any size, many of about 64 bytes: literals of this size are compared in one step.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from pattern_texts import ACCOUNT, CROSSING, JOINTS, WORDS, changed, resource
from seeds import seeds
from specification import decision

import fastiam
from fastiam import Outcome
from fastiam.model.request import Request, read_context

ROLE = f"arn:aws:iam::{ACCOUNT}:role/app"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/app/run"
HEADS = (
    "arn:aws:s3:::bucket/",
    "arn:aws:s3:::bucket/",
    "arn:aws:s3:::",
    "arn:aws:s3:*:*:",
    f"arn:aws:s3express:eu-west-1:{ACCOUNT}:",
    "arn:*:s3:::",
    "arn:aws:s*:::",
)
CONDITIONS = (
    {"StringEquals": {"aws:RequestTag/team": "red"}},
    {"StringNotEquals": {"aws:RequestTag/team": ["red", "blue"]}},
    {"Bool": {"aws:SecureTransport": "true"}},
)
TEAMS, TRANSPORTS = ("red", "blue", "green", None), ("true", "false", None)


def pattern(rng: random.Random) -> str:
    tail = rng.choice(WORDS)
    for _ in range(rng.randrange(5)):
        tail += rng.choice(JOINTS) + rng.choice(WORDS)
    if rng.random() < 0.3:
        tail = "w" * max(0, rng.randint(61, 67) - len(tail)) + tail
    return rng.choice(HEADS) + tail + rng.choice(("", "", "*", "/*"))


def asked_for(rng: random.Random, text: str) -> list[str]:
    """What a pattern matches where nothing hinders it, and what is nearly that."""
    text = (
        text.replace("${aws:username}", "app")
        .replace("${aws:PrincipalTag/team}", "a")
        .replace("arn:*", "arn:aws")
        .replace("s*:", "s3:")
    )
    found = [resource(rng, text), resource(rng, text, CROSSING)]
    return found + [changed(rng, one) for one in found]


def policy(statements: list[dict[str, Any]]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": statements}


EVERYTHING = policy([{"Effect": "Allow", "Action": "*", "Resource": "*"}])


class Lists:
    """A long list of statements, and resources of requests."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = random.Random(seed)
        self.patterns = [pattern(rng) for _ in range(rng.choice((12, 40, 90)))]
        sizes = [rng.choice((1, 1, 2, 9, 40)) for _ in self.patterns]
        self.listed = [self.patterns[at : at + n] for at, n in enumerate(sizes)]

    def asked(self, place: str) -> list[str]:
        """Resources of requests in one layer: each layer gets other patterns."""
        rng = random.Random(place)
        texts = [text for one in rng.choices(self.patterns, k=40) for text in asked_for(rng, one)]
        return [*texts, "*", "arn:aws:s3:::a", "arn:aws:s3:::"]

    def made(self, effect: str, **more: Any) -> list[dict[str, Any]]:
        """Statements of one effect, some of which say more than resources; denies of a third."""
        rng, statements = self.rng, []
        for few in self.listed if effect == "Allow" else rng.sample(self.listed, len(self.listed) // 3 + 8):
            element = "NotResource" if rng.random() < 0.01 else "Resource"
            one = {"Effect": effect, "Action": "s3:*", element: few} | more
            if rng.random() < 0.3 or element == "NotResource":
                one["Condition"] = rng.choice(CONDITIONS)
            statements.append(one)
            if rng.random() < 0.04:
                statements.append({**more, "Effect": effect, "Action": "*", "Resource": "*", "Condition": rng.choice(CONDITIONS)})
        return statements

    def both(self) -> list[dict[str, Any]]:
        statements = self.made("Allow") + self.made("Deny")
        self.rng.shuffle(statements)
        return statements

    def half(self) -> list[dict[str, Any]]:
        """Of both effects, some: what only the others are about is not allowed."""
        statements = self.both()
        return statements[: len(statements) // 2]


def in_identity(lists: Lists) -> tuple[fastiam.Directory, fastiam.Session | None]:
    directory = fastiam.Directory(quotas=None)
    directory.add_principal(ROLE, identity_policies=[policy(lists.both())], tags={"team": "a"})
    return directory, None


def in_boundary(lists: Lists) -> tuple[fastiam.Directory, fastiam.Session | None]:
    directory = fastiam.Directory(quotas=None)
    directory.add_principal(
        ROLE, identity_policies=[policy(lists.made("Allow"))], permissions_boundary=policy(lists.half()), tags={"team": "a"}
    )
    return directory, None


def in_session(lists: Lists) -> tuple[fastiam.Directory, fastiam.Session | None]:
    directory = fastiam.Directory(quotas=None)
    directory.add_principal(ROLE, identity_policies=[policy(lists.made("Allow"))], tags={"team": "a"})
    return directory, fastiam.Session(SESSION, kind="ROLE", issuer=ROLE, policies=[policy(lists.half())])


def in_organization(lists: Lists) -> tuple[fastiam.Directory, fastiam.Session | None]:
    directory = fastiam.Directory(quotas=None)
    directory.add_principal(ROLE, identity_policies=[policy(lists.made("Allow"))], tags={"team": "a"})
    directory.set_organization(
        "o-acme123456",
        management_account="999999999999",
        organizational_units={},
        accounts={ACCOUNT: "r-1"},
        scps={"r-1": [EVERYTHING, policy(lists.made("Deny"))]},
        rcps={"r-1": [("R", policy(lists.made("Deny", Principal="*")))]},
    )
    return directory, None


def in_bucket(lists: Lists) -> tuple[fastiam.Directory, fastiam.Session | None]:
    directory = fastiam.Directory(quotas=None)
    directory.add_principal(ROLE, identity_policies=[policy(lists.made("Allow")[:9])], tags={"team": "a"})
    elements = [{"AWS": ROLE}, {"AWS": ACCOUNT}, "*", {"AWS": f"arn:aws:iam::{ACCOUNT}:user/other"}]
    statements = [one | {"Principal": lists.rng.choice(elements)} for one in lists.both()]
    directory.add_resource("arn:aws:s3:::bucket", account=ACCOUNT, policy=policy(statements))
    return directory, None


Place = Callable[[Lists], tuple[fastiam.Directory, fastiam.Session | None]]


@pytest.mark.parametrize("place", [in_identity, in_boundary, in_session, in_organization, in_bucket])
@pytest.mark.parametrize("seed", seeds(1, 6))
def test_index_probe_finds_candidates_in_every_layer(seed: int, place: Place) -> None:
    """R5, VR5 to VR8, 6.4, D51: outcome and statement are those of the reference."""
    lists = Lists(seed)
    directory, session = place(lists)
    snapshot, rng, asked = directory.snapshot(), lists.rng, lists.asked(place.__name__)
    who, sessions = (SESSION, {SESSION: session}) if session else (ROLE, {})
    columns = {
        "aws:RequestTag/team": rng.choices(TEAMS, k=len(asked)),
        "aws:SecureTransport": rng.choices(TRANSPORTS, k=len(asked)),
    }
    expected = []
    for i, text in enumerate(asked):
        context = read_context({key: values[i] for key, values in columns.items() if values[i] is not None})
        subject, target, endpoint = snapshot.profiles(session or who, "s3:GetObject", text, context)
        answer = decision(subject, target, Request("s3:GetObject", context, 0), endpoint=endpoint, sources=snapshot.account_facts)
        expected.append((answer.outcome, answer.statement))
    for index_from in (1, 8):
        engine = fastiam.Engine.from_snapshot(snapshot, index_from=index_from)
        for texts in (pa.array(asked), pa.array(asked).dictionary_encode()):
            engine.decide_many(who, "s3:GetObject", texts, columns, sessions=sessions)  # rows are made, and decided one by one
            plain = engine.decide_many(who, "s3:GetObject", texts, columns, sessions=sessions)
            found = engine.decide_many(who, "s3:GetObject", texts, columns, sessions=sessions, reasons=True)
            for text, outcome, one, (wanted, statement) in zip(asked, plain.outcome.tolist(), found, expected, strict=True):
                assert (outcome, one.outcome, one.statement) == (int(wanted), wanted, statement), (index_from, text)
    assert len({outcome for outcome, _ in expected}) > 1


TENANTS = [f"t{i}" for i in range(30)]


def by_tenant(rng: random.Random, i: int, operator: str) -> dict[str, Any]:
    """A statement that asks for a tenant, few for several, or beside the tenant for something else."""
    wanted: Any = TENANTS[i] if rng.random() < 0.8 else [TENANTS[i], rng.choice(TENANTS)]
    condition: dict[str, Any] = {operator: {"app:tenant": wanted}}
    if rng.random() < 0.3:
        condition |= rng.choice(CONDITIONS)
    resource = rng.choice(
        (["arn:aws:s3:::data/*"], ["arn:aws:s3:::data/*"], ["*"], [f"arn:aws:s3:::data/{i}/*", "arn:aws:s3:::data/*"])
    )
    effect = "Deny" if rng.random() < 0.2 else "Allow"
    return {"Effect": effect, "Action": "s3:*", "Resource": resource, "Condition": condition}


@pytest.mark.parametrize("operator", ["StringEquals", "ForAnyValue:StringEquals"])
@pytest.mark.parametrize("form", ["coded", "plain", "lists", "absent"])
@pytest.mark.parametrize("seed", seeds(1, 3))
def test_index_distinguishes_statements_by_condition_value(seed: int, form: str, operator: str) -> None:
    """C1, C5, D51: where a row has one text of the key, several, or none; some statements ask for nothing of it."""
    rng = random.Random(seed)
    statements = [by_tenant(rng, i, operator) for i in range(len(TENANTS))]
    statements += [
        {"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::data/*", "Condition": rng.choice(CONDITIONS)}
    ] * (seed % 2)
    rng.shuffle(statements)
    directory = fastiam.Directory(quotas=None)
    directory.add_principal(ROLE, identity_policies=[policy(statements)])

    def tenant() -> Any:
        one = rng.choice((*TENANTS, "t99", None))
        if one is None or form != "lists":
            return one
        return [one, rng.choice(TENANTS)] if operator.startswith("For") and rng.random() < 0.5 else [one]

    kinds = []
    for _ in range(400):
        text = f"arn:aws:s3:::{rng.choice(('data', 'date'))}/{rng.randrange(30)}/x"
        kinds.append((text, tenant(), rng.choice(TEAMS), rng.choice(TRANSPORTS)))
    snapshot, expected = directory.snapshot(), []
    keys = ["app:tenant", "aws:RequestTag/team", "aws:SecureTransport"][form == "absent" :]
    for text, *values in kinds:
        answer = dict(zip(keys, values[form == "absent" :], strict=True))
        context = read_context({key: value for key, value in answer.items() if value is not None})
        subject, target, endpoint = snapshot.profiles(ROLE, "s3:GetObject", text, context)
        one = decision(subject, target, Request("s3:GetObject", context, 0), endpoint=endpoint, sources=snapshot.account_facts)
        expected.append((one.outcome, one.statement))
    rows = rng.choices(range(len(kinds)), k=1_100)  # so many that truths are kept
    asked, tenants, teams, transports = zip(*(kinds[row] for row in rows), strict=True)
    made: dict[str, Any] = {"aws:RequestTag/team": list(teams), "aws:SecureTransport": list(transports)}
    if form != "absent":
        made["app:tenant"] = pa.array(tenants)
    if form == "coded":
        made["app:tenant"] = made["app:tenant"].dictionary_encode()
    engine = fastiam.Engine.from_snapshot(snapshot)
    engine.decide_many(ROLE, "s3:GetObject", list(asked), made)  # rows are made, and decided one by one
    plain = engine.decide_many(ROLE, "s3:GetObject", list(asked), made)
    found = engine.decide_many(ROLE, "s3:GetObject", list(asked), made, reasons=True)
    for i, row in enumerate(rows):
        wanted, statement = expected[row]
        assert (plain.outcome[i], found[i].outcome, found[i].statement) == (int(wanted), wanted, statement), kinds[row]


@pytest.mark.parametrize("form", ["coded", "plain"])
@pytest.mark.parametrize("depth", [7, 8])
def test_index_more_hashes_than_queue_holds_decides_equally(depth: int, form: str) -> None:
    """Every row matches the same number of prefixes, and under each of these the text of its tenant."""
    rng = random.Random(depth)
    prefixes = ["arn:aws:s3:::data/" + "".join(f"p{k}/" for k in range(n + 1)) for n in range(depth)]
    statements: list[dict[str, Any]] = []
    for prefix in prefixes:
        for tenant in TENANTS:
            condition: dict[str, dict[str, Any]] = {
                "StringEquals": {"app:tenant": tenant},
                "Bool": {"aws:SecureTransport": "true"},
            }
            effect = "Deny" if rng.random() < 0.05 else "Allow"
            statements.append({"Effect": effect, "Action": "s3:*", "Resource": f"{prefix}*", "Condition": condition})
    denied = {one["Condition"]["StringEquals"]["app:tenant"] for one in statements if one["Effect"] == "Deny"}
    rng.shuffle(statements)
    directory = fastiam.Directory(quotas=None)
    directory.add_principal(ROLE, identity_policies=[policy(statements)])
    tenants, transports = rng.choices(TENANTS, k=1_500), rng.choices(("true", "false"), weights=(1, 3), k=1_500)
    made = {"app:tenant": pa.array(tenants), "aws:SecureTransport": pa.array(transports)}
    if form == "coded":
        made = {key: column.dictionary_encode() for key, column in made.items()}
    engine = directory.compile()
    for _ in range(3):
        found = engine.decide_many(ROLE, "s3:GetObject", f"{prefixes[-1]}x", made).outcome.tolist()
    insecure, secure = Outcome.IMPLICIT_DENY, {True: Outcome.EXPLICIT_DENY, False: Outcome.ALLOW}
    assert found == [
        secure[one in denied] if answer == "true" else insecure for one, answer in zip(tenants, transports, strict=True)
    ]
    assert 0 < len(denied) < len(TENANTS)


@pytest.mark.parametrize("size", [1, 7, 8, 9, 62, 63, 64, 65, 127, 128, 129])
def test_index_finds_term_at_every_end_offset(size: int) -> None:
    """The last word of a field is bounded by its end, whatever the size of the field, and a field may have no word at all."""
    directory = fastiam.Directory(quotas=None)
    patterns = [f"*-{i}" for i in range(30)] + [f"*-{i}-*" for i in range(100, 300)]
    statements = [
        {"Effect": "Allow", "Action": "s3:*", "Resource": f"arn:aws:s3:::{one}{end}"} for one in patterns for end in ("", "/*")
    ]
    directory.add_principal(ROLE, identity_policies=[policy(statements)])
    texts = [f"arn:aws:s3:::{'w' * max(0, size - 1 - len(str(i)))}{joint}{i}" for i in range(32) for joint in "-w"]
    texts += [one + "/x" for one in texts] + ["arn:aws:s3:::" + "-" * size]
    off, on = (fastiam.Engine.from_snapshot(directory.snapshot(), index_from=n) for n in (10**9, 8))
    expected = off.decide_many(ROLE, "s3:GetObject", texts).outcome.tolist()
    for _ in range(2):  # the first time, rows are made and decided one by one
        assert on.decide_many(ROLE, "s3:GetObject", texts).outcome.tolist() == expected
    assert [int(on.decide(ROLE, "s3:GetObject", text).outcome) for text in texts] == expected
    assert set(expected) == {Outcome.ALLOW, Outcome.IMPLICIT_DENY}


def denied(patterns: list[str], texts: list[str]) -> None:
    """Each of some resources is denied by one of many patterns."""
    directory = fastiam.Directory(quotas=None)
    statements = [{"Effect": "Deny", "Action": "s3:*", "Resource": f"arn:aws:s3:::{one}"} for one in patterns]
    directory.add_principal(ROLE, identity_policies=[EVERYTHING, policy(statements)])
    engine, asked = directory.compile(), [f"arn:aws:s3:::{text}" for text in texts]
    assert [int(engine.decide(ROLE, "s3:GetObject", text).outcome) for text in asked] == [2] * len(asked)
    assert engine.decide_many(ROLE, "s3:GetObject", asked).outcome.tolist() == [2] * len(asked)


@pytest.mark.parametrize("n", [8, 12, 40, 70])
def test_index_with_nearly_all_candidates_tries_last_statement(n: int) -> None:
    """Ten may be put aside. With more, a short run is evaluated in full, and a long one takes the path of single calls."""
    directory = fastiam.Directory(quotas=None)
    statements = [
        {"Effect": "Deny", "Action": "s3:*", "Resource": "arn:aws:s3:::a/*", "Condition": {"StringLike": {"app:of": f"*-{i}-*"}}}
        for i in range(n)
    ]
    directory.add_principal(ROLE, identity_policies=[EVERYTHING, policy(statements)])
    engine = directory.compile()
    asked = [f"x-{i}-y" for i in range(n + 1)] * 3
    found = engine.decide_many(ROLE, "s3:GetObject", "arn:aws:s3:::a/k", {"app:of": asked}, reasons=True)
    assert found.outcome.tolist() == [Outcome.EXPLICIT_DENY if one != f"x-{n}-y" else Outcome.ALLOW for one in asked]
    denied_by = {(one, statement) for one, statement in zip(asked, found.statement, strict=True) if one != f"x-{n}-y"}
    assert denied_by == {(f"x-{i}-y", f"#{i}") for i in range(n)}


def test_index_finds_paths_next_to_longer_prefixes() -> None:
    """Of which a request is hashed before."""
    paths = [f"common-bucket-name/folder-{'x' * i}{i:02}/" for i in range(14)]
    prefixes = [f"{i:02}{'p' * 48}-q" for i in range(16)]
    denied([f"{one}*" for one in paths + prefixes], [f"{one}key-of-some-length" for one in paths + prefixes])


@pytest.mark.parametrize(("word", "gram"), [("dxooay", "aglj"), ("pazije", "rzzo"), ("spxwpv", "thrx")])
def test_index_terms_with_equal_hash_are_all_found(word: str, gram: str) -> None:
    """These have, as they are hashed today: a whole word, and four bytes anywhere."""
    patterns = [f"*-{word}-*", *(f"*{gram}{letter}*" for letter in "abcdefgh"), *(f"{i:02}q-*" for i in range(12))]
    denied(patterns, [f"x-{word}-y", *(f"x{gram}{letter}y" for letter in "abcdefgh"), "03q-x"])


def test_index_threshold_accepts_any_number() -> None:
    directory = fastiam.Directory(quotas=None)
    directory.add_principal(
        ROLE, identity_policies=[policy([{"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::a/*"}])]
    )
    engine = fastiam.Engine.from_snapshot(directory.snapshot(), index_from=0)
    assert engine.decide_many(ROLE, "s3:GetObject", ["arn:aws:s3:::a/x", "arn:aws:s3:::b/x"]).outcome.tolist() == [1, 0]


def test_finalizer_deciding_during_plan_build_gets_correct_plan() -> None:
    """The collector may run whenever Python allocates, also in the midst of a row."""
    names = [f"arn:aws:iam::{ACCOUNT}:user/u{i}" for i in range(3)]
    directory = fastiam.Directory(quotas=None)
    for i, name in enumerate(names):
        denied = {"Effect": "Deny", "Action": "s3:*", "Resource": [f"arn:aws:s3:::*b{i}-{j}x*" for j in range(20)]}
        directory.add_principal(name, identity_policies=[policy([denied, {"Effect": "Allow", "Action": "*", "Resource": "*"}])])
    snapshot = directory.snapshot()
    asked: list[Callable[[], object]] = []

    class Garbage:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            while asked:
                asked.pop()()

    thresholds = gc.get_threshold()
    gc.freeze()  # what other tests left need not be looked through forty times
    try:
        for late in range(40):
            gc.disable()
            engine = fastiam.Engine.from_snapshot(snapshot)
            engine.decide(names[0], "s3:PutObject", "arn:aws:s3:::b0-3xk")
            gc.collect()
            Garbage()
            asked.append(lambda engine=engine: engine.decide(names[2], "s3:GetObject", "arn:aws:s3:::b2-3xk"))
            gc.set_threshold(gc.get_count()[0] + late, 10**6, 10**6)
            gc.enable()
            found = [engine.decide(names[1], "s3:GetObject", f"arn:aws:s3:::b1-{j}xk").outcome for j in range(20)]
            assert found == [Outcome.EXPLICIT_DENY] * 20, late
    finally:
        gc.set_threshold(*thresholds)
        gc.enable()
        asked.clear()


def test_star_stands_for_the_first_letters_of_a_word() -> None:
    """R3: what follows a star may be the rest of a word, by which no statement is found."""
    statements = [{"Effect": "Allow", "Action": "s3:*", "Resource": f"arn:aws:s3:::*k{i}/*"} for i in range(1000, 1040)]
    directory = fastiam.Directory(quotas=None)
    directory.add_principal(ROLE, identity_policies=[policy(statements)])
    engine = directory.compile()
    texts = [f"arn:aws:s3:::b{start}k{i}/x" for start in ("", "zz", "z-", "z/") for i in range(990, 1050)]
    expected = [1000 <= int(text.rpartition("k")[2][:-2]) < 1040 for text in texts]
    for _ in range(3):
        assert engine.decide_many(ROLE, "s3:GetObject", texts * 4).allowed.tolist() == expected * 4
    assert [engine.is_allowed(ROLE, "s3:GetObject", text) for text in texts] == expected
