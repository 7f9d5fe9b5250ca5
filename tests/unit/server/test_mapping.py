"""Which facts a caller may state, and how its ids become names of IAM (rules G4, G7, G49 to G58, G75 to G77)."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastiam import Directory, SourceError
from fastiam.errors import RequestValueError
from fastiam.model.arn import split_arn
from fastiam.model.key_registry import KEYS, PREFIXES, SetBy, fold, key_info
from fastiam.model.request import ContextValue, check_resource
from fastiam.server.identity import ASSERT_CONTEXT, ASSERT_OWNER, ASSERT_SESSION, ASSERT_TAGS, TRUST_SCOPES, Identity
from fastiam.server.mapping import (
    EntityMapper,
    EntityMapping,
    FactRules,
    KnownRecords,
    MappingError,
    PrincipalTemplate,
    ResourceSection,
    SubjectSection,
    Template,
    check_asserted,
    encode,
    facts,
    ignored_names,
    read_principal,
    role_session,
    scopes_to_state,
)
from fastiam.spec.values import read_address

A = "111111111111"
NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
ALL = Identity("all", TRUST_SCOPES)
NONE = Identity("none", frozenset())
RULES = FactRules(names={"ip": "aws:SourceIp"}, bare="authzen:context/", reserved=("authzen:subject/",))


def scoped(*scopes: str) -> Identity:
    return Identity("scoped", frozenset(scopes))


def code_of(call, *args, **kwargs) -> str:
    with pytest.raises(MappingError) as caught:
        call(*args, **kwargs)
    return caught.value.code


# -- facts ------------------------------------------------------------------------------------------------------------


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


# -- templates --------------------------------------------------------------------------------------------------------


@given(st.text(min_size=1, max_size=30), st.text(min_size=1, max_size=30))
def test_template_reverses_each_text_that_it_makes(ns, sa):
    template = Template("arn:aws:iam::111111111111:role/k8s/{ns}/x-{sa}", ("ns", "sa"), "t")
    try:
        text = template.render({"ns": ns, "sa": sa})
    except MappingError as error:
        assert error.code == "bad_character"
        return
    assert text.count("/") == 3 and text.count(":") == 5
    assert template.reverse(text) == {"ns": ns, "sa": sa}


@pytest.mark.parametrize("text", ["r/a%2fb", "r/a%41", "r/%", "r/a/b", "r/", "q/a", "r/a%FF", "r/ä"])
def test_template_does_not_reverse_another_spelling(text):
    assert Template("r/{id}", ("id",), "t").reverse(text) is None


@pytest.mark.parametrize("text", ["{ns}-{sa}", "{ns}{sa}", "x{other}", "x{", "{id", "", 5, None])
def test_ambiguous_or_malformed_template_is_refused(text):
    with pytest.raises(SourceError, match="at `t`"):
        Template(text, ("ns", "sa", "id"), "t")


def test_encode_leaves_only_safe_characters():
    assert encode("a/b:c%*?ä‮") == "a%2Fb%3Ac%25%2A%3F%C3%A4%E2%80%AE"
    assert encode("Ab9._~@+=,-") == "Ab9._~@+=,-"


# -- principals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["alice", "spiffe://x/y", "", "arn:aws:s3:::b", "evil.com", "x.amazonaws.com.evil", "S3.amazonaws.com"]
)
def test_text_that_names_no_principal_is_refused(text):
    assert code_of(read_principal, text) == "unmapped_subject"


@pytest.mark.parametrize("text", ["*", "s3.amazonaws.com", "x.amazonaws.com.cn", f"arn:aws:iam::{A}:user/a", "own.example"])
def test_principal_text_is_read(text):
    assert read_principal(text, {"own.example"}).text == text


def test_session_tags_obey_the_limits_of_sts():
    role = f"arn:aws:iam::{A}:role/team/people"
    session = role_session(role, "ana", {"team": "red"})
    assert (session.arn, session.issuer, dict(session.tags)) == (
        f"arn:aws:sts::{A}:assumed-role/people/ana",
        role,
        {"team": "red"},
    )
    for tags in ({"k" * 129: "v"}, {"k": "v" * 257}, {"aws:k": "v"}, {f"k{i}": "v" for i in range(51)}, {"k": "<>"}):
        assert code_of(role_session, role, "ana", tags) == "bad_value"
    for name in ("a", "a" * 65, "a b", "a/b", "ä" * 3):
        assert code_of(role_session, role, name) == "unmapped_subject"


class _Section(msgspec.Struct, forbid_unknown_fields=True):
    subjects: dict[str, SubjectSection] = {}
    resources: dict[str, ResourceSection] = {}
    actions: dict[str, str] = {}
    context: dict[str, str] = {}
    services: list[str] = []


def of_section(section: dict, **options) -> EntityMapping:
    tables = msgspec.convert(section, _Section)
    return EntityMapping.of(
        tables.subjects, tables.resources, tables.actions, tables.context, services=tables.services, **options
    )


# -- entities ---------------------------------------------------------------------------------------------------------

MAPPING = of_section(
    {
        "subjects": {
            "user": {"principal": f"arn:aws:iam::{A}:user/{{id}}", "subject_properties": "tags"},
            "strict": {
                "principal": f"arn:aws:iam::{A}:user/{{id}}",
                "known": False,
                "subject_properties": "tags",
                "on_conflict": "deny",
            },
            "person": {"session_of": f"arn:aws:iam::{A}:role/team/people"},
            "either": {"session_of": f"arn:aws:iam::{A}:role/team/people", "accept_arn_ids": True},
            "silent": {"principal": f"arn:aws:iam::{A}:user/{{id}}", "subject_properties": "ignore"},
            "open": {"principal": f"arn:aws:iam::{A}:user/{{id}}", "known": False, "accept_arn_ids": True},
        },
        "resources": {
            "record": {"resource": "arn:aws:record:::record/{id}", "known": True, "action_prefix": "record"},
            "file": {"resource": "arn:aws:s3:::files/{type}/{id}"},
        },
        "actions": {"can_open": "door:Open"},
        "services": ["own.example"],
    }
)


@pytest.fixture(scope="module")
def mapper() -> EntityMapper:
    directory = Directory()
    directory.add_account(A)
    directory.add_principal(f"arn:aws:iam::{A}:user/bob", tags={"role": "admin"})
    directory.add_principal(f"arn:aws:iam::{A}:role/team/people", tags={"kind": "human"})
    directory.add_resource("arn:aws:record:::record/r1", account=A, tags={"Status": "open"})
    return EntityMapper(MAPPING, KnownRecords(directory.compile()))


def test_subject_ids_become_principals(mapper):
    session = mapper.subject("person", "ana", {"role": "x"}, ALL, NOW).principal
    assert session.arn == f"arn:aws:sts::{A}:assumed-role/people/ana" and dict(session.tags) == {"role": "x"}
    assert mapper.subject("user", "bob", None, ALL, NOW).principal == f"arn:aws:iam::{A}:user/bob"
    assert mapper.subject("anonymous", "whoever", None, ALL, NOW).principal == "*"
    assert mapper.subject("service", "own.example", None, ALL, NOW).principal == "own.example"
    assert mapper.subject("open", f"arn:aws:iam::{A}:role/r", None, ALL, NOW).principal == f"arn:aws:iam::{A}:role/r"
    assert mapper.subject("other", f"arn:aws:iam::{A}:root", None, ALL, NOW).principal == f"arn:aws:iam::{A}:root"


@pytest.mark.parametrize(
    ("type_", "id_", "code"),
    [
        ("user", "nobody", "unknown_subject"),
        ("user", f"arn:aws:iam::{A}:user/bob", "unmapped_subject"),
        ("user", "spiffe://x/y", "unmapped_subject"),
        ("user", "a" * 65, "unmapped_subject"),
        ("user", "bob~", "unmapped_subject"),
        ("person", "x", "unmapped_subject"),
        ("person", "a/b", "unmapped_subject"),
        ("person", f"arn:aws:iam::{A}:role/admin", "unmapped_subject"),
        ("role", f"arn:aws:iam::{A}:user/bob", "type_mismatch"),
        ("role", f"arn:aws:sts::{A}:assumed-role/r/ses", "type_mismatch"),
        ("session", f"arn:aws:iam::{A}:role/r", "type_mismatch"),
        ("root", f"arn:aws:iam::{A}:user/bob", "type_mismatch"),
        ("spaceship", "enterprise", "unmapped_subject"),
        ("service", "enterprise", "unmapped_subject"),
        ("service", f"arn:aws:iam::{A}:user/bob", "type_mismatch"),
        ("other", "arn:aws:s3:::bucket", "unmapped_subject"),
    ],
)
def test_subject_that_maps_to_no_principal_is_refused(mapper, type_, id_, code):
    for _ in range(2):
        assert code_of(mapper.subject, type_, id_, None, ALL, NOW) == code


def test_subject_tags_are_those_of_the_record(mapper):
    for value, ignored in (("admin", []), ("guest", ["subject.properties.role"])):
        subject = mapper.subject("user", "bob", {"role": value}, ALL, NOW)
        assert subject.facts.context == {} and subject.facts.ignored == ignored
    assert mapper.subject("user", "bob", {"team": "x"}, ALL, NOW).facts.ignored == ["subject.properties.team"]
    assert code_of(mapper.subject, "strict", "bob", {"team": "x"}, ALL, NOW) == "conflict"
    assert mapper.subject("strict", "bob", {"Role": "admin"}, ALL, NOW).facts.ignored == []
    unknown = mapper.subject("strict", "carl", {"role": "admin"}, ALL, NOW)
    assert unknown.facts.context == {"aws:PrincipalTag/role": "admin"}
    assert mapper.subject("strict", "carl", {"role": "admin"}, NONE, NOW).facts.context == {}


def test_subject_properties_can_be_ignored(mapper):
    subject = mapper.subject("silent", "bob", {"role": "admin"}, ALL, NOW)
    assert subject.facts.context == {} and subject.facts.ignored == ["subject.properties.role"]


def test_person_tags_need_the_scope_of_tags(mapper):
    subject = mapper.subject("person", "ana", {"role": "admin"}, scoped(ASSERT_CONTEXT), NOW)
    assert dict(subject.principal.tags) == {} and subject.facts.ignored == ["subject.properties.role"]
    assert code_of(mapper.subject, "person", "ana", {"role": "a", "Role": "b"}, ALL, NOW) == "bad_value"


def test_arn_id_of_a_person_stays_the_session_it_names(mapper):
    arn = f"arn:aws:sts::{A}:assumed-role/other/ana"
    assert mapper.subject("either", arn, None, ALL, NOW).principal == arn
    tagged = mapper.subject("either", arn, {"team": "x"}, ALL, NOW)
    assert tagged.principal == arn and tagged.facts.context == {"aws:PrincipalTag/team": "x"}


def test_session_is_stated_only_with_its_scope(mapper):
    arn = f"arn:aws:sts::{A}:assumed-role/people/ana"
    stated = {"mfa_at": "2026-11-29T11:59:00Z", "source_identity": "ana", "tags": {"t": "1"}, "note": "n"}
    subject = mapper.subject("session", arn, stated, scoped(ASSERT_SESSION), NOW)
    assert subject.principal.issuer == f"arn:aws:iam::{A}:role/team/people" and subject.principal.source_identity == "ana"
    assert subject.principal.context == {"aws:MultiFactorAuthPresent": True}
    assert subject.facts.context == {"aws:MultiFactorAuthAge": 60, "authzen:subject/note": "n"}
    bare = mapper.subject("session", arn, stated, scoped(ASSERT_TAGS, ASSERT_CONTEXT, ASSERT_OWNER), NOW)
    assert bare.principal == arn and bare.facts.context == {"authzen:subject/note": "n"}
    assert bare.facts.ignored == [f"subject.properties.{name}" for name in ("mfa_at", "source_identity", "tags")]
    assert code_of(mapper.subject, "session", arn, {"mfa_at": "2026-11-29T12:00:01Z"}, ALL, NOW) == "bad_value"


def test_resource_ids_become_arns(mapper):
    assert mapper.resource("record", "r1", None, ALL).arn == "arn:aws:record:::record/r1"
    assert mapper.resource("file", "a/../b", None, ALL).arn == "arn:aws:s3:::files/file/a%2F..%2Fb"
    assert mapper.resource("other", "arn:aws:s3:::b/k", None, ALL).arn == "arn:aws:s3:::b/k"
    for type_, id_, code in (
        ("record", "r2", "unknown_resource"),
        ("record", "r1/../r1", "unknown_resource"),
        ("record", "*", "unknown_resource"),
        ("file", "arn:aws:s3:::b/k", "unmapped_resource"),
        ("other", "b/k", "unmapped_resource"),
    ):
        assert code_of(mapper.resource, type_, id_, None, ALL) == code


def test_resource_tags_and_owner_need_their_scopes(mapper):
    stated = {"status": "open", "size": 5, "hot": True, "labels": ["a"], "account": A}
    full = mapper.resource("record", "r1", stated, ALL)
    assert full.owner == A and full.facts.ignored == []
    assert full.facts.context == {
        "aws:ResourceTag/size": "5",
        "aws:ResourceTag/hot": "true",
        "authzen:resource/labels": ["a"],
    }
    none = mapper.resource("record", "r1", stated, NONE)
    assert none.owner is None and none.facts.ignored == ["resource.properties.account"]
    assert set(none.facts.context) == {f"authzen:resource/{name}" for name in ("status", "size", "hot", "labels")}
    other = mapper.resource("record", "r1", {"STATUS": "closed"}, ALL)
    assert other.facts.context == {} and other.facts.ignored == ["resource.properties.STATUS"]
    assert code_of(mapper.resource, "record", "r1", {"account": "x"}, ALL) == "bad_value"


def test_action_names_become_actions(mapper):
    record, file = MAPPING.resources["record"], MAPPING.resources["file"]
    assert mapper.action_name("read", record) == "record:read"
    assert mapper.action_name("s3:GetObject", record) == "s3:GetObject"
    assert mapper.action_name("can_open", file) == "door:Open"
    for name in ("read", "s3:*", "s3:Get Object", "s3:Get?", "a:b:c", ":x", "x:"):
        assert code_of(mapper.action_name, name, file) == "unmapped_action"
    assert code_of(mapper.action_name, "rea*", record) == "unmapped_action"


@pytest.mark.parametrize(
    ("section", "path"),
    [
        ({"subjects": {"u": {"principal": "arn:aws:iam::111111111111:bucket/{id}"}}}, "authzen.subjects.u.principal"),
        ({"subjects": {"u": {"principal": "arn:aws:iam::111111111111:user/x"}}}, "authzen.subjects.u.principal"),
        ({"subjects": {"u": {"session_of": f"arn:aws:iam::{A}:role/r", "known": True}}}, "authzen.subjects.u.known"),
        ({"subjects": {"u": {"session_of": f"arn:aws:iam::{A}:role/r", "principal": "x{id}"}}}, "authzen.subjects.u"),
        ({"context": {"mfa": "aws:MultiFactorAuthPresent"}}, "authzen.context.mfa"),
        ({"subjects": {"u": {"session_of": "arn:aws:iam::111111111111:user/x"}}}, "authzen.subjects.u.session_of"),
        ({"resources": {"r": {"resource": "record/{id}"}}}, "authzen.resources.r.resource"),
        ({"resources": {"r": {"action_prefix": "a b"}}}, "authzen.resources.r.action_prefix"),
        ({"actions": {"read": "read"}}, "authzen.actions.read"),
    ],
)
def test_mapping_that_is_wrong_is_refused_with_its_place(section, path):
    with pytest.raises(SourceError) as caught:
        of_section(section)
    assert caught.value.path == path


def test_known_type_needs_a_directory():
    section = {"subjects": {"user": {"principal": "arn:aws:iam::111111111111:user/{id}"}}}
    with pytest.raises(SourceError, match="no directory"):
        of_section(section, has_directory=False)
    section["subjects"]["user"]["known"] = False
    assert of_section(section, has_directory=False).subjects["user"].is_known is False


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


# -- principals that are made once --------------------------------------------------------------------------------------


def test_session_of_a_role_is_made_once_for_its_records():
    directory, role = Directory(), f"arn:aws:iam::{A}:role/people"
    directory.add_principal(role)
    records = KnownRecords(directory.compile())
    template = PrincipalTemplate(("id",), "at", role=role, session="{id}")
    made = template.make({"id": "ada"}, records)
    assert template.make({"id": "ada"}, records) is made and made.name == f"arn:aws:sts::{A}:assumed-role/people/ada"
    assert template.make({"id": "bob"}, records).name == f"arn:aws:sts::{A}:assumed-role/people/bob"
    assert template.make({"id": "ada"}, records, {"team": "red"}).principal.tags == {"team": "red"}
    assert template.make({"id": "ada"}, records).principal.tags == {}
    directory.delete_principal(role)
    assert code_of(template.make, {"id": "ada"}, KnownRecords(directory.compile())) == "unknown_subject"


def test_principal_needs_a_record_only_where_it_must_be_known():
    directory, user = Directory(), f"arn:aws:iam::{A}:user/{{id}}"
    records = KnownRecords(directory.compile())
    for known in (False, True, False):  # what one template has made is no answer for the other
        template = PrincipalTemplate(("id",), "at", principal=user, known=known)
        for _ in range(2):
            if known:
                assert code_of(template.make, {"id": "ada"}, records) == "unknown_subject"
            else:
                assert template.make({"id": "ada"}, records).name == f"arn:aws:iam::{A}:user/ada"


def test_cached_principals_are_bounded(monkeypatch):
    monkeypatch.setattr("fastiam.server.mapping.known._KEPT_PRINCIPALS", 3)
    records = KnownRecords(Directory().compile())
    template = PrincipalTemplate(("id",), "at", principal=f"arn:aws:iam::{A}:user/{{id}}")
    for number in range(10):
        template.make({"id": f"u{number}"}, records)
        assert len(records._mapped) <= 3
