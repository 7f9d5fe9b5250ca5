"""Globs, actions, resources and variables of the specification evaluator (spec section 2)."""

import fnmatch
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastiam.model.key_registry import fold
from fastiam.model.request import ContextValue
from fastiam.spec import actions, variables
from fastiam.spec import resource_patterns as resources
from fastiam.spec import wildcards as globs
from fastiam.spec.statement_keys import StatementKeys
from fastiam.spec.three_valued import F, T, Truth, U

ACCOUNT = "111111111111"


def statement_keys(unknown: frozenset[str] = frozenset(), residual: Truth = T, **context: object) -> StatementKeys:
    """The keys of a context; a list is a multivalued key, `_` is written for `:` and `__` for `/`."""
    values = {
        fold(name.replace("__", "/").replace("_", ":", 1)): (
            ContextValue(tuple(value), multi=True) if isinstance(value, list) else ContextValue((str(value),))
        )
        for name, value in context.items()
    }
    return StatementKeys(values, unknown, residual)


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("*", "", True),
        ("a*c", "abc/dc", True),
        ("a*c", "Abc", False),
        ("a?c", "ac", False),
        ("a?c", "a/c", True),
        ("?", "\U0001f600", True),
        ("a?", "a", False),
        ("a*b*c", "a-b-b-cc", True),
        ("*ab", "aab", True),
        ("a*a", "a", False),
        ("a**b", "ab", True),
        ("[a]", "[a]", True),
        ("[a]", "a", False),
        ("a\nb*", "a\nb\nc", True),
        ("", "", True),
    ],
)
def test_glob_matches_the_whole_text(pattern: str, text: str, expected: bool) -> None:  # P1, P2
    assert globs.glob_matches(globs.read_glob(pattern), text) is expected


@given(st.text("ab*?", max_size=12), st.text("ab", max_size=14))
def test_globs_agree_with_regular_expressions(pattern: str, text: str) -> None:  # P1
    expression = re.sub(r"\*+", ".*", pattern).replace("?", ".")
    assert globs.glob_matches(globs.read_glob(pattern), text) is bool(re.fullmatch(expression, text))
    assert globs.glob_matches(globs.read_glob(pattern), text) is fnmatch.fnmatchcase(text, pattern)


def test_hostile_glob_returns() -> None:  # P1
    assert not globs.glob_matches(globs.read_glob("*a" * 60 + "b"), "a" * 5000)


@pytest.mark.parametrize(
    ("entries", "action", "expected"),
    [
        (["*"], "s3:GetObject", T),
        (["**"], "s3:GetObject", T),
        (["S3:getobject"], "s3:GetObject", T),  # E040
        (["s3:Get*"], "s3:PutObject", F),  # E041
        (["s3:?etObject"], "s3:etObject", F),  # E042
        (["*:List*"], "sqs:ListQueues", T),  # E043
        (["code*:Get*"], "codebuild:GetX", T),  # A2
        (["*s3:GetObject"], "s3:GetObject", T),
        (["*:*"], "s3:GetObject", T),
        (["Get*"], "s3:GetObject", U),  # E045
        (["s3:GetObject "], "s3:GetObject", U),  # E046
        (["s3:*:*"], "s3:GetObject", U),  # E050
        (["iam:Get*, iam:List*"], "iam:GetUser", U),
        (["s3:Get*,s3:List*"], "s3:GetObject", U),
        ([":GetObject"], "s3:GetObject", U),
        (["s3:"], "s3:GetObject", U),
        ([""], "s3:GetObject", U),
        (["s3:${aws:x}"], "s3:GetObject", U),  # E101
        (["Get*", "s3:*"], "s3:GetObject", T),
        ([], "s3:GetObject", F),  # V11
    ],
)
def test_action_entries(entries: list[str], action: str, expected: Truth) -> None:  # A1 to A5
    given_ = actions.split_action(action)
    assert actions.check_actions(tuple(entries), False, given_) == expected
    opposite = {T: F, F: T, U: U}[expected]
    assert actions.check_actions(tuple(entries), True, given_) == opposite


