"""Random pairs of policies, and requests drawn from the patterns and values of both, for the proofs of `no_new_access`.

Every operator family, set operators, variables, wildcards in each place, and Denies occur. A pair is one document and an edit of
it, so that many pairs have no new access. Requests are decided by the specification evaluator over profiles.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from specification import decision

from fastiam.errors import RequestValueError
from fastiam.model.arn import is_account, split_arn
from fastiam.model.policy import PolicyKind
from fastiam.model.profile import WITH_BOUNDARY, WITH_IDENTITY_POLICIES, WITH_SESSION_POLICIES
from fastiam.model.session import Session
from fastiam.policy.document import read_policy
from fastiam.simulation.profiles import profiles_from_documents

ACCOUNT = "123456789012"
USER = f"arn:aws:iam::{ACCOUNT}:user/ana"
ROLE = Session(f"arn:aws:sts::{ACCOUNT}:assumed-role/app/s", kind="ROLE", issuer=f"arn:aws:iam::{ACCOUNT}:role/app")

ACTIONS = (
    "s3:GetObject",
    "s3:Get*",
    "s3:*",
    "*",
    "S3:PutObject",
    "s3:?etObject",
    "s*:Send*",
    "sqs:SendMessage",
    "s3:*Object",
    "s3:*t*",
)
RESOURCES = (
    "*",
    "arn:aws:s3:::b/*",
    "arn:aws:s3:::b/k",
    "arn:aws:s3:::b*",
    "arn:aws:s3:::*",
    "arn:aws:s3:::b/red/*",
    "arn:*:s3:::b/?",
    "arn:aws:s3:::b/${aws:username}/*",
    "arn:aws:s3:::b/${aws:PrincipalTag/team}/*",
    "arn:aws:s3:::b/${aws:username, 'all'}",
    "arn:aws:sqs:*:*:q",  # R5
    "arn:aws:sqs:*",
    "arn:aws:sqs:*:x*",
    "arn:aws:sqs",  # R6
    f"arn:aws:sqs:us-east-1:{ACCOUNT}:q*",
    "arn:aws:iam::*:u*/x",  # R9
)
TEXTS = ("a", "ab", "A", "aB", "", "b", "red", "k", "\u212a")
GLOBS = ("a*", "?b", "*", "a", "*b*", "re?", "${aws:username}", "${aws:PrincipalTag/team}", "ana")
NUMBERS = ("5", "6", "5.0", "10", "-1", "5.25")
DATES = ("2026-01-01T00:00:00Z", "2026-06-01T00:00:00Z", "2026-01-01", "1767225601", "2026-01-01T00:00:00.5Z", "1767225600")
ADDRESSES = ("10.0.0.0/24", "10.0.0.0/8", "10.0.1.7", "2001:db8::/32", "2001:db8::1", "::ffff:10.0.0.7", "0.0.0.0/0")
NEAR_ADDRESSES = ("10.1.2.3", "10.0.0.255", "10.0.1.0", "9.255.255.255", "2001:db8:0:0:0:0:0:1", "2001:db9::", "11.0.0.0")
VARIABLES = {"${aws:username}": "ana", "${aws:username, 'all'}": "all", "${aws:PrincipalTag/team}": "red"}
ARNS = ("arn:aws:iam::123456789012:role/app", "arn:aws:iam::*:role/*", "arn:aws:s3:::b", "arn:aws:*:*:*:b*")
BYTES = ("YQ==", "YWI=", "AA==")
FAMILIES: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (("StringEquals", "StringNotEquals"), (*TEXTS, "${aws:username}")),
    (("StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase"), TEXTS),
    (("StringLike", "StringNotLike"), GLOBS),
    (("NumericEquals", "NumericNotEquals", "NumericLessThan", "NumericLessThanEquals", "NumericGreaterThan"), NUMBERS),
    (("NumericGreaterThanEquals",), NUMBERS),
    (("DateEquals", "DateNotEquals", "DateLessThan", "DateLessThanEquals", "DateGreaterThan", "DateGreaterThanEquals"), DATES),
    (("Bool",), ("true", "false", "True")),
    (("BinaryEquals",), BYTES),
    (("IpAddress", "NotIpAddress"), ADDRESSES),
    (("ArnEquals", "ArnNotEquals", "ArnLike", "ArnNotLike"), ARNS),
    (("Null",), ("true", "false")),
)
KEYS: dict[str, tuple[str, ...]] = {  # the values that fit a key
    "acme:k": TEXTS,
    "acme:n": NUMBERS,
    "s3:max-keys": NUMBERS,
    "aws:SourceIp": ADDRESSES,
    "aws:TokenIssueTime": DATES,
    "aws:CurrentTime": DATES,
    "aws:EpochTime": DATES,
    "aws:TagKeys": TEXTS,
    "aws:RequestTag/t": TEXTS,
    "aws:PrincipalTag/team": ("red", "a"),
    "aws:ResourceTag/t": TEXTS,
    "aws:SecureTransport": ("true", "false"),
    "aws:SourceArn": ARNS,
    "aws:username": ("ana", "a"),
}
FAMILY_NAMES = (("Numeric", "number"), ("Date", "date"), ("Ip", "address"))
SET_OPERATORS = ("ForAllValues:", "ForAnyValue:")
CLOCKS = ("aws:CurrentTime", "aws:EpochTime")


class PairMaker:
    """Makes pairs and requests from one source of chance. `calm`: most conditions compare a key by its own family."""

    def __init__(self, seed: int, *, calm: float = 0.7) -> None:
        self.random, self.calm = random.Random(seed), calm

    def _chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def condition(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for _ in range(self.random.choice((1, 1, 1, 2))):
            key = self.random.choice(list(KEYS))
            fitting = [family for family in FAMILIES if set(family[1]) & set(KEYS[key])]
            names, values = self.random.choice(fitting if fitting and self._chance(self.calm) else FAMILIES)
            name = self.random.choice(names)
            if key == "aws:TagKeys" and self._chance(0.8) or self._chance(0.1):
                name = self.random.choice(SET_OPERATORS) + name
            if self._chance(0.2) and "Null" not in name:
                name += "IfExists"
            found.setdefault(name, {})[key] = self.random.sample(values, self.random.choice((1, 1, 2)))
        return found

    def statement(self) -> dict[str, Any]:
        negated = ("Not" if self._chance(0.1) else "", "Not" if self._chance(0.12) else "")
        made: dict[str, Any] = {
            "Effect": "Deny" if self._chance(0.3) else "Allow",
            f"{negated[0]}Action": self.random.sample(ACTIONS, self.random.choice((1, 1, 2))),
            f"{negated[1]}Resource": self.random.sample(RESOURCES, self.random.choice((1, 1, 2))),
        }
        if self._chance(0.6):
            made["Condition"] = self.condition()
        return made

    def document(self) -> dict[str, Any]:
        return {"Version": "2012-10-17", "Statement": [self.statement() for _ in range(self.random.choice((1, 2, 2, 3)))]}

    def edited(self, document: dict[str, Any]) -> dict[str, Any]:
        """Return a document with one change, such as a statement, a condition or a value added or removed."""
        made = copy.deepcopy(document)
        statements = made["Statement"]
        one = self.random.choice(statements)
        change = self.random.randrange(8)
        if change == 0 and len(statements) > 1:
            statements.remove(one)
        elif change == 1:
            statements.append(self.statement())
        elif change == 2:
            one.pop("Condition", None)
        elif change == 3:
            one["Condition"] = self.condition()
        elif change in (4, 5):
            name = next(name for name in one if name.endswith("Action" if change == 4 else "Resource"))
            one[name] = self.random.sample(ACTIONS if change == 4 else RESOURCES, self.random.choice((1, 2)))
        elif change == 6 and "Condition" in one:
            operator = self.random.choice(list(one["Condition"]))
            key = self.random.choice(list(one["Condition"][operator]))
            family = next(values for names, values in FAMILIES if any(name in operator for name in names))
            one["Condition"][operator][key] = self.random.sample(family, self.random.choice((1, 2)))
        else:
            statements.append({**copy.deepcopy(one), "Effect": "Deny" if one["Effect"] == "Allow" else "Allow"})
        return made

    def pair(self) -> tuple[dict[str, Any], dict[str, Any]]:
        one = self.document()
        two = self.edited(one)
        return (one, two) if self._chance(0.5) else (two, one)

    # -- requests ---------------------------------------------------------------------------------------------------------

    def filled(self, pattern: str) -> str:
        """Return a text of a pattern, sometimes with one character changed."""
        text = pattern
        for variable, value in VARIABLES.items():
            text = text.replace(variable, self.random.choice((value, value, "zz")))
        choices = {"*": ("", "a", "x/y", "b", "us-east-1", ACCOUNT), "?": "abk:"}
        text = "".join(self.random.choice(choices.get(char, (char,))) for char in text)
        if self._chance(0.1) and text:
            at = self.random.randrange(len(text))
            text = text[:at] + self.random.choice(("", "a", "B")) + text[at + 1 :]
        return text

    def action(self, patterns: list[str]) -> str:
        text = self.filled(self.random.choice([*patterns, "s3:GetObject", "sqs:SendMessage"]))
        prefix, _, name = text.partition(":")
        return f"{prefix or 's3'}:{name.replace(':', '') or 'x'}".replace("/", "").replace(" ", "")

    def resource(self, patterns: list[str]) -> str:
        text = self.filled(self.random.choice([*patterns, "arn:aws:s3:::b/k", "*"]))
        fields = text.split(":", 5)
        if fields[0] != "arn" or self._chance(0.05):
            return "*"
        fields[1:2] = ["aws"]
        return ":".join((*fields, *[self.random.choice(("", "x", ACCOUNT))] * (6 - len(fields))))

    def value(self, family: str, texts: list[str]) -> str:
        """Return a value that is one of `texts`, next to it, or between two of them."""
        text = self.random.choice(texts)
        if family == "number" and self._chance(0.6):
            return str(float(text) + self.random.choice((-1, -0.5, 0.5, 0.125, 1, 0))) if _is_number(text) else text
        if family == "date" and self._chance(0.6):
            return self.instant().isoformat()
        if family == "address":
            base = text.partition("/")[0]
            return self.random.choice((base, *NEAR_ADDRESSES))
        return self.filled(text)

    def instant(self) -> datetime:
        """Return an instant at or next to a threshold of `DATES`, or between them."""
        return datetime(2026, self.random.choice((1, 3, 6)), 1, tzinfo=UTC) + timedelta(seconds=self.random.choice((-1, 0, 1)))

    def context(self, statements: list[Mapping[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for statement in statements:
            for operator, keys in statement.get("Condition", {}).items():
                for key, texts in keys.items():
                    family = next((family for part, family in FAMILY_NAMES if part in operator), "text")
                    if key in CLOCKS or key in found and self._chance(0.5) or self._chance(0.15):
                        continue
                    pool = [*([] if "Null" in operator else texts), *self.random.sample((*TEXTS, *KEYS.get(key, ())), 3)]
                    is_list = key == "aws:TagKeys" or key.startswith("acme") and self._chance(0.25)
                    n = self.random.choice((1, 2, 3, 4)) if is_list else 1
                    values = [self.value(family, pool) for _ in range(n)]
                    found[key] = values if is_list else values[0]
                    if self._chance(0.3) and key.lower().startswith("aws:resourcetag/"):
                        found[key.swapcase()] = self.value(family, pool)
        return found

    def request(self, *documents: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of a request that is drawn from some documents."""
        statements = [one for document in documents for one in document["Statement"]]
        actions = [text for one in statements for text in one.get("Action", one.get("NotAction"))]
        resources = [text for one in statements for text in one.get("Resource", one.get("NotResource"))]
        return {
            "principal": self.random.choice((USER, USER, ROLE)),
            "action": self.action(actions),
            "resource": self.resource(resources),
            "context": self.context(statements),
            "now": self.instant(),
            "resource_account": ACCOUNT,
        }


