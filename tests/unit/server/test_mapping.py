"""How the ids of a caller become names of IAM (rules G49 to G58, G75 to G77)."""

from __future__ import annotations

from base64 import b32hexencode
from datetime import UTC, datetime
from hashlib import sha256

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastiam import Directory, SourceError
from fastiam.server.identity import ASSERT_CONTEXT, ASSERT_OWNER, ASSERT_SESSION, ASSERT_TAGS, TRUST_SCOPES, Identity
from fastiam.server.mapping import (
    EntityMapper,
    EntityMapping,
    KnownRecords,
    MappingError,
    PrincipalTemplate,
    ResourceSection,
    SubjectSection,
    Template,
    encode,
    read_principal,
    role_session,
)
from fastiam.server.mapping.request_principals import is_name, tagged_session

A = "111111111111"
NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
ALL = Identity("all", TRUST_SCOPES)
NONE = Identity("none", frozenset())


def scoped(*scopes: str) -> Identity:
    return Identity("scoped", frozenset(scopes))


def code_of(call, *args, **kwargs) -> str:
    with pytest.raises(MappingError) as caught:
        call(*args, **kwargs)
    return caught.value.code


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


# ids of identity providers, and what they become
IDS = {
    "auth0|5f7c8ec7c33c6c004bbafe82": "c5qn8q1gfgqmcdr371im6dr36cpm6dj360o38oj2c5j6ae1i",
    "did:example:123": "chkm8ej5f1gmqs3cckt32chj",
    "spiffe://prod/ns/a/sa/b": "edo6ipj6ckt2ubrge9nm8breecnm2brjc4nm4",
    "Ana María": "85n6282dc5pc7bb1",
    "ana@example.com": "c5n62g35f1gmqs3cckn66rrd",
    "a": "c4",
    "sha256-": "edk62chl6omg",
}
KEEPS = ("base32hex", "hash")


@given(st.text(min_size=1, max_size=60), st.text(min_size=1, max_size=60))
@pytest.mark.parametrize("encoding", KEEPS)
def test_encoded_id_is_a_name_of_its_own(encoding, one, other):
    template = Template("u/{id}", ("id",), "t", encoding)
    try:
        names = [template.render({"id": id_})[2:] for id_ in (one, other)]
    except MappingError as error:
        assert error.code == "bad_character"
        return
    assert all(is_name(name, 2) for name in names) and (names[0] == names[1]) is (one == other)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60))
def test_encoded_id_reverses_to_itself_unless_it_is_a_hash(id_):
    template = Template("u/{id}", ("id",), "t", "base32hex")
    text = template.render({"id": id_})
    is_long = len(id_.encode()) > 40
    assert text.startswith("u/sha256-") is is_long is template.hides(text)
    assert template.reverse(text) == (None if is_long else {"id": id_})


@given(st.text("0123456789abcdefghijklmnopqrstuvwxyzABCV=-%", min_size=1, max_size=20))
def test_name_that_no_id_is_encoded_as_has_no_id(name):
    template = Template("u/{id}", ("id",), "t", "base32hex")
    found = template.reverse(f"u/{name}")
    assert found is None or template.render(found) == f"u/{name}"


def test_encodings_are_those_of_the_documentation():
    readable, hashed = (Template("{id}", ("id",), "t", encoding) for encoding in KEEPS)
    assert {id_: readable.render({"id": id_}) for id_ in IDS} == IDS
    for id_, name in IDS.items():
        assert b32hexencode(id_.encode()).decode().rstrip("=").lower() == name
        made = hashed.render({"id": id_})
        assert made == "sha256-" + b32hexencode(sha256(id_.encode()).digest()).decode().rstrip("=").lower()
        assert hashed.reverse(made) is None and hashed.hides(made)
    assert readable.render({"id": "x" * 40}) == b32hexencode(b"x" * 40).decode().lower()
    assert readable.render({"id": "x" * 41}) == hashed.render({"id": "x" * 41})


def test_name_around_an_encoded_id_leaves_room_for_a_hash():
    text = "user/{type}/abc-{id}"
    made = Template(text, ("id", "type"), "t", "base32hex", plain=("type",)).render({"id": "x" * 39, "type": "é"})
    assert made.startswith("user/%C3%A9/abc-sha256-") and len(made.rpartition("/")[2]) == 63
    with pytest.raises(SourceError, match="`abcdef` next to `{id}` is too long"):
        Template("user/abc{id}def", ("id",), "t", "hash")


# -- principals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["alice", "spiffe://x/y", "", "arn:aws:s3:::b", "evil.com", "x.amazonaws.com.evil", "S3.amazonaws.com"]
)
def test_text_that_names_no_principal_is_refused(text):
    assert code_of(read_principal, text) == "unmapped_subject"


@pytest.mark.parametrize("text", ["*", "s3.amazonaws.com", "x.amazonaws.com.cn", f"arn:aws:iam::{A}:user/a", "s3.c2s.ic.gov"])
def test_principal_text_is_read(text):
    assert read_principal(text).text == text


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


ROLE, SESSION = f"arn:aws:iam::{A}:role/people", f"arn:aws:sts::{A}:assumed-role/people/ana"
TAG_NAMES = ("team", "Title", "cost center", "project")
TAG_VALUES = ("red", "blue", "")


def records_of(tags: dict[str, str], *statements: dict) -> KnownRecords:
    directory = Directory()
    directory.add_account(A)
    policy = {"Version": "2012-10-17", "Statement": list(statements)}
    directory.add_principal(ROLE, tags=tags, identity_policies=[policy] if statements else [])
    return KnownRecords(directory.compile())


