"""Resources of a statement over the resource types of its actions (L6).

A pattern and the ARN of a type fit if some ARN matches both. Variables of either side count as any text, so that a doubtful pair
fits and is not reported.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from fastiam.analysis.lint.matched_actions import Actions, is_pattern
from fastiam.analysis.lint.report import Entry, Report, shown
from fastiam.errors import Severity
from fastiam.policy.findings import quote
from fastiam.policy.variables import mask
from fastiam.policy.wildcards import matches_everything
from fastiam.spec.wildcards import glob_matches, read_glob

_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_WILDCARD = re.compile(r"[*?]")
_INCOMPLETE = frozenset(("elasticloadbalancing", "waf", "waf-regional", "wafv2"))  # AWS's data lacks types of their actions
_SHOWN = 3  # types that a hint names


def check_resources(resources: Sequence[Entry], actions: Actions, report: Report) -> None:
    """Report actions without a resource of their types, and resources that no action has (L6).

    A statement in which no action has a resource has findings about its actions only.
    """
    if not resources or any(matches_everything(entry.text) for entry in resources) or any(found.is_all for _, found in actions):
        return
    types = frozenset(arn for _, found in actions for arn in found.arns)
    fitting = [(entry, frozenset(arn for arn in types if fits(entry.text, arn))) for entry in resources]
    covered = frozenset(arn for _, arns in fitting for arn in arns)
    alone = [(entry, found) for entry, found in actions if covered.isdisjoint(found.arns)]
    severity = Severity.ERROR if len(alone) == len(actions) else Severity.WARN
    _report_typed([item for item in alone if item[1].arns], resources, severity, report)
    _report_untyped([entry for entry, found in alone if not found.arns], severity, report)
    if len(alone) < len(actions):
        for entry, arns in fitting:
            if not arns:
                message = f"no action of the statement has resources such as {quote(entry.text)}"
                report.add("L6", entry.path, message, _shown(types), severity=severity)


def _report_typed(alone: Actions, resources: Sequence[Entry], severity: Severity, report: Report) -> None:
    if alone:
        what = "none of the resources is" if len(resources) > 1 else f"{quote(resources[0].text)} is not"
        names = [entry.text for entry, _ in alone]
        verb, whose = ("does", "that the action has") if len(names) == 1 else ("do", "that they have")
        message = f"{shown(names)} {verb} not apply: {what} of a type {whose}"
        report.add("L6", alone[0][0].path, message, _shown(arn for _, found in alone for arn in found.arns), severity=severity)


def _report_untyped(alone: Sequence[Entry], severity: Severity, report: Report) -> None:
    if alone:
        names = [entry.text for entry in alone]
        rest = "does not apply: its only resource is `*`" if len(names) == 1 else "do not apply: their only resource is `*`"
        hint = 'write `"Resource": "*"`, in a statement of its own'
        report.add("L6", alone[0].path, f"{shown(names)} {rest}", hint, severity=severity)


def _shown(arns: Iterable[str]) -> str:
    names = sorted({_VARIABLE.sub("*", arn) for arn in arns})
    return "its resources are " + ", ".join(f"`{name}`" for name in names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")


@lru_cache(maxsize=1 << 16)
def fits(pattern: str, arn: str) -> bool:
    """Whether some ARN matches both a resource pattern and the ARN of a resource type."""
    written = mask(pattern).replace("\0", "*").split(":", 5)
    expected = _VARIABLE.sub("*", arn).split(":", 5)
    if len(written) < 6 or len(expected) < 6 or written[2] in _INCOMPLETE:  # of a short pattern, missing fields match (R6)
        return True
    if arn.endswith(":s3:::${BucketName}") and "/" in written[5]:
        return False  # the name of a bucket has no slash
    if not written[3] and arn.split(":", 5)[3].startswith("${"):
        return False  # a Region, which is never empty
    return all(map(_overlap, written, expected))


def _overlap(one: str, two: str) -> bool:
    """Whether a text matches both patterns.

    If both have a `*`, one exists if the texts before the first and after the last wildcards agree: between them, the `*` of each
    pattern matches what the other requires. `?` counts as `*` there.
    """
    if not is_pattern(one) or not is_pattern(two):
        return one == two or glob_matches(read_glob(one), two) or glob_matches(read_glob(two), one)
    (head, tail), (other_head, other_tail) = _ends(one), _ends(two)
    n_head, n_tail = min(len(head), len(other_head)), min(len(tail), len(other_tail))
    return head[:n_head] == other_head[:n_head] and tail[len(tail) - n_tail :] == other_tail[len(other_tail) - n_tail :]


@lru_cache(maxsize=1 << 14)
def _ends(pattern: str) -> tuple[str, str]:
    """The literal texts before the first wildcard and after the last one."""
    first, *_, last = _WILDCARD.split(pattern)
    return first, last
