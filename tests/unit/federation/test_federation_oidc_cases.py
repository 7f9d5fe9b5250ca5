"""The cases of web identities (federation.md 10.1, 10.3 and 10.8) as data, on the public calls."""

from __future__ import annotations

import ast
import base64
import hashlib
import hmac
import json
import re
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from oidc_world import CALLS, GITHUB, PROVIDER, URL, WEB, A, Issuer, OidcWorld, b64, jwk, private_key
from sts_fixture import document

from fastiam.spec import decide
from fastiam.sts import authorization as sts_trust

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
CASES = json.loads((ROOT / "tests/cases/federation_oidc.json").read_text())
RULES = (ROOT / "docs/federation-semantics.md").read_text()
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def test_every_case_of_the_specification_has_a_test():
    """The OpenID Connect parts of 10.1, then 10.3, and those of 10.8. A case is data, or a docstring names it."""
    sections = re.split(r"^### (10\.\d) ", RULES, flags=re.MULTILINE)
    listed = {name: re.findall(r"^- (F\d{3}) ", text, re.MULTILINE) for name, text in zip(sections[1::2], sections[2::2])}  # noqa: B905
    assert len(listed["10.3"]) >= 28
    expected = {*(id_ for id_ in listed["10.1"] if id_ >= "F010"), *listed["10.3"]}
    expected |= {id_ for id_ in listed["10.8"] if id_ == "F203" or "F210" <= id_ <= "F219"}
    tested = {case["id"] for case in CASES}
    tested |= {case["id"] for case in json.loads((ROOT / "tests/cases/validation.json").read_text()) if case["rule"] == "IP51"}
    for path in HERE.glob("test_federation_oidc*.py"):
        functions = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]
        tested |= {id_ for node in functions for id_ in re.findall(r"F\d{3}", ast.get_docstring(node) or "")}
    assert {id_[:4] for id_ in tested} >= expected


# -- the table ------------------------------------------------------------------------------------------------------------


def value_of(given: Any, now: int) -> Any:
    """A value of a case: `$now` is seconds after the instant of the call, `$absent` takes a claim out."""
    match given:
        case "$absent":
            return ...
        case {"$now": seconds}:
            return now + seconds
        case {"$jwk": name}:
            return jwk(name)
        case {"$nested": depth}:
            return json.loads("[" * depth + "]" * depth)
    return given


def tampered(token: str, how: str, header: dict[str, Any], key: str) -> str:
    """The token with another signature, over the header of the case."""
    head, payload, signature = token.split(".")
    raw = private_key(key).public_key()
    match how:
        case "empty":
            return f"{b64(json.dumps(header))}.{payload}."
        case "no part":
            return f"{b64(json.dumps(header))}.{payload}"
        case "kept":
            return f"{b64(json.dumps(header))}.{payload}.{signature}"
        case "hmac":
            body = f"{b64(json.dumps(header))}.{payload}"
            pem = raw.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            return f"{body}.{b64(hmac.digest(pem, body.encode(), hashlib.sha256))}"
        case "padded":
            return f"{head}.{payload}.{signature}=="
        case "spaced":
            return f"{head}.{payload}\n.{signature}"
        case "loose":  # the last character of 256 bytes has four bits that count for nothing
            last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
            return token[:-1] + last[last.index(token[-1]) ^ 1]
    numbers = {"zero r": (0, 1), "zeros": (0, 0), "s is n": (1, P256_ORDER)}.get(how)
    if numbers is not None:
        return f"{head}.{payload}.{b64(b''.join(number.to_bytes(32) for number in numbers))}"
    plain = base64.urlsafe_b64decode(signature + "==")
    if how == "short":
        return f"{head}.{payload}.{b64(plain[:-1])}"
    assert how == "der"
    return f"{head}.{payload}.{b64(encode_dss_signature(int.from_bytes(plain[:32]), int.from_bytes(plain[32:])))}"


def token_of(world: OidcWorld, case: dict[str, Any]) -> str:
    if "token" in case:
        return case["token"] if isinstance(case["token"], str) else "a" * case["token"]["$long"]
    header = {name: value_of(given, world.now) for name, given in case.get("header", {}).items()}
    claims = {name: value_of(given, world.now) for name, given in case.get("claims", {}).items()}
    payload, key = case.get("payload"), case.get("key", "RSA")
    if payload is not None:
        payload = payload.replace("$now600", str(world.now + 600)).replace("$now", str(world.now))
    if "signature" not in case:
        return world.token(key, header, payload, **claims)
    return tampered(world.token(key, {}, payload, **claims), case["signature"], {"alg": "RS256", "kid": "k1"} | header, key)


def _key(of: str, kid: str | None = "k1", **members: Any) -> dict[str, Any]:
    """A JWK of a key, with other members where the case has some."""
    return jwk(of, kid, **members)