# tags of a session, those of its role, and which of them are unknown
TAGS = {
    "all right": ({"team": "red"}, {"team": "blue"}, set()),
    "characters": ({"team": "red", "title": "Head (Sales)"}, {}, {"title"}),
    "too long": ({"team": "red", "title": "x" * 257}, {}, {"title"}),
    "list": ({"team": "red", "roles": None}, {}, {"roles"}),
    "reserved name": ({"team": "red", "aws:team": "red"}, {}, {"aws:team"}),
    "unreadable name": ({"team": "red", "a\x00b": "red"}, {}, set()),
    "other value than that of the role": ({"team": "red", "title": "(x)"}, {"Team": "blue"}, {"team", "title"}),
    "value of the role": ({"team": "red", "title": "(x)"}, {"Team": "red"}, {"title"}),
}


@pytest.mark.parametrize("tags, of_role, unknown", TAGS.values(), ids=TAGS)
def test_tag_that_a_session_cannot_have_is_unknown(tags, of_role, unknown):  # G53
    made = tagged_session(ROLE, "ana", tags, records_of(of_role))
    assert {*made.unknown} == {f"aws:PrincipalTag/{name}" for name in unknown}
    if isinstance(made.principal, str):
        assert made.principal == SESSION and made.keys == {} if "team" in unknown else {"aws:PrincipalTag/team": "red"}
    else:
        assert made.principal.tags == tags and not made.keys
    too_many = {f"k{number}": "(v)" for number in range(51)}
    assert code_of(tagged_session, ROLE, "ana", too_many, records_of({})) == "bad_value"


@given(
    st.dictionaries(st.sampled_from(TAG_NAMES), st.sampled_from(TAG_VALUES)),
    st.dictionaries(st.sampled_from(TAG_NAMES), st.sampled_from(TAG_VALUES), max_size=1),
    st.lists(
        st.tuples(
            st.sampled_from(("Allow", "Deny")),
            st.sampled_from(("StringEquals", "StringNotEquals", "StringLike", "StringEqualsIfExists", "Null")),
            st.sampled_from((*(f"aws:PrincipalTag/{name}" for name in TAG_NAMES), "aws:MultiFactorAuthPresent", "saml:sub")),
            st.sampled_from((*TAG_VALUES, "false", "${aws:PrincipalTag/team}")),
        ),
        max_size=4,
    ),
)
def test_session_with_unknown_tag_is_decided_by_the_others(tags, of_role, tests):
    """A tag that no policy reads is unknown; the decision is that of the session with the others, or says what it depends on."""
    conditions = [({operator: {key: "false" if operator == "Null" else value}}, effect) for effect, operator, key, value in tests]
    statements = [{"Effect": "Allow", "Action": "a:b", "Resource": "*"}] + [
        {"Effect": effect, "Action": "a:b", "Resource": "*", "Condition": condition} for condition, effect in conditions
    ]
    records = records_of(of_role, *statements)
    whole = tagged_session(ROLE, "ana", tags, records)
    made = tagged_session(ROLE, "ana", {**tags, "other": None}, records)
    engine = records._engine
    expected = engine.decide(whole.principal, "a:b", "arn:aws:a:::b", now=NOW)
    found = engine.decide(made.principal, "a:b", "arn:aws:a:::b", dict(made.keys), unknown=made.unknown, now=NOW)
    if made.unknown == ("aws:PrincipalTag/other",):
        assert found.outcome is expected.outcome
    else:
        assert not found.allowed or expected.allowed


class _Section(msgspec.Struct, forbid_unknown_fields=True):
    subjects: dict[str, SubjectSection] = {}
    resources: dict[str, ResourceSection] = {}
    actions: dict[str, str] = {}
    context: dict[str, str] = {}


def of_section(section: dict, **options) -> EntityMapping:
    tables = msgspec.convert(section, _Section)
    return EntityMapping.of(tables.subjects, tables.resources, tables.actions, tables.context, **options)


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
    assert mapper.subject("service", "own.amazonaws.com", None, ALL, NOW).principal == "own.amazonaws.com"
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


def test_property_that_is_not_a_tag_is_unknown(mapper):  # G53
    person = mapper.subject("person", "ana", {"role": "admin", "title": "Head (Sales)", "groups": ["a", "b"], "n": [5]}, ALL, NOW)
    assert person.name == person.principal == f"arn:aws:sts::{A}:assumed-role/people/ana"
    assert person.facts.context == {"aws:PrincipalTag/role": "admin", "aws:PrincipalTag/n": "5"}
    assert person.facts.unknown == ("aws:PrincipalTag/title", "aws:PrincipalTag/groups")
    assert person.facts.ignored == ["subject.properties.title", "subject.properties.groups"]
    stranger = mapper.subject("strict", "carl", {"groups": ["a", "b"]}, ALL, NOW)
    assert stranger.facts.unknown == ("aws:PrincipalTag/groups",) and stranger.facts.ignored == ["subject.properties.groups"]
    known = mapper.subject("user", "bob", {"groups": ["a", "b"]}, ALL, NOW)
    assert known.facts.unknown == () and known.facts.ignored == ["subject.properties.groups"]


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
        ({"subjects": {"u": {"encoding": "hash"}}}, "authzen.subjects.u.encoding"),
        (
            {"subjects": {"u": {"principal": f"arn:aws:iam::{A}:user/person-{{id}}", "encoding": "hash"}}},
            "authzen.subjects.u.principal",
        ),
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
    bad = template.make({"id": "ada"}, records, {"team": "red", "title": "(x)"})
    assert (bad.name, bad.keys, bad.unknown) == (made.name, {"aws:PrincipalTag/team": "red"}, ("aws:PrincipalTag/title",))
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
