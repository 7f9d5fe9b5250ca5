"""From a call that may be made to credentials: what all sessions have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from fastiam.credentials.access_keys import AccessKeys
from fastiam.credentials.results import AssumedRole, Credentials
from fastiam.credentials.sts_state import State
from fastiam.directory.account_records import Entity
from fastiam.model.key_registry import fold
from fastiam.model.request import read_context
from fastiam.model.session import Session
from fastiam.resolve.derived_keys import MFA
from fastiam.sts.parameter_limits import read_policies
from fastiam.sts.session_tokens import Claims, Tokens

PolicyText = str | bytes | Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class RoleSession:
    """What a session of some role is to be, all of it checked.

    `tags` hold the inherited ones, `packed` is the share of the limit on session policies, `context` are keys of class S (5.3).
    """

    name: str
    seconds: int
    tags: Mapping[str, str]
    transitive_tags: tuple[str, ...]
    source_identity: str | None
    policies: tuple[str, ...] | None
    packed: int
    context: Mapping[str, Any]
    chained: bool = False  # a role assumes it (S2)


@dataclass(frozen=True, slots=True)
class Issuer:
    """Makes credentials, and takes them back in."""

    state: State
    tokens: Tokens
    keys: AccessKeys

    def policies(self, policy: PolicyText | None, arns: Sequence[str], account: str) -> tuple[tuple[str, ...] | None, int]:
        """Session policies for a session in an account, see `limits.read_policies`."""
        return read_policies(policy, arns, account, self.state.tables.managed.keys())

    def role_session(self, role: Entity, wanted: RoleSession, now: datetime, *, not_after: datetime | None) -> AssumedRole:
        """Credentials for a session of a role (S20), which ends at `not_after` at the latest."""
        session = Session(
            f"arn:{role.partition}:sts::{role.account}:assumed-role/{role.name}/{wanted.name}",
            kind=role.kind,
            issuer=role.arn,
            policies=wanted.policies,
            tags=dict(wanted.tags),
            transitive_tags=wanted.transitive_tags,
            issued_at=now,
            source_identity=wanted.source_identity,
            context=plain_context(wanted.context),
        )
        expires = now + timedelta(seconds=wanted.seconds)
        if not_after is not None and not_after < expires:
            expires = not_after.replace(microsecond=0)
        credentials = self.tokens.issue(Claims(session, expires, role.unique_id, chained=wanted.chained), role.account)
        role_id = None if role.unique_id is None else f"{role.unique_id}:{wanted.name}"
        return AssumedRole(credentials, session, session.arn, role_id, wanted.source_identity, wanted.packed)

    def user_session(
        self, session: Session, account: str, seconds: int, *, issuer_id: str | None = None, issuer_key: str | None = None
    ) -> Credentials:
        """Credentials for a session that a user or root issues, or that stands for a root user."""
        issued = session.issued_at
        assert issued is not None
        return self.tokens.issue(Claims(session, issued + timedelta(seconds=seconds), issuer_id, issuer_key), account)


def plain_context(context: Mapping[str, Any]) -> dict[str, str | list[str] | None]:
    """A context as the texts that conditions compare (C24): what a token carries reads like what was given.

    Of absent keys one alone says something by being so, that of MFA (7.6).
    """
    read = read_context(context)
    plain = {value.name or key: list(value.values) if value.multi else value.values[0] for key, value in read.items()}
    return {**plain, **{key: None for key, value in context.items() if value is None and fold(key) == MFA}}


def request_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Session tags as the condition keys of the call that passes them (S25)."""
    return {f"aws:RequestTag/{key}": value for key, value in tags.items()}
