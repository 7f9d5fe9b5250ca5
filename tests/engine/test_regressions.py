"""Ten kinds of extreme input: each ends in the decision of the reference, or in an error with place and hint.

The documented limits: a 10 MB policy, 100,000 statements, 2,000 stars against 64 KB. "Accepted" means that both
engines of `simulate`, `Engine.decide`, a batch and `Engine.explain` agree.
"""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from specification import explained_decision

import fastiam
from fastiam import Outcome
from fastiam.errors import LimitError, PolicyError, RequestValueError, ShapeError

ACCOUNT = "111111111111"
ANA = f"arn:aws:iam::{ACCOUNT}:user/ana"
NOW = datetime(2030, 1, 1, tzinfo=UTC)
BUCKET = "arn:aws:s3:::b"
SURROGATE, NUL = "\ud800", "\0"
OK, NO, DENY = Outcome.ALLOW, Outcome.IMPLICIT_DENY, Outcome.EXPLICIT_DENY


def allow(action="s3:*", resource="*", **more):
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def policy(*statements):
    return {"Version": "2012-10-17", "Statement": list(statements)}


def engine_of(document, mode="strict"):
    directory = fastiam.Directory(mode=mode, quotas=None)
    directory.add_principal(ANA, identity_policies=[("p", document)])
    return directory.compile()


def answers(engine, principal, action, resources, context=None):
    """Return the outcome for each resource. Single calls, a batch and the reference must agree."""
    rows = [principal] * len(resources), [action] * len(resources), resources
    batch = engine.decide_many(*rows, context, now=NOW, reasons=True)
    outcomes = []
    for resource, row in zip(resources, batch, strict=True):
        one = engine.decide(principal, action, resource, context, now=NOW)
        literal = explained_decision(engine, principal, action, resource, context, now=NOW)
        assert one == literal
        assert (row.outcome, row.layer, row.statement, row.reason) == (one.outcome, one.layer, one.statement, one.reason)
        assert engine.is_allowed(principal, action, resource, context, now=NOW) is one.allowed
        outcomes.append((one.outcome, one.statement.index if one.statement else None))
    return outcomes


def simulated(document, action="s3:GetObject", resource="*", context=None):
    """Return the outcome of `simulate`, which must be equal for both engines."""
    decisions = [
        fastiam.simulate(ANA, action, resource, context=context or {}, now=NOW, identity_policies=[document], engine=engine)
        for engine in ("compiled", "reference")
    ]
    assert decisions[0] == decisions[1]
    return decisions[0].outcome


# -- 1, 2: size --------------------------------------------------------------------------------------------------------


def test_a_policy_of_ten_megabytes_decides_as_the_reference():
    long = f"{BUCKET}/{'x' * 980}"
    text = json.dumps(policy(*(allow("s3:GetObject", f"{long}/{i}") for i in range(9_500))))
    assert len(text) > 10_000_000
    assert answers(engine_of(text), ANA, "s3:GetObject", [f"{long}/777", f"{long}/10000"]) == [(OK, 777), (NO, None)]
    assert simulated(text, resource=f"{long}/9499") is OK


@pytest.mark.slow
def test_a_hundred_thousand_statements_decide_as_the_reference():
    statements = [allow("s3:GetObject", f"{BUCKET}/{i}/*") for i in range(99_999)]
    statements.append({"Effect": "Deny", "Action": "*", "Resource": f"{BUCKET}/7/x"})
    engine = engine_of(policy(*statements))
    assert answers(engine, ANA, "s3:GetObject", [f"{BUCKET}/7/x"]) == [(DENY, 99_999)]
    assert engine.decide(ANA, "s3:GetObject", f"{BUCKET}/99998/x").statement.index == 99_998
    began = time.perf_counter()
    many = engine.decide_many(ANA, "s3:GetObject", [f"{BUCKET}/{i * 7}/x" for i in range(20_000)], now=NOW)
    assert time.perf_counter() - began < 5  # an index finds the statement: no row scans them all
    assert many.summary().outcomes == {OK: 14_285, NO: 5_714, DENY: 1}


