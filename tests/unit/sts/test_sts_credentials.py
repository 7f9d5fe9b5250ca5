"""Access keys, passwords, MFA devices and recovery: what is kept, what is taken, and what is refused alike."""

from __future__ import annotations

import itertools
import threading
from dataclasses import replace
from datetime import timedelta

import pyotp
import pytest
from sts_fixture import ANA, BO, CHEAP, DEP, ROOT, A, B, Phone, World, trusting

from fastiam.sts import AuthenticationError, Credentials, Keyring, KeyringError, PasswordPolicy, Proof, Status, ValidationError

GOOD = "correct Horse 7"


@pytest.fixture
def world() -> World:
    return World()


def code_of(call, *args, **kwargs) -> str:
    """The error code of AWS with which a call is refused."""
    with pytest.raises(ValidationError) as error:
        call(*args, **kwargs)
    return error.value.code


def reason_of(call, *args, **kwargs) -> str:
    with pytest.raises(AuthenticationError) as error:
        call(*args, **kwargs)
    return error.value.reason


# -- access keys -------------------------------------------------------------------------------------------------------


def test_a_user_has_two_keys_and_inactive_ones_count(world):
    """1.7."""
    one, two = (world.sts.keys.create(ANA) for _ in range(2))
    assert [k.id for k in world.sts.keys.list(ANA)] == sorted([one.access_key_id, two.access_key_id])
    world.sts.keys.set_status(one.access_key_id, Status.INACTIVE)
    assert code_of(world.sts.keys.create, ANA) == "LimitExceeded"
    world.sts.keys.delete(one.access_key_id)
    assert world.sts.keys.create(ANA)


def test_access_key_has_the_aws_format(world):
    """7.3."""
    key = world.sts.keys.create(ANA)
    assert key.access_key_id.startswith("AKIA") and len(key.access_key_id) == 20 and len(key.secret_access_key) == 40


def test_an_inactive_key_does_not_sign(world):
    key = world.sts.keys.create(ANA)
    world.sts.keys.set_status(key.access_key_id, "Inactive")
    assert reason_of(world.sts.authenticate, key) == "inactive_key"
    world.sts.keys.set_status(key.access_key_id, "Active")
    assert world.sts.authenticate(key)


@pytest.mark.parametrize("name", ["access_key_id", "secret_access_key"])
def test_credentials_without_id_or_secret_are_refused(world, name):
    parts = {"access_key_id": world.sts.keys.create(ANA).access_key_id, "secret_access_key": "x"} | {name: None}
    with pytest.raises(ValidationError, match=f"`{name}` must be text"):
        world.sts.authenticate(Credentials(**parts))


def test_a_key_knows_to_the_minute_when_it_was_used_last(world):
    key = world.sts.keys.create(ANA)
    assert world.sts.keys.get(key.access_key_id).last_used is None
    first = world.clock()
    for seconds, expected in ((0, first), (59, first), (1, first + timedelta(seconds=60))):
        world.clock.tick(seconds)
        world.sts.authenticate(key)
        assert world.sts.keys.get(key.access_key_id).last_used == expected


def test_a_root_user_has_keys_of_its_own(world):
    key = world.sts.keys.create(ROOT)
    assert world.sts.get_caller_identity(key).arn == ROOT
    assert world.sts.get_caller_identity(key).user_id == A


@pytest.mark.parametrize(
    "who", [DEP, "ana", f"arn:aws:iam::{A}:user/none", f"arn:aws:iam::{B}:root", "*", "ec2.amazonaws.com", 7]
)
def test_credentials_of_other_principals_are_refused(world, who):
    assert code_of(world.sts.keys.create, who) in ("InvalidInput", "NoSuchEntity")
    assert code_of(world.sts.passwords.set, who, GOOD) in ("InvalidInput", "NoSuchEntity")
    assert code_of(world.sts.mfa.create, who, "phone") in ("InvalidInput", "NoSuchEntity")


def test_unknown_credential_is_no_such_entity(world):
    for call in (world.sts.keys.get, world.sts.keys.delete, world.sts.mfa.delete, world.sts.passwords.delete):
        assert code_of(call, "AKIANOTHING") == "NoSuchEntity"
    assert code_of(world.sts.keys.set_status, "AKIANOTHING", "Active") == "NoSuchEntity"
    assert code_of(world.sts.mfa.enable, "nothing", "1", "2") == "NoSuchEntity"


