"""Callers resolved into profiles over the records of a directory (spec 3.1, N1 to N6, 6.1, D11)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from fastiam.directory.account_records import Entity, Tables
from fastiam.directory.aws_policies import aws_policy
from fastiam.directory.principal_refs import PrincipalRef, parse_principal, role_arn
from fastiam.directory.stored_policies import StoredPolicy, is_managed_arn, missing_policy
from fastiam.errors import RequestValueError
from fastiam.model.profile import (
    ROLES,
    ROOTS,
    WITH_IDENTITY_POLICIES,
    WITH_LONG_TERM_KEYS,
    WITHOUT_ACCOUNT,
    Policies,
    PrincipalKind,
    PrincipalProfile,
    PrincipalTemplate,
)
from fastiam.model.session import Session
from fastiam.resolve.accounts import Accounts
from fastiam.resolve.derived_keys import (
    FALSE,
    MFA,
    OPEN_OF_BARE_FEDERATED_USER,
    OPEN_OF_BARE_SESSION,
    OPEN_OF_SERVICE,
    TAG,
    TRUE,
    UNKNOWN_ISSUE_TIME,
    absent_of_bare_session,
    absent_of_long_term_key,
    absent_of_session,
    absent_without_account,
    join_tags,
    keys_without_account,
    principal_keys,
    session_keys,
    single,
)
from fastiam.resolve.sessions import SessionParts, mfa_seconds, read_session, read_session_policies, takes_session_policies

_KEPT = 1024  # profiles of entities, and of sessions
_NOTHING: frozenset[str] = frozenset()


class Principals:
    """Profiles of all callers of a directory. Equal sets of policies are one tuple."""

    def __init__(self, tables: Tables, accounts: Accounts) -> None:
        self._tables, self._accounts = tables, accounts
        self._profiles: dict[str, PrincipalProfile] = {}
        self._attached: dict[tuple[str, ...], Policies] = {}
        self._groups: dict[str, Policies] = {}
        self._sessions: OrderedDict[int, tuple[Session, PrincipalProfile]] = OrderedDict()

    def all(self) -> Iterator[PrincipalProfile]:
        """The root of each account, then users and roles; a role as some session of it (N5). None of them is kept."""
        for account in self._tables.accounts.values():
            yield self.of_name(f"arn:{account.partition}:iam::{account.id}:root")
        for entity in self._tables.entities.values():
            if entity.kind is not PrincipalKind.ROOT:
                yield self._resolve_entity(entity)

    def of_name(self, name: str, action: str = "") -> PrincipalProfile:
        """The caller that a string means (N3)."""
        entity = self._tables.entities.get(name)
        if entity is not None and entity.kind is not PrincipalKind.ROOT:
            return self._of_entity(entity)
        ref = parse_principal(name, action)
        if ref.kind in WITHOUT_ACCOUNT:
            return _without_account(ref)
        if ref.kind in ROOTS:
            return self._root(ref)
        role = self._role(ref) if ref.kind in ROLES else None
        if role is None:
            return self._unknown(ref)
        profile = self._of_entity(role)
        return self._bare_session(profile, role, ref) if ref.session else profile

    def of_session(self, session: Session) -> PrincipalProfile:
        """The caller behind temporary credentials; the last ones are kept."""
        kept = self._sessions.get(id(session))
        if kept is not None and kept[0] is session:
            self._sessions.move_to_end(id(session))
            return kept[1]
        profile = self._resolve_session(session)
        self._sessions[id(session)] = (session, profile)
        while len(self._sessions) > _KEPT:
            self._sessions.popitem(last=False)
        return profile

    # -- entities -----------------------------------------------------------------------------------------------------

    def _of_entity(self, entity: Entity) -> PrincipalProfile:
        profile = self._profiles.get(entity.arn)
        if profile is None:
            if len(self._profiles) >= _KEPT:
                self._profiles = {}
            profile = self._profiles[entity.arn] = self._resolve_entity(entity)
        return profile

    def _resolve_entity(self, entity: Entity) -> PrincipalProfile:
        is_user = entity.kind is PrincipalKind.USER
        keys = principal_keys(
            entity.kind,
            entity.arn,
            self._accounts.keys(entity.account),
            user_id=entity.unique_id if is_user else None,
            user_name=entity.name if is_user else None,
            tags=entity.tags,
        )
        if not is_user:
            keys |= {MFA: FALSE} | UNKNOWN_ISSUE_TIME
        known_id = is_user and entity.unique_id is not None
        absent = (absent_of_long_term_key if is_user else absent_of_bare_session)(keys, user_id_known=known_id)
        boundary = self._boundary(entity)
        scps, note = self._accounts.scps(entity.account, entity.kind)
        return PrincipalProfile(
            entity.kind,
            entity.arn,
            entity.partition,
            entity.account,
            user_arn=entity.arn if is_user else None,
            role_name=None if is_user else entity.name,
            unique_id=entity.unique_id,
            canonical_id=self._accounts.canonical_id(entity.account),
            may_assume_root=self._accounts.may_assume_root(entity.account),
            keys=keys,
            absent_keys=absent,
            open_keys=_open_keys(_NOTHING if is_user else OPEN_OF_BARE_SESSION, entity),
            declarable_keys=_NOTHING if is_user else frozenset([key for key in keys if key.startswith(TAG)]),
            identity_policies=self._identity(entity),
            boundary=boundary,
            bounded=boundary is not None,
            scps=scps,
            scp_note=note,
        )

    def _identity(self, entity: Entity) -> Policies:
        """Own inline, own attached, then group by group the same (D1, D51)."""
        own = tuple([stored.policy for stored in entity.inline])
        own = own + self._documents(entity.attached) if own else self._documents(entity.attached)
        groups = [self._group(arn) for arn in entity.groups]
        return own + tuple(policy for group in groups for policy in group) if groups else own

    def _group(self, arn: str) -> Policies:
        found = self._groups.get(arn)
        if found is None:
            group = self._tables.groups.get(arn)
            if group is None:  # its policies are unknown
                found = (missing_policy(arn).policy,)
            else:
                found = tuple(s.policy for s in group.inline) + self._documents(group.attached)
            self._groups[arn] = found
        return found

    def _documents(self, arns: tuple[str, ...]) -> Policies:
        """The documents in force of managed policies; an unknown one can contain a Deny, and is one that denies everything."""
        found = self._attached.get(arns)
        if found is None:
            managed = self._tables.managed
            documents = [managed[arn].document if arn in managed else missing_policy(arn) for arn in arns]
            found = self._attached[arns] = tuple([stored.policy for stored in documents])
        return found

    def _boundary(self, entity: Entity) -> Policies | None:
        """The boundary; None without one."""
        if entity.boundary is None:
            return None
        arns = tuple(item for item in entity.boundary if isinstance(item, str))
        return tuple(item.policy for item in entity.boundary if isinstance(item, StoredPolicy)) + self._documents(arns)

    def _role(self, ref: PrincipalRef) -> Entity | None:
        """The role of a session or role ARN, by its name, whatever its path (N11)."""
        arn = self._tables.roles.get((ref.partition or "", ref.account or "", ref.name))
        return None if arn is None else self._tables.entities[arn]

    # -- callers without a record of their own ----------------------------------------------------------------------------

    def _root(self, ref: PrincipalRef, kind: PrincipalKind = PrincipalKind.ROOT) -> PrincipalProfile:
        """A root user. One of an account that is not modelled may come as well: it has no policies of its own (D22)."""
        account = ref.account or ""
        keys = principal_keys(kind, ref.text, self._accounts.keys(account), user_id=account)
        scps, note = self._accounts.scps(account, kind)
        record = self._tables.entities.get(ref.text)  # what a lenient load gave it (D6)
        return PrincipalProfile(
            kind,
            ref.text,
            ref.partition,
            account,
            canonical_id=self._accounts.canonical_id(account),
            may_assume_root=self._accounts.may_assume_root(account),
            keys=keys,
            absent_keys=self._accounts.without_open(account, absent_of_long_term_key(keys, user_id_known=True)),
            identity_policies=() if record is None else self._identity(record),
            boundary=None if record is None else self._boundary(record),
            scps=scps,
            scp_note=note,
        )

    def _bare_session(self, role: PrincipalProfile, entity: Entity, ref: PrincipalRef) -> PrincipalProfile:
        """A session given by its ARN only: the role's record and the session's name (S20)."""
        keys = dict(role.keys)
        if entity.unique_id is not None:
            keys["aws:userid"] = single(f"{entity.unique_id}:{ref.session}")
        absent = absent_of_bare_session(keys, user_id_known=entity.unique_id is not None)
        return replace(role, name=ref.text, session_arn=ref.text, keys=keys, absent_keys=absent)

    def _unknown(self, ref: PrincipalRef) -> PrincipalProfile:
        """A user, role or session without a record: it is allowed nothing."""
        account = ref.account or ""
        is_role, is_user = ref.kind in ROLES, ref.kind is PrincipalKind.USER
        arn = role_arn(ref) if ref.session else ref.text
        keys = principal_keys(ref.kind, arn, self._accounts.keys(account), user_name=ref.name if is_user else None)
        scps, note = self._accounts.scps(account, ref.kind)
        return PrincipalProfile(
            ref.kind,
            ref.text,
            ref.partition,
            account,
            known=False,
            user_arn=ref.text if is_user else None,
            role_name=ref.name if is_role else None,
            session_arn=ref.text if ref.session else None,
            issuer_known=ref.kind is not PrincipalKind.FED,
            keys=keys if is_user else keys | UNKNOWN_ISSUE_TIME,
            open_keys=_NOTHING if is_user else OPEN_OF_BARE_FEDERATED_USER,
            scps=scps,
            scp_note=note,
        )

    def template_for(self, name: str) -> PrincipalTemplate | None:
        """The template of a principal name, equal to `of_name`; None for names with a record, and for kinds with few names."""
        if name in self._tables.entities or not name.startswith("arn:"):
            return None
        ref = parse_principal(name)
        role = self._role(ref) if ref.kind in ROLES else None
        start = name[: name.rfind("/") + 1]
        if ref.session:  # `_bare_session`, `kernel.eval.unknown`
            base = role_arn(ref) if role is None else role.arn
            if role is None and base in self._tables.entities:  # whom no name leads to, since another one of it was deleted
                return None
            if role is None or role.unique_id is None:
                return PrincipalTemplate(start, base)
            before: dict[str, str | None] = {"aws:userid": f"{role.unique_id}:"}
            return PrincipalTemplate(start, role.arn, keys=before, open_keys=_open_keys(_NOTHING, role))
        if role is not None or ref.kind not in WITH_IDENTITY_POLICIES:
            return None
        keys: dict[str, str | None] = {"aws:principalarn": None}
        if ref.kind is PrincipalKind.USER:
            keys["aws:username"] = ""
        home = (ref.partition or "", ref.account or "") if ref.kind in ROLES else None
        return PrincipalTemplate(start, name, home, keys)

    # -- sessions -----------------------------------------------------------------------------------------------------

    def _resolve_session(self, session: Session) -> PrincipalProfile:
        parts = read_session(session)
        if session.policies is not None and not takes_session_policies(parts.kind):
            raise RequestValueError(f"`{session.arn}` cannot have session policies", column="principal", hint="spec D6")
        issuer = self._issuer(parts)
        if issuer is None:
            return self._unknown(parts.ref)
        base, entity = issuer
        kind = base.kind if parts.kind in ROLES else parts.kind
        user_id = self._user_id(parts, entity)
        tags = join_tags(entity.tags if entity else {}, session.tags)
        own = session_keys(session, kind)
        keys = own | principal_keys(
            kind,
            parts.ref.text if parts.kind not in ROLES else base.name,
            self._accounts.keys(base.account or ""),
            user_id=user_id,
            user_name=parts.ref.name if kind is PrincipalKind.USER else None,
            tags=tags,
        )
        absent = absent_of_session(session, keys, user_id_known=user_id is not None)
        is_token = kind in WITH_LONG_TERM_KEYS
        return replace(
            base,
            kind=kind,
            name=parts.ref.text,
            session_arn=parts.ref.text if kind in ROLES else None,
            issuer_root=kind is PrincipalKind.FED and entity is None,
            temporary=is_token,
            mfa=is_token and own[MFA] == TRUE,
            mfa_at=mfa_seconds(session, kind),
            keys=keys,
            absent_keys=self._accounts.without_open(base.account or "", absent),
            open_keys=_open_keys(_NOTHING, entity),
            declarable_keys=_NOTHING,
            session_policies=self._session_policies(session.policies),
        )

    def _issuer(self, parts: SessionParts) -> tuple[PrincipalProfile, Entity | None] | None:
        """Profile and record of who issued the session; a root has no record, and who is not known is None (N2)."""
        ref = parts.issuer if parts.kind is PrincipalKind.FED else parts.ref
        if ref is None:
            return None
        if ref.kind is PrincipalKind.ROOT:
            return self._root(ref), None
        entity = self._role(ref) if parts.kind in ROLES else self._tables.entities.get(ref.text)
        return None if entity is None else (self._of_entity(entity), entity)

    def _user_id(self, parts: SessionParts, entity: Entity | None) -> str | None:
        """The value of `aws:userid` (5.2); None where the id of the user or role is not known."""
        ref = parts.ref
        if parts.kind is PrincipalKind.FED:
            return f"{ref.account}:{ref.name}"
        if entity is None:
            return ref.account
        if entity.unique_id is None or parts.kind is PrincipalKind.USER:
            return entity.unique_id
        return f"{entity.unique_id}:{ref.session}"

    def _session_policies(self, given: Sequence[Any] | None) -> Policies | None:
        """Inline session policies, then managed ones by their ARN (D4, D51)."""
        if given is None:
            return None
        arns = tuple(item for item in given if is_managed_arn(item))
        managed = [self._tables.managed.get(arn) or aws_policy(arn) for arn in arns]
        for arn, policy in zip(arns, managed, strict=True):
            if policy is None:
                raise RequestValueError(f"`{arn}` is a session policy whose document is unknown", column="principal")
        inline = read_session_policies([item for item in given if not is_managed_arn(item)])
        return (inline or ()) + tuple(policy.document.policy for policy in managed if policy is not None)


def _open_keys(known: frozenset[str], entity: Entity | None) -> frozenset[str]:
    """A generated id is not a fact: a request may have another one."""
    return known | {"aws:userid"} if entity is not None and entity.made_id else known


def _without_account(ref: PrincipalRef) -> PrincipalProfile:
    """A service, an unsigned caller, or a caller with a federated identity: nothing of theirs is in a directory."""
    is_service = ref.kind is PrincipalKind.SVC
    return PrincipalProfile(
        ref.kind,
        ref.text,
        ref.partition,
        service_names=(ref.text,) if is_service else (),
        keys=keys_without_account(ref.kind, ref.text),
        absent_keys=absent_without_account(ref.kind, ref.text),
        open_keys=OPEN_OF_SERVICE if is_service else _NOTHING,
        scp_note="no_account",
    )