# -- 3: wildcards ------------------------------------------------------------------------------------------------------

STARS = {
    "never exponential": ("a*" * 2000 + "b", "a" * 65_536, NO),
    "one letter short": ("a*" * 2000 + "b", "a" * 1999 + "b", NO),
    "just enough": ("a*" * 2000 + "b", "a" * 2000 + "b", OK),
    "matches late": ("a*" * 2000 + "b", "a" * 65_535 + "b", OK),
    "alternating": ("a*" * 2000 + "b", "ab" * 32_768, OK),
    "stars alone": ("*" * 2000, "x" * 65_536, OK),
    "stars before a letter": ("*" * 2000 + "y", "x" * 65_536, NO),
    "stars and marks": ("*?" * 2000, "x" * 1999, NO),
}


@pytest.mark.slow
@pytest.mark.parametrize(("pattern", "text", "outcome"), STARS.values(), ids=STARS)
def test_match_of_two_thousand_stars_with_64_kb_is_fast(pattern, text, outcome):
    """R8, C23: in resources and in `StringLike` values."""
    engine = engine_of(policy(allow("s3:GetObject", f"{BUCKET}/{pattern}")))
    began = time.perf_counter()
    decision = engine.decide(ANA, "s3:GetObject", f"{BUCKET}/{text}", now=NOW)
    assert decision.outcome is outcome
    assert time.perf_counter() - began < 2
    assert [found for found, _ in answers(engine, ANA, "s3:GetObject", [f"{BUCKET}/{text}"])] == [outcome]
    like = allow(Condition={"StringLike": {"app:text": pattern}})
    assert simulated(policy(like), context={"app:text": text}) is outcome


# -- 4: nesting --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [10, 1_000, 100_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"Statement":', "}")])
def test_deep_json_is_refused_with_a_place(depth, opening, closing):
    """V1: no recursion error, whatever the depth."""
    inner = "1" if opening.startswith("{") else ""
    text = '{"Version":"2012-10-17","Statement":' + opening * depth + inner + closing * depth + "}"
    for read in (simulated, engine_of):
        with pytest.raises(PolicyError) as caught:
            read(text)
        finding = caught.value.findings[0]
        assert finding.code in ("V1", "V4", "V6", "V7")
        assert finding.line == 1 and finding.column > 1 and finding.path.startswith("$")


def test_deep_values_of_policy_or_context_are_refused():
    value: list = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(PolicyError, match="must be"):
        simulated(policy(value))
    engine = engine_of(policy(allow()))
    with pytest.raises(RequestValueError, match=r"`list` is not a type of context value - at `app:k`\nhelp: use text"):
        engine.decide(ANA, "s3:GetObject", "*", {"app:k": value})
    with pytest.raises(RequestValueError) as caught:
        engine.decide_many([ANA, ANA], "s3:GetObject", "*", {"app:k": ["v", value]})
    assert caught.value.column == "app:k"


# -- 5, 6: characters --------------------------------------------------------------------------------------------------

WHERE = {
    "principal": lambda c: ((ANA + c, "s3:GetObject", "*"), {}),
    "action": lambda c: ((ANA, "s3:Get" + c, "*"), {}),
    "resource": lambda c: ((ANA, "s3:GetObject", f"{BUCKET}/{c}"), {}),
    "app:k": lambda c: ((ANA, "s3:GetObject", "*"), {"app:k": c}),
    "app:unread": lambda c: ((ANA, "s3:GetObject", "*"), {"app:unread": c}),
    "aws:TagKeys": lambda c: ((ANA, "s3:GetObject", "*"), {"aws:TagKeys": ["a", c]}),
}
READS = policy(allow(), {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"StringEquals": {"app:k": "v"}}})


