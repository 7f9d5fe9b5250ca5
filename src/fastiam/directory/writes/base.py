"""The base class of all writes to an account model.

A write is a transaction: it parses and checks its arguments, then replaces records. An error changes nothing. `_commit` follows
the last check.
A value that AWS refuses is a `DirectoryError` in mode `strict` and a finding in mode `lenient`, which reads existing state (F5).
A malformed record, and one that refers to an absent one, is an error in both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, TypeVar

from fastiam.aws_data.managed_policies import DATE
from fastiam.directory.account_records import Account, Entity, Group, Tables
from fastiam.directory.account_store import AccountStore
from fastiam.directory.aws_policies import aws_policy
from fastiam.directory.naming_rules import hint_of_missing_policy, name_errors, policy_account, read_tags, tag_errors
from fastiam.directory.principal_references import named_entities, names_identity, with_name
from fastiam.directory.principal_refs import PrincipalRef
from fastiam.directory.quotas import NO_QUOTAS, Quotas, size_without_space
from fastiam.directory.stored_policies import Given, Mode, Reader, StoredPolicy, as_items, has_name, is_managed_arn
from fastiam.directory.transactions import RecordStore, TransactionManager
from fastiam.errors import DirectoryError, Finding, Findings, PolicyError, RequestValueError, Severity
from fastiam.model.arguments import check_choice
from fastiam.model.arn import is_account
from fastiam.model.key_registry import fold
from fastiam.model.policy import PolicyKind
from fastiam.model.profile import WITH_LONG_TERM_KEYS, PrincipalKind
from fastiam.model.request import shorten

_REFUSED_TRUST = "IP51"  # IAM evaluates such a trust policy, and refuses to store it
HERE = "directory"  # the source of findings that a write makes about itself
IamIdentity = Entity | Group
B = TypeVar("B", bound=RecordStore[Any])


class Writes:
    """The state of a model, and the checks of its writes.

    Parameters
    ----------
    mode
        how documents are read and rules of AWS are kept, `strict` or `lenient`.
    quotas
        limits that a strict model keeps; None keeps none.
    """

    def __init__(self, mode: Mode = "strict", *, quotas: Quotas | None = Quotas()) -> None:  # noqa: B008  (frozen)
        check_choice(mode, "mode", "mode", "strict", "lenient")
        if quotas is not None and not isinstance(quotas, Quotas):
            raise RequestValueError(f"quotas must be a `Quotas` or None, not `{type(quotas).__name__}`", column="quotas")
        self.mode: Mode = mode
        self.quotas = quotas or NO_QUOTAS
        self.notes: list[Finding] = []  # readers add theirs
        self.transaction_manager = TransactionManager()
        self._store = self.transaction_manager.join(AccountStore())
        self._levels: dict[tuple[PolicyKind, str, str], StoredPolicy] = {}

    @property
    def tables(self) -> Tables:
        """The records. Only the store changes them."""
        return self._store.tables

    @property
    def findings(self) -> Findings:
        """All findings about writes so far, in the order of writing; `print` shows count and first lines."""
        return Findings(self.notes)

    def transaction(self) -> AbstractContextManager[None]:
        """Run all writes inside as one transaction: an error undoes them all. A single write is one, too. Transactions nest."""
        return self.transaction_manager.transaction(self.notes)

    def join(self, store: B) -> B:
        """Add a record store to the transactions of the directory. One with this name that has joined is returned."""
        return self.transaction_manager.join(store)

    def _reader(self) -> Reader:
        return Reader(self.mode, [])

    def _commit(self, reader: Reader) -> None:
        """Keep the findings of a write, which cannot fail after this call."""
        self.notes += reader.findings

    def _put(self, table: str, record: Any) -> None:
        """Put a record under its ARN or id."""
        self._store.put(table, record.id if table in ("accounts", "endpoints") else record.arn, record)

    # -- what AWS refuses ---------------------------------------------------------------------------------------------

    def _refuse(self, reader: Reader, rule: str, about: str, message: str, hint: str = "") -> None:
        """Raise in mode strict; add a finding in mode lenient."""
        if self.mode == "strict":
            raise DirectoryError(f"{message}: `{shorten(about)}`", rule=rule, hint=hint)
        reader.findings.append(Finding(rule, Severity.ERROR, f"{message}: `{shorten(about)}`", HERE, "$", hint=hint))

    def _exists(self, reader: Reader, table: Mapping[str, Any], key: str, what: str) -> bool:
        """Whether a record exists; the first one stays."""
        if key not in table:
            return False
        self._refuse(reader, "DIR-EXISTS", key, f"a {what} of this name already exists")
        self._commit(reader)
        return True

    def _check_quota(self, reader: Reader, quota: str, count: int, about: str, what: str) -> None:
        """Refuse a count above the quota with this name in `Quotas`."""
        most: int | None = getattr(self.quotas, quota)
        if most is not None and count > most:
            self._refuse(reader, "DIR-QUOTA", about, f"{what}: {count:,}, of {most:,} at most (quota `{quota}`)")

    def _check_document(self, reader: Reader, stored: StoredPolicy, quota: str, about: str) -> None:
        """Check the size of an IAM document. `quota` is "" if only the sum of several documents has one."""
        self._check_quota(reader, "document_size", len(stored.text), about, "the document is too long")
        if quota:
            self._check_quota(
                reader, quota, size_without_space(stored.text), about, "the document is too long without white space"
            )

    def _check_level(self, reader: Reader, level: Sequence[StoredPolicy], about: str) -> None:
        """Check the SCPs or RCPs of one element."""
        if not level:
            return
        kind = level[0].kind  # all are of one
        self._check_quota(reader, f"{kind}s_per_element", len(level), about, "too many policies")
        self._check_names(reader, level, about)
        for stored in filter(has_name, level):
            self._check_quota(reader, f"{kind}_size", len(stored.text), about, "the document is too long")

    def _check_names(self, reader: Reader, policies: Sequence[StoredPolicy], about: str) -> None:
        """Check that policies of one owner have distinct names."""
        if len({stored.name for stored in policies}) < len(policies):
            twice = next(name for name, n in Counter(stored.name for stored in policies).items() if n > 1)
            self._refuse(reader, "DIR-NAME", about, f"two policies have the name `{shorten(twice)}`")

    def _check_name(
        self, reader: Reader, arn: str, type_: str, path: str, name: str, key: tuple[str, str] | None = None, *, own: str = ""
    ) -> None:
        """Check name and path. `key` is partition and account if names are unique there, ignoring case (spec 1.3).

        `own` is the ARN that has the name until this write.
        """
        for error in name_errors(type_, path, name, self.quotas):
            self._refuse(reader, "DIR-NAME", arn, error)
        other = self._store.indexes.names.get((*key, type_, fold(name))) if key is not None else None
        if other is not None and other not in (arn, own):
            self._refuse(reader, "DIR-NAME", arn, f"names are unique ignoring case, and `{other}` exists")

    def _check_room(self, reader: Reader, arn: str, type_: str, account: str) -> None:
        """Check how many records of one type an account has."""
        quota = f"{'policies' if type_ == 'policy' else type_.replace('-', '_') + 's'}_per_account"
        if getattr(self.quotas, quota) is not None:
            have = self._store.indexes.owned.get(f"{account} {type_}", ())
            self._check_quota(reader, quota, len(have) + 1, arn, "the account is full")

    def _read_tags(self, reader: Reader, tags: Mapping[str, str], about: str) -> dict[str, str]:
        """Parse and check the tags of an IAM resource."""
        read = read_tags(tags, ignore_case=True)
        for error in tag_errors(read, self.quotas):
            self._refuse(reader, "DIR-TAG", about, error)
        return read

    # -- records that others refer to ---------------------------------------------------------------------------------

    def _ensure_account(self, account: str, partition: str = "aws") -> None:
        if account not in self.tables.accounts:
            self._store.put("accounts", account, Account(account, partition))

    def _partition(self, account: str | None) -> str:
        known = self.tables.accounts.get(account or "")
        return known.partition if known else "aws"

    def _entity(self, arn: str) -> Entity:
        """The record of a user or role."""
        entity = self.tables.entities.get(arn)
        if entity is None:
            raise DirectoryError(f"there is no `{shorten(str(arn))}`", hint="add it with `add_principal`")
        return entity

    def _get_identity(self, arn: str) -> IamIdentity:
        """The record of a user, group or role that can have identity policies."""
        group = self.tables.groups.get(arn)
        identity = self._entity(arn) if group is None else group
        if isinstance(identity, Entity) and identity.kind is PrincipalKind.ROOT:
            raise DirectoryError(f"`{arn}` is a root user, which has no policies and no boundary", rule="D6")
        return identity

    def _put_identity(self, identity: IamIdentity) -> None:
        self._put("groups" if isinstance(identity, Group) else "entities", identity)

    # -- policies of users, groups and roles --------------------------------------------------------------------------

    def _split(self, reader: Reader, policies: object, owner: str) -> tuple[tuple[StoredPolicy, ...], tuple[str, ...]]:
        """Split policy arguments into inline policies and ARNs of attached managed policies, without duplicates."""
        inline: list[StoredPolicy] = []
        attached: dict[str, None] = {}
        for i, item in enumerate(as_items(policies)):
            if is_managed_arn(item):
                self._check_managed(reader, item, owner, "DIR-NO-POLICY")
                attached[item] = None
            else:
                inline.append(reader.read(item, PolicyKind.IDENTITY, f"identity_policies[{i}]"))
        return tuple(inline), tuple(attached)

    def _check_managed(self, reader: Reader, arn: str, owner: str, rule: str) -> None:
        account = policy_account(arn)
        if is_account(account) and account != owner.split(":")[4]:
            message = f"`{shorten(owner)}` has a managed policy of another account"
            self._refuse(reader, "DIR-FOREIGN", arn, message, "attach a policy of the principal's account or of AWS")
        if arn not in self.tables.managed and not self._add_aws_policy(reader, arn):
            message = (
                f"`{shorten(owner)}` has a managed policy whose document is unknown and counts as one that denies everything"
            )
            self._refuse(reader, rule, arn, message, hint_of_missing_policy(arn))

    def _add_aws_policy(self, reader: Reader, arn: str) -> bool:
        """Add the record of an AWS managed policy, if the package ships it. A finding says which version."""
        policy = aws_policy(arn)
        if policy is None:
            return False
        message = f"`{arn}` is version {policy.default} of {DATE}, which comes with fastiam"
        # the account that was read may have another version
        severity, hint = (Severity.NOTE, "") if self.mode == "strict" else (Severity.WARN, "load `get-policy-version` beside it")
        reader.findings.append(Finding("POLICY-OF-AWS", severity, message, HERE, "$", hint=hint))
        self._put("managed", policy)
        return True

    def _check_policies(self, reader: Reader, identity: IamIdentity) -> None:
        """Check the limits of the policies of a user, group or role (spec 1.7); see `Quotas` for unnamed documents."""
        type_ = type_of(identity)
        self._check_quota(
            reader, f"managed_policies_per_{type_}", len(identity.attached), identity.arn, "too many attached policies"
        )
        named = list(filter(has_name, identity.inline))
        if not named:
            return
        quota = f"inline_size_per_{type_}"
        most: int | None = getattr(self.quotas, quota)
        if (
            most is not None and sum(len(stored.text) for stored in named) > most
        ):  # PERF: otherwise white space need not be counted
            total = sum(size_without_space(stored.text) for stored in named)
            self._check_quota(reader, quota, total, identity.arn, "the sum of the inline policies is too long")
        self._check_names(reader, named, identity.arn)
        for stored in named:
            self._check_document(reader, stored, "", identity.arn)
            self._check_name(reader, identity.arn, "policy", "/", stored.name)

    # -- principals in policies ---------------------------------------------------------------------------------------

    def _read_trust(self, reader: Reader, arn: str, policy: Given) -> StoredPolicy:
        """Parse a trust policy. In accounts with known users and roles, it may name only existing ones (N32)."""
        before = len(reader.findings)
        trust = reader.read(policy, PolicyKind.TRUST, arn)
        found = [each for each in reader.findings[before:] if each.code == _REFUSED_TRUST]
        if found and self.mode == "strict":
            raise PolicyError([replace(each, severity=Severity.ERROR) for each in found])
        self._check_document(reader, trust, "trust_policy_size", arn)
        for named in named_entities(trust.policy):
            if named.text != arn and self._is_foreign_account(named):
                message = f"the trust policy of `{arn}` names a principal that its account does not have"
                self._refuse(reader, "N32", named.text, message, "add users and roles before the roles that trust them")
        return trust

    def _is_foreign_account(self, named: PrincipalRef) -> bool:
        """Whether the account of a user or role has records, but not of this one; the path of a role does not count (N11)."""
        partition, account = named.partition or "", named.account or ""
        known = self._store.indexes.of_account.get(account, ())
        if not any(arn.startswith(f"arn:{partition}:") for arn in known):
            return False
        if named.kind is PrincipalKind.USER:
            return named.text not in self.tables.entities
        return (partition, account, named.name) not in self.tables.roles

    def _rename_in_policies(self, identity: str, name: str) -> None:
        """Replace the name of a user or role in all trust and resource policies (N30, N31, N34)."""
        for arn in list(self._store.indexes.named.get(identity, ())):
            entity, resource = self.tables.entities.get(arn), self.tables.resources.get(arn)
            if entity is not None and entity.trust is not None and names_identity(entity.trust, identity):
                self._put("entities", replace(entity, trust=with_name(entity.trust, identity, name)))
            if resource is not None and any(names_identity(stored, identity) for stored in resource.policies):
                policies = (with_name(s, identity, name) if names_identity(s, identity) else s for s in resource.policies)
                self._put("resources", replace(resource, policies=tuple(policies)))


def type_of(identity: IamIdentity) -> str:
    """`user`, `group` or `role`."""
    if isinstance(identity, Group):
        return "group"
    return "user" if identity.kind in WITH_LONG_TERM_KEYS else "role"


def refuse_in_use(arn: str, uses: Mapping[str, Sequence[str]]) -> None:
    """Raise if a record that is to be deleted is in use.

    Raises
    ------
    DirectoryError
        names the first use.
    """
    for what, names in uses.items():
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise DirectoryError(f"`{arn}` still {what} `{shorten(names[0])}`{more}", rule="DIR-IN-USE", hint="remove it first")


def stored_names(policies: Iterable[StoredPolicy]) -> tuple[str, ...]:
    """The names of policies in decisions."""
    return tuple(stored.name for stored in policies)
