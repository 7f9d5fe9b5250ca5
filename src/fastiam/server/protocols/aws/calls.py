"""One call of an operation: the caller, the parameters, and the state that it is decided over and acts on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fastiam.aws_data.service_models import OperationModel, Service
from fastiam.credentials.results import Credentials
from fastiam.directory.account_records import Entity, Group, InstanceProfile
from fastiam.directory.principal_refs import parse_principal
from fastiam.model.profile import WITH_LONG_TERM_KEYS, PrincipalKind
from fastiam.model.session import Session
from fastiam.server.protocols.aws.aws_errors import ApiError
from fastiam.sts import STS
from fastiam.sts.signed_calls import SignedCall

if TYPE_CHECKING:
    from fastiam.federation import Federation
    from fastiam.server.protocols.aws.services import Services

Result = Mapping[str, Any]


@dataclass(slots=True, kw_only=True)
class Call(SignedCall):
    """A call of one operation as the server has it.

    Attributes
    ----------
    credentials
        None for an unsigned operation.
    prepared
        what the operation's `prepare` returned.
    """

    service: Service
    operation: OperationModel
    credentials: Credentials | None
    sts: STS
    services: Services
    prepared: Any = None
    _cache: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def kind(self) -> PrincipalKind:
        """The kind of the caller."""
        principal = self.principal
        if isinstance(principal, Session):
            return PrincipalKind(principal.kind)
        return parse_principal(principal).kind

    @property
    def verifiers(self) -> Federation:
        """The verification of identities from outside, and their providers."""
        return self.services.federation

    # -- names --------------------------------------------------------------------------------------------------------

    def new_arn(self, type_: str, name: str, path: str | None = None) -> str:
        """The ARN of a resource of the caller's account that need not exist."""
        return f"arn:{self.partition}:iam::{self.account}:{type_}{path or '/'}{name}"

    def arn(self, type_: str, name: str) -> str:
        """The stored ARN of what is named, else the one that the name would have with the path `/` (G142)."""
        key = f"{type_}/{name}"
        if key not in self._cache:
            self._cache[key] = self.directory.find(type_, name, self.account, self.partition) or self.new_arn(type_, name)
        return self._cache[key]

    def shown(self, resource: str) -> str:
        """A resource as a denial names it: what was looked up by its name has the ARN that it would have if it were absent."""
        for key, arn in self._cache.items():
            if arn == resource:
                type_, _, name = key.partition("/")
                return self.new_arn(type_, name)
        return resource

    def clear_names(self) -> None:
        """Look names up again: the records have changed, or may have."""
        self._cache.clear()

    def user_arn(self) -> str:
        """The ARN of the user of `UserName`; without one, of the user or root that calls.

        Raises
        ------
        ApiError
            `ValidationError`: another kind of principal calls without a name.
        """
        name = self.parameters.get("UserName")
        if name is not None:
            return self.arn("user", name)
        if self.kind not in WITH_LONG_TERM_KEYS and self.kind is not PrincipalKind.AROOT:
            raise ApiError("ValidationError", "Must specify userName when calling with non-User credentials")
        return self.principal_arn

    # -- records ------------------------------------------------------------------------------------------------------

    def user(self, name: str | None = None) -> Entity:
        """The record of a user by name, by default that of `UserName` or of the caller.

        Raises
        ------
        ApiError
            `NoSuchEntity`.
        """
        arn = self.user_arn() if name is None else self.arn("user", name)
        entity = self.tables.entities.get(arn)
        if entity is None:
            raise _absent("user", arn.rpartition("/")[2])
        return entity

    def role(self, name: str | None = None) -> Entity:
        """The record of a role by name, by default that of `RoleName`."""
        name = self.parameters["RoleName"] if name is None else name
        entity = self.tables.entities.get(self.arn("role", name))
        if entity is None:
            raise ApiError("NoSuchEntity", f"The role with name {name} cannot be found.")
        return entity

    def own_role(self) -> Entity:
        """The record of the role of `RoleName`, which the account may change.

        Raises
        ------
        ApiError
            `NoSuchEntity`; `UnmodifiableEntity` for a service-linked role: only its service changes it.
        """
        role = self.role()
        if role.kind is PrincipalKind.SLR:
            what = f"the protected role '{role.name}'"
            raise ApiError("UnmodifiableEntity", f"Cannot perform the operation on {what} - this role is only modifiable by AWS")
        return role

    def group(self, name: str | None = None) -> Group:
        """The record of a group by name, by default that of `GroupName`."""
        name = self.parameters["GroupName"] if name is None else name
        group = self.tables.groups.get(self.arn("group", name))
        if group is None:
            raise _absent("group", name)
        return group

    def instance_profile(self) -> InstanceProfile:
        """The record of the instance profile of `InstanceProfileName`."""
        name = self.parameters["InstanceProfileName"]
        profile = self.tables.instance_profiles.get(self.arn("instance-profile", name))
        if profile is None:
            raise ApiError("NoSuchEntity", f"Instance Profile {name} cannot be found.")
        return profile


def _absent(what: str, name: str) -> ApiError:
    return ApiError("NoSuchEntity", f"The {what} with name {name} cannot be found.")
