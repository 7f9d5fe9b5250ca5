"""No secret shows where it was not asked for: not in representations, logs, messages, tracebacks or pickles."""

from __future__ import annotations

import dataclasses
import io
import logging
import pickle
import traceback
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from sts_world import ANA, DEP, ROOT, A, World

import fastiam.sts
from fastiam.sts import Credentials, Proof, Secret

PASSWORD = "correct Horse 7"
PACKAGE = Path(fastiam.sts.__file__).parent


class Kept(World):
    """A world with one of each secret, and the list of them."""

    def __init__(self) -> None:
        super().__init__()
        self.key, self.run1_ = self.sts.keys.create(ANA), self.run1()
        self.device = self.sts.mfa.create(ANA, "phone")
        self.sts.passwords.set(ANA, PASSWORD)
        self.sts.passwords.set(ROOT, PASSWORD)
        raw = next(iter(self.keyring._keys.values()))
        self.secrets = [
            str(self.key.secret_access_key),
            str(self.run1_.secret_access_key),
            str(self.run1_.session_token),
            str(self.device.seed),
            PASSWORD,
            repr(raw)[2:-1],
            raw.hex(),
        ]

    def check(self, text: str) -> None:
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
    things = [sts, kept.keyring, kept.key, kept.run1_, kept.device, sts._state.book.tables, sts._tokens._kept, kept.directory]
    things += [
        sts.authenticate(kept.key),
        sts.authenticate(kept.run1_),
        sts.keys.list(ANA),
        sts.mfa.list(ANA),
        sts.passwords.get(ANA),
    ]
    for thing in things:
        kept.check(repr(thing) + str(thing) + f"{thing}")
    assert repr(Secret("x")) == "<secret>"


def test_records_hold_none_in_the_clear(kept):
    """What is in a record is in the database."""
    tables = kept.sts._state.book.tables
    for table in dataclasses.fields(tables):
        for record in getattr(tables, table.name).values():
            for value in dataclasses.astuple(record):
                kept.check(value.decode("latin-1") if isinstance(value, bytes) else str(value))


def test_what_fastiam_writes_down_of_a_directory_holds_none(kept):
    kept.check(kept.directory.to_json())
    kept.check(pickle.dumps(kept.sts.engine).decode("latin-1"))


@pytest.mark.parametrize("thing", ["sts", "keyring"])
def test_what_holds_a_keyring_is_not_pickled(kept, thing):
    with pytest.raises(TypeError):
        pickle.dumps(getattr(kept, thing))
    with pytest.raises(TypeError):
        pickle.dumps(kept.sts._state.book)


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
}


@pytest.mark.parametrize("failure", FAILURES)
def test_neither_messages_nor_tracebacks_with_all_variables_show_one(kept, failure, caplog):
    caplog.set_level(logging.DEBUG)
    with pytest.raises(fastiam.FastiamError) as caught:
        FAILURES[failure](kept)
    kept.check(str(caught.value) + repr(caught.value) + repr(vars(caught.value)))
    told = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    ours = [frame for frame in told.stack if Path(frame.filename).is_relative_to(PACKAGE)]
    assert ours
    for frame in ours:
        kept.check(repr(frame.locals))
    kept.check(caplog.text)


def test_a_secret_is_given_out_by_asking_for_it(kept):
    stream = io.BytesIO(orjson.dumps(kept.run1_.process_json()))
    told = orjson.loads(stream.read())
    assert set(told) == {"Version", "AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"}
    assert told["SecretAccessKey"] == kept.run1_.secret_access_key
    assert set(kept.key.process_json()) == {"Version", "AccessKeyId", "SecretAccessKey"}


def test_errors_survive_a_pickle(kept):
    """As they come back from other processes."""
    for failure in ("expired", "refused", "password against the policy"):
        with pytest.raises(fastiam.FastiamError) as caught:
            FAILURES[failure](Kept())
        again = pickle.loads(pickle.dumps(caught.value))
        assert (type(again), str(again), vars(again)) == (type(caught.value), str(caught.value), vars(caught.value))
