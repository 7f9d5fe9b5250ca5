"""State of federation: replay across processes and restarts, sealed keys, audit events, and imported directories (chapter 9)."""

from __future__ import annotations

import logging
import pickle
import subprocess
import sys
import threading
import traceback
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from saml_attacks import ATTACKS
from saml_world import CORP, CORP2, DEV, OPS, START, SamlWorld, encoded, good, metadata, response_tree, rsa_key, trust
from sts_fixture import CHEAP, A

import fastiam
from fastiam.federation import AuditEvent, Federation, FederationSettings, IdentityTokenError
from fastiam.sts import STS, Keyring, KeyringError, StsError


class Processes:
    """Several processes over one store."""

    def __init__(self, path: Path) -> None:
        self.path, self.keyring, self.opened = path, Keyring.generate(), []
        world = SamlWorld(directory=fastiam.Directory.open(path))
        self.clock = world.clock
        self.world = world
        world.keyring = self.keyring
        world.federation.saml_providers.create(A, "Corp", metadata())
        for role in (DEV, OPS):
            world.directory.add_principal(role, trust_policy=trust(CORP))

    def start(self, keyring: Keyring | None = None, **settings: Any) -> Federation:
        """One more process."""
        directory = fastiam.Directory.open(self.path)
        self.opened.append(directory)
        sts = STS(directory, keyring or self.keyring, clock=self.clock, hasher=CHEAP)
        return Federation(sts, settings=FederationSettings(**settings), audit=self.world.events.append)

    def close(self) -> None:
        for directory in (*self.opened, self.world.directory):
            directory.close()


@pytest.fixture
def processes(tmp_path: Path):
    made = Processes(tmp_path / "iam.db")
    yield made
    made.close()


def test_one_of_two_processes_redeems_an_assertion(processes):
    """F194."""
    federations = [processes.start(), processes.start()]
    for n in range(5):
        response, outcomes, barrier = good(id=f"_{n}"), [], threading.Barrier(2)

        def redeem(federation: Federation, response=response, outcomes=outcomes, barrier=barrier) -> None:
            barrier.wait()
            try:
                federation.assume_role_with_saml(DEV, CORP, response)
                outcomes.append("OK")
            except IdentityTokenError as error:
                outcomes.append(error.rule)

        threads = [threading.Thread(target=redeem, args=(federation,)) for federation in federations]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(outcomes) == ["OK", "SA80"]


def test_redemption_and_provider_removal_reach_all_processes(processes):
    """SA80, IP42."""
    first, second = processes.start(), processes.start()
    first.assume_role_with_saml(DEV, CORP, good())
    with pytest.raises(IdentityTokenError):
        second.assume_role_with_saml(DEV, CORP, good())
    second.saml_providers.delete(CORP)
    with pytest.raises(StsError) as error:
        first.assume_role_with_saml(OPS, CORP, good(roles=[f"{OPS},{CORP}"]))
    assert error.value.code == "InvalidIdentityToken"


def test_spent_assertion_stays_spent_if_the_clock_runs_backwards(processes):
    """F193, ST20: also after its entry was swept."""
    federation = processes.start()
    response = good()
    federation.assume_role_with_saml(DEV, CORP, response)
    processes.clock.now = START + timedelta(hours=1)
    later = good(processes.clock.now, id="_later")
    federation.assume_role_with_saml(DEV, CORP, later)
    entries = federation.sts.directory.join(type(federation._state.store)()).tables.redemptions
    assert len(entries) == 2  # of the later assertion alone: for its role, and for all uses
    processes.clock.now = START
    with pytest.raises(IdentityTokenError) as error:
        federation.assume_role_with_saml(DEV, CORP, response)
    assert error.value.rule == "SA80"
    with pytest.raises(IdentityTokenError):
        federation.assume_role_with_saml(DEV, CORP, good(id="_other"))  # it may be one that was swept


def test_clock_that_was_ahead_shuts_out_only_what_may_be_spent():
    """ST20: an hour ahead for one call, an entry is swept; later assertions are accepted as usual."""
    world = SamlWorld()
    world.assume(good())
    world.clock.tick(3_600)
    world.assume(good(world.clock(), id="_ahead"))
    world.clock.now = START + timedelta(seconds=1)
    world.assume(good(world.clock(), id="_2"))
    with pytest.raises(IdentityTokenError):
        world.assume(good())


def test_replay_entry_of_another_setting_counts():
    """SA80: `once` holds before and after, whatever the setting of the other use."""
    world = SamlWorld()
    both = {"roles": [f"{DEV},{CORP}", f"{OPS},{CORP}"]}
    world.assume(good(**both))
    with pytest.raises(IdentityTokenError):
        world.open(replay="strict").assume_role_with_saml(OPS, CORP, good(**both))
    world.open(replay="strict").assume_role_with_saml(OPS, CORP, good(id="_2", **both))
    with pytest.raises(IdentityTokenError):
        world.assume(good(id="_2", **both))


# -- sealed keys --------------------------------------------------------------------------------------------------------------


