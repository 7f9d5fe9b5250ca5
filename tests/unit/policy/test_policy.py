"""Reading documents: their forms, JSON syntax, and that only a PolicyError is raised."""

from __future__ import annotations

import contextlib
import gc
import json
from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fastiam.errors import Finding, PolicyError, Severity
from fastiam.model.key_registry import fold, spelled
from fastiam.model.policy import Effect, PolicyKind, PrincipalEntry
from fastiam.model.source_map import Source
from fastiam.policy.document import guess_kind, read_policy, validate_policy
from fastiam.policy.json_text import JsonObject, Number, parse_json
from fastiam.policy.statement import ELEMENTS
from fastiam.runtime.gc_pause import collection_paused

VERSION = "2012-10-17"
STATEMENT = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
DOCUMENT = {"Version": VERSION, "Statement": [STATEMENT]}
KINDS = list(PolicyKind)


def parse(text):
    return parse_json(text, Source("x.json", text if isinstance(text, str) else None))


def broken(text) -> Finding:
    with pytest.raises(PolicyError) as caught:
        parse(text)
    (finding,) = caught.value.findings
    return finding


LONG = [Decimal("1E+50000000"), Decimal("1E-50000000"), Decimal("0E-50000000")]  # many digits without exponent


class TestJson:
    """Rules: V1, V2, G12."""

    @pytest.mark.parametrize(
        "text",
        [
            "",
            " ",
            "{",
            '{"a"',
            '{"a" 1}',
            '{"a":1,}',
            "[1,,2]",
            '{"a":\n  tru}',
            '"a\nb"',
            '"\\x"',
            "01",
            "1 2",
            "{'a':1}",
            "]",
            '["a',
        ],
    )
    def test_syntax_error_has_the_position_of_the_json_module(self, text):
        with pytest.raises(json.JSONDecodeError) as caught:
            json.loads(text)
        finding = broken(text)
        assert (finding.line, finding.column) == (caught.value.lineno, caught.value.colno)
        assert (finding.code, finding.severity, finding.fatal) == ("V1", Severity.ERROR, True)

    @given(st.text(alphabet='{}[]",:\\ \n\u20281.e-tru', max_size=20))
    def test_text_is_json_iff_the_json_module_reads_it(self, text):
        try:
            expected = json.loads(text)
        except json.JSONDecodeError as error:
            finding = broken(text)
            assert (finding.line, finding.column) == (error.lineno, error.colno)
        else:
            assert json.loads(json.dumps(parse(text))) == json.loads(json.dumps(expected), parse_int=str, parse_float=str)

    @pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
    def test_javascript_constants_are_rejected_with_position(self, constant):
        finding = broken(f'{{"NaN": "Infinity",\n "x": [{constant}]}}')
        assert (finding.line, finding.column) == (2, 8)
        assert constant in finding.message

    @pytest.mark.parametrize("opening", ["[", '{"a":'])
    def test_deep_nesting_is_an_error_with_position(self, opening):
        finding = broken(opening * 100_000)
        assert "nested" in finding.message
        assert finding.column == 200 * len(opening) + 1

    def test_invalid_utf8_is_an_error_with_position(self):
        finding = broken(b'{"a":\n "\xc3\xa9\xff"}')
        assert (finding.line, finding.column) == (2, 4)
        assert "UTF-8" in finding.message

    @pytest.mark.parametrize("text", ["\ufeff[1]", b"\xef\xbb\xbf[1]"])
    def test_byte_order_mark_is_accepted(self, text):
        assert parse(text) == ["1"]

    def test_numbers_keep_their_source_token(self):
        assert parse("[1.0, -0, 1E5, 9" + "9" * 5000 + "]")[:3] == ["1.0", "-0", "1E5"]
        assert all(isinstance(value, Number) for value in parse("[1, 2.5]"))

    def test_duplicate_names_are_listed_and_the_last_value_kept(self):
        value = parse('{"a":1,"b":2,"a":3,"c":{"d":1,"d":1,"d":1}}')
        assert isinstance(value, JsonObject)
        assert (value.duplicates, value["a"], value["c"].duplicates) == (("a",), "3", ("d",))


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("text", ["[1]", "[" + " " * 2_000_000 + "1]", "[" * 2_000_000], ids=["small", "large", "broken"])
def test_garbage_collection_is_restored(enabled, text):
    was = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        with contextlib.suppress(PolicyError):
            parse(text)
        validate_policy(text, PolicyKind.IDENTITY)
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if was else gc.disable)()


