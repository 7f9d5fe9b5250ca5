"""`Engine` one request at a time: the three questions, what they take, and what they raise.

`is_allowed`, `decide` and `explain` are one answer in three lengths (spec 0.2, 6.9). Random worlds ask all of them, and
batches, and the reference over the same profiles.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from functools import partial

import numpy as np
import pyarrow as pa
import pytest
from differential import World
from engine_requests import ANA, APP, DENY, NO, OK, RUN, A, B, allow, document, session
from hypothesis import given, settings
from policy_generators import directories

import fastiam
from fastiam import Layer, Outcome, Session
from fastiam.errors import DirectoryError, PolicyError, RequestValueError

OBJECT, QUEUE = "arn:aws:s3:::bucket/key", f"arn:aws:sqs:eu-west-1:{A}:q"
NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)


WORK = document(
    {"Sid": "Read", **allow("s3:Get*")},
    {"Sid": "NoSecrets", "Effect": "Deny", "Action": "s3:GetSecret*", "Resource": "*"},
    {"Sid": "Fresh", **allow("sqs:*", StringEquals={"app:stage": "live"})},
)


@pytest.fixture(scope="module")
def directory():
    directory = fastiam.Directory()
    directory.add_principal(ANA, identity_policies=[("Work", WORK)], tags={"team": "red"})
    directory.add_principal(APP, identity_policies=[("Work", WORK)])
    directory.add_resource("arn:aws:s3:::bucket", account=A)
    directory.add_resource("arn:aws:s3:::theirs", account=B)
    directory.add_resource(QUEUE)
    return directory


@pytest.fixture(scope="module")
def engine(directory):
    return directory.compile()


# -- the three questions -----------------------------------------------------------------------------------------------

ANSWERS = [
    ((ANA, "s3:GetObject", OBJECT), OK, "Read"),
    ((ANA, "S3:GETOBJECT", OBJECT), OK, "Read"),  # A4
    ((RUN, "s3:GetObject", OBJECT), OK, "Read"),  # N5
    ((ANA, "s3:GetSecretObject", OBJECT), DENY, "NoSecrets"),
    ((ANA, "s3:PutObject", OBJECT), NO, None),
    ((ANA, "s3:GetObject", "arn:aws:s3:::theirs/key"), NO, None),  # cross account: nothing there allows
    ((ANA, "s3:GetObject", "*"), OK, "Read"),
    (("*", "s3:GetObject", OBJECT), NO, None),
    (("ec2.amazonaws.com", "s3:GetObject", OBJECT), NO, None),
    ((f"arn:aws:iam::{A}:root", "s3:PutObject", OBJECT), OK, None),
    ((ANA, "sqs:SendMessage", QUEUE), NO, None),
    ((ANA, "sqs:SendMessage", QUEUE, {"app:stage": "live"}), OK, "Fresh"),
    ((ANA, "sqs:SendMessage", QUEUE, {"APP:Stage": "live"}), OK, "Fresh"),  # C6
]


@pytest.mark.parametrize(
    ("request_", "outcome", "sid"), ANSWERS, ids=lambda value: "" if isinstance(value, tuple) else str(value)
)
def test_decide_batch_and_explain_agree(engine, request_, outcome, sid):
    decision = engine.decide(*request_, now=NOW)
    assert decision.outcome is outcome
    assert (decision.statement.sid if decision.statement else None) == sid
    assert decision.allowed is (outcome is OK)
    assert engine.is_allowed(*request_, now=NOW) is decision.allowed
    explanation = engine.explain(*request_, now=NOW)
    assert explanation.decision == decision
    assert [denied.ref.sid for denied in explanation.denies] == (["NoSecrets"] if outcome is DENY else [])


def test_a_decision_names_layer_policy_and_statement(engine):
    ref = engine.decide(ANA, "s3:GetSecretObject", OBJECT).statement
    assert (ref.layer, ref.level, ref.policy, ref.index, ref.sid) == (Layer.IDENTITY, 0, "Work", 1, "NoSecrets")


def test_decision_as_truth_value_raises(engine):
    with pytest.raises(TypeError, match="ask `decision.allowed`"):
        bool(engine.decide(ANA, "s3:GetObject", OBJECT))


def test_explanation_lists_near_misses(engine):
    explanation = engine.explain(ANA, "sqs:SendMessage", QUEUE, {"app:stage": "test"}, now=NOW)
    miss = next(miss for miss in explanation.near_misses if miss.ref.sid == "Fresh")
    assert (miss.key, miss.operator, miss.expected, miss.actual) == ("app:stage", "StringEquals", ("live",), ("test",))


# -- context -----------------------------------------------------------------------------------------------------------

VALUES = {
    "text": ("StringEquals", "v", "v", "w"),
    "bool": ("Bool", "true", True, False),
    "int": ("NumericLessThan", "10", 9, 10),
    "float": ("NumericEquals", "0.1", 0.1, 0.2),
    "decimal": ("NumericEquals", "1.50", Decimal("1.5"), Decimal("1.51")),
    "date": ("DateLessThan", "2030-01-01T00:00:00Z", NOW - timedelta(days=1), NOW),
    "date of a zone": (
        "DateEquals",
        "2030-01-01T12:00:00Z",
        NOW.astimezone(timezone(timedelta(hours=5))),
        NOW + timedelta(seconds=1),
    ),
    "bytes": ("BinaryEquals", "QUJD", b"ABC", b"ABD"),
    "address": ("IpAddress", "10.0.0.0/8", "10.1.2.3", "11.0.0.0"),
    "arn": ("ArnLike", "arn:aws:sns:*:*:t*", f"arn:aws:sns:eu-west-1:{A}:topic", f"arn:aws:sqs:eu-west-1:{A}:topic"),
    "list": ("ForAnyValue:StringEquals", "v", ["u", "v"], ["u"]),
    "tuple": ("ForAllValues:StringEquals", "v", ("v", "v"), ("v", "u")),
    "absence by None": ("Null", "true", None, "v"),
    "absence by an empty list": ("Null", "true", [], ["v"]),
}


@pytest.mark.parametrize(("operator", "text", "holds", "fails"), VALUES.values(), ids=VALUES)
def test_context_values_of_every_type(operator, text, holds, fails):
    """C24: a value is compared as its canonical text, whatever its type was."""
    directory = fastiam.Directory()
    directory.add_principal(ANA, identity_policies=[document(allow("*", **{operator: {"app:k": text}}))])
    engine = directory.compile()
    for value, outcome in ((holds, OK), (fails, NO)):
        decision = engine.decide(ANA, "s3:GetObject", "*", {"app:k": value}, now=NOW)
        assert decision.outcome is outcome
        assert engine.explain(ANA, "s3:GetObject", "*", {"app:k": value}, now=NOW).decision == decision
        column = [value, value] if not isinstance(value, (list, tuple)) else [list(value)] * 2
        assert engine.decide_many([ANA] * 2, "s3:GetObject", "*", {"app:k": column}, now=NOW).outcome.tolist() == [outcome] * 2


KEPT = [
    "aws:PrincipalArn",
    "aws:PrincipalAccount",
    "aws:PrincipalTag/team",
    "aws:ResourceAccount",
    "aws:CurrentTime",
    "aws:SecureTransport",
]


@pytest.mark.parametrize("key", KEPT)
def test_null_for_a_derived_key_keeps_the_derived_value(key):
    """K1, K2: None says that the caller gives nothing, and does not take a derived value away."""
    directory = fastiam.Directory()
    directory.add_principal(ANA, tags={"team": "red"}, identity_policies=[document(allow("*", Null={key: "false"}))])
    directory.add_resource("arn:aws:s3:::bucket", account=A)
    engine = directory.compile()
    for nothing in (None, []):
        request_ = (ANA, "s3:GetObject", OBJECT, {key: nothing})
        assert engine.is_allowed(*request_) and engine.decide(*request_).allowed and engine.are_allowed([request_]) == [True]
        assert engine.explain(*request_).decision.allowed
        assert [caller.principal for caller in engine.who_can(*request_[1:], unknown=())][1:] == [ANA]
    for column in ([None, None], pa.nulls(2), pa.array([[], None], pa.list_(pa.null()))):
        assert engine.decide_many(ANA, "s3:GetObject", OBJECT, {key: column}).allowed.all()


def test_numpy_float64_is_read_as_a_number():
    directory = fastiam.Directory()
    directory.add_principal(
        ANA, identity_policies=[document(allow("*"), allow("*", NumericGreaterThan={"app:size": "5"}) | {"Effect": "Deny"})]
    )
    engine = directory.compile()
    for size, outcome in ((4.5, OK), (1e22, DENY)):
        request_ = (ANA, "s3:GetObject", OBJECT, {"app:size": np.float64(size)})
        assert engine.decide(*request_).outcome is outcome
        assert engine.explain(*request_).decision.outcome is outcome


def test_key_in_two_spellings_with_two_values_is_undetermined():
    """C6: an Allow does not apply, a Deny does."""
    directory = fastiam.Directory()
    denies = {**allow("s3:*", StringEquals={"app:k": "zzz"}), "Effect": "Deny"}
    directory.add_principal(ANA, identity_policies=[document(allow("s3:*"), denies, allow("sqs:*", StringEquals={"app:k": "a"}))])
    engine = directory.compile()
    for action, outcome in (("s3:GetObject", DENY), ("sqs:SendMessage", NO)):
        decision = engine.decide(ANA, action, "*", {"app:k": "a", "App:K": "b"})
        assert decision.outcome is outcome and decision.indeterminate
        assert engine.explain(ANA, action, "*", {"app:k": "a", "App:K": "b"}).decision == decision
    assert engine.decide(ANA, "sqs:SendMessage", "*", {"app:k": "a", "App:K": "a"}).outcome is OK


def test_context_defaults_supply_missing_keys(directory):
    engine = directory.compile(context_defaults={"App:Stage": "live"})
    assert engine.is_allowed(ANA, "sqs:SendMessage", QUEUE)
    assert not engine.is_allowed(ANA, "sqs:SendMessage", QUEUE, {"app:STAGE": "test"})
    assert engine.explain(ANA, "sqs:SendMessage", QUEUE).decision == engine.decide(ANA, "sqs:SendMessage", QUEUE)
    batch = engine.decide_many([ANA] * 2, "sqs:SendMessage", QUEUE, {"app:stage": ["test", "live"]})
    assert batch.outcome.tolist() == [NO, OK]
    assert engine.decide_many([ANA] * 2, "sqs:SendMessage", QUEUE).outcome.tolist() == [OK, OK]
    with pytest.raises(RequestValueError, match="`object` is not a type of context value"):
        directory.compile(context_defaults={"app:stage": object()})


@pytest.mark.parametrize("key", ["aws:CalledVia", "app:list"])
@pytest.mark.parametrize("rows", [1, 2, 3, 600])
def test_list_default_applies_to_each_row(key, rows):
    """C5, K1: not a column; empty it is as absent (C4)."""
    directory = fastiam.Directory(quotas=None)
    via = {**allow("s3:*", **{"ForAnyValue:StringEquals": {key: "b.amazonaws.com"}}), "Effect": "Deny"}
    directory.add_principal(ANA, identity_policies=[document(allow("s3:*"), via)])
    for default, outcome in (
        (["a.amazonaws.com", "b.amazonaws.com"], DENY),
        (["b.amazonaws.com"], DENY),
        (["a.amazonaws.com"], OK),
        ([], OK),
    ):
        engine = directory.compile(context_defaults={key: default})
        assert engine.decide(ANA, "s3:GetObject", OBJECT).outcome is outcome
        assert engine.explain(ANA, "s3:GetObject", OBJECT).decision.outcome is outcome
        for _ in range(3):
            assert engine.decide_many([ANA] * rows, "s3:GetObject", OBJECT).outcome.tolist() == [outcome] * rows
        assert engine.decide_many(ANA, "s3:GetObject", OBJECT).outcome.tolist() == [outcome]
        given = {key: [None, ["c.amazonaws.com"]]}
        assert engine.decide_many([ANA] * 2, "s3:GetObject", OBJECT, given).outcome.tolist() == [OK, OK]


def test_defaults_in_two_spellings_that_differ_are_refused(directory):
    """C6: columns of a batch cannot express that."""
    with pytest.raises(RequestValueError, match="is given in two spellings") as caught:
        directory.compile(context_defaults={"app:K": "a", "APP:k": "b"})
    assert caught.value.column == "context_defaults" and caught.value.hint
    engine = directory.compile(context_defaults={"app:stage": "live", "APP:stage": "live"})
    assert engine.decide_many([ANA] * 2, "sqs:SendMessage", QUEUE).outcome.tolist() == [OK, OK]


@pytest.mark.parametrize("context", [{"aws:PrincipalTag/team": "blue"}, {"aws:PrincipalTag/none": "x"}, {"aws:username": "bo"}])
def test_context_contradicting_the_directory_is_refused(engine, context):
    """K1: also a tag that no policy reads and the principal is known not to have."""
    (key,) = context
    for ask in (engine.decide, engine.is_allowed, engine.explain):
        with pytest.raises(RequestValueError, match="known") as caught:
            ask(ANA, "s3:GetObject", OBJECT, context)
        assert caught.value.column == key and caught.value.hint
    with pytest.raises(RequestValueError) as caught:
        engine.decide_many([ANA, ANA], "s3:GetObject", OBJECT, {key: [None, context[key]]})
    assert (caught.value.row, caught.value.column) == (1, key)
    assert engine.decide(ANA, "s3:GetObject", OBJECT, {"aws:PrincipalTag/team": "red", "aws:username": "ana"}).allowed


def test_several_values_of_a_single_valued_key_are_refused(engine):
    """C5."""
    for ask in (engine.decide, engine.explain):
        with pytest.raises(RequestValueError, match="`aws:UserAgent` takes one value, not 2"):
            ask(ANA, "s3:GetObject", OBJECT, {"aws:UserAgent": ["a", "b"]})
    assert engine.decide(ANA, "s3:GetObject", OBJECT, {"aws:UserAgent": ["a"]}).allowed


# -- now ---------------------------------------------------------------------------------------------------------------


def test_now_defaults_to_the_clock(engine):
    """K5: cut to the second; a zone is needed."""
    directory = fastiam.Directory()
    until = allow("*", DateLessThan={"aws:CurrentTime": "2030-01-01T00:00:00Z"})
    directory.add_principal(ANA, identity_policies=[document(until)])
    engine = directory.compile()
    edge = datetime(2030, 1, 1, tzinfo=UTC)
    for now, outcome in ((edge - timedelta(microseconds=1), OK), (edge, NO), (edge + timedelta(days=1), NO)):
        assert engine.decide(ANA, "s3:GetObject", "*", now=now).outcome is outcome
        assert engine.explain(ANA, "s3:GetObject", "*", now=now).decision.outcome is outcome
        assert engine.decide_many([ANA], "s3:GetObject", "*", now=now).outcome.tolist() == [outcome]
    today = NO if datetime.now(UTC) >= edge else OK
    assert engine.decide(ANA, "s3:GetObject", "*").outcome is today
    assert engine.decide_many([ANA], "s3:GetObject", "*").outcome.tolist() == [today]
    for bad in (datetime(2030, 1, 1), "2030"):
        with pytest.raises(RequestValueError) as caught:
            engine.is_allowed(ANA, "s3:GetObject", "*", now=bad)
        assert caught.value.column == "now"


# -- owners ------------------------------------------------------------------------------------------------------------


def test_resource_owner_determines_cross_account_rules(engine):
    """D23: from the record, the ARN or the argument, or assumed."""
    unknown = "arn:aws:s3:::elsewhere/key"
    assumed = engine.decide(ANA, "s3:GetObject", unknown)
    assert assumed.allowed and assumed.assumed_owner
    given = engine.decide(ANA, "s3:GetObject", unknown, resource_account=A)
    assert given.allowed and not given.assumed_owner
    other = engine.decide(ANA, "s3:GetObject", unknown, resource_account=B)
    assert other.outcome is NO and other.layer == "resource" and not other.assumed_owner
    assert not engine.decide(ANA, "s3:GetObject", OBJECT).assumed_owner
    batch = engine.decide_many(ANA, "s3:GetObject", unknown, resource_accounts=[None, A, B])
    assert batch.outcome.tolist() == [OK, OK, NO]
    assert [row.assumed_owner for row in batch] == [True, False, False]
    assert batch.summary().assumed_owner == 1


@pytest.mark.parametrize("account", ["12", "", "11111111111a", B])
def test_a_wrong_owner_is_refused(engine, account):
    """D23: no account id, or one that contradicts the record of the bucket."""
    for ask in (engine.decide, engine.is_allowed, engine.explain):
        with pytest.raises(RequestValueError) as caught:
            ask(ANA, "s3:GetObject", OBJECT, resource_account=account)
        assert caught.value.column == "resource_account"
    assert engine.decide_many(ANA, "s3:GetObject", OBJECT, resource_accounts=[A, account], on_error="deny").outcome.tolist() == [
        OK,
        Outcome.ERROR,
    ]


def test_unknown_owners_can_be_denied(directory):
    """D23."""
    engine = directory.compile(unknown_owner="deny")
    decision = engine.decide(ANA, "s3:GetObject", "arn:aws:s3:::elsewhere/key")
    assert (decision.outcome, decision.reason) == (NO, "unknown_owner")
    assert engine.explain(ANA, "s3:GetObject", "arn:aws:s3:::elsewhere/key").decision == decision
    assert engine.decide(ANA, "s3:GetObject", OBJECT).allowed
    assert engine.decide(ANA, "s3:GetObject", "arn:aws:s3:::elsewhere/key", resource_account=A).allowed
    with pytest.raises(RequestValueError, match="unknown value `ask` - at `unknown_owner`\nhelp: use `principal` or `deny`"):
        directory.compile(unknown_owner="ask")


# -- sessions ----------------------------------------------------------------------------------------------------------


def test_a_session_is_narrowed_by_its_policies(engine):
    """D6, D20: identity and session policies both have to allow."""
    plain, narrow = session(), session(policies=[document(allow("s3:GetObject", "arn:aws:s3:::bucket/own/*"))])
    assert engine.is_allowed(plain, "s3:GetObject", OBJECT)
    assert not engine.is_allowed(narrow, "s3:GetObject", OBJECT)
    assert engine.is_allowed(narrow, "s3:GetObject", "arn:aws:s3:::bucket/own/key")
    assert engine.decide(narrow, "s3:GetObject", OBJECT).layer == "session"
    assert not engine.is_allowed(session(policies=[]), "s3:GetObject", OBJECT)
    assert engine.is_allowed(RUN, "s3:GetObject", OBJECT)  # no session has left anything under its ARN


def test_tags_and_keys_of_a_session_are_read(engine):
    """S22 and class S of 5.3."""
    directory = fastiam.Directory()
    directory.add_principal(
        APP, identity_policies=[document(allow("s3:*", "arn:aws:s3:::${aws:PrincipalTag/team}/*"))], tags={"team": "red"}
    )
    engine = directory.compile()
    for tags, team, outcome in (({}, "red", OK), ({"team": "blue"}, "red", NO), ({"Team": "blue"}, "blue", OK)):
        decision = engine.decide(session(tags=tags), "s3:GetObject", f"arn:aws:s3:::{team}/key")
        assert decision.outcome is outcome
        assert engine.explain(session(tags=tags), "s3:GetObject", f"arn:aws:s3:::{team}/key").decision == decision


def test_broken_sessions_are_refused(engine):
    with pytest.raises(PolicyError, match="session"):
        engine.decide(session(policies=["{"]), "s3:GetObject", OBJECT)
    with pytest.raises(RequestValueError, match="a principal is text or a Session, not `int`"):
        engine.decide(5, "s3:GetObject", OBJECT)
    named = {"good": session(), "bad": session(policies=["{"])}
    batch = engine.decide_many(["good", "bad"], "s3:GetObject", OBJECT, sessions=named, on_error="deny")
    assert batch.outcome.tolist() == [OK, Outcome.ERROR] and isinstance(batch.errors[1], PolicyError)
    with pytest.raises(PolicyError):
        engine.decide_many(["good", "bad"], "s3:GetObject", OBJECT, sessions=named)


class Liar(str):
    """A text whose methods say something else."""

    def lower(self):
        return "evil"

    def startswith(self, *_):
        return False

    def encode(self, *_):
        return b"evil"

    __str__ = __repr__ = lambda self: "evil"


@pytest.mark.parametrize("kind", [np.str_, Liar])
def test_str_subclass_is_read_as_its_text(engine, kind):
    """Iteration over a NumPy array returns `numpy.str_`; overridden methods of a subclass are not called."""
    request, context = (ANA, "sqs:SendMessage", QUEUE), {"app:stage": "live", "aws:SourceIp": "10.0.0.1"}
    asked, given = [kind(text) for text in request], {kind(key): kind(value) for key, value in context.items()}
    expected = engine.decide(*request, context)
    assert expected.allowed
    for ask in (engine.decide, lambda *one: engine.explain(*one).decision, lambda *one: engine.decide_each([one])[0]):
        assert ask(*asked, given) == expected
    assert engine.is_allowed(*asked, given, resource_account=kind(A))
    columns = {key: [value] * 2 for key, value in given.items()}
    assert engine.decide_many(*([text] * 2 for text in asked), columns).allowed.all()
    named = {kind("who"): session()}
    assert engine.decide_many([kind("who")], "s3:GetObject", OBJECT, sessions=named).allowed.all()
    with pytest.raises(RequestValueError, match="contradicts"):
        engine.decide(*asked, {kind("aws:PrincipalTag/team"): kind("blue")})


# -- the engine as an object -------------------------------------------------------------------------------------------


def test_an_engine_does_not_see_later_writes():
    directory = fastiam.Directory()
    directory.add_principal(ANA, identity_policies=[])
    before = directory.compile()
    directory.put_inline_policy(ANA, "New", document(allow("s3:*")))
    assert not before.is_allowed(ANA, "s3:GetObject", "*")
    assert not before.explain(ANA, "s3:GetObject", "*").decision.allowed
    assert directory.compile().is_allowed(ANA, "s3:GetObject", "*")
    with pytest.raises(DirectoryError):
        directory.add_principal(ANA)


def test_stats_count_what_is_compiled_and_what_is_cached(directory):
    engine = directory.compile()
    before = engine.stats()
    assert before["bytes"] == before["compiled_bytes"] > 0 and before["cache_limit"] == 1 << 30 and before["generation"] == 0
    assert before["principals"] == 4  # the roots of both accounts are two
    assert before["statements"] == 6 and before["bodies"] == 3  # equal statements are one
    for i in range(50):
        engine.is_allowed(f"arn:aws:sts::{A}:assumed-role/app/s{i}", f"s3:Get{i}", OBJECT)
    after = engine.stats()
    assert after["bytes"] > before["bytes"] and after["compiled_bytes"] == before["compiled_bytes"]
    assert after["principals"] == 54 and after["action_names"] - before["action_names"] == 50
    assert after["action_classes"] - before["action_classes"] <= 1  # fifty names, matched by the same patterns


def test_an_empty_directory_decides():
    engine = fastiam.Directory().compile()
    assert engine.decide(ANA, "s3:GetObject", OBJECT).reason == "unknown_principal"
    assert len(engine.decide_many([], [], [])) == 0


# -- random worlds -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@settings(max_examples=25)
@given(directories(rows=20))
def test_single_row_equals_batch_row_and_reference(case):
    """One engine, three calls; the first of them builds the plans that the others use."""
    try:
        world = World(case)
    except (PolicyError, DirectoryError):
        return  # the generator wrote what a strict directory does not take
    engine = world.compile()
    batch = world.batch(engine, "numpy")
    alone = [world.single(engine, row) for row in world.rows]
    for row, one, two in zip(world.rows, alone, batch, strict=True):
        literal = world.reference(row)
        assert (one.error is None) == (two.error is None) == (literal.error is None), row
        if one.error is None:
            fields = ("outcome", "layer", "statement", "reason", "assumed_owner", "depends_on")
            assert [getattr(one.decision, name) for name in fields] == [getattr(two.decision, name) for name in fields], row
            assert one.decision == literal.decision, row
            request = (world.subject(row), row["action"], row["resource"], world.context(row))
            asked = {"unknown": world.unknown, "resource_account": row.get("resource_account"), "now": world.now}
            assert engine.is_allowed(*request, **asked) is one.decision.allowed
            assert engine.explain(*request, **asked).decision == one.decision


@pytest.mark.parametrize("make", [fastiam.Engine, partial(fastiam.Engine.__new__, fastiam.Engine)], ids=["called", "new"])
@pytest.mark.parametrize(("arguments", "keywords"), [((), {}), (({},), {}), ((1, 2), {}), ((), {"snapshot": None})], ids=str)
def test_engine_constructor_raises(make, arguments, keywords):
    with pytest.raises(TypeError, match=r"comes out of `Directory.compile\(\)` or `Engine.load\(path\)`"):
        make(*arguments, **keywords)


@pytest.mark.parametrize("default", [{"app:x": "red"}, {"aws:ResourceTag/team": "blue"}], ids=str)
def test_default_contradicting_known_values_is_refused(default):
    """K1: as if the request gave it, in each call; a null in the request means that the key is absent, without default."""
    role, queue = f"arn:aws:iam::{A}:role/r", f"arn:aws:sqs:eu-west-1:{A}:q"
    directory = fastiam.Directory(quotas=None)
    needed = {"app:x": "blue", "aws:ResourceTag/team": "red"}
    directory.add_principal(role, identity_policies=[document(allow("sqs:*", StringEquals=needed))])
    directory.add_resource(queue, account=A, tags={"team": "red"})
    session = Session(f"arn:aws:sts::{A}:assumed-role/r/s", kind="ROLE", issuer=role, context={"app:x": "blue"})
    engine = directory.compile(context_defaults=default)
    for ask in (engine.decide, engine.is_allowed, engine.explain):
        with pytest.raises(RequestValueError, match="contradicts the known value"):
            ask(session, "sqs:SendMessage", queue)
    assert engine.is_allowed(session, "sqs:SendMessage", queue, dict.fromkeys(default))
    found = engine.decide_many([session.arn], "sqs:SendMessage", queue, sessions={session.arn: session}, on_error="deny")
    assert found.outcome[0] == Outcome.ERROR and "contradicts" in str(found.errors[0])
