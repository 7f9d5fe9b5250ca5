"""`suggest_policy`: a smaller policy of what a log used, with the checks of its two guarantees."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fastiam.analysis.access.decision_changes import Change
from fastiam.analysis.access.log_diff import diff_log
from fastiam.analysis.access.log_usage import PrincipalUsage, unique_ids, usage_of, used_calls
from fastiam.analysis.access.suggested_policy import suggested_policy
from fastiam.analysis.proof.layer_proofs import prove
from fastiam.analysis.proof.result import Proof
from fastiam.api.directory import Directory
from fastiam.errors import RequestValueError, did_you_mean
from fastiam.model.logged_calls import Calls
from fastiam.model.policy import PolicyKind
from fastiam.model.profile import Policies
from fastiam.policy.document import read_policy

_NAME = "suggested"  # of the policy in the changed copy of the directory


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A policy in place of all identity policies of a user or role.

    Attributes
    ----------
    principal
        the user or role.
    document
        the policy: the used actions of its Allow statements, and all its Deny statements. `Statement` is empty if there are none:
        AWS takes no such policy, detach those that there are.
    calls
        number of allowed calls of the principal in the log.
    lost
        number of these calls that the directory allows, or can allow, and that it denies with the suggestion. 0 is the first
        guarantee.
    proof
        whether the suggestion allows nothing that the identity policies of the principal do not. PROVED is the second guarantee.
    not_covered
        used actions that no identity policy of the principal allows.
    removed_unseen
        granted actions whose use a log of CloudTrail does not show, and that the suggestion does not allow.
    former_calls
        number of allowed calls of deleted users or roles with this ARN, by their unique ids. They do not count.
    """

    principal: str
    document: Mapping[str, Any]
    calls: int
    lost: int
    proof: Proof
    not_covered: tuple[str, ...]
    removed_unseen: tuple[str, ...]
    former_calls: int = 0


def suggest_policy(directory: Directory, principal: str, log: Iterable[Calls], *, since: datetime | None = None) -> Suggestion:
    """Return a smaller policy for a user or role, of what it used in a log.

    Parameters
    ----------
    directory
        the policies. It is not changed.
    principal
        the ARN of a user or role.
    log
        batches of calls, such as those of `fastiam.read_cloudtrail`. It is read twice.
    since
        calls before this time do not count; None counts all calls.

    Raises
    ------
    RequestValueError
        the directory has no such user or role, or one of its policies cannot be copied exactly.
    SourceError
        a file of the log is broken.
    MissingPackageError
        the packages of the extra `logs` are missing.
    """
    if principal not in directory.tables.entities:
        hint = did_you_mean(principal, directory.tables.entities)
        raise RequestValueError(f"`{principal}` is not a user or role of the directory", column="principal", hint=hint)
    calls = log if hasattr(log, "records") else list(log)  # a file can be read again
    old = directory.compile()
    ids = unique_ids(directory.tables)
    usage = usage_of(calls, since=since, ids=ids).principals.get(principal, PrincipalUsage())
    profile = old.snapshot.principal(principal)
    found = suggested_policy(profile, usage)
    changed = copy.deepcopy(directory)
    _replace_policies(changed, principal, found.document)
    compared = diff_log(old, changed.compile(), used_calls(calls, principal, since=since, ids=ids))
    lost = sum(count for change, count in compared.counts.items() if change in (Change.LOST, Change.MAY_LOSE))
    proof = prove(profile.identity_policies, _read(found.document), PolicyKind.IDENTITY)
    return Suggestion(
        principal, found.document, usage.calls, lost, proof, found.not_covered, found.removed_unseen, usage.former_calls
    )


def _read(document: Mapping[str, Any]) -> Policies:
    return (read_policy(document, PolicyKind.IDENTITY, name=_NAME),) if document["Statement"] else ()


def _replace_policies(directory: Directory, principal: str, document: Mapping[str, Any]) -> None:
    """Give a principal this policy in place of its own and those of its groups."""
    record = directory.tables.entities[principal]
    directory.mode = "lenient"  # a policy with many actions can exceed a quota of AWS, which the caller sees in its length
    for stored in record.inline:
        directory.delete_inline_policy(principal, stored.name)
    for policy in record.attached:
        directory.detach_policy(principal, policy)
    for group in record.groups:
        directory.remove_user_from_group(principal, group)
    if document["Statement"]:
        directory.put_inline_policy(principal, _NAME, document)
