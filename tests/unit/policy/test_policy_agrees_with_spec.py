"""Validation accepts a text if and only if the specification evaluator reads it.

Validation checks forms and the evaluators read values, each with its own code. A text that validation accepts and an evaluator
cannot read would deny every principal without a finding; the opposite would be a false alarm.
"""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from seeds import few_or_all

from fastiam.model.policy import PolicyKind
from fastiam.policy import variables as variable_syntax
from fastiam.policy.conditions.value_syntax import READERS
from fastiam.policy.elements import action_problems, resource_problems
from fastiam.policy.principal_entries import principal_problems
from fastiam.spec import principal_entries as principals
from fastiam.spec import values
from fastiam.spec.variables import cut_fields

READ = {
    "numeric": values.read_number,
    "date": values.read_date,
    "bool": values.read_bool,
    "binary": values.read_binary,
    "ip": values.read_network,
}
TIME = r"T[0-2][0-9]:[0-6][0-9](:[0-6][0-9](\.[0-9]{0,3})?)?(Z|[+-][0-2][0-9]:[0-6][0-9])?"
IPV4 = r"0?[0-9]{1,3}(\.[0-9]{1,3}){2,4}"
IPV6 = r"(::ffff:)?([0-9a-fA-F]{1,5}:){0,7}:?[0-9a-f]{0,4}(%eth0)?|::ffff:1\.2\.3\.4"
SHAPES = {
    "numeric": r"[-+]?0?[0-9]{0,3}(\.[0-9]{0,2})?(e1)?\n?",
    "date": rf"[0-9]{{3,4}}-[01][0-9](-[0-3][0-9]({TIME})?)?",
    "bool": r"([tT]rue|FALSE|yes|1| true)",
    "binary": r"[A-Za-z0-9+/]{0,6}={0,3}",
    "ip": rf"({IPV4}|{IPV6})(/0?[0-9]{{0,3}})?",
}


@pytest.mark.parametrize("family", READ)
@given(data=st.data())
@settings(max_examples=few_or_all(75, 300))
def test_value_is_accepted_iff_the_evaluator_reads_it(family, data):
    """Rule V18."""
    text = data.draw(st.from_regex(SHAPES[family], fullmatch=True) | st.text(max_size=8))
    assert READERS[family][0](text) == (READ[family](text) is not None)


@pytest.mark.parametrize(
    ("text", "readable"),
    [
        ("-9223372036854775808", True),
        ("-9223372036854775809", False),
        ("0000-01-01", True),
        ("+02024", True),
        ("00009", True),
        ("2024", False),
    ],
)
def test_date_limits(text, readable):
    """Rules C41, C43."""
    assert READERS["date"][0](text) == (values.read_date(text) is not None) == readable


ARNS = st.from_regex(
    r"arn:(aws|aws-cn|):(iam|sts)::([0-9]{11,12}|cloudfront|):"
    r"(root|user/[a-z/]{0,3}|role/[a-z/]{0,4}|assumed-role/[a-z]?(/[a-z]{0,2}){0,2}|federated-user/[a-z/]{0,2}|group/[a-z]?"
    r"|saml-provider/[a-z]?|oidc-provider/[a-z]?)(\n|\*|\?)?",
    fullmatch=True,
)
NAMES = st.sampled_from(
    ["*", "", "accounts.google.com", "www.amazon.com", "111111111111", "AIDAX", "AROA", "AGPAX", "ana", "s3.amazonaws.com"]
)


@given(st.sampled_from(["AWS", "Federated"]), ARNS | NAMES | st.text(max_size=6))
@example("AWS", "AROAÉ")
@settings(max_examples=few_or_all(100, 400))
def test_principal_is_valid_iff_the_evaluator_knows_its_form(type_, text):
    """Rules V32, V41."""
    codes = {problem.code for problem in principal_problems(type_, text, PolicyKind.TRUST, True)}
    named = principals.read_entry(type_, text)
    assert bool(codes & {"V32", "V41"}) == (named.form is principals.Form.VAGUE)
    assert ("3.2" in codes) == (named.form is principals.Form.GROUP)


@given(st.text(alphabet="arn:${}*?', x", max_size=20))
@example("arn:aws:s3:${a:b:c}::x")
@settings(max_examples=few_or_all(125, 500))
def test_resource_fields_equal_those_of_the_evaluator(text):
    """Rules V26, V28: colons inside a variable do not count."""
    text = "arn:" + text
    cut = [len(field) for field in variable_syntax.mask(text).split(":", 5)]
    malformed = {problem.code for problem in variable_syntax.malformed(text)}
    assert malformed or cut == [len(field) for field in cut_fields(text, True)]


def test_long_texts_are_read_in_linear_time():
    """Texts that make a careless pattern go back over itself again and again: quadratic, they would take minutes."""
    began = time.process_time()
    for piece in ("${'}a' ", "${a, '", "${a,'", "${", "arn:", "a,", "*:"):
        text = "arn:aws:s3:::" + piece * 50_000
        resource_problems(text, True, True)
        assert action_problems(text, True)
        assert principal_problems("AWS", text, PolicyKind.RESOURCE, True)
    assert time.process_time() - began < 5