def test_a_rotation_reseals_what_is_stored(world):
    key, phone = world.sts.keys.create(ANA), world.phone()
    rotated = world.keyring.rotated()
    assert world.open(rotated).authenticate(key)  # the older key still opens
    assert world.open(rotated).reseal() == 2
    assert world.open(rotated).reseal() == 0
    alone = world.open(Keyring([(rotated.ids[0], rotated._keys[bytes.fromhex(rotated.ids[0])])]))
    assert alone.authenticate(key)
    alone.mfa.verify(ANA, phone.serial, phone.code())
    with pytest.raises(KeyringError):
        world.open(world.keyring).authenticate(key)


def test_a_sealed_secret_cannot_be_moved_to_another_key(world):
    """Write access to the database does not suffice to give a user the key of another user."""
    mine, theirs = world.sts.keys.create(BO), world.sts.keys.create(ANA)
    store = world.sts._state.credential_store
    with world.directory.transaction():
        sealed = world.sts.keys.get(mine.access_key_id).sealed
        store.put("access_keys", theirs.access_key_id, replace(world.sts.keys.get(theirs.access_key_id), sealed=sealed))
    with pytest.raises(KeyringError):
        world.sts.authenticate(replace(mine, access_key_id=theirs.access_key_id))


def test_credentials_of_a_user_go_with_the_user(world):
    """And are not there for another one who takes the name."""
    key = world.sts.keys.create(ANA)
    world.sts.passwords.set(ANA, GOOD)
    phone = world.phone()
    token = world.sts.get_session_token(key).credentials
    with world.directory.transaction():
        world.directory.set_trust_policy(DEP, trusting(BO))
        world.directory.delete_inline_policy(ANA, "identity_policies[0]")
        world.directory.delete_principal(ANA)
        world.directory.add_principal(ANA, unique_id="AIDANEW")
    assert world.sts.keys.list(ANA) == world.sts.mfa.list(ANA) == []
    assert reason_of(world.sts.authenticate, key) == "unknown_key"
    assert reason_of(world.sts.authenticate, token) == "unknown_principal"
    assert reason_of(world.sts.passwords.verify, ANA, GOOD) == "wrong_password"
    assert reason_of(world.sts.mfa.verify, ANA, phone.serial, phone.code()) == "wrong_code"


def test_an_id_that_becomes_known_changes_nothing(world):
    name = f"arn:aws:iam::{A}:user/late"
    world.directory.add_principal(name, unique_id=None)
    key = world.sts.keys.create(name)
    world.sts.passwords.set(name, GOOD)
    with world.directory.transaction():
        world.directory._store.put("entities", name, replace(world.directory.tables.entities[name], unique_id="AIDALATE"))
    assert world.sts.authenticate(key).principal == name
    assert world.sts.passwords.verify(name, GOOD).unique_id == "AIDALATE"


# -- passwords ---------------------------------------------------------------------------------------------------------


def test_a_password_is_that_password_and_no_other(world):
    world.sts.passwords.set(ANA, GOOD)
    assert world.sts.passwords.verify(ANA, GOOD).principal == ANA
    for wrong in ("", GOOD + " ", GOOD.lower(), "\0", "é" * 40, "\ud800"):
        assert reason_of(world.sts.passwords.verify, ANA, wrong) == "wrong_password"
    assert reason_of(world.sts.passwords.verify, BO, GOOD) == "wrong_password"


def test_an_unknown_user_costs_what_a_wrong_password_costs(world, monkeypatch):
    world.sts.passwords.set(ANA, GOOD)
    hashed = []
    monkeypatch.setattr(world.sts.passwords, "_matches", lambda hash_, password: hashed.append(hash_))
    messages = set()
    for who in (ANA, BO, "nobody"):
        with pytest.raises(AuthenticationError) as error:
            world.sts.passwords.verify(who, "wrong")
        messages.add(str(error.value))
    assert len(messages) == 1
    assert len(hashed) == 3 and len({h.rsplit("$", 2)[0] for h in hashed}) == 1  # the same work: parameters are equal


def test_an_unknown_key_costs_what_a_wrong_secret_costs(world, monkeypatch):
    key, opened = world.sts.keys.create(ANA), []
    really = type(world.keyring).open
    monkeypatch.setattr(
        type(world.keyring), "open", lambda self, purpose, sealed: opened.append(len(sealed)) or really(self, purpose, sealed)
    )
    for id_ in (key.access_key_id, "AKIA" + "B" * 16):
        with pytest.raises(AuthenticationError):
            world.sts.keys.verify(id_, "x" * 40)
    assert len(opened) == 2 and opened[0] == opened[1]


