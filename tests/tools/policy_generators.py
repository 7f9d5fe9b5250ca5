"""The fuzz generator: mostly well-typed policies, each aimed at a request.

`ad_hoc(seed)` gives a case with the arguments of `fastiam.simulate`. `directory(seed)` gives a directory and a batch of requests
over it. Both are plain data in the form of the case files, so that what is found can be shrunk and kept. Plain `random` with
a seed is used for speed; `ad_hoc_cases` and `directories` wrap it for hypothesis.

A statement is written for a target request: each of its elements matches it with probability `fit`. A case has a goal (allow,
deny, spoil one layer, or nothing) that sets `fit` per statement, so that every outcome is frequent.
"""

from __future__ import annotations

import json
import random
import re
from functools import partial
from typing import Any

import generator_names as v
import resource_forms as forms
from condition_generators import ConditionMaker, Target
from hypothesis import strategies as st

Json = Any


class Maker(ConditionMaker):
    """Writes statements and documents, each aimed at a request."""

    # -- actions (A1 to A7) --------------------------------------------------------------------------------------------

    def action(self, action: str, fit: float) -> str:
        if self.lenient and self.chance(0.06):
            return str(self.pick(*v.BAD_ACTIONS))
        if not self.chance(fit):
            return str(self.pick(*v.OTHER_ACTIONS))
        prefix, name = action.split(":")
        cut = self.rng.randint(1, len(name))
        at = self.rng.randrange(len(name))
        return str(
            self.pick(
                action,
                action,
                action.upper(),
                f"{prefix}:{name[:cut]}*",
                f"{prefix}:*{name[at:]}",
                f"{prefix}:*",
                "*",
                "**",
                f"{prefix}:{name[:at]}?{name[at + 1 :]}",
                f"*:{name}",
                f"{prefix[:1]}*:{name[:1]}*",
                f"{prefix}:{name[:at]}*{name[at:]}",
            )  # fmt: skip
        )

    def actions(self, statement: dict[str, Json], target: Target, fit: float) -> None:
        if self.chance(0.12):
            inside = self.chance(1 - fit)
            entries = [self.action(target.action, 1.0 if inside else 0.0)]
            entries += [self.pick(*v.OTHER_ACTIONS)] * self.chance(0.3)
            statement["NotAction"] = [] if self.lenient and self.chance(0.04) else self.one_or_list(entries)
            return
        entries = [self.action(target.action, fit)] + [self.action(target.action, 0.0)] * self.chance(0.25)
        self.crowd(entries, lambda: self.action(self.pick(*v.ALL_ACTIONS), 1.0))
        self.rng.shuffle(entries)
        statement["Action"] = [] if self.chance(0.01) and self.lenient else self.one_or_list(entries)

    # -- resources (R1 to R13, VR) ---------------------------------------------------------------------------------------

    def resource(self, resource: str, fit: float) -> str:
        if self.lenient and self.chance(0.06):
            return str(self.pick(*v.BAD_RESOURCES))
        if not self.chance(fit):
            return str(self.pick(*v.OTHER_RESOURCES))
        if resource == "*":
            return str(self.pick("*", "*", "**", "arn:aws:s3:::*"))
        return self.rng.choice(forms.USUAL if self.chance(self.usual) else forms.ALL)(self, resource)

    def nearby_resource(self) -> str:
        """A pattern for a resource near the requested ones: most fail late, some do match."""
        head, rest = self.pick(*v.ALL_RESOURCES).rsplit(":", 1)
        typed = not self.lenient and re.fullmatch("arn:[^:]*:(iam:.*|s3:[^:]+:.*)", head)  # R7: the type is one that exists
        at = self.rng.randint(rest.find("/") + 1 if typed else 0, len(rest)) if self.chance(0.3) else len(rest)
        return self.resource(f"{head}:{rest[:at]}{self.pick('', '', '1', 'z', '/x', '-team-')}{rest[at:]}", 1.0)

    def resources(self, statement: dict[str, Json], target: Target, fit: float) -> None:
        if self.chance(0.12):
            entries = [self.resource(target.resource, 1.0 if self.chance(1 - fit) else 0.0)]
            if target.resource != "*" and self.chance(0.25):  # an entry that may be U (R5, R9, VR8)
                entries[0] = self.rng.choice((forms.crossing, forms.bridge, forms.short_crossing, forms.inside, forms.variable))(
                    self, target.resource
                )
            statement["NotResource"] = [] if self.lenient and self.chance(0.04) else self.one_or_list(entries)
            return
        entries = [self.resource(target.resource, fit)] + [self.resource(target.resource, 0.0)] * self.chance(0.25)
        self.crowd(entries, self.nearby_resource)
        self.rng.shuffle(entries)
        statement["Resource"] = [] if self.chance(0.03) and self.lenient else self.one_or_list(entries)

    # -- principals (N1 to N24) -------------------------------------------------------------------------------------------

    def principal_entries(self, target: Target) -> list[tuple[str, str]]:
        """Every entry that names the target, by its key in the principal map; `*` stands for the bare star."""
        arn, found = target.arn, [("*", "*"), ("AWS", "*")]
        if target.kind == "SVC":
            return [*found, ("Service", arn), ("Service", v.SERVICES[0])]
        if target.kind in ("OIDC", "SAML"):
            return [*found, ("Federated", arn)]
        if target.kind == "ANON":
            return found
        account = arn.split(":")[4]
        found += [("AWS", account), ("AWS", v.root_of(account)), ("AWS", arn)]
        issuer = None if isinstance(target.principal, str) else target.principal["session"].get("issuer")
        if issuer:
            found += [("AWS", issuer)] * 2
        elif ":federated-user/" in arn:  # N4
            found += [("AWS", v.ANA)] * 5 + [("AWS", v.AIDA)] * 2
        if ":assumed-role/" in arn:
            found += [("AWS", f"arn:aws:iam::{account}:role/{arn.split('/')[1]}"), ("AWS", v.AROA)]
        if ":role/" in arn:
            found += [("AWS", v.session_arn(arn, "run1")), ("AWS", v.AROA)]
        return found + [("AWS", v.AIDA)] * (arn == v.ANA) + [("CanonicalUser", "cafe" + account[:4])]

    OTHERS = (("AWS", v.BO), ("AWS", v.X), ("Service", "ec2.amazonaws.com"), ("AWS", v.ROLE_BY_NAME.lower()), ("AWS", v.OLD_ID),
              ("AWS", v.B), ("AWS", v.BEN), ("AWS", v.XIA), ("AWS", v.WORK),
              ("AWS", v.session_arn(v.DEP, "run9")), ("AWS", v.federated(v.A, "zed")))  # fmt: skip
    BAD = (("AWS", "ana"), ("User", "x"), ("AWS", f"arn:aws:iam::{v.A}:user/*"), ("Federated", v.SAML), ("Service", "*"),
           ("AWS", f"arn:aws:iam::{v.A}:group/g"), ("Federated", "*"))  # fmt: skip

    def principal(self, target: Target, fit: float, *, trust: bool) -> Json:
        entries = [self.pick(*self.principal_entries(target)) if self.chance(fit) else self.pick(*self.OTHERS)]
        while self.chance(0.25):
            entries.append(self.pick(*self.OTHERS))
        self.crowd(
            entries, lambda: ("AWS", f"arn:aws:iam::{v.A}:user/u{self.rng.randrange(500)}") if not trust else self.OTHERS[1]
        )
        if self.lenient and self.chance(0.08):
            entries.append(self.pick(*self.BAD))
        if not trust and not self.lenient:
            entries = [e for e in entries if e[0] != "Federated"] or [("AWS", v.BO)]
        return self.principal_map(entries)

    def principal_map(self, entries: list[tuple[str, str]]) -> Json:
        if entries[0] == ("*", "*"):
            return "*"
        grouped: dict[str, list[str]] = {}
        for kind, value in entries:
            if kind != "*":
                grouped.setdefault(kind, []).append(value)
        return {kind: self.one_or_list(values) for kind, values in grouped.items()}

    def not_principal(self, target: Target) -> Json:
        """Often all levels of the target (exempt), often all but one (N21)."""
        if target.kind == "ANON" or self.chance(0.08):
            return self.pick("*", {"AWS": "*"}, {"AWS": [v.ANA]})
        left_out = ("CanonicalUser",) if self.lenient else ("CanonicalUser", "Federated")  # V35
        entries = [e for e in dict.fromkeys(self.principal_entries(target)) if e[1] != "*" and e[0] not in left_out]
        levels: dict[str, list[tuple[str, str]]] = {}
        for entry in entries:
            levels.setdefault(_level(entry), []).append(entry)
        if self.chance(0.7):
            entries = [self.pick(*level) for level in levels.values()]
        if len(levels) > 1 and self.chance(0.4):
            left_out_level = self.pick(*levels)
            entries = [entry for entry in entries if _level(entry) != left_out_level]
        if self.lenient and self.chance(0.1):
            entries.append(self.pick(*self.BAD))
        return self.principal_map(entries or [("AWS", v.ANA)])

    # -- statements and documents -----------------------------------------------------------------------------------------

    def statement(self, target: Target, effect: str, fit: float, *, kind: str = "identity", conditions: float = 0.5) -> Json:
        statement: dict[str, Json] = {"Effect": effect}
        self.kind, self.given = kind, target.context
        if kind in ("resource", "vpce", "rcp", "trust"):
            self.principals_of(statement, target, fit, kind)
        self.actions(statement, target, fit)
        if kind != "trust" and (kind != "resource" or self.chance(0.9)):
            self.resources(statement, target, fit)
        if self.chance(conditions):
            statement["Condition"] = self.condition(target, fit)
        if self.chance(0.1):
            statement["Sid"] = f"S{self.rng.randrange(10**6)}"
        if self.lenient and self.chance(0.02):
            statement["Comment"] = "x"  # V4
        if self.lenient and self.chance(0.01):
            statement.pop(self.pick(*[k for k in statement if k != "Effect"]))  # V7, V9
        return statement

    def principals_of(self, statement: dict[str, Json], target: Target, fit: float, kind: str) -> None:
        deny_or_lenient = statement["Effect"] == "Deny" or self.lenient
        if kind == "rcp":
            statement["Principal"] = "*" if not self.lenient or self.chance(0.9) else self.principal(target, fit, trust=False)
        elif kind in ("resource", "vpce") and deny_or_lenient and self.chance(0.25):
            empty = self.lenient and self.chance(0.05)
            statement["NotPrincipal"] = {"AWS": []} if empty else self.not_principal(target)
        else:
            statement["Principal"] = {"AWS": []} if self.chance(0.01) else self.principal(target, fit, trust=kind == "trust")

    def document(self, statements: list[Json], *, kind: str = "identity") -> Json:
        version = "2012-10-17"
        needs_variables = '"${aws:PrincipalTag/src}"' in json.dumps(statements)  # V18: no ARN as literal text
        if self.lenient or kind not in ("scp", "rcp") and not needs_variables:
            version = self.pick(*["2012-10-17"] * 12, "2008-10-17", None)
        whole: dict[str, Json] = {} if version is None else {"Version": version}
        if self.lenient and self.chance(0.01):
            whole["Comment"] = "x"
        return {**whole, "Statement": self.one_or_list(statements)}

    def policy(self, target: Target, *, allow: float | None, deny: float | None, kind: str = "identity") -> Json:
        """A document with statements of each effect asked for, at the fit given, among some others; in any order."""
        allows = self.pick(1, 2, 2) if allow is not None and kind != "rcp" else 0
        statements = [self.statement(target, "Allow", allow or 0, kind=kind, conditions=0.4) for _ in range(allows)]
        if deny is not None:
            statements.append(self.statement(target, "Deny", deny, kind=kind))
        while not statements or self.chance(0.35):
            effect = "Deny" if kind == "rcp" or self.chance(0.3) else "Allow"
            statements.append(self.statement(target, effect, 0.4, kind=kind))
        if kind == "resource" and self.chance(0.4 if target.kind.startswith("FED") else 0.05):  # 6.5: a star, then more
            statements.append({"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"})
        if target.resource != "*" and kind != "trust" and self.chance(0.25 if target.resource.count(":") > 5 else 0.05):
            statements += [self.crossing_deny(target, kind) for _ in range(self.pick(1, 2, 3))]
        self.rng.shuffle(statements)
        return self.document(statements, kind=kind)

    def crossing_deny(self, target: Target, kind: str) -> Json:
        """A Deny that holds, if at all, in the reading where a star crosses colons (R5)."""
        statement = self.statement(target, "Deny", 1.0, kind=kind, conditions=0.1)
        for element in ("NotAction", "NotResource"):
            statement.pop(element, None)
        resource = target.resource if self.chance(0.6) else self.pick(*v.ALL_RESOURCES)
        form = self.pick(forms.crossing, forms.bridge, forms.short_crossing)
        return statement | {"Action": self.action(target.action, 1.0), "Resource": form(self, resource)}

    def guard(self, target: Target, kind: str) -> Json:
        """A Deny of all actions on a resource that mostly names its principals: often not the principal of the request."""
        statement = self.statement(target, "Deny", self.pick(0.4, 0.9), kind=kind, conditions=0.3)
        if self.chance(0.7):
            statement.pop("NotAction", None)
            statement["Action"] = self.pick("*", f"{target.action.partition(':')[0]}:*")
        if target.resource != "*" and self.chance(0.7):
            statement.pop("NotResource", None)
            statement["Resource"] = forms.between(self, target.resource)
        return statement

    def scene(self, kind: str) -> tuple[str, str]:
        if kind in ("TOKEN", "ROOT", "ROOT-TOKEN", "FED") and self.chance(0.12):  # 6.3, 7.4
            return self.pick(*v.CREDENTIAL_SCENE)
        if self.places and self.chance(0.7):
            return self.pick(*self.places)
        if kind in ("OIDC", "SAML") and self.chance(0.7):  # N3: elsewhere such a name is another caller
            actions, resources = v.FEDERATION_SCENE
        else:
            scenes = v.SCENES if kind != "ANON" or self.chance(0.2) else v.SCENES[:2]  # D19
            _, actions, resources = self.rng.choices(scenes, [weight for weight, _, _ in scenes])[0]
        return self.pick(*actions), self.pick(*resources)


