"""The store: each process reads committed transactions in full; errors are reported."""

from __future__ import annotations

import os
import shutil
import sqlite3
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from directory_changes import WRITES, Writer
from hypothesis import given
from hypothesis import strategies as st
from store_world import ALLOW, A, counter, names, tables_of, user

import fastiam
from fastiam import Directory, StoreError
from fastiam.directory import record_codec as rows
from fastiam.directory.account_records import Account
from fastiam.policy import document
from fastiam.storage import sqlite_backend as backend_module

# -- what is written is read back ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_a_store_reads_back_equal_whatever_was_written(seed: int, path: Path) -> None:
    writer = Writer(seed)
    writer.directory = Directory.open(path, mode="lenient")
    with Directory.open(path) as follower:
        for _ in range(60):
            try:
                writer.write()
            except fastiam.DirectoryError:
                continue
            follower.refresh()
            assert tables_of(follower) == tables_of(writer.directory)
        assert follower.to_json() == writer.directory.to_json(), "in the same order, too"
    writer.directory.close()
    with Directory.open(path) as again:
        tables, written = tables_of(again), tables_of(writer.directory)
        assert tables == written
        assert again.to_json() == writer.directory.to_json()
        for arn, entity in written.entities.items():  # equal stored policies have equal texts: are they read alike?
            assert [p.policy for p in tables.entities[arn].inline] == [p.policy for p in entity.inline]
    assert len(WRITES) > 5


BROKEN = [
    {"Action": "s3GetObject"},
    {"Effect": "Deny", "Action": "s3:*", "Principal": "*", "Unknown": 1},
    {"Action": "s3:*", "Condition": {"StringEqals": {"aws:x": "1"}}},
    {"Action": "s3:*", "Condition": {"Bool": {"nocolon": True}}},
    {"Action": "s3:*", "Condition": {"NumericEquals": {"s3:x": [1.50, 10**30]}}},
    {"Sid": "bad sid!", "NotAction": [], "Resource": "${oops"},
]


@pytest.mark.parametrize("statement", BROKEN, ids=range(len(BROKEN)))
def test_a_policy_that_was_read_leniently_reads_the_same_again(statement: dict[str, Any], path: Path) -> None:
    document = {"Version": "2012-10-17", "Id": "é\ud800", "Statement": {"Effect": "Allow", "Resource": "*"} | statement}
    with Directory.open(path, mode="lenient") as directory:
        directory.add_principal(user("ana"), identity_policies=[("p", document)], tags={"a\ud800": "ü\0"})
        written = tables_of(directory)
    with Directory.open(path) as again:
        assert tables_of(again) == written
        (policy,), (before,) = (tables.entities[user("ana")].inline for tables in (tables_of(again), written))
        assert policy.policy == before.policy
        assert policy.policy.statements, "the policy was not parsed before the first read"


def test_engines_over_a_store_answer_as_those_over_memory(path: Path) -> None:
    with Directory.open(path) as directory:
        directory.set_organization("o-1", accounts={A: "ou-a"}, scps={"ou-a": [ALLOW]})
        directory.add_principal(user("ana"), identity_policies=[("Work", ALLOW)])
    with Directory.open(path) as again:
        decision = again.compile().decide(user("ana"), "s3:GetObject", "arn:aws:s3:::b/k")
        assert decision.allowed and decision.statement.policy == "Work"


