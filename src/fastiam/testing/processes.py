"""Proves the invariants of a file in several processes (`--jobs`): each child has the engine, and sends back results."""

from __future__ import annotations

import multiprocessing
from collections.abc import Generator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from fastiam.errors import Hint, SourceError
from fastiam.testing.invariants import InvariantProver, InvariantTest
from fastiam.testing.report import ExampleResult

_Tests = Sequence[tuple[str, InvariantTest]]  # with their ids
_work: tuple[InvariantProver, _Tests] | None = None  # what children take over


def results_of(prover: InvariantProver, tests: _Tests, jobs: int) -> Generator[ExampleResult, None, None]:
    """Yield the results of invariants in their order. Systems that cannot fork prove one by one.

    Raises
    ------
    SourceError
        an invariant cannot be read, or a process was killed.
    """
    global _work
    jobs = min(jobs, len(tests))
    if jobs < 2 or "fork" not in multiprocessing.get_all_start_methods():
        yield from (prover.result(id_, test) for id_, test in tests)
        return
    _work = prover, tests
    pool = ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("fork"))
    try:
        for result, warnings in pool.map(_prove, range(len(tests))):
            prover.warnings += warnings
            yield result
    except BrokenProcessPool:
        message = "a process that proves invariants was killed, perhaps because there is no memory left"
        raise SourceError(
            message, source=tests[0][1].at.source.name, hint=Hint("use fewer `jobs`", "use fewer `--jobs`")
        ) from None
    finally:
        _work = None
        pool.shutdown(cancel_futures=True)


def _prove(at: int) -> tuple[ExampleResult, list[str]]:
    """Prove one of the tests in a child. Return its result and the warnings that it adds."""
    assert _work is not None
    prover, tests = _work
    n_before = len(prover.warnings)
    result = prover.result(*tests[at])
    return result, prover.warnings[n_before:]