def test_action_case_folding_is_ascii_only() -> None:  # A1
    assert actions.check_actions(("s3:\u212aeep",), False, actions.split_action("s3:keep")) is F


S3, SNS = "arn:aws:s3:::", "arn:aws:sns:us-east-1:"
OBJECT = S3 + "b/x"

RESOURCES = [
    # the table of 2.5
    (S3 + "b/*", S3 + "b/x/y", T),
    (S3 + "b/*", S3 + "b", F),
    (S3 + "b*", S3 + "b/x", T),
    (
        "arn:aws:logs:*:111111111111:log-group:/app/*",
        "arn:aws:logs:eu-west-1:111111111111:log-group:/app/a:log-stream:s",
        T,
    ),
    ("arn:aws:sqs:*:q1", "arn:aws:sqs:us-east-1:111111111111:q1", U),
    ("arn:aws:ec2:*:111111111111:instance/*", "arn:aws:ec2:eu-west-1:111111111111:instance/i-1", T),
    ("arn:aws:sns:us-east-1:*", "arn:aws:sns:us-east-1:111111111111:t", T),
    (S3 + "B", S3 + "b", F),
    # R1, R2, V25
    ("*", "*", T),
    ("***", OBJECT, T),
    (S3 + "*", "*", F),
    ("arn:*", "*", F),
    ("bkt/*", "*", U),
    ("bkt/*", OBJECT, U),
    ("*b", OBJECT, U),
    ("", OBJECT, U),
    ("arn", OBJECT, U),
    # R3 to R7
    ("arn:aws-cn:s3:::b/*", OBJECT, F),
    ("arn:*:s3:::b/*", OBJECT, T),
    ("arn:a?s:s3:::b/?", OBJECT, T),
    ("arn:aws:iam:us-east-1:111111111111:role/x", "arn:aws:iam::111111111111:role/x", F),
    ("arn:aws:s3:*:*:b", S3 + "b", T),
    (S3 + "a/../b", S3 + "b", F),
    ("arn:aws:lambda:us-east-1:1:function:f", "arn:aws:lambda:us-east-1:1:function:f:7", F),
    ("arn:aws:lambda:us-east-1:1:function:f*", "arn:aws:lambda:us-east-1:1:function:f:7", T),
    # R5: only a `*` that ends a field may cross
    ("arn:aws:sns:*:A:t", SNS + "X:z:A:t", U),
    ("arn:aws:sns:us-*:A:t", SNS + "X:z:A:t", U),
    ("arn:aws:sns:*1:A:t", SNS + "X:z:A:t", F),
    ("arn:aws:sns:u?:A:t", "arn:aws:sns:u:A:t:A:t", F),
    ("arn:aws*:A:t:x:y", "arn:aws:s3:::A:t:x:y", U),
    ("arn:aws:sns:*:A:t", SNS + "A:t", T),
    ("arn:aws:sns:*:A:*b", "arn:aws:sns:r:X:y:A:ab", U),
    # R6
    ("arn:*", OBJECT, T),
    ("arn:aws:sqs*", "arn:aws:sqs:us-east-1:1:q", T),
    ("arn:aws:sqs*", OBJECT, F),
    ("arn:aws:s3", OBJECT, U),
    ("arn:aws:s3", "*", F),
    ("arn:aws:s4", OBJECT, F),
    ("arn:aws:s3::", S3 + "b", U),
    ("arn:aws*:b", OBJECT, F),
    ("arn:aws*:b*", OBJECT, U),
    # R8, R9
    ("arn:aws:*:::b/x", OBJECT, T),
    ("arn:aws:iam::1:u*", "arn:aws:iam::1:user/x", U),
    ("arn:aws:iam::1:us?r/x", "arn:aws:iam::1:user/x", U),
    ("arn:aws:iam::1:*", "arn:aws:iam::1:user/x", T),
    ("arn:aws:iam::1:*/x", "arn:aws:iam::1:user/x", T),
    ("arn:aws:iam::1:user/*", "arn:aws:iam::1:user/x", T),
    ("arn:aws:iam::*", "arn:aws:iam::1:user/x", T),
    ("arn:aws:iam::1:group*", "arn:aws:iam::1:user/x", F),
    ("arn:aws:ec2:r:1:inst*/x", "arn:aws:ec2:r:1:instance/x", T),
]


