"""The requests of docs/authzen.md give the answers that the page shows."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from server_pages import run_page


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_requests_of_the_page_have_the_answers_shown(tmp_path: Path) -> None:
    answers = run_page("authzen.md", tmp_path)
    assert len(answers) == 4
    for answer, shown in answers:
        assert _comparable(answer) == _comparable(shown)


def _comparable(answer: Any) -> Any:
    """Without what differs from run to run."""
    answer.get("context", {}).pop("decision_id", None)
    token = answer.get("page", {}).pop("next_token", "")
    return answer, bool(token)
