"""Cases of the ARN: sets of ARNs whose resource has one profile, except what a formula over the ARN expresses (6.10, D23).

The cases of a record are the ARNs that have it, and the ARNs below it that it governs. Other ARNs are one case. The profile of
a case is that of one of its ARNs, by the same code that resolves the resource of a request.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from fastiam.analysis.filter.formula import Formula, Text, equals, matches
from fastiam.analysis.filter.patterns import Part, Symbol
from fastiam.directory.governing_resources import partial_secret
from fastiam.model.arn import Arn, is_account, split_arn
from fastiam.model.profile import ResourceFacts
from fastiam.resolve.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class ArnCase:
    """ARNs that have one record, or are governed by one.

    Attributes
    ----------
    sample
        one of them.
    start
        with what they all begin; "" for the one ARN `sample`.
    pattern
        what matches them, if not all that begin with `start`.
    is_any_account
        their account fields differ.
    """

    sample: str
    start: str = ""
    pattern: tuple[Part, ...] = ()
    is_any_account: bool = False

    def condition(self, arn: Text) -> Formula:
        """The ARN of the row is one of them."""
        if not self.start:
            return equals(arn, self.sample)
        return matches(arn, self.pattern or (self.start, Symbol.ANY))


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
            below=tuple((case, snapshot.facts(case.sample)) for case in cases_below(snapshot)),
            exact=((ArnCase("*"), ResourceFacts("*")), *((case, snapshot.facts(case.sample)) for case in exact)),
            unused=unused_name(snapshot),
            accounts=frozenset(facts.id for facts in snapshot.accounts()),
        )
    return found


def recorded_arns(snapshot: Snapshot) -> Iterator[str]:
    """The ARNs with records, in each spelling, and the partial ARNs of secrets."""
    for arn, _ in snapshot.resources():
        yield arn
        parts = split_arn(arn)
        if parts is not None and parts.service == "logs" and parts.rest.startswith("log-group:"):
            yield f"{arn}:*"
        partial = partial_secret(arn)
        if partial is not None:
            yield partial
    yield from snapshot.entity_resources()


def cases_below(snapshot: Snapshot) -> list[ArnCase]:
    """The ARNs below each record that it governs (6.10), those of longer starts last. They include ARNs with other records."""
    found: dict[tuple[str, tuple[Part, ...]], ArnCase] = {}
    name = unused_name(snapshot)
    for arn, _ in snapshot.resources():
        parts = split_arn(arn)
        row = None if parts is None else _BELOW.get(parts.service)
        for case in row(arn, parts, name) if parts is not None and row is not None else ():
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


# -- ARNs below a record: the inverse of the rows of `governing_resources` -----------------------------------------------


def unused_name(snapshot: Snapshot) -> str:
    """A name that no recorded ARN contains: samples of cases have no record of their own."""
    name = "zq0"
    arns = [arn for arn, _ in snapshot.resources()] + list(snapshot.entity_resources())
    while any(name in arn for arn in arns):
        name += "0"
    return name


def _after(arn: str, separator: str, name: str) -> ArnCase:
    return ArnCase(f"{arn}{separator}{name}", arn + separator)


def _has_one_name(rest: str, type_: str) -> bool:
    """The last field is a type and one name, which is not empty."""
    name = rest.removeprefix(type_)
    return rest.startswith(type_) and name != "" and type_[-1] not in name


def _s3(arn: str, parts: Arn, name: str) -> Iterator[ArnCase]:
    if not (parts.region or parts.account):
        if "/" not in parts.rest:
            yield _after(arn, "/", name)
    elif _has_one_name(parts.rest, "accesspoint/"):
        yield _after(arn, "/object/", name)


def _lambda(arn: str, parts: Arn, name: str) -> Iterator[ArnCase]:
    if _has_one_name(parts.rest, "function:"):
        yield _after(arn, ":", name)


def _dynamodb(arn: str, parts: Arn, name: str) -> Iterator[ArnCase]:
    if _has_one_name(parts.rest, "table/"):
        yield _after(arn, "/index/", name)
        yield _after(arn, "/export/", name)


def _sns(arn: str, parts: Arn, name: str) -> Iterator[ArnCase]:
    if ":" not in parts.rest:
        yield _after(arn, ":", name)


def _logs(arn: str, parts: Arn, name: str) -> Iterator[ArnCase]:
    if parts.rest == "*":
        start = f"{arn[:-1]}log-group:"
        group = (start, Symbol.FIELD_ONE, Symbol.FIELD)
        yield ArnCase(start + name, start, group)
        yield ArnCase(f"{start}{name}:*", start, (*group, ":*"))
        yield ArnCase(f"{start}{name}:log-stream:{name}", start, (*group, ":log-stream:", Symbol.ANY))
    elif _has_one_name(parts.rest, "log-group:"):
        yield _after(arn, ":log-stream:", name)


def _kinesis(arn: str, parts: Arn, name: str) -> Iterator[ArnCase]:
    if _has_one_name(parts.rest, "stream/"):
        yield _after(arn, "/consumer/", name)


def _apigateway(arn: str, parts: Arn, name: str) -> Iterator[ArnCase]:
    prefix, _, id_ = parts.rest.partition("/restapis/")
    if prefix or not id_ or "/" in id_ or parts.account:
        return
    yield _after(arn, "/", name)
    start = f"arn:{parts.partition}:execute-api:{parts.region}:"
    stage: tuple[Part, ...] = (start, Symbol.FIELD, f":{id_}")
    yield ArnCase(f"{start}:{id_}", start, stage, True)
    yield ArnCase(f"{start}:{id_}/{name}", start, (*stage, "/", Symbol.ANY), True)


def _es(arn: str, parts: Arn, name: str) -> Iterator[ArnCase]:
    if _has_one_name(parts.rest, "domain/"):
        yield _after(arn, "/", name)


def _codeartifact(arn: str, parts: Arn, name: str) -> Iterator[ArnCase]:
    base = arn[: len(arn) - len(parts.rest)]
    type_, *names = parts.rest.split("/")
    if type_ == "domain" and len(names) == 1 and names[0]:
        yield _after(f"{base}package-group/{names[0]}", "/", name)
        start = f"{base}package/{names[0]}/"
        yield ArnCase(f"{start}{name}/{name}", start, (start, Symbol.SEGMENT_ONE, Symbol.SEGMENT, "/", Symbol.ANY))
    if type_ == "repository" and len(names) == 2 and all(names):
        yield _after(f"{base}package/{names[0]}/{names[1]}", "/", name)


def _acm_pca(arn: str, parts: Arn, name: str) -> Iterator[ArnCase]:
    if _has_one_name(parts.rest, "certificate-authority/"):
        yield _after(arn, "/certificate/", name)


def _glue(arn: str, parts: Arn, name: str) -> Iterator[ArnCase]:
    if parts.rest == "catalog":
        for type_ in ("database", "table", "userDefinedFunction", "connection"):
            yield _after(arn[: -len("catalog")] + type_, "/", name)


_BELOW = {
    "s3": _s3, "lambda": _lambda, "dynamodb": _dynamodb, "sns": _sns, "logs": _logs, "kinesis": _kinesis,
    "apigateway": _apigateway, "es": _es, "codeartifact": _codeartifact, "acm-pca": _acm_pca, "glue": _glue,
}  # fmt: skip
