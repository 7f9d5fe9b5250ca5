"""`/v1/who-can`, `/v1/what-can`, `/v1/explain` and `/v1/diff` (G166)."""

from __future__ import annotations

from typing import Any

import pytest
from bulk_fixture import ACCOUNT, ALICE, BOB, DEFAULT, NDJSON, NOW, OBJECT, SESSION, World, row

from fastiam import Directory
from fastiam.server.identity import ASSERT_OWNER, TRUST_SCOPES
from fastiam.server.reasons import client_form

READ = {"action": "s3:GetObject", "resource": OBJECT}
SESSIONS = {"s": {"principal": SESSION, "tags": {"team": "red"}}}


def _crowd() -> Directory:
    made = Directory(quotas=None)
    statement = {"Effect": "Allow", "Action": ["s3:GetObject", "s3:Put*"], "Resource": "*"}
    for i in range(25):
        made.add_principal(
            f"arn:aws:iam::{ACCOUNT}:user/u{i}", identity_policies=[{"Version": "2012-10-17", "Statement": statement}]
        )
    return made


def _pages(world: World, name: str, body: dict[str, Any], member: str) -> list[Any]:
    found: list[Any] = []
    token = ""
    while True:
        status, answer = world.ask(name, {**body, "token": token})
        assert status == 200 and answer["page"]["count"] == len(answer[member]), answer
        found += answer[member]
        token = answer["page"]["next_token"]
        if not token:
            return found


@pytest.mark.parametrize("limit", [1, 7, 1_000])
def test_pages_of_callers_have_each_caller_once(limit: int) -> None:
    world = World(made=_crowd())
    expected = [client_form(access) for access in world.engine.who_can("s3:GetObject", OBJECT, now=NOW)]
    found = _pages(world, "who-can", {**READ, "limit": limit}, "callers")
    assert found == sorted(expected, key=lambda caller: str(caller["principal"])) and len(found) == 26


def test_streamed_callers_end_with_a_summary() -> None:
    world = World(made=_crowd())
    _, lines = world.ask("who-can", READ, accept=NDJSON)
    assert lines[:-1] == _pages(world, "who-can", READ, "callers")
    assert lines[-1] == {"summary": {"callers": 26, "generation": 1}}


def test_callers_under_conditions_are_listed_with_them() -> None:
    """Other than a search of AuthZEN: principals that need a value, and root."""
    _, answer = World().ask("who-can", {"action": "s3:DeleteObject", "resource": OBJECT, "unknown": ["aws:ResourceTag/team"]})
    by_name = {caller["principal"]: caller for caller in answer["callers"]}
    assert by_name[ALICE]["outcome"] == "DEPENDS" and by_name[ALICE]["depends_on"] == ["aws:ResourceTag/team"]
    assert by_name[f"arn:aws:iam::{ACCOUNT}:root"]["outcome"] == "ALLOW" and BOB not in by_name


def test_what_can_has_the_forms_of_the_library() -> None:
    world = World()
    grants = [client_form(grant) for grant in world.engine.what_can(ALICE)]
    assert _pages(world, "what-can", {"principal": ALICE, "limit": 2}, "grants") == grants and len(grants) > 2
    actions = [client_form(one) for one in world.engine.what_can(ALICE, OBJECT, now=NOW)]
    found = _pages(world, "what-can", {"principal": ALICE, "resource": OBJECT, "limit": 1}, "actions")
    assert found == sorted(actions, key=lambda one: str(one["action"])) and found


def test_explain_has_the_form_of_the_library() -> None:
    world = World()
    context = {"aws:SourceIp": "203.0.113.7"}
    expected = world.engine.explain(ALICE, "s3:GetObject", OBJECT, context, now=NOW)
    assert world.ask("explain", row(context=context)) == (200, client_form(expected))


def test_stated_session_is_explained() -> None:
    body = {"principal": "s", **READ, "sessions": SESSIONS}
    status, answer = World(TRUST_SCOPES).ask("explain", body)
    assert status == 200 and answer["decision"]["outcome"] == "ALLOW"
    status, answer = World(DEFAULT).ask("explain", body)
    assert (status, answer["error"]["code"]) == (403, "not_asserted")


