"""Context keys by id, with their sources (spec section 5)."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache

from fastiam.compile.interning import Interned
from fastiam.compile.layout import NONE, NOT_READ, NOT_READ_ONE, Certainty, Source
from fastiam.compile.pattern_text import utf8
from fastiam.kernel.plan.tables import Tables
from fastiam.model.key_registry import KEYS, SetBy, fold, fold_char, key_info

REQUEST_TAG, RESOURCE_TAG, IAM_TAG, PRINCIPAL_TAG = "aws:requesttag/", "aws:resourcetag/", "iam:resourcetag/", "aws:principaltag/"
SESSION_ENTRIES = ("aws:originidentity/", "aws:transactioncontext/")

_SOURCES = {
    "aws:resourceaccount": Source.RESOURCE_ACCOUNT,
    "aws:resourceorgid": Source.RESOURCE_ORG,
    "aws:resourceorgpaths": Source.RESOURCE_ORG_PATHS,
    "aws:vpceaccount": Source.ENDPOINT,
    "aws:vpceorgid": Source.ENDPOINT,
    "aws:vpceorgpaths": Source.ENDPOINT,
    "aws:currenttime": Source.TIME,
    "aws:epochtime": Source.EPOCH,
    "aws:requestedregion": Source.REGION,
    "aws:viaawsservice": Source.VIA_SERVICE,
    "aws:calledviafirst": Source.CALLED_FIRST,
    "aws:calledvialast": Source.CALLED_LAST,
    "aws:tagkeys": Source.TAG_KEYS,
    "aws:sourceorgid": Source.SOURCE_ORG,
    "aws:sourceorgpaths": Source.SOURCE_ORG_PATHS,
    "aws:multifactorauthage": Source.MFA_AGE,
    "aws:multifactorauthpresent": Source.MFA,
}
# the key from which the value of a key follows, if the caller does not give that; `aws:SourceVpce` is read always
DERIVED_FROM = {
    Source.VIA_SERVICE: "aws:calledvia",
    Source.CALLED_FIRST: "aws:calledvia",
    Source.CALLED_LAST: "aws:calledvia",
    Source.MFA: "aws:calledvia",  # of a user (7.6)
    Source.SOURCE_ORG: "aws:sourceaccount",
    Source.SOURCE_ORG_PATHS: "aws:sourceaccount",
    Source.TIME: "aws:epochtime",
    Source.EPOCH: "aws:currenttime",
    Source.ENDPOINT: "aws:sourcevpce",
}
_ALWAYS_READ = ("aws:sourcevpce", "aws:userid", "aws:assumedroot", "aws:principalservicenameslist")  # by rules of evaluation
_DEFAULTS = {"aws:securetransport": "false", "aws:useragent": ""}  # K2
# what most callers of an account have in common; who does, a batch finds out
_UNCHECKED = (
    Source.TIME,
    Source.EPOCH,
    Source.REGION,
    Source.VIA_SERVICE,
    Source.CALLED_FIRST,
    Source.CALLED_LAST,
    Source.TAG_KEYS,
)


class Keys:
    """The keys of an engine. All of the registry are there; others as policies, principals and requests name them."""

    def __init__(self, tables: Tables, names: list[str] | None = None) -> None:
        """`names` are those of tables that have keys already."""
        self._tables = tables
        self._numbers: Interned[str, int] = Interned()
        self.names: list[str] = [] if names is None else names
        if names is None:
            self._enter_all(tables)
        for number, name in enumerate(names or ()):
            self._numbers.enter(name, number)

    def _enter_all(self, tables: Tables) -> None:
        for folded in KEYS:
            self.number(folded)
        tables.special_keys(
            *map(
                self.number,
                (
                    "aws:calledvia",
                    "aws:sourceaccount",
                    "aws:sourcevpce",
                    "aws:principalservicenameslist",
                    "aws:currenttime",
                    "aws:epochtime",
                    "aws:userid",
                    "aws:assumedroot",
                ),
            )
        )
        for folded, text in _DEFAULTS.items():
            key = self.number(folded)
            tables.set_default(key, tables.constants_of([(key, (text,), False, False, Certainty.KNOWN)]))
        tables.folds(_folds())

    def number(self, folded: str) -> int:
        """The number of a key by its folded name."""
        return self._numbers.get(folded, self._make, folded)

    def find(self, name: str) -> int:
        """The number of a key by any spelling; where nothing reads it, `NOT_READ`, or `NOT_READ_ONE` if it takes no lists (C5).

        Request tags count always (`aws:TagKeys`), and so do tags and entries of sessions that a principal is known not to
        have, and other names of tags that a resource may have (K1, 5.5).
        """
        folded = fold(name)
        if folded.startswith((REQUEST_TAG, PRINCIPAL_TAG, *SESSION_ENTRIES)):
            return self.number(folded)
        found = self._numbers.find(folded)
        if found is None and folded.startswith(IAM_TAG):
            other = self._numbers.find(RESOURCE_TAG + folded[len(IAM_TAG) :])
            found = None if other is None else self.number(folded)
        if found is not None:
            return found
        info = key_info(folded)
        return NOT_READ if info is None or info.multi else NOT_READ_ONE

    def read(self) -> set[str]:
        """The folded names of the keys that the policies read; PERF: a pass over all conditions."""
        return {self.names[number] for number in self._tables.keys_read()}

    def _make(self, folded: str) -> int:
        info = key_info(folded)
        source, other = _source(folded), NONE
        if source is Source.IAM_TAG:
            other = self.number(RESOURCE_TAG + folded[len(IAM_TAG) :])
        set_by_caller = source in _UNCHECKED or (source is Source.CALLER and (info is None or info.set_by is SetBy.REQUEST))
        number: int = self._tables.key(
            utf8(folded),
            source=source,
            other=other,
            tag=len(REQUEST_TAG) if folded.startswith(REQUEST_TAG) else 0,
            is_multi=info is not None and info.multi,
            is_single=info is not None and not info.multi,
            is_resource_tag=folded.startswith((RESOURCE_TAG, IAM_TAG)),
            is_principal_tag=folded.startswith(PRINCIPAL_TAG),
            is_session_entry=folded.startswith(SESSION_ENTRIES),
            is_checked=not set_by_caller,
        )
        del self.names[number:]
        self.names.append(folded)
        return number

    @property
    def n_cached(self) -> int:
        """The number of run-time keys."""
        return self._numbers.n_cached

    def freeze(self) -> None:
        """What there is now stays."""
        self._numbers.freeze()
        self._n_compiled = len(self.names)

    def compiled(self) -> list[str]:
        """The names of the keys that stay, by number."""
        return self.names[: self._n_compiled]

    def drop(self) -> None:
        """Evict the run-time keys. A list of names that was returned before does not change."""
        self._numbers.drop()
        self.names = self.compiled()


def is_read(name: str, read: Collection[str]) -> bool:
    """Whether a context key can change an answer, where the policies read some keys."""
    folded = fold(name)
    if folded in _ALWAYS_READ or folded in read:
        return True
    if folded.startswith(REQUEST_TAG):
        return "aws:tagkeys" in read
    for start, other in ((RESOURCE_TAG, IAM_TAG), (IAM_TAG, RESOURCE_TAG)):
        if folded.startswith(start):
            return other + folded[len(start) :] in read
    return any(DERIVED_FROM.get(source) == folded and name in read for name, source in _SOURCES.items())


def _source(folded: str) -> Source:
    found = _SOURCES.get(folded)
    if found is not None:
        return found
    if folded.startswith(RESOURCE_TAG):
        return Source.RESOURCE
    if folded.startswith(IAM_TAG):
        return Source.IAM_TAG
    info = key_info(folded)
    return Source.PRINCIPAL if info is not None and info.set_by is not SetBy.REQUEST else Source.CALLER


@cache
def _folds() -> list[tuple[int, int]]:
    """The characters beyond ASCII that simple folding changes (4.2, O14)."""
    found = []
    for start in range(0x80, 0x1E944, 256):
        block = "".join(map(chr, range(start, start + 256)))
        if block.casefold() != block or block.lower() != block:  # PERF: few blocks have letters with a case
            found += [(ord(char), ord(folded)) for char in block if (folded := fold_char(char)) != char]
    return found
