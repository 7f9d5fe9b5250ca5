"""Callers of whom a directory has no record, as far as the policies of a resource let them in.

Law: nothing is known of an outsider but its name, so every key that would tell more is unknown (spec 6.11), and its own
account is taken to allow everything. What is left is what the side of the resource says.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from fastiam.directory.principal_refs import FEDERATION, parse_principal
from fastiam.errors import RequestValueError
from fastiam.model.arn import is_account, split_arn
from fastiam.model.policy import Effect, Policy, PolicyKind, PrincipalEntry, Statement
from fastiam.model.profile import Policies, PrincipalKind, PrincipalProfile
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
    """A caller, or with `kind` None a whole account or all accounts: any of their users and roles."""

    name: str
    kind: PrincipalKind | None
    profile: PrincipalProfile


def named_principals(snapshot: Snapshot, policies: Policies, action: str) -> Iterator[str]:
    """Callers without a record of their own that decide like any other: the unsigned one, services, providers, sessions."""
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
    snapshot: Snapshot, policies: Policies, action: str, partition: str, accounts_with_principals: Collection[str]
) -> Iterator[ExternalPrincipal]:
    """External principals that the policies of a resource may allow.

    `accounts_with_principals` are the accounts with a user or role in the directory.
    """
    accounts: dict[str, None] = {}
    for entry in _granted(policies):
        if entry.type == "CanonicalUser":
            yield from _canonical(snapshot, entry.value, partition)
        elif entry.type == "AWS" and is_account(entry.value):
            accounts[f"arn:{partition}:iam::{entry.value}:root"] = None
        elif entry.type == "AWS" and entry.value.startswith("arn:"):
            arn = split_arn(entry.value)
            if arn is not None and arn.rest == "root" and is_account(arn.account):
                accounts[entry.value] = None
            else:
                yield from _one(snapshot, entry.value)
    for root in accounts:
        account = root.split(":")[4]
        if account not in accounts_with_principals:
            yield ExternalPrincipal(root, None, _anybody(snapshot, root, account))
    stranger = next(id_ for id_ in map("{:012d}".format, range(10**6)) if id_ not in snapshot.tables.accounts)
    anybody = _anybody(snapshot, f"arn:{partition}:iam::*:root", stranger)
    keys = {name: value for name, value in anybody.keys.items() if name != "aws:principalaccount"}
    yield ExternalPrincipal(anybody.name, None, replace(anybody, keys=keys))
    yield _unnamed(snapshot, ANY_SERVICE, action)
    kind = FEDERATION.get(action.lower())
    if kind is not None:
        provider = "saml-provider" if kind is PrincipalKind.SAML else "oidc-provider"
        unnamed = _unnamed(snapshot, f"arn:{partition}:iam::{stranger}:{provider}/*", action)
        yield replace(unnamed, name=f"arn:{partition}:iam::*:{provider}/*")


def _granted(policies: Policies) -> Iterator[PrincipalEntry]:
    """What Allow statements name; a NotPrincipal names nobody that it lets in."""
    seen: dict[PrincipalEntry, None] = {}
    for policy in policies:
        for statement in policy.statements:
            if statement.effect is Effect.ALLOW and not statement.not_principal:
                seen.update(dict.fromkeys(statement.principals or ()))
    return iter(seen)


def _read(snapshot: Snapshot, name: str) -> PrincipalProfile | None:
    try:
        return snapshot.principal(name)
    except RequestValueError:  # a form that names nobody, such as a group
        return None


def _one(snapshot: Snapshot, name: str) -> Iterator[ExternalPrincipal]:
    """A user, role or session that is named by its ARN, where there is no record of it."""
    profile = _read(snapshot, name)
    if profile is None or profile.known:
        return
    keys = {key: value for key, value in profile.keys.items() if key != "aws:principalarn" or not profile.session_arn}
    policies = _ALL if profile.kind is PrincipalKind.FED else None
    yield ExternalPrincipal(
        name, profile.kind, replace(profile, known=True, keys=keys, identity_policies=_ALL, session_policies=policies)
    )


def _anybody(snapshot: Snapshot, name: str, account: str) -> PrincipalProfile:
    """Some user or role of an account."""
    partition = name.split(":")[1]
    profile = snapshot.principal(f"arn:{partition}:iam::{account}:user/*")
    keys = {key: value for key, value in profile.keys.items() if key not in _NAME_KEYS}
    return replace(profile, name=name, known=True, keys=keys, absent_keys=_SERVICE_KEYS, identity_policies=_ALL)


def _canonical(snapshot: Snapshot, id_: str, partition: str) -> Iterator[ExternalPrincipal]:
    """The account with an S3 canonical id, where no account of the directory has it."""
    if all(account.canonical_id != id_ for account in snapshot.tables.accounts.values()):
        somebody = _anybody(snapshot, f"arn:{partition}:iam::*:root", "000000000000")
        keys = {name: value for name, value in somebody.keys.items() if name != "aws:principalaccount"}
        yield ExternalPrincipal(id_, None, replace(somebody, name=id_, keys=keys, canonical_id=id_))


def _unnamed(snapshot: Snapshot, name: str, action: str) -> ExternalPrincipal:
    """A service or provider of which the name is not known."""
    read = parse_principal(name, action)
    profile = snapshot.principal(name, action)
    keys = {key: value for key, value in profile.keys.items() if key not in _NAME_KEYS}
    return ExternalPrincipal(name, read.kind, replace(profile, keys=keys))