@pytest.mark.parametrize("frozen", [False, True])
def test_objects_of_a_collection_pause_join_the_old_generation(frozen):
    others = [[] for _ in range(10_000)]
    (gc.freeze if frozen else gc.unfreeze)()  # the conftest freezes what other files have left
    try:
        n_frozen = gc.get_freeze_count()
        with collection_paused():
            made = [[] for _ in range(200_000)]
        old = {id(each) for each in gc.get_objects(generation=2)}
        assert (id(made[0]) in old) is not frozen
        few = len(others) // 2  # threads of other tests may free some meanwhile
        assert not frozen or n_frozen - few < gc.get_freeze_count() <= n_frozen
    finally:
        gc.freeze()


class TestForms:
    """A document may come as text, bytes, URL-encoded text or a mapping."""

    @pytest.mark.parametrize(
        "document",
        [
            json.dumps(DOCUMENT),
            json.dumps(DOCUMENT).encode(),
            b"\xef\xbb\xbf" + json.dumps(DOCUMENT).encode(),
            "\ufeff" + json.dumps(DOCUMENT),
            quote(json.dumps(DOCUMENT), safe=""),
            " \n" + quote(json.dumps(DOCUMENT, indent=2)),
            quote(json.dumps(DOCUMENT)).encode(),
            MappingProxyType(DOCUMENT),
            {"Version": VERSION, "Statement": (STATEMENT,)},
        ],
        ids=["text", "bytes", "bytes with mark", "text with mark", "encoded", "encoded lines", "encoded bytes", "view", "tuple"],
    )
    def test_all_forms_give_the_same_policy(self, document):
        assert read_policy(document, PolicyKind.IDENTITY) == read_policy(DOCUMENT, PolicyKind.IDENTITY)

    def test_plus_stays_plus_in_url_encoded_text(self):
        text = quote(json.dumps(DOCUMENT).replace("*", "arn:aws:s3:::a+b"), safe="+")
        assert read_policy(text, PolicyKind.IDENTITY).statements[0].resources == ("arn:aws:s3:::a+b",)

    @pytest.mark.parametrize("document", ["%7B%FF", "%7B", b"\xff", "%", None, 5, [], True, [DOCUMENT]])
    def test_invalid_document_has_one_fatal_finding(self, document):
        (finding,) = validate_policy(document, PolicyKind.IDENTITY)
        assert (finding.code, finding.fatal) == ("V1", True)
        with pytest.raises(PolicyError):
            read_policy(document, PolicyKind.IDENTITY, mode="lenient")

    def test_text_within_text_gets_a_hint(self):
        (finding,) = validate_policy(json.dumps(json.dumps(DOCUMENT)), PolicyKind.IDENTITY)
        assert "inner text" in finding.hint

    @pytest.mark.parametrize(
        ("value", "text"),
        [(True, "true"), (False, "false"), (10, "10"), (1.0, "1.0"), (0.1, "0.1"), (1e22, "1" + "0" * 22), (1e-7, "0.0000001")],
    )
    def test_python_scalars_have_the_text_of_json(self, value, text):
        """Rule G12."""
        document = {"Version": VERSION, "Statement": STATEMENT | {"Condition": {"StringEquals": {"a:k": value}}}}
        assert read_policy(document, PolicyKind.IDENTITY).statements[0].conditions[0].values == (text,)

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), b"x", 10**5000, {1}, None, *LONG], ids=range(10))
    def test_python_values_without_json_form_are_rejected(self, value):
        document = {"Version": VERSION, "Statement": STATEMENT | {"Condition": {"StringEquals": {"a:k": value}}}}
        assert [finding.code for finding in validate_policy(document, PolicyKind.IDENTITY)] == ["V1"]

    @pytest.mark.parametrize("place", ["top", "statement", "condition"])
    def test_names_that_are_not_text_are_rejected(self, place):
        document = {"Version": VERSION, "Statement": STATEMENT | {"Condition": {}}}
        {"top": document, "statement": document["Statement"], "condition": document["Statement"]["Condition"]}[place][5] = "x"
        assert "V1" in [finding.code for finding in validate_policy(document, PolicyKind.IDENTITY)]

    def test_mapping_that_contains_itself_is_read(self):
        note = {}
        note["note"] = [note, None]
        found = validate_policy(DOCUMENT | {"Note": note}, PolicyKind.IDENTITY)
        assert [finding.code for finding in found] == ["V4", "V1"]


