"""Actions and resources: problems of the text of an entry (spec 2.2, 2.3).

The model keeps entries as written, valid or not (V24 to V29); the evaluators interpret them.
"""

from __future__ import annotations

import re
from functools import lru_cache

from fastiam.policy import variables as variable_syntax
from fastiam.policy.action_patterns import action_syntax_error
from fastiam.policy.findings import Problem, Problems, quote
from fastiam.policy.variables import START
from fastiam.policy.wildcards import matches_everything

_CLEAN_ACTION = re.compile(r"\*+|[A-Za-z0-9-]+:[^\s:,${]+")
_CLEAN_RESOURCE = re.compile(r"\*+|arn:[a-z0-9*-]+:(?:s3:|(?!(?:iam|s3):)[a-z0-9-]+:[^:$]*):[^:$]*:[^$]*")
_WILDCARD = re.compile(r"[*?]")
_ACTION_HINT = "write `service:Name`, such as `s3:GetObject`"
_ARN_HINT = "an ARN is `arn:partition:service:region:account:rest`"
_PLACEHOLDER = re.compile(r"[*?\0]")  # a wildcard, or a variable that is masked
# The possible starts of the last field of an ARN: of IAM, and of S3 ARNs with a Region.
_STARTS = {
    "iam": (
        "user/ role/ group/ policy/ instance-profile/ federated-user/ mfa/ sms-mfa/ u2f/ server-certificate/ saml-provider/ "
        "oidc-provider/ report/ access-report/ delegation-request/ root"
    ).split(),
    "s3": "accesspoint/ accesspoint: access-grants/ job/ storage-lens/ storage-lens-group/ async-request/".split(),
}
_FIELDS = ("`arn`", "partition", "service", "region", "account")


@lru_cache(maxsize=1 << 16)
def action_problems(text: str, variables: bool) -> Problems:
    """The problems of one entry of `Action` or `NotAction`: V24, V28 (V31 without variables), A2."""
    if _CLEAN_ACTION.fullmatch(text):
        return ()
    error = action_syntax_error(text)
    if error:
        return (Problem("V24", f"{quote(text)} is not an action: {error}", _action_hint(text)),)
    found = []
    if START in text:
        found.append(misplaced(text, variables, "in an action"))
    if _WILDCARD.search(text.partition(":")[0]):
        found.append(Problem("A2", f"{quote(text)} has a wildcard in its service prefix", "name the service"))
    return tuple(found)


def _action_hint(text: str) -> str:
    if START in text:
        return "policy variables are not replaced in actions"
    return "write one action per text, as a list" if "," in text else _ACTION_HINT


def misplaced(text: str, variables: bool, where: str) -> Problem:
    """A variable in a place without substitution (V28), or in a document without variables (V31)."""
    if variables:
        return Problem("V28", f"{quote(text)} has a policy variable {where}, where it is literal text")
    return no_variables(text)


def no_variables(text: str) -> Problem:
    """A variable in a document without variables (V31)."""
    return Problem("V31", f"{quote(text)} is literal text: the document has no variables", 'add `"Version": "2012-10-17"`')


def resource_problems(text: str, variables: bool, endpoint: bool) -> Problems:
    """The problems of one entry of `Resource` or `NotResource`: V25 to V29, V31, V40, R6 to R8, and D43 in endpoints."""
    if not endpoint and _CLEAN_RESOURCE.fullmatch(text):
        return ()
    return _resource_problems(text, variables, endpoint)


@lru_cache(maxsize=1 << 14)
def _resource_problems(text: str, variables: bool, endpoint: bool) -> Problems:
    if matches_everything(text):
        return ()
    if not text.startswith("arn:"):
        return (Problem("V25", f"{quote(text)} is neither `*` nor an ARN", _ARN_HINT),)
    found = list(_variable_problems(text, variables))
    fields = variable_syntax.mask(text, variables).split(":", 5)
    if len(fields) < 6:
        found.append(_short(text, fields[-1]))
    found += _field_problems(text, fields)
    if len(fields) == 6 and fields[2] in _STARTS and (variables or START not in text):  # else V31 reports it
        found += _type_problems(text, fields[2], fields[3], fields[5])
    if endpoint and len(fields) > 4 and is_mixed_account(fields[4]):
        found.append(Problem("D43", f"the account of {quote(text)} mixes digits and wildcards", "write the id, or `*`"))
    return tuple(found)


def _variable_problems(text: str, variables: bool) -> Problems:
    if START not in text:
        return ()
    if not variables:
        return (no_variables(text),)
    fields = variable_syntax.mask(text).split(":", 5)
    free = len(":".join(fields[:5])) + 1 if len(fields) == 6 else len(text)
    found = variable_syntax.problems(text[free:])
    if START in text[:free]:
        message = f"{quote(text)} has a policy variable before its fifth colon, where it is literal text"
        return (Problem("V28", message, "variables are replaced in the last field of an ARN"), *found)
    return found


def _short(text: str, last: str) -> Problem:
    n_fields = "fewer than six fields"
    if last.endswith("*"):
        return Problem("R6", f"{quote(text)} has {n_fields}; the missing ones match anything", _ARN_HINT)
    return Problem("V26", f"{quote(text)} has {n_fields}", _ARN_HINT)


def _field_problems(text: str, fields: list[str]) -> Problems:
    found = []
    for i, field in enumerate(fields[1:3], 1):
        if field != field.lower():
            hint = "partitions and services are written in lower case"
            found.append(Problem("V27", f"{quote(text)} has upper case in its {_FIELDS[i]}", hint))
        if not field and len(fields) > i + 1:
            found.append(Problem("R7", f"{quote(text)} has no {_FIELDS[i]}", _ARN_HINT))
    if len(fields) > 3 and _WILDCARD.search(fields[2]):
        found.append(Problem("R8", f"{quote(text)} has a wildcard in its service field", "name the service"))
    return tuple(found)


def _type_problems(text: str, service: str, region: str, rest: str) -> Problems:
    """Parts that ARNs of IAM and S3 cannot have (R7): a Region, or a resource type that IAM does not have."""
    starts = _STARTS[service]
    head = _PLACEHOLDER.split(rest, maxsplit=1)[0]
    has_type = any(head.startswith(start) or (head != rest and start.startswith(head)) for start in starts)
    found = []
    if region.strip("*\0") and (service == "iam" or not has_type):
        found.append(Problem("R7", f"{quote(text)} has a Region, which it cannot have", "leave the field empty"))
    if service == "iam" and not has_type:
        found.append(Problem("R7", f"{quote(text)} is not a resource of IAM", "the last field starts with `user/`, `role/`, ..."))
    return tuple(found)


def is_mixed_account(field: str) -> bool:
    """Whether the account field of an ARN has a wildcard among other characters (D43)."""
    return len(field) > 1 and _WILDCARD.search(field) is not None and not matches_everything(field)
