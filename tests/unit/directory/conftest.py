"""Fixtures of the tests in this folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from account_world import account
from store_world import ALLOW, user

from fastiam import Directory


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "iam.db"


@pytest.fixture
def filled(path: Path) -> Path:
    with Directory.open(path) as directory, directory.transaction():
        for i in range(200):
            directory.add_principal(user(i), identity_policies=[(f"p{i}", ALLOW)])
    return path


@pytest.fixture
def directory() -> Directory:
    return account()
