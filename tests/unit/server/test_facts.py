"""Which facts a caller may state (rules G4, G7, G49 to G58)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastiam import SourceError
from fastiam.errors import RequestValueError
from fastiam.model.arn import split_arn
from fastiam.model.key_registry import KEYS, PREFIXES, SetBy, fold, key_info
from fastiam.model.request import ContextValue, check_resource
from fastiam.server.identity import ASSERT_CONTEXT, ASSERT_OWNER, ASSERT_SESSION, ASSERT_TAGS, TRUST_SCOPES, Identity
from fastiam.server.mapping import (
    FactRules,
    MappingError,
    check_asserted,
    facts,
    ignored_names,
    read_owner,
    scopes_to_state,
)
from fastiam.spec.values import read_address

ALL = Identity("all", TRUST_SCOPES)
NONE = Identity("none", frozenset())
RULES = FactRules(names={"ip": "aws:SourceIp"}, bare="authzen:context/", reserved=("authzen:subject/",))


def scoped(*scopes: str) -> Identity:
    return Identity("scoped", frozenset(scopes))


def code_of(call, *args, **kwargs) -> str:
    with pytest.raises(MappingError) as caught:
        call(*args, **kwargs)
    return caught.value.code


def test_context_members_become_condition_keys():
    found = facts(scoped(ASSERT_CONTEXT), {"ip": "10.0.0.1", "time": "noon", "s3:prefix": ["a", "b"]}, RULES)
    assert found.context == {"aws:SourceIp": "10.0.0.1", "authzen:context/time": "noon", "s3:prefix": ["a", "b"]}
    assert found.ignored == [] and found.now is None and found.unknown == ()


def test_context_objects_become_dotted_names_to_depth_three():
    found = facts(ALL, {"a": {"b": {"c": 1, "d": {"e": 2}}}, "l": [{}], "n": None, "empty": [], "m": [1, None]}, RULES)
    assert found.context == {"authzen:context/a.b.c": 1}
    assert found.ignored == ["context.a.b.d", "context.l", "context.m"]


def test_nested_name_and_member_of_one_text_are_two_keys():
    rules = FactRules(bare="authzen:context/", reserved=("authzen:subject/",))
    for _ in range(2):
        assert facts(ALL, {"a": {"x:b": 1}}, rules).context == {"authzen:context/a.x:b": 1}
        assert facts(ALL, {"a.x:b": 1}, rules).context == {"a.x:b": 1}
        assert facts(ALL, {"idp.example": {"x:sub": 1}}, rules).context == {"authzen:context/idp.example.x:sub": 1}
        assert facts(ALL, {"idp.example.x:sub": 1}, rules).context == {}


def test_member_read_before_still_needs_its_scope_and_type():
    rules = FactRules(bare="authzen:context/")
    asked = {"aws:SourceIp": "10.0.0.1", "time": "noon", "s3:prefix": "a"}
    tag = {"aws:ResourceTag/a": "1", "iam:ResourceTag/b": "1"}
    for _ in range(2):
        assert facts(ALL, asked, rules).context == {"aws:SourceIp": "10.0.0.1", "authzen:context/time": "noon", "s3:prefix": "a"}
        found = facts(ALL, tag, rules)
        assert found.context == tag and found.reads_tags
    assert facts(scoped(ASSERT_CONTEXT), tag, rules).ignored == [f"context.{name}" for name in tag]
    stored = {"aws:resourcetag/a": ContextValue(("2",))}
    assert facts(ALL, tag, rules, stored_tags=lambda: stored).context == {"iam:ResourceTag/b": "1"}
    assert facts(NONE, asked, rules).context == {} and len(facts(NONE, asked, rules).ignored) == 3
    assert code_of(facts, ALL, {"aws:SourceIp": "nonsense"}, rules) == "bad_value"
    assert code_of(facts, ALL, {"time": "x" * 4097}, rules) == "too_long"
    assert code_of(facts, ALL, {"time": "noon", "authzen:context/TIME": "night"}, rules) == "bad_value"
    for name in ("s3:prefix", "S3:Prefix"):
        assert facts(ALL, {name: "a"}, rules).context == {name: "a"}
    assert code_of(facts, ALL, {"s3:prefix": "a", "S3:Prefix": "b"}, rules) == "bad_value"


def test_context_without_its_scope_is_ignored_and_named():
    found = facts(scoped(ASSERT_TAGS, ASSERT_SESSION, ASSERT_OWNER), {"ip": "10.0.0.1", "s3:prefix": "a", "x": 1}, RULES)
    assert found.context == {} and found.ignored == ["context.ip", "context.s3:prefix", "context.x"]


_NO_OWNERS = ["11111111111", 111111111111, ["111111111111"], "\u0661" * 12, True, ""]


@pytest.mark.parametrize("value", _NO_OWNERS, ids=repr)
def test_owner_other_than_12_digits_is_an_error(value):  # G57, G160
    assert read_owner(scoped(ASSERT_OWNER), "111111111111", "$.resource_account") == "111111111111"
    assert code_of(read_owner, ALL, value, "$.resource_account") == "bad_value"


@pytest.mark.parametrize("value", ["111111111111", *_NO_OWNERS], ids=repr)
@pytest.mark.parametrize("identity", [NONE, scoped(ASSERT_TAGS, ASSERT_SESSION, ASSERT_CONTEXT)])
def test_owner_without_its_scope_is_never_used(identity, value):  # G49, G160
    ignored = ["subject.properties.x"]
    assert read_owner(identity, value, "$.resource.properties.account", ignored) is None
    assert ignored == ["subject.properties.x", "resource.properties.account"]
    assert code_of(read_owner, identity, value, "$.resource_account") == "not_asserted"


_DERIVED = [info.name for info in (*KEYS.values(), *PREFIXES.values()) if info.set_by is not SetBy.REQUEST]
_ISSUERS = ["idp.example:sub", "idp.example:aud", "idp.example/pool:amr", "idp.example:id"]


@pytest.mark.parametrize("key", [*_DERIVED, *_ISSUERS, "aws:ResourceAccount", "aws:ResourceOrgSomethingNew"])
def test_derived_and_session_keys_are_never_taken(key):
    name = key + "x" if key.endswith("/") else key
    for spelling in (name, name.upper(), name.lower(), name.replace("s", "ſ")):
        found = facts(ALL, {spelling: "true"}, FactRules(allow_now=False))
        assert found.context == {} and found.ignored == [f"context.{spelling}"] and found.now is None, spelling


def test_reserved_prefix_cannot_be_stated_in_a_context():
    found = facts(ALL, {"authzen:subject/role": "admin", "AuthZEN:Subject/role": "admin"}, RULES)
    assert found.context == {} and len(found.ignored) == 2


def test_resource_tags_in_a_context_need_the_scope_of_tags():
    asked = {"aws:ResourceTag/a": "1", "iam:ResourceTag/b": "2"}
    assert facts(scoped(ASSERT_CONTEXT), asked).context == {}
    assert facts(scoped(ASSERT_CONTEXT, ASSERT_TAGS), asked).context == asked


def test_clock_keys_set_the_time_only_where_allowed():
    asked = {"aws:CurrentTime": "2020-01-01T00:00:00Z", "aws:EpochTime": 1577836800}
    found = facts(ALL, asked, FactRules(allow_now=True))
    assert found.now == datetime(2020, 1, 1, tzinfo=UTC) and found.context == {} and found.ignored == []
    assert facts(ALL, asked).now is None
    assert facts(scoped(ASSERT_TAGS), asked, FactRules(allow_now=True)).now is None
    assert code_of(facts, ALL, {**asked, "aws:EpochTime": 1}, FactRules(allow_now=True)) == "bad_value"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("aws:SourceIp", "nonsense"),
        ("aws:SourceIp", "10.0.0.0/8"),
        ("aws:SourceIp", ["10.0.0.1", "10.0.0.2"]),
        ("aws:SecureTransport", "yes"),
        ("aws:SecureTransport", 1),
        ("sts:DurationSeconds", "1e3"),
        ("aws:SourceArn", "not-an-arn"),
        ("x:number", 2**53 + 1),
        ("x:number", -(2**53) - 1),
        ("x:number", 1.2345678901234568e22),
        ("x:list", [1, 2**60]),
    ],
)
def test_value_of_another_type_than_its_key_is_refused(key, value):
    assert code_of(facts, ALL, {key: value}) == "bad_value"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("aws:SourceIp", "2001:db8::1"),
        ("aws:SecureTransport", "TRUE"),
        ("aws:SecureTransport", True),
        ("x:n", 2**53),
        ("x:n", 0.5),
    ],
)
def test_value_of_the_type_of_its_key_is_taken(key, value):
    assert facts(ALL, {key: value}).context == {key: value}


def test_key_stated_twice_with_two_values_is_refused():
    assert code_of(facts, ALL, {"ip": "10.0.0.1", "aws:sourceip": "10.0.0.2"}, RULES) == "bad_value"
    assert facts(ALL, {"ip": "10.0.0.1", "aws:sourceip": "10.0.0.1"}, RULES).context == {"aws:SourceIp": "10.0.0.1"}
    assert code_of(facts, ALL, {"x:a": 1, "X:A": True}) == "bad_value"


@pytest.mark.parametrize(
    ("context", "code"),
    [
        ({"a\x00b": 1}, "bad_character"),
        ({"a:\n": 1}, "bad_character"),
        ({"a": "x" * 4097}, "too_long"),
        ({f"k{i}": i for i in range(257)}, "too_many"),
        ({"o": {f"k{i}": i for i in range(257)}}, "too_many"),
        ({"fastiam:unknown": "aws:SourceIp"}, "bad_type"),
        ({"fastiam:unknown": [1]}, "bad_type"),
    ],
)
def test_context_of_wrong_form_is_refused(context, code):
    error = pytest.raises(MappingError, facts, ALL, context, RULES).value
    assert (error.code, error.status, error.is_form) == (code, 400, True)


def test_key_that_no_policy_can_contain_is_ignored_and_named():
    found = facts(ALL, {"a b": 1, "k" * 500: 1, "x:{y}": 1, "aws:RequestTag/": 1}, RULES)
    assert found.context == {} and ignored_names(found.ignored) == [
        "context.a b",
        ("context." + "k" * 500)[:128],
        "context.x:{y}",
        "context.aws:RequestTag/",
    ]


def test_ignored_names_are_at_most_twenty():
    assert len(ignored_names(facts(NONE, {f"k{i}": i for i in range(25)}).ignored)) == 20


def test_unknown_keys_are_read_from_any_identity():
    assert facts(NONE, {"Fastiam:Unknown": ["aws:SourceIp"]}).unknown == ("aws:SourceIp",)


@pytest.mark.parametrize("key", ["aws:MultiFactorAuthPresent", "aws:PrincipalTag/x", "aws:PrincipalOrgID", "idp.example:aud"])
def test_rules_refuse_a_key_that_no_request_states(key):
    with pytest.raises(SourceError, match="no request can state"):
        FactRules(names={"mfa": key})


_SEGMENT = st.text("abcdefghijklmnopqrstuvwxyzABCſK:/.-", min_size=1, max_size=20)
_KEY = st.one_of(
    st.sampled_from([info.name for info in KEYS.values()]),
    st.builds(lambda info, tail: info.name + tail, st.sampled_from(list(PREFIXES.values())), _SEGMENT),
    _SEGMENT,
)
_SCOPES = st.frozensets(st.sampled_from(sorted(TRUST_SCOPES)))


@given(key=_KEY, upper=st.booleans(), scopes=_SCOPES, value=st.sampled_from(["true", "1", "10.0.0.1", True, 5, ["a"]]))
def test_no_fact_passes_without_its_scope(key, upper, scopes, value):
    """Each key that reaches the context is one that a request may set, and the identity has the scope of it."""
    name = key.upper() if upper else key
    try:
        found = facts(Identity("any", scopes), {name: value}, RULES)
    except MappingError:
        return
    for stated in found.context:
        folded, info = fold(stated), key_info(fold(stated))
        assert info is None or info.set_by is SetBy.REQUEST
        assert not folded.startswith(("aws:resourceaccount", "aws:resourceorg"))
        assert ASSERT_CONTEXT in scopes
        assert ASSERT_TAGS in scopes or not folded.startswith(("aws:resourcetag/", "iam:resourcetag/"))
    assert bool(found.context) is not bool(found.ignored)


@given(key=_KEY, scopes=_SCOPES)
def test_column_is_refused_without_its_scope(key, scopes):
    needed = scopes_to_state(key)
    info = key_info(fold(key))
    if info is not None and info.set_by is not SetBy.REQUEST:
        assert ASSERT_SESSION in needed
    if needed <= scopes:
        check_asserted(Identity("any", scopes), key)
    else:
        assert code_of(check_asserted, Identity("any", scopes), key) == "not_asserted"


_OCTETS = st.one_of(
    st.integers(0, 300).map(str), st.sampled_from(["", "00", "01", "1e", "٣", "-1", " 1", "1 ", "1\n", "256", "0x1"])
)


@given(
    st.one_of(st.lists(_OCTETS, min_size=3, max_size=5).map(".".join), st.ip_addresses().map(str), st.ip_addresses(v=4).map(str))
)
def test_value_of_an_address_key_is_one_that_ipaddress_reads(text: str) -> None:
    def is_read() -> bool:
        try:
            return bool(facts(ALL, {"aws:SourceIp": text}, RULES).context)
        except MappingError as error:
            assert error.code == "bad_value"
            return False

    assert is_read() == (read_address(text) is not None)


@given(st.lists(st.sampled_from(["arn", "aws", "", "ARN", "*", "a:b"]), max_size=8).map(":".join))
def test_resource_is_an_arn_whose_fields_can_be_read(text: str) -> None:
    try:
        found = check_resource(text) == text
    except RequestValueError:
        found = False
    assert found == (text == "*" or split_arn(text) is not None)