@pytest.mark.parametrize("column", WHERE)
def test_lone_surrogate_in_a_request_is_refused(column):
    (principal, action, resource), context = WHERE[column](SURROGATE)
    engine = engine_of(READS)
    for ask in (engine.decide, engine.is_allowed, engine.explain):
        with pytest.raises(RequestValueError) as caught:
            ask(principal, action, resource, context)
        assert caught.value.column == column
        str(caught.value).encode()  # the message can be printed
    rows = [ANA, principal], ["s3:GetObject", action], ["*", resource]
    columns = {key: [[], value] if isinstance(value, list) else ["w", value] for key, value in context.items()}
    with pytest.raises(RequestValueError, match="surrogate") as caught:
        engine.decide_many(*rows, columns)
    assert caught.value.row == 1 and caught.value.column.startswith(column)
    denied = engine.decide_many(*rows, columns, on_error="deny")
    assert denied.outcome.tolist() == [OK, Outcome.ERROR] and list(denied.errors) == [1]


def test_lone_surrogate_in_key_or_session_name_is_refused():
    engine = engine_of(READS)
    for ask in (
        lambda: engine.decide(ANA, "s3:GetObject", "*", {f"app:{SURROGATE}": "v"}),
        lambda: engine.decide(ANA, "s3:GetObject", "*", {f"aws:RequestTag/{SURROGATE}": "v"}),
        lambda: engine.decide_many(ANA, "s3:GetObject", "*", {f"app:{SURROGATE}": "v"}),
        lambda: engine.decide_many(ANA, "s3:GetObject", "*", sessions={SURROGATE: fastiam.Session(ANA, kind="USER")}),
        lambda: simulated(READS, context={f"app:{SURROGATE}": "v"}),
    ):
        with pytest.raises(RequestValueError, match="lone surrogate"):
            ask()


def test_a_lone_surrogate_in_a_policy_is_refused_with_its_place():
    """V39."""
    text = json.dumps(policy(allow(resource=f"{BUCKET}/{SURROGATE}")))
    with pytest.raises(PolicyError) as caught:
        engine_of(text)
    assert caught.value.findings[0].code == "V39" and caught.value.findings[0].path == "$.Statement[0].Resource"


def test_nul_in_free_text_is_a_character():
    """No text ends at a NUL: what follows counts. A policy that a person writes may hold none (V39)."""
    document = policy(
        allow("s3:GetObject", f"{BUCKET}/a{NUL}b"),
        allow("sqs:*", Condition={"StringEquals": {"app:k": f"v{NUL}w"}}),
        allow("ec2:*", Condition={"StringLike": {"app:k": f"v{NUL}*"}}),
    )
    with pytest.raises(PolicyError, match=r"contains U\+0000 - at `\$.Statement\[0\].Resource` \[V39\]"):
        engine_of(document)
    engine = engine_of(document, "lenient")
    resources = [f"{BUCKET}/a{NUL}b", f"{BUCKET}/a", f"{BUCKET}/a{NUL}", f"{BUCKET}/a{NUL}c"]
    assert answers(engine, ANA, "s3:GetObject", resources) == [(OK, 0), (NO, None), (NO, None), (NO, None)]
    for value, equal, like in ((f"v{NUL}w", OK, OK), ("v", NO, NO), (f"v{NUL}", NO, OK), (f"v{NUL}w{NUL}", NO, OK)):
        assert answers(engine, ANA, "sqs:SendMessage", ["*"], {"app:k": value})[0][0] is equal
        assert answers(engine, ANA, "ec2:RunInstances", ["*"], {"app:k": value})[0][0] is like


def test_nul_in_a_name_is_refused():
    engine = engine_of(READS)
    for principal, resource, column in ((ANA + NUL, "*", "principal"), (ANA, NUL, "resource")):
        with pytest.raises(RequestValueError, match="help: ") as caught:
            engine.decide(principal, "s3:GetObject", resource)
        assert caught.value.column == column and NUL not in str(caught.value)
        assert engine.decide_many([principal], "s3:GetObject", [resource], on_error="deny").outcome.tolist() == [Outcome.ERROR]


# -- 7: ARNs -----------------------------------------------------------------------------------------------------------

