"""Places: the resources with a record, and all others of an owner (4.2).

INVARIANT: an ARN that a record governs matches one of the patterns of the record, so that it is in the place of the record.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from fastiam.analysis.proof.cells import Symbols
from fastiam.analysis.proof.names import arn_symbols
from fastiam.directory.governing_resources import governing_resources_of, partial_secret, stored_arn
from fastiam.model.arn import Arn, split_arn
from fastiam.model.policy import Policy
from fastiam.model.profile import ResourceFacts
from fastiam.resolve.snapshot import Snapshot
from fastiam.runtime.forking import cached_property

# what is below a governing resource, by service: the table of spec 6.10 from right to left
_BELOW: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "s3": ((r"accesspoint/[^/]+", ("{}/object/*",)), (r"[^/]+", ("{}/*",))),
    "lambda": ((r"function:[^:]+", ("{}:*",)),),
    "dynamodb": ((r"table/[^/]+", ("{}/index/*", "{}/export/*")),),
    "sns": ((r"[^:]+", ("{}:*",)),),
    "kinesis": ((r"stream/[^/]+", ("{}/consumer/*",)),),
    "es": ((r"domain/[^/]+", ("{}/*",)),),
    "acm-pca": ((r"certificate-authority/[^/]+", ("{}/certificate/*",)),),
    "glue": ((r"catalog", ("database/*", "table/*", "userDefinedFunction/*", "connection/*")),),
}


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """The ARNs that a record governs.

    Attributes
    ----------
    arn
        of the record.
    patterns
        of the ARNs; they can match a few more.
    """

    arn: str
    patterns: tuple[Symbols, ...]


def place_of(arn: str) -> Place:
    """Return the place of a record."""
    return Place(arn, tuple(dict.fromkeys(_symbols(one) for one in _governed(arn))))


def _symbols(text: str) -> Symbols:
    """Return the pattern of an ARN whose last field ends with a wildcard, or has none."""
    _, *fields = text.split(":", 5)
    *heads, rest = fields
    is_open = rest.endswith("*")
    base = arn_symbols(*heads, "*" if is_open else "")
    return (*base[: len(base) - is_open], *rest.removesuffix("*"), *base[len(base) - is_open :])


def _governed(text: str) -> Iterator[str]:
    yield text
    arn = split_arn(text)
    if arn is None:
        return
    rest = arn.rest
    for expression, below in _BELOW.get(arn.service, ()):
        if re.fullmatch(expression, rest, re.DOTALL):
            yield from (_with_rest(arn, one.format(rest)) for one in below)
            break
    if arn.service == "logs":
        yield from (_with_rest(arn, one) for one in ([f"{rest}:*"] if rest != "*" else ["log-group:*"]))
    if arn.service == "apigateway" and rest.startswith("/restapis/"):
        id_ = rest.removeprefix("/restapis/")
        yield f"{text}/*"
        yield str(Arn(arn.partition, "execute-api", arn.region, "*", id_))
        yield str(Arn(arn.partition, "execute-api", arn.region, "*", f"{id_}/*"))
    if arn.service == "codeartifact":
        kind, _, name = rest.partition("/")
        if kind == "repository":
            yield _with_rest(arn, f"package/{name}/*")
        if kind == "domain":
            yield _with_rest(arn, f"package/{name}/*")
            yield _with_rest(arn, f"package-group/{name}/*")
    partial = partial_secret(text)
    if partial is not None:
        yield partial


def _with_rest(arn: Arn, rest: str) -> str:
    return str(Arn(arn.partition, arn.service, arn.region, arn.account, rest))


class Records:
    """The records of a directory as places."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._places: dict[str, Place] = {}

    def place(self, arn: str) -> Place:
        """Return the place of a record."""
        found = self._places.get(arn)
        if found is None:
            found = self._places[arn] = place_of(arn)
        return found

    def with_policies(self) -> Iterator[tuple[str, tuple[Policy, ...]]]:
        """Yield the records with policies, trust policies included."""
        for arn, resource in self._snapshot.resources():
            if resource.policies:
                yield arn, tuple(stored.policy for stored in resource.policies)
        for arn in self._snapshot.entity_resources():
            trust = self._snapshot.tables.entities[arn].trust
            if trust is not None:
                yield arn, (trust.policy,)

    def policies(self, arn: str) -> tuple[Policy, ...]:
        """Return the policies of a record."""
        tables = self._snapshot.tables
        resource, entity = tables.resources.get(arn), tables.entities.get(arn)
        found = () if resource is None else tuple(stored.policy for stored in resource.policies)
        return found if entity is None or entity.trust is None else (*found, entity.trust.policy)

    def related(self, arn: str) -> list[str]:
        """Return a record, those that govern it, and those below it, whose policies can be in force at the same resources."""
        below = [one for one in self._below.get(arn, ()) if one != arn]
        return list(dict.fromkeys((arn, *self.of(arn), *below)))

    @cached_property
    def _below(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for arn, _ in self._snapshot.resources():
            for governing in self.of(arn):
                found.setdefault(governing, []).append(arn)
        return found

    def of(self, arn: str) -> list[str]:
        """Return the records that are or govern a resource."""
        facts = self.facts(arn)
        names = [stored_arn(facts.arn), *(one for group in governing_resources_of(facts.arn).groups for one in group)]
        return [one for one in dict.fromkeys(names) if self._snapshot.has_record(one)]

    def facts(self, arn: str) -> ResourceFacts:
        """Return what the directory knows of a resource."""
        return self._snapshot.facts(arn)