A, B = "111111111111", "222222222222"
ANA, BO = f"arn:aws:iam::{A}:user/ana", f"arn:aws:iam::{B}:user/bo"
APP = f"arn:aws:iam::{A}:role/app"
APP_SESSION = f"arn:aws:sts::{A}:assumed-role/app/s"
FEDERATED = f"arn:aws:sts::{A}:federated-user/fed"
SAML = f"arn:aws:iam::{A}:saml-provider/idp"
NAMED: tuple[Any, ...] = (
    "*",
    {"AWS": "*"},
    {"AWS": A},
    {"AWS": f"arn:aws:iam::{B}:root"},
    {"AWS": ANA},
    {"AWS": [BO, APP]},
    {"AWS": APP},
    {"AWS": [APP_SESSION, A]},
    {"AWS": FEDERATED},
    {"AWS": [ANA, A]},
    {"Service": "ec2.amazonaws.com"},
    {"Service": ["s3.amazonaws.com", "ec2.amazonaws.com"], "AWS": ANA},
    {"AWS": "AIDAOTHER"},
)
IN_TRUST: tuple[Any, ...] = (*NAMED, {"Federated": SAML}, {"Federated": "accounts.google.com"})
TRUST_ACTIONS = (
    "sts:AssumeRole",
    "sts:*",
    "sts:TagSession",
    "sts:AssumeRoleWithSAML",
    "sts:AssumeRoleWith*",
    "sts:SetSourceIdentity",
)


