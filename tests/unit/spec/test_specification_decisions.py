"""Tests compare decisions without explanations: these are the decisions that come with an explanation."""

from __future__ import annotations

import threading

import policy_generators as strategies
from case_files import simulate_arguments
from differential import as_check
from specification import decision, decisions_only

import fastiam
from fastiam.errors import PolicyError, RequestValueError
from fastiam.simulation.profiles import profiles_from_documents
from fastiam.spec import decide

ANA = "arn:aws:iam::111111111111:user/ana"


def test_decision_alone_equals_the_explained_one() -> None:
    with_names = with_near_misses = 0
    for seed in range(150):
        try:
            principal, resource, endpoint, request = profiles_from_documents(
                **simulate_arguments(as_check(strategies.ad_hoc(seed)))
            )
        except (PolicyError, RequestValueError):
            continue
        explained = decide(principal, resource, request, endpoint=endpoint)
        assert decision(principal, resource, request, endpoint=endpoint) == explained.decision
        with_names += bool(explained.absent_keys)
        with_near_misses += bool(explained.near_misses)
    assert with_names > 10 < with_near_misses


def test_decisions_only_changes_one_thread_and_ends() -> None:
    directory = fastiam.Directory()
    where_live = {"StringEquals": {"app:stage": "live"}}
    statement = {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": where_live}
    directory.add_principal(ANA, identity_policies=[{"Version": "2012-10-17", "Statement": statement}])
    engine = directory.compile()
    found = []

    def explain() -> None:
        explanation = engine.explain(ANA, "s3:GetObject", "*")
        found.append((explanation.absent_keys, len(explanation.near_misses)))

    with decisions_only():
        explain()
        thread = threading.Thread(target=explain)
        thread.start()
        thread.join()
    explain()
    assert found == [((), 0), (("app:stage",), 1), (("app:stage",), 1)]
