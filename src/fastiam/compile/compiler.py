"""`Compiler`: profiles to tables, when an engine is compiled and later for run-time entries.

A policy set is the unit of evaluation: the principal policies, an SCP path, an RCP path, the policies of a resource or an
endpoint. Equal policy sets are stored once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from fastiam.compile.actions import ActionMatcher
from fastiam.compile.interning import Interned
from fastiam.compile.keys import Keys
from fastiam.compile.layout import KINDS, NONE, Certainty, Credential, PrincipalFlag, RecordFlag
from fastiam.compile.memory_estimates import ENTRY_BYTES, session_bytes
from fastiam.compile.pattern_text import utf8
from fastiam.compile.principal_elements import role_symbol
from fastiam.compile.statements import Statements
from fastiam.errors import LimitError
from fastiam.kernel.plan.names import Names
from fastiam.kernel.plan.tables import Tables
from fastiam.model.decision import Layer
from fastiam.model.profile import (
    PROVIDERS,
    ROLES,
    WITH_BOUNDARY,
    WITH_SESSION_POLICIES,
    AccountFacts,
    EndpointProfile,
    Levels,
    Policies,
    PrincipalKind,
    PrincipalProfile,
    PrincipalTemplate,
    ResourceFacts,
    ResourceProfile,
    Settings,
)
from fastiam.model.request import ContextValue
from fastiam.runtime import forking

MAX_LEVELS = 256  # of a path, root and account included: a layer level has a byte for its level
_MAX_UNUSED = 1 << 25  # bytes of policies that possibly no engine uses

LAYERS = {layer: number for number, layer in enumerate(Layer)}

_GOVERNS = {"always": 0, "trust": RecordFlag.TRUST, "service": RecordFlag.SERVICE}

_LayerLevels = tuple[tuple[int, int, tuple[int, ...]], ...]  # (layer, level, policies)


class Compiler:
    """Fills tables, which an engine shares with its updated ones, and the names of each engine.

    A caller holds `lock`: there is one builder at a time. A caller that adds several entries also holds `building`, so that none
    is evicted before the last one is added.
    """

    def __init__(
        self, settings: Settings, *, index_from: int = 8, tables: Tables | None = None, keys: list[str] | None = None
    ) -> None:
        """`tables` are filled already, and have `keys`; `Statements.adopt` adds the statements."""
        self.settings = settings
        self.lock = forking.new_lock(forking.TABLES)
        forking.on_fork(self)
        self.tables = tables or Tables(index_from=index_from)
        self.keys = Keys(self.tables, keys)
        self.statements = Statements(self.tables, self.keys)
        self._absent: Interned[frozenset[str], tuple[int, int]] = Interned()
        self._n_building = 0
        self._session_bytes = 0  # bytes
        self._n_interned = 0  # of the compiled tables
        self._first_bytes: int | None = None
        self._empty_bytes: int = self.tables.sizes()["row_bytes"]

    def match_actions(self) -> None:
        """Build the action classes, by the patterns so far."""
        self.tables.match(ActionMatcher(self.statements.actions, self.settings))

    def freeze(self, names: Names) -> None:
        """End the compilation: present entries stay, later ones are run-time entries."""
        self.keys.freeze()
        self.statements.freeze()
        self._absent.freeze()
        self.tables.freeze()
        names.freeze()
        self._session_bytes = 0
        self._n_interned = self.tables.n_interned()
        sizes = self.tables.sizes()
        self.compiled_bytes: int = sizes["bytes"] - sizes["row_bytes"] + self._empty_bytes
        if self._first_bytes is None:
            self._first_bytes = self.compiled_bytes

    @property
    def needs_rebuild(self) -> bool:
        """Whether updates have left so much unused data that a new compilation pays."""
        first = self._first_bytes or 0
        return self.compiled_bytes - first > max(first, _MAX_UNUSED)

    @property
    def cache_bytes_used(self) -> int:
        """The size of the run-time cache in bytes: in the tables, and of Python objects."""
        return int(self.tables.total_bytes()) - self.compiled_bytes + self.cached_objects

    @property
    def cached_objects(self) -> int:
        """The estimated size of the Python objects of the run-time cache."""
        n_interned = max(0, self.tables.n_interned() - self._n_interned)  # an eviction clears the compiled ones, too
        entries = self._absent.n_cached + self.keys.n_cached + n_interned
        return entries * ENTRY_BYTES + self.statements.cache_bytes_used + self._session_bytes

    def retain_session_policies(self, documents: Iterable[object]) -> None:
        """Count a session and its policies, which are kept until the next eviction."""
        self._session_bytes += session_bytes(documents)

    @contextmanager
    def building(self) -> Iterator[None]:
        """Prevent evictions: the lock is released between entries, and a finalizer of the same thread may decide."""
        with self.lock:
            self._n_building += 1
        try:
            yield
        finally:
            with self.lock:
                self._n_building = max(0, self._n_building - 1)  # 0 in a forked child

    def _forked(self) -> None:
        self._n_building = 0  # the threads that were building are not in the child

    def drop(self) -> None:
        """Evict the run-time entries, unless entries that depend on them are being added."""
        if self._n_building:
            return
        self._session_bytes = 0
        self.keys.drop()
        self.statements.drop()
        self._absent.drop()
        self.tables.drop()

    # -- policy sets --------------------------------------------------------------------------------------------------

    def _policy_set(self, layer_levels: _LayerLevels) -> int:
        number: int = self.tables.policy_set(layer_levels)
        return number

    def _layer_level(self, layer: Layer, level: int, policies: Policies) -> tuple[int, int, tuple[int, ...]]:
        return LAYERS[layer], level, tuple(map(self.statements.policy, policies))

    def layer(self, layer: Layer, policies: Policies | None) -> int:
        """Return the policy set of a layer without levels, NONE without the layer."""
        return NONE if policies is None else self._policy_set((self._layer_level(layer, 0, policies),))

    def levels(self, layer: Layer, levels: Levels | None) -> int:
        """Return the policy set of SCPs or RCPs, NONE if they do not apply."""
        if levels is None:
            return NONE
        if len(levels) > MAX_LEVELS:
            raise LimitError(f"a path of {len(levels)} levels is too long, the limit is {MAX_LEVELS}")
        return self._policy_set(tuple(self._layer_level(layer, level, policies) for level, policies in enumerate(levels)))

    def _own(self, p: PrincipalProfile) -> int:
        """Return the policy set of identity, boundary and session policies; kernels find them by their position."""
        layer_levels = [self._layer_level(Layer.IDENTITY, 0, p.identity_policies)]
        if p.boundary is not None or p.session_policies is not None:
            layer_levels.append(self._layer_level(Layer.BOUNDARY, 0, p.boundary or ()))
        if p.session_policies is not None:
            layer_levels.append(self._layer_level(Layer.SESSION, 0, p.session_policies))
        return self._policy_set(tuple(layer_levels))

    # -- principals ---------------------------------------------------------------------------------------------------

    def principal(self, names: Names, p: PrincipalProfile, *, unclear_id: bool = False) -> int:
        """Add a principal and return its id."""
        callers = p.service_names or ((p.name,) if p.kind in (PrincipalKind.SVC, *PROVIDERS) else ())
        role = None
        if p.kind in ROLES and p.partition and p.account and p.role_name is not None:
            role = role_symbol(p.partition, p.account, p.role_name)
        absent, n_absent = self._absent.get(p.absent_keys, self._absent_keys, p.absent_keys)
        user_arn = (p.user_arn or p.name) if p.kind is PrincipalKind.USER else None if p.issuer_root else p.user_arn
        number: int = self.tables.principal(
            kind=KINDS[p.kind],
            flags=self._flags(p) | (PrincipalFlag.UNCLEAR_ID if unclear_id else 0),
            credential=credential_of(p),
            account=p.account,
            partition=p.partition,
            account_index=NONE if p.account is None else names.find_account(utf8(p.account)),
            user_arn=user_arn,
            role=role,
            session_arn=p.session_arn if p.kind in ROLES else None,
            federated_arn=p.name if p.kind is PrincipalKind.FED else None,
            unique_id=p.unique_id,
            canonical_id=p.canonical_id,
            principal_set=self._own(p),
            scp_set=self.levels(Layer.SCP, p.scps),
            names=callers,
            constants=self._constants(p.keys, p.open_keys, p.declarable_keys),
            absent=absent,
            n_absent=n_absent,
            mfa_at=p.mfa_at,
        )
        return number

    def add_template(self, names: Names, template: PrincipalTemplate, base: int) -> None:
        """Add a template for names whose profiles differ from that of `base` only by the name."""
        varied: list[tuple[int, bytes | None, int]] = [
            (
                self.keys.number(key),
                None if before is None else utf8(before),
                Certainty.ASSUMED if key in template.open_keys else Certainty.KNOWN,
            )
            for key, before in template.keys.items()
        ]
        role = None if template.role_account is None else role_symbol(*template.role_account, "")
        names.add_template(utf8(template.start), base, role, varied)

    def _absent_keys(self, names: frozenset[str]) -> tuple[int, int]:
        keys = [self.keys.number(name) for name in sorted(names) if not name.endswith("/")]
        return self.tables.symbol_list(keys), len(keys)

    def _flags(self, p: PrincipalProfile) -> int:
        has_boundary, has_session = p.boundary is not None, p.session_policies is not None
        if p.kind is PrincipalKind.AROOT:
            has_session = bool(p.session_policies)  # an empty list is not a task policy (6.1)
        facts = (
            (p.known, PrincipalFlag.KNOWN),
            (p.bounded, PrincipalFlag.BOUNDED),
            (p.issuer_known, PrincipalFlag.ISSUER_KNOWN),
            (p.issuer_root, PrincipalFlag.ISSUER_ROOT),
            (has_boundary, PrincipalFlag.HAS_BOUNDARY),
            (has_session, PrincipalFlag.HAS_SESSION),
            (p.scps is not None, PrincipalFlag.HAS_SCP),
            ("aws:principaltag/" in p.absent_keys, PrincipalFlag.TAGS_KNOWN),
            ("aws:originidentity/" in p.absent_keys, PrincipalFlag.SESSION_KNOWN),
            (has_boundary and p.kind not in WITH_BOUNDARY, PrincipalFlag.EXTRA_BOUNDARY),
            (has_session and p.kind not in WITH_SESSION_POLICIES, PrincipalFlag.EXTRA_SESSION),
            (p.temporary, PrincipalFlag.TEMPORARY),
        )
        return sum([flag for is_so, flag in facts if is_so])

    def _constants(
        self,
        keys: Mapping[str, ContextValue],
        open_keys: frozenset[str] = frozenset(),
        declarable_keys: frozenset[str] = frozenset(),
    ) -> list[tuple[int, tuple[str, ...], bool, bool, int]]:
        certainty = dict.fromkeys(declarable_keys, Certainty.REPLACEABLE) | dict.fromkeys(open_keys, Certainty.ASSUMED)
        number, of = self.keys.number, certainty.get
        return [(number(name), v.values, v.multi, v.conflict, of(name, Certainty.KNOWN)) for name, v in keys.items()]

    # -- resources, accounts, endpoints ----------------------------------------------------------------------------------

    def record(self, facts: ResourceFacts, *, asked: str = "", is_parent: bool = False) -> int:
        """Add a resource record. `asked` is the ARN of the request if it is not that of the record."""
        flags = int(_GOVERNS[facts.governs])
        if facts.blocks_public:
            flags |= RecordFlag.BLOCKS_PUBLIC
        if is_parent:
            flags |= RecordFlag.IS_PARENT
        number: int = self.tables.record(
            account=facts.account,
            policy_set=self.layer(Layer.RESOURCE, facts.policies),
            constants=self._constants(facts.keys),
            arn=utf8(facts.arn) if asked and facts.arn != asked else None,
            flags=flags,
        )
        return number

    def ad_hoc_record(self, resource: ResourceProfile) -> int:
        """Add a resource of ad-hoc policies."""
        number: int = self.tables.record(
            account=None,
            policy_set=self.layer(Layer.RESOURCE, resource.policies),
            constants=self._constants(resource.keys),
            arn=None,
            flags=int(RecordFlag.BLOCKS_PUBLIC) if resource.blocks_public else 0,
        )
        return number

    def account(self, names: Names, facts: AccountFacts) -> None:
        """Add an account as an owner of resources."""
        names.account(
            utf8(facts.id),
            rcp_set=self.levels(Layer.RCP, facts.rcps),
            org=self._org_constant("aws:resourceorgid", facts.org_id, is_multi=False),
            org_paths=self._org_constant("aws:resourceorgpaths", facts.org_path, is_multi=True),
        )

    def _org_constant(self, name: str, text: str | None, *, is_multi: bool) -> int:
        if text is None:
            return NONE
        number: int = self.tables.constants_of([(self.keys.number(name), (text,), is_multi, False, Certainty.KNOWN)])
        return number

    def endpoint(self, names: Names, endpoint: EndpointProfile) -> int:
        """Add a VPC endpoint."""
        number: int = names.endpoint(
            utf8(endpoint.id),
            policy_set=self.layer(Layer.VPCE, endpoint.policies),
            is_gateway=endpoint.gateway,
            constants=self._constants(endpoint.keys),
        )
        return number


def credential_of(p: PrincipalProfile) -> Credential:
    """Return the kind of credentials of a principal, by the calls that are forbidden to it (7.4)."""
    if p.kind in ROLES:
        return Credential.ROLE
    if p.kind is PrincipalKind.FED:
        return Credential.FED
    if p.kind is PrincipalKind.USER:
        if p.temporary:
            return Credential.USER_TOKEN_MFA if p.mfa else Credential.USER_TOKEN
        return Credential.USER_ROOTS if p.may_assume_root else Credential.USER
    if p.kind is PrincipalKind.ROOT:
        if p.temporary:
            return Credential.ROOT_TOKEN_MFA if p.mfa else Credential.ROOT_TOKEN
        return Credential.ROOT
    return Credential.NONE
