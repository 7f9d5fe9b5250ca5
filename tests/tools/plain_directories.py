"""Directories of plain statements: few names, conditions and values, which come again and again in all layers.

Batches decide nearly all of these rows in blocks, with deny filters, memos of truths, principal hints and templates. What differs
from case to case is which layers there are, which principal requests what, and which columns there are.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import generator_names as v
from plain_names import (
    ALL,
    CALLERS,
    COPIES,
    ENTRIES,
    ENVS,
    FOREIGN,
    FROM_OTHERS,
    GIVEN,
    GONE,
    LENIENT_ENTRIES,
    NARROW,
    OTHER_QUEUES,
    PLACES,
    SECRET_PART,
    STRANGERS,
    TEAMS,
    WITH_VARIABLES,
)
from request_generators import session

Json = Any


def document(*statements: Json) -> Json:
    return {"Version": "2012-10-17", "Statement": list(statements)}


@dataclass
class Plain:
    """The choices of one case, and what writes its documents and rows by them."""

    rng: random.Random
    lenient: bool
    entries: list[tuple[str, str, Json]] = field(default_factory=list)
    callers: list[Json] = field(default_factory=list)
    places: list[tuple[str, str]] = field(default_factory=list)
    columns: dict[str, tuple[Json, ...]] = field(default_factory=dict)
    derived: list[str] = field(default_factory=list)  # columns of keys that follow from the others (K1)
    contradicting: float = 0.0  # the share of rows that contradict, or cannot be read
    organized: bool = False
    bounded: float = 0.25  # the share of users and roles with a boundary
    owned: float = 0.0  # the share of rows that give the account of the resource
    federated: tuple[str, ...] = ()  # providers that trust policies name
    later: list[str] = field(default_factory=list)  # derived columns of the second batch
    narrowness: tuple[float, ...] = (0.0, 0.0, 0.4, 1.0)  # shares of levels that do not allow everything
    granting: bool = False  # policies of resources have many statements
    crowd: bool = False  # many principals differ in name and in nothing else
    openness: float = 0.0  # the share of policies that allow everything: the more there are, the more the others decide

    def __post_init__(self) -> None:
        rng = self.rng
        pool = ENTRIES + LENIENT_ENTRIES if self.lenient else ENTRIES
        self.entries = rng.sample(pool, rng.choice((2, 4, 8, 16)))
        kinds = rng.choices(PLACES, [weight for weight, *_ in PLACES], k=rng.choice((1, 1, 2, 3)))
        home = self.chance(0.5)  # all is in one account
        for _, actions, resources in kinds:
            near = [one for one in resources if not home or not FOREIGN.search(one)]
            self.places += [(rng.choice(actions), rng.choice(near)) for _ in range(rng.choice((1, 2, 4)))]
        wanted = rng.choice((1, 2, 3, 6, 12))
        while len(self.callers) < wanted:
            if not home or not FOREIGN.search(str(one := self.caller())):
                self.callers.append(self.caller() if not home else one)
        read = [key for _, key, _ in self.entries] + [key for key in GIVEN if f"${{{key}}}" in str(self.entries)]
        if any(key.startswith("aws:Vpce") for key in read):
            read.append("aws:SourceVpce")
        likely = {key: 0.3 if "ResourceTag/" in key else 0.85 for key in read}
        names = [key for key in GIVEN if rng.random() < likely.get(key, 0.08)]
        for key in names:
            self.columns[key] = tuple(rng.sample(GIVEN[key], rng.randint(1, len(GIVEN[key]))))
        self.derived = rng.sample(FROM_OTHERS, rng.choice((0, 0, 0, 1, 2, 4)))
        self.contradicting = rng.choice((0, 0, 0.03))
        self.openness = rng.choice((0.2, 0.6, 0.9))
        self.organized = self.chance(0.75)
        self.owned = rng.choice((0.0, 0.0, 0.3))

    def narrow(self, *keys: str) -> None:
        """Conditions are about some keys alone, as far as there are any."""
        self.entries = [one for one in ENTRIES if any(key in str(one) for key in keys)]
        self.entries = self.rng.sample(self.entries, min(4, len(self.entries)))

    def home(self, resources: Sequence[str]) -> None:
        """An organization of two accounts. Its principals request these resources, and mostly may."""
        self.openness, self.organized, self.contradicting = 0.9, True, 0.0
        self.callers = [self.rng.choice((v.ANA, v.BO, v.ANA, v.BEN, *COPIES)) for _ in range(4)]
        self.places = [(self.action_on(resource), resource) for resource in resources]

    def action_on(self, resource: str) -> str:
        """An action that is made for a resource."""
        return str(self.rng.choice(next(actions for _, actions, resources in PLACES if resource in resources)))

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def caller(self) -> Json:
        rng = self.rng
        name = rng.choice(rng.choices(CALLERS, [weight for weight, _ in CALLERS])[0][1])
        if ":assumed-role/" in name and rng.random() < 0.4:
            return self.session_of(name)
        if name == v.ANA and rng.random() < 0.4:
            moments = {"issued_at": "2029-12-31T23:00:00Z"} | ({"mfa_at": "2029-12-31T23:00:00Z"} if rng.random() < 0.7 else {})
            return session(v.ANA, "USER", v.ANA, **moments)
        return name

    def session_of(self, arn: str) -> Json:
        """A session of a role, with tags, keys and policies of its own now and then."""
        rng, name = self.rng, arn.split("/")[1]
        role = next((role for role in (v.DEP, v.PLAIN_ROLE, v.WORK, GONE, v.LINKED) if role.endswith(f"/{name}")), v.DEP)
        made = session(arn, "SLR" if role == v.LINKED else "ROLE", role, issued_at="2029-12-31T00:00:00Z")
        more = made["session"]
        if role != v.LINKED and rng.random() < 0.4:
            more["tags"] = dict(rng.choice(TEAMS))
        if rng.random() < 0.3:
            more["context"] = {key: rng.choice(v.CARRIED[key]) for key in rng.sample(list(v.CARRIED), rng.choice((1, 1, 2)))}
        if rng.random() < 0.4:
            more["policies"] = [self.own_policy()]
        return made

    # -- documents -----------------------------------------------------------------------------------------------------------

    def condition(self, most: int = 4) -> Json:
        made: dict[str, dict[str, Json]] = {}
        for operator, key, values in self.rng.sample(self.entries, min(self.rng.randint(1, most), len(self.entries))):
            made.setdefault(operator, {})[key] = values
        return made

    def statement(self, effect: str, conditional: float, **more: Json) -> Json:
        """About all that is asked for, one action, or some resources; perhaps only all the others."""
        rng = self.rng
        action, resource = rng.choice(self.places)
        made: dict[str, Json] = {"Effect": effect, "Action": rng.choice(("*", "*", f"{action.split(':')[0]}:*", action)), **more}
        about = rng.choice(("all", "all", "all", "one", "like", "others"))
        if rng.random() < 0.1 and (patterns := WITH_VARIABLES.get(action.split(":")[0])):
            return made | {"Resource": rng.choice(patterns)}
        near = (
            resource
            if resource == "*"
            else resource[: rng.randint(len(resource) - len(resource.rpartition(":")[2]), len(resource))] + "*"
        )
        made |= {
            "all": {"Resource": "*"}, "one": {"Resource": resource}, "like": {"Resource": near},
            "others": {"NotResource": [near]},
        }[about]  # fmt: skip
        if "${" in str(made) or rng.random() < conditional:
            made["Condition"] = self.condition()
        return made

    def denies(self, most: int = 3, **more: Json) -> list[Json]:
        made = [self.statement("Deny", 0.95, **more) for _ in range(self.rng.randint(1, most))]
        for deny in made:
            if "Condition" in deny and self.chance(0.5):  # most denies that people write seldom apply
                deny["Condition"] = self.condition(5)
        return made

    def own_policy(self, most: int = 3) -> Json:
        """Everything, everything but some, or what few statements allow."""
        form = "all" if self.chance(self.openness) else self.rng.choice(("but", "but", "few", "few", "few", "none"))
        if form == "none":
            return document({"Effect": "Allow", "Action": "none:*", "Resource": "*"})
        allows = [ALL] if form in ("all", "but") else [self.statement("Allow", 0.4) for _ in range(self.rng.randint(1, most))]
        made = allows + (self.denies(most) if form == "but" or self.chance(0.3) else [])
        self.rng.shuffle(made)
        return document(*made)

    def levels(self) -> list[Json]:
        """SCPs of up to three levels, some of which do not allow everything."""
        rng, made = self.rng, []
        narrow = rng.choice(self.narrowness)
        for _ in range(rng.choice((1, 2, 3, 3))):
            allow = ALL
            if rng.random() < narrow:
                allow = {"Effect": "Allow", "Action": "*", "Resource": rng.choice(NARROW)}
                if rng.random() < 0.4 or allow["Resource"] == "*":
                    allow["Condition"] = self.condition(2)
            some = [document(allow, *([self.statement("Allow", 0.3)] if allow is not ALL and self.chance(0.5) else []))]
            if self.chance(0.4):
                some.append(document(*self.denies()))
            made.append(some)
        return made

    def principal_element(self) -> Json:
        """One of the forms of 3.2: mostly of one or few principals, which batches compare at once."""
        rng = self.rng
        asking = [one if isinstance(one, str) else one["session"]["arn"] for one in self.callers]
        known = [one for one in asking if one.count(":") > 4 and "-provider/" not in one]
        roles = [role for role in v.ROLES if any(f"assumed-role/{role.rsplit('/', 1)[1]}/" in one for one in asking)]
        named = [*known, *roles, *roles, v.BO, v.BEN, v.DEP, v.WORK, f"arn:aws:iam::{v.A}:user/u1"]
        services = [one for one in asking if one.endswith(".amazonaws.com") and one != v.POOLS] or [*v.SERVICES]
        accounts = [v.A, v.B, v.X, v.root_of(v.A), v.root_of(v.B)]
        return rng.choice((
            lambda: {"AWS": rng.choice(named)}, lambda: {"AWS": rng.choice(named)}, lambda: {"AWS": rng.sample(named, 2)},
            lambda: {"AWS": rng.choice(accounts)}, lambda: {"AWS": rng.sample(accounts, 2)},
            lambda: {"AWS": [rng.choice(accounts), rng.choice(named)]}, lambda: {"Service": rng.choice(services)},
            lambda: {"Service": rng.choice(services), "AWS": rng.choice((*named, *accounts))}, lambda: "*", lambda: {"AWS": "*"},
        ))()  # fmt: skip

    def resource_policy(self) -> Json | None:
        form = "open" if self.chance(self.openness / 2) else self.rng.choice((None, "denies", "grants", "grants", "many"))
        if self.granting and self.chance(0.8):
            form = "many"
        if form is None:
            return None
        made = self.denies(Principal="*") if form == "denies" or self.chance(0.3) else []
        if form == "open":
            made.append(
                {
                    "Effect": "Allow",
                    "Principal": self.rng.choice(("*", {"AWS": v.A}, {"AWS": "*"})),
                    "Action": "*",
                    "Resource": "*",
                }
            )
        elif form != "denies":
            n = self.rng.choice((1, 2, 3)) if form == "grants" else self.rng.choice((6, 12, 24, 40))
            conditional = self.rng.choice((0.2, 0.8))
            made += [self.statement("Allow", conditional, Principal=self.principal_element()) for _ in range(n)]
            made += [self.statement("Deny", 0.5, Principal=self.principal_element())] * self.chance(0.3)
        return document(*made)

    def endpoint_policy(self) -> Json | None:
        form = "all" if self.chance(self.openness / 3) else self.rng.choice((None, "but", "few", "few"))
        if form is None:
            return None
        allows = [ALL | {"Principal": "*"}]
        if form == "few":
            who = ["*" if self.chance(0.7) else self.principal_element() for _ in range(self.rng.randint(1, 4))]
            allows = [self.statement("Allow", 0.6, Principal=one) for one in who]
        return document(*allows, *(self.denies(2, Principal="*") if form == "but" or self.chance(0.3) else []))

    def trust_policy(self) -> Json:
        made = []
        for _ in range(self.rng.randint(1, 3)):
            who = self.rng.choice(({"AWS": v.A}, {"AWS": [v.B, v.X]}, {"AWS": v.ANA}, {"AWS": v.BO},
            {"Service": "s3.amazonaws.com"}, {"AWS": v.DEP},
                                   {"Federated": v.SAML}, {"Federated": v.OIDC}))  # fmt: skip
            if self.federated and self.chance(0.6):
                who = {"Federated": self.rng.choice(self.federated)}
            action = "sts:*" if "Federated" in who else self.rng.choice(("sts:*", "sts:AssumeRole", "sts:TagSession"))
            one = {"Effect": "Allow" if self.chance(0.8) else "Deny", "Principal": who, "Action": action}
            if self.chance(0.3):
                one["Condition"] = self.condition(2)
            made.append(one)
        return document(*made)

    # -- directory and rows ----------------------------------------------------------------------------------------------------

    def described(self) -> dict[str, Json]:
        rng = self.rng
        organized: dict[str, Json] = {}
        if self.organized:
            organized["organization"] = {"id": "o-1", "management_account": v.M, "accounts": {v.A: "ou-a", v.B: "ou-b"}}
        if self.chance(0.6):
            organized["scps"] = {account: self.levels() for account in (v.A, v.B) if self.chance(0.8)}
        if self.chance(0.3):
            organized["rcps"] = {
                account: [[document(*self.denies(Principal="*"))] for _ in range(rng.choice((1, 1, 2)))]
                for account in (v.A, v.B) if self.chance(0.7)
            }  # fmt: skip
        if "aws:SourceVpce" in self.columns or self.chance(0.1):
            organized["endpoints"] = [
                {"id": f"vpce-{n}", "account": rng.choice((v.A, v.B)), "gateway": self.chance(0.3)}
                | ({} if (policy := self.endpoint_policy()) is None else {"policy": policy})
                for n in (1, 2)
            ]  # fmt: skip
        return {
            "accounts": [{"id": account, "canonical_id": "cafe" + account[:4]} for account in (v.A, v.B, v.X)],
            "principals": [self.entity(arn) for arn in (v.ANA, v.BO, v.BEN, v.XIA, v.DEP, v.PLAIN_ROLE, v.WORK, v.LINKED)],
            "resources": list(self.stored()),
            **organized,
        }

    def entity(self, arn: str) -> Json:
        made: dict[str, Json] = {
            "arn": arn,
            "identity_policies": [self.own_policy() for _ in range(self.rng.choice((0, 1, 1, 1, 2)))],
        }
        if arn != v.LINKED:
            made["tags"] = dict(self.rng.choice(TEAMS))
            if self.chance(self.bounded):
                made["permissions_boundary"] = self.own_policy()
        if arn in (v.ANA, v.DEP):
            made["unique_id"] = v.AIDA if arn == v.ANA else v.AROA
        if ":role/" in arn:
            made["trust_policy"] = self.trust_policy()
        return made

    def stored(self) -> list[Json]:
        made = []
        for arn, account in _STORED.items():
            if any(resource.startswith(arn) for _, resource in self.places) and self.chance(0.8) or self.chance(0.1):
                one: dict[str, Json] = {"arn": arn, "account": account, "tags": dict(self.rng.choice(ENVS))}
                if (policy := self.resource_policy()) is not None:
                    one["policy"] = policy
                made.append(one)
        return made

    def row(self) -> dict[str, Json]:
        rng = self.rng
        principal, (action, resource) = rng.choice(self.callers), rng.choice(self.places)
        if self.crowd and isinstance(principal, str) and (":assumed-role/" in principal or principal in STRANGERS):
            principal = f"{principal.rpartition('/')[0]}/{rng.choice(('s', 's1', 't', 'u1', 'ana'))}{rng.randrange(9)}"
        elif isinstance(principal, str) and ":assumed-role/" in principal and self.chance(0.1):
            principal = f"{principal}{rng.randrange(9)}"
        if not isinstance(principal, str) and self.chance(0.1):
            principal = self.session_of(principal["session"]["arn"]) if ":assumed-role/" in str(principal) else principal
        context = {
            key: value for key, values in self.columns.items() if (value := rng.choice(values)) is not None or self.chance(0.1)
        }
        known = known_keys(principal, resource, self.organized)
        for key in self.derived:
            if key in known and self.chance(0.7):
                context[key] = known[key]
        if self.chance(self.contradicting):
            context |= rng.choice((
                {"aws:username": "zed"}, {"aws:PrincipalAccount": v.B}, {"aws:ResourceAccount": v.B},
                {"aws:PrincipalOrgID": "o-2"},
                {"aws:ResourceTag/env": "zed"}, {"aws:SourceIp": ["10.0.0.1", "10.0.0.2"]}, {"aws:SourceIp": ["10.0.0.1"]},
                {"aws:SecureTransport": ["true", "false"]},
                {"aws:SecureTransport": ["true"]}, {"aws:PrincipalServiceNamesList": ["s3.amazonaws.com",
                "delivery.logs.amazonaws.com"]},
                {"aws:ResourceOrgID": "o-2"}, {"aws:ResourceOrgID": "o-1"}, {"aws:PrincipalTag/team": "zed"},
            ))  # fmt: skip
        made = {"principal": principal, "action": action, "resource": resource, "context": context}
        if self.chance(self.owned):
            made["resource_account"] = rng.choice((v.A, v.A, v.A, v.B))
        return made


_STORED = {
    v.BUCKET: v.A, "arn:aws:s3:::bkt2": v.B, v.QUEUE: v.A, **{arn: arn.split(":")[4] for arn in OTHER_QUEUES[:4]},
    v.KEY: v.A, v.KEY_B: v.B,
    v.TOPIC: v.A, v.FUNCTION: v.A, f"{v.FUNCTION}:live": v.A, v.TABLE: v.A, v.GROUP: v.A, v.SECRET: v.A,
    f"{SECRET_PART}-ghijkl": v.A,
    v.ACCESS_POINT: v.A,
}  # fmt: skip


def known_keys(principal: Json, resource: str, organized: bool) -> Mapping[str, Json]:
    """What keys hold that follow from principal and resource, where a reader of both would say so."""
    arn = principal if isinstance(principal, str) else principal["session"]["arn"]
    fields = arn.split(":")
    account = fields[4] if len(fields) > 5 else None
    found: dict[str, Json] = {"aws:PrincipalIsAWSService": "true" if account is None and arn.endswith(".com") else "false"}
    found["aws:ViaAWSService"] = "false"
    if account is not None and "-provider/" not in arn:
        found["aws:PrincipalAccount"] = account
        if organized and account in (v.A, v.B):
            found["aws:PrincipalOrgID"] = "o-1"
            found["aws:PrincipalOrgPaths"] = [f"o-1/r-1/ou-{'a' if account == v.A else 'b'}/"]
        if ":user/" in arn:
            found |= {"aws:username": arn.rpartition("/")[2], "aws:PrincipalType": "User", "aws:PrincipalArn": arn}
        elif ":assumed-role/" in arn:
            found |= {"aws:PrincipalType": "AssumedRole", "aws:PrincipalTag/team": "red"}
    owner = resource.split(":")[4] if resource.count(":") > 4 else ""
    owner = owner if owner.isdigit() else _STORED.get(resource.split("/")[0], "")
    if owner:
        found["aws:ResourceAccount"] = owner
        if organized and owner in (v.A, v.B):
            found["aws:ResourceOrgID"] = "o-1"
            found["aws:ResourceOrgPaths"] = [f"o-1/r-1/ou-{'a' if owner == v.A else 'b'}/"]
    return found


def plain_directory(rng: random.Random, rows: int, topic: Callable[[Plain], None] | None = None) -> dict[str, Json]:
    """A directory of plain statements, with requests over it."""
    made = Plain(rng, lenient=rng.random() < 0.4)
    if topic is not None:
        topic(made)
    described = made.described()
    requests = [made.row() for _ in range(rows // 2)]
    made.derived = rng.choice((made.derived, rng.sample(FROM_OTHERS, 2)))  # columns that the first batch does not have (K1)
    if made.later:
        made.derived, made.contradicting = made.later, 0.15
    requests += [made.row() for _ in range(rows - len(requests))]
    return {
        "mode": "lenient" if made.lenient else "strict",
        "unknown_owner": rng.choice(("principal", "principal", "deny")),
        "directory": described,
        "requests": requests,
    }
