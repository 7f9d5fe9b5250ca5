"""Keyrings and session tokens: altered, foreign, expired or mixed-up credentials are refused."""

from __future__ import annotations

import base64
import os
import pickle
import stat
import string
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastiam.credentials.ids import account_of, new_key_id
from fastiam.model.session import Session
from fastiam.sts import AuthenticationError, Credentials, Keyring, KeyringError
from fastiam.sts.session_issuer import plain_context
from fastiam.sts.session_tokens import Claims, Tokens

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
SESSION = Session(
    "arn:aws:sts::111111111111:assumed-role/Dep/run1",
    kind="ROLE",
    issuer="arn:aws:iam::111111111111:role/ops/Dep",
    policies=['{"Version":"2012-10-17","Statement":[]}', "arn:aws:iam::aws:policy/ReadOnlyAccess"],
    tags={"team": "blue", "Größe": ""},
    transitive_tags=("team",),
    issued_at=NOW,
    source_identity="ana",
    context={"saml:sub": "x", "oidc.example.org:amr": ["a"]},
)
CLAIMS = Claims(SESSION, NOW + HOUR, "AROADEP", None)
KEYRING = Keyring.generate()


@pytest.fixture
def tokens() -> Tokens:
    return Tokens(KEYRING)


@pytest.fixture
def issued(tokens: Tokens) -> Credentials:
    return tokens.issue(CLAIMS, "111111111111")


def refused(tokens: Tokens, key_id: str, secret: str, token: str, now: datetime = NOW) -> str:
    """Why a token is refused."""
    with pytest.raises(AuthenticationError) as error:
        tokens.verify(key_id, secret, token, now)
    return error.value.reason


# -- session tokens ----------------------------------------------------------------------------------------------------


def test_a_token_gives_back_what_it_was_made_of(tokens, issued):
    other = Tokens(KEYRING)  # another process
    assert other.verify(issued.access_key_id, issued.secret_access_key, issued.session_token, NOW) == CLAIMS
    assert issued.expiration == NOW + HOUR


def test_issued_credentials_have_the_aws_format(issued):
    assert issued.access_key_id.startswith("ASIA") and len(issued.access_key_id) == 20
    assert len(issued.secret_access_key) == 40
    assert set(issued.session_token) <= set(string.ascii_letters + string.digits + "+/=")


def test_token_is_unreadable_without_the_key(issued):
    raw = base64.standard_b64decode(issued.session_token)
    assert b"assumed-role" not in raw and b"blue" not in raw


def test_two_tokens_of_one_session_have_nothing_in_common(tokens):
    one, two = (tokens.issue(CLAIMS, "111111111111") for _ in range(2))
    assert one.access_key_id != two.access_key_id
    assert one.secret_access_key != two.secret_access_key
    assert refused(tokens, one.access_key_id, one.secret_access_key, two.session_token) == "token_invalid"
    assert refused(tokens, two.access_key_id, one.secret_access_key, two.session_token) == "wrong_secret"


@pytest.mark.parametrize(("after", "valid"), [(0, True), (3599.999999, True), (3600, False), (3601, False)])
@pytest.mark.parametrize("cached", [True, False])
def test_a_token_ends_exactly(tokens, issued, after, valid, cached):
    if cached:
        tokens.open(issued.access_key_id, issued.session_token, NOW)
    now = NOW + timedelta(seconds=after)
    if valid:
        assert tokens.verify(issued.access_key_id, issued.secret_access_key, issued.session_token, now).session == SESSION
    else:
        assert refused(tokens, issued.access_key_id, issued.secret_access_key, issued.session_token, now) == "expired"


def test_every_byte_of_a_token_counts(tokens, issued):
    raw = base64.standard_b64decode(issued.session_token)
    for at in range(len(raw)):
        altered = raw[:at] + bytes((raw[at] ^ 1,)) + raw[at + 1 :]
        text = base64.standard_b64encode(altered).decode()
        assert refused(tokens, issued.access_key_id, issued.secret_access_key, text) == "token_invalid"


