"""Credentials in a store: every process sees the same keys, a code is taken once among them all, and no file holds a secret."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pyotp
import pytest
from sts_fixture import ALL, ANA, BO, CHEAP, DEP, Clock, Phone, document, trusting

import fastiam
from fastiam.credentials import sts_state as state
from fastiam.errors import StoreError
from fastiam.sts import STS, AccessDeniedError, AuthenticationError, Keyring, ValidationError

PASSWORD = "correct Horse 7"
KEYRING = Keyring.generate()
CLOCK = Clock()


def opened(path: Path, **options: object) -> STS:
    """One of several processes over a store."""
    return STS(fastiam.Directory.open(path, **options), KEYRING, clock=CLOCK, hasher=CHEAP)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(state, "LAG", 0.0)
    file = tmp_path / "iam.db"
    directory = fastiam.Directory.open(file)
    directory.add_principal(ANA, unique_id="AIDAANA", identity_policies=[document(ALL)])
    directory.add_principal(DEP, unique_id="AROADEP", trust_policy=trusting(ANA))
    directory.close()
    return file


@pytest.fixture
def both(path: Path) -> Iterator[tuple[STS, STS]]:
    one, two = opened(path), opened(path)
    yield one, two
    for sts in (one, two):
        sts._state.directory.close()


def test_new_credentials_are_valid_in_another_process(both):
    one, two = both
    key = one.keys.create(ANA)
    assert two.authenticate(key).principal == ANA
    made = two.assume_role(key, DEP, "run1").credentials
    assert one.authenticate(made).arn.endswith("assumed-role/Dep/run1")


def test_disabled_key_is_refused_in_another_process(both):
    one, two = both
    key = one.keys.create(ANA)
    token = two.get_session_token(key).credentials
    one.keys.set_status(key.access_key_id, "Inactive")
    for credentials in (key, token):
        with pytest.raises(AuthenticationError, match="inactive"):
            two.authenticate(credentials)
    one._state.directory.set_trust_policy(DEP, document({"Effect": "Deny", "Principal": "*", "Action": "sts:*"}))
    with pytest.raises(AccessDeniedError):
        two.assume_role(ANA, DEP, "run1")


def test_a_code_is_taken_once_among_all_processes(both):
    one, two = both
    made = one.mfa.create(ANA, "phone")
    phone = Phone(made.serial, pyotp.TOTP(str(made.seed)), CLOCK)
    one.mfa.enable(made.serial, phone.code(), phone.code(1))
    CLOCK.tick(60)
    code = phone.code()
    two.mfa.verify(ANA, made.serial, code)
    with pytest.raises(AuthenticationError, match="used already"):
        one.mfa.verify(ANA, made.serial, code)


def test_two_keys_are_the_limit_among_all_processes(both):
    one, two = both
    one.keys.create(ANA)
    two.keys.create(ANA)
    with pytest.raises(ValidationError, match="already"):
        one.keys.create(ANA)


def test_everything_is_there_after_a_restart(path):
    first = opened(path)
    key, made = first.keys.create(ANA), first.mfa.create(ANA, "phone")
    first.passwords.set(ANA, PASSWORD)
    run1 = first.assume_role(key, DEP, "run1").credentials
    events = first.recovery.events()
    first._state.directory.close()
    again = opened(path)
    assert again.authenticate(key) and again.authenticate(run1) and again.passwords.verify(ANA, PASSWORD)
    assert [device.serial for device in again.mfa.list(ANA)] == [made.serial]
    assert again.recovery.events() == events
    again._state.directory.close()


def test_read_only_store_still_authenticates_callers(path):
    writer = opened(path)
    key = writer.keys.create(ANA)
    made = writer.mfa.create(ANA, "phone")
    phone = Phone(made.serial, pyotp.TOTP(str(made.seed)), CLOCK)
    writer.mfa.enable(made.serial, phone.code(), phone.code(1))
    CLOCK.tick(60)
    reader = opened(path, read_only=True)
    assert reader.assume_role(key, DEP, "run1")
    assert reader.keys.get(key.access_key_id).last_used is None
    with pytest.raises(StoreError):  # or the code could be used again
        reader.assume_role(key, DEP, "run1", mfa_serial=made.serial, mfa_code=phone.code())
    for sts in (writer, reader):
        sts._state.directory.close()


def test_no_file_of_a_store_holds_a_secret(path):
    sts = opened(path)
    key, made, run1 = sts.keys.create(ANA), sts.mfa.create(ANA, "phone"), sts.assume_role(ANA, DEP, "run1").credentials
    sts.passwords.set(ANA, PASSWORD)
    written = b"".join(file.read_bytes() for file in path.parent.iterdir())
    sts._state.directory.close()
    written += path.read_bytes()
    assert key.access_key_id.encode() in written
    for secret in (key.secret_access_key, made.seed, PASSWORD, run1.secret_access_key, run1.session_token):
        assert str(secret).encode() not in written
    assert next(iter(KEYRING._keys.values())) not in written


def test_user_and_key_are_one_transaction(path):
    sts = opened(path)
    directory, bo = sts._state.directory, ANA.replace("ana", "bo")
    with pytest.raises(RuntimeError, match="stop"), directory.transaction():
        directory.add_principal(bo)
        sts.keys.create(bo)
        raise RuntimeError("stop")
    assert sts.keys.list(bo) == []
    with directory.transaction():
        directory.add_principal(bo)
        key = sts.keys.create(bo)
    directory.close()
    assert opened(path).authenticate(key).principal == bo


def test_credentials_follow_a_user_that_is_renamed(path):
    """N34."""
    sts = opened(path)
    key, new = sts.keys.create(ANA), ANA.replace("ana", "anna")
    sts.passwords.set(ANA, PASSWORD)
    assert sts._state.directory.rename(ANA, "anna") == new
    sts._state.directory.close()
    again = opened(path)
    assert again.authenticate(key).principal == new
    assert again.passwords.verify(new, PASSWORD) and again.keys.list(ANA) == []
    again._state.directory.close()


# a process without the optional packages: it imports none of the packages that write credentials
WITHOUT_EXTRAS = """
import sys
for name in ("argon2", "cryptography", "pyotp", "jwt", "lxml", "signxml"):
    sys.modules[name] = None
