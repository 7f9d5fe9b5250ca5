"""AssumeRoleWithSAML and SAML providers: the case tables of federation.md 10.1, 10.2 and 10.8, on the public calls.

A case of `cases/federation_saml.json` has options of the world (`settings`, `metadata`, `encryption`, `trust` of role Dev) and
`steps`, run in order:

- `{"response": changes of `saml_world.DEFAULTS`, "at": seconds, "role", "provider", "duration", "expect"}` redeems a response.
- `{"do": "create" | "delete" | "trust" | "authenticate", ..., "expect"}` changes a provider or a trust policy.

Expected are an error with its `code` and `rule`, or `session`, `seconds`, `keys` of the assertion, `tags` and `warnings`.
"""

from __future__ import annotations

import base64
import copy
import json
import re
import traceback
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from case_files import CASES
from saml_attacks import ATTACKS, wrapped
from saml_world import (
    CORP,
    CORP2,
    CORP_B,
    DEV,
    NS,
    OPS,
    RSA_512,
    START,
    SamlWorld,
    ec_key,
    encoded,
    good,
    metadata,
    response_tree,
    rsa_key,
    trust,
)
from sts_fixture import A, B, document

from fastiam.federation import IdentityTokenError, roles_of_groups, saml_response
from fastiam.federation.group_roles import FIXED_ACCOUNT
from fastiam.spec import decide
from fastiam.sts import StsError
from fastiam.sts import authorization as sts_trust

LOADED = json.loads((CASES / "federation_saml.json").read_text())
MD = "urn:oasis:names:tc:SAML:2.0:metadata"
NAMES = {"Dev": DEV, "Ops": OPS, "Corp": CORP, "Corp2": CORP2, "CorpB": CORP_B, "Ghost": f"arn:aws:iam::{A}:role/Ghost"}


