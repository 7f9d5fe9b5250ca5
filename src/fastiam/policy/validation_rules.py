"""The rules that a document can break: severity, and the effect in mode `lenient` (spec 1.6, F5).

One row per code. `docs/errors.md` shows the same rows with an example message each. Most codes are rule ids of the
specification; `1.2`, `1.3` and `3.2` are sections with a rule that has no id.
"""

from __future__ import annotations

from dataclasses import dataclass

from fastiam.errors import Severity
from fastiam.model.policy import PolicyKind

_ERROR, _WARN = Severity.ERROR, Severity.WARN


@dataclass(frozen=True, slots=True)
class Rule:
    """One row: `fatal` rules reject in mode `lenient` too; `lenient` describes the effect of the others there."""

    severity: Severity
    broken: str
    lenient: str
    fatal: bool = False


_EVALUATED = "evaluated as written"
_REJECTED = "rejected too"
_ENTRY = "that entry is undetermined"
_ELEMENT = "the element is undetermined"
_STATEMENT = "the whole statement is undetermined"
_CONDITION = "the condition is undetermined"

RULES: dict[str, Rule] = {
    "V1": Rule(_ERROR, "not JSON, not an object, a wrong JSON type, `null`", _REJECTED, fatal=True),
    "V2": Rule(_ERROR, "one name twice in a JSON object", _REJECTED, fatal=True),
    "V3": Rule(_ERROR, "one condition key in two spellings under one operator", "both must hold"),
    "V4": Rule(_ERROR, "unknown element", f"{_STATEMENT}; at the top level, every statement is"),
    "V5": Rule(
        _ERROR,
        "no `Statement`, or an empty list",
        "a policy without statements; with an unknown top-level element it denies everything, undetermined",
    ),
    "V6": Rule(_ERROR, "`Effect` missing or neither `Allow` nor `Deny`", _REJECTED, fatal=True),
    "V7": Rule(_ERROR, "neither or both of `Action` and `NotAction`", _ELEMENT),
    "V8": Rule(_ERROR, "both `Resource` and `NotResource`, or both `Principal` and `NotPrincipal`", _ELEMENT),
    "V9": Rule(_ERROR, "an element that the kind of policy forbids, or lacks one that it requires", _STATEMENT),
    "V10": Rule(_ERROR, "unknown `Version`", _REJECTED, fatal=True),
    "V11": Rule(_WARN, "an empty list or map of principals", "contributes nothing"),
    "V12": Rule(_ERROR, "`NotAction`, `NotResource` or `NotPrincipal` without any entry", _ELEMENT),
    "V13": Rule(_WARN, "an empty condition block or operator", "no condition"),
    "V14": Rule(_WARN, "a condition key without values", _EVALUATED),
    "V15": Rule(_ERROR, "unknown condition operator", _CONDITION),
    "V16": Rule(_WARN, "`Null` with a set operator", _EVALUATED),
    "V17": Rule(_ERROR, "a condition key without a prefix or without its tag key", _CONDITION),
    "V18": Rule(_ERROR, "a value that the operator cannot read", "that value is undetermined"),
    "V19": Rule(_ERROR, "values of different JSON types in one list", "compared as text"),
    "V20": Rule(_ERROR, "several values under `Bool`", "any of them may match"),
    "V21": Rule(_WARN, "`*` or `?` in a value of an operator without wildcards", "literal characters"),
    "V22": Rule(_ERROR, "a key with several values without a set operator", _CONDITION),
    "V23": Rule(_WARN, "`ForAllValues` in an Allow on a key with one value", _EVALUATED),
    "V24": Rule(_ERROR, "malformed action", _ENTRY),
    "V25": Rule(_ERROR, "a resource that is neither `*` nor an ARN", _ENTRY),
    "V26": Rule(_ERROR, "a resource ARN with too few fields", "undetermined where it could match"),
    "V27": Rule(_ERROR, "upper case in the partition or service of a resource ARN", "compared literally"),
    "V28": Rule(_ERROR, "a policy variable in a place without substitution", "literal text"),
    "V29": Rule(_ERROR, "malformed policy variable", "a variable without a value"),
    "V30": Rule(_ERROR, "a policy variable under an operator without variables", "literal text, so that value is undetermined"),
    "V31": Rule(_WARN, "a policy variable in a document that is not of version 2012-10-17", "literal text"),
    "V32": Rule(_ERROR, "a wildcard inside a principal", _ENTRY),
    "V33": Rule(_WARN, "principal `*` in a trust policy", _EVALUATED),
    "V34": Rule(_ERROR, "`NotPrincipal` with `Allow`", "allows everyone who is not listed"),
    "V35": Rule(_ERROR, "a federated principal outside a trust policy", "that entry matches no principal"),
    "V36": Rule(_WARN, "an action that the identity provider of the statement cannot call", _EVALUATED),
    "V37": Rule(_WARN, "a trust policy for Roles Anywhere without all three of its actions", _EVALUATED),
    "V38": Rule(_WARN, "a wildcard in a value of a sensitive key (an error in endpoint policies)", _EVALUATED),
    "V39": Rule(_ERROR, "characters that IAM does not store (a warning in resource and endpoint policies)", "ignored"),
    "V40": Rule(_WARN, "unknown global condition key", _EVALUATED),
    "V41": Rule(_ERROR, "a principal of no known form", _ENTRY),
    "A2": Rule(_WARN, "a wildcard in the service prefix of an action", _EVALUATED),
    "R6": Rule(_WARN, "a short resource ARN that ends in `*`", "missing fields match anything"),
    "R7": Rule(_ERROR, "an ARN that no resource has: no partition or service, a type or Region that IAM or S3 lacks", _EVALUATED),
    "R8": Rule(_WARN, "a wildcard in the service field of a resource ARN", _EVALUATED),
    "D43": Rule(_WARN, "a condition or resource that endpoint policies do not take", _EVALUATED),
    "G2": Rule(_ERROR, "a resource control policy that allows, or names a principal other than `*`", "an allow has no effect"),
    "G20": Rule(_WARN, "no `Version` (in an SCP or RCP, any but 2012-10-17 is an error)", "variables are literal text"),
    "G21": Rule(_ERROR, "a `Sid` with characters other than letters and digits, or used twice", "ignored"),
    "G22": Rule(_WARN, "a `Sid` used twice in a resource or endpoint policy", "ignored"),
    "G23": Rule(_WARN, "an empty `Sid`", "ignored"),
    "G24": Rule(_WARN, "an `Id` in an identity policy", "ignored"),
    "N23": Rule(_WARN, "`NotPrincipal` of everyone", _EVALUATED),
    "S42": Rule(_WARN, "an issuer with many customers, trusted without a condition on its claims", _EVALUATED),
    "IP51": Rule(
        _WARN,
        "an issuer with many customers, trusted without the condition that IAM requires; a directory in mode `strict` refuses"
        " to store it",
        _EVALUATED,
    ),
    "RW52": Rule(_WARN, "a trust policy for Roles Anywhere that tests attributes of certificates only by negation", _EVALUATED),
    "RW57": Rule(_WARN, "a trust policy for Roles Anywhere without a condition on trust anchor or certificate", _EVALUATED),
    "O3": Rule(_WARN, "an element of a resource control policy that AWS may refuse", _EVALUATED),
    "1.2": Rule(_ERROR, "an empty list of actions or resources", "contributes nothing"),
    "1.3": Rule(_ERROR, "a condition operator in other than its canonical case", "read as the canonical operator"),
    "3.2": Rule(_ERROR, "a group as principal", "that entry matches no principal"),
}

_BY_KIND: dict[tuple[str, PolicyKind], Severity] = {
    ("V38", PolicyKind.VPCE): _ERROR,
    ("V39", PolicyKind.RESOURCE): _WARN,
    ("V39", PolicyKind.VPCE): _WARN,
    ("G20", PolicyKind.SCP): _ERROR,
    ("G20", PolicyKind.RCP): _ERROR,
}


def severity_of(code: str, kind: PolicyKind) -> Severity:
    """The severity of a rule in a document of this kind."""
    return _BY_KIND.get((code, kind), RULES[code].severity)
