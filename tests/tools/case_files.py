"""Cases as data: reading `cases/*.json`, passing a case to an engine, and comparing the answer.

A file is a list of cases. A case is `{"id", "rule", "source", "policies" or "directory", "request", "expect", "why"}`:

- `policies` holds policy arguments of `fastiam.simulate`; `directory` describes a `Directory` by the arguments of its methods.
- `request` holds principal (text, or `{"session": {...}}`), action, resource, and where wanted context, now,
  resource_account, and `unknown`, the keys and prefixes of keys declared unknown (spec 6.11).
- `expect` holds the outcome (`OK I E ERR DEPENDS`) and whatever else of the answer the case is about.

`policies.test` is a piece of a statement whose own result is expected (`{"test": "U"}`): the case is decided twice, by an
Allow with it (allowed iff T) and by a Deny with it beside an unconditional Allow (denied iff T or U).

`$name` stands for an entry of `defs.json`. A statement in place of a document is a document of version 2012-10-17.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

Json = Any
CASES = Path(__file__).resolve().parents[1] / "cases"
# Definitions; load cases, findings of lint, calls of STS and requests to the server have their own runners.
NOT_CASES = {
    "defs.json",
    "validation.json",
    "sts.json",
    "aws_calls.json",
    "aws_service_calls.json",
    "authzen.json",
    "extauthz.json",
    "opa.json",
    "bulk.json",
    "server_edge.json",
    "lint.json",
    "proofs.json",
    "proof_pairs.json",
}
IDENTITIES = ("federation", "cognito", "identity_pools", "rolesanywhere")  # verification of identities, with runners of their own
INDEX_FROM = 8  # as in the engine; the fuzzer also uses less, so that small rows have indexes
_NAME = re.compile(r"\$([A-Za-z]\w*)")


@dataclass(frozen=True)
class Check:
    """One decision of a case, with what is expected of it."""

    id: str
    rule: str
    request: Mapping[str, Json]
    expect: Mapping[str, Json]
    policies: Mapping[str, Json] = field(default_factory=dict)
    directory: Mapping[str, Json] | None = None
    mode: str = "strict"
    settings: Mapping[str, Json] | None = None
    unknown_owner: str = "principal"
    index_from: int = INDEX_FROM
    translated: bool = False  # a directory made of ad-hoc policies, whose names differ

    def __str__(self) -> str:
        return self.id


def case_files() -> list[Path]:
    """The files that hold cases, found ones of the fuzzer included."""
    return sorted(p for p in CASES.rglob("*.json") if p.name not in NOT_CASES and not p.name.startswith(IDENTITIES))


def load_checks(path: Path) -> list[Check]:
    """The decisions of one file; without batches that the fuzzer kept whole (`load_batches`)."""
    return [check for case in json.loads(path.read_text()) if "requests" not in case for check in expand(case)]


def load_batches() -> list[dict[str, Json]]:
    """The batches that the fuzzer kept whole, because no row of them fails alone."""
    found = [case for path in case_files() for case in json.loads(path.read_text())]
    return [case for case in found if "requests" in case]


def expand(case: Mapping[str, Json]) -> Iterator[Check]:
    """The one or two decisions of a case, with all names resolved."""
    check = Check(
        id=case["id"],
        rule=case["rule"],
        request=resolve(case["request"]),
        expect=resolve(case["expect"]),
        policies=resolve(case.get("policies", {})),
        directory=resolve(case["directory"]) if "directory" in case else None,
        mode=case.get("mode", "strict"),
        settings=case.get("settings"),
        unknown_owner=case.get("unknown_owner", "principal"),
        index_from=case.get("index_from", INDEX_FROM),
    )
    if "test" in check.expect:
        yield from _both_effects(check)
    else:
        yield check


def _both_effects(check: Check) -> Iterator[Check]:
    """F3 turned round: a test is T iff an Allow with it applies, and F iff a Deny with it does not."""
    piece, version = check.policies["test"], check.policies.get("version", "2012-10-17")
    in_resource_policy = check.policies.get("layer") == "resource"
    whole: dict[str, Json] = {"Action": "*"} | ({} if "NotResource" in piece else {"Resource": "*"})
    if in_resource_policy:
        whole["Principal"] = "*"
    expected = {"T": ("OK", "E"), "F": ("I", "OK"), "U": ("I", "E")}[check.expect["test"]]
    for effect, outcome in zip(("Allow", "Deny"), expected, strict=True):
        statements = [{"Effect": effect, **whole, **piece}]
        if effect == "Deny":
            beside = {"Effect": "Allow", "Action": "*", "Resource": "*"}
            statements.append(beside | {"Principal": "*"} if in_resource_policy else beside)
        document = {"Version": version, "Statement": statements}
        expect: dict[str, Json] = {"outcome": outcome}
        if outcome in ("I", "E"):
            expect["indeterminate"] = check.expect["test"] == "U"
        policies = {"resource_policy": document} if in_resource_policy else {"identity_policies": [document]}
        yield replace(check, id=f"{check.id}-{effect}", policies=policies, expect=expect)


# -- names ------------------------------------------------------------------------------------------------------------


def _load_defs() -> dict[str, Json]:
    return dict(json.loads((CASES / "defs.json").read_text()))


DEFS = _load_defs()


def resolve(value: Json) -> Json:
    """The value with every `$name` replaced; a string that is only a name takes the definition's type."""
    if isinstance(value, str):
        whole = _NAME.fullmatch(value)
        if whole and whole[1] in DEFS:
            return resolve(DEFS[whole[1]])
        return _NAME.sub(lambda m: str(resolve(DEFS[m[1]])) if m[1] in DEFS else m[0], value)
    if isinstance(value, list):
        return [resolve(item) for item in value]
    if isinstance(value, dict):
        return {resolve(name): resolve(item) for name, item in value.items()}
    return value