def test_reseal_covers_the_private_keys(processes):
    """ST10, F192."""
    federation = processes.start()
    federation.saml_providers.update(CORP, encryption="Allowed", add_private_key=rsa_key("sp").pem)
    rotated = processes.keyring.rotated()
    new = processes.start(rotated)
    assert new.sts.reseal() == 1
    alone = processes.start(Keyring([(rotated.ids[0], rotated._keys[bytes.fromhex(rotated.ids[0])])]))
    assert alone.verify_saml(DEV, CORP, good(encrypt={})).session_name == "eva"


def test_key_under_a_lost_keyring_fails_with_an_event(processes):
    """F192: without resealing, the call fails."""
    processes.start().saml_providers.update(CORP, encryption="Allowed", add_private_key=rsa_key("sp").pem)
    lost = processes.start(Keyring.generate())
    with pytest.raises(KeyringError):
        lost.assume_role_with_saml(DEV, CORP, good(encrypt={}))
    assert processes.world.events[-1].outcome == "refused"


def test_sealed_key_copied_into_another_record_does_not_open(processes):
    """F191, ST10."""
    from dataclasses import replace

    federation = processes.start()
    providers = federation.saml_providers
    providers.create(A, "Corp2", metadata(), encryption="Allowed", private_key=rsa_key("sp").pem)
    providers.update(CORP, encryption="Allowed", add_private_key=rsa_key("sp2").pem)
    store = federation._state.store
    tables = federation.sts.directory.tables
    own, other = (store.saml_keys(tables.saml_providers[arn].unique_id)[0] for arn in (CORP, CORP2))
    with federation.sts.directory.transaction():
        store.put("saml_keys", f"{own.provider}/{own.id}", replace(own, sealed=other.sealed))
    with pytest.raises(KeyringError):
        federation.assume_role_with_saml(DEV, CORP, good(encrypt={}))


def test_deleted_provider_takes_its_keys_along(processes):
    """ST12, IP1."""
    federation = processes.start()
    federation.saml_providers.update(CORP, encryption="Allowed", add_private_key=rsa_key("sp").pem)
    federation.saml_providers.delete(CORP)
    assert not federation._state.store.tables.saml_keys
    assert not federation.saml_providers.create(A, "Corp", metadata()).private_keys


def test_provider_deletion_without_federation_removes_keys(processes):
    """ST12, IP1: the process that deletes it has no verifier."""
    processes.start().saml_providers.update(CORP, encryption="Allowed", add_private_key=rsa_key("sp").pem)
    with fastiam.Directory.open(processes.path) as directory:
        directory.delete_provider(CORP)
    assert not processes.start()._state.store.tables.saml_keys


def test_no_file_of_the_store_has_a_private_key_or_an_assertion(processes, tmp_path):
    """9.2."""
    federation = processes.start()
    federation.saml_providers.update(CORP, encryption="Allowed", add_private_key=rsa_key("sp").pem)
    response = good()
    federation.assume_role_with_saml(DEV, CORP, response)
    content = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"saml-provider/Corp" in content
    for secret in (rsa_key("sp").pem.splitlines()[1], response[:60], "_a1"):
        assert secret.encode() not in content


# -- events and messages --------------------------------------------------------------------------------------------------------


def test_event_of_a_session_names_all_that_is_asked():
    """9.4."""
    world = SamlWorld()
    world.assume(good(attributes={"SourceIdentity": ["eva"]}), source="192.0.2.7")
    event = world.events[-1]
    assert (event.kind, event.account, event.source, event.outcome) == ("AssumeRoleWithSAML", A, "192.0.2.7", "success")
    assert event.at == START and event.number == 2
    names = "provider issuer subject subject_format assertion_id role session_name source_identity type principal_id user_name"
    assert set(names.split()) <= event.details.keys()
    assert event.details["type"] == "SAMLUser" and event.details["principal_id"].endswith("=:eva")
    assert len(event.details["assertion"]) == 16


def test_event_of_a_refusal_has_code_rule_and_reason():
    world = SamlWorld()
    with pytest.raises(IdentityTokenError):
        world.assume(good(issuer="https://other.example"))
    event = world.events[-1]
    assert (event.outcome, event.code, event.rule, event.reason) == ("refused", "InvalidIdentityToken", "SA30", "issuer")
    assert "subject" not in event.details  # nothing that is not verified


def test_reason_of_a_refusal_by_trust_is_in_the_event_alone():
    """SA1, FD4."""
    world = SamlWorld()
    world.directory.set_trust_policy(DEV, trust(CORP2))
    with pytest.raises(StsError) as error:
        world.assume(good())
    assert "trust policy" in world.events[-1].details["denied"] and "trust policy" not in str(error.value)