@pytest.mark.parametrize(
    ("policy", "bad", "good"),
    [
        ({}, "Short1!", "Longer1!"),
        ({}, "alllowercase", "Lower1case"),
        ({"minimum_length": 14}, "correct Horse", "correct Horse 7"),
        ({"symbol": True}, "Correct1Horse", "Correct1Horse!"),
        ({"upper": True}, "correct horse 1!", "Correct horse 1!"),
        ({"digit": True}, "Correct horse!", "Correct horse1!"),
        ({"lower": True}, "CORRECT HORSE1", "cORRECT HORSE1"),
        ({}, "x" * 129 + "A1", "x" * 100 + "A1"),
        ({"kinds": 0}, A, "alllowercase"),
    ],
    ids=str,
)
def test_passwords_are_checked_against_the_account_policy(world, policy, bad, good):
    world.sts.passwords.set_policy(PasswordPolicy(A, **policy))
    assert code_of(world.sts.passwords.set, ANA, bad) == "PasswordPolicyViolation"
    world.sts.passwords.set(ANA, good)


def test_a_password_is_not_the_users_name(world):
    name = f"arn:aws:iam::{A}:user/Correct7Horse"
    world.directory.add_principal(name)
    assert code_of(world.sts.passwords.set, name, "correct7horse") == "PasswordPolicyViolation"
    world.sts.passwords.set(name, "correct7horse X")


@pytest.mark.parametrize(
    "policy", [{"minimum_length": 5}, {"minimum_length": 129}, {"remembered": 25}, {"max_age_days": -1}, {"kinds": 5}]
)
def test_a_password_policy_has_its_ranges(world, policy):
    assert code_of(world.sts.passwords.set_policy, PasswordPolicy(A, **policy)) == "ValidationError"


def test_earlier_passwords_do_not_come_again(world):
    world.sts.passwords.set_policy(PasswordPolicy(A, remembered=2))
    for n in range(3):
        world.sts.passwords.set(ANA, f"{GOOD}{n}")
    assert code_of(world.sts.passwords.set, ANA, f"{GOOD}2") == "PasswordPolicyViolation"
    assert code_of(world.sts.passwords.set, ANA, f"{GOOD}1") == "PasswordPolicyViolation"
    world.sts.passwords.set(ANA, f"{GOOD}0")


def test_a_password_grows_old(world):
    world.sts.passwords.set_policy(PasswordPolicy(A, max_age_days=1))
    world.sts.passwords.set(ANA, GOOD)
    world.clock.tick(86_399)
    assert world.sts.passwords.verify(ANA, GOOD)
    world.clock.tick(1)
    assert reason_of(world.sts.passwords.verify, ANA, GOOD) == "password_expired"
    world.sts.passwords.change(ANA, GOOD, GOOD + "!")  # which is how it gets young again
    assert world.sts.passwords.verify(ANA, GOOD + "!")


def test_password_change_by_the_user_needs_users_may_change(world):
    world.sts.passwords.set(ANA, GOOD, must_change=True)
    assert world.sts.passwords.get(ANA).must_change
    assert reason_of(world.sts.passwords.change, ANA, "wrong", GOOD + "!") == "wrong_password"
    world.sts.passwords.change(ANA, GOOD, GOOD + "!")
    assert not world.sts.passwords.get(ANA).must_change
    world.sts.passwords.set_policy(PasswordPolicy(A, users_may_change=False))
    assert code_of(world.sts.passwords.change, ANA, GOOD + "!", GOOD) == "AccessDenied"


def test_a_hash_of_another_cost_is_made_anew(world):
    world.sts.passwords.set(ANA, GOOD)
    before = world.sts.passwords.get(ANA).hash
    from argon2 import PasswordHasher

    costlier = world.open(world.keyring)
    costlier.passwords._hasher = PasswordHasher(time_cost=2, memory_cost=8, parallelism=1)
    costlier.passwords.verify(ANA, GOOD)
    assert "t=2" in world.sts.passwords.get(ANA).hash and "t=1" in before
    assert CHEAP.check_needs_rehash(world.sts.passwords.get(ANA).hash)


# -- MFA ---------------------------------------------------------------------------------------------------------------


