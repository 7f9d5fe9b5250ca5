"""Directories of the fuzz generator, and requests over them: each policy is aimed at one of the requests that it applies to."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence

import generator_names as v
from policy_generators import Maker, Target
from request_generators import (
    KINDS,
    LISTS,
    Json,
    account_of,
    aimed,
    declare_unknown,
    is_trust,
    keys_in,
    long_statement_list,
    principal_of_kind,
    resource_account,
    unreadable,
)

ENTITIES: tuple[tuple[str, str | None], ...] = (
    (v.ANA, v.AIDA), (v.BO, None), (v.DEP, v.AROA), (v.PLAIN_ROLE, None), (v.LINKED, None), (v.BEN, None), (v.WORK, None),
    (v.XIA, None), (v.MIA, None),
)  # fmt: skip
STORED = (
    (v.BUCKET, v.A), ("arn:aws:s3:::bkt2", v.B), (v.QUEUE, v.A), (v.KEY, v.A), (v.KEY_B, v.B), (v.TOPIC, v.A), (v.FUNCTION, v.A),
    (f"{v.FUNCTION}:live", v.A), (v.TABLE, v.A), (f"{v.TABLE}/stream/s", v.A), (v.GROUP, v.A), (v.SECRET, v.A),
)  # fmt: skip
RARE = ((v.ACCESS_POINT, v.A),)  # where it is stored, the governing resource of an object is found in another way
SHARES = {arn: 0.75 for arn, _ in STORED} | {arn: 0.3 for arn, _ in RARE}
PLACES = [(action, arn) for _, actions, arns in v.SCENES for action in actions for arn in arns if arn in {*SHARES, *v.ROLES}]
CONTRADICTIONS = ({"aws:username": "zed"}, {"aws:PrincipalAccount": "000000000000"}, {"aws:ResourceAccount": "000000000000"})
TAG = "aws:ResourceTag/env"


def make_directory(rng: random.Random, rows: int) -> dict[str, Json]:
    """A directory with requests over it, each policy aimed at one of the requests that it applies to."""
    make = Maker(rng, lenient=rng.random() < 0.5)
    style = make.rng.choices(list(STYLES), [weight for weight, _ in STYLES.values()])[0]
    make.usual = 0.0 if style == "any" else 0.7
    if make.chance(0.35):  # a truth memoized for one principal, of a key or of a resource, must not reach the next
        make.topic = make.pick(*v.DERIVED_KEYS, *["aws:ResourceTag/env", "aws:ResourceTag/team"] * 8)
    if make.chance(0.4 if make.topic is None else 0.8):
        make.places = tuple(make.rng.sample(PLACES, make.pick(1, 2, 3)))
    make.has_endpoints = style != "bare" and make.chance(0.5)
    make.fixed = make.pick(0, 0.02, 0.3)
    make.listed = make.pick("app:str", *LISTS)
    requests = [STYLES[style][1](make) for _ in range(rows // 2)]
    make.fixed = make.pick(make.fixed, 0.3)  # keys that the first batch does not give (K1)
    requests += [STYLES[style][1](make) for _ in range(rows - len(requests))]
    targets = [Target(kind, r["principal"], r["action"], r["resource"], r["context"] | carried(r)) for kind, r in requests]
    described: dict[str, Json] = {
        "accounts": [{"id": account, "canonical_id": "cafe" + account[:4]} for account in (v.A, v.B, v.X)],
        "principals": [entity(make, arn, unique_id, targets) for arn, unique_id in ENTITIES],
        "groups": [{"name": "eng", "account": v.A, "policies": [fitting(make, targets, kind="identity", count=2)]}],
        "resources": [stored(make, arn, account, targets) for arn, account in (*STORED, *RARE) if make.chance(SHARES[arn])],
    }
    if make.chance(0.75):
        described["organization"] = {"id": "o-1", "management_account": v.M, "accounts": {v.A: "ou-a", v.B: "ou-b"}}
    for name, kind in (("scps", "scp"), ("rcps", "rcp")):
        if make.chance(0.6):
            described[name] = {account: some_levels(make, kind, targets) for account in (v.A, v.B) if make.chance(0.6)}
    if make.has_endpoints:
        described["endpoints"] = [endpoint(make, name, targets) for name in ("vpce-1", "vpce-2")]
    if style == "any" and make.chance(0.35):
        read = keys_in([described, [r for _, r in requests]])
        if "endpoints" in described:
            read += ["aws:SourceVpce"] * 4  # which endpoint it is, decides whose policy (D71)
        declare_unknown(make, [request for _, request in requests], read)
    if style == "bare":
        lay_bare(described)
    for _, request in requests:
        if isinstance(request["principal"], str) and make.chance(0.02):
            request["principal"] = unreadable(make, request["principal"])
    return {
        "mode": "lenient" if make.lenient else "strict",
        "unknown_owner": make.pick("principal", "principal", "deny") if style == "any" else "principal",
        "directory": described,
        "requests": [request for _, request in requests],
    }


def lay_bare(described: dict[str, Json]) -> None:
    """Leave users and roles with policies and boundaries of their own and nothing else: what single calls decide at once."""
    for name in described.keys() - {"accounts", "principals", "groups"}:
        del described[name]


def fitting(make: Maker, targets: Sequence[Target], *, kind: str, count: int = 1) -> Json:
    """A policy with statements for up to `count` of the targets, often with one that allows far more."""
    statements = []
    for target in make.rng.sample(targets, min(count, len(targets))):
        if kind != "rcp" and make.chance(0.85):
            statements.append(make.statement(target, "Allow", 0.95, kind=kind, conditions=0.4))
        if make.chance(0.3):
            statements.append(make.statement(target, "Deny", 0.9, kind=kind))
        if target.resource.count(":") > 5 and kind != "trust" and make.chance(0.3):
            statements.append(make.crossing_deny(target, kind))
    if kind != "rcp" and (not statements or make.chance(0.65)):
        statements.append(broad(make, aimed(make, targets), kind))
    make.rng.shuffle(statements)
    return make.document(statements or [make.statement(aimed(make, targets), "Deny", 0.5, kind=kind)], kind=kind)


def broad(make: Maker, target: Target, kind: str) -> Json:
    statement = make.statement(target, "Allow", 1.0, kind=kind, conditions=0.3)
    for element in ("NotAction", "NotResource"):
        statement.pop(element, None)
    statement["Action"] = make.pick("*", "*:*", "s3:*")
    if kind != "trust":
        statement["Resource"] = make.pick("*", "*", "arn:*")
    return statement


def some_levels(make: Maker, kind: str, targets: Sequence[Target]) -> list[Json]:
    """The SCPs or RCPs of an account: mostly full access, with statements beside it."""
    full = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
    out = []
    for _ in range(make.pick(1, 2, 3)):
        level = [full] if kind == "scp" and make.chance(0.8) else []
        if not level or make.chance(0.5):
            level.append(fitting(make, targets, kind=kind, count=2))
        out.append(level)
    return out


def entity(make: Maker, arn: str, unique_id: str | None, targets: Sequence[Target]) -> Json:
    """A user or role whose policies are aimed at the requests that it makes."""
    own = [
        t
        for t in targets
        if arn in str(t.principal) or (":role/" in arn and f"role/{arn.rsplit('/', 1)[1]}/" in str(t.principal))
    ]
    out: dict[str, Json] = {"arn": arn, "identity_policies": []}
    for _ in range(make.pick(0, 1, 1, 2, 3) if own else 0):
        out["identity_policies"].append(fitting(make, own, kind="identity", count=3))
    if make.chance(0.1):
        out["identity_policies"].append(make.document(long_statement_list(make, own or targets)))
    if make.chance(0.35) and "aws-service-role" not in arn:
        out["permissions_boundary"] = fitting(make, own or targets, kind="boundary", count=4)
    if make.chance(0.6):
        out["tags"] = make.pick({"team": "red"}, {"Team": "us", "role": "Dep"}, {"team": ""}, {"src": v.TOPIC})
    if unique_id:
        out["unique_id"] = unique_id
    if arn == v.BO and make.chance(0.7):
        out["groups"] = ["eng"]
    if ":role/" in arn:
        callers = [t for t in targets if t.resource == arn and is_trust(t)]
        policy = without_strangers(fitting(make, callers or targets, kind="trust", count=4))
        out["trust_policy"] = policy if make.lenient else storable(policy)
    return out


def storable(policy: Json) -> Json:
    """A trust policy that IAM stores: an Allow for identity pools compares the audience (IP51)."""
    statements = policy["Statement"]
    for statement in statements if isinstance(statements, list) else [statements]:
        if isinstance(statement, dict) and v.POOLS in json.dumps(statement.get("Principal", "")):
            condition = statement.get("Condition", {})
            audience = {f"{v.POOLS}:aud": "us-east-1:00000000-0000-4000-8000-000000000000"}
            statement["Condition"] = condition | {"StringEquals": condition.get("StringEquals", {}) | audience}
    return policy


def without_strangers(policy: Json) -> Json:
    """A trust policy that names no role or user that a modelled account lacks (N32)."""
    text = json.dumps(policy)
    for stranger in (v.ROLE_BY_NAME.lower(), v.ROLE_BY_NAME):
        text = text.replace(json.dumps(stranger), json.dumps(v.DEP))
    return json.loads(text)


def stored(make: Maker, arn: str, account: str, targets: Sequence[Target]) -> Json:
    """A resource whose policy is aimed at a request on it or below it."""
    below = [t for t in targets if t.resource.startswith(arn)]
    out: dict[str, Json] = {"arn": arn, "account": account}
    style = make.pick("guards", "guards", "grants", "grants", "fitting", "fitting", None)
    if style == "guards":  # denies alone
        guards = [make.guard(aimed(make, below or targets), "resource") for _ in range(make.pick(1, 2, 3, 4))]
        out["policy"] = make.document(guards, kind="resource")
    elif style == "grants":
        grants = [grant(make, aimed(make, below or targets)) for _ in range(make.pick(1, 1, 2))]
        out["policy"] = make.document(grants, kind="resource")
    elif style == "fitting":
        out["policy"] = fitting(make, below or targets, kind="resource", count=4)
    if make.chance(0.6):
        out["tags"] = make.pick({"env": "a"}, {"env": "red", "team": "b"}, {"env": "ana"})
    if arn == v.BUCKET and make.chance(0.3):
        out["restrict_public_buckets"] = True  # D33
    return out


def grant(make: Maker, target: Target) -> Json:
    """An allow for whom a request comes from, or for the whole account: what else must allow differs (6.4)."""
    statement = make.statement(target, "Allow", 1.0, kind="resource", conditions=0.2)
    account = account_of(target.principal)
    if account is not None:
        issuer = target.principal["session"].get("issuer") if not isinstance(target.principal, str) else None
        statement.pop("NotPrincipal", None)
        names = [make.pick(issuer or target.arn, target.arn, account, v.root_of(account))]
        if make.chance(0.3):  # 3.3: several accounts, or users of several
            names += make.rng.sample(make.pick((v.A, v.B, v.X), v.USERS), make.pick(1, 2))
        statement["Principal"] = {"AWS": make.one_or_list(names)}
    return statement


def endpoint(make: Maker, name: str, targets: Sequence[Target]) -> Json:
    through = [t for t in targets if t.context.get("aws:SourceVpce") == name]
    out: dict[str, Json] = {"id": name, "account": v.A, "gateway": make.chance(0.5)}
    if make.chance(0.8):
        out["policy"] = fitting(make, through or targets, kind="vpce", count=make.pick(3, 8))
    return out


def directory_request(make: Maker) -> tuple[str, dict[str, Json]]:
    """One row: a known principal mostly, sometimes an unknown one or a contradiction (K1)."""
    kind = make.rng.choices(list(KINDS), [weight for weight, _ in KINDS.values()])[0]
    principal = principal_of_kind(make, kind)
    action, resource = make.scene(kind)
    context = fit_context(make, make.context(ad_hoc=False))
    if make.chance(0.3):
        context["aws:SourceVpce"] = make.pick("vpce-1", "vpce-1", "vpce-2", "vpce-9")
    if make.chance(0.02):
        context |= make.pick(*CONTRADICTIONS)
    if kind == "SVC" and make.chance(0.3):
        context["aws:PrincipalServiceNamesList"] = [principal, v.SERVICES[0]]  # N12
    if not isinstance(principal, str) and principal["session"]["kind"] in ("ROLE", "FED", "AROOT", "SLR"):
        fill_session(make, Target(kind, principal, action, resource, context))
    request: dict[str, Json] = {"principal": principal, "action": action, "resource": resource, "context": context}
    if make.chance(0.1):
        request["resource_account"] = make.pick(v.A, v.B)
    return kind, request


def fit_context(make: Maker, context: dict[str, Json]) -> dict[str, Json]:
    """What a request of a directory may say: nothing that is derived, and seldom a tag that a record may contradict (K1)."""
    return {key: value for key, value in context.items() if key not in v.AD_HOC_ONLY and (key != TAG or make.chance(0.3))}


def bare_request(make: Maker) -> tuple[str, dict[str, Json]]:
    """One row of a user or role whose context has only texts and bools: batches decide these in blocks."""
    principal = make.pick(v.ANA, v.ANA, v.BO, v.DEP, v.PLAIN_ROLE)
    kind = "ROLE" if ":role/" in principal else "USER"
    action, resource = make.scene(kind)
    given = make.context(ad_hoc=False) if make.chance(0.4) else {key: make.value_of(key) for key in v.USUAL if make.chance(0.8)}
    if make.listed in v.KEYS and make.chance(0.6):
        given[make.listed] = make.value_of(make.listed)
    context = {k: value for k, value in fit_context(make, given).items() if isinstance(value, (str, bool))}
    if make.chance(0.05):
        context[make.pick(*v.USUAL)] = None  # the key is absent (5.3)
    return kind, {"principal": principal, "action": action, "resource": resource, "context": context}


def layered_request(make: Maker) -> tuple[str, dict[str, Json]]:
    """The same, sometimes in a session, of another account or of none, or through an endpoint; it may set derived keys (K1)."""
    kind, request = bare_request(make)
    if make.chance(0.35):
        kind = make.pick("USER", "ROLE", "ROLE", "ROLE", "SVC", "ANON")
        request["principal"] = principal_of_kind(make, kind)
    if make.has_endpoints and make.chance(0.5):
        request["context"]["aws:SourceVpce"] = make.pick(*["vpce-1"] * 5, *["vpce-2"] * 3, "vpce-9")
    if make.chance(make.fixed):
        request["context"] |= fixed_key(make, request)
    if not isinstance(request["principal"], str):
        fill_session(make, Target(kind, **request))
    return kind, request


def fixed_key(make: Maker, request: dict[str, Json]) -> dict[str, Json]:
    """A key of which the value follows from principal or resource, mostly with this value (K1)."""
    account = account_of(request["principal"]) or v.A
    owner = resource_account(request["resource"]) or v.A
    name = str(request["principal"]).rpartition("/")[2]
    key, value = make.pick(
        ("aws:username", name), ("aws:PrincipalAccount", account), ("aws:ResourceAccount", owner), ("aws:PrincipalOrgID", "o-1"),
        ("aws:ResourceOrgID", "o-1"), ("aws:PrincipalTag/team", "red"), ("aws:PrincipalType", "User"),
        ("aws:RequestedRegion", "us-east-1"), (TAG, "red"), (TAG, "a"),
    )  # fmt: skip
    return {key: value if make.chance(0.9) else make.pick("zed", v.B, "o-2")}


# style -> weight and what writes its requests: `bare` has only principal policies, `layered` what batches decide in blocks
STYLES = {"bare": (25, bare_request), "layered": (40, layered_request), "any": (35, directory_request)}


def fill_session(make: Maker, target: Target) -> None:
    """Give a session what it may have: policies, tags, keys of its own (5.3)."""
    session = target.principal["session"]
    if make.chance(0.5 if session["kind"] in ("ROLE", "SLR") else 0.9):
        # session policies are read strictly, wherever the session is used
        strict = Maker(make.rng)
        session["policies"] = [fitting(strict, [target], kind="session")]
    if session["kind"] == "ROLE" and make.chance(0.3):
        session["tags"] = make.pick({"team": "us"}, {"TEAM": "ana"})
    if make.chance(0.3 if make.topic is None else 0.5):
        keys = [make.topic] if make.topic in v.CARRIED else make.rng.sample(list(v.CARRIED), make.pick(1, 1, 2))
        session["context"] = {key: make.pick(*v.CARRIED[key]) for key in keys}


def carried(request: Json) -> dict[str, Json]:
    """The keys that the session of a request carries."""
    return {} if isinstance(request["principal"], str) else request["principal"]["session"].get("context", {})
