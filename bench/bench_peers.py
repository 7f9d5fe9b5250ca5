"""Others on the same requests: single calls, and batches where a peer has them; each in a process and environment of its own.

The work is `identity` with 2,000 roles. A peer answers the first 5,000 and is compared with the reference; one that is wrong has
no time. It gets policies in the form that suits it best, already sorted by principal, and requests made before the clock
starts (`peers/worker.py`). Policies that it cannot express are left out and reported. A peer that cannot be installed is reported
as missing. fastiam decides the same requests in the same minutes: one by one, and all of them as columns of text.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from engines import Fastiam, Reference, WrongAnswerError, check
from measure import Record, Timing, measure
from workloads import ROWS, Workload, acme, identity

from fastiam import Outcome

HERE = Path(__file__).resolve().parent
ENVIRONMENTS = HERE.parent / ".venv-peers"
N, SINGLES, SAMPLE = 2_000, 200_000, 5_000
SECONDS, TOO_LONG = 4.0, 120  # of a measurement; of a whole process


@dataclass(frozen=True)
class Peer:
    """`complete`: answers every request of the workload. `ours`: a yardstick, no product; runs in our environment."""

    name: str
    requirement: str | None
    complete: bool
    note: str

    @property
    def ours(self) -> bool:
        return self.requirement is None


NO_CONDITIONS = "no conditions: asked about principals without any"
PEERS = (
    Peer("reference", None, True, "our executable specification"),
    Peer("plain", None, True, "an evening of Python: compiled `re`, only what this workload has"),
    Peer("vakt", "vakt==1.6.0", True, "a guard for each principal; does not distinguish explicit and implicit denies"),
    Peer("pmapper", "principalmapper==1.1.5", True, "run as a black box; does not distinguish explicit and implicit denies"),
    Peer("cedarpy", "cedarpy==4.12.2", True, "policies translated, actions written out; a policy set for each principal"),
    Peer("regorus", "celine-regorus==0.9.1.post20260227075446", True, "policies as data of one Rego module"),
    Peer("moto", "moto==5.2.5", False, NO_CONDITIONS),
    Peer("pycasbin", "pycasbin==2.8.0", False, NO_CONDITIONS),
)


class CannotRunError(Exception):
    """A peer that is not there, or does not get through; the message says why."""


def environment(peer: Peer) -> Path:
    """The interpreter that has the peer. It is installed on first use, and kept.

    Raises
    ------
    CannotRunError: it cannot be installed; the message ends in the output of pip.
    """
    if peer.requirement is None:
        return Path(sys.executable)
    folder = ENVIRONMENTS / peer.name
    python, stamp = folder / "bin" / "python", folder / "has"
    if not stamp.exists() or stamp.read_text() != peer.requirement:
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", peer.requirement]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise CannotRunError(f"not installed: {last_line(done.stderr)}")
        stamp.write_text(peer.requirement)
    return python


def run(peer: Peer, job: Path) -> dict[str, Any]:
    """What the process of a peer found.

    Raises
    ------
    CannotRunError: it broke, or took too long.
    """
    command = [environment(peer), HERE / "peers" / "worker.py", peer.name, job]
    paths = os.pathsep.join([str(HERE), *sys.path]) if peer.ours else ""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TOO_LONG, env={**os.environ, "PYTHONPATH": paths})
    except subprocess.TimeoutExpired:
        raise CannotRunError(f"not done after {TOO_LONG} s") from None
    if done.returncode:
        raise CannotRunError(f"broke: {last_line(done.stderr)}")
    return json.loads(last_line(done.stdout))


def last_line(text: str) -> str:
    """The last line that says something."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def verdict(found: dict[str, Any], expected: list[bool]) -> str | None:
    """Why the times of a peer do not count; None where they do."""
    wrong = sum(expected[i] != answer for i, answer in zip(found["checked"], found["answers"], strict=True))
    if wrong:
        return f"wrong: {wrong} of {len(found['answers'])} answers differ from the reference"
    if not found["answers"]:
        return "can express none of it"
    return None if found.get("batch_agrees", True) else "wrong: its batch differs from its single calls"