def test_policies_of_one_text_are_read_once_and_keep_their_names(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = {**ALLOW, "Id": "of one text"}
    with Directory.open(path) as directory:
        for i in range(3):
            directory.add_principal(user(i), identity_policies=[(f"p{i}", policy)])
        written = [entity.inline[0].policy for entity in tables_of(directory).entities.values()]
    read = []
    original = document.read_policy
    monkeypatch.setattr(document, "read_policy", lambda *given, **more: read.append(given) or original(*given, **more))
    with Directory.open(path) as again:
        policies = [entity.inline[0].policy for entity in tables_of(again).entities.values()]
        assert policies == written and [policy.name for policy in policies] == ["p0", "p1", "p2"]
        assert [policy.origin.child("Statement").position().source for policy in policies] == ["p0", "p1", "p2"]
    assert len(read) == 1


class Color(Enum):
    RED = "r"


@dataclass(frozen=True, slots=True)
class Inner:
    n: int = 0


@dataclass(frozen=True, slots=True)
class Everything:
    """One field of each type that rows hold."""

    text: str
    flag: bool = False
    number: int = 0
    share: float = 0.5
    data: bytes = b""
    at: datetime | None = None
    color: Color = Color.RED
    names: frozenset[str] = frozenset()
    several: tuple[Inner, ...] = ()
    by_name: dict[str, Inner] = field(default_factory=dict)
    levels: tuple[tuple[str, ...], ...] | None = None
    one: Inner | str | None = None


codec = rows.codec_of(Everything)
inner = st.builds(Inner, st.integers(-(2**63), 2**64 - 1))
texts = st.text(st.characters())  # lone surrogates among them


@given(
    st.builds(
        Everything,
        texts,
        st.booleans(),
        st.integers(-(2**63), 2**64 - 1),
        st.floats(allow_nan=False, allow_infinity=False),
        st.binary(),
        st.none() | st.datetimes(timezones=st.just(UTC)),
        st.just(Color.RED),
        st.frozensets(texts),
        st.lists(inner).map(tuple),
        st.dictionaries(texts, inner),
        st.none() | st.lists(st.lists(texts).map(tuple)).map(tuple),
        st.none() | texts | inner,
    )
)
def test_every_type_of_field_comes_back(record: Everything) -> None:
    assert rows.from_text(codec, rows.to_text(codec, record)) == record


def test_row_omits_defaults_and_missing_fields_get_them() -> None:
    assert rows.to_text(codec, Everything("x")) == '{"text":"x"}'
    assert rows.from_text(codec, '{"text":"x","number":3}') == Everything("x", number=3)


@pytest.mark.parametrize("hint", [complex, dict[int, str], tuple[int, str], str | bytes, list[str]], ids=str)
def test_a_type_that_rows_cannot_hold_is_refused_at_once(hint: Any) -> None:
    with pytest.raises(TypeError):
        rows.codec_of(hint)


def test_record_that_no_row_can_store_is_refused_unwritten(path: Path) -> None:
    with Directory.open(path) as directory:
        with pytest.raises(StoreError) as caught, directory.transaction():
            directory.add_principal(user("ana"))
            directory._store.put("accounts", "\ud800", Account("\ud800", "aws"))
        assert caught.value.reason == "text" and not tables_of(directory).entities
        with pytest.raises(ValueError, match="too large"):
            rows.to_text(codec, Everything("x", number=2**64))
    assert names(path) == set()


# -- what changed only --------------------------------------------------------------------------------------------------


def test_a_refresh_reads_the_changed_records_alone(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    original = backend_module.from_text
    monkeypatch.setattr(backend_module, "from_text", lambda codec, text: read.append(text) or original(codec, text))
    with Directory.open(path) as writer:
        with writer.transaction():
            for i in range(50):
                writer.add_principal(user(i))
        with Directory.open(path, read_only=True) as reader:
            read.clear()
            writer.put_inline_policy(user(7), "p", ALLOW)
            assert reader.refresh() and len(read) == 1
            engine = reader.compile()
            writer.put_inline_policy(user(8), "p", ALLOW)
            reader.refresh()
            assert engine.updated(reader).is_allowed(user(8), "s3:GetObject", "arn:aws:s3:::b/k")


def test_joined_record_store_reads_rows_and_follows_changes(path: Path) -> None:
    from badge_store import ANA, Badge, Badges

    with Directory.open(path) as one, Directory.open(path) as two, Directory.open(path) as three:
        badges = one.join(Badges())
        with one.transaction():
            one.add_principal(ANA, tags={"team": "red"})
            badges.put("badges", "7", Badge("7", ANA, color="blue"))
            badges.put("printer", "", Badge("p", ANA))
        assert two.refresh(), "a directory without the record store skips its rows"
        late = two.join(Badges())
        assert late.tables == badges.tables and late.of_owner == {ANA: {"7"}}
        with one.transaction():
            badges.put("badges", "7", None)
            badges.put("printer", "", None)
        assert two.refresh() and late.tables == badges.tables and late.of_owner == {ANA: set()}
        with three.transaction():
            assert three.join(Badges()).tables == badges.tables


def test_removed_record_is_deleted_everywhere_and_purged(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from badge_store import Badge, Badges

    monkeypatch.setattr(backend_module, "_KEEP_REMOVED", 8)
    with Directory.open(path) as writer, Directory.open(path) as near, Directory.open(path) as far:
        badges = [directory.join(Badges()) for directory in (writer, near, far)]

        def put(key: str, badge: Badge | None) -> None:
            with writer.transaction():
                badges[0].put("badges", key, badge)

        put("a", Badge("a", "x"))
        far.refresh()
        put("a", None)
        for i in range(40):
            put("b", Badge("b", str(i)))
            near.refresh()
        assert counter(path, "horizon") > 0
        assert sqlite3.connect(path).execute("SELECT count(*) FROM records WHERE body IS NULL").fetchone() == (0,)
        far.refresh()
        assert badges[0].tables == badges[1].tables == badges[2].tables
        put("a", Badge("a", "y"))
    with Directory.open(path) as again:
        assert list(again.join(Badges()).tables.badges) == ["b", "a"], "what comes again comes last"


def test_a_backup_put_in_the_place_of_the_file_is_noticed(path: Path, tmp_path: Path) -> None:
    with Directory.open(path) as directory:
        directory.add_principal(user("ana"))
    shutil.copy(path, tmp_path / "backup.db")
    with Directory.open(path) as directory, Directory.open(path) as reader:
        directory.add_principal(user("bob"))
        assert reader.refresh()
        for rest in ("-wal", "-shm"):  # required when a backup of SQLite is restored
            os.unlink(f"{path}{rest}")
        os.replace(tmp_path / "backup.db", path)
        assert reader.refresh() and list(tables_of(reader).entities) == [user("ana")]
        directory.add_principal(user("cid"))
    assert names(path) == {"ana", "cid"}


def test_store_replaced_during_a_write_is_not_written(path: Path, tmp_path: Path) -> None:
    with Directory.open(tmp_path / "other.db") as other:
        other.add_principal(user("zoe"))
    with Directory.open(path) as directory:
        directory.add_principal(user("ana"))
        with pytest.raises(StoreError) as caught, directory.transaction():
            directory.add_principal(user("bob"))
            for rest in ("-wal", "-shm"):
                os.unlink(f"{path}{rest}")
            os.replace(tmp_path / "other.db", path)
        assert caught.value.reason == "gone" and list(tables_of(directory).entities) == [user("ana")]
        directory.add_principal(user("cid"))
        assert list(tables_of(directory).entities) == [user("zoe"), user("cid")]
    assert names(path) == {"zoe", "cid"}


def test_write_to_a_deleted_store_is_refused(path: Path) -> None:
    with Directory.open(path) as directory:
        directory.add_principal(user("ana"))
        path.unlink()
        for write in (lambda: directory.add_principal(user("bob")), directory.refresh):
            with pytest.raises(StoreError) as caught:
                write()
            assert caught.value.reason == "absent"
        assert list(tables_of(directory).entities) == [user("ana")]


def test_a_store_is_its_owner_s_alone(path: Path) -> None:
    with Directory.open(path) as directory:
        directory.add_principal(user("ana"))
        for name in ("iam.db", "iam.db-wal", "iam.db-shm"):
            assert path.with_name(name).stat().st_mode & 0o077 == 0