def test_stored_tag_wins_over_a_stated_one() -> None:
    body = row(action="s3:DeleteObject", resource="arn:aws:s3:::data", context={"aws:ResourceTag/team": "red"})
    _, answer = World().ask("explain", body)
    assert answer["decision"]["outcome"] == "IMPLICIT_DENY" and answer["ignored"] == ["context.aws:ResourceTag/team"]


def test_owner_needs_its_scope_or_is_named_in_ignored() -> None:
    stated = row(action="s3:DeleteObject", resource="arn:aws:s3:::elsewhere/k", context={"aws:ResourceTag/team": "red"})
    stated["resource_account"] = "222222222222"
    _, answer = World(TRUST_SCOPES).ask("explain", stated)
    assert answer["decision"]["outcome"] == "IMPLICIT_DENY" and "ignored" not in answer
    _, answer = World(TRUST_SCOPES - {ASSERT_OWNER}).ask("explain", stated)
    assert answer["decision"]["outcome"] == "ALLOW" and answer["ignored"] == ["resource_account"]
    status, answer = World(TRUST_SCOPES).ask("explain", {**stated, "resource_account": "22"})
    assert (status, answer["error"]["code"], answer["error"]["at"]) == (400, "bad_value", "$.resource_account")


@pytest.mark.parametrize(
    ("name", "body", "code"),
    [
        ("who-can", {"action": "s3:GetObject"}, "missing"),
        ("who-can", {**READ, "limit": 0}, "bad_limit"),
        ("who-can", {**READ, "limit": 1_001}, "bad_limit"),
        ("who-can", {**READ, "token": "x"}, "bad_page_token"),
        ("who-can", {**READ, "principal": ALICE}, "bad_member"),
        ("who-can", {**READ, "action": "nonsense"}, "bad_value"),
        ("who-can", {**READ, "unknown": "aws:SourceIp"}, "bad_type"),
        ("what-can", {"principal": ALICE, "actions": ["s3:GetObject"]}, "missing"),
        ("what-can", {"principal": "alice"}, "unmapped_subject"),
        ("explain", {"principal": ALICE, **READ, "context": {"aws:SourceIp": "nonsense"}}, "bad_value"),
        ("explain", {"principal": ALICE, **READ, "unknown": ["a*b"]}, "bad_value"),
        ("explain", b'{"principal": "*", "principal": "*"}', "duplicate_key"),
        ("explain", b"[]", "not_object"),
        ("diff", {"before": []}, "missing"),
        ("diff", {"before": [], "after": [7]}, "bad_type"),
        ("diff", {"before": [], "after": ["{"]}, "bad_policy"),
        ("diff", {"before": [], "after": ["x" * 131_073]}, "too_long"),
        ("diff", {"before": [], "after": [{}] * 33}, "too_many"),
    ],
)
def test_analysis_that_cannot_be_read_is_400(name: str, body: Any, code: str) -> None:
    status, answer = World().ask(name, body)
    assert (status, answer["error"]["code"]) == (400, code)


def test_analysis_of_another_content_type_is_415() -> None:
    assert World().ask("diff", b"{}", content_type="text/plain")[0] == 415


def test_token_is_valid_for_its_own_listing_and_limit() -> None:
    world = World(made=_crowd())
    _, answer = world.ask("who-can", {**READ, "limit": 3})
    token = answer["page"]["next_token"]
    for changed in ({**READ, "action": "s3:PutObject"}, {**READ, "limit": 4}):
        assert world.ask("who-can", {**changed, "token": token})[1]["error"]["code"] == "bad_page_token"


def test_diff_reads_only_the_documents_of_the_request() -> None:
    def policy(action: str) -> dict[str, Any]:
        return {"Version": "2012-10-17", "Statement": {"Sid": "A", "Effect": "Allow", "Action": action, "Resource": "*"}}

    world = World()
    before = world.engine.stats()
    status, answer = world.ask("diff", {"before": policy("s3:Get*"), "after": [policy("s3:Get*"), policy("ec2:Run*")]})
    assert status == 200 and answer["counts"] == {"gained": answer["n_rows"]}
    assert [group["change"] for group in answer["groups"]] == ["gained"] and world.engine.stats() == before
    assert world.ask("diff", {"before": policy("s3:*"), "after": policy("s3:*")})[1]["groups"] == []
