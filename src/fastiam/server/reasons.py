"""The reason of a decision as members of JSON (2.2). Members without a value are left out."""

from __future__ import annotations

from typing import Any

from fastiam.model.decision import Decision


def reason_members(decision: Decision, *, is_full: bool) -> dict[str, Any]:
    """The members of a decision.

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
            members["depends_on"] = decision.depends_on
        if decision.assumed_owner:
            members["assumed_owner"] = True
        if decision.indeterminate:
            members["indeterminate"] = True
    return members
