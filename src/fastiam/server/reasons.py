"""Decisions and other results for a client (2.2, G166).

INVARIANT: no answer has the path of a file of the server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastiam.model.decision import Decision
from fastiam.model.key_registry import spelled
from fastiam.model.result import Json, Result

if TYPE_CHECKING:
    from fastiam.analysis.access.diff_result import Diff


def reason_members(decision: Decision, *, is_full: bool) -> dict[str, Any]:
    """The reason of a decision as members of JSON. Members without a value are left out.

    Parameters
    ----------
    is_full
        whether the policy and its statement are named; else there are only `outcome` and `layer`.
    """
    members: dict[str, Any] = {"outcome": decision.outcome.name, "layer": str(decision.layer)}
    if is_full:
        statement = decision.statement
        if statement is not None:
            members["policy"] = statement.arn or statement.policy
            if statement.sid is not None:
                members["sid"] = statement.sid
            members["statement"] = statement.index
        if decision.depends_on:
            members["depends_on"] = [spelled(key) for key in decision.depends_on]
        if decision.assumed_owner:
            members["assumed_owner"] = True
        if decision.indeterminate:
            members["indeterminate"] = True
    return members


def client_form(result: Result | Diff) -> dict[str, Any]:
    """The JSON form of a result, in which the `file` of each statement is null; line, column and path stay."""
    return {name: _without_files(value) for name, value in result.to_dict().items()}


def _without_files(value: Json) -> Json:
    if isinstance(value, list):
        return [_without_files(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("file") is not None and "policy" in value:  # the JSON form of `StatementRef`
        return value | {"file": None}
    return {name: _without_files(item) for name, item in value.items()}
