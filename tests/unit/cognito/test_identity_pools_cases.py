"""Identity pools: the case tables of federation.md 10.5 and 10.8, on the public calls.

A case of `cases/identity_pools.json` has other parameters of the pool (`pool`) and `steps`, run in order. `call` names the method
of `Run` that makes the call; `is` is its outcome. `as` keeps an id, token or session under a name for later steps.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from case_files import CASES
from identity_world import COGNITO, CORP, NAMES, IdentityWorld, role
from saml_world import metadata
from sts_fixture import A, document

from fastiam.sts import StsError

LOADED = json.loads((CASES / "identity_pools.json").read_text())
TABLE = frozenset([*(f"F{n}" for n in range(140, 158)), *(f"F{n}" for n in range(240, 246))])  # 10.5, and its part of 10.8
SHORT = {"OK": "", "NAE": "NotAuthorizedException", "INVALID": "InvalidParameterException"}
SHORT |= {"CONFLICT": "ResourceConflictException", "CONFIG": "InvalidIdentityPoolConfigurationException"}


class Run:
    """One case."""

    def __init__(self, case: dict[str, Any]) -> None:
        self.world = IdentityWorld(self.named(case.get("pool", {})))
        self.kept: dict[str, Any] = {}
        self.world.ids = self.kept

    def named(self, given: Any) -> Any:
        """Parameters with the names of providers in full."""
        if isinstance(given, list):
            return [self.named(each) for each in given]
        if isinstance(given, dict):
            return {key: NAMES[each] if key == "ProviderName" else self.named(each) for key, each in given.items()}
        return given

    def step(self, step: dict[str, Any]) -> None:
        """Run a step and compare its outcome."""
        method, n = getattr(self, step["call"]), len(self.world.events)
        try:
            code, made = "", method(step)
        except StsError as error:
            code, made = error.code, None
        expected = step.get("is", "OK")
        if step["call"] == "decide":
            assert made == expected, step
            return
        assert code == SHORT.get(expected, expected), step
        if code:
            assert [event.code for event in self.world.events[n:]] == [code], "a refusal is one event"
        if "as" in step:
            self.kept[step["as"]] = made
        if "id" in step:
            assert getattr(made, "identity_id", made) == self.kept[step["id"]], step

    # -- calls ----------------------------------------------------------------------------------------------------------------

    def get_id(self, step: dict[str, Any]) -> Any:
        return self.world.get_id(**self.logins(step))

    def logins(self, step: dict[str, Any]) -> dict[str, Any]:
        """Described logins; roles in claims are written by name."""
        described = json.loads(json.dumps(step.get("logins", {})))
        for each in described.values():
            if isinstance(each, dict) and isinstance(each.get("cognito:roles"), list):
                each["cognito:roles"] = [role(name) for name in each["cognito:roles"]]
            if isinstance(each, dict) and "cognito:preferred_role" in each:
                each["cognito:preferred_role"] = role(each["cognito:preferred_role"])
        return described

    def credentials(self, step: dict[str, Any]) -> Any:
        made = self.world.credentials(self.kept[step["of"]], step.get("custom_role"), **self.logins(step))
        session = self.world.sts.authenticate(made.credentials).principal
        assert session == made.session
        if "role" in step:
            assert session.issuer == role(step["role"]), step
        if "tags" in step:
            assert session.tags == step["tags"]
        if "session" in step:
            assert session.arn == step["session"]
        if "seconds" in step:
            assert (made.credentials.expiration - self.world.clock()).total_seconds() == step["seconds"]
        return made

    def token(self, step: dict[str, Any]) -> str:
        logins = self.world.logins(self.logins(step))
        return str.__str__(self.world.pools.get_open_id_token(self.kept[step["of"]], logins).token)

    def developer(self, step: dict[str, Any]) -> str:
        logins, identity = self.world.logins(self.logins(step)), self.kept.get(step.get("of", ""))
        made = self.world.pools.get_open_id_token_for_developer_identity(
            self.world.q, logins, identity_id=identity, token_duration=step.get("duration")
        )
        self.kept[f"{step.get('as')}:id"] = made.identity_id
        return str.__str__(made.token)

    def assume(self, step: dict[str, Any]) -> Any:
        return self.world.federation.assume_role_with_web_identity(role(step["role"]), "run1", self.kept[step["token"]])

    def login(self, step: dict[str, Any]) -> str:
        ((name, given),) = step["login"].items()
        return self.world.login(name, given)

    # -- changes --------------------------------------------------------------------------------------------------------------

    def update(self, step: dict[str, Any]) -> None:
        present = self.world.pools.describe_identity_pool(self.world.q)
        names = (
            "identity_pool_name allow_unauthenticated_identities allow_classic_flow supported_login_providers saml_provider_arns "
            "open_id_connect_provider_arns cognito_identity_providers"
        ).split()
        given = {name: getattr(present, name) for name in names} | self.named(step)
        given.pop("call")
        self.world.pools.update_identity_pool(self.world.q, **given)

    def roles(self, step: dict[str, Any]) -> None:
        roles = {"authenticated": "Auth", "unauthenticated": "Guest"} | {k: v for k, v in step.items() if k == "authenticated"}
        mappings = {}
        for name, mapping in step.get("mappings", {}).items():
            rules = [
                {"Claim": claim, "MatchType": match, "Value": value, "RoleARN": role(to)}
                for claim, match, value, to in mapping.get("rules", ())
            ]
            rest = {key: value for key, value in mapping.items() if key != "rules"}
            mappings[NAMES[name]] = rest | ({"RulesConfiguration": {"Rules": rules}} if rules else {})
        chosen = {kind: role(name) for kind, name in roles.items() if name is not None}
        made = self.world.pools.set_identity_pool_roles(self.world.q, chosen, mappings)
        assert not step.get("warns") or any(step["warns"] in warning for warning in made.warnings)
        assert not step.get("warns") or self.world.events[-1].warnings == made.warnings

    def tag_map(self, step: dict[str, Any]) -> None:
        provider = NAMES[step["provider"]]
        self.world.pools.set_principal_tag_attribute_map(self.world.q, provider, principal_tags=step["tags"])

    def sign_in(self, step: dict[str, Any]) -> None:
        self.world.sign_in(step["sub"])

    def sign_out(self, step: dict[str, Any]) -> None:
        self.world.sign_out(step["sub"])

    def recreate_saml(self, step: dict[str, Any]) -> None:
        self.world.federation.saml_providers.delete(CORP)
        self.world.federation.saml_providers.create(A, "Corp", metadata())

    def tick(self, step: dict[str, Any]) -> None:
        self.world.clock.tick(step["seconds"])

    # -- checks ---------------------------------------------------------------------------------------------------------------

    def differ(self, step: dict[str, Any]) -> None:
        names = [self.kept[name] for name in step["names"]]
        assert len(set(names)) == len(names)

    def decide(self, step: dict[str, Any]) -> str:
        session = self.kept[step["session"]].session
        resource = "arn:aws:s3:::b/k" if step["action"].startswith("s3:") else "*"
        decision = self.world.sts.engine.decide(session, step["action"], resource, resource_account=A)
        return "OK" if decision.allowed else f"I ({decision.layer})"

    def own_folder(self, step: dict[str, Any]) -> None:
        """A policy variable is the identity id."""
        statement = {"Effect": "Allow", "Action": "s3:*", "Resource": f"arn:aws:s3:::b/${{{COGNITO}:sub}}/*"}
        self.world.directory.put_inline_policy(role("Auth"), "identity_policies[0]", document(statement))
        session, id_ = self.kept[step["session"]].session, self.kept[step["of"]]
        engine = self.world.sts.engine
        assert engine.is_allowed(session, "s3:GetObject", f"arn:aws:s3:::b/{id_}/x", resource_account=A)
        assert not engine.is_allowed(session, "s3:GetObject", "arn:aws:s3:::b/other/x", resource_account=A)


@pytest.mark.parametrize("case", LOADED["cases"], ids=lambda case: case["id"])
def test_case_of_the_specification(case):
    run = Run(case)
    for step in case["steps"]:
        run.step(step)


def test_every_case_of_the_tables_is_run():
    listed = {case["id"] for case in LOADED["cases"]} | LOADED["not_here"].keys()
    assert listed == TABLE
