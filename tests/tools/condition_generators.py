"""Condition blocks of the fuzz generator, and values of requests: mostly of the family that an operator reads (C1 to C64)."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import generator_names as v

Json = Any


@dataclass
class Target:
    """The request that a statement is aimed at."""

    kind: str
    principal: Json
    action: str
    resource: str
    context: Mapping[str, Json] = field(default_factory=dict)
    account: str | None = None

    @property
    def arn(self) -> str:
        return self.principal if isinstance(self.principal, str) else self.principal["session"]["arn"]


class ConditionMaker:
    """Writes conditions and contexts with one source of chance. `lenient` lets malformed entries in."""

    def __init__(self, rng: random.Random, *, lenient: bool = False) -> None:
        self.rng, self.lenient, self.kind = rng, lenient, "identity"
        self.given: Mapping[str, Json] = {}  # the context of the target
        self.usual = 0.0  # the share of what people write: patterns of literal pieces, conditions on what requests say
        self.topic: str | None = None  # a key that most conditions are about
        self.places: tuple[tuple[str, str], ...] = ()  # what most requests do, and to what
        self.has_endpoints = False  # whether requests come through endpoints
        self.fixed = 0.0  # the share of requests that give a key of which the value follows from the others (K1)
        self.listed = ""  # the key by which many statements of one principal differ

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def pick(self, *items: Any) -> Any:
        return self.rng.choice(items)

    def crowd(self, entries: list[Any], stranger: Callable[[], Any], share: float = 0.015) -> None:
        """Now and then far more entries than people write: long lists are what an engine indexes."""
        if self.chance(share):
            entries += [stranger() for _ in range(self.pick(15, 40, 120))]

    def one_or_list(self, entries: list[Json]) -> Json:
        return entries[0] if len(entries) == 1 and self.chance(0.7) else entries

    # -- conditions (C1 to C64) ----------------------------------------------------------------------------------------

    def condition(self, target: Target, fit: float) -> dict[str, Json]:
        block: dict[str, dict[str, Json]] = {}
        for _ in range(self.pick(1, 1, 2)):
            operator, key, values = self.condition_entry(target, fit)
            entries = block.setdefault(operator, {})
            if self.lenient or key.lower() not in map(str.lower, entries):  # V3
                entries[key] = values
        return block

    def condition_entry(self, target: Target, fit: float) -> tuple[str, str, Json]:
        """An entry that holds with about the chance `fit`, as far as a writer can estimate without evaluating it."""
        key, family, multi = self.condition_key(target)
        base, actual, holds = self.operator(family), target.context.get(key), self.chance(fit)
        qualifier = self.qualifier(multi or isinstance(actual, list), base)
        if_exists = "IfExists" if base != "Null" and self.chance(0.2) else ""
        if holds and actual in (None, []) and key not in v.DERIVED_KEYS and base != "Null" and self.chance(0.8):
            qualifier = self.pick("ForAllValues:", "" if self.lenient or not multi else "ForAllValues:")
            if_exists = if_exists if qualifier else "IfExists"
        if self.lenient and self.chance(0.03):
            return str(self.pick(*v.BAD_OPERATORS)), key, "a"
        count = self.pick(1, 1, 1, 2) if base != "Bool" or self.lenient else 1
        values = [self.policy_value(base, actual, holds != ("Not" in base), key) for _ in range(count)]
        if base not in ("Bool", "Null"):
            self.crowd(values, lambda: self.any_value(v.FAMILY[base]))
        if self.lenient and self.chance(0.06):
            values = []
        elif not self.lenient and len(set(map(type, values))) > 1:
            values = [str(value).lower() for value in values]  # V19
        name = self.pick(key, key, key.upper().replace("AWS:", "aws:"), key.lower())
        return qualifier + base + if_exists, name, self.one_or_list(values)

    def condition_key(self, target: Target) -> tuple[str, str, bool]:
        """A key with the family of its values and whether it takes several; often one that the request has."""
        shunned = v.SENSITIVE if self.kind == "vpce" and not self.lenient else frozenset()  # V38
        if self.topic is not None and self.topic not in shunned and self.chance(0.6):
            return self.topic, *family_of(self.topic)
        present = [key for key in target.context if key in v.KEYS and key not in shunned]
        hints = [*target.context, target.action, target.action.partition(":")[0], target.kind]
        related = [hint for hint in hints if not shunned.issuperset(v.RELATED.get(hint, ()))]
        if related and self.chance(0.3) and not self.chance(self.usual):
            key = self.pick(*(key for key in v.RELATED[self.pick(*related)] if key not in shunned))
            return key, *family_of(key)
        if present and self.chance(max(0.6, self.usual)):
            key = self.pick(*present)
            return key, *v.KEYS[key]
        if self.chance(0.5):
            key = self.pick(*(key for key in v.DERIVED_KEYS if key not in shunned))
            return key, *family_of(key)
        if self.lenient and self.chance(0.05):
            return str(self.pick("username", "aws:PrincipalTag", "aws:RequestTag/")), "string", False  # V17
        key = self.pick(*(key for key in v.KEYS if key not in shunned))
        return key, *v.KEYS[key]

    def operator(self, family: str) -> str:
        if self.chance(0.1):
            return "Null"
        if self.chance(0.08):  # C24: another family
            return str(self.pick(*v.OPERATORS))
        return str(self.pick(*(op for op in v.OPERATORS if v.FAMILY[op] == family)))

    def qualifier(self, multi: bool, base: str) -> str:
        if multi and (not self.lenient or self.chance(0.7)) and base != "Null":
            return str(self.pick(*v.QUALIFIERS[1:]))
        return str(self.pick("", "", *v.QUALIFIERS)) if not multi or self.lenient else ""

    def policy_value(self, base: str, actual: Json, matches: bool, key: str) -> Json:
        """A value of a policy, often one that the value of the request matches, or does not."""
        family = v.FAMILY[base]
        if self.lenient and family in v.BAD and self.chance(0.06):
            return self.pick(*v.BAD[family])
        if family == "null":
            return self.pick("true", True) if (actual in (None, [], "")) == matches else self.pick("false", False)
        if key in v.DERIVED_KEYS and v.DERIVED_KEYS[key][0] == family and self.chance(0.8):
            return self.pick(*v.DERIVED_KEYS[key][1])
        one = actual[0] if isinstance(actual, list) and actual else actual
        if matches and one is not None and self.chance(0.7):
            return self.matching(family, base, one)
        return self.any_value(family)

    def matching(self, family: str, base: str, actual: Json) -> Json:
        """A value that `actual` very likely matches."""
        text = str(actual).lower() if isinstance(actual, bool) else str(actual)
        if family == "numeric" and _NUMBER.fullmatch(text) and self.chance(0.5):
            return self.pick(*_near_numbers(text))
        if base.endswith(("LessThan", "LessThanEquals")):
            return self.pick("9007199254740993") if family == "numeric" else self.pick("9999-12-31", "2300-01-01")
        if base.endswith(("GreaterThan", "GreaterThanEquals")):
            return self.pick(-1, "-2") if family == "numeric" else self.pick("1970-01-01", "-1")
        if family == "ip":
            if ":" in text[:5]:
                return self.pick("::/0", "2001:DB8::/32", "2001:db8::/33")
            return self.pick("0.0.0.0/0", "203.0.113.77/24", "203.0.113.77/25", "::ffff:0:0/95")  # C52
        if family == "date" and text in _SAME_TIME and self.chance(0.5):
            return self.pick(*_SAME_TIME)
        if family == "binary" and text in ("QUI=", "QUJ="):  # C32
            return self.pick("QUI=", "QUJ=")
        if family == "arn":
            if self.lenient and self.chance(0.15):  # C62
                return self.pick("*", "?rn", "ARN") + text[3:]
            return self.pick("arn:*:*:*:*:*", "arn:aws:*:*:*:*", "arn:aws*:*:*:*:?*")
        names = [key for key, value in self.given.items() if value == actual or isinstance(value, list) and actual in value[:1]]
        if family == "string" and names and self.chance(0.15):
            return f"${{{self.pick(*names)}}}"
        if family == "string" and text in ("ä", "Ä", "é", "É"):  # O14
            return self.pick(text, text.swapcase(), text.swapcase(), "?")
        if family == "string" and text and "$" not in text and text.isascii():
            return self.pick(text, text, text.swapcase(), text[:1] + "*", "*" + text[-1:])
        return text if text in v.VALUES[family] and text else self.any_value(family)

    def any_value(self, family: str) -> Json:
        if family == "string":
            return self.pick(*v.STRING_PATTERNS) if self.chance(0.5) else self.pick(*v.VALUES["string"])
        if family == "ip":
            return self.pick(*v.RANGES)
        if family == "arn" and self.chance(0.6):
            return self.pick(*v.ARN_PATTERNS)
        if family == "bool" and self.chance(0.3):
            return self.chance(0.5)
        if family == "numeric" and self.chance(0.2):
            return self.pick(0, 10, -1, 11)
        return self.pick(*(text for text in v.VALUES[family] if text))

    # -- requests --------------------------------------------------------------------------------------------------------

    def context(self, *, ad_hoc: bool) -> dict[str, Json]:
        keys = [k for k in v.KEYS if ad_hoc or k not in v.AD_HOC_ONLY]
        context = {key: self.value_of(key) for key in self.rng.sample(keys, self.pick(0, 2, 3, 4, 5))}
        for key in [key for key in context if key in v.LISTED and self.chance(0.04)]:  # C5, C20
            context[key] = [context[key]] * self.pick(1, 1, 2)
        if ad_hoc and self.chance(0.1):  # C6: one key in two spellings; a batch has one column for a key
            context |= {"aws:RequestTag/Team": self.pick("a", "b"), "aws:RequestTag/team": self.pick("a", "b")}
        if ad_hoc and self.chance(0.25):
            context["aws:PrincipalOrgPaths"] = [self.pick("o-1/r-1/ou-a/", "o-2/r-9/")]
            context["aws:PrincipalOrgID"] = self.pick("o-1", "o-2")
        return context

    def value_of(self, key: str) -> Json:
        """A value of a request: of its family, or one that the rules distinguish."""
        if key in v.KEY_VALUES and self.chance(0.8):
            if v.KEYS[key][1]:
                return [self.pick(*v.KEY_VALUES[key]) for _ in range(self.pick(1, 2, 2, 3))]
            return self.pick(*v.KEY_VALUES[key])
        return self.request_value(*v.KEYS[key])

    def request_value(self, family: str, multi: bool) -> Json:
        if multi:
            return [self.request_value(family, False) for _ in range(self.pick(0, 1, 1, 2, 3))]
        if family in v.BAD and family != "string" and self.chance(0.1):
            return self.pick(*v.BAD[family])
        if family == "bool" and self.chance(0.5):
            return self.chance(0.5)
        if family == "numeric" and self.chance(0.3):
            return self.pick(0, 10, -1, 0.1, 11)
        return {"base64": "QUJD"} if family == "binary" and self.chance(0.3) else self.pick(*v.VALUES[family])


def family_of(key: str) -> tuple[str, bool]:
    """The family of a key's values, and whether it takes several."""
    return v.KEYS[key] if key in v.KEYS else v.DERIVED_KEYS[key][::2]


_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_SAME_TIME = ("2024-05-06T00:00:00Z", "2024-05-06", "1714953600", "2024-05-06T02:00:00+02:00", "2024-05-05T22:00:00-02:00")


def _near_numbers(text: str) -> list[str]:
    """The same number in other words, and some beside it (C30)."""
    same = [text + "0" if "." in text else text + ".0", ("-0" if text.startswith("-") else "0") + text.lstrip("-")]
    if not text.strip("-0."):
        return ["0", "-0", "-0.0", "0.00"]
    if text.startswith("-"):
        return [*same, "-2", "-0.5", "-10", "-1.5"]
    return [*same, f"{text}1" if "." in text else f"{text}.1", "-2"]