class TestModes:
    """Rule F5."""

    BAD = {"Version": VERSION, "Statement": [STATEMENT | {"Action": ["*:List*", "bad"]}]}

    def test_strict_rejects_with_all_findings_errors_first(self):
        with pytest.raises(PolicyError) as caught:
            read_policy(self.BAD, PolicyKind.IDENTITY)
        assert [finding.code for finding in caught.value.findings] == ["V24", "A2"]

    def test_findings_are_appended_in_both_modes(self):
        strict: list[Finding] = []
        lenient: list[Finding] = []
        with pytest.raises(PolicyError):
            read_policy(self.BAD, PolicyKind.IDENTITY, findings=strict)
        read_policy(self.BAD, PolicyKind.IDENTITY, mode="lenient", findings=lenient)
        assert strict == lenient == validate_policy(self.BAD, PolicyKind.IDENTITY)
        assert [finding.code for finding in lenient] == ["A2", "V24"]

    def test_warnings_never_reject(self):
        found: list[Finding] = []
        read_policy({"Statement": STATEMENT}, PolicyKind.IDENTITY, findings=found)
        assert [(finding.code, finding.severity) for finding in found] == [("G20", Severity.WARN)]

    def test_unknown_mode_is_rejected(self):
        with pytest.raises(ValueError, match="unknown mode"):
            read_policy(DOCUMENT, PolicyKind.IDENTITY, mode="loose")

    def test_policy_keeps_name_arn_and_id(self):
        policy = read_policy(DOCUMENT | {"Id": "i"}, PolicyKind.RESOURCE, name="n", arn="arn:aws:x", mode="lenient")
        assert (policy.name, policy.arn, policy.id, policy.kind) == ("n", "arn:aws:x", "i", PolicyKind.RESOURCE)


class TestModel:
    """What a policy says once it is read."""

    def test_statement_has_all_elements(self):
        statement = {
            "Sid": "S", "Effect": "Deny", "NotPrincipal": {"AWS": ["111111111111"], "Service": "s3.amazonaws.com"},
            "NotAction": ["s3:Get*"], "NotResource": "arn:aws:s3:::b/*",
            "Condition": {"ForAllValues:StringLikeIfExists": {"aws:TagKeys": ["a", "b"]}, "Null": {"a:k": True}},
        }  # fmt: skip
        policy = read_policy({"Version": VERSION, "Statement": statement}, PolicyKind.RESOURCE)
        (read,) = policy.statements
        assert (read.sid, read.effect, read.index, policy.variables) == ("S", Effect.DENY, 0, True)
        assert (read.actions, read.not_action) == (("s3:Get*",), True)
        assert (read.resources, read.not_resource) == (("arn:aws:s3:::b/*",), True)
        assert read.not_principal
        assert read.principals == (PrincipalEntry("AWS", "111111111111"), PrincipalEntry("Service", "s3.amazonaws.com"))
        entries = [(e.operator, e.qualifier, e.if_exists, e.key, e.values, e.undetermined) for e in read.conditions]
        assert entries == [
            ("StringLike", "ForAllValues", True, "aws:TagKeys", ("a", "b"), False),
            ("Null", "", False, "a:k", ("true",), False),
        ]

    def test_statement_index_is_its_position(self):
        policy = read_policy(DOCUMENT | {"Statement": [STATEMENT] * 3}, PolicyKind.IDENTITY)
        assert [statement.index for statement in policy.statements] == [0, 1, 2]

    def test_texts_are_plain_str(self):
        policy = read_policy(
            '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"NumericEquals":{"a:k":5}}}}',
            PolicyKind.IDENTITY,
        )
        assert type(policy.statements[0].conditions[0].values[0]) is str


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        (STATEMENT, PolicyKind.IDENTITY),
        (STATEMENT | {"Principal": "*"}, PolicyKind.RESOURCE),
        ({"Effect": "Allow", "Principal": "*", "Action": ["sts:AssumeRole", "STS:TagSession"]}, PolicyKind.TRUST),
        ({"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage"}, PolicyKind.RESOURCE),
        ({"Effect": "Deny", "NotPrincipal": "*", "Action": "*"}, PolicyKind.RESOURCE),
        ("nonsense", PolicyKind.IDENTITY),
    ],
)
def test_guess_kind_by_content(statement, kind):
    document = {"Version": VERSION, "Statement": [statement]}
    assert guess_kind(document) is kind
    assert guess_kind(quote(json.dumps(document))) is kind
    assert guess_kind("{") is PolicyKind.IDENTITY


# -- any JSON value ----------------------------------------------------------------------------------------------------

