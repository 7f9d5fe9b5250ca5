"""The value of a condition key in a row: known, absent, or a column; and the columns that contradict what is known (K1).

The values of keys that no column and no ARN changes come from `derive_context` of the specification evaluator.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import product

from fastiam.analysis.filter.formula import (
    Column,
    Equals,
    Formula,
    IsNull,
    Text,
    Unknown,
    all_of,
    any_of,
    is_not_null,
    matches,
    negation,
)
from fastiam.analysis.filter.patterns import Part, Symbol
from fastiam.model.key_registry import fold, key_info
from fastiam.model.profile import EndpointProfile, PrincipalKind, PrincipalProfile, ResourceProfile, Settings
from fastiam.model.request import ContextValue, Request
from fastiam.resolve.snapshot import Snapshot
from fastiam.spec.context import derive_context
from fastiam.spec.unknown_keys import (
    EPOCH,
    IAM_RESOURCE_TAG,
    MFA,
    NOW,
    REQUEST_TAG,
    RESOURCE_TAG,
    has_iam_tags,
    is_pass_role,
)

SERVICE, REGION, ACCOUNT = 2, 3, 4  # fields of an ARN, counted from the partition as 1
ENDPOINT, SOURCE_ACCOUNT, CALLED_VIA, TAG_KEYS = "aws:sourcevpce", "aws:sourceaccount", "aws:calledvia", "aws:tagkeys"
_REQUESTED_REGION = "aws:requestedregion"
_FROM_SOURCE = ("aws:sourceorgid", "aws:sourceorgpaths")
_FROM_CHAIN = ("aws:viaawsservice", "aws:calledviafirst", "aws:calledvialast")
_OF_RESOURCE = (RESOURCE_TAG, IAM_RESOURCE_TAG, "aws:resourceaccount", "aws:resourceorg")
_MAX_TAGS = 4  # columns of request tags from which `aws:TagKeys` is expressed: 16 sets


@dataclass(frozen=True, slots=True)
class Field:
    """A field of an ARN, 1 for the partition to 4 for the account."""

    arn: Text
    number: int


@dataclass(frozen=True, slots=True)
class Unexpressed:
    """A value that no filter expresses."""


# the value of a key: None if it is absent; a text of columns or a field of the ARN is one value that is present
Value = ContextValue | Text | Field | Unexpressed | None
Alternatives = list[tuple[Formula, Value]]  # exactly one of the conditions is true of a row


def field_pattern(number: int, parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """ARNs with a field, 1 to 4, that matches."""
    fields: list[Part] = ["arn:"]
    for other in range(1, 5):
        fields += [*(parts if other == number else (Symbol.FIELD,)), ":"]
    return (*fields, Symbol.ANY)


VALID_ARN = field_pattern(0, ())
ACCOUNT_ID = (Symbol.DIGIT,) * 12


@dataclass(frozen=True)
class Row:
    """What all rows have in common, and the columns that they differ in.

    Attributes
    ----------
    arn
        the text of the resource.
    columns
        the column of each key, by folded key.
    names
        the key as the caller writes it, by folded key.
    request
        action, constant context and `now`.
    """

    arn: Text
    columns: Mapping[str, Column]
    names: Mapping[str, str]
    request: Request
    settings: Settings
    snapshot: Snapshot


@dataclass(frozen=True)
class RowKeys:
    """The keys of the rows of one case: with one principal, one endpoint, and resources that have one profile.

    Attributes
    ----------
    is_any_region
        the Region of the ARN differs between the rows.
    account
        the text of the owner, if it differs between the rows.
    is_any_resource
        tags and owner of the resource differ between the rows, and are not expressed.
    base
        the keys of rows in which all columns are null.
    """

    row: Row
    principal: PrincipalProfile
    resource: ResourceProfile
    endpoint: EndpointProfile | None
    is_any_region: bool = False
    account: Text | Field | None = None
    is_any_resource: bool = False
    base: Mapping[str, ContextValue] = field(default_factory=dict)

    def __post_init__(self) -> None:
        sources = self.row.snapshot.account_facts
        base, _ = derive_context(
            self.principal, self.resource, self.endpoint, self.row.request, self.row.settings, sources
        )  # fmt: skip
        object.__setattr__(self, "base", base)

    @property
    def profiles(self) -> Mapping[str, ContextValue]:
        """The keys that the profiles of endpoint, resource and principal have."""
        return {**(self.endpoint.keys if self.endpoint else {}), **self.resource.keys, **self.principal.keys}

    def marks(self, names: frozenset[str]) -> tuple[object, ...]:
        """What the values of some keys depend on, of that which differs between cases."""
        sources = {source for name in names for source in self._sources(name)}
        known = tuple((name, self.base.get(name), name in self.profiles) for name in sorted(names | sources))
        region = self.is_any_region and _REQUESTED_REGION in names
        account = self.account if "aws:resourceaccount" in names else None
        endpoint = self.row.request.context.get(ENDPOINT), ENDPOINT in self.row.columns
        has_alias = any(name.startswith(IAM_RESOURCE_TAG) for name in names) and has_iam_tags(self.resource)
        return known, region, account, endpoint, has_alias, self.is_any_resource

    def _sources(self, key: str) -> tuple[str, ...]:
        if key.startswith(IAM_RESOURCE_TAG):
            return (RESOURCE_TAG + key.removeprefix(IAM_RESOURCE_TAG),)
        if key in _FROM_SOURCE:
            return (SOURCE_ACCOUNT,)
        return (CALLED_VIA,) if key in (*_FROM_CHAIN, MFA) else ()

    def values_of(self, key: str) -> Alternatives:
        """The values that a key can have, each with its condition."""
        if is_pass_role(self.row.request) and key.startswith((RESOURCE_TAG, IAM_RESOURCE_TAG)):
            return [(True, None)]
        column = self.row.columns.get(key)
        if column is None:
            return self._without_column(key)
        info = key_info(key)
        known = self.principal.keys.get(key) if key not in self.principal.open_keys else None
        given: Value = (column,)
        if known is not None and key not in (NOW, EPOCH):
            given = known  # other values contradict it
        elif info is not None and info.multi:
            given = Unexpressed()  # a text or a list
        present = [(is_not_null(column.name), given)]
        return present + [
            (all_of((IsNull(column.name), condition)), value) for condition, value in self._without_column(key)
        ]  # fmt: skip

    def _without_column(self, key: str) -> Alternatives:
        """The values of a key in rows that do not give it (K1, section 5 of the specification)."""
        if self.is_any_resource and key not in self.row.request.context and key.startswith(_OF_RESOURCE):
            return [(True, Unexpressed())]
        if self.is_any_resource and key == _REQUESTED_REGION and self.principal.partition is None:
            return [(True, Unexpressed())]  # its default depends on the partition of the ARN (K6)
        if key in self.row.request.context or key in self.profiles:
            if key == "aws:resourceaccount" and self.account is not None and key not in self.row.request.context:
                return [(True, self.account)]
            return [(True, self.base.get(key))]
        if key == _REQUESTED_REGION and self.is_any_region:
            return self._region()
        if key == TAG_KEYS:
            return self._tag_keys()
        if key.startswith(IAM_RESOURCE_TAG) and has_iam_tags(self.resource):
            return self.values_of(RESOURCE_TAG + key.removeprefix(IAM_RESOURCE_TAG))
        columns = self.row.columns
        if key in _FROM_CHAIN and CALLED_VIA in columns:
            in_chain: Value = ContextValue(("true",)) if key == "aws:viaawsservice" else Unexpressed()
            return self._by_null(CALLED_VIA, self.base.get(key), in_chain)
        if key == MFA and CALLED_VIA in columns and self.principal.kind is PrincipalKind.USER:
            return self._by_null(CALLED_VIA, self.base.get(key), ContextValue(("false",)))
        if key in (NOW, EPOCH) and (NOW if key == EPOCH else EPOCH) in columns:
            return self._by_null(NOW if key == EPOCH else EPOCH, self.base.get(key), Unexpressed())
        if key in _FROM_SOURCE and SOURCE_ACCOUNT in columns:
            return self._of_source(key)
        return [(True, self.base.get(key))]

    def _by_null(self, source: str, absent: Value, present: Value) -> Alternatives:
        """One value if the column of another key is null, and another value if it is not."""
        column = self.row.columns[source].name
        return [(IsNull(column), absent), (is_not_null(column), present)]

    def _region(self) -> Alternatives:
        """The Region of the ARN, or what the rules say of an ARN without one (K6). The case has one partition at most."""
        without = matches(self.row.arn, field_pattern(REGION, ()))
        some = (Symbol.FIELD_ONE, Symbol.FIELD)
        return [
            (matches(self.row.arn, field_pattern(REGION, some)), Field(self.row.arn, REGION)),
            (without, self.base.get(_REQUESTED_REGION)),
        ]

    def _tag_keys(self) -> Alternatives:
        """The names of the request tags of which a value is given (4.3)."""
        columns = [key for key in self.row.columns if key.startswith(REQUEST_TAG)]
        if not columns:
            return [(True, self.base.get(TAG_KEYS))]
        if len(columns) > _MAX_TAGS:
            return [(True, Unexpressed())]
        constant = self.base.get(TAG_KEYS)
        alternatives: Alternatives = []
        for nulls in product((True, False), repeat=len(columns)):
            given = [key for key, is_null in zip(columns, nulls, strict=True) if not is_null]
            names = (constant.values if constant else ()) + tuple(self.row.names[key][len(REQUEST_TAG) :] for key in given)
            condition = all_of(
                IsNull(self.row.columns[key].name) if is_null else is_not_null(self.row.columns[key].name)
                for key, is_null in zip(columns, nulls, strict=True)
            )
            alternatives.append((condition, ContextValue(names, multi=True) if names else None))
        return alternatives

    def _of_source(self, key: str) -> Alternatives:
        """The organization of the account in `aws:SourceAccount`, if its record has one (5.4)."""
        column = self.row.columns[SOURCE_ACCOUNT]
        alternatives: Alternatives = [(IsNull(column.name), self.base.get(key))]
        accounts: dict[ContextValue, list[str]] = {}
        for facts in self.row.snapshot.accounts():
            text = facts.org_id if key == "aws:sourceorgid" else facts.org_path
            if text is not None:
                accounts.setdefault(ContextValue((text,), multi=key != "aws:sourceorgid"), []).append(facts.id)
        conditions = [Equals((column,), tuple(ids)) for ids in accounts.values()]
        alternatives += zip(conditions, accounts, strict=True)
        others = all_of((is_not_null(column.name), *(negation(condition) for condition in conditions)))
        return [*alternatives, (others, None)]

    # -- contradictions (K1) ----------------------------------------------------------------------------------------------

    def agree(self, known_accounts: frozenset[str]) -> Formula:
        """The columns contradict nothing that is known of resource, owner and endpoint: `check_context` of a row."""
        resource = self.resource
        tests = list(self._agree_on_tags())
        if resource.account is not None and not resource.assumed_owner:
            owner = {key: value for key, value in resource.keys.items() if not key.startswith(RESOURCE_TAG)}
            if self.account is not None:
                owner["aws:resourceaccount"] = ContextValue(())  # it differs between the rows
            tests += self._agree_on(owner)
            tests += self._agree_on_organization("resource", resource.account, known_accounts)
        if self.endpoint is not None:
            tests += self._agree_on(self.endpoint.keys)
            account = self.endpoint.keys.get("aws:vpceaccount")
            if account is not None:
                tests += self._agree_on_organization("vpce", account.values[0], known_accounts)
        columns, context = self.row.columns, self.row.request.context
        for key in _FROM_SOURCE:
            if key in columns and (SOURCE_ACCOUNT in columns or SOURCE_ACCOUNT in context):
                tests.append(any_of((IsNull(columns[key].name), Unknown(self.row.names[key], "K1"))))
            elif key in context and SOURCE_ACCOUNT in columns:
                tests.append(any_of((IsNull(columns[SOURCE_ACCOUNT].name), Unknown(context[key].name or key, "K1"))))
        return all_of(tests)

    def _agree_on(self, known: Mapping[str, ContextValue]) -> Iterator[Formula]:
        for key, value in known.items():
            if key in self.row.columns:
                yield _is_same(self.row.columns[key], key, value)

    def _agree_on_tags(self) -> Iterator[Formula]:
        """The tags on record, under both names (5.5)."""
        columns, context = self.row.columns, self.row.request.context
        for key, value in self.resource.keys.items():
            if not key.startswith(RESOURCE_TAG):
                continue
            alias = IAM_RESOURCE_TAG + key.removeprefix(RESOURCE_TAG)
            if key in columns:
                yield _is_same(columns[key], key, value)
            if alias in columns and key not in context:
                by_alias = _is_same(columns[alias], key, value)
                # the first name takes precedence, if it is given
                yield by_alias if key not in columns else any_of((is_not_null(columns[key].name), by_alias))
            elif alias in context and key in columns:  # `check_context` of the constants has read the alias
                yield True

    def _agree_on_organization(self, whose: str, account: str, known_accounts: frozenset[str]) -> Iterator[Formula]:
        if account not in known_accounts:
            return
        facts = self.row.snapshot.account_facts(account)
        for key, text in ((f"aws:{whose}orgid", facts.org_id), (f"aws:{whose}orgpaths", facts.org_path)):
            if key in self.row.columns:
                column = self.row.columns[key]
                value = None if text is None else ContextValue((text,), multi=key.endswith("paths"))
                yield IsNull(column.name) if value is None else _is_same(column, key, value)


def agree_on_principal(row: Row, principal: PrincipalProfile) -> Formula:
    """The columns contradict nothing that is known of the principal (H68)."""
    if not principal.known:
        return True
    prefixes = tuple(key for key in principal.absent_keys if key.endswith("/"))
    tests: list[Formula] = []
    for key, column in row.columns.items():
        known = principal.keys.get(key)
        if known is not None:
            if key not in principal.open_keys and key not in (NOW, EPOCH):
                tests.append(_is_same(column, key, known))
        elif key in principal.absent_keys or key.startswith(prefixes):
            tests.append(IsNull(column.name))
    return all_of(tests)


def _is_same(column: Column, key: str, known: ContextValue) -> Formula:
    """The column is null, or has the known value, letter by letter."""
    info = key_info(key)
    if info is not None and info.multi or not known.values:
        return any_of((IsNull(column.name), Unknown(key, "K1")))
    if len(known.values) != 1 or known.conflict:
        return IsNull(column.name)
    return any_of((IsNull(column.name), Equals((column,), known.values)))


def without_column(row: Row, key: str, value: ContextValue | None) -> Row:
    """The rows in which the column of a key has one value, or is null."""
    context = row.request.context if value is None else {**row.request.context, key: value}
    columns = {name: column for name, column in row.columns.items() if name != key}
    return replace(row, columns=columns, request=replace(row.request, context=context))


def folded_columns(columns: Mapping[str, str]) -> tuple[dict[str, Column], dict[str, str]]:
    """The columns by folded key, and the keys as they are written."""
    return {fold(key): Column(name) for key, name in columns.items()}, {fold(key): key for key in columns}
