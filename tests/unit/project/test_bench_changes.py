"""The bench of a server whose policies change: it finds wrong, old and lost answers, and memory that grows."""

from __future__ import annotations

import json
import sys
from array import array
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "bench"))

import server_changes
from changing_store import Change, requests
from server_changes import SECOND, Answers, Run, faults, generations

DENIED, ALLOWED = (False, "EXPLICIT_DENY", "identity"), (True, "ALLOW", "identity")


def answer(change, found=DENIED):
    decision, outcome, layer = found
    context = {"outcome": outcome, "layer": layer, "sid": f"Change{change}"}
    return json.dumps({"decision": decision, "context": context}).encode()


def run_of(counts=None, *, received=None, **more):
    """Two changes: at 2 s and at 4 s. The first request is denied, the second one allowed since the first change."""
    changes = [Change(0, 0, 0, (DENIED, DENIED)), Change(1, 2 * SECOND, 2 * SECOND, (DENIED, ALLOWED))]
    changes.append(Change(2, 4 * SECOND, 4 * SECOND, (DENIED, ALLOWED)))
    counts = counts or {((0,), g, answer(g - 1)): 1 for g in (1, 2, 3)}
    received = received or {1: [SECOND, SECOND], 2: [3 * SECOND, 3 * SECOND], 3: [5 * SECOND, 5 * SECOND]}
    sent = more.pop("sent", sum(counts.values()))
    answers = Answers(counts, received, array("I", [1]), {}, sent, more.pop("failed", []))
    return Run(changes, answers, more.pop("memory", [(0, 50.0)]), 6.0)


def test_faults_of_right_answers_are_none():
    assert faults(run_of()) == []


@pytest.mark.parametrize(
    ("run", "text"),
    [
        (run_of({((0,), g, answer(g - 1)): 1 for g in (1, 2, 3)} | {((1,), 3, answer(2)): 7}), "change 2, request 1"),
        (run_of({((0,), g, answer(g - 1)): 1 for g in (1, 2, 3)} | {((1,), 9, answer(2)): 7}), "generation 9"),
        (run_of({((0,), 1, answer(0)): 1, ((0,), 2, answer(1)): 1}), "the last change that was answered is 1 of 2"),
        (run_of(received={1: [SECOND, int(3.1 * SECOND)], 2: [SECOND * 3] * 2, 3: [SECOND * 5] * 2}), "still answered 1.10 s"),
        (run_of(received={1: [SECOND] * 2, 2: [int(1.9 * SECOND)] * 2, 3: [SECOND * 5] * 2}), "before it was made"),
        (run_of(sent=4), "1 of 4 requests have no answer"),
        (run_of(failed=["HTTP/1.1 503"]), "no answer: HTTP/1.1 503"),
        (run_of(memory=[(n, 50.0 if n < 90 else 70.0) for n in range(100)]), "grown by 20.0 MiB"),
    ],
    ids=["wrong", "unknown-generation", "unseen-change", "old", "early", "lost", "refused", "memory"],
)
def test_faults_of_a_faulty_run_are_named(run, text):
    assert any(text in each for each in faults(run)), faults(run)


def test_generations_of_two_changes_are_refused():
    run = run_of({((0,), 1, answer(0)): 1, ((0,), 1, answer(1)): 1})
    with pytest.raises(AssertionError, match="is of two changes"):
        faults(run)


@pytest.mark.slow
def test_server_under_changes_answers_as_specified(tmp_path):
    run = server_changes.run(tmp_path, 1.5, every=0.25, roles=20)
    assert faults(run, old=60 * SECOND) == []
    outcomes = {expected[1] for change in run.changes for expected in change.expected}
    assert outcomes == {"ALLOW", "IMPLICIT_DENY", "EXPLICIT_DENY"}
    assert len(run.changes) == 7 and len(set(generations(run).values())) > 1
    assert {i for asked, _, _ in run.answers.counts for i in asked} == set(range(len(requests())))
