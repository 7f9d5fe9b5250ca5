"""Attacks on CreateSession: each row of federation.md 6.7, altered certificates and requests, and replay."""

from __future__ import annotations

import json
import random
from base64 import b64decode, b64encode
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from sts_fixture import A
from x509_world import (
    ADE,
    CN_OID,
    HOST,
    INVALID,
    OU_OID,
    REGION,
    Identity,
    World,
    chained,
    crl,
    encoded,
    issue,
    make_key,
    rdn,
    refused,
    renamed,
    resigned,
    resigned_der,
    tlv,
    trust_policy,
    with_header,
)

from fastiam.rolesanywhere import RolesAnywhereSettings, certificates, error_response
from fastiam.sts import StsError


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def host(world: World) -> Identity:
    return issue("host1", world.root)


# -- the rows of 6.7 --------------------------------------------------------------------------------------------------------


def test_an_authority_is_not_an_end_entity(world):
    intermediate = issue("Intermediate", world.root, ca=True)
    assert refused(world, world.draft(intermediate).signed()).rule == "RW30"
    assert refused(world, world.draft(world.root).signed()).rule == "RW30"


def test_an_end_entity_that_is_itself_a_trust_anchor_is_refused(world):
    alone = issue("alone")
    broken = replace(world.directory.tables.trust_anchors[world.anchor], certificates=alone.pem)
    world.directory.replace_roles_anywhere(broken)  # as of an import, which does not check certificates
    assert refused(world, world.draft(alone).signed()).rule == "RW32"


def test_a_root_that_comes_with_the_request_is_not_trusted(world):
    own = issue("Root", ca=True, label="own")  # the name of the anchor, another key
    assert refused(world, chained(world, issue("host1", own), own)).rule == "RW32"


def test_certificates_of_other_authorities_are_refused(world):
    sibling, other = issue("Sibling", world.root, ca=True), issue("Other", ca=True)
    narrow = world.objects.create_trust_anchor(
        A, REGION, "narrow", certificates=issue("Intermediate", world.root, ca=True).pem, enabled=True
    )
    draft = world.draft(issue("host1", sibling), anchor=narrow.arn)
    draft.chain = [sibling, world.root]
    assert refused(world, draft.signed()).rule == "RW32"
    world.objects.create_trust_anchor(A, REGION, "other", certificates=other.pem, enabled=True)
    assert refused(world, world.draft(issue("host1", other)).signed()).rule == "RW32"


def test_a_certificate_without_its_private_key_gives_nothing(world, host):
    draft = world.draft(host)
    draft.key = make_key("ec", "thief")
    assert refused(world, draft.signed()).reason == "wrong_signature"


def test_a_certificate_that_is_swapped_after_signing_is_refused(world, host):
    request = world.draft(host).signed()
    same_key = issue("admin", world.root, label="host1", serial=host.cert.serial_number)  # all but the name is the same
    assert same_key.key is host.key
    assert refused(world, with_header(request, "X-Amz-X509", encoded(same_key))).reason == "wrong_signature"


@pytest.mark.parametrize("name", ["profileArn", "roleArn", "trustAnchorArn"])
@pytest.mark.parametrize("place", ["body", "query"])
def test_arns_that_are_swapped_after_signing_are_refused(world, host, name, place):
    made = world.objects
    others = {
        "profileArn": made.create_profile(A, REGION, "other", role_arns=[HOST], enabled=True).arn,
        "trustAnchorArn": made.create_trust_anchor(A, REGION, "other", certificates=world.root.pem, enabled=True).arn,
        "roleArn": f"{HOST}2",
    }
    mine = {"profileArn": world.profile, "trustAnchorArn": world.anchor, "roleArn": HOST}[name]
    request = world.draft(host, place=place).signed()
    if place == "body":
        swapped = replace(request, body=request.body.replace(mine.encode(), others[name].encode()))
    else:
        swapped = replace(request, query=request.query.replace(mine.replace(":", "%3A").replace("/", "%2F"), others[name]))
    assert swapped != request
    assert refused(world, swapped).reason == "wrong_signature"