def document(policy: Json) -> Json:
    """A policy as `fastiam` takes it: a lone statement becomes a document."""
    if isinstance(policy, Mapping) and "Effect" in policy and "Statement" not in policy:
        return {"Version": "2012-10-17", "Statement": [dict(policy)]}
    return policy


def documents(policies: Json) -> Json:
    """`document` for a policy, a list of policies, or a list of levels; None stays None."""
    return [documents(item) for item in policies] if isinstance(policies, list) else document(policies)


def instant(text: str | None) -> datetime | None:
    """An ISO instant of a case file."""
    return None if text is None else datetime.fromisoformat(text.replace("Z", "+00:00"))


def context_of(request: Mapping[str, Json]) -> dict[str, Json]:
    """The context with `{"base64": text}` as bytes and `{"datetime": text}` as datetime."""

    def value(raw: Json) -> Json:
        if isinstance(raw, list):
            return [value(item) for item in raw]
        if isinstance(raw, Mapping):
            return base64.b64decode(raw["base64"]) if "base64" in raw else instant(raw["datetime"])
        return raw

    return {key: value(raw) for key, raw in request.get("context", {}).items()}


def principal_of(request: Mapping[str, Json]) -> Any:
    """The principal argument: text, or a `fastiam.Session`."""
    from fastiam.model.session import Session

    principal = request["principal"]
    if isinstance(principal, str):
        return principal
    parts = dict(principal["session"])
    for moment in ("issued_at", "mfa_at"):
        if moment in parts:
            parts[moment] = instant(parts[moment])
    if parts.get("policies") is not None:
        parts["policies"] = documents(parts["policies"])
    return Session(parts.pop("arn"), **parts)


LAYER_ARGUMENTS = (
    "identity_policies",
    "resource_policy",
    "permissions_boundary",
    "session_policies",
    "scps",
    "rcps",
    "vpc_endpoint_policies",
)


def simulate_arguments(check: Check) -> dict[str, Any]:
    """The arguments of `fastiam.simulate` for a case of ad-hoc policies, principal, action and resource included."""
    request = check.request
    arguments: dict[str, Any] = {
        "principal": principal_of(request),
        "action": request["action"],
        "resource": request["resource"],
        "context": context_of(request),
        "mode": check.mode,
    }
    if "now" in request:
        arguments["now"] = instant(request["now"])
    if "resource_account" in request:
        arguments["resource_account"] = request["resource_account"]
    if "unknown" in request:
        arguments["unknown"] = request["unknown"]
    return arguments | {name: documents(check.policies[name]) for name in LAYER_ARGUMENTS if name in check.policies}


# -- answers ----------------------------------------------------------------------------------------------------------

