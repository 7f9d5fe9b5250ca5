"""The values of condition keys that AWS sends (T59), as far as they are the same for all principals.

A row that is too narrow makes `holds` wrong: where AWS is silent, a key is free. Sources are the sections of docs/semantics.md.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from fastiam.analysis.proof.domains import KeyDomain
from fastiam.analysis.proof.key_values import KeyTest
from fastiam.model.key_registry import KeyType, fold, key_info
from fastiam.model.policy import ConditionEntry

ABSENT = KeyDomain(present=False)
ANY = KeyDomain()
VIA, CALLED_VIA = "aws:viaawsservice", "aws:calledvia"
SOURCE_IP, SOURCE_VPCE = "aws:sourceip", "aws:sourcevpce"
OF_ENDPOINTS = ("aws:sourcevpc", "aws:vpcsourceip")  # with `aws:SourceVpce` (5.4)
OF_SOME_ENDPOINTS = ("aws:sourcevpcarn", "aws:vpceaccount", "aws:vpceorgid", "aws:vpceorgpaths")  # not of all services (5.4)
NETWORK = frozenset((SOURCE_IP, SOURCE_VPCE, *OF_ENDPOINTS, *OF_SOME_ENDPOINTS))
SOURCE_ARN, SOURCE_ACCOUNT = "aws:sourcearn", "aws:sourceaccount"
SOURCE = frozenset((SOURCE_ARN, SOURCE_ACCOUNT, "aws:sourceorgid", "aws:sourceorgpaths"))
TAG, REQUEST_TAG, TAG_KEYS = "aws:principaltag/", "aws:requesttag/", "aws:tagkeys"
RESOURCE_TAGS = ("aws:resourcetag/", "iam:resourcetag/")
_ALWAYS = frozenset(("aws:securetransport", "aws:useragent", "aws:requestedregion", VIA))  # K2, 5.4: AWS sends them always
_OF_CALLERS = frozenset(("aws:useragent", "aws:referer"))  # texts of a caller, any


def entry(operator: str, key: str, *values: str, qualifier: str = "") -> ConditionEntry:
    """Return a condition entry."""
    return ConditionEntry(operator, qualifier, False, key, values)


def form(operator: str, key: str, *values: str, qualifier: str = "") -> KeyTest:
    """Return a test that values of a domain pass."""
    return KeyTest(entry(operator, key, *values, qualifier=qualifier), False)


@lru_cache(maxsize=1024)
def readable(key: str) -> tuple[KeyTest, ...]:
    """Return the tests of which a value passes one: it has the type that AWS documents, and is not empty."""
    info = key_info(key)
    if info is None or key in _OF_CALLERS or "/" in key or info.multi or info.name.startswith(("sts:", "saml:", "<")):
        return ()
    tests: dict[KeyType, Sequence[tuple[str, ...]]] = {
        KeyType.IP: [("IpAddress", "0.0.0.0/0", "::/0")],
        KeyType.BOOL: [("Bool", "true", "false")],
        KeyType.DATE: [("DateLessThan", "2020-01-01T00:00:00Z"), ("DateGreaterThanEquals", "2020-01-01T00:00:00Z")],
        KeyType.NUMERIC: [("NumericLessThan", "0"), ("NumericGreaterThanEquals", "0")],
        KeyType.ARN: [("ArnLike", "arn:*:*:*:*:?*")],
        KeyType.STRING: [("StringLike", "?*")],
    }
    return tuple(form(operator, key, *values) for operator, *values in tests[info.type])


def of_request(key: str) -> KeyDomain:
    """Return the domain of a key that no principal, owner or endpoint determines."""
    return KeyDomain(absent=key not in _ALWAYS, forms=readable(key))


@dataclass(frozen=True, slots=True)
class Clause:
    """A rule about several keys: one of these blocks is true in each request, an AND of entries each."""

    blocks: tuple[tuple[ConditionEntry, ...], ...]

    @property
    def keys(self) -> frozenset[str]:
        """The folded keys."""
        return frozenset(fold(one.key) for block in self.blocks for one in block)


def _absent(key: str) -> ConditionEntry:
    return entry("Null", key, "true")


_CHAIN = Clause(((_absent(CALLED_VIA),), (entry("Bool", VIA, "true"),)))  # 5.4: the chain is not empty
# 5.4: a request that comes through no endpoint has an address, unless a service makes it
HAS_ADDRESS = Clause(((entry("IpAddress", SOURCE_IP, "0.0.0.0/0", "::/0"),), (entry("Bool", VIA, "true"),)))


def clauses(keys: Collection[str], extra: Iterable[Clause] = ()) -> Iterator[Clause]:
    """Yield the rules about keys that statements read. A rule about a key that none reads can be satisfied."""
    for clause in (_CHAIN, *extra):
        if clause.keys.issubset(keys):
            yield clause
    if TAG_KEYS in keys:  # 5.4: they list the tags of the request; calls that remove tags send the list alone
        for key in sorted(keys):
            if key.startswith(REQUEST_TAG):
                name = key.removeprefix(REQUEST_TAG)
                yield Clause(((_absent(key),), (entry("StringEqualsIgnoreCase", TAG_KEYS, name, qualifier="ForAnyValue"),)))
