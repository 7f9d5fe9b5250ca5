"""Groups of a pool, their roles, and their members (4.11)."""

from __future__ import annotations

from dataclasses import replace

from fastiam.cognito.cognito_errors import CognitoError
from fastiam.cognito.user_pools.calls import Calls, with_token
from fastiam.cognito.user_pools.operations import operation
from fastiam.cognito.user_pools.state import Json
from fastiam.cognito.user_pools.users import describe_user
from fastiam.directory.user_pool_records import Group, Pool
from fastiam.model.arn import split_arn

MAX_GROUPS, MAX_OF_USER = 10_000, 100


def describe_group(group: Group) -> Json:
    """`Group` of an answer."""
    described: Json = {
        "GroupName": group.name,
        "UserPoolId": group.pool,
        "LastModifiedDate": group.modified,
        "CreationDate": group.created,
    }
    if group.description:
        described["Description"] = group.description
    if group.role:
        described["RoleArn"] = group.role
    if group.precedence is not None:
        described["Precedence"] = group.precedence
    return described


def _check_role(role: str) -> None:
    parts = split_arn(role) if role else None
    if role and (parts is None or parts.service != "iam" or not parts.rest.startswith("role/")):
        raise CognitoError("`RoleArn` is not the ARN of a role", rule="UP65")


class GroupCalls(Calls):
    """CreateGroup and others."""

    def _group(self, pool: Pool, name: str) -> Group:
        found = self._state.tables.groups.get(f"{pool.id}/{name}")
        if found is None:
            raise CognitoError("Group not found.", code="ResourceNotFoundException", rule="UP65")
        return found

    @operation
    def create_group(
        self,
        *,
        user_pool_id: str,
        group_name: str,
        description: str = "",
        role_arn: str = "",
        precedence: int | None = None,
    ) -> Json:
        """Create a group."""
        _check_role(role_arn)
        with self._state.transaction():
            pool, now = self._state.pool(user_pool_id), self._state.now()
            key = f"{pool.id}/{group_name}"
            if key in self._state.tables.groups:
                raise CognitoError("A group with the name already exists.", code="GroupExistsException", rule="UP65")
            if sum(group.pool == pool.id for group in self._state.tables.groups.values()) >= MAX_GROUPS:
                raise CognitoError(f"a pool has at most {MAX_GROUPS} groups", code="LimitExceededException", rule="UP65")
            group = Group(pool.id, group_name, now, now, description, role_arn, precedence)
            self._state.put("groups", key, group)
        return {"Group": describe_group(group)}

    @operation
    def get_group(self, *, user_pool_id: str, group_name: str) -> Json:
        """A group."""
        return {"Group": describe_group(self._group(self._state.pool(user_pool_id), group_name))}

    @operation
    def update_group(
        self,
        *,
        user_pool_id: str,
        group_name: str,
        description: str | None = None,
        role_arn: str | None = None,
        precedence: int | None = None,
    ) -> Json:
        """Change a group. What is not given stays."""
        _check_role(role_arn or "")
        with self._state.transaction():
            stored = self._group(self._state.pool(user_pool_id), group_name)
            group = replace(
                stored,
                description=stored.description if description is None else description,
                role=stored.role if role_arn is None else role_arn,
                precedence=stored.precedence if precedence is None else precedence,
                modified=self._state.now(),
            )
            self._state.put("groups", f"{stored.pool}/{stored.name}", group)
        return {"Group": describe_group(group)}

    @operation
    def delete_group(self, *, user_pool_id: str, group_name: str) -> Json:
        """Delete a group. Its members leave it."""
        with self._state.transaction():
            pool = self._state.pool(user_pool_id)
            group = self._group(pool, group_name)
            for user in self._state.store.users(pool.id):
                if group.name in user.groups:
                    self._state.put_user(replace(user, groups=tuple(name for name in user.groups if name != group.name)))
            self._state.put("groups", f"{pool.id}/{group.name}", None)
        return {}

    @operation
    def list_groups(self, *, user_pool_id: str, limit: int | None = None, next_token: str | None = None) -> Json:
        """The groups of a pool."""
        pool = self._state.pool(user_pool_id)
        groups = [(group.name, group) for group in self._state.tables.groups.values() if group.pool == pool.id]
        page, token = self._page(f"groups {pool.id}", groups, limit, next_token)
        return with_token({"Groups": [describe_group(group) for group in page]}, "NextToken", token)

    @operation
    def admin_add_user_to_group(self, *, user_pool_id: str, username: str, group_name: str) -> Json:
        """Make a user a member of a group."""
        with self._state.transaction():
            pool = self._state.pool(user_pool_id)
            user, group = self._state.user(pool, username), self._group(pool, group_name)
            if group.name not in user.groups:
                if len(user.groups) >= MAX_OF_USER:
                    message = f"a user is in at most {MAX_OF_USER} groups"
                    raise CognitoError(message, code="LimitExceededException", rule="UP65")
                self._state.put_user(replace(user, groups=(*user.groups, group.name)))
        return {}

    @operation
    def admin_remove_user_from_group(self, *, user_pool_id: str, username: str, group_name: str) -> Json:
        """Remove a user from a group."""
        with self._state.transaction():
            pool = self._state.pool(user_pool_id)
            user, group = self._state.user(pool, username), self._group(pool, group_name)
            self._state.put_user(replace(user, groups=tuple(name for name in user.groups if name != group.name)))
        return {}

    @operation
    def admin_list_groups_for_user(
        self, *, user_pool_id: str, username: str, limit: int | None = None, next_token: str | None = None
    ) -> Json:
        """The groups of a user, the best precedence first."""
        user = self._state.user(self._state.pool(user_pool_id), username)
        groups = [(group.name, group) for group in self._state.store.groups(user)]
        page, token = self._page(f"groups of {user.key}", groups, limit, next_token)
        return with_token({"Groups": [describe_group(group) for group in page]}, "NextToken", token)

    @operation
    def list_users_in_group(
        self, *, user_pool_id: str, group_name: str, limit: int | None = None, next_token: str | None = None
    ) -> Json:
        """The members of a group."""
        pool = self._state.pool(user_pool_id)
        group = self._group(pool, group_name)
        users = [(user.sub, user) for user in self._state.store.users(pool.id) if group.name in user.groups]
        page, token = self._page(f"members {pool.id} {group.name}", users, limit, next_token)
        return with_token({"Users": [describe_user(user) for user in page]}, "NextToken", token)