CODES = {"ALLOW": "OK", "IMPLICIT_DENY": "I", "EXPLICIT_DENY": "E", "DEPENDS": "DEPENDS", "ERROR": "ERR"}


@dataclass(frozen=True)
class Answer:
    """The result of an engine: a decision, with its explanation where requested, or the error that it raised."""

    decision: Any = None
    explanation: Any = None
    error: Exception | None = None

    @property
    def outcome(self) -> str:
        return "ERR" if self.error is not None else CODES[self.decision.outcome.name]


PLAIN = ("layer", "reason", "indeterminate", "assumed_owner", "owner_override")


def points_of(decision: Any, names: Sequence[str] = PLAIN) -> list[str]:
    """Those points of an answer that it has: a batch keeps less than a `Decision`."""
    kept = [name for name in names if hasattr(decision, name)]
    return [name for name in kept if (name, getattr(decision, name)) != ("assumed_owner", None)]


def differences(check: Check, answer: Answer) -> list[str]:
    """Every point in which the answer is not what the case expects, one line each."""
    expect = check.expect
    if answer.outcome != expect["outcome"]:
        return [f"outcome is {answer.outcome}, expected {expect['outcome']}: {answer.error or answer.decision}"]
    if answer.error is not None:
        wanted = expect.get("error", type(answer.error).__name__)
        got = type(answer.error).__name__
        return [] if got == wanted else [f"error is {got}, expected {wanted}: {answer.error}"]
    found = _plain_points(expect, answer.decision)
    if "statement" in expect:
        found += _statement_points(expect["statement"], answer.decision.statement, names=not check.translated)
    if answer.explanation is not None and not check.translated:
        found += _explanation_points(expect, answer.explanation)
    return found


def _plain_points(expect: Mapping[str, Json], decision: Any) -> list[str]:
    pairs = [(name, expect[name], getattr(decision, name)) for name in points_of(decision) if name in expect]
    if "depends_on" in expect:
        pairs.append(("depends_on", expect["depends_on"], list(decision.depends_on)))
    return [f"{name} is {got!r}, expected {wanted!r}" for name, wanted, got in pairs if got != wanted]


def _statement_points(wanted: Mapping[str, Json] | None, got: Any, *, names: bool) -> list[str]:
    if wanted is None or got is None:
        return [] if wanted is got else [f"statement is {got}, expected {wanted}"]
    parts = {part: value for part, value in wanted.items() if names or part != "policy"}
    return [f"statement.{p} is {getattr(got, p)!r}, expected {v!r}" for p, v in parts.items() if getattr(got, p) != v]


def _explanation_points(expect: Mapping[str, Json], explanation: Any) -> list[str]:
    got: dict[str, Json] = {
        "bypassed": [str(layer) for layer in explanation.bypassed],
        "missing": [list(alternative) for alternative in explanation.missing],
        "denies": [f"{m.ref.policy}#{m.ref.index}" for m in explanation.denies],
        "level": next((r.level for r in explanation.limits if r.layer == explanation.decision.layer), None),
    }
    return [f"{name} is {got[name]!r}, expected {expect[name]!r}" for name in got if name in expect and got[name] != expect[name]]


# -- writing ----------------------------------------------------------------------------------------------------------


def dump_case(case: Mapping[str, Json], width: int = 128) -> str:
    """A case as the files hold it: one line per part where it fits."""
    lines = [f"    {json.dumps(name)}: {_spread(value, 4, len(name) + 4, width)}" for name, value in case.items()]
    return "  {\n" + ",\n".join(lines) + "\n  }"


def _spread(value: Json, indent: int, used: int, width: int) -> str:
    """The value on the line where `used` characters follow the indent, or spread over several lines."""
    one = json.dumps(value, ensure_ascii=False)
    if indent + used + len(one) <= width or not isinstance(value, (dict, list)) or not value:
        return one
    pad = " " * (indent + 2)
    if isinstance(value, dict):
        items = [f"{pad}{json.dumps(k)}: {_spread(v, indent + 2, len(k) + 4, width)}" for k, v in value.items()]
        return "{\n" + ",\n".join(items) + "\n" + " " * indent + "}"
    return "[\n" + ",\n".join(pad + _spread(v, indent + 2, 0, width) for v in value) + "\n" + " " * indent + "]"
