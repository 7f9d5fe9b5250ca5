"""ARNs that no ARN of AWS matches (L11): a partition that AWS does not have, or an account that has not 12 digits.

Fields with a wildcard or a variable are not compared. Values of ARN operators and of keys with an account are checked as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from fastiam.analysis.lint.matched_actions import is_pattern, nearest_name
from fastiam.analysis.lint.report import Entry, Report, WrittenStatement
from fastiam.model.key_registry import fold
from fastiam.policy.conditions.operators import OPERATORS
from fastiam.policy.findings import quote
from fastiam.policy.variables import START

PARTITIONS = ("aws", "aws-cn", "aws-eusc", "aws-iso", "aws-iso-b", "aws-iso-e", "aws-iso-f", "aws-us-gov")
_ACCOUNT = re.compile("[0-9]{12}")
_DIGITS = re.compile("[0-9-]+")
_OF_ACCOUNTS = frozenset(map(fold, ("aws:SourceAccount", "aws:PrincipalAccount", "aws:ResourceAccount")))


def check_arns(written: WrittenStatement, report: Report) -> None:
    """Report the ARNs of a statement that no ARN of AWS matches."""
    statement = written.statement
    for entry in (
        *written.entries("Resource", statement.resources, statement.not_resource),
        *_principals(written),
        *_values(written),
    ):
        for message, hint in _faults(entry.text):
            report.add("L11", entry.path, message, hint)


def _faults(arn: str) -> Iterator[tuple[str, str]]:
    fields = arn.split(":", 5)
    if fields[0] != "arn":
        if _is_wrong_account(arn):
            yield f"{quote(arn)} is not an account", "an account has 12 digits"
        return
    partition, account = (fields[i] if len(fields) > i else "*" for i in (1, 4))
    if partition not in PARTITIONS and not is_pattern(partition) and START not in partition:
        similar = nearest_name(partition, PARTITIONS)
        yield f"AWS has no partition {quote(partition)}", f"did you mean `{similar}`?" if similar else "write `aws`"
    if _is_wrong_account(account):
        yield f"{quote(account)} is not an account", "an account has 12 digits"


def _is_wrong_account(text: str) -> bool:
    return bool(_DIGITS.fullmatch(text)) and not _ACCOUNT.fullmatch(text)


def _principals(written: WrittenStatement) -> Iterator[Entry]:
    """The values of `AWS` in `Principal` or `NotPrincipal`."""
    for element in ("Principal", "NotPrincipal"):
        principals = written.raw.get(element)
        values = principals.get("AWS") if isinstance(principals, dict) else None
        yield from _entries(values, (*written.path, element, "AWS"))


def _values(written: WrittenStatement) -> Iterator[Entry]:
    """The values of conditions that are ARNs or accounts."""
    for condition in written.statement.conditions:
        operator = OPERATORS.get(condition.operator_text)
        if operator is None or condition.undetermined:
            continue
        path, is_list = written.condition_path(condition)
        is_account = operator.family == "string" and fold(condition.key) in _OF_ACCOUNTS
        if operator.family == "arn" or is_account:
            values: Sequence[str] = condition.values
            yield from _entries(values if is_list else values[0] if values else None, path)


def _entries(values: object, path: tuple[str | int, ...]) -> Iterable[Entry]:
    if isinstance(values, str):
        return [Entry(values, path)]
    items = values if isinstance(values, (list, tuple)) else ()
    return [Entry(value, (*path, i)) for i, value in enumerate(items) if isinstance(value, str)]