def test_a_device_is_enabled_by_two_codes_in_a_row(world):

    made = world.sts.mfa.create(ANA, "phone")
    assert made.serial == f"arn:aws:iam::{A}:mfa/phone"
    assert str(made.uri).startswith("otpauth://totp/") and str(made.seed) in str(made.uri)
    phone = Phone(made.serial, pyotp.TOTP(str(made.seed)), world.clock)
    now, after = phone.code(), phone.code(1)
    assert reason_of(world.sts.mfa.verify, ANA, made.serial, now) == "wrong_code"  # not enabled yet
    for one, two in (
        (now, now),
        (after, now),
        (phone.code(-1), after),
        ("", ""),
        (phone.code(5), phone.code(6)),
        (phone.code(-5), phone.code(-4)),
    ):
        assert reason_of(world.sts.mfa.enable, made.serial, one, two) == "wrong_code"
    world.sts.mfa.enable(made.serial, now, after)
    assert code_of(world.sts.mfa.enable, made.serial, now, after) == "EntityAlreadyExists"
    assert reason_of(world.sts.mfa.verify, ANA, made.serial, after) == "wrong_code"  # it was shown to enable


def test_a_code_is_taken_once_and_none_before_it(world):
    phone = world.phone()
    earlier, code = phone.code(-1), phone.code()
    world.sts.mfa.verify(ANA, phone.serial, code)
    for used in (code, earlier):
        assert reason_of(world.sts.mfa.verify, ANA, phone.serial, used) == "wrong_code"
    world.clock.tick(30)
    world.sts.mfa.verify(ANA, phone.serial, phone.code())


def test_of_many_that_show_a_code_at_once_one_gets_in(world):
    phone = world.phone()
    code, results = phone.code(), []

    def attempt() -> None:
        try:
            world.sts.mfa.verify(ANA, phone.serial, code)
            results.append(True)
        except AuthenticationError:
            results.append(False)

    threads = [threading.Thread(target=attempt) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(results), sum(results)) == (8, 1)


