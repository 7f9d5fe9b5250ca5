"""Hostile input of CreateSession: revocation lists, paths and requests of any form, and the cost of refusing them."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509
from sts_fixture import A
from x509_world import (
    ADE,
    CN_OID,
    INVALID,
    REGION,
    Identity,
    World,
    chained,
    crl,
    encoded,
    inner,
    issue,
    parts_of,
    rdn,
    refused,
    renamed,
    resigned,
    tlv,
    with_header,
)

from fastiam.rolesanywhere.request import MAX_BYTES
from fastiam.sts import StsError


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def host(world: World) -> Identity:
    return issue("host1", world.root)


# -- revocation lists -------------------------------------------------------------------------------------------------------

DELTA = [(x509.DeltaCRLIndicator(1), True)]


def scope(**limits: Any) -> list[tuple[Any, bool]]:
    """The extension of a revocation list that is limited."""
    names = ("only_contains_user_certs", "only_contains_ca_certs", "indirect_crl", "only_contains_attribute_certs")
    point = dict.fromkeys(("full_name", "relative_name", "only_some_reasons")) | dict.fromkeys(names, False) | limits
    return [(x509.IssuingDistributionPoint(**point), True)]


REASONS = frozenset([x509.ReasonFlags.key_compromise])
UNKNOWN = [(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True)]


@pytest.mark.parametrize(
    "make",
    [
        lambda root: crl(root, extensions=DELTA),
        lambda root: crl(root, extensions=scope(indirect_crl=True)),
        lambda root: crl(root, extensions=scope(only_contains_user_certs=True)),
        lambda root: crl(root, extensions=scope(only_contains_ca_certs=True)),
        lambda root: crl(root, extensions=scope(only_contains_attribute_certs=True)),
        lambda root: crl(root, extensions=scope(only_some_reasons=REASONS)),
        lambda root: crl(root, extensions=UNKNOWN),
        lambda root: crl(root, [1], entry_extension=x509.CertificateIssuer([x509.DirectoryName(root.cert.subject)])),
        lambda root: crl(root, this_update=60),
        lambda root: crl(root)[:-200] + "\n-----END X509 CRL-----\n",
        lambda root: "",
        lambda root: "x" * 300_001,
        lambda root: crl(root).replace("\n", "é\n", 1),
        lambda root: root.pem,
    ],
    ids="delta indirect users authorities attributes reasons unknown entry future cut empty long text certificate".split(),
)
def test_import_refuses_a_revocation_list_that_cannot_count(world, make):
    with pytest.raises(StsError) as caught:
        world.objects.import_crl("crl", make(world.root), world.anchor)
    assert caught.value.code == INVALID


def test_a_third_revocation_list_is_refused(world):
    for number in range(2):
        world.objects.import_crl("crl", crl(world.root, number=number), world.anchor)
    with pytest.raises(StsError, match="RW13"):
        world.objects.import_crl("crl", crl(world.root), world.anchor)


def test_unreadable_imported_revocation_list_refuses_everything(world, host):
    made = world.objects.import_crl("crl", crl(world.root), world.anchor, enabled=True)
    world.directory.replace_roles_anywhere(replace(made, data="broken"))
    with pytest.raises(StsError, match="RW34"):
        world.create(host)


def test_names_of_revocation_lists_are_compared_as_names(world):
    """RFC 5280 7.1: case, blanks and the kind of string do not matter."""
    authority = issue("Some  Root", ca=True, label="some")
    twin = renamed(authority, authority.key, rdn(CN_OID, 0x13, b"SOME root"))
    named = World(root=authority)
    host = issue("host1", authority)
    named.objects.import_crl(
        "crl", crl(Identity(twin.cert, authority.key), [host.cert.serial_number]), named.anchor, enabled=True
    )
    with pytest.raises(StsError, match="RW34"):
        named.create(host)


# -- paths ------------------------------------------------------------------------------------------------------------------


def test_a_path_has_five_intermediates_at_most(world):
    chain, issuer = [], world.root
    for i in range(5):
        issuer = issue(f"CA{i}", issuer, ca=True)
        chain.append(issuer)
    assert world.anywhere.create_session(chained(world, issue("host1", issuer), *chain))


@pytest.mark.parametrize(
    "authority",
    [
        {"end": 0},
        {"start": 60},
        {"basic": None},
        {"usage": ["crl_sign"]},
        {"usage": None},
        {"critical": ["unknown"]},
        {"eku": ["server"]},
        {"constraints": x509.NameConstraints([x509.DNSName("corp.example")], None)},
        {"constraints": x509.NameConstraints([x509.DirectoryName(x509.Name([]))], None)},
        {"constraints": x509.NameConstraints(None, [x509.UniformResourceIdentifier("corp.example")])},
    ],
    ids="expired early basic usage no-usage unknown server dns directory uri".split(),
)
def test_authority_without_the_right_to_issue_breaks_the_path(world, authority):
    intermediate = issue("Intermediate", world.root, ca=True, **authority)
    host = issue("host1", intermediate, san=[("DNS", "host1.evil.example"), ("URI", "spiffe://corp.example/x")])
    assert refused(world, chained(world, host, intermediate)).rule == "RW32"


def test_a_path_length_is_kept(world):
    first = issue("First", world.root, ca=True, path_length=0)
    second = issue("Second", first, ca=True)
    assert world.anywhere.create_session(chained(world, issue("host1", first), first))
    assert refused(world, chained(world, issue("host2", second), first, second)).rule == "RW32"


def test_an_email_constraint_covers_the_subject(world):
    constraint = x509.NameConstraints([x509.RFC822Name("corp.example")], None)
    intermediate = issue("Intermediate", world.root, ca=True, constraints=constraint)
    named = issue([("CN", "host1"), ("E", "eve@evil.example")], intermediate)
    assert refused(world, chained(world, named, intermediate)).rule == "RW32"
    assert world.anywhere.create_session(chained(world, issue([("O", "Corp")], intermediate), intermediate))


DNS, MAIL = ("DNS", "a.team.example"), ("email", "a@team.example")
TEAM = x509.NameConstraints([x509.DNSName("team.example")], None)
COMMON_NAMES = {
    "no alternative name": (TEAM, "admin.prod.example", [], False),
    "another alternative name": (TEAM, "admin.prod.example", [DNS], False),
    "a name of a kind that is not limited": (TEAM, "a@prod.example", [DNS, ("email", "a@prod.example")], False),
    "the alternative name": (TEAM, "a.team.example", [DNS], True),
    "one of several": (TEAM, "a.team.example", [("DNS", "b.team.example"), DNS], True),
    "excluded names": (x509.NameConstraints(None, [x509.DNSName("prod.example")]), "admin.prod.example", [DNS], False),
    "no common name": (TEAM, [("O", "Corp")], [DNS], True),
    "an address": (x509.NameConstraints([x509.RFC822Name("team.example")], None), "a@team.example", [MAIL], True),
}


@pytest.mark.parametrize("constraint, subject, names, is_valid", COMMON_NAMES.values(), ids=COMMON_NAMES)
@pytest.mark.parametrize("where", ["anchor", "intermediate"])
def test_common_name_below_a_limited_authority(constraint, subject, names, is_valid, where):
    """It becomes the source identity, and constraints do not cover it (RW53)."""
    root = issue("Root", ca=True, constraints=constraint if where == "anchor" else None)
    limited = issue("Limited", root, ca=True, constraints=constraint if where == "intermediate" else None)
    world = World(root=root)
    request = chained(world, issue(subject, limited, san=names), limited)
    if is_valid:
        assert world.anywhere.create_session(request)
    else:
        assert refused(world, request).rule == "RW32"


def test_another_path_is_found_where_one_is_not_valid(world):
    """Two certificates of one authority, of which one has expired: in any order."""
    old, new = issue("Int", world.root, ca=True, end=0), issue("Int", world.root, ca=True, serial=5)
    host = issue("host1", new)
    for chain in ((old, new), (new, old)):
        assert world.anywhere.create_session(chained(world, host, *chain))


def test_a_trust_anchor_that_has_expired_issues_nothing(world, host):
    world.clock.tick(31 * 86_400)
    assert refused(world, world.draft(issue("late", world.root, end=60 * 86_400)).signed()).rule == "RW32"


@pytest.mark.parametrize(("seconds", "is_valid"), [(-1, False), (0, True), (599, True), (600, False)])
def test_an_end_entity_is_valid_within_its_dates_without_skew(world, seconds, is_valid):
    host = issue("host1", world.root, start=0, end=600)
    world.clock.tick(seconds)
    if is_valid:
        assert world.create(host)
    else:
        assert refused(world, world.draft(host).signed()).reason == "expired"


@pytest.mark.parametrize("serial", [b"\x80", b"\x00", b"\x01" + b"\0" * 20], ids=["negative", "zero", "long"])
@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_serial_numbers_are_positive_and_have_20_octets_at_most(world, host, serial):
    strange = resigned(host, world.root.key, lambda parts: [parts[0], tlv(0x02, serial), *parts[2:]])
    assert refused(world, world.draft(strange).signed()).code == ADE


def test_a_certificate_with_an_extension_twice_is_refused(world, host):
    def doubled(parts: list[bytes]) -> list[bytes]:
        extensions = parts_of(inner(inner(parts[-1])))
        return [*parts[:-1], tlv(0xA3, tlv(0x30, b"".join((*extensions, extensions[-1]))))]

    assert refused(world, world.draft(resigned(host, world.root.key, doubled)).signed()).code == ADE


# -- form of requests -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Amz-Date", "20260101T000000Z\r\nX-Amz-X509: x"),
        ("X-Amz-X509", "a\nb"),
        ("X-Note\r\nHost", "x"),
        ("X-Note", "a\0b"),
        ("X-Note", "h\xf6st"),
        ("X Note", "x"),
        ("", "x"),
        ("X-Note", "x" * MAX_BYTES),
    ],
)
def test_headers_that_no_header_can_be_are_refused(world, host, name, value):
    request = world.draft(host).signed()
    headers = [*request.headers, (name, value)]
    assert refused(world, replace(request, headers=headers), INVALID).rule in ("FD3", "RW21", "6.3")


@pytest.mark.parametrize("name", ["Authorization", "Host", "X-Amz-Date", "X-Amz-X509", "Content-Type", "x-amz-x509"])
def test_a_header_of_the_signature_occurs_once(world, host, name):
    request = world.draft(host).signed()
    value = next(v for n, v in request.headers if n.lower() == name.lower())
    assert refused(world, replace(request, headers=[*request.headers, (name, value)]), INVALID).rule == "6.3"


def test_a_header_is_not_signed_under_a_name_that_was_not_sent(world, host):
    request = world.draft(host).signed()
    stated = dict(request.headers)["Authorization"]
    for old, new in (
        (";x-amz-date", ";x-absent;x-amz-date"),
        ("host;", "host;host;"),
        ("content-type;host", "host;content-type"),
    ):
        assert refused(world, with_header(request, "Authorization", stated.replace(old, new))).reason == "wrong_signature"


def test_further_signed_headers_count(world, host):
    """Blanks are joined, repeated headers by commas."""
    draft = world.draft(host)
    draft.headers = [("X-Note", "  a   b\tc "), ("X-Note", "d")]
    request = draft.signed()
    assert world.anywhere.create_session(request)
    kept = [(name, value.replace("d", "e") if name == "X-Note" else value) for name, value in request.headers]
    assert refused(world, replace(request, headers=kept)).reason == "wrong_signature"


@pytest.mark.parametrize("header", ["Authorization", "X-Amz-X509", "X-Amz-Date", "Host"])
def test_a_header_that_is_missing_is_refused(world, host, header):
    assert refused(world, with_header(world.draft(host).signed(), header, None)).code == ADE


BODIES = {
    "not JSON": b"{",
    "no object": b"[]",
    "not UTF-8": b'{"roleArn": "\xff"}',
    "a member twice": b'{"durationSeconds": 900, "durationSeconds": 901}',
    "an unknown member": b'{"admin": true}',
    "NaN": b'{"durationSeconds": NaN}',
    "deep": b"[" * 60_000,
    "a long number": b'{"durationSeconds": ' + b"9" * 60_000 + b"}",
    "too long": b" " * (MAX_BYTES + 1),
    "an array as ARN": b'{"roleArn": ["a"]}',
    "null": b'{"roleSessionName": null}',
    "a true duration": b'{"durationSeconds": true}',
    "a list of properties": b'{"instanceProperties": []}',
    "an empty property": b'{"instanceProperties": {"": "x"}}',
    "many properties": json.dumps({"instanceProperties": {str(i): "x" for i in range(51)}}).encode(),
    "a surrogate": b'{"instanceProperties": {"a": "\\ud800"}}',
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_body_of_another_form_is_refused(world, host, body):
    draft = world.draft(host, place="query")
    draft.body = body
    assert refused(world, draft.signed(), INVALID).code == INVALID


QUERIES = {
    "a parameter twice": "roleArn=x&roleArn=x",
    "an unknown parameter": "admin=true",
    "no value": "roleArn",
    "a bare plus": "roleArn=a+b",
    "a bad escape": "roleArn=%4",
    "not UTF-8": "roleArn=%FF",
    "a line feed": "roleArn=a\nb",
    "too long": "roleArn=" + "a" * MAX_BYTES,
}


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_a_query_of_another_form_is_refused(world, host, query):
    request = replace(world.draft(host).signed(), query=query)
    assert refused(world, request, INVALID).code == INVALID


@pytest.mark.parametrize("change", [{"method": "GET"}, {"path": "/sessions/"}, {"path": "/%73essions"}, {"body": "text"}])
def test_another_call_is_refused(world, host, change):
    assert refused(world, replace(world.draft(host).signed(), **change), INVALID).rule == "6.2"


def test_deprecated_members_are_ignored(world, host):
    made = world.create(host, sessionName="admin", cert=encoded(issue("admin", world.root)))
    assert made.source_identity == "CN=host1" and not made.arn.endswith("admin")


@pytest.mark.parametrize("text", ["", "x", "AAAA", "MII=", "-----BEGIN CERTIFICATE-----", encoded(issue("x")) + " "])
def test_certificates_that_cannot_be_read_are_refused(world, host, text):
    request = world.draft(host).signed()
    assert refused(world, with_header(request, "X-Amz-X509", text)).code == ADE
    intermediate = issue("Intermediate", world.root, ca=True)
    request = chained(world, issue("host1", intermediate), intermediate)
    assert refused(world, with_header(request, "X-Amz-X509-Chain", f"{text},")).code == ADE


def test_each_refusal_of_large_input_is_quick(world, host):
    """Limits come before parsing. The bound is far above what it takes, so that only a missing limit fails."""
    request = world.draft(host).signed()
    megabyte = "A" * 1_000_000
    started = time.perf_counter()
    refused(world, replace(request, body=megabyte.encode()), INVALID)
    refused(world, replace(request, query=f"roleArn={megabyte}"), INVALID)
    for name in ("X-Amz-X509", "X-Amz-X509-Chain", "Authorization", "X-Note"):
        refused(world, with_header(request, name, megabyte), INVALID)
    with pytest.raises(StsError):
        world.objects.create_trust_anchor(A, REGION, "x", certificates=megabyte)
    with pytest.raises(StsError):
        world.objects.import_crl("x", megabyte, world.anchor)
    assert time.perf_counter() - started < 8


def test_the_cost_of_repeated_headers_grows_with_their_number(world, host):
    """The bound is far above what it takes, and below what the square of their number takes."""
    request = replace(world.draft(host).signed(), headers=[("a", "")] * MAX_BYTES)
    started = time.process_time()
    refused(world, request)
    assert time.process_time() - started < 2