def _level(entry: tuple[str, str]) -> str:
    """The level of a caller that an entry lists, about (N21)."""
    kind, value = entry
    if kind == "CanonicalUser" or value.isdigit() or value.endswith(":root"):
        return "account"
    return "issuer" if ":role/" in value or ":user/" in value or value.startswith("AROA") else "own"


# -- wrappers --------------------------------------------------------------------------------------------------------------


# from how many statements on a row has an index: small ones let short rows use it, the last one none
INDEX_FROM = (*[8] * 6, 6, 2, 1, 10**9)


def ad_hoc(seed: int) -> dict[str, Json]:
    """A case of ad-hoc policies. Equal seeds give equal cases."""
    from request_generators import make_ad_hoc

    rng = random.Random(seed)
    return make_ad_hoc(rng) | {"index_from": rng.choice(INDEX_FROM)}


def directory(seed: int, rows: int = 60) -> dict[str, Json]:
    """A directory and a batch: `{"directory", "requests", "now", "mode", ...}`. Equal seeds give equal ones."""
    from directory_generators import make_directory
    from list_directories import LIST_TOPICS, list_directory
    from plain_directories import plain_directory
    from plain_topics import MORE_TOPICS, TOPICS

    rng, apart = random.Random(seed), random.Random(f"topic of {seed}")
    write = rng.choices((make_directory, plain_directory, list_directory), (4, 7, 5))[0]
    if (share := apart.random()) < 0.4:
        write = apart.choice((*(partial(plain_directory, topic=topic) for topic in TOPICS), *LIST_TOPICS))
    elif share < 0.6:
        write = partial(plain_directory, topic=apart.choice(MORE_TOPICS))
    made = write(rng, rows)
    case = {"index_from": rng.choice(INDEX_FROM)} | made
    if rng.random() < 0.25:
        records = [*case["directory"]["principals"], *case["directory"].get("resources", ())]
        case["late"] = [one["arn"] for one in records if rng.random() < 0.4]  # what an update adds
    return case | ({"counts": True} if rng.random() < 0.25 else {})


def varied_directory(seed: int, rows: int) -> dict[str, Json]:
    """A directory of the first kind alone, whose statements have every form."""
    from directory_generators import make_directory

    return make_directory(random.Random(seed), rows)


SEEDS = st.integers(0, 2**32 - 1)


def ad_hoc_cases() -> st.SearchStrategy[dict[str, Json]]:
    """Cases of ad-hoc policies, for hypothesis."""
    return SEEDS.map(ad_hoc)


def directories(rows: int = 20) -> st.SearchStrategy[dict[str, Json]]:
    """Directories with a batch, for hypothesis."""
    return SEEDS.map(lambda seed: directory(seed, rows))