@pytest.mark.parametrize(("steps", "taken"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_a_clock_may_be_off_by_one_step(world, steps, taken):
    phone = world.phone()
    world.clock.tick(300)
    if taken:
        world.sts.mfa.verify(ANA, phone.serial, phone.code(steps))
    else:
        assert reason_of(world.sts.mfa.verify, ANA, phone.serial, phone.code(steps)) == "wrong_code"


def test_a_device_vouches_for_its_owner_alone(world):
    phone = world.phone(ANA)
    assert reason_of(world.sts.mfa.verify, BO, phone.serial, phone.code()) == "wrong_code"
    world.sts.mfa.verify(ANA, phone.serial, phone.code())


@pytest.mark.parametrize("code", ["", "abc", "12345", "1234567", "١٢٣٤٥٦", "\ud800", " 123456", None, 123456])
def test_malformed_mfa_code_is_a_wrong_code(world, code):
    phone = world.phone()
    assert reason_of(world.sts.mfa.verify, ANA, phone.serial, code) == "wrong_code"


def test_wrong_codes_slow_a_device_down(world):
    """RFC 4226, 7.3: at this rate a million codes take years."""
    phone = world.phone()
    for _ in range(5):
        assert reason_of(world.sts.mfa.verify, ANA, phone.serial, "000000") == "wrong_code"
    assert reason_of(world.sts.mfa.verify, ANA, phone.serial, phone.code()) == "throttled"
    world.clock.tick(30)
    assert reason_of(world.sts.mfa.verify, ANA, phone.serial, "000000") == "wrong_code"
    world.clock.tick(30)
    assert reason_of(world.sts.mfa.verify, ANA, phone.serial, phone.code()) == "throttled"  # longer now
    world.clock.tick(30)
    world.sts.mfa.verify(ANA, phone.serial, phone.code())
    world.clock.tick(30)
    for _ in range(4):
        assert reason_of(world.sts.mfa.verify, ANA, phone.serial, "000000") == "wrong_code"
    world.sts.mfa.verify(ANA, phone.serial, phone.code())  # a right one begins anew


def test_mfa_devices_have_unique_serials_and_a_quota_of_eight(world):
    """1.7."""
    world.sts.mfa.create(ANA, "d0", path="/phones/")
    assert code_of(world.sts.mfa.create, BO, "d0", path="/phones/") == "EntityAlreadyExists"
    for n in range(1, 8):
        world.sts.mfa.create(ANA, f"d{n}")
    assert code_of(world.sts.mfa.create, ANA, "d8") == "LimitExceeded"
    for name, path in (("a b", "/"), ("", "/"), ("a", "x"), ("a/b", "/"), ("a", "/x")):
        assert code_of(world.sts.mfa.create, BO, name, path=path) == "ValidationError"


# -- recovery ----------------------------------------------------------------------------------------------------------

EMAIL, PHONE = "root@example.org", "+15550100"


@pytest.fixture
def locked_out(world) -> World:
    """A root user with a password and a device that is lost."""
    world.sts.passwords.set(ROOT, GOOD)
    world.phone(ROOT)
    world.sts.recovery.set_contact(A, email=EMAIL, phone=PHONE)
    return world


REFERENCES = itertools.count()


def proof(world: World, kind: str, address: str, *, age: int = 60, reference: str | None = None) -> Proof:
    return Proof(kind, address, world.clock() - timedelta(seconds=age), reference or f"ref-{next(REFERENCES)}")


def recover(world: World, password: str = GOOD, email: Proof | None = None, phone: Proof | None = None) -> list[str]:
    email, phone = email or proof(world, "email", EMAIL), phone or proof(world, "phone", PHONE)
    return world.sts.recovery.recover_root(A, password=password, email=email, phone=phone, by="help desk")


def test_a_root_user_gets_back_in_by_everything_else(locked_out):
    serial = locked_out.sts.mfa.list(ROOT)[0].serial
    assert recover(locked_out) == [serial]
    assert locked_out.sts.mfa.list(ROOT) == []
    what = [event.what for event in locked_out.sts.recovery.events(ROOT)]
    assert what[-4:] == ["email proved", "phone proved", "MFA device deleted", "second factor recovered"]
    assert locked_out.sts.recovery.events(ROOT)[-1].by == "help desk"


@pytest.mark.parametrize(
    "bad",
    [
        lambda w: {"password": "wrong"},
        lambda w: {"email": proof(w, "email", "other@example.org")},
        lambda w: {"phone": proof(w, "phone", "+15550101")},
        lambda w: {"phone": proof(w, "email", EMAIL)},
        lambda w: {"email": proof(w, "email", EMAIL, age=901)},
        lambda w: {"email": proof(w, "email", EMAIL, age=-1)},
        lambda w: {"email": proof(w, "email", EMAIL, reference="r"), "phone": proof(w, "phone", PHONE, reference="r")},
    ],
)
def test_a_lacking_proof_changes_nothing_and_is_recorded(locked_out, bad):
    before = locked_out.sts.recovery.events(ROOT)
    with pytest.raises(AuthenticationError):
        recover(locked_out, **bad(locked_out))
    assert len(locked_out.sts.mfa.list(ROOT)) == 1
    added = locked_out.sts.recovery.events(ROOT)[len(before) :]
    assert [(event.what, event.by) for event in added] == [("recovery refused", "help desk")]


def test_proof_without_a_time_zone_is_refused(locked_out):
    naive = Proof("email", EMAIL, locked_out.clock().replace(tzinfo=None), "r")
    with pytest.raises(ValidationError, match="time zone"):
        recover(locked_out, email=naive)


def test_a_proof_counts_once(locked_out):
    email, phone = proof(locked_out, "email", EMAIL), proof(locked_out, "phone", PHONE)
    recover(locked_out, email=email, phone=phone)
    locked_out.phone(ROOT)
    with pytest.raises(AuthenticationError, match="used before"):
        recover(locked_out, email=email)


def test_recovery_without_a_contact_or_a_device_is_refused(world):
    world.sts.passwords.set(ROOT, GOOD)
    with pytest.raises(ValidationError, match="no registered contact"):
        recover(world)
    world.sts.recovery.set_contact(A, email=EMAIL, phone=PHONE)
    with pytest.raises(ValidationError, match="no MFA device"):
        recover(world)
    with pytest.raises(ValidationError, match="there is no account"):
        world.sts.recovery.set_contact(B, email=EMAIL, phone=PHONE)
    assert world.sts.recovery.contact(A).email == EMAIL


def test_credential_events_are_recorded_in_order(world):
    key = world.sts.keys.create(ANA)
    world.sts.keys.set_status(key.access_key_id, "Inactive")
    world.sts.keys.delete(key.access_key_id)
    events = world.sts.recovery.events()
    assert [e.number for e in events] == [1, 2, 3]
    assert [e.what for e in events] == ["access key created", "access key made inactive", "access key deleted"]
    assert {e.detail for e in events} == {key.access_key_id}
