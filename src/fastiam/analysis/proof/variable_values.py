"""Values for policy variables, so that a candidate that depends on them becomes a request (H56)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from fastiam.analysis.proof.candidate_requests import ACCOUNT, NAME
from fastiam.analysis.proof.key_values import CLOCK, KeyValue, Known, after_start, unresolved_variables
from fastiam.analysis.proof.search import Candidate
from fastiam.analysis.proof.statement_formulas import BoundStatement
from fastiam.model.key_registry import key_info, spelled
from fastiam.model.request import ContextValue

_USER_NAME = "aws:username"
_OF_PROBE = {  # keys that follow from the principal and the resource
    _USER_NAME: NAME,
    "aws:principalaccount": ACCOUNT,
    "aws:resourceaccount": ACCOUNT,
    "aws:principalarn": f"arn:aws:iam::{ACCOUNT}:user/{NAME}",
    "aws:principaltype": "User",
}


def variable_names(statements: Iterable[BoundStatement]) -> list[str]:
    """Return the folded names of the variables whose values are not known."""
    found: dict[str, None] = {}
    for one in statements:
        known = {name for name, _ in one.known}
        names = [name for pattern in one.resource_element().patterns for name in pattern.variable_names()]
        for entry in one.statement.conditions:
            names += unresolved_variables(entry, one.policy.variables)
        found |= dict.fromkeys(name for name in names if name and name not in known and name not in CLOCK)
    return list(found)


def assignments(names: Sequence[str]) -> Iterator[Known]:
    """Yield values for variables: those of a user, one value for all, those of a role session, and none."""
    if not names:
        return
    distinct = [_value(name, _OF_PROBE.get(name, f"{NAME}{number}")) for number, name in enumerate(names)]
    yield tuple(distinct)
    yield tuple(_value(name, _OF_PROBE.get(name, NAME)) for name in names)
    of_role = {_USER_NAME: None, "aws:principalarn": f"arn:aws:iam::{ACCOUNT}:role/{NAME}", "aws:principaltype": "AssumedRole"}
    yield tuple((name, _text_value(of_role[name]) if name in of_role else value) for name, value in distinct)
    yield tuple((name, None) for name in names)


def _text_value(text: str | None) -> ContextValue | None:
    return None if text is None else ContextValue((text,))


def _value(name: str, text: str) -> tuple[str, ContextValue | None]:
    info = key_info(name)
    return name, None if info is not None and info.multi else ContextValue((text,))  # VR6: a list never resolves


def bound(statements: Iterable[BoundStatement], known: Known) -> list[BoundStatement]:
    """Return statements with values for their variables."""
    return [_bound(one, known) for one in statements]


def _bound(one: BoundStatement, known: Known) -> BoundStatement:
    starts = dict(one.starts)
    values = tuple((name, value and after_start(starts.pop(name, ""), value)) for name, value in known)
    return replace(one, known=(*one.known, *values), starts=tuple(starts.items()))


def completed(candidate: Candidate, known: Known) -> Candidate:
    """Return a candidate with the values of variables."""
    values = {spelled(name): KeyValue(value, ()) for name, value in known if value is not None}
    return replace(candidate, values={**values, **candidate.values})
