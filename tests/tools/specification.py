"""Decisions of the specification evaluator without their explanations, for tests that compare decisions.

An explanation tests each statement twice more: for the names that it reads, and for near misses. Neither changes the decision,
and both take half of the time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from fastiam import Engine
from fastiam.model.decision import Decision
from fastiam.spec import decide, evaluate, trace
from fastiam.spec.names_read import NamesRead
from fastiam.spec.statement import EvaluationContext, StatementResult


class _Thread(threading.local):
    """What calls of one thread explain."""

    explains = True


_thread = _Thread()


@contextmanager
def decisions_only() -> Iterator[None]:
    """In this thread, `names_read` and `near_misses` find nothing."""
    before, _thread.explains = _thread.explains, False
    try:
        yield
    finally:
        _thread.explains = before


def decision(*profiles_and_request: Any, **more: Any) -> Decision:
    """The decision of `fastiam.spec.decide`."""
    with decisions_only():
        return decide(*profiles_and_request, **more).decision


def explained_decision(engine: Engine, *request: Any, **more: Any) -> Decision:
    """The decision of `Engine.explain`, which asks the specification evaluator."""
    with decisions_only():
        return engine.explain(*request, **more).decision


def _where_explained(explain: Callable[[Iterable[StatementResult], EvaluationContext], Any], nothing: Any) -> Any:
    return lambda results, context: explain(results, context) if _thread.explains else nothing


evaluate.names_read = _where_explained(evaluate.names_read, NamesRead((), ()))
trace.near_misses = _where_explained(trace.near_misses, ())
