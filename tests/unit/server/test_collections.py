"""Garbage collections of a process that serves do not scan what many small changes of its source have made (G217, G221)."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

import pytest
from sts_fixture import document

import fastiam
from fastiam.server import config, run
from fastiam.server import decision_source as state

ACCOUNT = "arn:aws:iam::111111111111"
SMALL, USERS = 10, 40  # changes, and principals of each


@pytest.fixture(autouse=True)
def frozen() -> None:
    """What other tests have left is frozen, and stays so."""
    gc.collect()
    gc.freeze()


def add_users(store: fastiam.Directory, change: int) -> None:
    with store.transaction():
        for user in range(USERS):
            arn = f"{ACCOUNT}:user/u{change}-{user}"
            own = document({"Sid": f"S{change}x{user}", "Effect": "Allow", "Action": "s3:*", "Resource": arn})
            store.add_principal(arn, identity_policies=[("own", own)])


def test_start_freezes_the_policies_without_a_scan(tmp_path: Path) -> None:
    with fastiam.Directory.open(tmp_path / "store") as store:
        for change in range(SMALL):
            add_users(store, change)
    environ = {"FASTIAM_SERVE__SOURCE__WATCH": "false"}
    settings = config.load(None, environ, config.Flags((str(tmp_path / "store"),)))
    frozen, scans = gc.get_freeze_count(), [each["collections"] for each in gc.get_stats()]
    source = run._load(settings)
    made = gc.get_freeze_count() - frozen
    assert made > 10 * SMALL * USERS
    assert [each["collections"] for each in gc.get_stats()][1:] == scans[1:]
    source.live.close()


def test_small_changes_of_a_store_are_frozen_when_they_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastiam.runtime.gc_pause._UNFROZEN", 5_000)
    store = fastiam.Directory.open(tmp_path / "store")
    environ = {"FASTIAM_SERVE__SOURCE__WATCH": "false", "FASTIAM_SERVE__AUDIT_LOG__PATH": str(tmp_path / "audit")}
    settings = config.load(None, environ, config.Flags((str(tmp_path / "store"),)))
    source = state.Source(settings)

    async def follow() -> list[int]:
        process = run.Process(settings, lambda: settings)
        process.state.source = source
        seen = []
        for change in range(SMALL):
            add_users(store, change)
            source.live.refresh()
            process._report_source()
            seen.append(len(gc.get_objects()))
        process.audit.writer.close()
        return seen

    left = asyncio.run(follow())
    assert max(left) <= 5_000, "a full collection would scan all changes"
    source.live.close()
    store.close()
