"""External principals: principals without a record in the directory that the policies of a resource can allow.

INVARIANT: only the name of an external principal is known. All other keys are unknown (spec 6.11), and its own account is assumed
to allow all requests, so that the resource decides.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from fastiam.errors import RequestValueError
from fastiam.model.arn import is_account, split_arn
from fastiam.model.policy import Effect, Policy, PolicyKind, PrincipalEntry, Statement
from fastiam.model.profile import FEDERATION, Policies, PrincipalKind, PrincipalProfile
from fastiam.resolve.snapshot import Snapshot

_EVERYTHING = Policy(
    PolicyKind.IDENTITY, False, (Statement(0, None, Effect.ALLOW, ("*",), resources=("*",)),), name="(its own account)"
)
_ALL: Policies = (_EVERYTHING,)
_SERVICE_KEYS = frozenset({"aws:principalservicename", "aws:principalservicenameslist"})
_NAME_KEYS = _SERVICE_KEYS | {"aws:principalarn", "aws:principaltype", "aws:username", "aws:userid", "aws:federatedprovider"}
ANY_SERVICE = "*.amazonaws.com"


@dataclass(frozen=True, slots=True)
class ExternalPrincipal:
    """A principal; with `kind` None, any user or role of an account or of all accounts."""

    name: str
    kind: PrincipalKind | None
    profile: PrincipalProfile


def named_principals(snapshot: Snapshot, policies: Policies, action: str) -> Iterator[str]:
    """Yield principals that need no record: the unsigned principal, services, identity providers, sessions."""
    yield "*"
    call = FEDERATION.get(action.lower())
    for entry in _granted(policies):
        if entry.type == "Service":
            yield entry.value
        elif entry.type == "Federated" and call is not None:
            kind = PrincipalKind.SAML if ":saml-provider/" in entry.value else PrincipalKind.OIDC
            if kind is call:  # V36
                yield entry.value
        elif entry.type == "AWS" and ":assumed-role/" in entry.value:
            profile = _read(snapshot, entry.value)
            if profile is not None and profile.known:
                yield entry.value


def external_principals(
    snapshot: Snapshot, policies: Policies, action: str, partition: str, known_accounts: Collection[str]
) -> Iterator[ExternalPrincipal]:
    """Yield the external principals that the policies of a resource can allow.

    `known_accounts` are the accounts with a user or role in the directory.
    """
    roots: dict[str, None] = {}
    for entry in _granted(policies):
        if entry.type == "CanonicalUser":
            yield from _canonical(snapshot, entry.value, partition)
        elif entry.type == "AWS" and is_account(entry.value):
            roots[f"arn:{partition}:iam::{entry.value}:root"] = None
        elif entry.type == "AWS" and entry.value.startswith("arn:"):
            arn = split_arn(entry.value)
            if arn is not None and arn.rest == "root" and is_account(arn.account):
                roots[entry.value] = None
            else:
                yield from _named(snapshot, entry.value)
    for root in roots:
        account = root.split(":")[4]
        if account not in known_accounts:
            yield ExternalPrincipal(root, None, _any_principal(snapshot, root, account))
    foreign = next(id_ for id_ in map("{:012d}".format, range(10**6)) if id_ not in snapshot.tables.accounts)
    profile = _any_principal(snapshot, f"arn:{partition}:iam::*:root", foreign)
    keys = {name: value for name, value in profile.keys.items() if name != "aws:principalaccount"}
    yield ExternalPrincipal(profile.name, None, replace(profile, keys=keys))
    yield _unnamed(snapshot, ANY_SERVICE, action)
    kind = FEDERATION.get(action.lower())
    if kind is not None:
        provider = "saml-provider" if kind is PrincipalKind.SAML else "oidc-provider"
        unnamed = _unnamed(snapshot, f"arn:{partition}:iam::{foreign}:{provider}/*", action)
        yield replace(unnamed, name=f"arn:{partition}:iam::*:{provider}/*")


def external_profile(snapshot: Snapshot, arn: str) -> PrincipalProfile | None:
    """Return the profile of a user, role or root of an account without records, which is assumed to allow all; else None."""
    parts = split_arn(arn)
    if parts is not None and parts.rest == "root" and is_account(parts.account):
        return None if parts.account in snapshot.tables.accounts else _any_principal(snapshot, arn, parts.account)
    return next((external.profile for external in _named(snapshot, arn)), None)


def _granted(policies: Policies) -> Iterator[PrincipalEntry]:
    """Return the principal entries of Allow statements. An Allow with NotPrincipal names only principals that it excludes."""
    seen: dict[PrincipalEntry, None] = {}
    for policy in policies:
        for statement in policy.statements:
            if statement.effect is Effect.ALLOW and not statement.not_principal:
                seen.update(dict.fromkeys(statement.principals or ()))
    return iter(seen)


def _read(snapshot: Snapshot, name: str) -> PrincipalProfile | None:
    try:
        return snapshot.principal(name)
    except RequestValueError:  # not a principal, such as a group
        return None


def _named(snapshot: Snapshot, name: str) -> Iterator[ExternalPrincipal]:
    """Yield the user, role or session with an ARN, if the directory does not contain it."""
    profile = _read(snapshot, name)
    if profile is None or profile.known:
        return
    keys = {key: value for key, value in profile.keys.items() if key != "aws:principalarn" or not profile.session_arn}
    policies = _ALL if profile.kind is PrincipalKind.FED else None
    yield ExternalPrincipal(
        name, profile.kind, replace(profile, known=True, keys=keys, identity_policies=_ALL, session_policies=policies)
    )


def _any_principal(snapshot: Snapshot, name: str, account: str) -> PrincipalProfile:
    """Return the profile of any user or role of an account."""
    partition = name.split(":")[1]
    profile = snapshot.principal(f"arn:{partition}:iam::{account}:user/*")
    keys = {key: value for key, value in profile.keys.items() if key not in _NAME_KEYS}
    return replace(profile, name=name, known=True, keys=keys, absent_keys=_SERVICE_KEYS, identity_policies=_ALL)


def _canonical(snapshot: Snapshot, id_: str, partition: str) -> Iterator[ExternalPrincipal]:
    """Yield the account with an S3 canonical id, if no account of the directory has it."""
    if all(account.canonical_id != id_ for account in snapshot.tables.accounts.values()):
        profile = _any_principal(snapshot, f"arn:{partition}:iam::*:root", "000000000000")
        keys = {name: value for name, value in profile.keys.items() if name != "aws:principalaccount"}
        yield ExternalPrincipal(id_, None, replace(profile, name=id_, keys=keys, canonical_id=id_))


def _unnamed(snapshot: Snapshot, name: str, action: str) -> ExternalPrincipal:
    """Return a service or identity provider with an unknown name."""
    profile = snapshot.principal(name.replace("*", "unnamed"), action)
    keys = {key: value for key, value in profile.keys.items() if key not in _NAME_KEYS}
    names = (name,) if profile.service_names else ()
    return ExternalPrincipal(name, profile.kind, replace(profile, name=name, service_names=names, keys=keys))
