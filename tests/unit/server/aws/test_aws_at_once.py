"""Short operations on the event loop: the same answers as in a thread, and nothing that waits (G14, G16)."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlencode

import pyotp
import pytest
from aws_world import BO, ENDPOINT, A, AwsWorld, error_of, sign
from msgspec.structs import replace
from sts_fixture import ALL, document, trusting

import fastiam
from fastiam.server.http import Request, Response
from fastiam.server.protocols.aws.iam_users import delete_user, get_user
from fastiam.server.protocols.aws.operations import Operation, operations
from fastiam.sts import STS, PasswordPolicy
from fastiam.sts.signed_calls import Permission, everything

IAM = "Version=2010-05-08"
WHO = "Action=GetCallerIdentity&Version=2011-06-15"
GET_USER = f"Action=GetUser&UserName=bo&{IAM}"
CALLS = json.loads((Path(__file__).parents[3] / "cases/aws_calls.json").read_text())
SHORT = sorted((service, name) for service in ("iam", "sts") for name, each in operations(service).items() if each.is_short)


def at_once(world: AwsWorld, request: Request) -> Response | None:
    return world.protocol.at_once(request, world.decider, world.clock())


def warm(world: AwsWorld, body: str = GET_USER, **options: str) -> Request:
    """A signed request of an operation that has answered before."""
    request = sign(world, body, **options)
    assert world.handle(request).status == 200
    return request


@pytest.fixture
def full(world: AwsWorld) -> AwsWorld:
    """What the calls name exists."""
    add, eve = world.directory, f"arn:aws:iam::{A}:user/eve"
    add.add_managed_policy(f"arn:aws:iam::{A}:policy/p", document(ALL))
    add.add_principal(eve, tags={"k": "v"}, identity_policies=[("p", document(ALL))])
    add.add_principal(f"arn:aws:iam::{A}:role/dep", trust_policy=trusting(BO), identity_policies=[("p", document(ALL))])
    add.add_group("devs", account=A)
    add.put_inline_policy(f"arn:aws:iam::{A}:group/devs", "p", document(ALL))
    add.create_instance_profile(f"arn:aws:iam::{A}:instance-profile/web")
    world.sts.passwords.set(eve, "correct horse 7 B!")
    world.sts.passwords.set_policy(PasswordPolicy(A, minimum_length=9))
    device = world.sts.mfa.create(eve, "phone")
    codes = [pyotp.TOTP(str(device.seed)).at(world.clock() + timedelta(seconds=30 * step)) for step in (-1, 0)]
    world.sts.mfa.enable(device.serial, *codes)
    return world


def test_short_operations_are_reads():
    assert ("iam", "GetUser") in SHORT and ("sts", "GetCallerIdentity") in SHORT
    assert {name for _, name in SHORT if not name.startswith(("Get", "List"))} == set()


@pytest.mark.parametrize("service", ["iam", "sts"])
def test_lists_of_an_account_are_not_short(service):
    of_account = {
        "ListUsers",
        "ListRoles",
        "ListPolicies",
        "GetGroup",
        "GetPolicy",
        "ListEntitiesForPolicy",
        "SimulatePrincipalPolicy",
    }
    assert not of_account & {name for each, name in SHORT if each == service}


@pytest.mark.parametrize("how", [{"writes": True}, {"prepare": get_user}, {"own_transactions": True}])
def test_operation_that_writes_cannot_be_short(how):
    with pytest.raises(ValueError, match="reads only"):
        Operation(delete_user, (Permission(everything),), is_short=True, **how)


@pytest.mark.parametrize(("service", "name"), SHORT)
def test_answer_at_once_is_that_of_a_thread(full, service, name):
    given = (
        {"AccessKeyId": full.admin.access_key_id} if name in ("GetAccessKeyInfo", "GetAccessKeyLastUsed") else CALLS.get(name, {})
    )
    version = "2011-06-15" if service == "sts" else "2010-05-08"
    body = urlencode({"Action": name, "Version": version, **given})
    request = replace(sign(full, body, service=service), request_id="one")
    assert at_once(full, request) is None, "before the first answer models are read"
    answer = full.handle(request)
    assert answer.status == 200, answer.body
    assert at_once(full, request) == answer
    denied = replace(sign(full, body, service=service, keys=full.bo), request_id="one")
    refusal = full.handle(denied)
    assert at_once(full, denied) == refusal


NOT_AT_ONCE = {
    "a list of the account": {"body": f"Action=ListUsers&{IAM}"},
    "a write": {"body": f"Action=DeleteUser&UserName=bo&{IAM}"},
    "an absent operation": {"body": f"Action=GetNothing&{IAM}"},
    "a large body": {"body": GET_USER + "&Colour=" + "r" * 4096},
    "a long query string": {"body": GET_USER, "url": f"{ENDPOINT}?Colour={'r' * 4096}"},
    "a write that a header calls short": {
        "body": f"Action=DeleteUser&UserName=bo&{IAM}",
        "headers": {"x-amz-target": "AWSCognitoIdentityProviderService.GetUser"},
    },
    "a write with an encoded name": {"body": f"Action=Delete%55ser&UserName=bo&{IAM}"},
}


@pytest.mark.parametrize("case", NOT_AT_ONCE)
def test_other_request_is_not_answered_at_once(world, case):
    warm(world)
    made = NOT_AT_ONCE[case]
    request = sign(world, made["body"], headers=dict(made.get("headers", {})), url=made.get("url", ENDPOINT))
    before = world.directory.to_json()
    assert at_once(world, request) is None
    assert world.directory.to_json() == before


def test_session_request_is_not_answered_at_once(world):
    request = warm(world)
    assert at_once(world, request) is not None
    assert at_once(world, replace(request, raw_path=b"/aws/sessions")) is None


def test_wrong_signature_is_refused_at_once(world):
    request = warm(world)
    altered = replace(request, body=request.body.replace(b"bo", b"ad"))
    answer = at_once(world, altered)
    assert answer is not None and error_of(answer) == (403, "SignatureDoesNotMatch")


def test_stale_signature_is_refused_at_once(world):
    request = warm(world)
    world.clock.tick(16 * 60)
    answer = at_once(world, request)
    assert answer is not None and error_of(answer) == (403, "SignatureDoesNotMatch")


def test_key_made_inactive_is_refused_at_once(world):
    request = warm(world)
    world.sts.keys.set_status(world.admin.access_key_id, "Inactive")
    answer = at_once(world, request)
    assert answer is not None and error_of(answer) == (403, "InvalidClientTokenId")


def test_policy_that_was_taken_away_denies_at_once(world):
    world.allow("iam:GetUser")
    request = sign(world, GET_USER, keys=world.bo)
    assert world.handle(request).status == 200
    world.directory.delete_inline_policy(BO, "test")
    assert at_once(world, request) is None, "the engine must be compiled first"
    assert error_of(world.handle(request)) == (403, "AccessDenied")
    answer = at_once(world, request)
    assert answer is not None and error_of(answer) == (403, "AccessDenied")


def test_use_of_a_key_is_written_in_a_thread(world):
    """The store is written once a minute and key: that waits for the disk."""
    warm(world)
    world.clock.tick(61)
    request = sign(world, GET_USER)
    before = world.sts.keys.get(world.admin.access_key_id).last_used
    assert at_once(world, request) is None
    assert world.sts.keys.get(world.admin.access_key_id).last_used == before
    assert world.handle(request).status == 200
    assert world.sts.keys.get(world.admin.access_key_id).last_used == world.clock()
    assert at_once(world, request) is not None


@contextmanager
def transaction_of_another_thread(directory: fastiam.Directory) -> Iterator[None]:
    began, ends = threading.Event(), threading.Event()

    def write() -> None:
        with directory.transaction():
            began.set()
            ends.wait(10)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        assert began.wait(10)
        yield
    finally:
        ends.set()
        thread.join()


def test_open_transaction_is_not_waited_for(world):
    request = warm(world)
    with transaction_of_another_thread(world.directory):
        assert at_once(world, request) is None
    answer = at_once(world, request)
    assert answer is not None and answer.status == 200


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[AwsWorld]:
    with fastiam.Directory.open(tmp_path / "store") as directory:
        yield AwsWorld(directory)


def test_write_of_another_process_is_seen_by_the_next_call(stored, tmp_path):
    """GC190."""
    request = warm(stored)
    assert at_once(stored, request) is not None
    with fastiam.Directory.open(tmp_path / "store") as other:
        other.tag(BO, {"team": "red"})
    assert at_once(stored, request) is None, "its records must be read first"
    answer = stored.handle(request)
    assert b"<Value>red</Value>" in answer.body
    assert at_once(stored, request).body.count(b"<Value>red</Value>") == 1


def test_use_of_a_key_is_recorded_without_waiting_for_a_write(stored, tmp_path):
    """The use is written with the next one, or at the end."""
    request, users = warm(stored), (stored.admin, stored.bo)
    before = {key.access_key_id: stored.sts.keys.get(key.access_key_id).last_used for key in users}
    stored.clock.tick(60)
    other = sqlite3.connect(tmp_path / "store", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    used = stored.clock()
    for key in users:
        assert stored.handle(sign(stored, WHO, service="sts", keys=key)).status == 200
        assert stored.sts.keys.get(key.access_key_id).last_used == before[key.access_key_id]
    other.execute("ROLLBACK")
    other.close()
    stored.clock.tick(10)
    assert stored.handle(request).status == 200
    assert stored.sts.keys.get(stored.admin.access_key_id).last_used == stored.clock()
    assert stored.sts.keys.get(stored.bo.access_key_id).last_used == used
    assert at_once(stored, request) is not None


def test_key_that_another_process_disabled_is_refused(stored, tmp_path):
    request = warm(stored)
    with fastiam.Directory.open(tmp_path / "store") as other:
        STS(other, stored.sts.issuer.state.keyring).keys.set_status(stored.admin.access_key_id, "Inactive")
    assert at_once(stored, request) is None
    assert error_of(stored.handle(request)) == (403, "InvalidClientTokenId")


def test_closed_store_is_an_error_of_the_service(stored):
    request = warm(stored)
    stored.directory.close()
    assert at_once(stored, request) is None
    assert error_of(stored.handle(request))[0] >= 500


def test_pinned_state_stays_while_others_write(stored, tmp_path):
    with stored.directory.transaction_manager.pinned() as is_pinned:
        assert is_pinned
        with fastiam.Directory.open(tmp_path / "store") as other:
            other.tag(BO, {"team": "red"})
        assert not stored.directory.refresh() and stored.directory.tables.entities[BO].tags == {}
    assert stored.directory.refresh() and stored.directory.tables.entities[BO].tags == {"team": "red"}


def test_open_transaction_of_the_thread_is_not_pinned(stored):
    with stored.directory.transaction(), stored.directory.transaction_manager.pinned() as is_pinned:
        assert not is_pinned