NO_RESOURCES = ("arn:aws:s3::b", "arn:aws:s3::", "arn:aws:s3", "arn", "", ":::::", "**", "b", " arn:aws:s3:::b", "ARN:aws:s3:::b")


@pytest.mark.parametrize("resource", NO_RESOURCES)
def test_resource_arn_with_five_fields_is_refused(resource):
    engine = engine_of(policy(allow()))
    hint = "there is a blank before the ARN" if resource[:1] == " " else r"write `\*` or an ARN with six fields"
    message = rf"`{re.escape(resource)}` is not a resource - at `resources?`.*\nhelp: {hint}"
    for ask in (engine.decide, engine.is_allowed, engine.explain):
        with pytest.raises(RequestValueError, match=message):
            ask(ANA, "s3:GetObject", resource)
    with pytest.raises(RequestValueError, match=message) as caught:
        engine.decide_many(ANA, "s3:GetObject", ["*", "*", resource])
    assert caught.value.row == 2
    with pytest.raises(RequestValueError, match=message):
        simulated(policy(allow()), resource=resource)
    assert engine.decide_many(ANA, "s3:GetObject", ["*", resource], on_error="deny").outcome.tolist() == [OK, Outcome.ERROR]


def test_an_arn_with_five_fields_in_a_policy_is_refused():
    """V26."""
    with pytest.raises(PolicyError, match=r"`arn:aws:s3::b` has fewer than six fields - at `\$.Statement\[0\].Resource` \[V26\]"):
        engine_of(policy(allow(resource="arn:aws:s3::b")))


def test_principal_arn_with_five_fields_is_refused():
    engine = engine_of(policy(allow()))
    for ask in (engine.decide, engine.explain):
        with pytest.raises(RequestValueError, match=r"is not a principal - at `principal`.*\nhelp: name a root, user, role"):
            ask(f"arn:aws:iam:{ACCOUNT}:user/ana", "s3:GetObject", "*")


# -- 8, 9: columns -----------------------------------------------------------------------------------------------------

NO_TEXTS = {
    "numbers": ([1, 2], "`int`"),
    "a float array": (np.array([1.5, 2.0]), "`float64`"),
    "an Arrow column of numbers": (pa.array([1, 2]), "Arrow type `int64`"),
    "an Arrow column of bools": (pa.array([True, False]), "Arrow type `bool`"),
    "bytes": ([b"a", b"b"], "`bytes`"),
    "a bytes array": (np.array([b"a", b"b"]), "`|S1`"),
    "an Arrow column of bytes": (pa.array([b"a", b"b"]), "Arrow type `binary`"),
    "lists": ([["a"], ["b"]], "`list`"),
    "a mapping": ({"a": 1}, "`dict` has no order"),
    "a set": ({"a", "b"}, "`set` has no order"),
    "an iterator": (iter(["a", "b"]), "`list_iterator` is not a column"),
    "an object": (object(), "`object` is not a column"),
    "nothing": (None, "not None"),
    "a number": (5, "`int`"),
}


@pytest.mark.parametrize("position", range(3), ids=["principals", "actions", "resources"])
@pytest.mark.parametrize(("column", "words"), NO_TEXTS.values(), ids=NO_TEXTS)
def test_a_column_of_wrong_type_is_named(position, column, words):
    columns = [[ANA, ANA], ["s3:GetObject"] * 2, ["*", "*"]]
    columns[position] = column
    engine = engine_of(policy(allow()))
    with pytest.raises(RequestValueError) as caught:
        engine.decide_many(*columns)
    assert words in str(caught.value)
    assert caught.value.column == ("principals", "actions", "resources")[position]


@pytest.mark.parametrize(
    "column",
    [object(), {"a": 1}, iter(["v"]), [object(), "v"], [float("nan"), 1.0], [1j, 2j]],
    ids=["an object", "a mapping", "an iterator", "an object in a list", "not a number", "complex numbers"],
)
def test_a_context_column_of_wrong_type_is_named(column):
    with pytest.raises(RequestValueError) as caught:
        engine_of(READS).decide_many([ANA, ANA], "s3:GetObject", "*", {"app:k": column})
    assert caught.value.column == "app:k"


