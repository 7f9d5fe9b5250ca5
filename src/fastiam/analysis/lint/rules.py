"""The rules of `lint`: severity, description and advice of each code.

`docs/errors.md` shows the same rows with an example message each, and SARIF output has them as its rules. A severity is advice:
AWS's own policies have findings of each rule, and AWS's data has gaps.
"""

from __future__ import annotations

from dataclasses import dataclass

from fastiam.errors import Severity

_ERROR, _WARN, _NOTE = Severity.ERROR, Severity.WARN, Severity.NOTE


@dataclass(frozen=True, slots=True)
class LintRule:
    """One row. `name` identifies the rule in SARIF, `broken` describes what the document has, `advice` what to do about it."""

    severity: Severity
    name: str
    broken: str
    advice: str


LINT_RULES: dict[str, LintRule] = {
    "L1": LintRule(
        _ERROR,
        "UnknownService",
        "an action of a service that AWS does not have",
        "correct the prefix, or remove the entry if the service is gone",
    ),
    "L2": LintRule(
        _ERROR,
        "UnknownAction",
        "an action that the service does not have",
        "correct the name; an Allow of it grants nothing, and a Deny of it denies nothing",
    ),
    "L3": LintRule(
        _WARN,
        "PatternWithoutActions",
        "a pattern that matches no action of AWS",
        "correct the pattern, or remove it",
    ),
    "L4": LintRule(
        _WARN,
        "UnsupportedConditionKey",
        "a condition key that none of the actions of the statement supports",
        "use a key of these actions; AWS's data lacks some keys",
    ),
    "L5": LintRule(
        _NOTE,
        "PartlySupportedConditionKey",
        "a condition key that some of the actions of the statement do not support, so that the statement never applies to them",
        "put these actions into a statement of their own, or use the operator with `IfExists`",
    ),
    "L6": LintRule(
        _ERROR,
        "ResourceTypeMismatch",
        "an action without a resource of its types, or a resource that no action of the statement has (a warning if the statement"
        " applies to other actions)",
        "name a resource of the action, or `*` for actions without resource types",
    ),
    "L7": LintRule(
        _WARN,
        "ConditionTypeMismatch",
        "an operator of another type than the condition key, or a value that the key does not have",
        "use the operator of the key's type",
    ),
    "L8": LintRule(
        _NOTE,
        "MissingDependentAction",
        "an action whose call needs another action as well, which the document does not allow",
        "allow the other action too, unless another policy does",
    ),
    "L9": LintRule(
        _WARN,
        "PrivilegeGrant",
        "a grant on all resources by which a principal can obtain more permissions",
        "restrict the resources, or add a condition such as `iam:PassedToService`",
    ),
    "L10": LintRule(
        _NOTE,
        "WildcardGrant",
        "a pattern that allows actions that write, on all resources (a warning if some manage permissions)",
        "name the actions, or restrict the resources",
    ),
    "L11": LintRule(
        _ERROR,
        "ImpossibleArn",
        "an ARN with a partition that AWS does not have, or an account that has not 12 digits",
        "correct the ARN: it matches nothing",
    ),
}