class Run:
    """One case."""

    def __init__(self, case: dict[str, Any]) -> None:
        self.world = world = SamlWorld(case.get("settings"))
        self.case, self.texts, self.credentials = case, [], None
        providers = world.federation.saml_providers
        if "metadata" in case:
            providers.update(CORP, metadata=self._metadata(case["metadata"]))
        if "encryption" in case:
            providers.update(CORP, encryption=case["encryption"], add_private_key=rsa_key("sp").pem)
        if case.get("corp2"):
            providers.create(A, "Corp2", metadata())
        if case.get("foreign"):
            providers.create(B, "Corp", metadata())
        if "trust" in case:
            self._trust(case["trust"])

    def _metadata(self, options: dict[str, Any]) -> str:
        special = {"rsa512": RSA_512, "weak": rsa_key("weak", 1024).text}
        keys = [special.get(name) or rsa_key(name).text for name in options.get("keys", ["corp"])]
        return metadata(*keys, attributes=options.get("attributes", ""), head=options.get("head", ""))

    def _trust(self, options: dict[str, Any]) -> None:
        providers = options.get("providers", ["$Corp"])
        given = {name: options[name] for name in ("actions", "condition") if name in options}
        self.world.directory.set_trust_policy(DEV, trust(*map(self._text, providers), **given))

    def _text(self, text: str) -> str:
        named = re.sub(r"\$([A-Z]\w*)", lambda match: NAMES.get(match[1], match[0]), text)
        record = self.world.directory.tables.saml_providers.get(CORP)
        return named.replace("$Acs", f"https://signin.aws.amazon.com/saml/acs/{record.uuid if record else ''}")

    def _resolved(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, list):
            return [self._resolved(item) for item in value]
        return {name: self._resolved(item) for name, item in value.items()} if isinstance(value, dict) else value

    def response(self, options: dict[str, Any]) -> str:
        """The response of a step, as a client sends it."""
        options = self._resolved(options)
        attack, form = options.pop("attack", None), options.pop("wrap", None)
        if "key" in options.get("signing", {}):
            options["signing"]["key"] = rsa_key(options["signing"]["key"]).private
        tree: Any = response_tree(START, **options)
        if options.get("empty"):
            tree.remove(tree.find(f"{{{NS['saml']}}}Assertion"))
        if form is not None:
            tree = wrapped(form, tree, "_evil")
        if attack is not None:
            tree = ATTACKS[attack](tree)
        text = encoded(tree)
        return base64.urlsafe_b64encode(base64.b64decode(text) + b"\xff\xff").decode() if options.get("base64url") else text

    def step(self, step: dict[str, Any]) -> Any:
        """The result of a step."""
        providers = self.world.federation.saml_providers
        if "response" in step:
            self.world.clock.now = START + timedelta(seconds=step.get("at", 0))
            role, provider = self._text(step.get("role", "$Dev")), self._text(step.get("provider", "$Corp"))
            made = self.world.assume(self.response(step["response"]), role, provider, duration=step.get("duration"))
            self.credentials = made.credentials
            return made
        if step["do"] == "create":
            return providers.create(A, step["name"], self._metadata(step["metadata"]), **step.get("extra", {}))
        if step["do"] == "delete":
            return providers.delete(self._text(step["provider"]))
        if step["do"] == "trust":
            return self._trust(step)
        return self.world.federation.sts.authenticate(self.credentials)

    def check(self, step: dict[str, Any]) -> None:
        """Run a step, and compare."""
        expect = step.get("expect", {})
        if "code" in expect:
            with pytest.raises(StsError) as error:
                self.step(step)
            assert (error.value.code, error.value.rule if "rule" in expect else None) == (expect["code"], expect.get("rule"))
            if expect.get("text"):
                self.texts.append(str(error.value).replace("Ghost", "Dev"))
                assert len(set(self.texts)) == 1
            return
        made = self.step(step)
        if step.get("do") == "authenticate":
            assert made.principal.arn.endswith(expect["session"])
        elif "response" in step:
            self._compare(made, step, expect)

    def _compare(self, made: Any, step: dict[str, Any], expect: dict[str, Any]) -> None:
        life = made.credentials.expiration - self.world.clock()
        found = {
            "session": made.arn.partition("assumed-role/")[2],
            "seconds": int(life.total_seconds()),
            "tags": dict(made.session.tags),
            "transitive": list(made.session.transitive_tags),
            "source_identity": made.source_identity,
            "warnings": len(self.world.events[-1].warnings),
        }
        assert {name: found[name] for name in expect if name != "keys"} == {n: v for n, v in expect.items() if n != "keys"}
        if "keys" in expect:
            role, provider = self._text(step.get("role", "$Dev")), self._text(step.get("provider", "$Corp"))
            keys = self.world.federation.verify_saml(role, provider, self.response(step["response"])).keys
            assert {name: keys.get(name) for name in expect["keys"]} == expect["keys"]


