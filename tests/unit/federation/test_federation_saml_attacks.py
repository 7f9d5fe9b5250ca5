"""Attacks on AssumeRoleWithSAML: each row of federation.md 2.10 is refused, and nothing is read, fetched or issued."""

from __future__ import annotations

import base64
import json
import tracemalloc
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree
from saml_attacks import ATTACKS, resigned, wrapped, wrappings
from saml_world import CORP, DEV, START, Key, SamlWorld, ec_key, encoded, good, metadata, response_tree, rsa_key

from fastiam.federation import IdentityTokenError
from fastiam.federation.saml_metadata import read_metadata
from fastiam.federation.xml_reading import XmlError
from fastiam.sts import StsError, ValidationError


@pytest.fixture(scope="module")
def world() -> SamlWorld:
    return SamlWorld()


def refused(world: SamlWorld, response: str) -> StsError:
    """The refusal of a response. No session comes out, and the event has neither the response nor the forged name as user."""
    n = len(world.events)
    with pytest.raises(StsError) as error:
        world.assume(response)
    event = world.events[-1]
    assert len(world.events) == n + 1 and event.outcome == "refused" and event.code == error.value.code
    assert response not in repr(event) + str(error.value)
    assert event.details.get("session_name") is None
    return error.value


def test_untouched_responses_are_accepted(world):
    """The attacks below start from these: they would be accepted without the attack."""
    for signed in (["assertion"], ["response"], ["assertion", "response"]):
        tree = response_tree(signed=signed)
        assert world.federation.verify_saml(DEV, CORP, encoded(tree)).session_name == "eva"
    unchanged = resigned(response_tree(), lambda info: None)
    assert world.federation.verify_saml(DEV, CORP, encoded(unchanged)).session_name == "eva"


@pytest.mark.parametrize(("form", "new_id"), list(wrappings()))
def test_wrapped_signature_is_refused(world, form, new_id):
    signed = ["response"] if form <= 2 else ["assertion"]
    made = wrapped(form, response_tree(signed=signed), new_id)
    assert b"evil" in etree.tostring(made)
    assert refused(world, encoded(made)).code == "InvalidIdentityToken"


@pytest.mark.parametrize("form", range(3, 9))
def test_wrapped_assertion_in_a_signed_response_is_refused(world, form):
    made = wrapped(form, response_tree(signed=["assertion", "response"]), "_evil")
    assert refused(world, encoded(made)).code == "InvalidIdentityToken"


@pytest.mark.parametrize("name", ATTACKS)
def test_altered_response_is_refused(world, name):
    made = ATTACKS[name](response_tree())
    assert refused(world, encoded(made)).code == "InvalidIdentityToken"


@pytest.mark.parametrize(
    "change",
    {
        "base64url": lambda text: text.replace("/", "_").replace("+", "-") + "_",
        "without padding": lambda text: text.rstrip("=") if text.endswith("=") else text + "A",
        "percent-encoded": lambda text: text.replace("=", "%3D") + "%2B",
        "padding inside": lambda text: text[:40] + "=" + text[40:],
        "not ASCII": lambda text: text + "é",
        "deflated": lambda text: base64.b64encode(__import__("zlib").compress(base64.b64decode(text))).decode(),
    }.items(),
    ids=lambda pair: pair[0],
)
def test_other_encodings_than_base64_are_refused(world, change):
    assert refused(world, change[1](good())).code == "InvalidIdentityToken"


def test_white_space_in_base64_is_dropped(world):
    text = good()
    lines = "\r\n".join(text[n : n + 76] for n in range(0, len(text), 76))
    assert world.federation.verify_saml(DEV, CORP, lines.encode()).session_name == "eva"


