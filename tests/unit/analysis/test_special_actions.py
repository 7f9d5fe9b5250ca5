"""The actions that proofs decide one by one, against the rules that no policy changes."""

from __future__ import annotations

from itertools import product

import pytest

from fastiam.analysis.proof.resource_policies import SPECIAL_ACTIONS
from fastiam.aws_data.catalog import AwsData
from fastiam.model.profile import PrincipalKind, PrincipalProfile, ResourceProfile, Settings
from fastiam.spec.service_rules import credential_forbids, is_always_allowed, needs_resource_policy

NAMED = {text for (text,) in SPECIAL_ACTIONS}
ROLE = ResourceProfile("arn:aws:iam::111111111111:role/r", "aws", "111111111111")


@pytest.mark.parametrize("service", ["sts", "iam", "s3"])
@pytest.mark.parametrize("kind", PrincipalKind)
def test_other_actions_have_the_rules_of_their_service(kind: PrincipalKind, service: str) -> None:
    names = [name.lower() for name in AwsData.installed().service(service).actions]
    others = [(service, name) for name in names if f"{service}:{name}" not in NAMED]
    assert others
    for temporary, mfa in product((False, True), repeat=2):
        profile = PrincipalProfile(kind, "arn:aws:iam::111111111111:x", "aws", "111111111111", temporary=temporary, mfa=mfa)
        for rule in (credential_forbids, is_always_allowed):
            assert len({rule(profile, call) for call in others}) == 1, rule
    assert len({needs_resource_policy(ROLE, call, Settings()) for call in others}) == 1