@pytest.fixture(params=["reference", "compiled"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The evaluator that decides trust policies."""
    if request.param == "reference":

        def literally(principal, resource, query, endpoint, settings):
            return decide(principal, resource, query, endpoint=endpoint, settings=settings).decision

        monkeypatch.setattr(sts_trust, "decide_action", sts_trust._decide_profiles)
        monkeypatch.setattr(sts_trust, "decide_profiles", literally)
    return request.param


@pytest.mark.parametrize("case", LOADED, ids=lambda case: case["id"])
def test_saml_case(case, engine, monkeypatch):
    run, case = Run(case), copy.deepcopy(case)
    for step in case["steps"]:
        if step.get("response", {}).pop("no_decryption", False):
            monkeypatch.setattr(saml_response, "decrypted", lambda *_, **__: pytest.fail("a key was used"))
        run.check(step)


# -- other uses of a response --------------------------------------------------------------------------------------------


def test_name_qualifier_is_that_of_the_documentation():
    """SA54."""
    from fastiam.directory.account_records import SamlProvider
    from fastiam.federation.saml_assertion import name_qualifier

    provider = SamlProvider("arn:aws:iam::123456789012:saml-provider/MySAMLIdP", "123456789012", "MySAMLIdP")
    assert name_qualifier("https://example.com/saml", provider) == "1uAJanUnBc2XeUkHURMht+xam2c="


def test_result_has_the_members_of_the_api():
    """SA81."""
    world = SamlWorld()
    made = world.assume(good(name_id_format="urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"))
    assert (made.subject, made.subject_type, made.issuer) == ("eva", "persistent", "https://idp.example/saml")
    assert made.audience == "https://signin.aws.amazon.com/saml" and made.packed_policy_size == 0
    assert made.name_qualifier == made.session.context["saml:namequalifier"]


def test_session_policies_are_checked_before_the_trust_policy():
    """Step 14."""
    world = SamlWorld()
    world.directory.set_trust_policy(DEV, trust(CORP2))
    with pytest.raises(StsError) as error:
        world.assume(good(), policy="{" + " " * 3_000)
    assert error.value.code == "PackedPolicyTooLarge"
    world.directory.set_trust_policy(DEV, trust(CORP))
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}
    made = world.assume(good(), policy=policy)
    assert made.packed_policy_size > 0 and made.session.policies


def test_duration_out_of_range_is_refused_before_parsing():
    """Step 1."""
    with pytest.raises(StsError) as error:
        SamlWorld().assume("not a response", duration=899)
    assert (error.value.code, error.value.rule) == ("ValidationError", "S1")


@pytest.mark.parametrize(
    ("role", "provider", "response"),
    [
        ("arn", CORP, "AAAA"),
        (DEV, "arn", "AAAA"),
        (DEV, CORP, "AAA"),
        (DEV, CORP, 7),
        (DEV, DEV, "AAAA"),
        (CORP, CORP, "AAAA"),
        (DEV, f"arn:aws:iam::{A}:oidc-provider/x.example", "AAAA"),
    ],
)
def test_parameters_of_another_form_are_validation_errors(role, provider, response):
    with pytest.raises(StsError) as error:
        SamlWorld().assume(response, role, provider)
    assert error.value.code == "ValidationError"


def test_trust_policy_sees_the_context_of_the_call():
    """K2, D70."""
    world = SamlWorld({"console_destinations": ["https://console.example/"]})
    deny = {"Effect": "Deny", "Principal": {"Federated": CORP}, "Action": "sts:*"}
    near = deny | {"Condition": {"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}}
    world.directory.set_trust_policy(DEV, document(*trust(CORP)["Statement"], near))
    for call in (world.federation.assume_role_with_saml, world.federation.console_sign_in):
        assert refusal(call, DEV, CORP, good(), context={"aws:SourceIp": "203.0.113.9"}) == "AccessDenied"
        assert refusal(call, DEV, CORP, good(), unknown=["aws:SourceIp"]) == "AccessDenied"
        assert refusal(call, DEV, CORP, good(), context={"sts:RoleSessionName": "x"}) == "ValidationError"
    assert world.assume(good(), context={"aws:SourceIp": "198.51.100.9"}).credentials


# -- providers ------------------------------------------------------------------------------------------------------------


def refusal(call: Any, *args: Any, **options: Any) -> str:
    """The code with which a call is refused."""
    with pytest.raises(StsError) as error:
        call(*args, **options)
    return error.value.code


def test_provider_calls_answer_with_the_codes_of_iam():
    """1.9."""
    world = SamlWorld()
    providers = world.federation.saml_providers
    assert refusal(providers.create, A, "corp", metadata()) == "EntityAlreadyExists"  # names are unique without case
    assert refusal(providers.create, A, "a b", metadata()) == "InvalidInput"
    assert refusal(providers.create, A, "X", "x" * 999) == "InvalidInput"
    assert refusal(providers.create, A, "X", metadata(), encryption="Sometimes") == "InvalidInput"
    assert refusal(providers.create, A, "X", metadata(), encryption="Required") == "InvalidInput"
    assert refusal(providers.create, A, "X", metadata(), tags={"aws:x": "y"}) == "InvalidInput"
    assert refusal(providers.update, CORP2, metadata=metadata()) == "NoSuchEntity"
    assert refusal(providers.update, CORP, IdentityCenterInstanceArn="x") == "InvalidInput"  # IP18
    assert refusal(providers.get, CORP2) == "NoSuchEntity"
    assert refusal(providers.tag, CORP2, {"a": "b"}) == refusal(providers.untag, CORP2, ["a"]) == "NoSuchEntity"
    assert refusal(providers.tag, CORP, {f"k{n}": "v" for n in range(51)}) in ("InvalidInput", "LimitExceeded")
    providers.tag(CORP, {"a": "b"})
    assert providers.get(CORP).tags == {"a": "b"}
    for n in range(99):
        providers.create(A, f"p{n}", metadata())
    assert refusal(providers.create, A, "p99", metadata()) == "LimitExceeded"
    assert [each.name for each in providers.list(A)][:2] == ["Corp", "p0"]
    assert f"arn:aws:iam::{A}:saml-provider/X" not in world.directory.tables.saml_providers


@pytest.mark.parametrize(
    "text",
    {
        "two entities": f'<md:EntitiesDescriptor xmlns:md="{MD}">{metadata() * 2}</md:EntitiesDescriptor>',
        "no entity id": metadata(entity=""),
        "another protocol": metadata().replace("SAML:2.0:protocol", "SAML:1.1:protocol"),
        "two descriptors": re.sub("(<md:IDPSSODescriptor.*</md:IDPSSODescriptor>)", r"\1\1", metadata(), flags=re.DOTALL),
        "only encryption keys": metadata().replace('use="signing"', 'use="encryption"'),
        "an unreadable certificate": metadata("AAAA"),
        "an unreadable end": metadata(attributes='validUntil="tomorrow"'),
        "another root": "<x/>" + " " * 1_000,
        "no XML": "x" * 1_000,
        "a lone surrogate": metadata(entity="\udc80"),
    }.items(),
    ids=lambda pair: pair[0],
)
def test_metadata_without_one_usable_provider_are_refused(text):
    assert refusal(SamlWorld().federation.saml_providers.create, A, "X", text[1]) == "InvalidInput"


def test_metadata_of_one_entity_in_a_list_are_read():
    """IP10, IP12: a key without `use`, a comment and a processing instruction are fine."""
    other = '<md:EntityDescriptor entityID="https://sp.example"><md:SPSSODescriptor/></md:EntityDescriptor>'
    inner = other + metadata().replace(' use="signing"', "").replace("<md:IDPSSO", "<!-- x --><?y z?><md:IDPSSO", 1)
    text = f'<md:EntitiesDescriptor xmlns:md="{MD}">{inner}</md:EntitiesDescriptor>'
    info = SamlWorld().federation.saml_providers.create(A, "X", text)
    assert info.entity_id == "https://idp.example/saml" and not info.incomplete


def test_imported_metadata_with_a_byte_order_mark_warns():
    """F001, IP11."""
    world = SamlWorld()
    world.directory.update_saml_provider(CORP, "\ufeff" + metadata())
    assert world.federation.saml_providers.get(CORP).warnings == ("the metadata begin with a byte order mark",)
    assert world.federation.verify_saml(DEV, CORP, good()).session_name == "eva"


def test_incomplete_provider_is_visible_and_can_be_updated():
    """IP45."""
    world = SamlWorld()
    world.directory.create_saml_provider(CORP2)
    world.directory.set_trust_policy(DEV, trust(CORP2))
    info = world.federation.saml_providers.get(CORP2)
    assert info.incomplete == "the metadata are missing" and re.fullmatch("[A-Z0-9]{22,64}", info.uuid)
    response = good(roles=[f"{DEV},{CORP2}"])
    with pytest.raises(IdentityTokenError) as error:
        world.assume(response, provider=CORP2)
    assert error.value.rule == "IP45"
    world.federation.saml_providers.update(CORP2, metadata=metadata())
    assert world.assume(response, provider=CORP2).subject == "eva"


def test_decryption_keys_rotate():
    """IP47: a new key is added, then the old one is removed; at most two."""
    world = SamlWorld()
    providers = world.federation.saml_providers
    first = providers.update(CORP, encryption="Allowed", add_private_key=rsa_key("sp").pem).private_keys[0][0]
    assert world.federation.verify_saml(DEV, CORP, good(encrypt={})).session_name == "eva"
    world.clock.tick(1)
    assert len(providers.update(CORP, add_private_key=rsa_key("sp2").pem).private_keys) == 2
    assert refusal(providers.update, CORP, add_private_key=rsa_key("sp").pem) == "InvalidInput"
    assert refusal(providers.update, CORP, add_private_key="x", remove_private_key=first) == "InvalidInput"
    assert world.federation.verify_saml(DEV, CORP, good(encrypt={})).session_name == "eva"
    providers.update(CORP, remove_private_key=first)
    with pytest.raises(IdentityTokenError):
        world.federation.verify_saml(DEV, CORP, good(encrypt={}))
    last = providers.get(CORP).private_keys[0][0]
    assert refusal(providers.update, CORP, remove_private_key=last) == "InvalidInput"  # the mode needs one
    assert refusal(providers.update, CORP, remove_private_key="NONE") == "NoSuchEntity"
    assert len(providers.get(CORP).private_keys) == 1


@pytest.mark.parametrize("pem", ["no private key", rsa_key("weak", 1024).pem, ec_key().pem])
def test_other_private_keys_are_refused_and_not_shown(pem):
    world = SamlWorld()
    with pytest.raises(StsError) as error:
        world.federation.saml_providers.update(CORP, encryption="Allowed", add_private_key=pem)
    assert error.value.code == "InvalidInput" and pem not in str(error.value)
    assert pem not in "".join(traceback.format_exception(error.value))


def test_groups_become_role_values():
    """F061, SA90."""
    groups = ["AWS-111111111111-Dev", "aws-222222222222-Ops", "AWS-11111111111-Dev", "Staff", "XAWS-111111111111-Dev"]
    found = roles_of_groups(groups, "Corp")
    assert found == (f"{DEV},{CORP}", f"arn:aws:iam::{B}:role/Ops,arn:aws:iam::{B}:saml-provider/Corp")
    older = roles_of_groups(["ADFS-Dev", "AWS-111111111111-Dev"], "Corp", pattern=FIXED_ACCOUNT, account=A)
    assert older == (f"arn:aws:iam::{A}:role/ADFS-Dev,{CORP}",)
    with pytest.raises(StsError):
        roles_of_groups([], "Corp", pattern=FIXED_ACCOUNT)
    assert SamlWorld().federation.verify_saml(DEV, CORP, good(roles=found)).pairs >= {(DEV, CORP)}


# -- the catalogue --------------------------------------------------------------------------------------------------------

RULES = Path(__file__).resolve().parents[3] / "docs" / "federation-semantics.md"
OTHERS = {  # cases of these sections that are about something else
    "F010": "OpenID Connect",
    "F011": "OpenID Connect",
    "F013": "OpenID Connect",
    "F014": "OpenID Connect",
    "F192": "refresh tokens of user pools; its part about sealed keys is in test_federation_store.py",
}


def test_every_case_of_the_catalogue_has_a_test():
    """A case is an entry of the table, or a test whose docstring names it."""
    sections = re.split(r"^### (10\.\d) ", RULES.read_text(), flags=re.MULTILINE)
    listed = {
        number: set(re.findall(r"^- (F\d{3}) ", text, re.MULTILINE))
        for number, text in zip(sections[1::2], sections[2::2], strict=True)
    }
    second_reading = {case for case in listed["10.8"] if "F200" <= case <= "F207"}
    ours = (listed["10.1"] | listed["10.2"] | listed["10.7"] | second_reading) - OTHERS.keys()
    assert len(ours) > 55
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_federation_*.py"))
    found = {case["id"][:4] for case in LOADED} | set(re.findall(r"\bF\d{3}\b", tests))
    assert ours <= found
