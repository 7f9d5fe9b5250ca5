"""Sessions: how many are issued and verified a second, decisions a second over a column of them, and from an edit to its engine.

The column stands for 10,000 sessions of 2,000 roles, a million different requests. Their answers are first compared with
those of the roles, which are timed beside them.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
import pyarrow as pa
from engines import WrongAnswerError
from measure import Record, Timing, measure
from workloads import Workload, identity

from fastiam.sts import STS, Credentials, Keyring

N = 10_000
EDITS = 30


def opened(work: Workload) -> tuple[STS, str]:
    """STS over the directory of a workload, and a user whom all its roles trust."""
    first = next(iter(work.policies_of))
    user = f"arn:aws:iam::{first.split(':')[4]}:user/bench"
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:*", "Resource": "*"}]}
    work.directory.add_principal(user, identity_policies=[everything])
    trust = {"Effect": "Allow", "Principal": {"AWS": user}, "Action": "sts:*"}
    with work.directory.transaction():
        for role in work.policies_of:
            work.directory.set_trust_policy(role, {"Version": "2012-10-17", "Statement": [trust]})
    return STS(work.directory, Keyring.generate()), user


def tokens(record: Record, work: Workload, sts: STS, user: str) -> list[Credentials]:
    """Issue and verify; a verification is cold where the token was not met before."""
    roles = sorted(work.policies_of)
    found: list[Credentials] = []

    def issue() -> None:
        found[:] = [sts.assume_role(user, roles[i % len(roles)], f"s{i}").credentials for i in range(N)]

    record.add(work.name, "fastiam", "assume_role", measure(issue, N, repeats=3))
    # PERF: a cold verification is one through a fresh cache, so each repeat has one of its own
    cold = []
    for _ in range(3):
        fresh = STS(work.directory, sts._state.keyring)
        fresh.authenticate(found[0])
        began = time.perf_counter_ns()
        for credentials in found[1:]:
            fresh.authenticate(credentials)
        cold.append((time.perf_counter_ns() - began) / (N - 1))
    record.add(work.name, "fastiam", "verify, first time", Timing(statistics.median(cold), min(cold), max(cold)))

    def verify() -> None:
        for credentials in found:
            sts.authenticate(credentials)

    record.add(work.name, "fastiam", "verify, again", measure(verify, N, repeats=3))
    return found


def column(record: Record, work: Workload, sts: STS, made: list[Credentials]) -> None:
    """Decisions over a column of sessions, beside those over the column of their roles."""
    engine, columns = sts.engine, work.columns("coded")
    sessions = {f"s{i}": sts.authenticate(credentials).principal for i, credentials in enumerate(made)}
    place = {role: i for i, role in enumerate(sorted(work.policies_of))}
    roles = columns.principals.to_pylist()
    turns = np.random.default_rng(7).integers(0, N // len(place), len(roles))
    codes = np.array([place[role] for role in roles]) + turns * len(place)
    names = pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), pa.array(list(sessions)))
    rest = (columns.actions, columns.resources, columns.context)

    began = time.perf_counter_ns()
    answers = engine.decide_many(names, *rest, sessions=sessions).outcome
    first = time.perf_counter_ns() - began
    if not np.array_equal(answers, engine.decide_many(columns.principals, *rest).outcome):
        raise WrongAnswerError("sessions do not decide as their roles: no time for them")
    record.add(work.name, "fastiam", "column of sessions, met first", Timing(*[first / len(roles)] * 3))
    timing = measure(lambda: engine.decide_many(names, *rest, sessions=sessions), len(roles))
    record.add(work.name, "fastiam", f"column of {N:,} sessions", timing)
    beside = measure(lambda: engine.decide_many(columns.principals, *rest), len(roles))
    record.add(work.name, "fastiam", f"column of {len(place):,} roles", beside)
    record.ratio("a column of sessions to one of roles", timing.median / beside.median, 2.0)


def edits(record: Record, work: Workload, sts: STS) -> None:
    """From the write of one policy to the engine that knows of it."""
    statement = {"Effect": "Deny", "Action": "s3:Made", "Resource": "*"}
    times = []
    sts.engine  # noqa: B018  (compiled before the first edit)
    for role in sorted(work.policies_of)[:EDITS]:
        began = time.perf_counter_ns()
        work.directory.put_inline_policy(role, "new", {"Version": "2012-10-17", "Statement": statement})
        sts.engine  # noqa: B018
        times.append(time.perf_counter_ns() - began)
    record.add(work.name, "fastiam", "an edit to its engine", Timing(statistics.median(times), min(times), max(times)))


def main() -> None:
    """Runs the bench and writes its record."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    record = Record("sessions")
    small = identity(2_000)
    sts, user = opened(small)
    column(record, small, sts, tokens(record, small, sts, user))
    large = identity(50_000, rows=1_000)
    edits(record, large, opened(large)[0])
    record.write()


if __name__ == "__main__":
    main()