def ours(record: Record, work: Workload, rows: list[Any], expected: list[bool]) -> dict[str, Timing]:
    """fastiam itself, checked as the others are."""
    engine, columns = Fastiam(work), work.columns("strings")
    check(work, columns, engine.batch(columns))
    is_allowed = engine.engine.is_allowed
    if [is_allowed(*row) for row in rows[: len(expected)]] != expected:
        raise WrongAnswerError("single calls are wrong: no time for them")

    def singles() -> None:
        for principal, action, resource, context in rows:
            is_allowed(principal, action, resource, context)

    found = {"single calls": measure(singles, len(rows)), "batch": measure(lambda: engine.batch(columns), len(columns))}
    for form, timing in found.items():
        record.add(work.name, "fastiam", form, timing, requests=len(rows) if form == "single calls" else len(columns))
    return found


def write_job(work: Workload, rows: list[Any], file: Path, *, seconds: float = SECONDS) -> None:
    """What a worker reads."""
    keys = sorted({key for *_, context in rows for key in context})
    job = {"policies": work.policies_of, "rows": rows, "actions": acme.ACTIONS, "keys": keys}
    file.write_text(json.dumps({**job, "sample": SAMPLE, "seconds": seconds}))


def ratios(record: Record, work: Workload, found: dict[str, dict[str, Timing]], fast: dict[str, Timing]) -> None:
    """How many times as fast as the peers that the targets name."""

    def over(name: str, peer: str, form: str) -> None:
        ratio = [theirs / fast[form].median for theirs in found[peer][form].samples]
        record.value(work.name, name, "x", ratio, better="more", peer=peer)

    whole = {peer.name for peer in PEERS if peer.complete and not peer.ours and found.get(peer.name)}
    if whole:
        fastest = min(whole, key=lambda name: found[name]["single calls"].median)
        over("single calls over the fastest complete peer", fastest, "single calls")
    if "cedarpy" in whole:
        over("single calls over cedarpy", "cedarpy", "single calls")
        over("batch over the batch of cedarpy", "cedarpy", "batch")


def ask(record: Record, work: Workload, peer: Peer, job: Path, expected: list[bool]) -> dict[str, Timing]:
    """The times of one peer by form; none where it cannot run or is wrong, which is noted."""
    try:
        result = run(peer, job)
        why = verdict(result, expected)
    except CannotRunError as error:
        why = str(error)
    if why:
        record.note(peer=peer.name, status=why)
        print(f"{peer.name:20s} {why}", flush=True)
        return {}
    facts = {"version": result["version"], "complete": peer.complete, "ours": peer.ours, "says": peer.note}
    facts |= {"expressed": round(result["expressed"], 3), "build_seconds": round(result["build_seconds"], 2)}
    found = {}
    for part, form in (("single", "single calls"), ("batch", "batch")):
        if part in result:
            found[form] = Timing.of(result[part]["samples"])
            record.add(work.name, peer.name, form, found[form], requests=result[part]["requests"], **facts)
    return found


def main() -> None:
    """Runs the bench and writes its record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", default=[peer.name for peer in PEERS])
    parser.add_argument("--rows", type=int, default=ROWS)
    options = parser.parse_args()
    record = Record("peers")
    work = identity(N, rows=options.rows)
    rows = work.columns("strings").rows(np.arange(min(SINGLES, options.rows)))
    expected = [outcome == Outcome.ALLOW for outcome in Reference(work).rows(rows[:SAMPLE])]
    fast = ours(record, work, rows, expected)
    with tempfile.TemporaryDirectory() as folder:
        job = Path(folder) / "job.json"
        write_job(work, rows, job)
        found = {peer.name: ask(record, work, peer, job, expected) for peer in PEERS if peer.name in options.only}
    ratios(record, work, found, fast)
    record.write()


if __name__ == "__main__":
    main()