class ResourcePairMaker(PairMaker):
    """Makes pairs of resource policies, trust policies or RCPs, and requests of principals of each kind."""

    def __init__(self, seed: int, kind: PolicyKind) -> None:
        super().__init__(seed, calm=0.9)
        self.kind = kind

    def statement(self) -> dict[str, Any]:
        made = super().statement()
        element = "Principal"
        if self.kind is PolicyKind.RESOURCE and made["Effect"] == "Deny" and self._chance(0.3):
            element = "NotPrincipal"
        named = IN_TRUST if self.kind is PolicyKind.TRUST else NAMED
        made[element] = "*" if self.kind is PolicyKind.RCP and self._chance(0.7) else self.random.choice(named)
        if self._chance(0.6):
            made.pop("Condition", None)
        if self.kind is PolicyKind.TRUST:
            made = {name: value for name, value in made.items() if "Resource" not in name and "Action" not in name}
            made["Action"] = self.random.sample(TRUST_ACTIONS, self.random.choice((1, 2)))
        return made

    def edited(self, document: dict[str, Any]) -> dict[str, Any]:
        if self._chance(0.4):
            made = copy.deepcopy(document)
            one = self.random.choice(made["Statement"])
            name = "Principal" if "Principal" in one else "NotPrincipal"
            one[name] = self.random.choice(IN_TRUST if self.kind is PolicyKind.TRUST else NAMED)
            return made
        if self.kind is PolicyKind.TRUST:
            made = copy.deepcopy(document)
            made["Statement"] = [*made["Statement"], self.statement()] if self._chance(0.5) else made["Statement"][1:]
            return made
        return super().edited(document)

    def principal(self) -> tuple[Any, dict[str, Any]]:
        """Return a principal and the context keys that principal elements read."""
        choice = self.random.randrange(12)
        users = (ANA, BO, f"arn:aws:iam::{A}:user/zoe", "arn:aws:iam::333333333333:user/zoe")
        if choice < 4:
            return self.random.choice(users), {"aws:userid": "AIDAOTHER"} if self._chance(0.15) else {}
        if choice < 6:
            name, session = self.random.choice((("app", "s"), ("app", "t"), ("other", "s")))
            issuer = f"arn:aws:iam::{A}:role/{name}"
            return Session(f"arn:aws:sts::{A}:assumed-role/{name}/{session}", kind="ROLE", issuer=issuer), {}
        if choice == 6:
            return APP, {}
        if choice == 7:
            issuer = self.random.choice((ANA, f"arn:aws:iam::{A}:root", f"arn:aws:iam::{A}:user/zoe", None))
            arn = self.random.choice((FEDERATED, FEDERATED + "2"))
            return Session(arn, kind="FED", issuer=issuer), {}
        if choice == 8:
            return f"arn:aws:iam::{self.random.choice((A, B))}:root", {}
        if choice == 9:
            names = self.random.sample(("ec2.amazonaws.com", "s3.amazonaws.com", "x.amazonaws.com"), self.random.choice((1, 2)))
            return names[0], {"aws:PrincipalServiceNamesList": names}
        if choice == 10 and self.kind is PolicyKind.TRUST:
            return self.random.choice((SAML, SAML + "2", "accounts.google.com")), {}
        return "*", {}

    def request(self, *documents: Mapping[str, Any]) -> dict[str, Any]:
        principal, keys = self.principal()
        if self.kind is PolicyKind.TRUST:
            arguments = super().request(
                {"Statement": [{"Action": TRUST_ACTIONS, "Resource": ["*"]}]}, *map(_with_resource, documents)
            )
            calls = ("AssumeRole", "AssumeRoleWithSAML", "AssumeRoleWithWebIdentity", "TagSession", "SetSourceIdentity")
            arguments |= {"action": f"sts:{self.random.choice(calls)}", "resource": APP}
        else:
            arguments = super().request(*documents)
            if self._chance(0.1):
                arguments |= {"action": "kms:Decrypt", "resource": f"arn:aws:kms:us-east-1:{self.random.choice((A, B))}:key/k"}
        context = {**arguments["context"], **keys}
        arn = split_arn(arguments["resource"])
        has_owner = arn is not None and is_account(arn.account)  # a proof covers no other owner than that of the ARN
        owner = None if has_owner else self.random.choice((A, B, "333333333333"))
        return {**arguments, "principal": principal, "context": context, "resource_account": owner}


