"""Writes of resources with their policies, and of VPC endpoints (spec 6.10, G4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from fastiam.directory.account_records import Endpoint, Resource
from fastiam.directory.governing_resources import governing_resources_of, stored_arn
from fastiam.directory.naming_rules import check_account, read_tags
from fastiam.directory.stored_policies import Given, Policies, Reader, StoredPolicy, as_items
from fastiam.directory.transactions import write
from fastiam.directory.writes.base import Writes
from fastiam.errors import DirectoryError
from fastiam.model.arn import is_account, split_arn
from fastiam.model.policy import PolicyKind
from fastiam.model.request import shorten


class ResourceWrites(Writes):
    """Resources and endpoints."""

    @write
    def add_resource(
        self,
        arn: str,
        *,
        account: str | None = None,
        policy: Policies | None = None,
        tags: Mapping[str, str] = {},
        restrict_public_buckets: bool = False,
    ) -> None:
        """Add a resource under the ARN that has the policy (D60): the bucket, not its objects.

        Parameters
        ----------
        account
            the owner; by default the account field of the ARN (D23).
        policy
            the resource policy, or several (an account's log policies of a Region, under `arn:aws:logs:r:A:*`).
        restrict_public_buckets
            of a bucket, the setting of S3 Block Public Access (D33).

        Raises
        ------
        PolicyError
            a document is rejected.
        DirectoryError
            not an ARN, one that is taken, or one from which no policy is read.
        """
        reader = self._reader()
        resource = self._read_resource(reader, arn, account, policy, tags, restrict_public_buckets)
        if self._exists(reader, self.tables.resources, resource.arn, "resource"):
            return
        self._commit(reader)
        self._put("resources", resource)
        parts = split_arn(arn)
        if resource.account is not None and parts is not None:
            self._ensure_account(resource.account, parts.partition)

    @write
    def set_resource_policy(self, arn: str, policy: Policies | None) -> None:
        """Set the policy of an existing resource; None removes it."""
        old, reader = self._resource(arn), self._reader()
        new = self._read_resource(reader, arn, old.account, policy, old.tags, old.restrict_public_buckets)
        self._commit(reader)
        self._put("resources", new)

    @write
    def delete_resource(self, arn: str) -> None:
        """Delete a resource, with its policies."""
        self._store.put("resources", self._resource(arn).arn, None)

    @write
    def add_endpoint(self, id: str, *, policy: Policies | None = None, account: str | None = None, gateway: bool = False) -> None:
        """Add a VPC endpoint; without a policy it allows everything (G4). Gateway endpoints follow N17."""
        if not isinstance(id, str) or not id:
            raise DirectoryError(f"`{id}` is not the id of an endpoint", hint="write `vpce-...`")
        if account is not None:
            check_account(account)
        reader = self._reader()
        if self._exists(reader, self.tables.endpoints, id, "endpoint"):
            return
        policies = self._read_endpoint_policies(reader, id, policy)
        self._commit(reader)
        self._put("endpoints", Endpoint(id, policies, account, gateway))
        if account is not None:
            self._ensure_account(account)

    @write
    def set_endpoint_policy(self, id: str, policy: Policies | None) -> None:
        """Set the policy of an existing endpoint; None allows everything."""
        old, reader = self._endpoint(id), self._reader()
        policies = self._read_endpoint_policies(reader, id, policy)
        self._commit(reader)
        self._put("endpoints", replace(old, policies=policies))

    @write
    def delete_endpoint(self, id: str) -> None:
        """Delete an endpoint."""
        self._store.put("endpoints", self._endpoint(id).id, None)

    # -- parsing of arguments -----------------------------------------------------------------------------------------

    def _resource(self, arn: str) -> Resource:
        resource = self.tables.resources.get(stored_arn(arn)) if isinstance(arn, str) else None
        if resource is None:
            raise DirectoryError(f"there is no `{shorten(str(arn))}`", hint="add it with `add_resource`")
        return resource

    def _endpoint(self, id_: str) -> Endpoint:
        endpoint = self.tables.endpoints.get(id_)
        if endpoint is None:
            raise DirectoryError(f"there is no endpoint `{shorten(str(id_))}`", hint="add it with `add_endpoint`")
        return endpoint

    def _read_endpoint_policies(self, reader: Reader, id_: str, policy: object) -> tuple[StoredPolicy, ...] | None:
        if policy is None:
            return None
        read = tuple(reader.read(item, PolicyKind.VPCE, id_) for item in as_items(policy))
        for stored in read:
            self._check_quota(reader, "endpoint_policy_size", len(stored.text), id_, "the document is too long")
        return read

    def _read_resource(
        self, reader: Reader, arn: str, account: str | None, policy: object, tags: Mapping[str, str], restrict: bool
    ) -> Resource:
        parts = split_arn(arn) if isinstance(arn, str) else None
        if parts is None:
            raise DirectoryError(f"`{shorten(str(arn))}` is not a resource", hint="write an ARN with six fields")
        if account is None:
            account = parts.account if is_account(parts.account) else None
        else:
            check_account(account)
        if restrict and (parts.service != "s3" or parts.account or "/" in parts.rest):
            raise DirectoryError(f"`{shorten(arn)}` is not a bucket", rule="D33", hint="only buckets restrict public policies")
        stored = stored_arn(arn)
        policies = self._read_resource_policies(reader, stored, policy)
        return Resource(stored, account, policies, read_tags(tags, ignore_case=False), restrict)

    def _read_resource_policies(self, reader: Reader, arn: str, policy: object) -> tuple[StoredPolicy, ...]:
        items: tuple[Given, ...] = () if policy is None else as_items(policy)
        if items and not any(arn in group for group in governing_resources_of(arn).groups):
            self._refuse(
                reader, "6.10", arn, "no policy is read from this ARN", "store it under the ARN of the governing resource (6.10)"
            )
        if _is_role(arn):
            entity = self.tables.entities.get(arn)
            if items and entity is not None and entity.trust is not None:
                raise DirectoryError(f"`{arn}` has a trust policy already", hint="use `set_trust_policy`")
            return tuple(self._read_trust(reader, arn, item) for item in items)
        names = [arn] if len(items) == 1 else [f"{arn}[{i}]" for i in range(len(items))]
        return tuple(reader.read(item, PolicyKind.RESOURCE, name) for item, name in zip(items, names, strict=True))


def _is_role(arn: str) -> bool:
    parts = split_arn(arn)
    return parts is not None and parts.service == "iam" and parts.rest.startswith("role/")