import fastiam
with fastiam.Directory.open(sys.argv[1]) as directory:
    exec(sys.argv[2])
loaded = {name for name in sys.modules if name.startswith(("fastiam.sts", "fastiam.credentials.", "fastiam.federation"))}
assert loaded <= {f"fastiam.credentials.{name}" for name in ("registration", "credential_records", "federation_records")}, loaded
"""


def run_without_extras(path: Path, code: str) -> None:
    subprocess.run([sys.executable, "-c", WITHOUT_EXTRAS, str(path), code], check=True)


def bodies_of(path: Path, tables: Sequence[str]) -> list[str]:
    """The rows of some tables in a store, removed records not among them."""
    query = "SELECT body FROM records JOIN tables ON tables.id = table_id WHERE tables.name = ? AND body IS NOT NULL"
    with closing(sqlite3.connect(path)) as connection:
        return [body for table in tables for (body,) in connection.execute(query, (table,))]


def test_user_deletion_without_extras_removes_its_credentials(path):
    sts = opened(path)
    sts._state.directory.add_principal(BO, unique_id="AIDABO")
    sts.keys.create(ANA), sts.mfa.create(ANA, "phone"), sts.passwords.set(ANA, PASSWORD)
    theirs = sts.keys.create(BO)
    sts._state.directory.close()
    run_without_extras(
        path, f"directory.delete_inline_policy({ANA!r}, 'identity_policies[0]'); directory.delete_principal({ANA!r})"
    )
    left = bodies_of(path, [f"credentials.{table}" for table in ("access_keys", "mfa_devices", "passwords")])
    assert len(left) == 1 and theirs.access_key_id in left[0]
    assert opened(path).authenticate(theirs).principal == BO


def test_user_rename_without_extras_moves_its_credentials(path):
    """N34."""
    sts = opened(path)
    key = sts.keys.create(ANA)
    sts._state.directory.close()
    run_without_extras(path, f"directory.rename({ANA!r}, 'anna')")
    assert opened(path).authenticate(key).principal == ANA.replace("ana", "anna")


def test_other_writes_do_not_read_credentials(path):
    with fastiam.Directory.open(path) as directory:
        directory.tag(ANA, {"team": "red"})
        directory.add_principal(BO)
        assert list(directory.transaction_manager.record_stores) == ["directory"]


def test_undone_rename_keeps_credentials(path):
    sts = opened(path)
    key = sts.keys.create(ANA)
    sts._state.directory.close()
    with fastiam.Directory.open(path) as directory, pytest.raises(ZeroDivisionError), directory.transaction():
        directory.rename(ANA, "anna")
        1 / 0  # noqa: B018
    assert opened(path).authenticate(key).principal == ANA