@pytest.mark.parametrize("place", ["body", "query"])
def test_arns_that_differ_between_query_and_body_are_refused(world, host, place):
    draft = world.draft(host, place="both")
    draft.query[1] = ("roleArn", f"{HOST}2")
    assert refused(world, draft.signed(), INVALID).rule == "6.2"


def test_scope_and_date_of_another_request_are_refused(world, host):
    request = world.draft(host).signed()
    stated = dict(request.headers)["Authorization"]
    for old, new in (("/20260101/", "/20260102/"), (f"/{REGION}/", "/us-east-1/"), ("aws4_request", "aws5_request")):
        assert refused(world, with_header(request, "Authorization", stated.replace(old, new))).code == ADE
    assert refused(world, with_header(request, "X-Amz-Date", "20260101T000001Z")).reason == "wrong_signature"
    world.clock.tick(301)
    assert refused(world, request).reason == "expired"


def test_the_serial_number_of_another_certificate_is_refused(world, host):
    draft = world.draft(host)
    draft.serial = str(issue("host2", world.root).cert.serial_number)
    assert refused(world, draft.signed()).reason == "wrong_signature"


@pytest.mark.parametrize(
    "subject", [[("CN", "host1"), ("CN", "admin")], "ID=" + "1" * 59, "CN=" + "a" * 59, "a" * 65, "", "host one", "a\0b", "a\nb"]
)
def test_a_common_name_cannot_pass_for_another_identity(world, subject):
    with pytest.raises((StsError, UserWarning)) as caught:
        world.create(issue(subject or [("CN", "")], world.root))
    assert not isinstance(caught.value, StsError) or caught.value.code == ADE


def test_a_serial_number_and_a_common_name_of_its_form_differ(world):
    unnamed = issue([("O", "Corp")], world.root, serial=0x12)
    assert world.create(unnamed).source_identity == "ID=12"
    assert world.create(issue("ID=12", world.root)).source_identity == "CN=ID=12"


def test_an_organizational_unit_with_a_slash_gives_no_tag(world):
    joined = issue([("CN", "a1"), ("OU", "Security"), ("OU", "Engineering")], world.root)
    assert world.create(joined).session.tags["x509Subject/OU"] == "Security/Engineering"
    mixed = issue([("CN", "a1"), ("OU", "Security/Engineering"), ("OU", "x")], world.root)
    assert "x509Subject/OU" not in world.create(mixed).session.tags
    alone = issue([("CN", "a1"), ("OU", "Security/Engineering")], world.root)
    assert "x509Subject/OU" not in world.create(alone).session.tags
    assert any("x509Subject/OU" in warning for warning in world.events[-1].warnings)


def test_attribute_that_escapes_its_tag_is_reported(world):
    escaping = issue([("CN", "host1"), ("OU", "Contractors (x)")], world.root)
    assert "x509Subject/OU" not in world.create(escaping).session.tags
    assert any("x509Subject/OU" in warning for warning in world.events[-1].warnings)
    strict = World(root=world.root, settings=RolesAnywhereSettings(strict_tags=True))
    with pytest.raises(StsError, match="RW52"):
        strict.create(escaping)


def test_refusal_names_attributes_that_gave_no_tag():
    world = World(trust={"StringEquals": {"aws:PrincipalTag/x509Subject/OU": "Ops"}})
    request = world.draft(issue([("CN", "host1"), ("OU", "Ops, Inc.")], world.root)).signed()
    with pytest.raises(StsError) as caught:
        world.anywhere.create_session(request)
    answer = error_response(caught.value)
    assert answer.status == 403 and "x509Subject/OU" in json.loads(answer.body)["message"]
    assert "Unable to assume role" in json.loads(answer.body)["message"]


def test_self_made_certificates_fill_no_subjects(world):
    own = issue("Own", ca=True)
    for i in range(3):
        refused(world, chained(world, issue(f"host{i}", own), own))
    assert world.objects.subjects() == []


def test_huge_keys_are_refused_before_they_are_used(world, monkeypatch):
    huge = issue("host1", world.root, key="rsa16384")
    assert refused(world, world.draft(huge).signed()).rule == "RW30"
    authority = issue("Huge", world.root, ca=True, key="rsa16384")
    orphan = issue("host2", issue("Huge", ca=True, label="x"))
    checks: list[Any] = []
    monkeypatch.setattr(certificates._Search, "_count", lambda self, path: checks.append(path))
    assert refused(world, chained(world, orphan, authority)).rule == "RW32"
    assert checks == []  # the name of the issuer fits, its key is not used