def test_ec_signature_with_an_rsa_algorithm_name_is_refused():
    world = SamlWorld()
    world.federation.saml_providers.update(CORP, metadata=metadata(ec_key().text))
    response = good(signing={"key": ec_key().private, "algorithm": "ecdsa-sha256"})
    assert world.federation.verify_saml(DEV, CORP, response).session_name == "eva"
    tree = response_tree(signing={"key": ec_key().private, "algorithm": "ecdsa-sha256"})
    method = tree.find(".//{http://www.w3.org/2000/09/xmldsig#}SignatureMethod")
    method.set("Algorithm", "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256")
    assert refused(world, encoded(tree)).code == "InvalidIdentityToken"


@pytest.mark.parametrize(
    ("algorithm", "digest", "key"),
    [
        *[(f"rsa-sha{n}", f"sha{n}", rsa_key) for n in (256, 384, 512)],
        ("sha256-rsa-MGF1", "sha256", rsa_key),
        *[(f"ecdsa-sha{n}", f"sha{n}", ec_key) for n in (256, 384, 512)],
    ],
)
def test_accepted_algorithms_verify(algorithm, digest, key):
    world = SamlWorld()
    world.federation.saml_providers.update(CORP, metadata=metadata(key().text))
    signing = {"key": key().private, "algorithm": algorithm, "digest": digest}
    assert world.federation.verify_saml(DEV, CORP, good(signing=signing)).session_name == "eva"


@pytest.mark.parametrize("curve", [ec.SECP384R1, ec.SECP521R1])
def test_larger_curves_verify(curve):
    world = SamlWorld()
    key = ec_key(curve.name, curve)
    world.federation.saml_providers.update(CORP, metadata=metadata(key.text))
    response = good(signing={"key": key.private, "algorithm": "ecdsa-sha256"})
    assert world.federation.verify_saml(DEV, CORP, response).session_name == "eva"


def test_key_info_of_the_signature_is_not_read(world):
    """SA24: neither a foreign certificate nor an unreadable key value changes the result."""
    tree = response_tree(signing={"certificate": rsa_key("other")})
    info = tree.find(".//{http://www.w3.org/2000/09/xmldsig#}KeyInfo")
    value = etree.SubElement(info, "{http://www.w3.org/2000/09/xmldsig#}KeyValue")
    value.text = "x"
    assert world.federation.verify_saml(DEV, CORP, encoded(tree)).session_name == "eva"


# -- sizes -----------------------------------------------


def test_response_over_the_limit_is_refused(world):
    error = refused(world, "A" * 100_001)
    assert isinstance(error, ValidationError)


LARGE = {
    "one text": b"<a>" + b"x" * 1_000_000 + b"</a>",
    "empty elements": b"<a>" + b"<b/>" * 250_000 + b"</a>",
    "deep": b"<a>" * 140_000 + b"</a>" * 140_000,
    "attributes": b"<a " + b" ".join(b'a%d=""' % n for n in range(90_000)) + b"/>",
    "namespaces": b"<a " + b" ".join(b'xmlns:a%d="u"' % n for n in range(60_000)) + b"/>",
    "namespaces by level": b"".join(b'<a xmlns:n%d="u%d">' % (n, n) for n in range(60)) * 900,
    "comments": b"<a>" + b"<!---->" * 140_000 + b"</a>",
    "character references": b"<a>" + b"&#65;" * 200_000 + b"</a>",
    "unclosed": b"<a " * 330_000,
    "brackets": b"<" * 1_000_000,
    "cdata": b"<a>" + b"<![CDATA[x]]>" * 76_000 + b"</a>",
    "identifiers": b"<a>" + b"".join(b'<b ID="i%d"/>' % n for n in range(60_000)) + b"</a>",
}


