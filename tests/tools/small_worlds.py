"""Random small organizations, all requests of their universe, and invariants over them.

The requests are decided by the engine, which shares no code with proofs. What AWS sends in a request is written down here once
more, for these keys alone.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any

import fastiam

A, B, M, X = "111111111111", "222222222222", "999999999999", "333333333333"
ANA, BO = f"arn:aws:iam::{A}:user/ana", f"arn:aws:iam::{A}:user/bo"
DEP, OPS = f"arn:aws:iam::{A}:role/ops/Dep", f"arn:aws:iam::{B}:role/Ops"
EVE, MAX = f"arn:aws:iam::{B}:user/eve", f"arn:aws:iam::{M}:user/max"
SLR = f"arn:aws:iam::{A}:role/aws-service-role/config.amazonaws.com/AWSServiceRoleForConfig"
STRANGER, STRANGE_ROLE = f"arn:aws:iam::{X}:user/sue", f"arn:aws:iam::{X}:role/Sea"
IDS = {ANA: "AIDAANAANAANAANAANAAA", BO: "AIDABOBOBOBOBOBOBOBOB", DEP: "AROADEPDEPDEPDEPDEPDE", OPS: "AROAOPSOPSOPSOPSOPSOP",
       EVE: "AIDAEVEEVEEVEEVEEVEEV", MAX: "AIDAMAXMAXMAXMAXMAXMA"}  # fmt: skip
RUN1, RUN2 = f"arn:aws:sts::{A}:assumed-role/Dep/run1", f"arn:aws:sts::{A}:assumed-role/Dep/run2"
BUCKET, BUCKET_B = "arn:aws:s3:::bkt", "arn:aws:s3:::bktB"
QUEUE = f"arn:aws:sqs:eu-west-1:{A}:queue"
KEY = f"arn:aws:kms:eu-west-1:{A}:key/00000000-0000-0000-0000-000000000001"
RESOURCES = {
    "s3:GetObject": (f"{BUCKET}/ana", f"{BUCKET}/red", f"{BUCKET_B}/x", "arn:aws:s3:::other/x"),
    "s3:PutObject": (f"{BUCKET}/ana", f"{BUCKET}/red", f"{BUCKET_B}/x"),
    "sqs:SendMessage": (QUEUE,),
    "kms:Decrypt": (KEY,),
    "sts:AssumeRole": (DEP, OPS),
}
OWNERS = {BUCKET: A, BUCKET_B: B, QUEUE: A, KEY: A, DEP: A, OPS: B}
TEAM, ENV = "aws:PrincipalTag/team", "aws:ResourceTag/env"
VALUES: Mapping[str, tuple[str, ...]] = {  # of keys that a request gives
    "aws:SourceVpce": ("vpce-1", "vpce-9"),
    "aws:SourceIp": ("198.51.100.7", "10.0.0.1"),
    "aws:ViaAWSService": ("true", "false"),
    "aws:SourceAccount": (A, X),
    "aws:SecureTransport": ("true", "false"),
    "s3:prefix": ("a", "b"),
    "aws:RequestTag/k": ("v",),
}
OF_POLICIES: Mapping[str, tuple[str, ...]] = {
    **VALUES,
    TEAM: ("red", "blue"),
    "aws:PrincipalOrgID": ("o-1", "o-2"),
    "aws:PrincipalArn": (ANA, DEP, f"arn:aws:iam::{A}:*", "arn:aws:iam::*:role/*"),
    "aws:PrincipalAccount": (A, B, X),
    "aws:userid": (f"{IDS[DEP]}:*", f"{IDS[DEP]}:run1", IDS[ANA]),
    "aws:username": ("ana", "bo"),
    "aws:MultiFactorAuthPresent": ("true", "false"),
    "aws:ResourceAccount": (A, B),
    "aws:ResourceOrgID": ("o-1", "${aws:PrincipalOrgID}"),
    "aws:PrincipalIsAWSService": ("true", "false"),
    ENV: ("prod", "dev"),
}
_BOOLS = ("aws:ViaAWSService", "aws:SecureTransport", "aws:MultiFactorAuthPresent", "aws:PrincipalIsAWSService")
EVERYTHING = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
_ACTIONS: tuple[Any, ...] = (
    "*",
    "s3:*",
    "s3:GetObject",
    ["s3:GetObject", "sqs:*"],
    "kms:*",
    "sts:*",
    "s3:Get*",
    "sqs:SendMessage",
)
_SETS_OF_ACTIONS = (["s3:GetObject"], ["s3:GetObject", "s3:PutObject"], ["sqs:SendMessage"], ["kms:Decrypt"], list(RESOURCES))
_SETS_OF_RESOURCES: tuple[Any, ...] = (
    f"{BUCKET}/*", [f"{BUCKET}/*", f"{BUCKET_B}/*"], [QUEUE, KEY, f"{BUCKET}/ana"], "known", f"account:{A}",
)  # fmt: skip
_ONE_ACTION = {"s3": "s3:GetObject", "sqs": "sqs:SendMessage", "kms": "kms:Decrypt"}
_ISSUED = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Caller:
    """A principal as an engine is asked, with what the universe knows of it."""

    principal: Any
    names: tuple[str, ...]
    kind: str
    account: str | None
    keys: dict[str, str] = field(default_factory=dict)


class SmallWorld:
    """A random organization with an invariant.

    Attributes
    ----------
    requests
        the resources that are asked about, by action.
    actions
        those of a statement.
    values, of_policies
        of keys that a request gives, and that policies read.
    keys
        those that the policies of this world read.
    """

    requests: Mapping[str, tuple[str, ...]] = RESOURCES
    actions: Sequence[Any] = _ACTIONS
    values: Mapping[str, tuple[str, ...]] = VALUES
    of_policies: Mapping[str, tuple[str, ...]] = OF_POLICIES

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.keys = self._draw_keys()
        self.trust_tags = self.random.random() < 0.5
        self.tags = {arn: {"team": self.random.choice(["red", "blue"])} for arn in (ANA, DEP) if self.random.random() < 0.6}
        self._steps: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self._draw_directory()
        self.engine = self._directory().compile()

    def _draw_keys(self) -> list[str]:
        return self.random.sample(sorted(self.of_policies), 6)

    # -- policies -----------------------------------------------------------------------------------------------------

    def _maybe(self, chance: float) -> bool:
        return self.random.random() < chance

    def _condition(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key in self.random.sample(self.keys, self.random.choice([0, 0, 1, 1, 2])):
            found.setdefault(*self.entry(key))
        return found

    def entry(self, key: str) -> tuple[str, dict[str, Any]]:
        """Return an operator with a key and values."""
        draw, values = self.random, list(self.of_policies[key])
        if self._maybe(0.2):
            return "Null", {key: draw.choice(["true", "false"])}
        chosen = draw.sample(values, draw.randint(1, min(2, len(values))))
        suffix = "IfExists" if self._maybe(0.3) else ""
        if key == "aws:SourceIp":
            return draw.choice(["IpAddress", "NotIpAddress"]) + suffix, {key: draw.choice(["10.0.0.0/8", "198.51.100.0/24"])}
        if key in _BOOLS:
            return "Bool" + suffix, {key: chosen[0]}
        if key == "aws:PrincipalArn":
            return draw.choice(["ArnLike", "ArnNotLike", "StringLike", "StringNotLike"]) + suffix, {key: chosen}
        if key == "aws:userid":
            return draw.choice(["StringLike", "StringNotLike"]) + suffix, {key: chosen}
        operators = ["StringEquals", "StringNotEquals", "StringLike", "StringNotEqualsIgnoreCase"]
        if key == "aws:RequestTag/k" and self._maybe(0.5):
            quantifier = draw.choice(["ForAllValues:StringEquals", "ForAnyValue:StringEquals"])
            return quantifier, {"aws:TagKeys": draw.choice([["k"], ["other"]])}
        if self._maybe(0.15) and key.startswith("aws:"):
            qualifier = draw.choice(["ForAllValues:", "ForAnyValue:"])
            return qualifier + draw.choice(operators), {key: chosen}
        return draw.choice(operators) + suffix, {key: chosen}

    def _statement(self, *, allow: float, resources: bool = True) -> dict[str, Any]:
        draw = self.random
        found: dict[str, Any] = {"Effect": "Allow" if self._maybe(allow) else "Deny"}
        actions = draw.choice(self.actions)
        found["NotAction" if self._maybe(0.12) else "Action"] = actions
        if resources:
            names = ["*", "*", f"{BUCKET}/*", f"{BUCKET}/ana", f"{BUCKET}/${{aws:username}}", f"{BUCKET}/${{{TEAM}}}", QUEUE,
                     "arn:aws:s3:::*", f"arn:aws:*:*:{A}:*"]  # fmt: skip
            found["NotResource" if self._maybe(0.12) else "Resource"] = draw.choice(names)
        condition = self._condition()
        return found | ({"Condition": condition} if condition else {})

    def _document(self, *, allow: float = 0.7, least: int = 1) -> dict[str, Any]:
        n = self.random.randint(least, 2)
        return {"Version": "2012-10-17", "Statement": [self._statement(allow=allow) for _ in range(n)]}

    def _principal(self) -> Any:
        return self.random.choice(
            [
                "*", {"AWS": "*"}, {"AWS": A}, {"AWS": [B, ANA]}, {"AWS": DEP}, {"AWS": RUN1}, {"AWS": ANA}, {"AWS": X},
                {"AWS": STRANGER}, {"Service": "sns.amazonaws.com"}, {"AWS": f"arn:aws:sts::{A}:federated-user/fay"},
                {"AWS": IDS[EVE]},
            ]
        )  # fmt: skip

    def _of_resource(self, arn: str) -> dict[str, Any]:
        statements = []
        for _ in range(self.random.randint(1, 3)):
            one = self._statement(allow=0.65, resources=False)
            one["Resource"] = [arn, f"{arn}/*"] if arn.startswith("arn:aws:s3") else "*"
            service = arn.split(":")[2]
            one.pop("NotAction", None)
            one["Action"] = self.random.choice([f"{service}:*", _ONE_ACTION[service]])
            if one["Effect"] == "Deny" and self._maybe(0.35):
                levels = [[ANA, f"arn:aws:iam::{A}:root"], [DEP, RUN1, f"arn:aws:iam::{A}:root"], [f"arn:aws:iam::{A}:root"]]
                one["NotPrincipal"] = {"AWS": self.random.choice(levels)}
            else:
                one["Principal"] = self._principal()
            statements.append(one)
        return {"Version": "2012-10-17", "Statement": statements}

    def _trust(self) -> dict[str, Any]:
        actions = ["sts:AssumeRole", "sts:TagSession"] if self.trust_tags else ["sts:AssumeRole"]
        one: dict[str, Any] = {"Effect": "Allow", "Principal": {"AWS": self.random.choice([A, B, ANA])}, "Action": actions}
        condition = self._condition()
        return {"Version": "2012-10-17", "Statement": [one | ({"Condition": condition} if condition else {})]}

    def _add(self, method: str, *arguments: Any, **options: Any) -> None:
        self._steps.append((method, arguments, options))

    def _directory(self) -> fastiam.Directory:
        made = fastiam.Directory("lenient")
        for method, arguments, options in self._steps:
            getattr(made, method)(*arguments, **options)
        return made

    def _guard(self, scps: dict[str, Any], rcps: dict[str, Any]) -> None:
        """Add SCPs and RCPs that a kind of world has."""

    def _draw_directory(self) -> None:
        scps: dict[str, Any] = {}
        rcps: dict[str, Any] = {}
        for place in ("r-1", "ou-a", A):
            if self._maybe(0.35):
                scps[place] = [self._document(allow=0.3)] if self._maybe(0.2) else [EVERYTHING, self._document(allow=0.2)]
            if self._maybe(0.25):
                statement = {**self._statement(allow=0.0), "Principal": "*"}
                rcps[place] = [{"Version": "2012-10-17", "Statement": [statement]}]
        self._guard(scps, rcps)
        self._add(
            "set_organization", "o-1", management_account=M, organizational_units={"ou-a": "r-1", "ou-b": "r-1"},
            accounts={A: "ou-a", B: "ou-b"}, scps=scps, rcps=rcps,
        )  # fmt: skip
        for arn in (ANA, BO, DEP, EVE, OPS, MAX):
            options: dict[str, Any] = {"identity_policies": [self._document()] if self._maybe(0.75) else []}
            if arn in (DEP, OPS):
                options["trust_policy"] = self._trust()
            if arn != MAX and self._maybe(0.2):
                options["permissions_boundary"] = self._document(allow=0.85)
            self._add("add_principal", arn, unique_id=IDS[arn], tags=self.tags.get(arn, {}), **options)
        self.has_slr = self._maybe(0.3)
        if self.has_slr:
            self._add("add_principal", SLR, identity_policies=[self._document()])
        for arn in (BUCKET, BUCKET_B, QUEUE, KEY):
            policy = self._of_resource(arn) if self._maybe(0.8) else None
            tags = {"env": "prod"} if self._maybe(0.3) else {}
            self._add("add_resource", arn, account=OWNERS[arn], policy=policy, tags=tags)
        self.has_endpoint = self._maybe(0.4)
        if self.has_endpoint:
            one = {**self._statement(allow=0.8), "Principal": self.random.choice(["*", {"AWS": A}])}
            self._add("add_endpoint", "vpce-1", policy={"Version": "2012-10-17", "Statement": [one]})

    # -- the universe -------------------------------------------------------------------------------------------------

    def callers(self) -> Iterator[Caller]:
        """Yield the principals with a record in each of their credentials, services and the unsigned caller."""
        for arn in (f"arn:aws:iam::{A}:root", f"arn:aws:iam::{B}:root", ANA, BO, EVE, MAX):
            account = arn.split(":")[4]
            kind = "ROOT" if arn.endswith(":root") else "USER"
            yield Caller(arn, (arn,), kind, account)
            for mfa in (None, _ISSUED):
                yield Caller(fastiam.Session(arn, kind=kind, issuer=arn, issued_at=_ISSUED, mfa_at=mfa), (arn,), kind, account)
            for name in ("fay", "fred"):
                federated = f"arn:aws:sts::{account}:federated-user/{name}"
                session = fastiam.Session(federated, kind="FED", issuer=arn, policies=[EVERYTHING], issued_at=_ISSUED)
                yield Caller(session, (federated, arn), "FED", account)
        for role, names in ((DEP, ("run1", "run2")), (OPS, ("run1",)), (SLR, ("run1",))):
            if role == SLR and not self.has_slr:
                continue
            account = role.split(":")[4]
            tagged = [{"team": "red"}, {"team": "blue"}] if self.trust_tags or role == SLR else []
            for name, tags, mfa in itertools.product(names, [{}, *tagged], (None, "false")):
                arn = f"arn:aws:sts::{account}:assumed-role/{role.rpartition('/')[2]}/{name}"
                session = fastiam.Session(
                    arn, kind="SLR" if role == SLR else "ROLE", issuer=role, tags=tags, issued_at=_ISSUED,
                    context={"aws:MultiFactorAuthPresent": mfa},
                )  # fmt: skip
                yield Caller(session, (arn, role), "SLR" if role == SLR else "ROLE", account)
        for service in ("sns.amazonaws.com", "zq0.amazonaws.com"):
            yield Caller(service, (service,), "SVC", None)
        yield Caller("*", ("*",), "ANON", None)

    def strangers(self) -> Iterator[Caller]:
        """Yield principals of an account without a record, whose own policies allow everything."""
        for arn in (STRANGER, f"arn:aws:iam::{X}:user/sam", f"arn:aws:iam::{X}:root"):
            yield Caller(arn, (arn,), "ROOT" if arn.endswith("root") else "USER", X)
        arn = f"arn:aws:sts::{X}:assumed-role/Sea/run1"
        for tags in ({}, {"team": "red"}, {"team": "blue"}):
            session = fastiam.Session(arn, kind="ROLE", issuer=STRANGE_ROLE, tags=tags, issued_at=_ISSUED)
            yield Caller(session, (arn, STRANGE_ROLE), "ROLE", X)

    def engine_with_strangers(self) -> fastiam.Engine:
        """Return an engine that has records of the strangers."""
        made = self._directory()
        for arn in (STRANGER, f"arn:aws:iam::{X}:user/sam", STRANGE_ROLE):
            made.add_principal(arn, identity_policies=[EVERYTHING])
        return made.compile()

    def contexts(self, caller: Caller) -> Iterator[dict[str, Any]]:
        """Yield what AWS can send with requests of a caller, for the keys that policies read."""
        read = [key for key in self.values if key in self.keys]
        choices = [[(key, value) for value in self.values[key]] + [(key, None)] for key in read]
        for chosen in itertools.product(*choices):
            context = {key: value for key, value in chosen if value is not None}
            if self._is_sent(caller, context, read):
                if "aws:RequestTag/k" in context:
                    context["aws:TagKeys"] = ["k"]
                elif "aws:RequestTag/k" in read:  # a call that removes tags
                    yield {**context, "aws:TagKeys": ["k"]}
                yield context

    @staticmethod
    def _is_sent(caller: Caller, context: Mapping[str, Any], read: list[str]) -> bool:
        if "aws:SecureTransport" in read and "aws:SecureTransport" not in context:
            return False
        if "aws:SourceAccount" in context and caller.kind != "SVC":
            return False
        via = context.get("aws:ViaAWSService")
        if "aws:ViaAWSService" in read and via is None or via == "true" and caller.kind in ("SVC", "ANON"):
            return False
        if "aws:SourceVpce" in context and "aws:SourceIp" in context:
            return False
        if "aws:SourceIp" in read and "aws:SourceIp" not in context and "aws:SourceVpce" not in context:
            if "aws:SourceVpce" not in read and caller.kind != "ANON":
                return True  # through an endpoint, whose key no policy reads
            return caller.kind in ("SVC", "SLR") or via == "true" or "aws:ViaAWSService" not in read and caller.kind != "ANON"
        return True

    # -- invariants ---------------------------------------------------------------------------------------------------

    def invariant(self) -> dict[str, Any]:
        """Return a random scope."""
        draw = self.random
        principals = ["everyone", f"account:{A}", ANA, DEP, "organization", "outside", "anonymous", "services", "kind:USER", RUN1,
                      ["anonymous", "outside"], f"arn:aws:iam::{A}:role/*"]  # fmt: skip
        found: dict[str, Any] = {"principals": draw.choice(principals)}
        if self._maybe(0.3):
            found["except"] = draw.choice([DEP, [f"account:{M}", "kind:SLR"], "kind:ROOT", f"arn:aws:iam::{A}:user/*"])
        found["actions"] = draw.choice(_SETS_OF_ACTIONS)
        found["resources"] = draw.choice(_SETS_OF_RESOURCES)
        usable = [key for key in self.keys if key in VALUES or key == TEAM]
        for name in ("given", "only_if"):
            if usable and self._maybe(0.4):
                operator, entry = self.entry(draw.choice(usable))
                if "aws:TagKeys" not in entry and not operator.startswith("For"):
                    found[name] = {operator: entry}
        return found

    def scope_near(self, row: tuple[Caller, str, str, Mapping[str, Any]]) -> dict[str, Any]:
        """Return a scope of few requests, one of them this one: of its principal, action and resource, with some of its keys."""
        caller, action, arn, context = row
        words = {"ANON": "anonymous", "SVC": "services"}
        principal = words.get(caller.kind, "outside" if caller.account == X else caller.names[-1])
        given: dict[str, Any] = {}
        for key in self.keys:
            if key in VALUES and self._maybe(0.8):
                value = context.get(key)
                operator = "StringEquals" if value is not None else "Null"
                if key == "aws:SourceIp" and value is not None:
                    operator = "IpAddress"
                given.setdefault(operator, {})[key] = "true" if value is None else value
        resources = arn if self._maybe(0.7) or not arn.startswith(f"{BUCKET}/") else f"{BUCKET}/*"
        found = {"principals": principal, "actions": [action], "resources": resources}
        return {**found, "given": given} if given else found

    def has_principal(self, words: Any, caller: Caller) -> bool:
        """Whether a set contains a caller."""
        for word in [words] if isinstance(words, str) else words or ():
            is_member = caller.account in (A, B, M)
            if (
                word == "everyone"
                or word == "anonymous" and caller.kind == "ANON"
                or word == "services" and caller.kind == "SVC"
                or word == "organization" and is_member
                or word == "outside" and caller.account == X
                or word == f"account:{caller.account}"
                or word == f"kind:{caller.kind}"
                or word.startswith("arn:") and any(fnmatchcase(name, word) for name in caller.names)
            ):  # fmt: skip
                return True
        return False

    @staticmethod
    def has_resource(words: Any, arn: str, caller: Caller) -> bool:
        """Whether a set contains a resource; one without a record belongs to the account of the caller."""
        recorded = (account for start, account in OWNERS.items() if arn == start or arn.startswith(f"{start}/"))
        owner = next(recorded, caller.account if caller.account in (A, B, M) else None)
        if owner is None:
            return False
        given = [words] if isinstance(words, str) else words
        return any(word in ("known", f"account:{owner}") or word.startswith("arn:") and fnmatchcase(arn, word) for word in given)