def test_a_token_cut_short_or_made_longer_is_refused(tokens, issued):
    whole = issued.session_token
    for text in [whole[:cut] for cut in range(0, len(whole), 7)] + [whole + "A", whole + "====", whole + "\n", " " + whole, ""]:
        assert refused(tokens, issued.access_key_id, issued.secret_access_key, text) == "token_invalid"


@pytest.mark.parametrize("text", ["é", "\ud800", "x" * 100_000, "\0", "{}", "null"])
def test_malformed_session_token_is_refused(tokens, issued, text):
    assert refused(tokens, issued.access_key_id, issued.secret_access_key, text) == "token_invalid"


@pytest.mark.parametrize(
    "key_id", ["", "ASIA", "AKIA" + "A" * 16, "ASIA" + "A" * 16, "asia" + "a" * 16, "ASIA" + "é" * 16, "\ud800"]
)
def test_a_token_opens_with_its_own_key_id_alone(tokens, issued, key_id):
    assert refused(tokens, key_id, issued.secret_access_key, issued.session_token) == "token_invalid"


@pytest.mark.parametrize("secret", ["", "x", "é", "\ud800"])
def test_a_wrong_secret_is_refused(tokens, issued, secret):
    assert refused(tokens, issued.access_key_id, secret, issued.session_token) == "wrong_secret"


def test_a_token_of_another_keyring_is_refused(issued):
    assert (
        refused(Tokens(Keyring.generate()), issued.access_key_id, issued.secret_access_key, issued.session_token)
        == "token_invalid"
    )


def test_a_key_of_the_same_id_does_not_help(issued):
    same_id = Keyring([(KEYRING.ids[0], bytes(32))])
    assert refused(Tokens(same_id), issued.access_key_id, issued.secret_access_key, issued.session_token) == "token_invalid"


def test_other_data_sealed_under_the_key_is_refused_as_a_token(tokens, issued):
    sealed = KEYRING.seal(b"access-key\0x", b"[1]")
    text = base64.standard_b64encode(sealed).decode()
    assert refused(tokens, issued.access_key_id, issued.secret_access_key, text) == "token_invalid"


def test_rotation_keeps_tokens_alive_until_their_key_leaves(issued):
    rotated = KEYRING.rotated()
    assert Tokens(rotated).verify(issued.access_key_id, issued.secret_access_key, issued.session_token, NOW) == CLAIMS
    fresh = Tokens(rotated).issue(CLAIMS, "111111111111")
    assert refused(Tokens(KEYRING), fresh.access_key_id, fresh.secret_access_key, fresh.session_token) == "token_invalid"
    dropped = Tokens(rotated.rotated(keep=1))
    assert refused(dropped, issued.access_key_id, issued.secret_access_key, issued.session_token) == "token_invalid"
    assert dropped.verify(fresh.access_key_id, fresh.secret_access_key, fresh.session_token, NOW) == CLAIMS


def test_opened_tokens_are_kept_and_bounded():
    tokens = Tokens(KEYRING, cached=2)
    made = [tokens.issue(CLAIMS, "111111111111") for _ in range(3)]

    def session(of: Credentials) -> Session:
        return tokens.open(of.access_key_id, of.session_token, NOW).claims.session

    first, second = session(made[0]), session(made[1])
    assert session(made[0]) is first  # one object, so that an engine knows it again; and now the last one used
    session(made[2])
    assert session(made[0]) is first
    assert session(made[1]) is not second
    assert len(tokens._kept) == 2


TEXTS = st.text(max_size=20).filter(lambda s: not any(0xD800 <= ord(c) <= 0xDFFF for c in s))


@settings(max_examples=60, deadline=None)
@given(
    tags=st.dictionaries(TEXTS, TEXTS, max_size=4),
    policies=st.none() | st.lists(TEXTS, max_size=3).map(tuple),
    context=st.dictionaries(TEXTS.filter(bool), TEXTS | st.lists(TEXTS, min_size=1, max_size=3), max_size=3),
    seconds=st.integers(0, 10**9),
)
def test_any_session_comes_back_as_it_was(tags, policies, context, seconds):
    issued_at = datetime.fromtimestamp(seconds, UTC)
    session = Session(
        SESSION.arn, kind="ROLE", issuer=SESSION.issuer, policies=policies, tags=tags, issued_at=issued_at, context=context
    )
    claims = Claims(session, issued_at + HOUR)
    credentials = Tokens(KEYRING).issue(claims, "000000000001")
    assert Tokens(KEYRING).open(credentials.access_key_id, credentials.session_token, issued_at).claims == claims