def declarations(first: int, n: int) -> bytes:
    return b"".join(b' xmlns:a%d="u"' % i for i in range(first, first + n))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"<a" + declarations(0, 64) + b"><b/></a>", None),
        (b"<a" + declarations(0, 65) + b"><b/></a>", "an element has more than 64 namespace declarations"),
        (b"<a>" + b"".join(b"<b" + declarations(i, 60) + b"/>" for i in range(20)) + b"</a>", None),
        (
            b"<a"
            + declarations(0, 64)
            + b">"
            + b"".join(b"<b" + declarations(64 * i, 64) + b">" for i in range(1, 4))
            + b"</b>" * 3
            + b"</a>",
            None,
        ),
        (b"<a>" + b"".join(b"<b" + declarations(60 * i, 60) + b">" for i in range(5)) + b"</b>" * 5 + b"</a>", "are in scope"),
    ],
    ids=["one element", "too many", "many elements", "levels", "too many levels"],
)
def test_namespace_declarations_of_a_document_are_limited(data, message):
    from fastiam.federation.xml_reading import RESPONSE, XmlError, read_xml

    if message is None:
        assert read_xml(data, RESPONSE).tag == "a"
    else:
        with pytest.raises(XmlError, match=message):
            read_xml(data, RESPONSE)


def test_response_with_thousands_of_namespaces_is_refused(world):
    tree = base64.b64decode(encoded(response_tree()))
    at = tree.index(b" ID=")
    response = base64.b64encode(tree[:at] + declarations(0, 3_000) + tree[at:]).decode()
    assert "namespace declarations" in refused(world, response).message


@pytest.mark.parametrize("name", LARGE)
def test_metadata_of_a_megabyte_are_refused_in_little_memory(name):
    from fastiam.federation.saml_metadata import read_metadata
    from fastiam.federation.xml_reading import XmlError

    tracemalloc.start()
    with pytest.raises(XmlError):
        read_metadata(LARGE[name].decode())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 60_000_000


@pytest.mark.parametrize("name", LARGE)
def test_response_of_the_greatest_size_is_refused(world, name):
    text = base64.b64encode(LARGE[name][:70_000]).decode()
    assert refused(world, text).code == "InvalidIdentityToken"


# -- mutations -----------------------------------------------


def test_no_changed_byte_changes_the_assertion(world):
    """Whatever byte of a signed response is replaced, the response is refused or gives the same assertion."""
    import random

    chance = random.Random(7)
    original = etree.tostring(response_tree())
    expected = world.federation.verify_saml(DEV, CORP, encoded(original))
    accepted = 0
    for _ in range(1_500):
        text = bytearray(original)
        for _ in range(chance.choice((1, 1, 2))):
            place = chance.randrange(len(text))
            kind = chance.randrange(3)
            if kind == 0:
                text[place] = chance.choice(b"abAB01<>&\"'/ =#_:\n")
            elif kind == 1:
                del text[place]
            else:
                text.insert(place, chance.choice(b"abAB01<>&\"'/ =#_:\n"))
        try:
            found = world.federation.verify_saml(DEV, CORP, encoded(bytes(text)))
        except StsError:
            continue
        accepted += 1
        assert found == expected
    assert accepted < 500  # most bytes are signed


# -- keys of metadata -----------------------------------------------


def test_certificate_outside_its_dates_verifies_nothing():
    """IP15."""
    from datetime import UTC, datetime

    key = rsa_key()
    early = Key(key.private, start=datetime(2020, 1, 1, tzinfo=UTC), end=datetime(2026, 11, 29, 12, tzinfo=UTC))
    world = SamlWorld()
    info = world.federation.saml_providers.update(CORP, metadata=metadata(early.text))
    assert info.warnings == ("1 of 1 signing certificates are not valid now",) and not info.incomplete
    with pytest.raises(IdentityTokenError):
        world.federation.verify_saml(DEV, CORP, good())
    lax = world.open(saml_ignore_certificate_dates=True)
    assert lax.verify_saml(DEV, CORP, good()).session_name == "eva"


