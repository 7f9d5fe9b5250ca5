"""Principals: the forms of an entry, and the problems of other values (spec 3.2, V32, V35, V41).

The model keeps entries as written; the evaluators interpret them.
"""

from __future__ import annotations

import re
from functools import lru_cache

from fastiam.model.policy import PolicyKind, PrincipalEntry
from fastiam.model.source_map import Path
from fastiam.policy.elements import misplaced
from fastiam.policy.findings import Problem, Problems, Reading, quote
from fastiam.policy.json_types import is_text, read_object, read_strings, wrong_type
from fastiam.policy.variables import START

TYPES = ("AWS", "Service", "Federated", "CanonicalUser")
GOOGLE = "accounts.google.com"
WEB_PROVIDERS = frozenset(("cognito-identity.amazonaws.com", "www.amazon.com", "graph.facebook.com", GOOGLE))
EVERYONE = (PrincipalEntry("*", "*"), PrincipalEntry("AWS", "*"))

_ACCOUNT = r"[0-9]{12}"
_FORMS = {
    "AWS": re.compile(
        rf"\*|{_ACCOUNT}|A(?:ID|RO)A\w+|arn:[^:]+:(?:iam::{_ACCOUNT}:(?:root|role/(?:.*/)?[^/]+)|iam::[^:]*:user/.+"
        rf"|sts::{_ACCOUNT}:(?:assumed-role/[^/]+/[^/]+|federated-user/[^/]+))",
        re.ASCII,
    ),
    "Service": re.compile(r".+"),  # in lower case
    "Federated": re.compile(
        rf"{'|'.join(map(re.escape, sorted(WEB_PROVIDERS)))}|arn:[^:]+:iam::{_ACCOUNT}:(?:saml|oidc)-provider/.+"
    ),
    "CanonicalUser": re.compile(r".+"),
}
_GROUP = re.compile(rf"arn:[^:]+:iam::{_ACCOUNT}:group/.+")
_HINTS = {
    "AWS": "name an account id, the ARN of a root, user, role or session, or `*`",
    "Service": "write the service principal in lower case, such as `ec2.amazonaws.com`",
    "Federated": "name a SAML or OIDC provider by its ARN, or one of the built-in web identity providers",
    "CanonicalUser": "write the canonical id of an account",
}


def read_principals(reading: Reading, value: object, path: Path, *, negated: bool) -> tuple[PrincipalEntry, ...] | None:
    """The entries of `Principal` or `NotPrincipal` in order, or None with a finding for a wrong type (V1)."""
    if is_text(value):
        text = str.__str__(value)
        if text == "*":
            return (PrincipalEntry("*", "*"),)
        reading.add("V41", path, f"{quote(text)} is not a principal", 'write `{"AWS": "..."}`, or `"*"`')
        return (PrincipalEntry("", text),)
    if isinstance(value, (list, tuple)):
        wrong_type(reading, path, value, 'an object such as `{"AWS": [...]}`, or `"*"`')
        return None
    members = read_object(reading, value, path, 'an object such as `{"AWS": "..."}`, or `"*"`')
    if members is None:
        return None
    found = [_read_member(reading, name, value, (*path, name)) for name, value in members.items()]
    entries = tuple(entry for group in found if group is not None for entry in group)
    if not members and not negated:
        reading.add("V11", path, "the principal is empty: the statement applies to no principal")
    return None if None in found else entries


def _read_member(reading: Reading, name: str, value: object, path: Path) -> tuple[PrincipalEntry, ...] | None:
    values = read_strings(reading, value, path)
    if values is None:
        return None
    if name not in _FORMS:
        hint = reading.did_you_mean(name, TYPES) or f"the types of principal are {', '.join(map(quote, TYPES))}"
        reading.add("V41", path, f"{quote(name)} is not a type of principal", hint, at_name=True)
        return tuple(PrincipalEntry(name, text) for text in values or ("",))
    if not values:
        reading.add("V11", path, f"the list of {quote(name)} principals is empty")
    is_list = not is_text(value)
    for i, text in enumerate(values):
        problems = principal_problems(name, text, reading.kind, reading.variables)
        if problems:
            reading.add_all(problems, (*path, i) if is_list else path)
    return tuple(PrincipalEntry(name, text) for text in values)


@lru_cache(maxsize=1 << 14)
def principal_problems(name: str, text: str, kind: PolicyKind, variables: bool) -> Problems:
    """The problems of one value of a known type of principal: V28, V32, V35, V41."""
    found = []
    if name == "Federated" and kind is not PolicyKind.TRUST:
        found.append(Problem("V35", f"{quote(text)} is a federated principal, which only a trust policy can name"))
    if START in text:
        found.append(misplaced(text, variables, "in a principal"))
    if ("*" in text or "?" in text) and (name, text) != ("AWS", "*"):
        hint = "list the principals, or use `*` with a condition on `aws:PrincipalArn`"
        found.append(Problem("V32", f"{quote(text)} has a wildcard inside a principal", hint))
    elif name == "AWS" and _GROUP.fullmatch(text):
        found.append(Problem("3.2", f"{quote(text)} is a group, which cannot be a principal", "name the users or a role"))
    elif not _FORMS[name].fullmatch(text) or "\n" in text or (name == "Service" and text != text.lower()):
        found.append(Problem("V41", f"{quote(text)} is not a principal of type `{name}`", _HINTS[name]))
    return tuple(found)
