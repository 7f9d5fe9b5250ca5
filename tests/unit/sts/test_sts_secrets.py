"""No secret shows unless requested: representations, logs, messages, tracebacks or pickles."""

from __future__ import annotations

import base64
import dataclasses
import io
import logging
import pickle
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest
from sts_fixture import ANA, DEP, ROOT, A, B, World

import fastiam.sts
from fastiam.errors import SourceError
from fastiam.sts import STS, Credentials, Keyring, KeyringError, Proof, Secret, ValidationError

PASSWORD = "correct Horse 7"
PLAIN = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEYxx"  # a secret that nothing here has made
PACKAGE = Path(fastiam.sts.__file__).parent


class Kept(World):
    """A world with one of each secret, and the list of them."""

    def __init__(self) -> None:
        super().__init__()
        self.key, self.run1_ = self.sts.keys.create(ANA), self.run1()
        self.device = self.sts.mfa.create(ANA, "phone")
        self.sts.passwords.set(ANA, PASSWORD)
        self.sts.passwords.set(ROOT, PASSWORD)
        raw = bytes(next(iter(self.keyring._keys.values())))
        self.secrets = [
            str(self.key.secret_access_key),
            str(self.run1_.secret_access_key),
            str(self.run1_.session_token),
            str(self.device.seed),
            PASSWORD,
            repr(raw)[2:-1],
            raw.hex(),
            base64.b64encode(raw).decode(),
            PLAIN,
            repr(base64.b64decode(str(self.run1_.secret_access_key)))[2:-1],  # as the token gives it
        ]

    def check(self, text: str) -> None:
        """None of the secrets is in a text."""
        shown = [secret for secret in self.secrets if secret in text]
        assert not shown


@pytest.fixture
def kept() -> Kept:
    return Kept()


def test_the_list_of_secrets_would_be_found(kept):
    with pytest.raises(AssertionError):
        kept.check(f"... {kept.key.secret_access_key} ...")


def test_representations_show_none(kept):
    sts = kept.sts
    objects = [sts, kept.keyring, kept.key, kept.run1_, kept.device, sts._state.credential_store.tables, sts._tokens._kept]
    objects.append(kept.directory)
    objects += [
        sts.authenticate(kept.key),
        sts.authenticate(kept.run1_),
        sts.keys.list(ANA),
        sts.mfa.list(ANA),
        sts.passwords.get(ANA),
    ]
    for value in objects:
        kept.check(repr(value) + str(value) + f"{value}")
    assert repr(Secret("x")) == "<secret>"


def test_records_hold_none_in_the_clear(kept):
    """What is in a record is in the database."""
    tables = kept.sts._state.credential_store.tables
    for table in dataclasses.fields(tables):
        for record in getattr(tables, table.name).values():
            for value in dataclasses.astuple(record):
                kept.check(value.decode("latin-1") if isinstance(value, bytes) else str(value))


def test_directory_json_and_pickled_engine_contain_no_secret(kept):
    kept.check(kept.directory.to_json())
    kept.check(pickle.dumps(kept.sts.engine).decode("latin-1"))


@pytest.mark.parametrize("attribute", ["sts", "keyring"])
def test_objects_with_a_keyring_are_not_pickled(kept, attribute):
    with pytest.raises(TypeError):
        pickle.dumps(getattr(kept, attribute))
    with pytest.raises(TypeError):
        pickle.dumps(kept.sts._state.credential_store)


