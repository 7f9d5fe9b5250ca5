"""The benchmarks, where a mistake would lie to a reader: answers are checked, verdicts and ratios are right, and pages say what
records say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

BENCH = Path(__file__).resolve().parents[3] / "bench"
sys.path[:0] = [str(BENCH), str(BENCH / "peers")]

import bench_peers  # noqa: E402
import compare  # noqa: E402
import doublings  # noqa: E402
import engines  # noqa: E402
import instruction_gates as gates  # noqa: E402
import policies  # noqa: E402
import report  # noqa: E402
import targets  # noqa: E402
import workloads  # noqa: E402
from targets import Figure, Target  # noqa: E402


def line(form="f", samples=(100, 90, 110), *, workload="w", engine="fastiam", **more):
    ordered = sorted(samples)
    spread = {"median": ordered[len(ordered) // 2], "best": ordered[0], "worst": ordered[-1]}
    return {"workload": workload, "engine": engine, "form": form, **spread, "samples": list(samples), **more}


def records(*lines):
    where = {"processor": "P", "cores": 2, "python": "3", "numpy": "2", "commit": "c", "time": "2026-11-25T00:00:00"}
    return {"b": {"bench": "b", **where, "lines": list(lines)}}


# -- answers ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["coded", "strings"])
@pytest.mark.parametrize("name", ["identity", "layered"])
def test_bench_verifies_decisions_before_timing(name, form):
    work = getattr(workloads, name)(200, rows=3_000)
    columns = work.columns(form)
    outcomes = engines.Fastiam(work).batch(columns)
    engines.check(work, columns, outcomes, sample=500)
    shares = [float((outcomes == outcome).mean()) for outcome in range(3)]
    assert min(shares) > 0.01, "every outcome occurs"
    with pytest.raises(engines.WrongAnswerError):
        engines.check(work, columns, (outcomes + 1) % 3, sample=10)


@pytest.mark.parametrize("kind", workloads.GROWING)
def test_bench_wrong_row_outside_samples_is_found(kind):
    work = workloads.one_principal(20, workloads.GROWING[kind], rows=2_000)
    columns = work.columns("strings")
    outcomes = engines.Fastiam(work).batch(columns).copy()
    engines.check(work, columns, outcomes, sample=20)
    assert 0.4 < work.allowed.mean() < 0.6
    outcomes[777] = 1 - outcomes[777]
    with pytest.raises(engines.WrongAnswerError):
        engines.check(work, columns, outcomes, sample=1)


def test_workload_unique_resources_are_unique_and_match():
    repeated, unique = workloads.layered(200, rows=5_000), workloads.layered(200, rows=5_000, unique=True)
    values = unique.columns("strings").resources.to_pylist()
    assert len(set(values)) == len(values)
    shares = [np.bincount(engines.Fastiam(work).batch(work.columns("coded")), minlength=3) / 5_000 for work in (repeated, unique)]
    assert abs(shares[0] - shares[1]).max() < 0.03


def test_layered_workload_third_of_resources_has_policy():
    work = workloads.layered(200, rows=5_000)
    resources = work.columns("strings").resources.to_pylist()
    governed = [arn for arn in resources if arn.startswith("arn:aws:s3:::") and "-stage/" not in arn]
    assert 0.25 < len(governed) / len(resources) < 0.42
    assert set(work.sessions) & set(work.columns("strings").principals.to_pylist())


def test_plain_evaluator_equals_spec():
    work = workloads.identity(200, rows=1_000)
    rows = work.columns("strings").rows(np.arange(1_000))
    assert engines.Plain(work).rows(rows) == engines.Reference(work).rows(rows)


# -- peers --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "why"),
    [
        ({"checked": [0, 2], "answers": [True, False]}, None),
        ({"checked": [0, 1], "answers": [True, True]}, "wrong: 1 of 2 answers differ from the reference"),
        ({"checked": [], "answers": []}, "can express none of it"),
        ({"checked": [0], "answers": [True], "batch_agrees": False}, "wrong: its batch differs from its single calls"),
    ],
)
def test_bench_wrong_peer_has_no_time(found, why):
    assert bench_peers.verdict(found, [True, False, False]) == why


def test_bench_missing_peer_reports_the_reason(tmp_path, monkeypatch):
    monkeypatch.setattr(bench_peers, "ENVIRONMENTS", tmp_path)
    monkeypatch.setattr(bench_peers.subprocess, "run", lambda *a, **k: SimpleNamespace(returncode=1, stderr="a\nERROR: no\n\n"))
    with pytest.raises(bench_peers.CannotRunError, match="^not installed: ERROR: no$"):
        bench_peers.environment(bench_peers.Peer("made-up", "made-up==1", True, ""))


def test_peer_in_separate_process_equals_spec(tmp_path):
    work = workloads.identity(20, rows=400)
    rows = work.columns("strings").rows(np.arange(400))
    bench_peers.write_job(work, rows, tmp_path / "job.json", seconds=0.01)
    found = bench_peers.run(next(peer for peer in bench_peers.PEERS if peer.name == "plain"), tmp_path / "job.json")
    expected = [outcome == 1 for outcome in engines.Reference(work).rows(rows)]
    assert bench_peers.verdict(found, expected) is None
    assert len(found["answers"]) == 400 and True in expected and False in expected
    assert len(found["single"]["samples"]) == 5


def test_shared_peer_adapter_parses_statements():
    condition = {"StringEquals": {"k": "v"}, "Bool": {"b": ["true"]}}
    documents = [{"Statement": [{"Effect": "Deny", "NotAction": "s3:Get*", "Resource": ["a*", "b?"], "Condition": condition}]}]
    (one,) = policies.statements(documents)
    assert policies.meant(one, ["s3:GetObject", "s3:PutObject"]) == ["s3:PutObject"]
    assert one.conditions == [("StringEquals", "k", ["v"]), ("Bool", "b", ["true"])]
    assert policies.regex(one.resources) == "^(?:a.*|b.)$"
    assert not policies.is_unconditional(documents)


# -- targets ------------------------------------------------------------------------------------------------------------------

F, G = Figure("b", "w", "f"), Figure("b", "w", "g")


@pytest.mark.parametrize(
    ("target", "lines", "value", "words"),
    [
        # rates and times, in their units
        (Target("", "", F, "M/s", 9, True), [line()], 10, "met"),
        (Target("", "", F, "M/s", 10.5, True), [line()], 10, "NOT MET, within the spread"),
        (Target("", "", F, "M/s", 12, True), [line()], 10, "NOT MET"),
        (Target("", "", F, "ns", 120), [line()], 100, "met"),
        (Target("", "", F, "us", 0.05), [line()], 0.1, "NOT MET"),
        (Target("", "", F, "s", 3), [line(unit="s", samples=(2, 2.5, 3.5))], 2.5, "met, within the spread"),
        (Target("", "", F, "x", 100, True), [line(unit="x", samples=(150, 160, 170))], 160, "met"),
        # how many times as fast: the time of the other over ours; how many times the time: ours over that of the other
        (Target("", "", F, "x", 1.9, True, G), [line(samples=(50, 50, 50)), line("g")], 2, "met, within the spread"),
        (Target("", "", F, "x", 1.5, over=G), [line(samples=(200, 200, 200)), line("g", (100, 100, 100))], 2, "NOT MET"),
        # turn by turn: a slow minute that falls on both does not count
        (Target("", "", F, "x", 0.5, True, G), [line(samples=(100, 1000, 100)), line("g", (60, 600, 60))], 0.6, "met"),
        # what is not there is not measured
        (Target("", "", F, "ns", 120), [line("g")], None, "not measured"),
        (Target("", "", F, "x", 1.9, True, G), [line()], None, "not measured"),
    ],
)
def test_target_is_reached_by_the_median(target, lines, value, words):
    (verdict,) = targets.judge(records(*lines), [target])
    assert verdict.value == (None if value is None else pytest.approx(value))
    assert verdict.words == words


def test_target_without_repeats_uses_the_spread():
    old = {key: value for key, value in line().items() if key != "samples"}
    (verdict,) = targets.judge(records(old), [Target("", "", F, "ns", 95)])
    assert (verdict.value, verdict.low, verdict.high, verdict.words) == (100, 90, 110, "NOT MET, within the spread")
    (ratio,) = targets.judge(records(old, line("g", (200, 200))), [Target("", "", F, "x", 1.9, True, G)])
    assert ratio.value == pytest.approx(2)


def test_target_summary_counts_each_kind():
    three = [Target("", "", F, "ns", limit) for limit in (50, 200)] + [Target("", "", G, "ns", 1)]
    assert targets.summary(targets.judge(records(line()), three)) == "1 of 3 targets met, 1 not met, 1 not measured"


def test_targets_equal_the_project_goals():
    rates = {target.figure[1:3]: target.limit for target in targets.TARGETS if target.unit == "M/s"}
    assert rates["identity 2,000", "coded"] == 35 and rates["identity 50,000", "strings"] == 11
    assert len({(target.group, target.what) for target in targets.TARGETS}) == len(targets.TARGETS)
    for target in targets.TARGETS:
        assert (target.over is not None) <= (target.unit == "x")


# -- comparing ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("samples", "more", "ratio", "direction"),
    [
        ((104, 120, 130), {}, 1.2, ""),  # beyond the median, within the spread
        ((125, 130, 135), {}, 1.3, "slower"),
        ((50, 60, 70), {}, 0.6, "faster"),
        ((50, 60, 70), {"unit": "x", "better": "more"}, 0.6, "slower"),  # fewer times as fast
    ],
)
def test_comparison_reports_changes_with_disjoint_spreads(samples, more, ratio, direction):
    old, new = (records(line(samples=part) | more)["b"] for part in ((95, 100, 105), samples))
    ((change,), alone) = compare.changes(old, new)
    assert (change.ratio, change.direction, alone) == (pytest.approx(ratio), direction, [])


@pytest.mark.parametrize(("limit", "code"), [([], 0), (["--fail-above", "1.2"], 2), (["--fail-above", "1.4"], 0)])
def test_comparison_fails_above_the_limit(tmp_path, limit, code):
    for name, lines in (("old", [line(), line("gone")]), ("new", [line(samples=(130, 131, 132)), line("added")])):
        (tmp_path / name).write_text(json.dumps(records(*lines)["b"]))
    command = [sys.executable, BENCH / "compare.py", "old", "new", *limit]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == code
    assert [out.split()[-1] for out in done.stdout.splitlines()] == ["slower", "record", "record"]


# -- instruction counts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recorded", "counted", "is_good", "message"),
    [
        ({"a": 1000}, {"a": 1019}, True, "+1.90%"),
        ({"a": 1000}, {"a": 981}, True, "-1.90%"),
        ({"a": 1000}, {"a": 1021}, False, "MORE: FAILED"),
        ({"a": 1000}, {"a": 979}, False, "LESS: FAILED"),
        ({"a": 1000, "b": 1}, {"a": 1000}, False, "only recorded: FAILED"),
        ({"a": 1000}, {"a": 1000, "b": 1}, False, "only counted: FAILED"),
    ],
)
def test_gate_count_may_change_by_two_percent(recorded, counted, is_good, message):
    lines, found = gates.compare(recorded, counted)
    assert found is is_good
    assert message in "\n".join(lines)


def test_gate_counts_come_from_named_dumps(tmp_path):
    (tmp_path / "out.1").write_text("pid: 1\ndesc: Trigger: Client Request: batch, coded|200\n\nevents: Ir\nsummary: 5000\n")
    (tmp_path / "out.2").write_text("desc: Trigger: Program termination\nsummary: 7\n")
    assert gates.read_dumps(tmp_path) == {"batch, coded": 25_000}


def test_gate_without_counter_reports_it_and_passes(monkeypatch, capsys):
    monkeypatch.setattr(gates.sys, "argv", ["gates.py"])
    monkeypatch.setattr(gates.shutil, "which", lambda name: None)
    assert gates.main() == 0
    assert "valgrind is not here" in capsys.readouterr().out


def test_gate_counts_of_another_compiler_are_not_compared():
    record = json.loads(gates.RECORD.read_text())
    others = gates.elsewhere(record, {"compiler": "gcc 99", "python": record["python"]})
    assert others == [f"compiler `{record['compiler']}` here `gcc 99`"]


def test_gate_record_contains_all_benches():
    record = json.loads(gates.RECORD.read_text())
    assert len(record["instructions_per_thousand_requests"]) == 13
    assert {"compiler", "python", "machine"} <= set(record)


@pytest.mark.parametrize(
    ("grown", "is_good", "message"),
    [(2.19, True, "2.19"), (2.21, False, "2.21  FAILED"), (None, False, "-          FAILED")],
    ids=["within", "beyond", "not counted"],
)
def test_doubling_count_may_grow_by_factor_2_2(grown, is_good, message):
    counted = {
        f"{name} / {first << i}": round(1e9 * 2**i)
        for name, (first, _) in doublings.SHAPES.items()
        for i in range(doublings.DOUBLINGS)
    }
    assert doublings.compare(counted)[1]
    first = doublings.SHAPES["numbers"][0]
    counted[f"numbers / {first << 2}"] = grown and round(counted[f"numbers / {first << 1}"] * grown)
    lines, found = doublings.compare(counted)
    assert found is is_good
    assert message in "\n".join(lines)


def test_adversarial_shapes_of_smallest_size_are_denied():
    for name, (first, shape) in doublings.SHAPES.items():
        assert shape(first // 4)() is False, name


# -- the report ---------------------------------------------------------------------------------------------------------------


def test_report_page_equals_the_record():
    peer = {"version": "1.6", "says": "words", "expressed": 0.25}
    found = records(
        line(),
        line(unit="s", form="loading", samples=(1, 2, 3)),
        line(engine="vakt", **peer),
        {"peer": "x", "status": "not there"},
    )
    text = "\n".join(report.table(found["b"]))
    assert "P, 2 cores, Python 3, NumPy 2; commit c, 2026-11-25." in text
    assert "| w | fastiam | f | 100.0 (90.0 to 110.0) | 10,000,000 |" in text
    assert "| w | loading | 2 (1 to 3) | s |" in text
    assert "| w | vakt 1.6 | f |" in text and "- vakt: words (25% of the requests)" in text
    assert "- x: not there" in text


def test_charts_from_records_are_reproducible(tmp_path):
    pytest.importorskip("matplotlib", reason="the extra `bench` is not installed")
    import charts as pictures

    sizes = [line("coded", workload=f"identity {n}") for n in ("100", "2,000")]
    found = {"batch": {"lines": sizes}, "peers": {"lines": [line("batch"), line("single calls", engine="vakt")]}}
    for turn in ("one", "two"):
        assert pictures.draw(found, tmp_path / turn) == ["headlines", "principals", "peers"]
    one, two = ((tmp_path / turn / "peers.svg").read_text() for turn in ("one", "two"))
    assert one == two and "vakt, single calls" in one
