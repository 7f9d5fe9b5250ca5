"""Questions to a whole directory: who can, over 10,000 roles with all layers, and what a change flips in a million requests.

The answers are checked against deciding one by one before their time counts. `open` asks with every key unknown, `given` with the
keys that the policies read. The first question about an action builds its rows and is timed by itself.
"""

from __future__ import annotations

import time

import numpy as np
from measure import Record, measure
from workloads import layered

import fastiam

RESOURCE = "arn:aws:s3:::acme-team1-prod/x"
GIVEN = {"aws:SecureTransport": True, "aws:RequestedRegion": "eu-west-1"}
NO_PUT = {"Version": "2012-10-17", "Statement": {"Sid": "NoPut", "Effect": "Deny", "Action": "s3:Put*", "Resource": "*"}}


def who_can(record: Record) -> None:
    """Milliseconds for all principals that can."""
    n = 10_000
    work = layered(n, rows=1_000)
    engine = work.directory.compile()
    names = [name for name, _ in work.directory.snapshot().names()]
    engine.who_can("s3:PutObject", RESOURCE, unknown=["*"])  # reads the column of names
    for form, context in (("open", {}), ("given", GIVEN)):
        began = time.perf_counter_ns()
        found = engine.who_can("s3:GetObject", RESOURCE, context, unknown=["*"])
        first = time.perf_counter_ns() - began
        can = {caller.principal: caller.outcome for caller in found}
        for name in names[:: len(names) // 200]:
            outcome = engine.explain(name, "s3:GetObject", RESOURCE, context, unknown=["*"]).decision.outcome
            assert can.get(name) == (outcome if outcome in (fastiam.Outcome.ALLOW, fastiam.Outcome.DEPENDS) else None), name
        timing = measure(lambda context=context: engine.who_can("s3:GetObject", RESOURCE, context, unknown=["*"]), len(names))
        whole = [taken * len(names) / 1e6 for taken in timing.samples]
        record.value(f"who_can {n:,}", form, "ms", whole, principals=len(names), first_ms=round(first / 1e6, 1))


def diff(record: Record) -> None:
    """Seconds for what a Deny for every tenth role flips."""
    work = layered(2_000)
    columns = work.columns("coded")
    rows = columns.principals, columns.actions, columns.resources, columns.context
    old = work.directory.compile()
    roles = [name for name, kind in work.directory.snapshot().names() if kind.value == "ROLE"]
    for role in roles[::10]:
        work.directory.put_inline_policy(role, "no-put", NO_PUT)
    new = old.updated(work.directory)
    found = fastiam.diff(old, new, *rows, sessions=columns.sessions)
    before, after = (engine.decide_many(*rows, sessions=columns.sessions).allowed for engine in (old, new))
    flips = np.flatnonzero(before != after)
    assert np.array_equal(found.rows, flips) and len(flips)
    timing = measure(lambda: fastiam.diff(old, new, *rows, sessions=columns.sessions), 1, repeats=5)
    record.value("diff layered 2,000", "coded", "s", [taken / 1e9 for taken in timing.samples], rows=len(columns))
    began = time.perf_counter()
    cells = fastiam.diff(old, new)
    print(f"{'':10}without requests {time.perf_counter() - began:.2f} s: {cells!r}")


def main() -> None:
    """Runs both."""
    record = Record("questions")
    who_can(record)
    diff(record)
    record.write()


if __name__ == "__main__":
    main()
