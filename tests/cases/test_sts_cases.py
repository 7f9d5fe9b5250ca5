"""Issuing sessions as data: the entries of spec 8.10 that are calls of STS, on both evaluators.

A case of `cases/sts.json` has `roles`, each trusted by user `ana` and by the other roles, with a policy that allows everything
(an entry is an ARN, or arguments of `add_principal`, with `condition` for the trust policy), and `steps`, done in order:

- `{"call": method of STS, "as": ARN or the name of a session before, ..., "name": ..., "expect": ...}`. Expected are `seconds`,
  `principal_tags` by folded key, `transitive_tags`, `source_identity`, or an `error` with its `rule`, `layer` and `action`.
- `{"decide": [principal, action, resource], "expect": {"outcome", "layer"}}`
- `{"tick": seconds}`, `{"revoke": role}`, `{"put_inline_policy": [arn, name, document]}`
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from case_files import CASES, CODES, document, resolve
from sts_fixture import Clock

import fastiam
from fastiam.spec import decide
from fastiam.sts import STS, Assertion, Keyring, StsError
from fastiam.sts import authorization as trust

ALL = {"Effect": "Allow", "Action": "*", "Resource": "*"}
ANA = resolve("$ana")
ROLE_FIELDS = {"arn", "tags", "max_session_duration", "condition", "trust_policy"}
LOADED = json.loads((CASES / "sts.json").read_text())


@pytest.fixture(params=["reference", "compiled"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The evaluator of all authorization requests, those with overlaid policies included."""
    if request.param == "reference":

        def literally(principal, resource, asked, endpoint, settings):
            return decide(principal, resource, asked, endpoint=endpoint, settings=settings).decision

        monkeypatch.setattr(trust, "decide_action", trust._decide_profiles)
        monkeypatch.setattr(trust, "decide_profiles", literally)
    return request.param


def directory_of(roles: list[Any]) -> fastiam.Directory:
    """User `ana`, and the roles of a case."""
    directory = fastiam.Directory()
    directory.add_principal(ANA, unique_id="AIDAANA", identity_policies=[document(ALL)])
    entries = [{"arn": entry} if isinstance(entry, str) else dict(entry) for entry in roles]
    for entry in entries:
        assert set(entry) <= ROLE_FIELDS, f"unknown fields {set(entry) - ROLE_FIELDS}"
        given = {k: v for k, v in entry.items() if k in ("tags", "max_session_duration")}
        directory.add_principal(entry["arn"], identity_policies=[("all", document(ALL))], **given)
    for entry in entries:
        trusted = {"Effect": "Allow", "Principal": {"AWS": [ANA, *(e["arn"] for e in entries)]}, "Action": "sts:*"}
        trusted |= {"Condition": entry["condition"]} if "condition" in entry else {}
        directory.set_trust_policy(entry["arn"], document(entry.get("trust_policy", trusted)))
    return directory


class Run:
    """One run of a case: the directory, STS and the sessions so far."""

    def __init__(self, case: dict[str, Any], engine: str) -> None:
        self.engine, self.clock = engine, Clock()
        self.directory = directory_of(resolve(case.get("roles", [])))
        self.sts = STS(self.directory, Keyring.generate(), clock=self.clock)
        self.named: dict[str, Any] = {}

    def step(self, step: dict[str, Any]) -> None:
        if "tick" in step:
            self.clock.tick(step["tick"])
        elif "revoke" in step:
            self.sts.revoke_sessions(step["revoke"])
        elif "put_inline_policy" in step:
            arn, name, policy = step["put_inline_policy"]
            self.directory.put_inline_policy(arn, name, document(policy))
        elif "decide" in step:
            self.decide(*step["decide"], step["expect"])
        else:
            self.call(dict(step))

    def decide(self, who: str, action: str, resource: str, expect: dict[str, Any]) -> None:
        principal = self.named[who].session if who in self.named else who
        if self.engine == "reference":
            decision = self.sts.engine.explain(principal, action, resource, now=self.clock()).decision
        else:
            decision = self.sts.engine.decide(principal, action, resource, now=self.clock())
        assert {"outcome": CODES[decision.outcome.name], "layer": str(decision.layer)}.items() >= expect.items()

    def call(self, step: dict[str, Any]) -> None:
        expect, name = step.pop("expect", {}), step.pop("name", "")
        call, who = getattr(self.sts, step.pop("call")), step.pop("as", None)
        arguments = [] if who is None else [self.named[who].credentials if who in self.named else who]
        if "assertion" in step:
            arguments.append(Assertion(**step.pop("assertion")))
        arguments += [step.pop(key) for key in ("role", "session_name", "name_") if key in step]
        if "error" in expect:
            with pytest.raises(StsError) as error:
                call(*arguments, **step)
            raised = {"error": type(error.value).__name__, **vars(error.value)}
            assert {key: raised[key] for key in expect} == expect
            return
        made = self.named[name] = call(*arguments, **step)
        assert {key: self.found(made, key) for key in expect} == expect

    def found(self, made: Any, key: str) -> Any:
        if key == "seconds":
            return (made.credentials.expiration - self.clock()).total_seconds()
        if key == "principal_tags":
            keys = self.sts.engine.snapshot.principal(self.sts.authenticate(made.credentials).principal).keys
            prefix = "aws:principaltag/"
            return {k.removeprefix(prefix): v.values[0] for k, v in keys.items() if k.startswith(prefix)}
        value = getattr(made.session, key)
        return list(value) if isinstance(value, tuple) else value


@pytest.mark.parametrize("case", LOADED, ids=[case["id"] for case in LOADED])
def test_case(case: dict[str, Any], engine: str) -> None:
    """Rule: the one that the case names."""
    run = Run(case, engine)
    for step in resolve(case["steps"]):
        run.step(step)


def test_every_sts_entry_of_the_catalogue_has_a_case() -> None:
    assert {"E298", "E299", *(f"E{n}" for n in range(304, 310)), "E317"} <= {case["id"][:4] for case in LOADED}
    assert len({case["id"] for case in LOADED}) == len(LOADED)


def test_unknown_field_of_a_role_fails() -> None:
    with pytest.raises(AssertionError, match="unknown fields {'trust'}"):
        directory_of([{"arn": "arn:aws:iam::111111111111:role/Dep", "trust": ANA}])


def test_wrong_expectation_fails() -> None:
    case = next(case for case in LOADED if case["id"] == "E304")
    wrong = [dict(case["steps"][0], expect={"seconds": 1})]
    with pytest.raises(AssertionError):
        run = Run(case, "compiled")
        for step in resolve(wrong):
            run.step(step)
