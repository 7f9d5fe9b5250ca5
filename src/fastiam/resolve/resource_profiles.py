"""Request resources resolved into profiles over the records of a directory (spec 6.10, D16, D23, D33)."""

from __future__ import annotations

from collections.abc import Mapping

from fastiam.directory.account_records import Entity, Resource, Tables
from fastiam.directory.governing_resources import (
    ALWAYS,
    SERVICE,
    TRUST,
    GoverningResources,
    governing_resources_of,
    is_full_secret,
    partial_secret,
    stored_arn,
)
from fastiam.errors import RequestValueError
from fastiam.model.arn import is_account, split_arn
from fastiam.model.key_registry import fold
from fastiam.model.policy import Policy
from fastiam.model.profile import Policies, PrincipalKind, PrincipalProfile, ResourceFacts, ResourceProfile
from fastiam.model.request import ContextValue, shorten
from fastiam.resolve.accounts import Accounts
from fastiam.resolve.derived_keys import Keys, organization_keys, single
from fastiam.resolve.public_access import is_public
from fastiam.runtime.forking import cached_property

TAG = "aws:resourcetag/"
_TRUST_ACTIONS = ("sts:tagsession", "sts:setsourceidentity")


class Resources:
    """The resource facts of a directory, which do not depend on the principal."""

    def __init__(self, tables: Tables, accounts: Accounts) -> None:
        self._tables, self._accounts = tables, accounts
        self._tags: dict[str, Keys] = {}
        self._public: dict[str, bool] = {}
        self._trust: dict[str, Policies] = {}

    def facts(self, arn: str) -> ResourceFacts:
        """Owner, policies of all governing resources and tags, without the principal."""
        arn = self._full_secret(arn)
        found = governing_resources_of(arn)
        own = self._tables.resources.get(stored_arn(arn))
        policies: list[Policy] = []
        account, blocks_public = (own.account if own else self._account_of_entity(arn)), False
        for group in found.groups:
            for governing in group:
                record = self._tables.resources.get(governing)
                if record is not None:
                    account = account or record.account
                    blocks_public = blocks_public or self._blocks_public(record)
            policies += self._governing(group, found)
        keys = self._tag_keys(arn, own)
        start = found.start if own is None else ""
        return ResourceFacts(arn, account, tuple(policies) if policies else None, found.governs, keys, blocks_public, start)

    def tags(self, arn: str) -> Mapping[str, ContextValue]:
        """The `keys` of `facts`, without the rest."""
        arn = self._full_secret(arn)
        return self._tag_keys(arn, self._tables.resources.get(stored_arn(arn)))

    def _account_of_entity(self, arn: str) -> str | None:
        """The account of a user or role that is a resource of note (`Snapshot.entity_resources`)."""
        entity = self._tables.entities.get(arn)
        return None if entity is None or not is_recorded(entity) else entity.account

    def _governing(self, group: tuple[str, ...], found: GoverningResources) -> Policies:
        """The policies of the first governing resource of a group that has some."""
        for governing in group:
            record = self._tables.resources.get(governing)
            if record is not None and record.policies:
                return tuple(stored.policy for stored in record.policies)
            entity = self._tables.entities.get(governing) if found.governs == TRUST else None
            if entity is not None and entity.trust is not None:
                return (entity.trust.policy,)
        return ()

    def _blocks_public(self, record: Resource) -> bool:
        if not record.restrict_public_buckets:
            return False
        if record.arn not in self._public:
            self._public[record.arn] = any(is_public(stored.policy) for stored in record.policies)
        return self._public[record.arn]

    def _tag_keys(self, arn: str, own: Resource | None) -> Mapping[str, ContextValue]:
        """`aws:ResourceTag/*` of exactly this resource. Keys that differ by case alone are joined (C6)."""
        entity = self._tables.entities.get(arn) if own is None or not own.tags else None
        tags = entity.tags if entity is not None else own.tags if own is not None else {}
        if not tags:
            return _NO_KEYS
        if arn not in self._tags:
            self._tags[arn] = resource_tag_keys(tags)
        return self._tags[arn]

    def _full_secret(self, arn: str) -> str:
        """A partial secret ARN becomes the full one, if exactly one stored secret fits (6.10)."""
        if ":secretsmanager:" not in arn or arn in self._tables.resources:
            return arn
        parts = split_arn(arn)
        if parts is None or parts.service != "secretsmanager" or is_full_secret(parts.rest):
            return arn
        fitting = self._secrets.get(arn, ())
        return fitting[0] if len(fitting) == 1 else arn

    @cached_property
    def _secrets(self) -> dict[str, list[str]]:
        """Stored secrets by their partial ARN."""
        found: dict[str, list[str]] = {}
        for arn in self._tables.resources:
            partial = partial_secret(arn) if ":secretsmanager:" in arn else None
            if partial is not None:
                found.setdefault(partial, []).append(arn)
        return found

    # -- for a caller ----------------------------------------------------------------------------------------------------

    def profile(
        self, arn: str, action: str, principal: PrincipalProfile, resource_account: str | None, unknown_owner: str
    ) -> ResourceProfile:
        """The resource of a request, with the policies that govern it for this caller."""
        facts = _ANY if arn == "*" else self.facts(arn)
        field = "" if arn == "*" else arn.split(":", 5)[4]
        owner, is_known = find_owner(facts.account, field, resource_account, principal.account, arn)
        account_facts = None if owner is None else self._accounts.facts(owner)
        return ResourceProfile(
            facts.arn,
            None if arn == "*" else arn.split(":", 2)[1],
            owner,
            assumed_owner=not is_known and owner is not None,
            owner_override=resource_account is not None and field not in ("", resource_account),
            unknown_owner=unknown_owner == "deny" and not is_known and arn != "*" and field != "aws",
            policies=facts.policies if _governs(facts.governs, action, principal.kind) else None,
            rcps=account_facts.rcps if account_facts else None,
            rcp_note=account_facts.rcp_note if account_facts else "no_account",
            keys={**self.owner_keys(owner), **_tags_for(action, facts.keys)},
            blocks_public=facts.blocks_public,
        )

    def owner_keys(self, owner: str | None) -> Keys:
        """`aws:ResourceAccount`, `aws:ResourceOrgID`, `aws:ResourceOrgPaths` (5.4)."""
        if owner is None:
            return {}
        facts = self._accounts.facts(owner)
        return {"aws:resourceaccount": single(owner), **organization_keys("resource", facts.org_id, facts.org_path)}


