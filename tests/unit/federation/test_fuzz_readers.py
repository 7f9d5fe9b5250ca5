"""The fuzz targets of the readers accept their seeds and refuse changed ones, without a fuzzer; and what fuzzing has found."""

from __future__ import annotations

import base64
import random
from datetime import UTC, datetime

import fuzz_mutators as mutators
import pytest
import saml_world
import x509_world
from fuzz_readers import TARGETS, mutator
from fuzz_target import FindingError, Target

from fastiam.federation import https_fetch
from fastiam.federation.saml_metadata import read_metadata
from fastiam.federation.xml_reading import XmlError
from fastiam.rolesanywhere import CertificateError


@pytest.fixture(scope="module", params=TARGETS)
def target(request: pytest.FixtureRequest) -> Target:
    return TARGETS[request.param]()


# -- the targets ------------------------------------------------------------------------------------------------------------


def test_each_seed_of_a_fuzz_target_is_accepted(target):
    assert {chr(seed[0]) for seed in target.seeds} == set(target.forms)
    assert [seed[:80] for seed in target.seeds if not target(seed)] == []


def test_signed_seeds_with_one_changed_byte_are_refused(target):
    """A change outside of what the signature covers, such as in `KeyInfo`, is not a finding and may be accepted."""
    signed = [seed for seed in target.seeds if chr(seed[0]) in "RTXALGQIC"]
    places = [[len(seed) * part // 8 for part in (1, 3, 5, 7)] for seed in signed]
    changed = [[seed[:i] + bytes([seed[i] ^ 1]) + seed[i + 1 :] for i in at] for seed, at in zip(signed, places, strict=True)]
    refusals = [[target(each) for each in of_seed].count(False) for of_seed in changed]
    assert min(refusals) > 0


def test_mutations_keep_the_kind_and_the_limit_of_length(target):
    mutate = mutator(target)
    made = [mutate(seed, 5000, number) for number in range(20) for seed in target.seeds]
    assert all(len(each) <= 5000 and chr(each[0]) in target.forms for each in made)
    assert len(set(made)) > len(made) // 2


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
def test_mutations_of_seeds_are_not_findings(target):
    mutate = mutator(target)
    outcomes = [target(mutate(target.seeds[number % len(target.seeds)], 100_000, number)) for number in range(50)]
    signs_its_input = bool(set(target.forms) & set("SHP"))
    assert False in outcomes and (True in outcomes or not signs_its_input)  # what a signature does not cover may change


@pytest.mark.parametrize("error", [KeyError("x"), RecursionError(), BaseException("a panic of Rust")])
def test_an_undocumented_error_of_a_reader_is_a_finding(error):
    class Broken(Target):
        forms, seeds = {"R": "bytes"}, [b"R"]

        def read(self, kind: str, data: bytes) -> bool:
            raise error

    with pytest.raises(FindingError, match="not a documented error"):
        Broken()(b"R")


def test_an_accepted_input_that_is_not_a_seed_is_a_finding():
    target = TARGETS["oidc"]()
    target.tokens = {b"another": None}  # type: ignore[attr-defined]
    with pytest.raises(FindingError, match="accepted mutation"):
        target(next(seed for seed in target.seeds if seed[:1] == b"T"))


def test_mutated_der_has_right_lengths():
    der = x509_world.issue("host1").der
    made = [mutators.mutated_der(der, random.Random(seed), bytes) for seed in range(50)]
    assert all(b"".join(x509_world.parts_of(each)) == each for each in made)
    assert len(set(made)) > 25


# -- what fuzzing has found -------------------------------------------------------------------------------------------------

LARGE_SERIAL = x509_world.tlv(2, b"\x7f" * 3000)  # of more digits than Python writes
YEAR_0 = x509_world.tlv(0x30, x509_world.tlv(0x18, b"00000101000000Z") + x509_world.tlv(0x18, b"99991231235959Z"))
UNREADABLE = {  # load, and fail at first use, or with an error that is not a `ValueError`
    "version 5": lambda parts: [x509_world.tlv(0xA0, x509_world.tlv(2, b"\4")), *parts[1:]],
    "year 0": lambda parts: [*parts[:4], YEAR_0, *parts[5:]],
}


@pytest.fixture(scope="module")
def root() -> x509_world.Identity:
    return x509_world.issue("Root", ca=True)


def test_a_serial_number_that_python_does_not_write_is_refused(root):
    world = x509_world.World(root=root)
    host = x509_world.issue("host1", root)
    der = x509_world.resigned_der(host, root.key, lambda parts: [parts[0], LARGE_SERIAL, *parts[2:]])
    draft = world.draft(host)
    draft.serial = "1"
    with pytest.raises(CertificateError, match="RW30"):
        world.anywhere.create_session(draft.signed(x509_header=der))
    assert world.events[-1].outcome == "refused"


@pytest.mark.parametrize("change", UNREADABLE)
def test_metadata_with_an_unreadable_certificate_are_refused(root, change):
    der = x509_world.resigned_der(x509_world.issue("host1", root), root.key, UNREADABLE[change])
    with pytest.raises(XmlError, match="unreadable"):
        read_metadata(saml_world.metadata(base64.b64encode(der).decode()))


def test_unreadable_presented_certificate_is_not_an_authority(root):
    der = x509_world.resigned_der(root, root.key, UNREADABLE["version 5"])
    assert https_fetch._is_ca(root.der) and not https_fetch._is_ca(der)


@pytest.mark.parametrize("attribute", ["not_on_or_after", "confirmation_ends", "session"])
@pytest.mark.parametrize("skew", [0, 60])
def test_a_time_at_the_end_of_the_calendar_is_read_with_any_skew(attribute, skew):
    """Identity providers write it for what does not end."""
    world = saml_world.SamlWorld({"skew": skew})
    last = (datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC) - saml_world.START).total_seconds()
    response = saml_world.good(**({"authn": [{"ends": last}]} if attribute == "session" else {attribute: last}))
    assert world.assume(response).subject == "eva"
