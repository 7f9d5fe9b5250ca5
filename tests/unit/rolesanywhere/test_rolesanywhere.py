"""CreateSession of IAM Roles Anywhere: the case tables of federation.md 10.6 and 10.8, on the public calls.

A case of `cases/rolesanywhere.json` has, where it differs from a plain call of `host1`:

- `world`: settings, condition of the trust policy, maximum of the role; `actions` of the trust policy.
- `certificate`: arguments of `x509_world.issue`, `form` for what no library makes; `issuer` and `chain` name authorities.
- `profile`: an update; `map` and `unmap`: attribute mappings; `crls`; `do`: calls about an object; `lost`: data that are lost.
- `request`: changes of the draft, and members of the body; `refused`: a call about objects in place of CreateSession.

Expected are an error with `code`, `rule` and `layer`, or values of the session.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from case_files import CASES
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from sts_fixture import A
from x509_world import HOST, REGION, Identity, World, crl, issue, parts_of, resigned, tlv, trust_policy, version_1

from fastiam.rolesanywhere import RolesAnywhereSettings, SignedRequest, error_response
from fastiam.sts import StsError

LOADED = json.loads((CASES / "rolesanywhere.json").read_text())
RULES = Path(__file__).resolve().parents[3] / "docs" / "federation-semantics.md"
BODY = ("durationSeconds", "roleSessionName", "instanceProperties")


class Run:
    """One case."""

    def __init__(self, case: dict[str, Any]) -> None:
        self.case = case
        options = case.get("world", {})
        self.world = world = World(
            settings=RolesAnywhereSettings(**options.get("settings", {})),
            max_session_duration=options.get("max_session_duration", 43_200),
            root=issue("Root", ca=True, usage=["key_cert_sign"]) if case.get("issuer") == "no crl sign" else None,
        )
        self.names = {"A": A, "Host": HOST, "anchor": world.anchor, "profile": world.profile}
        self.authorities = {
            "root": world.root,
            "no crl sign": world.root,
            "intermediate": issue("Intermediate", world.root, ca=True),
            "attacker": issue("Attacker", ca=True),
            "impostor": issue("Root", ca=True, label="impostor"),
            "TA2": issue("TA2", ca=True),
            "company": issue([("CN", "Company CA"), ("O", "Example, Inc.")], ca=True),
        }
        if case.get("issuer") == "company":
            world.objects.update_trust_anchor(world.anchor, certificates=self.authorities["company"].pem)
        other = world.objects.create_trust_anchor(A, REGION, "TA2", certificates=self.authorities["TA2"].pem, enabled=True)
        self.names["TA2"] = other.arn
        trust = trust_policy(self.resolved(options.get("trust", {})))
        trust["Statement"][0]["Action"] = case.get("actions", trust["Statement"][0]["Action"])
        world.directory.set_trust_policy(HOST, trust)
        self.crls = [self.add_crl(dict(each)) for each in case.get("crls", ())]
        if "profile" in case:
            world.objects.update_profile(world.profile, **case["profile"])
        for field, specifiers in case.get("map", ()):
            world.objects.put_attribute_mapping(world.profile, field, specifiers)
        for field, specifiers in case.get("unmap", ()):
            world.objects.delete_attribute_mapping(world.profile, field, specifiers)
        for call, what in case.get("do", ()):
            getattr(world.objects, call)(self.resolved(what))
        self.lose(case.get("lost"))

    def resolved(self, value: Any) -> Any:
        """A value with the names in it resolved."""
        text = json.dumps(value)
        return json.loads(re.sub(r"\$(\w+)", lambda match: self.names[match[1]], text))

    def add_crl(self, given: dict[str, Any]) -> str:
        enabled = given.pop("enabled", True)
        serials = [self.authorities[s[1:]].cert.serial_number if isinstance(s, str) else s for s in given.pop("serials", ())]
        data = crl(self.world.root, serials, **given)
        return self.world.objects.import_crl("crl", data, self.world.anchor, enabled=enabled).arn

    def lose(self, what: str | None) -> None:
        anchor = self.world.directory.tables.trust_anchors[self.world.anchor] if what else None
        if anchor is not None:
            lost = replace(anchor, crls_missing=True) if what == "crls" else replace(anchor, certificates="")
            self.world.directory.replace_roles_anywhere(lost)

    def identity(self) -> Identity:
        given = {"subject": "host1", **self.case.get("certificate", {})}
        form, issuer = given.pop("form", None), self.case.get("issuer", "root")
        if issuer == "self":
            return issue(**given, label="self")
        authority = self.authorities[issuer]
        made = issue(**given, issuer=authority)
        if form == "v1":
            return resigned(made, authority.key, version_1)
        return signed_with_sha1(made, authority) if form == "sha1" else made

    def request(self) -> SignedRequest:
        given = dict(self.case.get("request", {}))
        after, query, at = given.pop("after", {}), given.pop("query", None), given.pop("at", 0)
        members = {name: given.pop(name) for name in BODY if name in given}
        places = {name: self.resolved(given.pop(name)) for name in ("place", "role", "anchor", "profile") if name in given}
        draft = self.world.draft(self.identity(), **places, **members)
        draft.at += timedelta(seconds=at)
        draft.chain = [self.authorities[each] for each in self.case.get("chain", ())]
        if query is not None:
            draft.query = list(self.resolved(query).items())
        for name, value in given.items():
            setattr(draft, name, value)
        signed = draft.signed()
        return replace(signed, body=self.resolved(after["body"]).encode()) if after else signed

    def call(self) -> Any:
        if "refused" in self.case:
            return self.refused(*self.case["refused"])
        request = self.request()
        if self.case.get("twice"):
            self.world.anywhere.create_session(request)
        return self.world.anywhere.create_session(request)

    def refused(self, name: str, given: Any) -> Any:
        objects, given = self.world.objects, self.resolved(given)
        if name == "create_trust_anchor":
            authority = issue("Anchor", **{"ca": True, **given.pop("certificate", {})})
            return objects.create_trust_anchor(A, REGION, "ca", **{"certificates": authority.pem, **given})
        if name == "create_profile":
            many = {"role_arns": f"arn:aws:iam::{A}:role/", "managed_policy_arns": f"arn:aws:iam::{A}:policy/"}
            given = {k: [f"{many[k]}x{i}" for i in range(v)] if k in many else v for k, v in given.items()}
            return objects.create_profile(A, REGION, "p", **{"role_arns": [HOST], **given})
        if name == "put_attribute_mapping":
            return objects.put_attribute_mapping(self.world.profile, *given)
        issuer = self.authorities[given.pop("issuer", "root")]
        if name == "import_crl":
            return objects.import_crl("crl", crl(issuer, **given), self.world.anchor)
        return objects.update_crl(self.crls[0], data=crl(issuer, **given))


def signed_with_sha1(identity: Identity, authority: Identity) -> Identity:
    """The certificate, signed again with SHA-1: its algorithm occurs inside and outside of the signed part."""
    sha1 = tlv(0x30, bytes.fromhex("06072a8648ce3d0401"))

    class Signer:
        def sign(self, data: bytes, _: object) -> bytes:
            return authority.key.sign(data, ec.ECDSA(hashes.SHA1()))

    made = resigned(identity, Signer(), lambda parts: [*parts[:2], sha1, *parts[3:]], algorithm=sha1)
    assert made.cert.signature_hash_algorithm.name == "sha1" and parts_of(made.der)
    return made


@pytest.mark.parametrize("case", LOADED, ids=lambda case: case["id"])
def test_a_case_of_the_specification_is_decided_as_specified(case):
    run, expect = Run(case), case["expect"]
    if "code" in expect:
        with pytest.raises(StsError) as caught:
            run.call()
        error = caught.value
        assert (error.code, expect.get("rule", error.rule)) == (expect["code"], error.rule), str(error)
        assert getattr(error, "layer", None) == expect.get("layer", getattr(error, "layer", None))
        assert error_response(error).headers["x-amzn-ErrorType"] == expect["code"]
        assert run.world.events[-1].outcome == "refused" or "refused" in case
        if "subjects" in expect:
            assert len(run.world.objects.subjects()) == expect["subjects"]
        return
    made = run.call()
    event = run.world.events[-1]
    assert (event.kind, event.outcome, event.details["role"]) == ("CreateSession", "success", HOST)
    found = {
        "session": made.session.arn.rpartition("/")[2],
        "seconds": (made.credentials.expiration - run.world.clock.now).total_seconds(),
        "source_identity": made.source_identity,
        "tags": {key: made.session.tags.get(key) for key in expect.get("tags", ())},
        "decides": {
            action: "OK" if run.world.sts.engine.is_allowed(made.session, action, "arn:aws:s3:::b/k") else "I"
            for action in expect.get("decides", ())
        },
        "warnings": next((w for w in (expect.get("warnings"),) if w and f"[{w}]" in "".join(event.warnings)), None),
    }
    assert {name: found[name] for name in expect} == expect


def test_every_case_of_the_catalogue_has_a_test():
    """A letter numbers the rows of one case. Of 10.8 the cases from F250 are about certificates."""
    sections = re.split(r"^### (10\.\d) ", RULES.read_text(), flags=re.MULTILINE)
    listed = {
        number: set(re.findall(r"^- (F\d{3}) ", text, re.MULTILINE))
        for number, text in zip(sections[1::2], sections[2::2], strict=True)
    }
    ours = listed["10.6"] | {case for case in listed["10.8"] if case >= "F250"}
    assert len(ours) == 27
    assert ours - {re.sub(r"[a-z]$", "", case["id"]) for case in LOADED} == set()
    assert len({case["id"] for case in LOADED}) == len(LOADED)
