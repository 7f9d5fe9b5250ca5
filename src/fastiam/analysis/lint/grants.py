"""Grants of identity policies: missing dependent actions (L8), grants of privilege (L9) and of wildcards (L10) on all resources.

The privileges are the IAM actions by which a principal can give itself, or take over, the permissions of others. A statement with
a condition on the resource or on the call counts as restricted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from fastiam.analysis.lint.matched_actions import Actions, is_pattern
from fastiam.analysis.lint.report import Entry, Report, WrittenStatement, shown
from fastiam.aws_data.catalog import Action, pass_role_actions
from fastiam.errors import Severity
from fastiam.model.key_registry import fold
from fastiam.model.policy import Effect, Statement
from fastiam.policy.findings import quote
from fastiam.policy.wildcards import matches_everything

_PRIVILEGES = frozenset(
    f"iam:{name}"
    for name in (
        "AddUserToGroup AttachGroupPolicy AttachRolePolicy AttachUserPolicy CreateAccessKey CreateLoginProfile"
        " CreatePolicyVersion CreateServiceSpecificCredential DeleteRolePermissionsBoundary DeleteUserPermissionsBoundary"
        " PassRole PutGroupPolicy PutRolePermissionsBoundary PutRolePolicy PutUserPermissionsBoundary PutUserPolicy"
        " ResetServiceSpecificCredential SetDefaultPolicyVersion UpdateAssumeRolePolicy UpdateLoginProfile"
    ).split()
) | {"sts:AssumeRole"}
_ALL_OF_IAM = re.compile(r"arn:[^:]*:iam::[^:]*:(?:\*+|(?:user|group|role|policy)/\*+)", re.IGNORECASE)
_CIRCUMSTANCES = frozenset(  # keys of conditions that restrict neither the resource nor the call
    fold(name)
    for name in (
        "aws:MultiFactorAuthPresent aws:MultiFactorAuthAge aws:SecureTransport aws:SourceIp aws:VpcSourceIp aws:SourceVpc"
        " aws:SourceVpce aws:RequestedRegion aws:UserAgent aws:Referer aws:CurrentTime aws:EpochTime aws:TokenIssueTime"
    ).split()
)


def check_grants(written: WrittenStatement, actions: Actions, report: Report) -> None:
    """Report what an Allow statement of an identity policy grants on all resources (L9, L10).

    `actions` are those of its `Action` or `NotAction`.
    """
    statement = written.statement
    if statement.effect is not Effect.ALLOW or statement.undetermined or is_restricted(statement):
        return
    everywhere = _is_everything(statement)
    path = (*written.path, "NotAction" if statement.not_action else "Action")
    if everywhere and not statement.not_action and any(found.is_all for _, found in actions):
        report.add("L9", path, "the statement allows every action on every resource")
        return
    privileges = _privileges(statement, actions) if everywhere or _covers_iam(statement) else []
    if privileges:
        report.add("L9", path, f"the statement allows {shown(privileges)} on all resources: this can give more permissions")
    if everywhere and not statement.not_action:
        _check_wildcards([item for item in actions if is_pattern(item[0].text)], report)


def is_restricted(statement: Statement) -> bool:
    """Whether a condition restricts the resource or the call."""
    return any(fold(entry.key) not in _CIRCUMSTANCES for entry in statement.conditions)


def _is_everything(statement: Statement) -> bool:
    return not statement.not_resource and any(map(matches_everything, statement.resources or ()))


def _covers_iam(statement: Statement) -> bool:
    return not statement.not_resource and any(map(_ALL_OF_IAM.fullmatch, statement.resources or ()))


def _privileges(statement: Statement, actions: Actions) -> list[str]:
    named = frozenset[str]().union(*(_PRIVILEGES if found.is_all else found.names & _PRIVILEGES for _, found in actions))
    return sorted(_PRIVILEGES - named if statement.not_action else named)


def _allows(statement: Statement, actions: Actions, action: str) -> bool:
    return statement.not_action ^ any(found.allows(action) for _, found in actions)


def _check_wildcards(actions: Actions, report: Report) -> None:
    """Report the patterns of a statement, those that manage permissions first."""
    managing = [(entry, names) for entry, found in actions if (names := found.of_level("Permissions management"))]
    writing = [(entry, names) for entry, found in actions if (names := found.of_level("Write"))]
    for chosen, what, severity in ((managing, "manage permissions", Severity.WARN), (writing, "write", Severity.NOTE)):
        if chosen:
            names = [name for _, of_entry in chosen for name in of_entry]
            verb = "includes" if len(chosen) == 1 else "include"
            patterns = shown([entry.text for entry, _ in chosen])
            message = f"{patterns} on all resources {verb} actions that {what}: {shown(names)}"
            report.add("L10", chosen[0][0].path, message, "name the actions", severity=severity)
            return


# -- dependent actions (L8) ---------------------------------------------------------------------------------------------


def check_dependent_actions(statements: Iterable[tuple[WrittenStatement, Actions]], report: Report) -> None:
    """Report actions, by name, that depend on others which no Allow statement of the document has (L8)."""
    checked = [item for item in statements if item[0].statement.effect is Effect.ALLOW]
    allowed: dict[str, bool] = {}
    for item, actions in checked:
        missing: dict[str, list[tuple[Entry, str]]] = {}
        for entry, found in () if item.statement.not_action else actions:
            for action in () if is_pattern(entry.text) else found.actions:
                for needed in _needed(action):
                    missing.setdefault(needed, []).append((entry, action.name))
        for needed, wanting in missing.items():
            if needed not in allowed:
                allowed[needed] = any(_allows(other.statement, found, needed) for other, found in checked)
            if not allowed[needed]:
                names = list(dict.fromkeys(name for _, name in wanting))
                verb = "depends" if len(names) == 1 else "depend"
                message = f"{shown(names)} {verb} on {quote(needed)}, which the document does not allow"
                hint = "allow it for the roles that the calls pass" if needed == "iam:PassRole" else ""
                report.add("L8", wanting[0][0].path, message, hint)


def _needed(action: Action) -> tuple[str, ...]:
    return action.dependent_actions or (("iam:PassRole",) if action.name in pass_role_actions() else ())