def test_null_in_a_required_column_is_an_error_of_its_row():
    engine = engine_of(policy(allow()))
    for position, name in enumerate(("principals", "actions", "resources")):
        columns = [[ANA, ANA], ["s3:GetObject"] * 2, ["*", "*"]]
        columns[position] = [columns[position][0], None]
        with pytest.raises(RequestValueError, match="null|None") as caught:
            engine.decide_many(*columns)
        assert (caught.value.row, caught.value.column) == (1, name)
        assert engine.decide_many(*columns, on_error="deny").outcome.tolist() == [OK, Outcome.ERROR]


def test_columns_of_different_length_are_both_named():
    engine = engine_of(policy(allow()))
    with pytest.raises(ShapeError, match="`principals` has 2 rows, `actions` has 3 rows"):
        engine.decide_many([ANA, ANA], ["s3:GetObject"] * 3, "*")
    with pytest.raises(ShapeError, match="`principals` has 2 rows, `app:k` has 1 rows"):
        engine.decide_many([ANA, ANA], "s3:GetObject", "*", {"app:k": ["v"]})
    with pytest.raises(ShapeError, match="`resource_accounts` has 3 rows"):
        engine.decide_many([ANA, ANA], "s3:GetObject", "*", resource_accounts=[ACCOUNT] * 3, on_error="deny")


ARGUMENTS = {
    "threads": ({"threads": 0}, "`0` is not a number of threads"),
    "many threads": ({"threads": 65}, "use 1 to 64"),
    "threads as text": ({"threads": "2"}, "`2` is not a number of threads"),
    "on_error": ({"on_error": "ignore"}, "unknown value `ignore`"),
    "now without a zone": ({"now": datetime(2030, 1, 1)}, "a datetime needs a time zone"),
    "now as a number": ({"now": 5}, "`now` must be a datetime, not `int`"),
    "context as a list": ({"context": [1]}, "`list` is not a context"),
    "a key that is not text": ({"context": {1: "v"}}, "a context key must be text, not `int`"),
    "one key twice": ({"context": {"app:k": "v", "APP:K": "v"}}, "`app:k` and `APP:K` are one key"),
    "sessions as a list": ({"sessions": [1]}, "`list` is not a mapping of sessions"),
    "a session name that is not text": ({"sessions": {1: None}}, "the name of a session must be text"),
}


@pytest.mark.parametrize(("arguments", "message"), ARGUMENTS.values(), ids=ARGUMENTS)
def test_other_arguments_of_a_batch_are_checked(arguments, message):
    with pytest.raises(RequestValueError) as caught:
        engine_of(policy(allow())).decide_many([ANA], ["s3:GetObject"], ["*"], **arguments)
    assert message in str(caught.value)


INVALID_CONTEXTS = {
    "a number": 5,
    "zero": 0,
    "a text": "aws:SourceIp",
    "a list": ["aws:SourceIp"],
    "pairs": [("app:k", "v")],
}


@pytest.mark.parametrize("unknown", [(), ("app:x",)], ids=["", "with an unknown key"])
@pytest.mark.parametrize("context", INVALID_CONTEXTS.values(), ids=INVALID_CONTEXTS)
def test_context_that_is_not_a_mapping_is_refused(context, unknown):
    engine = engine_of(READS)
    calls = [
        lambda: engine.decide(ANA, "s3:GetObject", "*", context, unknown=unknown),
        lambda: engine.is_allowed(ANA, "s3:GetObject", "*", context, unknown=unknown),
        lambda: engine.explain(ANA, "s3:GetObject", "*", context, unknown=unknown),
        lambda: engine.decide_many(ANA, "s3:GetObject", ["*"], context, unknown=unknown),
        lambda: fastiam.simulate(ANA, "s3:GetObject", "*", context=context, identity_policies=[READS], unknown=unknown),
    ]
    for call in calls:
        with pytest.raises(RequestValueError, match="`(int|str|list)` is not a context") as caught:
            call()
        assert caught.value.column == "context" and "pass a mapping" in caught.value.hint