FAILURES: dict[str, Callable[[Kept], object]] = {
    "expired": lambda k: (k.clock.tick(4000), k.sts.authenticate(k.run1_)),
    "token of another keyring": lambda k: k.open(fastiam.sts.Keyring.generate()).authenticate(k.run1_),
    "inactive": lambda k: (k.sts.keys.set_status(k.key.access_key_id, "Inactive"), k.sts.authenticate(k.key)),
    "secret of another key": lambda k: k.sts.authenticate(
        dataclasses.replace(k.key, secret_access_key=k.run1_.secret_access_key)
    ),
    "key of another keyring": lambda k: k.open(fastiam.sts.Keyring.generate()).authenticate(k.key),
    "plain text": lambda k: k.sts.authenticate(Credentials(k.key.access_key_id, str(k.run1_.secret_access_key))),
    "wrong user": lambda k: k.sts.passwords.verify(DEP, PASSWORD),
    "password against the policy": lambda k: (
        k.sts.passwords.set_policy(fastiam.sts.PasswordPolicy(A, minimum_length=99)),
        k.sts.passwords.set(ANA, PASSWORD),
    ),
    "seed as a code": lambda k: k.sts.mfa.verify(ANA, k.device.serial, k.device.seed),
    "recovery": lambda k: k.sts.recovery.recover_root(
        A, password=PASSWORD, email=Proof("email", "a", k.clock(), "1"), phone=Proof("phone", "1", k.clock(), "2")
    ),
    "refused": lambda k: k.sts.get_session_token(k.run1_),
    "token in plain text": lambda k: k.sts.secret_of(k.run1_.access_key_id, str(k.run1_.session_token) + "!"),
    "token with another letter": lambda k: k.sts.secret_of(k.run1_.access_key_id, str(k.run1_.session_token) + "\xe9"),
    "token of another key": lambda k: k.sts.secret_of("ASIA" + "B" * 16, str(k.run1_.session_token)),
    "token by its parts": lambda k: k.sts._tokens.open(k.run1_.access_key_id, str(k.run1_.session_token)[:-4], k.clock()),
    "token with a long-term key": lambda k: k.sts.secret_of(k.key.access_key_id, str(k.run1_.session_token)),
    "bytes as password": lambda k: k.sts.passwords.set(ANA, PASSWORD.encode()),
    "bytes as old password": lambda k: k.sts.passwords.change(ANA, PASSWORD.encode(), "x"),
    "bytes as new password": lambda k: k.sts.passwords.change(ANA, PASSWORD, new=PASSWORD.encode()),
    "bytes to verify": lambda k: k.sts.passwords.verify(ANA, PASSWORD.encode()),
    "bytes as secret": lambda k: k.sts.keys.verify(k.key.access_key_id, PLAIN.encode()),
    "bytes in credentials": lambda k: Credentials(k.key.access_key_id, PLAIN.encode()),
    "bytes as token in credentials": lambda k: Credentials(k.key.access_key_id, PLAIN, session_token=PASSWORD.encode()),
    "bytes as token": lambda k: k.sts.secret_of(k.key.access_key_id, PLAIN.encode()),
    "bytes in a recovery": lambda k: k.sts.recovery.recover_root(A, password=PASSWORD.encode(), email=None, phone=None),
    "wrong password": lambda k: k.sts.passwords.verify(ANA, PLAIN),
    "wrong old password": lambda k: k.sts.passwords.change(ANA, PLAIN, PASSWORD),
    "password in place of its user": lambda k: k.sts.passwords.set(PASSWORD, ANA),
    "old password in place of its user": lambda k: k.sts.passwords.change(PASSWORD, PASSWORD, ANA),
    "password without a user": lambda k: k.sts.passwords.delete(PASSWORD),
    "password in place of an account": lambda k: k.sts.recovery.recover_root(PASSWORD, password=A, email=None, phone=None),
    "recovery of an account that is not there": lambda k: k.sts.recovery.recover_root(
        B, password=PASSWORD, email=None, phone=None
    ),
    "secret as a key": lambda k: k.sts.keys.get(PLAIN),
    "bytes as a key": lambda k: k.sts.keys.get(PLAIN.encode()),
    "secret as a key to disable": lambda k: k.sts.keys.set_status(PLAIN, "Inactive"),
    "secret as a key to delete": lambda k: k.sts.keys.delete(id_=PLAIN),
    "secret as a key to verify": lambda k: k.sts.keys.verify(PLAIN, k.key.access_key_id),
    "secret as a key of secret_of": lambda k: k.sts.secret_of(PLAIN),
    "secret as a key of a session": lambda k: k.sts.secret_of(PLAIN, str(k.run1_.session_token)),
    "secret as a key in credentials": lambda k: k.sts.authenticate(Credentials(PLAIN, k.key.access_key_id)),
    "secret as a key of an account": lambda k: k.sts.get_access_key_info(ANA, PLAIN),
    "session key without token": lambda k: k.sts.authenticate(Credentials(k.run1_.access_key_id, PLAIN)),
    "seed as a code of a call": lambda k: k.sts.assume_role(
        ANA, DEP, "run1", mfa_serial=k.device.serial, mfa_code=str(k.device.seed)
    ),
    "seed as codes": lambda k: k.sts.mfa.enable(k.device.serial, str(k.device.seed), str(k.device.seed)),
    "seed as a device": lambda k: k.sts.mfa.delete(str(k.device.seed)),
    "seed as a device of a call": lambda k: k.sts.get_session_token(ANA, mfa_serial=str(k.device.seed), mfa_code="1"),
    "text of a keyring": lambda k: Keyring.from_text('{"key": "' + PLAIN + '"}'),
    "text that is not JSON": lambda k: Keyring.from_text(f'[{{"id": "00000000", "key": "{PLAIN}"'),
    "text with a short key": lambda k: Keyring.from_text(f'[{{"id": "00000000", "key": "{PLAIN}"}}]'),
    "text with a key as id": lambda k: Keyring.from_text(f'[{{"id": "{PLAIN}", "key": "{PLAIN}"}}]'),
    "keys of another length": lambda k: Keyring([("00000000", PLAIN.encode())]),
    "keys that are text": lambda k: Keyring([("00000000", PLAIN)]),
    "keys that are not pairs": lambda k: Keyring(PLAIN),
    "key twice": lambda k: Keyring([("00000000", PLAIN[:32].encode())] * 2),
    "key as the path in the environment": lambda k: Keyring.from_environment({"FASTIAM_KEYRING": PLAIN}),
    "key with a NUL in the environment": lambda k: Keyring.from_environment({"FASTIAM_KEYRING": PLAIN + "\0"}),
    "long key in the environment": lambda k: Keyring.from_environment({"FASTIAM_KEYRING": PLAIN * 1000}),
    "text in the environment": lambda k: Keyring.from_environment({"FASTIAM_KEYRING": f'[{{"key": "{PLAIN}"}}]'}),
    "no keyring in an environment with keys": lambda k: Keyring.from_environment({"AWS_SECRET_ACCESS_KEY": PLAIN}),
    "seal under another keyring": lambda k: k.keyring.open(b"", k.open(Keyring.generate())._state.keyring.seal(b"", b"x")),
}