def test_changes_of_providers_are_events():
    """9.4: caller, object and what changed, never a key; also of a refusal."""
    world = SamlWorld()
    providers = world.federation.saml_providers
    providers.update(CORP, encryption="Allowed", add_private_key=rsa_key("sp").pem, caller="arn:aws:iam::111111111111:user/ana")
    providers.tag(CORP, {"team": "blue"})
    providers.untag(CORP, ["team"])
    with pytest.raises(StsError):
        providers.delete(CORP2)
    found = [(event.kind, event.outcome, event.details["provider"], event.details["changed"]) for event in world.events]
    assert found == [
        ("CreateSAMLProvider", "success", CORP, "provider"),
        ("UpdateSAMLProvider", "success", CORP, "encryption, private key added"),
        ("TagSAMLProvider", "success", CORP, "tags"),
        ("UntagSAMLProvider", "success", CORP, "tags"),
        ("DeleteSAMLProvider", "refused", CORP2, "provider"),
    ]
    assert world.events[1].details["caller"].endswith("user/ana") and world.events[4].code == "NoSuchEntity"
    assert "PRIVATE" not in repr(world.events)


def test_personal_data_are_hashed_on_request():
    """ST30."""
    world = SamlWorld({"hash_personal_data": True})
    world.assume(good())
    assert "eva" not in {world.events[-1].details[name] for name in ("subject", "user_name", "principal_id")}
    assert "eva" not in world.events[-1].details["principal_id"]


def test_events_go_to_logging_by_default(caplog):
    world = SamlWorld()
    federation = Federation(world.federation.sts)
    with caplog.at_level(logging.INFO, "fastiam.federation"):
        federation.assume_role_with_saml(DEV, CORP, good())
        with pytest.raises(IdentityTokenError):
            federation.assume_role_with_saml(DEV, CORP, good())
    assert [(r.levelname, r.name) for r in caplog.records] == [
        ("INFO", "fastiam.federation"),
        ("WARNING", "fastiam.federation"),
    ]
    assert isinstance(caplog.records[0].event, AuditEvent) and "SA80" in caplog.text


FAILING = {
    "base64": lambda: good() + "!",
    "xml": lambda: encoded(ATTACKS["undeclared_entity"](response_tree())),
    "form": lambda: encoded(ATTACKS["second_signature"](response_tree())),
    "signature": lambda: encoded(ATTACKS["changed_attribute"](response_tree())),
    "decryption": lambda: good(encrypt={}, signed=[]),
    "issuer": lambda: good(issuer="https://other.example"),
    "attributes": lambda: good(name="e va"),
    "role": lambda: good(roles=[]),
}


@pytest.mark.parametrize("failure", FAILING)
def test_message_and_traceback_do_not_contain_the_assertion(failure, caplog):
    """9.2."""
    world = SamlWorld()
    world.federation.saml_providers.update(CORP, encryption="Allowed", add_private_key=rsa_key("sp").pem)
    response = FAILING[failure]()
    with pytest.raises(StsError) as caught, caplog.at_level(logging.DEBUG):
        world.federation.assume_role_with_saml(DEV, CORP, response)
    frames = list(traceback.walk_tb(caught.value.__traceback__))[1:]  # without the test
    shown = "".join(repr(value) for frame, _ in frames for value in frame.f_locals.values())
    shown += str(caught.value) + caplog.text + repr(world.events)
    assert response[20:60] not in shown and "SignatureValue" not in shown and "<saml:" not in shown
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (type(copy), str(copy), copy.code) == (type(caught.value), str(caught.value), caught.value.code)


def test_sessions_and_decisions_load_no_verifier():
    code = "import sys, fastiam.sts; print(*{'lxml', 'signxml', 'jwt', 'fastiam.federation'} & sys.modules.keys())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""


def test_federation_does_not_pickle_and_shows_no_secret():
    world = SamlWorld()
    with pytest.raises(TypeError):
        pickle.dumps(world.federation)
    with pytest.raises(TypeError):
        pickle.dumps(world.directory)
    assert repr(world.federation).startswith("<Federation: <STS: ") and repr(object.__new__(Federation)) == "<Federation>"


# -- import ---------------------------------------------------------------------------------------------------------------------


def test_import_without_providers_loads_and_warns():
    """F009."""
    world = SamlWorld(directory=fastiam.Directory())
    world.directory.add_principal(DEV, trust_policy=trust(CORP))
    found = world.federation.findings()
    assert [(finding.code, finding.source) for finding in found] == [("provider_missing", DEV)]
    with pytest.raises(StsError) as error:
        world.assume(good())
    assert error.value.code == "InvalidIdentityToken"
    world.directory.create_saml_provider(CORP)
    assert [finding.code for finding in world.federation.findings()] == ["provider_incomplete"]
    world.federation.saml_providers.update(CORP, metadata=metadata(rsa_key("weak", 1024).text, rsa_key().text))
    assert [finding.code for finding in world.federation.findings()] == ["provider_metadata"]


def test_deployment_without_metadata_decides_verified_assertions():
    """1.8."""
    from fastiam.sts import Assertion

    world = SamlWorld()
    world.directory.update_saml_provider(CORP, "")
    made = world.federation.sts.assume_role_with_saml(Assertion(provider=CORP, session_name="eva"), DEV)
    assert made.arn.endswith("Dev/eva")
