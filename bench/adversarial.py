"""Memory under ten million requests that never come again: made-up actions, principals and ARNs through one engine.

Prints resident memory and the engine's own count of bytes as the requests go by; every answer is checked. The cache has its
default size, or that of `--cache-bytes`, so that memory rises until it is full and stays level from then on.
"""

from __future__ import annotations

import argparse
import resource
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import fastiam
from fastiam import Engine, Outcome, Session
from fastiam.model.profile import CACHE_BYTES

ACCOUNT = "111111111111"
APP = f"arn:aws:iam::{ACCOUNT}:role/app"
NOW = datetime(2030, 1, 1, tzinfo=UTC)
STEP = 500_000
KINDS = (  # prefix of the action, and the outcome
    ("s3:GetObject", Outcome.ALLOW),
    ("s3:GetSecret", Outcome.EXPLICIT_DENY),
    ("s3:Put", Outcome.IMPLICIT_DENY),
    ("made:Up", Outcome.IMPLICIT_DENY),
)


def document(*statements: dict[str, object]) -> dict[str, object]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def engine_with(cache_bytes: int) -> Engine:
    directory = fastiam.Directory(quotas=None)
    work = document(
        {"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"},
        {"Effect": "Deny", "Action": "s3:GetSecret*", "Resource": "*"},
    )
    directory.add_principal(APP, identity_policies=[("Work", work)])
    directory.add_resource("arn:aws:s3:::b", account=ACCOUNT)
    return Engine.from_snapshot(directory.snapshot(), cache_bytes=cache_bytes)


def batch(engine: Engine, first: int, n: int) -> None:
    """Rows whose principal, action and resource are new."""
    numbers = pa.array(np.arange(first, first + n)).cast(pa.string())
    kinds = np.arange(n) % len(KINDS)
    actions = pc.binary_join_element_wise(pa.array([name for name, _ in KINDS]).take(pa.array(kinds)), numbers, "")
    got = engine.decide_many(
        pc.binary_join_element_wise(pa.scalar(f"arn:aws:sts::{ACCOUNT}:assumed-role/app/s"), numbers, ""),
        actions,
        pc.binary_join_element_wise(pa.scalar("arn:aws:s3:::b/"), numbers, ""),
        now=NOW,
    )
    expected = np.array([outcome for _, outcome in KINDS], np.uint8)[kinds]
    assert np.array_equal(got.outcome, expected), "a wrong answer"


def sessions(engine: Engine, first: int, n: int) -> None:
    """Sessions with policies of their own, each asked about once."""
    for i in range(first, first + n):
        narrow = document({"Effect": "Allow", "Action": "s3:*", "Resource": f"arn:aws:s3:::b/{i}/*"})
        caller = Session(f"arn:aws:sts::{ACCOUNT}:assumed-role/app/s{i}", kind="ROLE", issuer=APP, policies=[narrow])
        assert engine.is_allowed(caller, "s3:GetObject", f"arn:aws:s3:::b/{i}/x", now=NOW), "a wrong answer"


def resident() -> float:
    """Megabytes that the process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--cache-bytes", type=int, default=CACHE_BYTES)
    parser.add_argument("--sessions", action="store_true", help="sessions with policies in place of made-up names")
    options = parser.parse_args()
    engine, ask = engine_with(options.cache_bytes), sessions if options.sessions else batch
    step = min(STEP // 25 if options.sessions else STEP, options.rows)
    print(f"{'requests':>12} {'resident MB':>12} {'tables MB':>10} {'drops':>6} {'ns each':>8}")
    for first in range(0, options.rows, step):
        began = time.perf_counter_ns()
        ask(engine, first, step)
        each = (time.perf_counter_ns() - began) / step
        stats = engine.stats()
        print(
            f"{first + step:>12,} {resident():>12.0f} {stats['bytes'] / 1e6:>10.0f} {stats['generation']:>6} {each:>8.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
