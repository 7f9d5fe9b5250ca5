"""Transactions over the record stores of a directory: atomic, in memory too."""

from __future__ import annotations

import gc
import threading
import weakref

import pytest
from badge_store import ANA, BOB, A, Badge, Badges, BadgeTables

import fastiam

ALLOW = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}


@pytest.fixture
def directory() -> fastiam.Directory:
    return fastiam.Directory()


def badges_of(directory: fastiam.Directory) -> Badges:
    return directory.join(Badges())


def test_failed_transaction_undoes_its_writes(directory: fastiam.Directory) -> None:
    directory.add_principal(ANA, identity_policies=ALLOW)
    before = directory.to_json()
    with pytest.raises(ZeroDivisionError), directory.transaction():
        directory.add_principal(BOB, identity_policies=ALLOW)
        directory.put_inline_policy(ANA, "more", ALLOW)
        directory.set_organization("o-1", accounts={A: None})
        1 / 0  # noqa: B018
    assert directory.to_json() == before
    directory.add_principal(BOB)  # the name is free again


def test_nested_transaction_undoes_its_own_writes_only(directory: fastiam.Directory) -> None:
    with directory.transaction():
        with pytest.raises(ZeroDivisionError), directory.transaction():
            directory.add_principal(BOB)
            1 / 0  # noqa: B018
        with pytest.raises(fastiam.DirectoryError):
            directory.add_principal("arn:aws:iam::1:user/none")
        directory.add_principal(ANA)
    assert ANA in directory.to_json() and BOB not in directory.to_json()


def test_failed_transaction_removes_its_findings() -> None:
    directory = fastiam.Directory(mode="lenient")
    directory.add_principal(ANA, identity_policies="arn:aws:iam::aws:policy/Nowhere")
    findings = directory.findings
    with pytest.raises(ZeroDivisionError), directory.transaction():
        directory.add_principal(BOB, identity_policies="arn:aws:iam::aws:policy/Nowhere")
        1 / 0  # noqa: B018
    assert directory.findings == findings and len(findings) == 1


def test_engine_ignores_undone_writes(directory: fastiam.Directory) -> None:
    directory.add_principal(ANA)
    engine = directory.compile()
    with pytest.raises(ZeroDivisionError), directory.transaction():
        directory.put_inline_policy(ANA, "all", ALLOW)
        assert directory.compile().is_allowed(ANA, "s3:GetObject", "arn:aws:s3:::b/k")
        1 / 0  # noqa: B018
    for again in (directory.compile(), engine.updated(directory)):
        assert not again.is_allowed(ANA, "s3:GetObject", "arn:aws:s3:::b/k")


def test_joined_store_changes_in_the_same_transactions(directory: fastiam.Directory) -> None:
    badges = badges_of(directory)
    with directory.transaction():
        directory.add_principal(ANA, tags={"team": "red"})
        badges.put("badges", "7", Badge("7", ANA))
        badges.put("printer", "", Badge("p", BOB))
    with pytest.raises(ZeroDivisionError), directory.transaction():
        badges.put("badges", "7", None)
        badges.put("badges", "8", Badge("8", BOB))
        badges.put("printer", "", None)
        1 / 0  # noqa: B018
    assert badges.tables == BadgeTables({"7": Badge("7", ANA)}, Badge("p", BOB))
    assert badges.of_owner == {ANA: {"7"}, BOB: set()}


def test_joined_store_refuses_changes_of_another_store(directory: fastiam.Directory) -> None:
    badges_of(directory)
    with pytest.raises(fastiam.DirectoryError, match="no tags"):
        directory.add_principal(ANA)
    assert ANA not in directory.to_json()


def test_joined_store_adds_to_a_transaction(directory: fastiam.Directory) -> None:
    badges = badges_of(directory)
    with directory.transaction():
        badges.put("badges", "first", Badge("first", ANA))
    assert set(badges.tables.badges) == {"first", "second"}


def test_outside_of_a_transaction_nothing_changes(directory: fastiam.Directory) -> None:
    with pytest.raises(RuntimeError, match=r"badges\.badges"):
        badges_of(directory).put("badges", "7", Badge("7", ANA))
    assert not badges_of(directory).tables.badges


def test_unreferenced_directory_is_freed_immediately() -> None:
    """Without a collection: what was loaded is large, and a service that loads again and again holds one of them."""
    directory = fastiam.Directory()
    directory.add_principal(ANA, identity_policies=ALLOW)
    engine = directory.compile()
    references = [
        weakref.ref(reference)
        for reference in (directory, badges_of(directory), directory.transaction_manager, engine, engine.snapshot)
    ]
    gc.disable()
    try:
        del directory, engine
        assert not any(reference() for reference in references)
    finally:
        gc.enable()


def test_record_store_joins_once(directory: fastiam.Directory) -> None:
    class Other(Badges):
        pass

    assert badges_of(directory) is badges_of(directory)
    with pytest.raises(TypeError, match="badges"):
        directory.join(Other())


def test_threads_write_in_sequence(directory: fastiam.Directory) -> None:
    badges = badges_of(directory)
    with directory.transaction():
        badges.put("badges", "n", Badge("0", ANA))

    def count() -> None:
        for _ in range(200):
            with directory.transaction():
                n = int(badges.tables.badges["n"].id)
                badges.put("badges", "n", Badge(str(n + 1), ANA))

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert badges.tables.badges["n"].id == "800"