@pytest.mark.parametrize(("bits", "length"), [(16_384, 16), (2_048, 32), (3_072, 2_000)])
def test_certificate_whose_key_only_costs_time_verifies_nothing(bits, length):
    """The bounds are those of web identities (WI14)."""
    huge = RSAPublicNumbers((1 << length) + 1, (1 << bits - 1) + 1).public_key()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "idp.example")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(huge).serial_number(1)
    builder = builder.not_valid_before(START).not_valid_after(START + timedelta(days=1))
    der = builder.sign(rsa_key().private, hashes.SHA256()).public_bytes(Encoding.DER)
    read = read_metadata(metadata(base64.b64encode(der).decode(), rsa_key().text))
    assert len(read.keys) == 1 and "verifies nothing" in read.warnings[0]
    with pytest.raises(XmlError, match="no usable signing key"):
        read_metadata(metadata(base64.b64encode(der).decode()))


def test_rsa_key_of_1024_bits_among_others_verifies_nothing():
    """IP14."""
    weak = rsa_key("weak", 1024)
    world = SamlWorld()
    info = world.federation.saml_providers.update(CORP, metadata=metadata(weak.text, rsa_key().text))
    assert "1,024 bits" in info.warnings[0]
    with pytest.raises(IdentityTokenError):
        world.federation.verify_saml(DEV, CORP, good(signing={"key": weak.private}))
    assert world.federation.verify_saml(DEV, CORP, good()).session_name == "eva"


@pytest.mark.parametrize("place", [">eva</saml:NameID>", ">eva</saml:AttributeValue>"])
def test_include_that_the_provider_has_signed_is_not_resolved(world, place):
    """No reader of ours processes XInclude: the element is a child where only text may be."""
    include = '<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="/etc/hostname" parse="text"/>'
    response = encoded(response_tree(raw={place: f">{include}{place.removeprefix('>eva')}"}))
    assert refused(world, response).code == "InvalidIdentityToken"


# -- the list ---------------------------------------------------------------------------------------------------------------

CASES_OF_ROWS = {  # how a row of 2.10 begins: attacks of saml_attacks.py, forms of wrapping, cases, and tests of this directory
    "XSW 1": "wrapping1 wrapping2 wrapping3 wrapping4 wrapping5 wrapping6 F025 F026",
    "XSW 7": "wrapping7 wrapping8 doubled_id doubled_id_by_another_name second_assertion_in_advice F027",
    "comment": "comment_in_name_id comment_after_the_root processing_instruction F030",
    "signature stripped": "empty_signature empty_uri two_references reference_to_the_response xslt_transform xpath_transform"
    " base64_transform F021b F028 F029",
    "HMAC": "hmac_with_the_certificate hmac_with_the_pem hmac_of_zero_bits ecdsa_algorithm_for_an_rsa_key"
    " foreign_key_in_key_info sha1_signature sha1_digest test_key_info_of_the_signature_is_not_read F022 F023 F024",
    "XXE": "doctype_with_a_file nested_entities parameter_entity utf_7 utf_16 byte_order_mark F031 F032"
    " test_include_that_the_provider_has_signed_is_not_resolved",
    "response for another SP": "F033 F034 F035 F045",
    "replay": "F052 F052c F201",
    "provider of another account": "F008 F200",
    "second signature": "second_signature signature_in_extensions object_in_signature F202",
    "probing": "F203 F059",
    "padding oracle": "F055 F055b F207",
    "role injection": "changed_attribute rebound_prefix bare_assertion F044 F046",
    "expired metadata": "F004 F006",
}


def test_each_row_of_the_attack_list_has_attacks():
    rules = Path(__file__).resolve().parents[3]
    table = (rules / "docs/federation-semantics.md").read_text().split("### 2.10 ")[1].split("\n## ")[0]
    rows = [line[2:] for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == len(CASES_OF_ROWS)
    assert all(row.startswith(start) for row, start in zip(rows, CASES_OF_ROWS, strict=True))
    cases = {case["id"] for case in json.loads((rules / "tests/cases/federation_saml.json").read_text())}
    tests = {name for name in globals() if name.startswith("test_")}
    known = cases | tests | ATTACKS.keys() | {f"wrapping{form}" for form, _ in wrappings()}
    assert {name for names in CASES_OF_ROWS.values() for name in names.split()} - known == set()
