"""One peer in a process of its own: `python worker.py NAME JOB`, where a file `peer_NAME.py` beside this one has the adapter.

Standard library alone: it runs in the virtual environment of the peer. A job (JSON) holds identity policies by principal and
requests; the answer on the last line of the output holds what the peer said of the first of them, and its times. Whatever a
peer takes as its policies or as a request is made before the clock starts, and principals are looked up for it: the kindest
reading throughout.
"""

from __future__ import annotations

import gc
import importlib
import json
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any

TURNS = 5


def main() -> None:
    """Runs one job."""
    name, path = sys.argv[1:3]
    with open(path) as file:
        job = json.load(file)
    module = importlib.import_module(f"peer_{name}")
    began = time.perf_counter()
    peer = module.Peer(job)
    built = time.perf_counter() - began
    places = [i for i, row in enumerate(job["rows"]) if peer.takes(row[0])]
    asked = [peer.request(*job["rows"][i]) for i in places]
    gc.collect()
    gc.freeze()  # what was made for the bench is no work of the collector
    checked = [i for i in places if i < job["sample"]]
    answers = [bool(peer.decide(one)) for one in asked[: len(checked)]]
    found = {
        "version": version(module.PACKAGE) if module.PACKAGE else None,
        "build_seconds": built,
        "expressed": len(places) / len(job["rows"]),
        "checked": checked,
        "answers": answers,
        "single": timed(lambda part: [peer.decide(one) for one in part], asked, job["seconds"]),
    }
    if hasattr(peer, "batch"):
        batched = [bool(answer) for answer in peer.batch(asked[: len(checked)])]
        found["batch_agrees"] = batched == answers
        found["batch"] = timed(peer.batch, peer.arranged(asked), job["seconds"])
    print(json.dumps(found))


def timed(job: Callable[[Sequence[Any]], Any], asked: Sequence[Any], seconds: float) -> dict[str, Any]:
    """Nanoseconds a request, over as many different ones as a turn has time for; every turn takes the same."""
    n, taken = 64, 0.0
    while taken < seconds / 20 and n < len(asked):
        n = min(2 * n, len(asked))
        began = time.perf_counter()
        job(asked[:n])
        taken = time.perf_counter() - began
    n = max(1, min(len(asked), int(n * seconds / TURNS / max(taken, 1e-9))))
    samples = []
    for _ in range(TURNS):
        began = time.perf_counter_ns()
        job(asked[:n])
        samples.append((time.perf_counter_ns() - began) / n)
    return {"samples": samples, "requests": n}


if __name__ == "__main__":
    main()
