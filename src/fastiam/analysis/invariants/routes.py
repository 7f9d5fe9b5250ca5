"""Routes: how a request comes, through which endpoint, and on whose behalf a service calls (T61, T62)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from fastiam.analysis.invariants import key_domains as keys_of_aws
from fastiam.analysis.invariants.key_domains import (
    NETWORK,
    SOURCE,
    SOURCE_IP,
    SOURCE_VPCE,
)
from fastiam.analysis.invariants.subjects import Subject
from fastiam.analysis.invariants.universe import Home
from fastiam.analysis.proof.domains import KeyDomain
from fastiam.model.profile import EndpointProfile, PrincipalKind
from fastiam.model.request import ContextValue

_NO_NETWORK: dict[str, ContextValue | None] = dict.fromkeys(
    (SOURCE_VPCE, *keys_of_aws.OF_ENDPOINTS, *keys_of_aws.OF_SOME_ENDPOINTS)
)


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """How a request comes: through no endpoint, one with a record, or one of another account (T62).

    `is_unknown`: an id without a record, which does not restrict.
    """

    endpoint: EndpointProfile | None = None
    is_unknown: bool = False
    fixed: Mapping[str, ContextValue | None] = field(default_factory=dict)
    domains: Mapping[str, KeyDomain] = field(default_factory=dict)


_THROUGH: dict[str, KeyDomain] = {
    **{key: KeyDomain(absent=False, forms=keys_of_aws.readable(key)) for key in keys_of_aws.OF_ENDPOINTS},
    **{key: KeyDomain(forms=keys_of_aws.readable(key)) for key in keys_of_aws.OF_SOME_ENDPOINTS},
}


def _through_unknown(endpoints: Sequence[EndpointProfile]) -> Route:
    recorded = [one.id for one in endpoints]
    other = keys_of_aws.form("StringNotEquals", SOURCE_VPCE, *recorded) if recorded else keys_of_aws.readable(SOURCE_VPCE)[0]
    return Route(None, True, {SOURCE_IP: None}, {**_THROUGH, SOURCE_VPCE: KeyDomain(absent=False, forms=(other,))})


UNKNOWN_ENDPOINT = _through_unknown(())


def routes(endpoints: Sequence[EndpointProfile], keys: Iterable[str], *, denied: bool = False) -> list[Route]:
    """Return the routes that statements which read some keys distinguish; with `denied` those that can deny."""
    read = NETWORK.intersection(keys)
    if not read and not (denied and endpoints):
        return [Route()]
    found = [Route(fixed=_NO_NETWORK), _through_unknown(endpoints)]
    if not denied and read.isdisjoint((SOURCE_VPCE, *keys_of_aws.OF_SOME_ENDPOINTS)):
        return found  # an endpoint with a record only restricts more
    for one in endpoints:
        right = {
            key: KeyDomain(forms=(keys_of_aws.form("StringEquals", key, *value.values, qualifier="ForAllValues"),))
            for key, value in one.keys.items()
        }
        fixed = {SOURCE_IP: None, SOURCE_VPCE: ContextValue((one.id,))}
        found.append(Route(one, False, fixed, {**_THROUGH, **right}))
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """The account of the resource on whose behalf a service calls: each key is absent or right (T61)."""

    home: Home | None = None

    def domain(self, key: str) -> KeyDomain | None:
        """Return the domain of one of the keys; None if it is no such key."""
        if self.home is None or key not in SOURCE:
            return None
        if key == keys_of_aws.SOURCE_ARN:
            accounts = (f"arn:*:*:*:{self.home.account}:*", "arn:*:*:*::*")
            return KeyDomain(forms=(keys_of_aws.form("ArnLike", key, *accounts),))
        value = self.home.keys("source").get(key)
        if value is None:
            return keys_of_aws.ABSENT
        if key == "aws:sourceorgpaths" and self.home.paths_vary:
            return KeyDomain()
        return KeyDomain(forms=(keys_of_aws.form("StringEquals", key, *value.values, qualifier="ForAllValues" * value.multi),))


def sources(homes: Sequence[Home], subject: Subject, keys: Iterable[str]) -> list[Source]:
    """Return the sources of a subject that statements which read some keys distinguish."""
    if subject.kind is not PrincipalKind.SVC or SOURCE.isdisjoint(keys):
        return [Source()]
    return [Source(home) for home in homes]
