"""Records of Roles Anywhere in a store: subjects, used requests, objects that other processes change, events; and sessions."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sts_fixture import CHAIN, CHEAP, A, document
from x509_world import HOST, REGION, World, crl, issue, trust_policy

import fastiam
from fastiam.errors import pip_install
from fastiam.rolesanywhere import (
    NotificationSetting,
    RolesAnywhere,
    RolesAnywhereObjects,
    RolesAnywhereSettings,
    error_response,
    success_response,
)
from fastiam.sts import STS, Keyring, StsError

UUID = "00000000-0000-4000-8000-000000000000"


class Processes:
    """Several processes over one store, with the objects of a `World`."""

    def __init__(self, path: Path) -> None:
        self.path, self.keyring, self.world = path, Keyring.generate(), World()
        (path.parent / "world.json").write_text(self.world.directory.to_json())
        with fastiam.Directory.open(path) as directory:
            fastiam.load(path.parent / "world.json", into=directory)
        self.opened: list[fastiam.Directory] = []

    def start(self, **settings: Any) -> RolesAnywhere:
        """One more process."""
        directory = fastiam.Directory.open(self.path)
        self.opened.append(directory)
        sts = STS(directory, self.keyring, clock=self.world.clock, hasher=CHEAP)
        return RolesAnywhere(sts, settings=RolesAnywhereSettings(**settings), audit=self.world.events.append)


@pytest.fixture
def processes(tmp_path: Path):
    made = Processes(tmp_path / "iam.db")
    yield made
    for directory in made.opened:
        directory.close()


def test_one_of_two_processes_uses_a_request(processes):
    first, second = processes.start(single_use=True), processes.start(single_use=True)
    request = processes.world.draft(issue("host1", processes.world.root)).signed()
    assert first.create_session(request)
    with pytest.raises(StsError, match="used before"):
        second.create_session(request)
    with pytest.raises(StsError, match="used before"):
        processes.start(single_use=True).create_session(request)


def test_changes_of_another_process_count_with_the_next_call(processes):
    first, second = processes.start(), processes.start()
    world, host = processes.world, issue("host1", processes.world.root)
    request = world.draft(host).signed()
    assert first.create_session(request)
    list_ = second.objects.import_crl("crl", crl(world.root, [host.cert.serial_number]), world.anchor, enabled=True)
    with pytest.raises(StsError, match="RW34"):
        first.create_session(request)
    second.objects.delete(list_.arn)
    assert first.create_session(request)
    second.objects.disable(world.anchor)
    with pytest.raises(StsError, match="disabled"):
        first.create_session(request)
    second.objects.delete(world.anchor)
    with pytest.raises(StsError) as caught:
        first.create_session(request)
    assert caught.value.code == "ResourceNotFoundException"


def test_a_subject_is_recorded_once_for_each_name_and_survives(processes):
    """RW14: successes, and failures after the path is valid."""
    anywhere, world = processes.start(), processes.world
    first, second = (issue("host1", world.root, serial=serial) for serial in (1, 2))
    made = anywhere.create_session(world.draft(first, instanceProperties={"rack": "7"}).signed())
    world.clock.tick(60)
    anywhere.create_session(world.draft(second).signed())
    with pytest.raises(StsError, match="does not accept"):
        anywhere.create_session(world.draft(first, roleSessionName="run1").signed())
    anywhere.create_session(world.draft(issue("host2", world.root)).signed())
    subjects = {subject.name: subject for subject in processes.start().objects.subjects(A)}
    assert set(subjects) == {"CN=host1", "CN=host2"}
    subject = subjects["CN=host1"]
    assert subject.arn == made.subject_arn and (subject.last_seen - subject.created).seconds == 60
    assert [(c.serial, c.failed) for c in subject.credentials] == [("2", False), ("1", True)]
    assert [p.properties for p in subject.instance_properties] == [{"rack": "7"}]


def test_a_subject_keeps_its_last_certificates(processes):
    anywhere, world = processes.start(), processes.world
    for serial in range(1, 15):
        anywhere.create_session(world.draft(issue("host1", world.root, serial=serial)).signed())
    (subject,) = anywhere.objects.subjects()
    assert [c.serial for c in subject.credentials] == [str(serial) for serial in range(5, 15)]


def test_objects_are_changed_as_the_api_does(processes):
    objects, world = processes.start().objects, processes.world
    setting = NotificationSetting("CA_CERTIFICATE_EXPIRY", True, 30, "ALL")
    assert objects.put_notification_settings(world.anchor, [setting]).notification_settings == (setting,)
    assert objects.reset_notification_settings(world.anchor).notification_settings == ()
    with pytest.raises(StsError, match="RW10"):
        objects.put_notification_settings(world.anchor, [NotificationSetting("OTHER")])
    profile = objects.create_profile(A, REGION, "p", role_arns=HOST, session_policy=document({"Effect": "Deny"}))
    assert (profile.enabled, profile.role_arns, profile.duration_seconds) == (False, (HOST,), 3600)
    assert json.loads(profile.session_policy)["Statement"] == [{"Effect": "Deny"}]
    world.clock.tick(5)
    renamed = objects.update_profile(profile.arn, name="q", duration_seconds=900)
    assert (renamed.name, renamed.created, renamed.updated) == ("q", profile.created, world.clock.now)
    assert objects.get(profile.arn) == renamed
    assert objects.delete(profile.arn) == renamed
    for call in (
        objects.get,
        objects.delete,
        objects.enable,
        objects.update_profile,
        objects.update_trust_anchor,
        objects.update_crl,
    ):
        with pytest.raises(StsError) as caught:
            call(profile.arn)
        assert caught.value.code == "ResourceNotFoundException"
    with pytest.raises(StsError, match="not an account"):
        objects.create_profile("1", REGION, "p", role_arns=[])
    with pytest.raises(StsError, match="RW12"):
        objects.create_profile(A, REGION, "p", role_arns=["*"])
    with pytest.raises(StsError, match="not a name"):
        objects.create_profile(A, REGION, "p/q", role_arns=[])


def test_objects_are_of_the_partition_of_their_account():
    directory = fastiam.Directory()
    directory.add_account(A, partition="aws-us-gov")
    made = RolesAnywhereObjects(directory).create_profile(A, "us-gov-west-1", "p", role_arns=[])
    assert made.arn.startswith(f"arn:aws-us-gov:rolesanywhere:us-gov-west-1:{A}:profile/")


# -- events and answers -----------------------------------------------------------------------------------------------------


def test_each_call_is_one_event_with_what_is_known_of_it():
    world = World()
    host = issue("host1", world.root, serial=291)
    world.create(host)
    assert dict(world.events[-1].details) == {
        "trust_anchor": world.anchor, "profile": world.profile, "role": HOST, "serial": "0123", "subject": "CN=host1",
        "session_name": "0123", "source_identity": "CN=host1",
    }  # fmt: skip
    assert (world.events[-1].account, world.events[-1].source) == (A, "192.0.2.1")
    world.objects.disable(world.profile)
    assert (world.events[-1].kind, world.events[-1].details["changed"]) == ("DisableProfile", "enabled")
    with pytest.raises(StsError):
        world.create(host)
    event = world.events[-1]
    assert (event.outcome, event.code, event.rule, event.reason) == ("refused", "AccessDeniedException", "6.4", "disabled")
    numbers = [event.number for event in world.events]
    assert numbers == list(range(1, len(numbers) + 1))


def test_the_subject_is_hashed_where_personal_data_are():
    world = World(settings=RolesAnywhereSettings(hash_personal_data=True))
    world.create(issue("host1", world.root))
    assert "host1" not in world.events[-1].details["subject"]


def test_events_go_to_logging_by_default(caplog):
    world = World()
    with caplog.at_level(logging.INFO, "fastiam.federation"):
        RolesAnywhere(world.sts).create_session(world.draft(issue("host1", world.root)).signed())
    assert "CreateSession success" in caplog.text and HOST in caplog.text


def test_answers_have_the_form_of_the_api():
    """6.6."""
    world = World()
    made = world.create(issue("host1", world.root, serial=291))
    answer = success_response(made)
    content = json.loads(answer.body)
    (found,) = content["credentialSet"]
    assert (answer.status, content["subjectArn"]) == (201, made.subject_arn)
    assert found["assumedRoleUser"] == {"arn": made.arn, "assumedRoleId": "AROAHOST:0123"}
    assert found["credentials"]["expiration"] == "2026-01-01T01:00:00Z"
    assert (found["roleArn"], found["sourceIdentity"], found["packedPolicySize"]) == (HOST, "CN=host1", 0)
    assert str(made.credentials.secret_access_key) not in repr(made) + repr(answer)
    for change, status in (({"role": "x"}, 400), ({"profile": world.profile[:-36] + UUID}, 404), ({"role": CHAIN}, 403)):
        with pytest.raises(StsError) as caught:
            world.create(issue("host1", world.root), **change)
        assert error_response(caught.value).status == status
    world.objects.update_profile(world.profile, session_policy="{")
    with pytest.raises(fastiam.PolicyError) as rejected:
        world.create(issue("host1", world.root))
    assert error_response(rejected.value).status == 400
    assert error_response(fastiam.StoreError("busy", source="iam.db", reason="busy")).status == 500


def test_one_region_is_served_where_it_is_named():
    world = World(region="us-east-1")
    with pytest.raises(StsError) as caught:
        world.create(issue("host1", world.root))
    assert caught.value.code == "ResourceNotFoundException"


@pytest.mark.parametrize("skew", [-1, 301])
def test_a_skew_is_not_above_that_of_the_specification(skew):
    with pytest.raises(StsError, match="FD6"):
        RolesAnywhereSettings(skew=skew)


def test_package_and_extra_are_needed_by_nothing_else():
    """A directory reads and writes the objects without reading certificates."""
    code = (
        "import sys, fastiam, fastiam.sts; sys.modules['jwt'] = sys.modules['signxml'] = None;"
        "from fastiam.directory.account_records import TrustAnchor; d = fastiam.Directory();"
        f"d.add_roles_anywhere(TrustAnchor('arn:aws:rolesanywhere:x:{A}:trust-anchor/{UUID}', '', 'ca', certificates='x'));"
        "assert 'trust_anchors' in d.to_json() and 'fastiam.rolesanywhere' not in sys.modules\n"
        "try: import fastiam.rolesanywhere\n"
        "except ModuleNotFoundError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert pip_install("federation") in done.stdout


# -- sessions ---------------------------------------------------------------------------------------------------------------


def test_both_evaluators_and_batches_decide_sessions_equally():
    """RW51 to RW53: joined values, absent tags and the prefix of the source identity, as later requests see them."""
    conditions = {
        "StringEquals": {"aws:SourceIdentity": "CN=host1", "aws:PrincipalTag/x509Subject/OU": "Security/Engineering"},
        "Null": {"aws:PrincipalTag/x509Issuer/O": "true", "aws:MultiFactorAuthPresent": "true"},
    }
    world = World(root=issue([("CN", "Root"), ("O", "Example, Inc.")], ca=True))
    allow = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*", "Condition": conditions}
    world.directory.put_inline_policy(HOST, "more", document(allow))
    sessions = [
        world.create(issue(subject, world.root)).session
        for subject in (
            [("CN", "host1"), ("OU", "Security"), ("OU", "Engineering")],
            [("CN", "host1"), ("OU", "Security")],
            [("CN", "host2"), ("OU", "Security"), ("OU", "Engineering")],
        )
    ]
    engine = world.sts.engine
    expected = [True, False, False]
    assert [engine.decide(s, "s3:ListBucket", "arn:aws:s3:::b").outcome.name == "ALLOW" for s in sessions] == expected
    assert [engine.explain(s, "s3:ListBucket", "arn:aws:s3:::b").decision.outcome.name == "ALLOW" for s in sessions] == expected
    names = {f"session{i}": session for i, session in enumerate(sessions)}
    batch = engine.decide_many(list(names), "s3:ListBucket", "arn:aws:s3:::b", sessions=names)
    assert [bool(allowed) for allowed in batch.allowed] == expected


def test_sts_issues_no_session_without_a_source_identity():
    """RW53, for those who verify by themselves."""
    world = World()
    verified = fastiam.sts.Assertion(provider=world.anchor, keys={"aws:SourceArn": world.anchor}, session_name="0a")
    with pytest.raises(StsError, match="RW53"):
        world.sts.create_session(verified, HOST)


def test_a_session_ends_with_its_role_and_by_revocation():
    world = World()
    made = world.create(issue("host1", world.root))
    assert world.sts.authenticate(made.credentials).arn == made.arn
    world.sts.revoke_sessions(HOST)
    assert not world.sts.engine.is_allowed(made.session, "s3:GetObject", "arn:aws:s3:::b/k")
    world.directory.set_trust_policy(HOST, trust_policy())