def test_a_context_is_carried_as_texts():
    context = {"aws:TokenIssueTime": NOW, "ec2:RoleDelivery": 2.0, "x:flag": True, "x:list": ["a"], "x:none": None}
    assert plain_context(context) == {
        "aws:TokenIssueTime": "2026-01-01T00:00:00Z",
        "ec2:RoleDelivery": "2",
        "x:flag": "true",
        "x:list": ["a"],
    }


# -- access key ids ----------------------------------------------------------------------------------------------------


@given(st.integers(0, 10**12 - 1))
def test_access_key_id_encodes_the_account(number):
    account = f"{number:012d}"
    assert account_of(new_key_id("AKIA", account)) == account


@pytest.mark.parametrize(
    "text", ["", "AKIA", "AKIA" + "1" * 16, "AKIA" + "7" * 16, "ABIA" + "A" * 16, "AKIA" + "a" * 16, "x" * 20]
)
def test_account_of_a_malformed_key_id_is_none(text):
    assert account_of(text) is None


# -- keyrings ----------------------------------------------------------------------------------------------------------


def test_a_keyring_is_kept_in_a_file_of_its_own(tmp_path: Path):
    path = tmp_path / "keyring.json"
    KEYRING.save(path)
    KEYRING.save(path)  # in place of the one before
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Keyring.load(path).open(b"x", KEYRING.seal(b"x", b"plain")) == b"plain"
    assert [p.name for p in tmp_path.iterdir()] == ["keyring.json"]


@pytest.mark.skipif(os.name != "posix", reason="modes of files are those of POSIX")
def test_a_keyring_that_others_can_read_is_refused(tmp_path: Path):
    path = tmp_path / "keyring.json"
    KEYRING.save(path)
    path.chmod(0o640)
    with pytest.raises(KeyringError, match="others can read"):
        Keyring.load(path)


def test_the_environment_names_a_keyring_or_holds_one(tmp_path: Path):
    path = tmp_path / "keyring.json"
    KEYRING.save(path)
    assert Keyring.from_environment({"FASTIAM_KEYRING": str(path)}).ids == KEYRING.ids
    assert Keyring.from_environment({"FASTIAM_KEYRING": path.read_text()}).ids == KEYRING.ids
    with pytest.raises(KeyringError, match="set FASTIAM_KEYRING"):
        Keyring.from_environment({})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "[1]",
        '[{"id": "00000000"}]',
        '[{"id": "00000000", "key": "AAAA"}]',
        '[{"id": "x", "key": "' + "A" * 43 + '="}]',
    ],
)
def test_malformed_keyring_text_is_refused(text):
    with pytest.raises(KeyringError):
        Keyring.from_text(text)


def test_two_keys_of_one_id_are_refused():
    with pytest.raises(KeyringError):
        Keyring([("00000000", bytes(32)), ("00000000", bytes(32))])


def test_a_sealed_text_opens_for_its_purpose_alone():
    sealed = KEYRING.seal(b"access-key\0AKIA1", b"secret")
    assert KEYRING.open(b"access-key\0AKIA1", sealed) == b"secret"
    for purpose, text in [(b"access-key\0AKIA2", sealed), (b"access-key\0AKIA1", sealed[:-1]), (b"access-key\0AKIA1", b"")]:
        with pytest.raises(KeyringError):
            KEYRING.open(purpose, text)


def test_seal_of_equal_texts_differs():
    assert KEYRING.seal(b"x", b"plain") != KEYRING.seal(b"x", b"plain")


def test_a_keyring_is_not_pickled():
    with pytest.raises(TypeError):
        pickle.dumps(KEYRING)