def world_of(case: dict[str, Any]) -> OidcWorld:
    url = case.get("url", URL)
    keys = [_key(**described) for described in case.get("keys", [])] + case.get("jwks", [])
    options = {name: case[name] for name in ("trust", "actions") if name in case}
    world = OidcWorld(url=url, issuer=Issuer(url, *keys), mode="lenient" if url == GITHUB else "strict", **options)
    if "deny" in case:
        allow = {"Effect": "Allow", "Principal": {"Federated": PROVIDER}, "Action": CALLS}
        world.directory.set_trust_policy(WEB, document(allow, allow | {"Effect": "Deny", "Condition": case["deny"]}))
    return world


@pytest.fixture(params=["reference", "compiled"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The evaluator that decides trust policies."""
    if request.param == "reference":

        def literally(principal, resource, query, endpoint, settings):
            return decide(principal, resource, query, endpoint=endpoint, settings=settings).decision

        monkeypatch.setattr(sts_trust, "decide_action", sts_trust._decide_profiles)
        monkeypatch.setattr(sts_trust, "decide_profiles", literally)
    return request.param


DECIDED = [case for case in CASES if case["expect"] in ("OK", "AccessDenied")]


@pytest.mark.parametrize("case", DECIDED, ids=lambda case: case["id"])
def test_both_evaluators_decide_a_web_identity_equally(case, engine):
    world = world_of(case)
    options = dict(case.get("options", {})) | ({"duration": case["duration"]} if "duration" in case else {})
    assert world.outcome(token_of(world, case), role=case.get("role", WEB), **options) == case["expect"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_case_of_a_web_identity_has_its_outcome(case):
    world = world_of(case)
    token = token_of(world, case)
    options = dict(case.get("options", {})) | ({"duration": case["duration"]} if "duration" in case else {})
    call = {"role": case.get("role", WEB), "name": case.get("name", "run1"), **options}
    assert world.outcome(token, **call) == case["expect"], world.events[-1]
    event = world.events[-1]
    assert token not in repr(event)
    if case["expect"] != "OK":
        if event.code in ("InvalidIdentityToken", "ExpiredTokenException"):
            assert event.rule == case.get("reported", case["rule"])
        return
    identity = world.federation.verify_web_identity(WEB, "run1", token)
    assert identity.keys.items() >= case.get("condition_keys", {}).items()
    made = world.assume(token, **call)
    for name, value in case.get("result", {}).items():
        assert getattr(made, name) == value
    assert made.session.tags == case.get("tags", {})
    assert sorted(made.session.transitive_tags) == sorted(case.get("transitive", []))
    assert (made.credentials.expiration - world.clock()).total_seconds() == case.get("seconds", 3600)
    assert world.sts.authenticate(made.credentials).arn == f"arn:aws:sts::{A}:assumed-role/Web/run1"


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if case["expect"] == "OK" and "jku" not in case.get("header", {})],
    ids=lambda case: case["id"],
)
def test_accepted_token_verifies_with_a_second_library(case):
    """`joserfc` reads the same claims out of each token that is accepted; it refuses headers with key sources itself."""
    from joserfc import jwk as second_jwk
    from joserfc import jws

    world = world_of(case)
    token = token_of(world, case)
    key = second_jwk.import_key(jwk(case.get("key", "RSA"), None))
    allowed = ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512"]
    verified = jws.deserialize_compact(token, key, registry=jws.JWSRegistry(algorithms=allowed, strict_check_header=False))
    identity = world.federation.verify_web_identity(WEB, "run1", token)
    assert json.loads(verified.payload)["sub"] == identity.subject


CASES_OF_ROWS = {  # how a row of 3.8 begins: the refused cases, and the tests of this directory, that are about it
    "`alg=none`": "F071 F072",
    "`jwk`": "F073 F082f F082g",
    "key of another provider": "test_keys_of_two_issuers_are_apart test_key_that_left_the_jwks_verifies_nothing",
    "ES256": "F074 F085",
    "issuer look-alike": "F079",
    "token for another client": "F077 F078 F096",
    "discovery": "test_wrong_discovery_is_refused_and_leads_nowhere test_private_address_of_an_issuer_is_not_connected_to"
    " test_unknown_key_id_causes_one_read_in_a_minute",
    "huge token": "F075 F086 F214 test_wrong_jwks_is_refused",
    "tag injection": "F089",
    "provider deleted": "test_deleted_provider_ends_acceptance_and_no_session",
    "probing": "F095 test_missing_role_is_refused_like_one_that_does_not_trust",
    "access token of a user pool": "F096 F211",
}


def test_each_row_of_the_attack_list_has_cases():
    table = RULES.split("### 3.8 ")[1].split("\n## ")[0]
    rows = [line[2:] for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == len(CASES_OF_ROWS)
    assert all(row.startswith(start) for row, start in zip(rows, CASES_OF_ROWS, strict=True))
    tests = {name for path in HERE.glob("test_*.py") for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)}
    refused = {case["id"] for case in CASES if case["expect"] != "OK"}
    named = {name for names in CASES_OF_ROWS.values() for name in names.split()}
    assert [name for name in named - tests if not any(id_.startswith(name) for id_ in refused)] == []
