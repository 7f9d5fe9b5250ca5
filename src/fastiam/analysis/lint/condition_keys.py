"""Condition keys over AWS's data: keys that actions do not have (L4, L5), and operators of another type (L7)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from fastiam.analysis.lint.matched_actions import ActionIndex, Actions, ActionSet, is_pattern, nearest_name
from fastiam.analysis.lint.report import Report, WrittenStatement, shown
from fastiam.aws_data.catalog import Service
from fastiam.model.key_registry import KeyInfo, SetBy, fold, key_info, set_by
from fastiam.model.policy import ConditionEntry
from fastiam.model.source_map import Path
from fastiam.policy.conditions.operators import OPERATORS
from fastiam.policy.findings import quote
from fastiam.policy.variables import START

_PLACEHOLDER = re.compile(r"\$\{[^}]*\}|<[^>]*>|(?<=/)$")  # a variable part of a key, also after a final slash
_TAGS = ("aws:resourcetag/", "aws:requesttag/", "aws:tagkeys")  # global keys that only some actions support
_TYPES = {  # the types of keys that the operators of a family compare in a meaningful way
    "string": frozenset(("String", "ARN")),
    "arn": frozenset(("ARN",)),
    "numeric": frozenset(("Numeric",)),
    "date": frozenset(("Date",)),
    "bool": frozenset(("Bool",)),
    "ip": frozenset(("IPAddress",)),
}
_OPERATORS = {"String": "String", "ARN": "Arn", "Numeric": "Numeric", "Date": "Date", "Bool": "Bool", "IPAddress": "IpAddress"}
_VALUES = {  # the values of keys that AWS lists completely in the IAM User Guide and the S3 User Guide
    "aws:principaltype": frozenset(("Account", "User", "FederatedUser", "AssumedRole", "Anonymous")),
    "s3:x-amz-server-side-encryption": frozenset(("AES256", "aws:kms", "aws:kms:dsse", "aws:fsx")),
}
_OF_SERVICES = frozenset(  # keys whose values are names of services
    map(fold, ("iam:PassedToService", "iam:AWSServiceName", "aws:PrincipalServiceName", "aws:PrincipalServiceNamesList",
               "aws:CalledVia", "aws:CalledViaFirst", "aws:CalledViaLast", "kms:ViaService"))
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Test:
    """A condition and its key in lower case."""

    entry: ConditionEntry
    path: Path
    is_list: bool
    key: str

    @property
    def holds_without_key(self) -> bool:
        """Whether the condition is true if the key is absent (spec C8 to C10)."""
        if self.entry.operator == "Null":
            return "true" in map(str.lower, self.entry.values)
        negated = "Not" in self.entry.operator
        return self.entry.if_exists or self.entry.qualifier == "ForAllValues" or (negated and not self.entry.qualifier)


def check_conditions(written: WrittenStatement, actions: Actions, index: ActionIndex, report: Report) -> None:
    """Report conditions of a statement whose actions are known. `NotAction` has no L4 and L5: pass no actions."""
    for entry in written.statement.conditions:
        if entry.undetermined or START in entry.key:
            continue
        test = _Test(entry, *written.condition_path(entry), fold(entry.key))
        if actions and not is_global(test.key):
            _check_support(test, actions, index, report)
        _check_type(test, actions, index, report)


# -- support (L4, L5) ---------------------------------------------------------------------------------------------------


def is_global(key: str) -> bool:
    """Whether any action can have the key: a global key, or one of the session or of the identity provider."""
    if key.startswith("aws:"):
        return not key.startswith(_TAGS)
    return set_by(key) in (SetBy.SESSION, SetBy.DERIVED) or "." in key.partition(":")[0]


def _check_support(test: _Test, actions: Actions, index: ActionIndex, report: Report) -> None:
    without = [entry for entry, found in actions if not _supports(found, test.key, index)]
    if len(without) == len(actions):
        what = "the condition is always true" if test.holds_without_key else "the statement never applies"
        subject = "the action does not support" if len(actions) == 1 else "no action of the statement supports"
        message = f"{subject} the condition key {quote(test.entry.key)}: {what}"
        hint = report.did_you_mean(lambda: _similar_key(test.key, actions, index))
        report.add("L4", test.path, message, hint, at_name=True)
    elif without and not test.holds_without_key:
        names = shown([entry.text for entry in without])
        message = f"the statement never applies to {names}, which cannot have the condition key {quote(test.entry.key)}"
        report.add("L5", test.path, message, at_name=True)


def _supports(found: ActionSet, key: str, index: ActionIndex) -> bool:
    """Whether one of the actions can have the key. Keys that no action of their service has are a gap of the data."""
    if found.is_all:
        return any(_has_key(_keys(index.data.service(prefix)), key) for prefix in index.data.prefixes)
    if any(_has_key(action.keys, key) for action in found.actions):
        return True
    return any(_has_key(_unassociated_keys(index.data.service(prefix)), key) for prefix in found.services)


def _has_key(keys: frozenset[str], key: str) -> bool:
    return key in keys or any(pattern.fullmatch(key) for pattern in _patterns(keys))


@lru_cache(maxsize=4096)
def _patterns(keys: frozenset[str]) -> tuple[re.Pattern[str], ...]:
    """The keys with a variable part, as patterns."""
    return tuple(_pattern(key) for key in keys if _PLACEHOLDER.search(key))


@lru_cache(maxsize=4096)
def _pattern(key: str) -> re.Pattern[str]:
    return re.compile(".+".join(map(re.escape, _PLACEHOLDER.split(key))))


@lru_cache(maxsize=1024)
def _keys(service: Service) -> frozenset[str]:
    return frozenset(service.condition_keys)


@lru_cache(maxsize=1024)
def _unassociated_keys(service: Service) -> frozenset[str]:
    """The keys of a service that the data has for none of its actions."""
    return _keys(service).difference(*(action.keys for action in service.actions.values()))


def _similar_key(key: str, actions: Actions, index: ActionIndex) -> str:
    """The most similar key of the actions, or "" if none is similar."""
    found = nearest_name(key, {name for _, of_entry in actions for action in of_entry.actions for name in action.keys})
    known = index.data.service(found.partition(":")[0]).condition_keys.get(found)
    return found if known is None else known.name


# -- types (L7) ---------------------------------------------------------------------------------------------------------


def _check_type(test: _Test, actions: Actions, index: ActionIndex, report: Report) -> None:
    operator = OPERATORS.get(test.entry.operator_text)
    if operator is None or operator.family not in _TYPES:
        return
    known = _type_of(test.key, actions, index)
    if known is not None and known not in _TYPES[operator.family]:
        message = f"{quote(test.entry.key)} is of type {known}, which `{operator.base}` does not compare"
        report.add("L7", test.path, message, f"use an operator that starts with `{_OPERATORS[known]}`", at_name=True)
    if operator.family != "string":
        return
    if test.key in _OF_SERVICES:
        for i, value in enumerate(test.entry.values):
            if "." not in value and not is_pattern(value) and START not in value:
                message = f"{quote(value)} is not a value of {quote(test.entry.key)}"
                hint = f"the values are names of services, such as `{value.lower()}.amazonaws.com`"
                report.add("L7", (*test.path, i) if test.is_list else test.path, message, hint)
    values = _VALUES.get(test.key)
    if values is not None and not operator.wildcards:
        for i, value in enumerate(test.entry.values):
            if value not in values and START not in value and "IgnoreCase" not in operator.base:
                message = f"{quote(value)} is not a value of {quote(test.entry.key)}"
                hint = "the values are " + ", ".join(f"`{name}`" for name in sorted(values))
                report.add("L7", (*test.path, i) if test.is_list else test.path, message, hint)


def _type_of(key: str, actions: Actions, index: ActionIndex) -> str | None:
    info: KeyInfo | None = key_info(key)
    if info is not None:
        return info.type.value
    services = {prefix for _, found in actions for prefix in found.services} | {key.partition(":")[0]}
    for prefix in services:
        known = index.data.service(prefix).condition_keys.get(key)
        if known is not None:
            return known.type
    return None