WORDS = st.sampled_from(
    [
        "Allow", "Deny", "*", "s3:Get*", "bad", "arn:aws:s3:::b/*", "arn:aws:s3", "${aws:username}", "${", "AWS", "Service",
        "Federated", "111111111111", "2012-10-17", "StringEquals", "ForAllValues:Bool", "Null", "stringlike", "aws:TagKeys",
        "AWS:tagkeys", "aws:username", "aws:Nope", "nokey", "", "\0", "\ud800", "10.0.0.0/8", "2024-05-06", "true",
        "sts:AssumeRole", "accounts.google.com", "rolesanywhere.amazonaws.com", "NoteToSelf",
    ]
)  # fmt: skip
NAMES = st.sampled_from([*ELEMENTS, "Version", "Id", "Statement"]) | WORDS
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=5)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5), max_leaves=12
)
STRINGS = WORDS | st.lists(WORDS, max_size=3)
STATEMENTS = st.fixed_dictionaries(
    {"Effect": st.sampled_from(["Allow", "Deny"])},
    optional={
        "Sid": WORDS | VALUES,
        "Action": STRINGS, "NotAction": STRINGS, "Resource": STRINGS, "NotResource": STRINGS,
        "Principal": WORDS | st.dictionaries(WORDS, STRINGS, max_size=3) | VALUES,
        "NotPrincipal": st.dictionaries(WORDS, STRINGS, max_size=3),
        "Condition": st.dictionaries(WORDS, st.dictionaries(WORDS, STRINGS | VALUES, max_size=3), max_size=3),
        "Note": VALUES,
    },
)  # fmt: skip
DOCUMENTS = st.fixed_dictionaries(
    {"Statement": STATEMENTS | st.lists(STATEMENTS, max_size=3)}, optional={"Version": WORDS, "Id": WORDS, "Note": VALUES}
)


@given(VALUES | DOCUMENTS, st.sampled_from(KINDS), st.sampled_from(["strict", "lenient"]))
def test_any_value_reads_or_raises_policy_error(value, kind, mode):
    found: list[Finding] = []
    try:
        policy = read_policy(value, kind, mode=mode, findings=found)
    except PolicyError as error:
        fatal = [finding.fatal for finding in error.findings]
        assert any(fatal) or (mode == "strict" and any(f.severity is Severity.ERROR for f in error.findings))
    else:
        assert policy.kind is kind
        assert not any(finding.fatal for finding in found)
    assert all(str(finding) and finding.render() for finding in found)
    assert guess_kind(value) in KINDS


@given(VALUES | DOCUMENTS, st.sampled_from(KINDS))
def test_any_text_reads_or_raises_policy_error_with_places(value, kind):
    text = json.dumps(value, indent=1)
    for finding in validate_policy(text, kind):
        assert 1 <= finding.line <= text.count("\n") + 1
        assert 1 <= finding.column <= max(1, len(text.split("\n")[finding.line - 1]))


def unwrap(value):
    """Every list of one value becomes the value."""
    if isinstance(value, Mapping):
        return {name: unwrap(inner) for name, inner in value.items()}
    if isinstance(value, list) and len(value) == 1 and not isinstance(value[0], list):
        return unwrap(value[0])
    return [unwrap(inner) for inner in value] if isinstance(value, list) else value


@given(DOCUMENTS, st.sampled_from(KINDS))
def test_one_value_equals_a_list_of_one(document, kind):
    """Rule G10."""
    document.pop("Note", None)
    for statement in document["Statement"] if isinstance(document["Statement"], list) else [document["Statement"]]:
        for name in ("Sid", "Principal", "Note", "Condition"):  # of these, some values are wrong in a list and others are not
            if not isinstance(statement.get(name), Mapping) or name == "Note":
                statement.pop(name, None)
    codes = [finding.code for finding in validate_policy(document, kind)]
    assume("V1" not in codes)  # a list in a list is wrong, and its value alone is not
    single = unwrap(document)
    assert [finding.code for finding in validate_policy(single, kind)] == codes
    try:
        expected = read_policy(document, kind, mode="lenient")
    except PolicyError:
        return
    assert read_policy(single, kind, mode="lenient") == expected


# -- how policies write keys -------------------------------------------------------------------------------------------


def test_key_is_spelled_as_policies_agree_to_write_it() -> None:
    def read(*keys: str) -> None:
        statement: dict[str, object] = {
            "Effect": "Allow",
            "Action": "s3:*",
            "Condition": {"StringEquals": dict.fromkeys(keys, "x")},
        }
        statement["Resource"] = "arn:aws:s3:::${aws:PrincipalTag/OfVariable}/*"
        read_policy({"Version": "2012-10-17", "Statement": statement}, PolicyKind.IDENTITY)

    read("spelt:FirstKey", "AWS:sourceip")
    read("spelt:FirstKey", "spelt:SecondKey")
    read("spelt:secondkey", "aws:RequestTag/Spelt")
    read("aws:requesttag/spelt")
    written = ["spelt:FirstKey", "aws:SourceIp", "aws:PrincipalTag/OfVariable"]
    assert [spelled(fold(name)) for name in written] == written
    differing = ["spelt:secondkey", "aws:RequestTag/spelt"]
    assert [spelled(fold(name)) for name in differing] == differing