def test_huge_exponent_is_refused_before_it_is_used(world):
    """Verification takes as long as the exponent has bits (WI14)."""
    assert refused(world, world.draft(issue("host1", world.root, key="rsa-exponent")).signed()).rule == "RW30"


def test_intermediates_of_one_name_cost_bounded_checks(world):
    """Each of five authorities of one name and key may follow each other one."""
    loop = [issue("Loop", ca=True, label="loop", serial=i + 1) for i in range(5)]
    assert refused(world, chained(world, issue("host1", loop[0]), *loop)).rule == "RW32"
    keys = [issue("Loop", ca=True, label=f"loop{i}") for i in range(5)]
    cross = [issue("Loop", keys[(i + 1) % 5], ca=True, label=f"loop{i}") for i in range(5)]
    assert refused(world, chained(world, issue("host1", cross[0]), *cross)).rule in ("RW22", "RW32")
    anchors = "".join(issue("Same", ca=True, label=f"anchor{i}").pem for i in range(30))
    many = world.objects.create_trust_anchor(A, REGION, "many", certificates=anchors, enabled=True)
    draft = world.draft(issue("host1", issue("Same", ca=True, label="anchor29")), anchor=many.arn)
    assert refused(world, draft.signed()).rule == "RW22"


def test_an_old_revocation_list_does_not_replace_a_newer_one(world, host):
    serial = host.cert.serial_number
    current = world.objects.import_crl("crl", crl(world.root, [serial], number=7, this_update=-60), world.anchor, enabled=True)
    for old in (crl(world.root, number=6, this_update=-30), crl(world.root, number=8, this_update=-61)):
        with pytest.raises(StsError, match="RW13"):
            world.objects.update_crl(current.arn, data=old)
    with pytest.raises(StsError, match="RW13"):
        world.objects.update_crl(current.arn, data=crl(world.root, number=None, this_update=-30))
    with pytest.raises(StsError, match="RW34"):
        world.create(host)
    world.objects.update_crl(current.arn, data=crl(world.root, number=8, this_update=-30))
    assert world.create(host)


def test_distribution_points_are_not_believed_in(world):
    with pytest.raises(StsError, match="RW16"):
        world.objects.create_trust_anchor(A, REGION, "x", certificates=world.root.pem, crl_dp_revocation_enabled=True)


def test_a_common_name_injects_no_attribute(world, host):
    injecting = renamed(host, world.root.key, rdn(CN_OID, 0x0C, b"a,OU=admin"))
    tags = world.create(injecting).session.tags
    assert "x509Subject/OU" not in tags and "x509Subject/CN" not in tags


def test_values_in_other_encodings_are_decoded_strictly(world, host):
    """BMPString is UTF-16: what is not, is refused; T61String and UTF8String that are not UTF-8, too; NUL gives no tag."""
    wide = renamed(host, world.root.key, rdn(CN_OID, 0x1E, "wide1".encode("utf-16-be")))
    assert world.create(wide).source_identity == "CN=wide1"
    for tag, value in (
        (0x1E, b"\xd8\0\xd8"),
        (0x1E, b"\xd8\0\xd8\0"),
        (0x14, b"h\xf6st"),
        (0x0C, b"h\xf6st"),
        (0x13, b"h\xf6st"),
        (0x13, b"host_\0"),
    ):
        name = tlv(0x30, rdn(CN_OID, tag, value))
        odd = resigned_der(host, world.root.key, lambda parts, name=name: [*parts[:5], name, *parts[6:]])
        assert refused(world, world.draft(host).signed(x509_header=odd)).code == ADE
    nul = renamed(host, world.root.key, rdn(CN_OID, 0x0C, b"host1"), rdn(OU_OID, 0x0C, b"Ops\0x"))
    assert "x509Subject/OU" not in world.create(nul).session.tags


