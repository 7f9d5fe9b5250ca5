"""Ad-hoc cases of the fuzz generator: principals, unknown keys, and the layers with their policies.

Directories (`directory_generators.py`) have principals and unknown keys from here.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import generator_names as v
from policy_generators import Maker, Target
from value_generators import some_values

Json = Any
NOW = "2030-01-01T00:00:00Z"

# kind -> weight and the layers of its own (6.1)
KINDS: dict[str, tuple[int, tuple[str, ...]]] = {
    "USER": (24, ("identity", "boundary")),
    "TOKEN": (7, ("identity", "boundary")),
    "ROLE": (22, ("identity", "boundary", "session")),
    "SLR": (5, ("identity", "session")),
    "FED": (10, ("identity", "boundary", "session")),
    "FED-ROOT": (3, ("session",)),
    "ROOT": (7, ()),
    "ROOT-TOKEN": (2, ()),
    "AROOT": (4, ("session",)),
    "SVC": (9, ()),
    "ANON": (6, ()),
    "OIDC": (4, ()),
    "SAML": (2, ()),
}


def session(arn: str, kind: str, issuer: str | None, **more: Json) -> Json:
    return {"session": {"arn": arn, "kind": kind, "issuer": issuer, **more}}


def token_mfa(make: Maker) -> dict[str, Json]:
    return {"mfa_at": "2029-12-31T23:00:00Z"} if make.chance(0.7) else {}


def principal_of_kind(make: Maker, kind: str) -> Json:
    """A principal argument of the kind, in one of the forms of 3.1."""
    if kind == "USER":
        return make.pick(v.ANA, v.ANA, v.BO, v.BEN, v.XIA, v.GOV)
    if kind == "TOKEN":
        return session(v.ANA, "USER", v.ANA, issued_at="2029-12-31T23:00:00Z", **token_mfa(make))
    if kind == "ROLE":
        role = make.pick(v.DEP, v.DEP, v.PLAIN_ROLE, v.WORK)
        if make.chance(0.15):
            return role  # N5
        if make.chance(0.15):
            return v.session_arn(role, "run1")  # N6
        return session(v.session_arn(role, make.pick("run1", "run1", "run2")), "ROLE", role, issued_at="2029-12-31T00:00:00Z")
    if kind == "SLR":
        return session(v.session_arn(v.LINKED, "s"), "SLR", v.LINKED)
    if kind == "FED":
        arn = v.federated(v.A, "kio")
        return arn if make.chance(0.35) else session(arn, "FED", v.ANA)  # N4
    if kind == "FED-ROOT":
        return session(v.federated(v.A, "kio"), "FED", v.root_of(v.A))
    if kind in ("ROOT", "AROOT"):
        arn = v.root_of(make.pick(v.A, v.A, v.B, v.X))
        return arn if kind == "ROOT" else session(arn, "AROOT", None)
    if kind == "ROOT-TOKEN":
        return session(v.root_of(v.A), "ROOT", v.root_of(v.A), issued_at="2029-12-31T23:00:00Z", **token_mfa(make))
    return make.pick(
        *{"SVC": v.SERVICES, "ANON": ("*",), "OIDC": (*v.PROVIDERS[1:], *v.PROVIDERS[2:3] * 2), "SAML": (v.SAML,)}[kind]
    )


def unreadable(make: Maker, principal: str) -> str:
    """A text that is almost the principal, and names none (N3)."""
    name = principal.rpartition("/")[2] or principal
    return make.pick(
        f" {principal}", f"{principal} ", f"ARN{principal.removeprefix('arn')}", name.upper(), f"https://{principal}", ""
    )


def account_of(principal: Json) -> str | None:
    arn = principal if isinstance(principal, str) else principal["session"]["arn"]
    parts = arn.split(":")
    return parts[4] if len(parts) > 5 and "-provider/" not in arn else None


def is_trust(target: Target) -> bool:
    """D18."""
    return target.action.lower().startswith("sts:") and ":role/" in target.resource


# -- unknown keys (6.11) ------------------------------------------------------------------------------------------------------

PREFIXES = (
    "*", "*", "aws:*", "app:*", "aws:ResourceTag/*", "aws:RequestTag/*", "aws:PrincipalTag/*", "aws:Source*", "s3:*",
    "aws:Called*", "aws:user*", "iam:ResourceTag/*", "aws:RequestTag/t*", "aws:Multi*", "aws:Principal*", "aws:Vpce*",
)  # fmt: skip
DERIVED_FROM = {
    "aws:SourceOrgID": "aws:SourceAccount", "aws:SourceOrgPaths": "aws:SourceAccount", "aws:ViaAWSService": "aws:CalledVia",
    "aws:CalledViaFirst": "aws:CalledVia", "aws:CalledViaLast": "aws:CalledVia", "aws:VpceOrgID": "aws:SourceVpce",
    "aws:VpceAccount": "aws:SourceVpce", "aws:TagKeys": "aws:RequestTag/x", "aws:EpochTime": "aws:CurrentTime",
    "aws:CurrentTime": "aws:EpochTime", "iam:ResourceTag/env": "aws:ResourceTag/env",
    "iam:ResourceTag/team": "aws:ResourceTag/team",
}  # fmt: skip
_KEY = re.compile(r"[A-Za-z0-9]+:[A-Za-z]+(?:/[A-Za-z]+)?(?=[\"},])")


def keys_in(policies: Json) -> list[str]:
    """The condition keys and variables that occur in the policies, and what their principals read."""
    text = json.dumps(policies)
    found = dict.fromkeys(_KEY.findall(text))
    if v.AIDA in text or v.AROA in text:  # a principal entry reads it (K1)
        found["aws:userid"] = None
    known = {key.lower(): key for key in (*v.KEYS, *v.DERIVED_KEYS, "aws:PrincipalTag/no", "aws:PrincipalTag/role")}
    return list(dict.fromkeys(known[key.lower()] for key in found if key.lower() in known))


def declare_unknown(make: Maker, requests: Sequence[dict[str, Json]], read: list[str]) -> None:
    """Keys that the policies read, or what they are derived from, or prefixes; the requests mostly keep quiet about them."""
    counts = (1, 1, 2, 4) if len(requests) == 1 else (2, 6, 12)  # a batch declares for all of its rows
    unknown = [make.pick(*read) for _ in range(make.pick(*counts))] if read else []
    unknown = [DERIVED_FROM.get(key, key) if make.chance(0.3) else key for key in unknown]
    if not unknown or make.chance(0.3):
        unknown.append(make.pick(*PREFIXES))
    if make.chance(0.1):
        unknown.append(make.pick("aws:SourceVpce", "aws:userid", "aws:PrincipalServiceNamesList", "aws:AssumedRoot"))
    spelled = [key.lower() if make.chance(0.15) else key for key in unknown]
    folded = {key.lower() for key in unknown}
    is_slip = len(requests) == 1 and make.chance(0.02)  # D71: an error of the caller
    starts = tuple(p[:-1] for p in folded if p.endswith("*") and make.chance(0.7))
    for request in requests:
        if not is_slip:
            context = {k: value for k, value in request["context"].items() if k.lower() not in folded}
            request["context"] = {k: value for k, value in context.items() if not k.lower().startswith(starts)}
        if len(requests) == 1 and make.chance(0.05):
            absent = make.pick(*v.KEYS)
            if absent.lower() not in folded:
                request["context"].setdefault(absent, None)
        request["unknown"] = spelled


# -- policies of many statements ------------------------------------------------------------------------------------------


def aimed(make: Maker, targets: Sequence[Target]) -> Target:
    return make.rng.choice(targets)


_OF_TEXTS = ("StringEquals", "StringEquals", "StringEquals", "StringLike", "StringEqualsIfExists")
_TEXTS = tuple(text for text in (*v.VALUES["string"], *v.STRING_PATTERNS) if "$" not in text)
_ARNS = tuple(text for text in (*v.VALUES["arn"], *v.ARN_PATTERNS) if "$" not in text)
# a key by which statements differ -> operators and values
LISTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "app:str": (_OF_TEXTS, v.VALUES["string"]),
    "app:list": (_OF_TEXTS, v.VALUES["string"]),
    "s3:prefix": (("StringLike", "StringLike", "StringEquals"), _TEXTS),
    "aws:SourceIp": (("IpAddress", "IpAddress", "NotIpAddress"), v.RANGES),
    "aws:SourceArn": (("ArnLike", "ArnEquals", "ArnNotLike"), _ARNS),
}


def long_statement_list(make: Maker, targets: Sequence[Target]) -> list[Json]:
    """Far more statements for one principal than people write, most of them for resources nearby."""
    out = []
    make.listed = make.listed or make.pick("app:str", *LISTS)
    key, among, operators, values = make.listed, "ForAnyValue:" if make.listed == "app:list" else "", *LISTS[make.listed]
    share = make.pick(0.05, 0.8)
    for _ in range(make.pick(20, 60)):
        target = aimed(make, targets)
        statement = make.statement(target, "Deny" if make.chance(0.2) else "Allow", 0.9, conditions=0.2)
        if make.chance(0.8):
            statement.pop("NotResource", None)
            statement["Resource"] = make.nearby_resource()
        if make.chance(share):  # they differ in what they ask for
            statement.pop("NotResource", None)
            statement["Resource"] = make.pick("*", target.resource)
            statement["Condition"] = {among + make.pick(*operators): {key: make.pick(*values)}}
        out.append(statement)
    return out


# -- ad-hoc policies -----------------------------------------------------------------------------------------------------------

# `allow`: every layer that is there allows. `explicit`: one layer denies. `implicit`: one layer that is needed does not allow.
# `free`: chance decides. The goal only sets how well the statements fit; what the answer is, the evaluators say.
GOALS, GOAL_WEIGHTS = ("allow", "explicit", "implicit", "free"), (44, 28, 14, 14)
GOAL_FIT = {"allow": 0.95, "explicit": 0.9, "implicit": 0.95, "free": 0.75}
NEEDS_RESOURCE_POLICY = ("kms:", "sts:")


@dataclass
class Layer:
    """How well the statements of one layer are to fit: a chance for its Allows, and for its Denies if it has some."""

    allow: float | None
    deny: float | None = None


def make_ad_hoc(rng: random.Random) -> dict[str, Json]:
    """A case in the form of the case files, without `expect`."""
    make = Maker(rng, lenient=rng.random() < 0.5)
    if make.chance(0.25):
        return value_case(make) if make.chance(0.25) else condition_case(make)
    kind = rng.choices(list(KINDS), [weight for weight, _ in KINDS.values()])[0]
    principal = principal_of_kind(make, kind)
    action, resource = make.scene(kind)
    if principal == v.GOV and make.chance(0.7):  # K6
        action, resource = "iam:ListUsers", make.pick("*", "*", v.GOV)
    context = make.context(ad_hoc=True)
    if make.chance(0.5 if action.endswith("PassRole") else 0.15):
        context["aws:ResourceTag/env"] = make.pick("a", "red")
    if kind == "SVC" and make.chance(0.4):
        context["aws:PrincipalServiceNamesList"] = [principal, v.SERVICES[0]]
    if make.chance(0.2) and account_of(principal) == v.A:
        context["aws:userid"] = v.AIDA if ":user/" in str(principal) else f"{v.AROA}:run1"
        if make.chance(0.4):
            context["aws:UserId"] = f"{v.OLD_ID}:run1"  # C6
    own = account_of(principal)
    owner = make.pick(own, own, own, v.A, v.B) if make.chance(0.5) else None
    target = Target(kind, principal, action, resource, context, owner)
    layers = layers_of(make, kind, target)
    request: dict[str, Json] = {"principal": principal, "action": action, "resource": resource, "context": context, "now": NOW}
    if owner is not None:
        request["resource_account"] = owner
    if isinstance(principal, str) and make.chance(0.02):
        request["principal"] = unreadable(make, principal)
    policies = {argument: value for name in layers for argument, value in written(make, name, layers[name], target)}
    if "identity_policies" in policies and make.chance(0.02):
        policies["identity_policies"].append(make.document(long_statement_list(make, [target])))
    if make.chance(0.35):
        declare_unknown(make, [request], keys_in(policies))
    return {"mode": "lenient" if make.lenient else "strict", "policies": policies, "request": request}


def condition_case(make: Maker) -> dict[str, Json]:
    """A case in which one condition block decides (section 4)."""
    family = make.pick(*dict.fromkeys(family for family, _ in v.KEYS.values()))
    key = make.pick(*(key for key, (its, _) in v.KEYS.items() if its == family))
    context = {key: make.value_of(key)} if make.chance(0.9) else {}
    target = Target("USER", v.ANA, "s3:GetObject", v.OBJECTS[0], context)
    make.given = context
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    tested = {**everything, "Condition": make.condition(target, 0.7)}
    statements = [tested] if make.chance(0.5) else [everything, {**tested, "Effect": "Deny"}]
    request = {"principal": v.ANA, "action": target.action, "resource": target.resource, "context": context, "now": NOW}
    if make.chance(0.2):
        declare_unknown(make, [request], keys_in(statements))
    return {
        "mode": "lenient" if make.lenient else "strict",
        "policies": {"identity_policies": [make.document(statements)]},
        "request": request,
    }


def value_case(make: Maker) -> dict[str, Json]:
    """A case in which one condition of many values decides."""
    names, values, given = some_values(make.rng)
    among = make.pick("", "", "", "ForAnyValue:", "ForAllValues:")
    key = "app:list" if among else "app:str"
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    tested = {**everything, "Condition": {among + make.pick(*names) + make.pick("", "", "IfExists"): {key: values}}}
    statements = [tested] if make.chance(0.5) else [everything, {**tested, "Effect": "Deny"}]
    context = {key: [given() for _ in range(make.pick(0, 1, 1, 2))] if among else given()}
    request = {"principal": v.ANA, "action": "s3:GetObject", "resource": v.OBJECTS[0], "context": context, "now": NOW}
    return {"mode": "lenient", "policies": {"identity_policies": [make.document(statements)]}, "request": request}


def is_condition_case(case: Json) -> bool:
    """Whether one condition block decides: the only one there is."""
    policies, request = case["policies"], case["request"]
    return [*policies] == ["identity_policies"] and (request["principal"], request["resource"]) == (v.ANA, v.OBJECTS[0])


def layers_of(make: Maker, kind: str, target: Target) -> dict[str, Layer]:
    """The layers of a case and how they fit, after its goal."""
    goal = make.rng.choices(GOALS, GOAL_WEIGHTS)[0]
    own = KINDS[kind][1]
    owner = target.account or resource_account(target.resource) or account_of(target.principal)
    foreign = account_of(target.principal) != owner or kind in ("SVC", "ANON", "OIDC", "SAML")
    needs_policy = foreign or target.action.lower().startswith(NEEDS_RESOURCE_POLICY)
    is_special = kind == "FED" or not target.resource.startswith("arn:aws:")  # N4, N16
    chances = {
        "rcp": 0.15, "scp": 0.2, "vpce": 0.12, "resource": 0.93 if needs_policy else 0.6 if is_special else 0.3,
        "identity": 0.93, "boundary": 0.2, "session": 0.93 if kind in ("FED", "AROOT", "FED-ROOT") else 0.2,
    }  # fmt: skip
    if make.lenient and make.chance(0.1):
        own = ("identity", "boundary", "session")  # D6
    common = ("rcp", "scp", "vpce", "resource")
    names = [name for name in chances if (name in own or name in common) and make.chance(chances[name])] or ["resource"]
    fit = GOAL_FIT[goal]
    layers = {name: Layer(fit, 0.2 if make.chance(0.2) else None) for name in names}
    chosen = make.pick(*names)
    if goal == "explicit":
        layers[chosen].deny = 0.97
        if make.chance(0.3):  # D50: of two layers that deny, one is reported
            layers |= {name: Layer(fit, 0.97) for name in make.rng.sample(common, 2)}
    elif goal == "implicit":
        layers[chosen].allow = None if make.chance(0.4) else 0.3
    return layers


def resource_account(resource: str) -> str | None:
    parts = resource.split(":")
    return parts[4] if len(parts) > 5 and parts[4].isdigit() else None


ARGUMENTS = {
    "rcp": "rcps", "scp": "scps", "vpce": "vpc_endpoint_policies", "resource": "resource_policy", "identity": "identity_policies",
    "boundary": "permissions_boundary", "session": "session_policies",
}  # fmt: skip


def written(make: Maker, name: str, layer: Layer, target: Target) -> list[tuple[str, Json]]:
    """The layer as an argument of `simulate`."""
    argument = ARGUMENTS[name]
    if name in ("scp", "rcp"):
        return [(argument, levels(make, name, layer, target))]
    kind = name if name != "resource" or not is_trust(target) else "trust"
    if name == "resource":
        return [(argument, make.policy(target, allow=layer.allow, deny=layer.deny, kind=kind))]
    if make.chance(0.02):
        return [(argument, [])]
    return [(argument, policies(make, kind, layer, target, count=3 if name == "identity" else 2))]


def policies(make: Maker, kind: str, layer: Layer, target: Target, count: int) -> list[Json]:
    """One to `count` policies, of which one carries what the layer is to say."""
    out = [make.policy(target, allow=layer.allow, deny=layer.deny, kind=kind)]
    while len(out) < count and make.chance(0.25):
        out.append(make.policy(target, allow=0.5, deny=None, kind=kind))
    make.rng.shuffle(out)
    return out


def levels(make: Maker, kind: str, layer: Layer, target: Target) -> list[Json]:
    """One to three levels; the Deny of the layer is at one of them, and only one is spoiled."""
    n = 0 if make.chance(0.02) else make.pick(1, 2, 2, 3)
    special = make.rng.randrange(n or 1)
    out = []
    for level in range(n):
        usual = Layer(0.97 if layer.allow is None or layer.allow < 0.5 else layer.allow)
        here = layer if level == special else usual
        if make.chance(0.02):
            out.append([])
        elif kind == "scp" and here.allow is not None and make.chance(0.5):
            full = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
            more = [make.policy(target, allow=None, deny=here.deny, kind=kind)] if here.deny is not None else []
            out.append([full, *more])
        else:
            out.append(policies(make, kind, here, target, count=2))
    return out
