"""`unused`: the granted actions of each principal that no call in a log used.

The grants are those of `what_can`, and their patterns are expanded to the actions of AWS. The log does not show the use of each
action, so that an action without a call is in one of three groups.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from fastiam.analysis.access.effective_permissions import EffectivePermissions
from fastiam.analysis.access.grants import Grant, GrantStatement
from fastiam.analysis.access.log_usage import PrincipalUsage, unique_ids, usage_of
from fastiam.aws_data.action_patterns import all_actions, matching_actions
from fastiam.aws_data.log_events import data_events, not_recorded
from fastiam.errors import RequestValueError
from fastiam.model.logged_calls import Calls
from fastiam.model.profile import ROOTS
from fastiam.model.protocols import AnalysisEngine
from fastiam.model.result import Result
from fastiam.policy.wildcards import matches_everything


@dataclass(frozen=True, slots=True)
class Unused(Result):
    """The granted actions of a user or role without a call in the log.

    Attributes
    ----------
    principal
        its ARN.
    unused
        the log shows the use of these actions, and has none.
    not_visible
        a trail writes their calls only as data events, such as those on S3 objects.
    not_recorded
        CloudTrail has no record of this name, for example because the permission has no operation.
    used
        the granted actions with an allowed call.
    not_granted
        the other actions with an allowed call: a resource policy or another session allowed them, or the policies have changed
        since.
    calls, last_call
        the number of allowed calls of the principal, and the time of the last one, or "".
    former_calls
        the number of allowed calls of deleted users or roles with this ARN, by their unique ids. They do not count.
    """

    principal: str
    unused: tuple[str, ...]
    not_visible: tuple[str, ...]
    not_recorded: tuple[str, ...]
    used: tuple[str, ...]
    not_granted: tuple[str, ...]
    calls: int
    last_call: str
    former_calls: int = 0

    _derived = ("granted",)

    @property
    def granted(self) -> int:
        """The number of granted actions."""
        return len(self.unused) + len(self.not_visible) + len(self.not_recorded) + len(self.used)


def unused(
    engine: AnalysisEngine, log: Iterable[Calls], *, since: datetime | None, data_events_of: Collection[str] = ()
) -> list[Unused]:
    """Return the unused access of each user and role, most unused actions first.

    Parameters
    ----------
    log
        batches of calls, such as those of `fastiam.read_cloudtrail`.
    since
        calls before this time do not count; None counts all calls.
    data_events_of
        the service prefixes whose data events the trail writes for all resources: `s3`, `lambda`.

    Raises
    ------
    SourceError
        a file of the log is broken.
    MissingPackageError
        the package with the actions of AWS is not installed.
    RequestValueError
        an unknown prefix, or `since` has no time zone.
    """
    if since is not None and since.tzinfo is None:
        hint = "pass `datetime(..., tzinfo=timezone.utc)`"
        raise RequestValueError("a datetime needs a time zone", column="since", hint=hint)
    hidden = _hidden(data_events_of)
    usage = usage_of(log, since=since, ids=unique_ids(engine.snapshot.tables))
    found = []
    for name, _ in engine.snapshot.names():
        profile = engine.snapshot.principal(name)
        if profile.kind in ROOTS or name not in engine.snapshot.tables.entities:
            continue
        grants = EffectivePermissions(engine.snapshot, profile, engine.settings, {}, frozenset()).grants()
        granted = frozenset[str]().union(*map(_actions_of, grants))
        found.append(_unused_of(name, granted, usage.principals.get(name, PrincipalUsage()), hidden))
    return sorted(found, key=lambda each: (-len(each.unused), each.principal))


def _hidden(prefixes: Collection[str]) -> frozenset[str]:
    """Return the data events that the trail does not write."""
    known = {action.partition(":")[0] for action in data_events()}
    for prefix in prefixes:
        if prefix.lower() not in known:
            raise RequestValueError(f"`{prefix}` has no data events", column="data_events", hint="write a prefix such as `s3`")
    shown = {prefix.lower() for prefix in prefixes}
    return frozenset(action for action in data_events() if action.partition(":")[0] not in shown)


def _unused_of(principal: str, granted: frozenset[str], usage: PrincipalUsage, hidden: frozenset[str]) -> Unused:
    used = {action for action in granted if action.lower() in usage.resources}
    rest = sorted(granted - used)
    not_visible = tuple(action for action in rest if action.lower() in hidden)
    never = tuple(action for action in rest if action.lower() in not_recorded() and action.lower() not in hidden)
    known = {action.lower() for action in granted}
    return Unused(
        principal,
        tuple(sorted(set(rest).difference(not_visible, never))),
        not_visible,
        never,
        tuple(sorted(used)),
        tuple(sorted(action for action in usage.resources if action not in known)),
        usage.calls,
        usage.last,
        usage.former_calls,
    )


def _actions_of(grant: Grant) -> frozenset[str]:
    """Return the actions of a grant, without those that a layer never allows or that a Deny always denies."""
    found = _matching(grant.actions, negated=grant.not_actions)
    for limit in grant.limited_by:
        found &= frozenset[str]().union(*map(_actions_of_statement, limit.statements))
    for deny in grant.denied_by:
        if not deny.conditions and not deny.not_resources and any(map(matches_everything, deny.resources)):
            found -= _actions_of_statement(deny)
    return found


def _actions_of_statement(statement: GrantStatement) -> frozenset[str]:
    return _matching(statement.actions, negated=statement.not_actions)


def _matching(patterns: tuple[str, ...], *, negated: bool) -> frozenset[str]:
    found = frozenset[str]().union(*map(matching_actions, patterns))
    return all_actions() - found if negated else found