def test_a_revoked_intermediate_takes_its_certificates_along(world):
    intermediate = issue("Intermediate", world.root, ca=True)
    request = chained(world, issue("host1", intermediate), intermediate)
    assert world.anywhere.create_session(request)
    data = crl(world.root, [intermediate.cert.serial_number])
    list_ = world.objects.import_crl("crl", data, world.anchor, enabled=True)
    with pytest.raises(StsError, match="RW34"):
        world.anywhere.create_session(request)
    world.clock.tick(2 * 3600)  # past its next update
    later = chained(world, issue("host1", intermediate), intermediate)
    with pytest.raises(StsError, match="RW34"):
        world.anywhere.create_session(later)
    world.objects.disable(list_.arn)
    assert world.anywhere.create_session(later)


# -- altered bytes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["ec", "rsa2048"])
@pytest.mark.filterwarnings("ignore")
def test_an_altered_certificate_is_never_accepted(key):
    """Each bit of a small certificate in turn, of a large one a bit of each byte. The attacker signs for what results."""
    world = World(root=issue("Root", ca=True, key=key, label="altered"))
    host = issue("host1", world.root)
    draft = world.draft(host)
    for at in range(len(host.der)):
        for bit in range(8) if key == "ec" else [at % 8]:
            der = bytearray(host.der)
            der[at] ^= 1 << bit
            with pytest.raises(StsError) as caught:
                world.anywhere.create_session(draft.signed(x509_header=bytes(der)))
            assert caught.value.code == ADE
    assert world.objects.subjects() == []


@pytest.mark.filterwarnings("ignore")
def test_an_altered_revocation_list_is_never_accepted(world):
    lines = crl(world.root, [5]).splitlines()
    der = b64decode("".join(lines[1:-1]))
    for at in range(len(der)):
        changed = bytearray(der)
        changed[at] ^= 1 << at % 8
        text = "\n".join((lines[0], b64encode(changed).decode(), lines[-1]))
        with pytest.raises(StsError) as caught:
            world.objects.import_crl("crl", text, world.anchor)
        assert caught.value.code == INVALID


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.filterwarnings("ignore")
def test_altered_signed_certificate_gives_a_session_or_sts_error(world, host, seed):
    """The readers behind the signature get every kind of content."""
    chance = random.Random(seed)
    for _ in range(150):

        def altered(parts: list[bytes]) -> list[bytes]:
            content = bytearray(b"".join(parts))
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
            return [bytes(content)]

        try:
            strange = resigned(host, world.root.key, altered)
            request = world.draft(strange).signed()
        except Exception:
            continue
        try:
            made = world.anywhere.create_session(request)
        except StsError:
            continue
        assert made.source_identity.startswith(("CN=", "ID="))


@pytest.mark.parametrize("seed", range(2))
def test_an_altered_request_is_never_accepted(world, host, seed):
    chance = random.Random(seed)
    request = world.draft(host).signed()
    for _ in range(100):
        headers = [list(pair) for pair in request.headers]
        index = chance.randrange(len(headers) + 1)
        if index == len(headers):
            body = bytearray(request.body)
            body[chance.randrange(len(body))] ^= 1 << chance.randrange(7)
            altered = replace(request, body=bytes(body))
        else:
            value = headers[index][1]
            at = chance.randrange(len(value))
            other = chr(33 + (ord(value[at]) - 33 + chance.randrange(1, 94)) % 94)
            headers[index][1] = value[:at] + other + value[at + 1 :]
            altered = replace(request, headers=[tuple(pair) for pair in headers])
        with pytest.raises(StsError):
            world.anywhere.create_session(altered)


# -- replay -----------------------------------------------------------------------------------------------------------------


def test_a_request_is_used_once_with_any_signature(host):
    """ECDSA has many signatures of one request, so that a signature does not identify it (RW21)."""
    world = World(settings=RolesAnywhereSettings(single_use=True))
    host = issue("host1", world.root)
    draft = world.draft(host)
    assert world.anywhere.create_session(draft.signed())
    again = draft.signed()
    with pytest.raises(StsError, match="used before"):
        world.anywhere.create_session(again)
    world.clock.tick(1)
    assert world.create(host)


