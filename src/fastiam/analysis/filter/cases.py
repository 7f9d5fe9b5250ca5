"""Cases of the ARN: sets of ARNs whose resource has one profile, except what a formula over the ARN expresses (6.10, D23).

The cases of a record are the ARNs that have it, and the ARNs below it that it governs. Other ARNs are one case. The profile of
a case is that of one of its ARNs, by the same code that resolves the resource of a request.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from fastiam.analysis.filter.governed_arns import ArnCase, cases_below, spellings
from fastiam.analysis.filter.patterns import Part
from fastiam.model.arn import is_account
from fastiam.model.profile import ResourceFacts
from fastiam.resolve.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class RecordedCases:
    """The cases of all records of a directory, each with its facts.

    Attributes
    ----------
    below, exact
        ARNs below records, those of longer starts last; and the ARNs with records.
    unused
        a name that no recorded ARN contains.
    accounts
        the accounts with a record.
    """

    below: tuple[tuple[ArnCase, ResourceFacts], ...]
    exact: tuple[tuple[ArnCase, ResourceFacts], ...]
    unused: str
    accounts: frozenset[str]


_RECORDED: WeakKeyDictionary[Snapshot, RecordedCases] = WeakKeyDictionary()


def recorded_cases(snapshot: Snapshot) -> RecordedCases:
    """The cases of a snapshot, which does not change: computed for the first filter over it."""
    found = _RECORDED.get(snapshot)
    if found is None:
        exact = [ArnCase(arn) for arn in dict.fromkeys(recorded_arns(snapshot))]
        found = _RECORDED[snapshot] = RecordedCases(
            below=tuple((case, snapshot.facts(case.sample)) for case in all_below(snapshot)),
            exact=((ArnCase("*"), ResourceFacts("*")), *((case, snapshot.facts(case.sample)) for case in exact)),
            unused=unused_name(snapshot),
            accounts=frozenset(facts.id for facts in snapshot.accounts()),
        )
    return found


def recorded_arns(snapshot: Snapshot) -> Iterator[str]:
    """The ARNs with records, in each spelling, and the partial ARNs of secrets."""
    for arn, _ in snapshot.resources():
        yield from spellings(arn)
    yield from snapshot.entity_resources()


def all_below(snapshot: Snapshot) -> list[ArnCase]:
    """The ARNs below each record that it governs (6.10), those of longer starts last. They include ARNs with other records."""
    found: dict[tuple[str, tuple[Part, ...]], ArnCase] = {}
    name = unused_name(snapshot)
    for arn, _ in snapshot.resources():
        for case in cases_below(arn, name):
            found[case.start, case.pattern] = case
    return sorted(found.values(), key=lambda case: len(case.start))


def differs(facts: ResourceFacts, arn: str, tags: frozenset[str], *, has_policies: bool, needs_record: bool) -> bool:
    """Whether the facts of an ARN can change a decision, compared with an ARN without a record.

    Parameters
    ----------
    tags
        the keys of resource tags that matter.
    has_policies
        the policies of its resources count for the principal and the action.
    needs_record
        the recorded owner matters even if the account field of the ARN has the same.
    """
    if facts.arn != arn or (facts.policies and has_policies) or not tags.isdisjoint(facts.keys):
        return True
    if facts.account is None:
        return False
    field = arn.split(":", 5)[4]
    return needs_record or field != facts.account or not is_account(field)


def unused_name(snapshot: Snapshot) -> str:
    """A name that no recorded ARN contains: samples of cases have no record of their own."""
    name = "zq0"
    arns = [arn for arn, _ in snapshot.resources()] + list(snapshot.entity_resources())
    while any(name in arn for arn in arns):
        name += "0"
    return name