def errors_of(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and those that it came from or was raised beside."""
    if error is not None:
        yield error
        yield from errors_of(error.__cause__)
        yield from errors_of(error.__context__)


@pytest.mark.parametrize("failure", FAILURES)
def test_messages_and_tracebacks_contain_no_secret(kept, failure, caplog):
    caplog.set_level(logging.DEBUG)
    with pytest.raises(fastiam.FastiamError) as caught:
        FAILURES[failure](kept)
    frames = 0
    for error in errors_of(caught.value):
        texts = {name: getattr(error, name) for name in dir(error) if name in ("doc", "object", "filename", "msg")}
        kept.check(str(error) + repr(error) + repr(vars(error)) + repr(error.args) + repr(texts))
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if frame.f_code.co_filename != __file__:
                frames += 1
                kept.check(repr(frame.f_locals))
    assert frames
    for line in traceback.TracebackException.from_exception(caught.value, capture_locals=True).stack:
        if line.filename != __file__:
            kept.check(repr(line.locals))
    kept.check(caplog.text)


def test_a_keyring_that_cannot_be_written_shows_no_key(kept, tmp_path):
    with pytest.raises(SourceError, match="cannot be written: no such file") as caught:
        kept.keyring.save(tmp_path / "none" / "keyring.json")
    for frame, _ in traceback.walk_tb(caught.value.__traceback__):
        if frame.f_code.co_filename != __file__:
            kept.check(repr(frame.f_locals))


def test_a_keyring_file_that_is_not_text_shows_no_key(tmp_path):
    path = tmp_path / "keyring.json"
    path.write_bytes(b"\xff" + PLAIN.encode())
    path.chmod(0o600)
    with pytest.raises(KeyringError, match="not a keyring") as caught:
        Keyring.load(path)
    assert caught.value.__context__ is None and PLAIN not in str(caught.value)


@pytest.mark.parametrize(
    "construct",
    [
        lambda: Keyring([("x", b"")]),
        lambda: STS(fastiam.Directory(), None),
        lambda: fastiam.Directory("none"),
        lambda: fastiam.LiveEngine("none"),
    ],
)
def test_constructor_failure_in_a_traceback_with_locals_is_shown(construct):
    with pytest.raises(Exception, match=".") as caught:
        construct()
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert any("self" in (frame.locals or {}) for frame in shown.stack)


@pytest.mark.parametrize("type_", [Keyring, STS, fastiam.Directory, fastiam.LiveEngine])
def test_incomplete_object_has_a_representation(type_):
    assert repr(type_.__new__(type_)).startswith(f"<{type_.__name__}")


def test_a_secret_is_text():
    with pytest.raises(TypeError, match="must be text, not `bytes`"):
        Secret(b"x")
    assert repr(Secret("x").encode()) == repr(Secret("xy").encode()[1:]) == "<secret>"


def test_bytes_are_not_a_password(kept):
    """They would be stored as the text of their representation."""
    before = kept.sts.passwords.get(ANA)
    with pytest.raises(ValidationError, match="`password` must be text, not `bytes`"):
        kept.sts.passwords.set(ANA, b"correct Horse 8")
    assert kept.sts.passwords.get(ANA) == before


def test_a_secret_is_given_out_by_asking_for_it(kept):
    stream = io.BytesIO(orjson.dumps(kept.run1_.process_json()))
    output = orjson.loads(stream.read())
    assert set(output) == {"Version", "AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"}
    assert output["SecretAccessKey"] == kept.run1_.secret_access_key
    assert set(kept.key.process_json()) == {"Version", "AccessKeyId", "SecretAccessKey"}


def test_errors_survive_a_pickle(kept):
    """As they come back from other processes."""
    for failure in ("expired", "refused", "password against the policy"):
        with pytest.raises(fastiam.FastiamError) as caught:
            FAILURES[failure](Kept())
        again = pickle.loads(pickle.dumps(caught.value))
        assert (type(again), str(again), vars(again)) == (type(caught.value), str(caught.value), vars(caught.value))