def test_a_used_request_stays_used_when_the_clock_runs_backwards():
    """ST20: the entry is deleted after the window, and nothing older is accepted then."""
    world = World(settings=RolesAnywhereSettings(single_use=True))
    host = issue("host1", world.root)
    request = world.draft(host).signed()
    assert world.anywhere.create_session(request)
    world.clock.tick(301)
    assert world.create(host)
    assert len(world.anywhere._records.tables.used_requests) == 1
    world.clock.now -= timedelta(seconds=301)
    with pytest.raises(StsError, match="used before"):
        world.anywhere.create_session(request)


# -- what errors contain ----------------------------------------------------------------------------------------------------


def test_refusals_contain_neither_signature_nor_certificate(world, host):
    request = world.draft(host).signed()
    headers = dict(request.headers)
    signature, certificate = headers["Authorization"].rpartition("=")[2], headers["X-Amz-X509"]
    for changed in (with_header(request, "X-Amz-Date", "20260101T000001Z"), replace(request, body=b"{}")):
        with pytest.raises(StsError) as caught:
            world.anywhere.create_session(changed)
        everything = f"{caught.value}{caught.value!r}{world.events[-1]}{request!r}"
        assert signature not in everything and certificate not in everything
        assert caught.value.rule not in error_response(caught.value).body.decode() or not caught.value.rule


def test_missing_role_and_untrusting_role_give_the_same_answer(world, host):
    ghost = f"arn:aws:iam::{A}:role/Ghost"
    world.objects.update_profile(world.profile, role_arns=[HOST, ghost])
    world.directory.set_trust_policy(HOST, trust_policy({"StringEquals": {"aws:SourceAccount": "0"}}))
    answers = []
    for role in (HOST, ghost):
        with pytest.raises(StsError) as caught:
            world.create(host, role=role)
        answer = error_response(caught.value)
        answers.append((answer.status, answer.body.replace(role.encode(), b"")))
    assert answers[0] == answers[1]


def test_certificate_bytes_are_public_and_keys_are_not_kept(world, host):
    world.create(host)
    (subject,) = world.objects.subjects()
    assert subject.credentials[0].certificate == host.cert.public_bytes(Encoding.PEM).decode()
    assert isinstance(host.key, ec.EllipticCurvePrivateKey)


ROWS = {  # how a row of 6.7 begins, and the tests that are about it
    "CA certificate used as end entity": (
        test_an_authority_is_not_an_end_entity,
        test_a_root_that_comes_with_the_request_is_not_trusted,
        test_certificates_of_other_authorities_are_refused,
    ),
    "certificate without its private key": (
        test_a_certificate_without_its_private_key_gives_nothing,
        test_a_certificate_that_is_swapped_after_signing_is_refused,
    ),
    "role, profile or anchor swapped": (
        test_arns_that_are_swapped_after_signing_are_refused,
        test_arns_that_differ_between_query_and_body_are_refused,
    ),
    "scope region or date": (
        test_scope_and_date_of_another_request_are_refused,
        test_the_serial_number_of_another_certificate_is_refused,
    ),
    "two CNs": (
        test_a_common_name_cannot_pass_for_another_identity,
        test_a_serial_number_and_a_common_name_of_its_form_differ,
    ),
    "several OUs": (test_an_organizational_unit_with_a_slash_gives_no_tag,),
    "value that drops its own tag": (
        test_attribute_that_escapes_its_tag_is_reported,
        test_refusal_names_attributes_that_gave_no_tag,
    ),
    "self-made certificates": (
        test_self_made_certificates_fill_no_subjects,
        test_huge_keys_are_refused_before_they_are_used,
        test_intermediates_of_one_name_cost_bounded_checks,
    ),
    "replaying an old CRL": (
        test_an_old_revocation_list_does_not_replace_a_newer_one,
        test_distribution_points_are_not_believed_in,
    ),
    "CN that injects an RDN": (
        test_a_common_name_injects_no_attribute,
        test_values_in_other_encodings_are_decoded_strictly,
    ),
    "revoked intermediate": (test_a_revoked_intermediate_takes_its_certificates_along,),
}


def test_every_row_of_the_attack_list_has_a_test():
    rules = Path(__file__).resolve().parents[3] / "docs" / "federation-semantics.md"
    table = rules.read_text().split("### 6.7 ")[1].split("\n## ")[0]
    rows = [line[2:] for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == len(ROWS)
    assert all(row.startswith(start) for row, start in zip(rows, ROWS, strict=True))
