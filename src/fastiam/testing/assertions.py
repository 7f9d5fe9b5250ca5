"""Assertions about decisions, for tests in Python (T37). They take one request: a loop in a test gives better names."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING

from fastiam.model.decision import Decision
from fastiam.model.request import Context
from fastiam.model.session import Session

if TYPE_CHECKING:
    from fastiam.analysis.invariants.model import Invariant
    from fastiam.api.engine import Engine


def assert_allowed(
    engine: Engine,
    principal: str | Session,
    action: str,
    resource: str,
    context: Context | None = None,
    *,
    layer: str | None = None,
    sid: str | None = None,
    now: datetime | None = None,
    resource_account: str | None = None,
) -> None:
    """Fail unless a request is allowed.

    Parameters
    ----------
    engine
        an `Engine`, or a `LiveEngine`.
    principal, action, resource, context, now, resource_account
        as in `Engine.decide`.
    layer
        the layer that must determine the decision, as `Layer` spells it.
    sid
        the statement that must determine it: its `Sid`, or `#` and its index where it has none.

    Raises
    ------
    AssertionError
        the decision, or what determines it, is another one; the text is the explanation.
    RequestValueError
        the request cannot be decided.
    """
    _check(engine, (principal, action, resource, context), ("ALLOW",), layer, sid, now, resource_account)


def assert_denied(
    engine: Engine,
    principal: str | Session,
    action: str,
    resource: str,
    context: Context | None = None,
    *,
    now: datetime | None = None,
    resource_account: str | None = None,
) -> None:
    """Fail unless a request is denied, by a statement or because nothing allows it. Parameters as in `assert_allowed`."""
    _check(engine, (principal, action, resource, context), ("IMPLICIT_DENY", "EXPLICIT_DENY"), None, None, now, resource_account)


def assert_explicitly_denied(
    engine: Engine,
    principal: str | Session,
    action: str,
    resource: str,
    context: Context | None = None,
    *,
    layer: str | None = None,
    sid: str | None = None,
    now: datetime | None = None,
    resource_account: str | None = None,
) -> None:
    """Fail unless a statement denies a request. Parameters and errors as in `assert_allowed`."""
    _check(engine, (principal, action, resource, context), ("EXPLICIT_DENY",), layer, sid, now, resource_account)


def assert_depends(
    engine: Engine,
    principal: str | Session,
    action: str,
    resource: str,
    context: Context | None = None,
    *,
    unknown: Collection[str] = ("*",),
    on: Collection[str] | None = None,
    now: datetime | None = None,
    resource_account: str | None = None,
) -> None:
    """Fail unless a decision depends on unknown keys.

    Parameters
    ----------
    unknown
        the unknown keys, as in `Engine.decide`; by default all that are not given.
    on
        the keys that it must depend on, and no others.
    engine, principal, action, resource, context, now, resource_account
        as in `assert_allowed`, with its errors.
    """
    decision = _check(engine, (principal, action, resource, context), ("DEPENDS",), None, None, now, resource_account, unknown)
    if on is not None and {key.lower() for key in on} != {key.lower() for key in decision.depends_on}:
        raise AssertionError(
            f"expected a decision that depends on {', '.join(sorted(on))}, not on {', '.join(decision.depends_on)}"
        )


def assert_invariant(
    engine: Engine, invariant: Invariant, *, limit: int = 300_000, timeout: float | None = 60.0, strict: bool = False
) -> None:
    """Fail unless an invariant is proved.

    Parameters
    ----------
    engine
        an `Engine`; of a `LiveEngine` pass `live.engine`.
    limit, timeout, strict
        as in `prove_invariant`.

    Raises
    ------
    AssertionError
        it fails, with the request that decides it, or it is undecided, with the reason.
    RequestValueError, PolicyError
        as in `prove_invariant`.
    """
    from fastiam.analysis.invariants.prove_invariant import prove_invariant

    found = prove_invariant(engine, invariant, limit=limit, timeout=timeout, strict=strict)
    if found.holds:
        return
    about = f"`{invariant.name}` {found.result.value}"
    if found.explanation is not None:
        about += f": {found.request}" + (f" ({found.note})" if found.note else "")
        raise AssertionError(f"{about}\n\n{found.explanation}")
    raise AssertionError(f"{about}: {found.reason or found.vacuous or 'no request of the scope is allowed'}")


def _check(
    engine: Engine,
    request: tuple[str | Session, str, str, Context | None],
    outcomes: Collection[str],
    layer: str | None,
    sid: str | None,
    now: datetime | None,
    resource_account: str | None,
    unknown: Collection[str] = (),
) -> Decision:
    decision = engine.decide(*request, unknown=unknown, resource_account=resource_account, now=now)
    statement = decision.statement
    actual_sid = None if statement is None else statement.sid or f"#{statement.index}"
    wrong = [
        f"{name} is {actual}, not {wanted}"
        for name, wanted, actual in (("layer", layer, str(decision.layer)), ("sid", sid, actual_sid))
        if wanted is not None and wanted != actual
    ]
    if decision.outcome.name in outcomes and not wrong:
        return decision
    explanation = engine.explain(*request, unknown=unknown, resource_account=resource_account, now=now)
    expected = " or ".join(outcomes)
    raise AssertionError("\n".join([f"expected {expected}, got {decision.outcome.name}", *wrong, "", str(explanation)]))
