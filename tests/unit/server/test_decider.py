"""The interface between protocols and the engine: one generation for each request (G3, G16)."""

from __future__ import annotations

import threading
from pathlib import Path

import fastiam
from fastiam.server.decider import LiveDecider

USER = "arn:aws:iam::111111111111:user/u"


def directory(number: int) -> fastiam.Directory:
    """A directory whose policy allows the action with the number, so that a decision shows the generation of its engine."""
    made = fastiam.Directory()
    statement = {"Effect": "Allow", "Action": f"s3:Number{number}", "Resource": "*"}
    made.add_principal(USER, identity_policies=[{"Version": "2012-10-17", "Statement": statement}])
    return made


def test_pinned_number_and_engine_belong_together_during_swaps() -> None:
    made = 0

    def make() -> fastiam.Directory:
        nonlocal made
        made += 1
        return directory(made)

    live = fastiam.LiveEngine(make)
    decider, wrong, pinned_numbers, stop = LiveDecider(live), [], set(), threading.Event()

    def read() -> None:
        while not stop.is_set():
            pinned = decider.pin()
            if not pinned.engine.is_allowed(USER, f"s3:Number{pinned.generation}", "arn:aws:s3:::b/k"):
                wrong.append(pinned.generation)
            pinned_numbers.add(pinned.generation)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for _ in range(50):
        live.refresh()
        while decider.pin().generation not in pinned_numbers and any(reader.is_alive() for reader in readers):
            stop.wait(0.001)  # a reader sees each generation, and others while it is replaced
    stop.set()
    for reader in readers:
        reader.join()
    assert wrong == []
    assert decider.pin().generation == 51
    assert pinned_numbers >= set(range(2, 52))


def test_fresh_contains_a_write_to_the_store(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with fastiam.Directory.open(path, create=True) as store:
        live = fastiam.LiveEngine(path)
        decider = LiveDecider(live)
        first = decider.fresh()
        assert decider.fresh() is first
        store.add_principal(
            USER,
            identity_policies=[{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}],
        )
        assert decider.fresh().engine.is_allowed(USER, "s3:GetObject", "arn:aws:s3:::b/k")
        assert decider.fresh().generation == first.generation + 1
        assert not first.engine.is_allowed(USER, "s3:GetObject", "arn:aws:s3:::b/k")
        live.close()