def _with_resource(document: Mapping[str, Any]) -> dict[str, Any]:
    return {"Statement": [{**one, "Resource": ["*"]} for one in document["Statement"]]}


def newly_allowed(kind: PolicyKind, old: Mapping[str, Any], new: Mapping[str, Any], arguments: Mapping[str, Any]) -> bool:
    """Return whether only `new` allows a request, for a principal whose own policies allow everything, or nothing."""
    try:
        profile, target, _, request = profiles_from_documents(**{**arguments, "mode": "lenient"})
    except RequestValueError:
        return False
    everything = (read_once(EVERYTHING, PolicyKind.IDENTITY),)
    for identity, boundary, session in (
        (everything, None, None),
        ((), None, None),
        (everything, None, everything),
        ((), None, everything),
        (everything, (), None),
        ((), (), None),
        ((), None, ()),
        (everything, everything, None),
    ):
        own = replace(
            profile,
            identity_policies=identity if profile.kind in WITH_IDENTITY_POLICIES else (),
            boundary=boundary if profile.kind in WITH_BOUNDARY else None,
            bounded=boundary is not None and profile.kind in WITH_BOUNDARY,
            session_policies=session if profile.kind in WITH_SESSION_POLICIES else None,
        )
        sides = []
        for document in (old, new):
            policies = (read_once(document, kind),)
            if kind is PolicyKind.RCP:
                changed = replace(target, policies=(read_once(FOR_EVERYONE, PolicyKind.RESOURCE),), rcps=(policies,), rcp_note="")
            else:
                changed = replace(target, policies=policies)
            sides.append(decision(own, changed, request).allowed)
        if sides == [False, True]:
            return True
    return False


EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
FOR_EVERYONE = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}]}


def _is_number(text: str) -> bool:
    return text.removeprefix("-").replace(".", "", 1).isdigit()


def allowed_by(documents: Mapping[str, Mapping[str, Any]], arguments: Mapping[str, Any]) -> dict[str, bool]:
    """Return whether each document, as the only identity policy, allows a request; by the specification evaluator."""
    profile, target, _, request = profiles_from_documents(**{**arguments, "mode": "lenient"})
    found = {}
    for name, document in documents.items():
        found[name] = decision(replace(profile, identity_policies=(read_once(document),)), target, request).allowed
    return found


_read: dict[tuple[PolicyKind, str], Any] = {}


def read_once(document: Mapping[str, Any], kind: PolicyKind = PolicyKind.IDENTITY) -> Any:
    """Return the policy of a document, read leniently; a document that was read before is not read again."""
    name = kind, json.dumps(document)
    if name not in _read:
        _read.clear() if len(_read) > 100 else None
        _read[name] = read_policy(name[1], kind, mode="lenient")
    return _read[name]


def refutations(maker: PairMaker, old: dict[str, Any], new: dict[str, Any], n: int) -> Iterator[dict[str, Any]]:
    """Yield drawn requests that `new` allows and `old` does not."""
    for _ in range(n):
        arguments = maker.request(old, new)
        found = allowed_by({"old": old, "new": new}, arguments)
        if found["new"] and not found["old"]:
            yield arguments
