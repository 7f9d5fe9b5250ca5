"""Random directories with filters and tables of rows for them: what `properties/test_filters.py` and `fuzz_filter.py` compare."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import case_files as casefile
import filter_forms
import filter_records
import generator_names as v
from policy_generators import varied_directory
from runners import build_directory

import fastiam
from fastiam.errors import FastiamError

NOW = datetime(2030, 1, 1, tzinfo=UTC)
SOURCES = (
    "aws:RequestTag/team", "aws:SourceVpce", "aws:SourceAccount", "aws:CalledVia", "aws:SecureTransport", "aws:RequestedRegion",
    "aws:ResourceTag/env", "aws:ResourceTag/team", "aws:UserAgent", "aws:CurrentTime", "aws:RequestTag/x",
)  # fmt: skip
KNOWN = (
    "aws:PrincipalTag/team",
    "aws:username",
    "aws:PrincipalAccount",
    "aws:userid",
    "aws:ResourceAccount",
    "aws:PrincipalOrgID",
    "aws:VpceAccount",
    "aws:TokenIssueTime",
    "aws:MultiFactorAuthPresent",
    "iam:ResourceTag/env",
    "aws:ResourceOrgID",
    "aws:VpceOrgID",
    "aws:ResourceOrgPaths",
    "aws:SourceOrgID",
    "aws:PrincipalServiceNamesList",
    "aws:EpochTime",
    "iam:ResourceTag/team",
    "aws:TagKeys",
)
VALUES = {
    "aws:SourceVpce": ("vpce-1", "vpce-2", "vpce-9", ""),
    "aws:PrincipalTag/team": ("red", "us", "", "blue"),
    "aws:username": ("ana", "bo", "zed"),
    "aws:PrincipalAccount": (v.A, v.B),
    "aws:ResourceAccount": (v.A, v.B, v.X),
    "aws:userid": (v.AIDA, f"{v.AROA}:run1", "x"),
    "aws:PrincipalOrgID": ("o-1", "o-2"),
    "aws:VpceAccount": (v.A, v.B),
    "aws:SourceAccount": (v.A, v.B, v.X, ""),
    "aws:RequestedRegion": ("us-east-1", "eu-west-1", ""),
    "aws:SecureTransport": ("true", "false", "TRUE", "x"),
    "aws:MultiFactorAuthPresent": ("true", "false"),
    "aws:ResourceTag/env": ("a", "red", "ana", ""),
    "iam:ResourceTag/env": ("a", "red", "ana", ""),
    "aws:ResourceTag/team": ("red", "us", "b"),
    "aws:CalledVia": ("a", "b"),
}
_KEY = re.compile(r"[A-Za-z0-9]+:[A-Za-z]+(?:/[A-Za-z]+)?(?=[\"},])")
_SPELLED = {key.lower(): key for key in (*v.KEYS, *v.DERIVED_KEYS, *KNOWN, *SOURCES)}


@dataclass
class World:
    """An engine, and what its policies say: for rows that are near to what they match.

    Attributes
    ----------
    keys, values : the condition keys of the policies, and by folded key the values that they are compared with.
    """

    engine: fastiam.Engine
    requests: list[dict[str, Any]]
    has_records: bool
    patterns: list[str]
    keys: list[str]
    values: dict[str, list[str]]


@dataclass
class Case:
    """A filter with its rows."""

    subject: Any
    action: str
    columns: dict[str, str]
    context: dict[str, Any]
    account: Any
    rows: dict[str, list[str | None]]
    engine: fastiam.Engine
    filter: fastiam.Filter = field(init=False)

    def __post_init__(self) -> None:
        self.filter = self.engine.filter(
            self.subject, self.action, columns=self.columns, context=self.context, resource_account=self.account, now=NOW
        )

    def allowed(self) -> list[bool]:
        """Which rows are allowed, by `decide_many`."""
        given = {"columns": self.columns, "context": self.context, "resource_account": self.account, "now": NOW}
        return filter_forms.decisions(self.engine, self.subject, self.action, self.rows, self.rows["resource"], **given)


@dataclass
class Decided:
    """A filter, and which of its rows are allowed."""

    case: Case
    allowed: list[bool]

    def difference(self, form: str) -> str:
        """The first row for which a form of the filter and the decision differ; "" if none does, or it cannot be expressed."""
        try:
            found = filter_forms.FORMS[form](self.case.filter, self.case.rows)
        except fastiam.NotExpressible:
            return ""
        for row, (is_true, is_allowed) in enumerate(zip(found, self.allowed, strict=True)):
            if is_true is not is_allowed:
                return f"{form}: filter {is_true}, decision {is_allowed}: {self._row(row)}"
        return ""

    def lost_row(self) -> str:
        """The first allowed row that the prefilter drops, or ""."""
        found = filter_forms.json_form(self.case.filter.prefilter, self.case.rows)
        lost = [row for row, (kept, allowed) in enumerate(zip(found, self.allowed, strict=True)) if allowed and not kept]
        return f"lost: {self._row(lost[0])}" if lost else ""

    def _row(self, row: int) -> str:
        values = {name: values[row] for name, values in self.case.rows.items()}
        return (
            f"{values} of {self.case.subject}, {self.case.action}, {self.case.columns}, {self.case.context}, {self.case.account}"
        )


def decided(seeds: Iterable[int], rows: int) -> Iterator[Decided]:
    """The filters over the directories of some seeds."""
    for seed in seeds:
        for case in cases(seed, rows=rows):
            yield Decided(case, case.allowed())


def world(seed: int) -> World | None:
    """The directory of a seed, with records of other services if the seed is odd; None if it is not accepted."""
    described, rng = varied_directory(seed, 24), random.Random(seed)
    has_records = seed % 2 == 1
    try:
        built = build_directory(described["directory"], described["mode"])
        if has_records:
            filter_records.add_records(rng, built)
        engine = built.compile(**(filter_records.settings(rng) if has_records else {"unknown_owner": described["unknown_owner"]}))
    except FastiamError:
        return None
    text = json.dumps(described["directory"])
    patterns = sorted(set(re.findall(r'"(arn:[^"]*)"', text)))
    found = {_SPELLED[key.lower()] for key in _KEY.findall(text) if key.lower() in _SPELLED}
    values: dict[str, list[str]] = {}
    for key, given in _conditions(described["directory"]):
        values.setdefault(key.lower(), []).extend(given)
    requests = described["requests"] + (filter_records.requests(rng, 30) if has_records else [])
    return World(engine, requests, has_records, patterns, sorted(found), values)


def _conditions(node: Any) -> Iterator[tuple[str, list[str]]]:
    if isinstance(node, dict):
        for name, value in node.items():
            if name == "Condition" and isinstance(value, dict):
                for entries in value.values():
                    for key, given in entries.items():
                        yield key, [str(one).lower() if isinstance(one, bool) else str(one) for one in _list(given)]
            else:
                yield from _conditions(value)
    elif isinstance(node, list):
        for value in node:
            yield from _conditions(value)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def cases(seed: int, count: int = 4, rows: int = 200) -> Iterator[Case]:
    """Some filters over the directory of a seed. Those that refuse their constants are left out."""
    found = world(seed)
    rng = random.Random(seed)
    for _ in range(count if found is not None else 0):
        assert found is not None
        try:
            yield _case(rng, found, rows)
        except FastiamError:
            continue


def _case(rng: random.Random, found: World, n: int) -> Case:
    request = _request(rng, found)
    keys = dict.fromkeys(rng.sample(found.keys, min(len(found.keys), rng.choice((0, 1, 2, 3)))))
    keys |= dict.fromkeys(rng.sample(SOURCES, rng.choice((0, 1, 1, 2))))
    keys |= dict.fromkeys(rng.sample(KNOWN, rng.choice((0, 0, 1))))
    folded = {key.lower(): key for key in keys}
    columns = {key: f"c{at}" for at, key in enumerate(folded.values())}
    given = {
        key: value for key, value in casefile.context_of(request).items() if key.lower() not in folded and rng.random() < 0.7
    }
    context = {key: value for key, value in given.items() if not key.lower().startswith("iam:resourcetag")}
    account: Any = rng.choice((None, None, None, "owner", fastiam.lit(v.A), fastiam.lit(v.B)))
    table: dict[str, list[str | None]] = {"resource": [_arn(rng, found, request) for _ in range(n)]}
    for key, name in columns.items():
        asked = casefile.context_of(request).get(key)
        usual = asked if isinstance(asked, str) else None
        table[name] = [usual if rng.random() < 0.35 else _value(rng, found, key) for _ in range(n)]
    if account == "owner":
        table["owner"] = [rng.choice((None, None, v.A, v.A, v.B, v.X, "12", "")) for _ in range(n)]
    return Case(casefile.principal_of(request), request["action"], columns, context, account, table, found.engine)


def _request(rng: random.Random, found: World) -> dict[str, Any]:
    """A request, mostly one that is allowed."""
    chosen = rng.sample(found.requests, min(6, len(found.requests)))
    for request in chosen if rng.random() < 0.75 else ():
        try:
            decision = found.engine.decide(
                casefile.principal_of(request), request["action"], request["resource"], casefile.context_of(request), now=NOW
            )
        except FastiamError:
            continue
        if decision.outcome is fastiam.Outcome.ALLOW:
            return request
    return chosen[0]


def _value(rng: random.Random, found: World, key: str) -> str | None:
    if rng.random() < 0.3:
        return None
    written = found.values.get(key.lower())
    if written and rng.random() < 0.5:
        return re.sub(r"\$\{[^}]*\}", "red", rng.choice(written)).replace("*", rng.choice(("", "x", "*"))).replace("?", "x")
    if key in VALUES:
        return rng.choice(VALUES[key])
    family = v.KEYS.get(key, ("string", False))[0]
    return rng.choice((*v.VALUES[family], *v.BAD.get(family, ())))


def _arn(rng: random.Random, found: World, request: dict[str, Any]) -> str | None:
    """An ARN near to what a policy matches: wildcards filled, a character changed, fields crossed; or no ARN."""
    if found.has_records and rng.random() < 0.45:
        return filter_records.arn(rng)
    kind = rng.random()
    if kind < 0.03:
        return rng.choice((None, "", "*", "arn:aws:s3", "x", "arn:aws:s3:::bkt/x\n"))
    if kind < 0.3 or not found.patterns:
        return str(request["resource"])
    text = rng.choice(v.ALL_RESOURCES) if kind < 0.45 else rng.choice(found.patterns)
    text = re.sub(r"\$\{[^}]*\}?", lambda _: rng.choice(("ana", "red", "x", "")), text)
    text = re.sub(r"\*", lambda _: rng.choice(("", "x", "ana/f", "us-east-1", v.A, "s3", "a:b")), text).replace("?", "k")
    fields = text.split(":")
    while len(fields) < 6:
        fields.append(rng.choice(("", "x", v.A)))
    change = rng.random()
    if change < 0.1:
        at = rng.randrange(len(text) or 1)
        fields = (text[:at] + rng.choice("axz:/") + text[at + 1 :]).split(":")
    elif change < 0.2:
        fields[4] = rng.choice((v.A, v.B, v.X, "", "aws", "12"))
    elif change < 0.25:
        fields = [field.swapcase() if rng.random() < 0.2 else field for field in fields]
    elif change < 0.3:
        fields[rng.randrange(len(fields))] += rng.choice((":x", "/y", "x"))
    return ":".join(fields)
