"""What a directory has records of: one view for each generation of an engine (G53, G57, G75)."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import TYPE_CHECKING, Final

from fastiam.api.engine import Engine
from fastiam.directory.principal_refs import PrincipalRef
from fastiam.model.profile import ROLES, PrincipalProfile
from fastiam.model.request import ContextValue
from fastiam.resolve.snapshot import Snapshot
from fastiam.runtime.forking import cached_property

if TYPE_CHECKING:
    from fastiam.server.mapping.principal_templates import MappedPrincipal

_KEPT: Final = 16_384  # records that are cached; all are dropped when there are more
_KEPT_PRINCIPALS: Final = 4_096


class KnownRecords:
    """The records that an engine was compiled from. An engine from a file reads them on first use."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._tags: dict[str, Mapping[str, ContextValue]] = {}
        self._mapped: dict[Hashable, MappedPrincipal] = {}

    @cached_property
    def snapshot(self) -> Snapshot:
        """The state of the directory, as it was compiled."""
        return self._engine.snapshot

    def has_principal(self, ref: PrincipalRef) -> bool:
        """Whether the user or root has a record; of a role session, whether its role has one."""
        return self.role_of(ref) is not None if ref.kind in ROLES else self.snapshot.has_principal(ref.text)

    def role_of(self, ref: PrincipalRef) -> str | None:
        """The ARN of the role with this name in the account of a role or session, whatever its path; None if there is none."""
        return self.snapshot.tables.roles.get((ref.partition or "", ref.account or "", ref.name))

    def has_resource(self, arn: str) -> bool:
        """Whether the resource has a record."""
        return self.snapshot.has_record(arn)

    def principal(self, name: str) -> PrincipalProfile:
        """The profile of a principal."""
        return self.snapshot.principal(name)

    def mapped(self, key: Hashable, make: Callable[[], MappedPrincipal]) -> MappedPrincipal:
        """The principal of a key, made once and cached: what `make` returns may depend on the key and these records only."""
        found = self._mapped.get(key)
        if found is None:
            if len(self._mapped) >= _KEPT_PRINCIPALS:
                self._mapped.clear()
            found = self._mapped[key] = make()
        return found

    def resource_tags(self, arn: str) -> Mapping[str, ContextValue]:
        """The `aws:ResourceTag/*` keys of the record of a resource, folded; empty if it has no record or no tags."""
        found = self._tags.get(arn)
        if found is None:
            if len(self._tags) >= _KEPT:
                self._tags.clear()
            found = self._tags[arn] = {} if arn == "*" else self.snapshot.resource_tags(arn)
        return found