@pytest.mark.parametrize(("pattern", "resource", "expected"), RESOURCES)
@pytest.mark.parametrize("with_variables", [True, False])
def test_resource_entries(pattern: str, resource: str, expected: Truth, with_variables: bool) -> None:  # R1 to R9
    assert resources.check_resources((pattern,), False, resource, with_variables, statement_keys()) == expected
    opposite = {T: F, F: T, U: U}[expected]
    assert resources.check_resources((pattern,), True, resource, with_variables, statement_keys()) == opposite  # R10


ARN_FIELD = st.text("a*:?", max_size=3)


@given(st.lists(ARN_FIELD, min_size=2, max_size=6), st.text("a:", max_size=12))
def test_true_resource_match_is_a_plain_glob_match(fields: list[str], tail: str) -> None:  # R3, R5
    pattern, resource = "arn:" + ":".join(fields), f"arn:a:a:a:{tail}:a"
    result = resources.check_resources((pattern,), False, resource, True, statement_keys())
    padded = pattern if pattern.count(":") >= 5 else pattern + "*"
    if result is T:
        assert fnmatch.fnmatchcase(resource, padded)
    if pattern.count(":") >= 5 and not fnmatch.fnmatchcase(resource, pattern):
        assert result is F


VARIABLES = [
    # pattern below `arn:aws:s3:::`, context, object, in Resource, in NotResource
    ("b/${aws:username}/*", {"aws_username": "ana"}, "b/ana/f", T, F),  # E090
    ("b/${AWS:UserName}", {"aws_username": "ana"}, "b/ana", T, F),  # E094
    ("b/${aws:username}/*", {}, "b/ana/f", F, U),  # E095, E096, VR8
    ("b/${aws:PrincipalTag/team, 'none'}", {}, "b/none", T, F),  # E091
    ("b/${aws:PrincipalTag/team, 'none'}", {"aws_PrincipalTag__team": ""}, "b/none", T, F),  # O19
    ("b/${aws:PrincipalTag/team}*", {"aws_PrincipalTag__team": ""}, "b/secret", F, U),  # E092
    ("b/${aws:PrincipalTag/team}/x", {"aws_PrincipalTag__team": "*"}, "b/red/x", F, T),  # E093
    ("b/${aws:PrincipalTag/team}/x", {"aws_PrincipalTag__team": "*"}, "b/*/x", T, F),
    ("b/${k:x}", {"k_x": "${aws:username}", "aws_username": "ana"}, "b/ana", F, T),  # VR5
    ("b/${k:x}-${k:y}", {"k_x": "1", "k_y": "2"}, "b/1-2", T, F),  # VR11
    ("b/${k:x}-${k:y}", {"k_x": "1"}, "b/1-2", F, U),
    ("${aws:PrincipalOrgPaths}", {"aws_PrincipalOrgPaths": ["o-1/"]}, "o-1/", F, U),  # E099, VR6
    ("${aws:PrincipalOrgPaths, 'd'}", {}, "d", F, U),  # VR7
    ("${k:x, 'd'}", {"k_x": ["a"]}, "d", F, U),
    ("b/${*}", {}, "b/*", T, F),  # VR4
    ("b/${*}", {}, "b/x", F, T),
    ("b/${?}${$}", {}, "b/?$", T, F),
    ("b/${k:x", {"k_x": "a"}, "b/a", F, U),  # E104, V29
    ("b/${}", {}, "b/", F, U),
    ("b/${k: x}", {"k_x": "a"}, "b/a", F, U),
    ("b/${k:x,'d'}", {}, "b/d", F, U),
    ("b/${k:x, ''}", {}, "b/", F, U),
    ("b/${k:x, 'd}", {}, "b/d", F, U),
    ("b/${k:x, 'a}b'}", {}, "b/a}b", T, F),
    ("b/$x", {}, "b/$x", T, F),  # VR3
]