def is_recorded(entity: Entity) -> bool:
    """Whether a user or role is recorded as a resource: it has tags, or a trust policy."""
    return entity.trust is not None or bool(entity.tags)


def find_owner(
    recorded: str | None, field: str, resource_account: str | None, principal_account: str | None, arn: str
) -> tuple[str | None, bool]:
    """The owner of a resource, and whether it is known (D23).

    `recorded` is the directory's record, `field` the account field of the ARN.

    Raises
    ------
    RequestValueError
        `resource_account` is not an account id, or contradicts the record.
    """
    if resource_account is not None:
        if not isinstance(resource_account, str) or not is_account(resource_account):
            raise RequestValueError(
                f"`{shorten(str(resource_account))}` is not an account id", column="resource_account", hint="write 12 digits"
            )
        if recorded is not None and recorded != resource_account:
            raise RequestValueError(
                f"`{shorten(arn)}` belongs to account `{recorded}`, not `{resource_account}`", column="resource_account"
            )
        return resource_account, True
    if recorded is not None:
        return recorded, True
    if is_account(field):
        return field, True
    return principal_account, False


def resource_tag_keys(tags: Mapping[str, str]) -> Keys:
    """Tags as context keys; two that differ by case alone and carry different values are a conflict (C6)."""
    keys: Keys = {}
    for name, value in tags.items():
        key = TAG + fold(name)
        other = keys.get(key)
        if other is None:
            keys[key] = single(value)
        elif other.values != (value,):
            keys[key] = ContextValue((*other.values, value), multi=True, conflict=True)
    return keys


def _governs(governs: str, action: str, kind: PrincipalKind) -> bool:
    """Whether stored policies count: of a role for the STS calls, of a log group for services (6.10)."""
    if governs == ALWAYS:
        return True
    if governs == SERVICE:
        return kind is PrincipalKind.SVC
    folded = action.lower()
    return folded.startswith("sts:assume") or folded in _TRUST_ACTIONS


def _tags_for(action: str, keys: Mapping[str, ContextValue]) -> Mapping[str, ContextValue]:
    """No tags of the role in `iam:PassRole` (6.3)."""
    return _NO_KEYS if action.lower() == "iam:passrole" else keys


_NO_KEYS: Mapping[str, ContextValue] = {}
_ANY = ResourceFacts("*")