# -- 10: unknown principals --------------------------------------------------------------------------------------------

UNKNOWN_PRINCIPALS = (
    f"arn:aws:iam::{ACCOUNT}:user/missing",
    f"arn:aws:iam::{ACCOUNT}:role/missing",
    f"arn:aws:sts::{ACCOUNT}:assumed-role/missing/session",
    f"arn:aws:sts::{ACCOUNT}:federated-user/missing",
    "arn:aws:iam::999999999999:user/missing",
    f"arn:aws:iam::{ACCOUNT}:user/ANA",
)


@pytest.mark.parametrize("unknown", UNKNOWN_PRINCIPALS)
def test_unknown_principal_is_denied_with_a_reason(unknown):
    """N6: no exception, and no policy of another principal."""
    engine = engine_of(policy(allow("*")))
    decision = engine.decide(unknown, "s3:GetObject", f"{BUCKET}/k", now=NOW)
    assert (decision.outcome, decision.reason) == (NO, "unknown_principal")
    assert answers(engine, unknown, "s3:GetObject", [f"{BUCKET}/k", "*"]) == [(NO, None), (NO, None)]
    rows = engine.decide_many([ANA, unknown], "s3:GetObject", "*", reasons=True)
    assert rows.outcome.tolist() == [OK, NO] and rows[1].reason == "unknown_principal"


@pytest.mark.slow
def test_more_policies_than_a_layer_can_count_are_refused():
    directory = fastiam.Directory(quotas=None)
    directory.add_principal(ANA, identity_policies=[policy(allow())] * 65_536)
    with pytest.raises(LimitError, match="65536 policies in one layer, the limit is 65535"):
        directory.compile()


TAGS = {f"t{i}": "x" for i in range(65_540)} | {"Blocked": "yes"}  # more than 16 bits count, and the last one decides
ROLE, SESSION = f"arn:aws:iam::{ACCOUNT}:role/app", f"arn:aws:sts::{ACCOUNT}:assumed-role/app/s"


@pytest.mark.slow
@pytest.mark.parametrize("of_session", [False, True], ids=["role", "session"])
def test_tag_after_65540_others_decides_as_the_reference(of_session):
    deny = {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"StringEquals": {"aws:PrincipalTag/Blocked": "yes"}}}
    directory = fastiam.Directory(quotas=None)
    directory.add_principal(ROLE, identity_policies=[policy(allow("*"), deny)], tags={} if of_session else TAGS)
    engine = directory.compile()
    session = fastiam.Session(SESSION, kind="ROLE", issuer=ROLE, tags=TAGS if of_session else {})
    assert engine.explain(session, "s3:GetObject", f"{BUCKET}/k").decision.outcome is DENY
    assert engine.decide(session, "s3:GetObject", f"{BUCKET}/k").outcome is DENY
    rows = engine.decide_many([SESSION], ["s3:GetObject"], [f"{BUCKET}/k"], sessions={SESSION: session})
    assert rows.outcome.tolist() == [DENY]


@pytest.mark.parametrize("n", [256, 257])
def test_scp_path_is_limited_to_256_levels(n):
    """Root, units and account; AWS itself has five levels of units."""
    units = [f"ou-{i}" for i in range(n - 2)]
    directory = fastiam.Directory(quotas=None)
    directory.set_organization("o-1", accounts={ACCOUNT: "/".join(units)}, scps=dict.fromkeys(units, [policy(allow())]))
    directory.add_principal(ANA, identity_policies=[policy(allow())])
    if n == 256:
        assert directory.compile().is_allowed(ANA, "s3:GetObject", "*")
    else:
        with pytest.raises(LimitError, match="a path of 257 levels is too long, the limit is 256"):
            directory.compile()