@pytest.mark.parametrize(("pattern", "context", "name", "positive", "negative"), VARIABLES)
def test_variables_in_resources(pattern: str, context: dict, name: str, positive: Truth, negative: Truth) -> None:
    entries = (S3 + pattern,)
    assert resources.check_resources(entries, False, S3 + name, True, statement_keys(**context)) == positive
    assert resources.check_resources(entries, True, S3 + name, True, statement_keys(**context)) == negative


def test_unresolved_not_resource_entry_is_false_for_star() -> None:  # R2 before VR8
    assert resources.check_resources((S3 + "${k:x}",), True, "*", True, statement_keys()) is T


def test_type_word_with_variable_and_wildcard_is_undetermined() -> None:  # E081, R9
    entries = (f"arn:aws:iam::{ACCOUNT}:${{aws:PrincipalTag/t}}*/x",)
    keys = statement_keys(aws_PrincipalTag__t="us")
    assert resources.check_resources(entries, False, f"arn:aws:iam::{ACCOUNT}:user/x", True, keys).rules == ("R9",)


def test_old_version_reads_variables_as_text_with_wildcards() -> None:  # 1.4, E008, E009
    entry = (S3 + "b/${aws:username}",)
    assert resources.check_resources(entry, False, S3 + "b/ana", False, statement_keys(aws_username="ana")) is F
    assert resources.check_resources(entry, False, S3 + "b/${aws:username}", False, statement_keys()) is T
    assert resources.check_resources((S3 + "b/${*}",), False, S3 + "b/${zz}", False, statement_keys()) is T


def test_variable_before_field_six_is_one_literal_token() -> None:  # V28
    assert variables.cut_fields("arn:aws:sqs:r:${aws:PrincipalAccount}:q:x", True) == [
        "arn",
        "aws",
        "sqs",
        "r",
        "${aws:PrincipalAccount}",
        "q:x",
    ]
    entry = (f"arn:aws:sqs:r:${{aws:PrincipalAccount, '{ACCOUNT}'}}:q",)
    assert resources.check_resources(entry, False, f"arn:aws:sqs:r:{ACCOUNT}:q", True, statement_keys()) is F


@pytest.mark.parametrize(
    ("pattern", "name", "inverted", "best", "worst"),
    [
        ("b/${k:x}/*", "b/red/x", False, T, F),  # E349: open
        ("b/${k:x}/*", "other/x", False, F, F),
        ("b/${k:x, 'd'}/*", "b/red/x", False, T, F),
        ("b/${k:x}/${k:y}", "b/red/x", False, F, F),  # `k:y` is absent for certain
        ("b/${k:x}/*", "other/x", True, T, F),  # open whatever it matches: absent would make it `U`
    ],
)
def test_unknown_variable_makes_an_entry_residual(pattern: str, name: str, inverted: bool, best: Truth, worst: Truth) -> None:
    for residual, expected in ((T, best), (F, worst)):  # D72, D73
        keys = statement_keys(frozenset({"k:x"}), residual)
        assert resources.check_resources((S3 + pattern,), inverted, S3 + name, True, keys) == expected
        names = resources.residual_keys(S3 + pattern, inverted, S3 + name, True, keys)
        assert names == ([] if best is worst else ["k:x"])


def test_residual_entry_is_at_best_the_match_of_its_pattern() -> None:  # D72 with R9
    entry = (f"arn:aws:iam::{ACCOUNT}:u${{k:x}}*/x",)
    keys = statement_keys(frozenset({"k:x"}))
    assert resources.check_resources(entry, False, f"arn:aws:iam::{ACCOUNT}:user/x", True, keys) == U
