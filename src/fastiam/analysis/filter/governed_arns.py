"""The ARNs that a record governs: the inverse of the table of spec 6.10, whose rows `directory.governing_resources` has.

INVARIANT: an ARN has the record, or matches a pattern of its cases, exactly if the record is one of its governing resources.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from fastiam.analysis.filter.formula import Formula, Text, equals, matches
from fastiam.analysis.filter.patterns import Part, Symbol
from fastiam.directory.governing_resources import partial_secret
from fastiam.model.arn import Arn, split_arn


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

    @property
    def whole_pattern(self) -> tuple[Part, ...]:
        """What matches them, and no other ARN."""
        return self.pattern or ((self.start, Symbol.ANY) if self.start else (self.sample,))

    def condition(self, arn: Text) -> Formula:
        """The ARN of the row is one of them."""
        if not self.start:
            return equals(arn, self.sample)
        return matches(arn, self.whole_pattern)


def spellings(arn: str) -> Iterator[str]:
    """Yield the ARNs that have a record: each spelling, and the partial ARN of a secret."""
    yield arn
    parts = split_arn(arn)
    if parts is not None and parts.service == "logs" and parts.rest.startswith("log-group:"):
        yield f"{arn}:*"
    partial = partial_secret(arn)
    if partial is not None:
        yield partial


def cases_below(arn: str, name: str) -> Iterator[ArnCase]:
    """Yield the ARNs below a record that it governs; those with other records are among them. `name` is that of samples."""
    parts = split_arn(arn)
    row = None if parts is None else _BELOW.get(parts.service)
    if parts is not None and row is not None:
        yield from row(arn, parts, name)


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


_BELOW: dict[str, Callable[[str, Arn, str], Iterator[ArnCase]]] = {
    "s3": _s3, "lambda": _lambda, "dynamodb": _dynamodb, "sns": _sns, "logs": _logs, "kinesis": _kinesis,
    "apigateway": _apigateway, "es": _es, "codeartifact": _codeartifact, "acm-pca": _acm_pca, "glue": _glue,
}  # fmt: skip
