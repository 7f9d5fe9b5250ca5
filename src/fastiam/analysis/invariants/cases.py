"""Cases: the formula of all requests by one subject, on resources of one owner and place, by one route (T70, T71).

INVARIANT: a request of the case that is allowed, in scope and not excepted makes the formula true.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from fastiam.analysis import allow_formula
from fastiam.analysis.invariants import key_domains as keys_of_aws
from fastiam.analysis.invariants.key_domains import (
    HAS_ADDRESS,
    RESOURCE_TAGS,
    SOURCE_IP,
    VIA,
    Clause,
)
from fastiam.analysis.invariants.places import Place
from fastiam.analysis.invariants.routes import Route, Source
from fastiam.analysis.invariants.scope import ALWAYS_ALLOWED, action_policy, resource_policy
from fastiam.analysis.invariants.subjects import Subject
from fastiam.analysis.invariants.universe import Home
from fastiam.analysis.invariants.worlds import World, keys_of
from fastiam.analysis.proof.cells import ProofLimitError, Symbols
from fastiam.analysis.proof.domains import KeyDomain
from fastiam.analysis.proof.formula import Formula, every, negation, some
from fastiam.analysis.proof.key_values import unresolved_variables
from fastiam.analysis.proof.names import Element, arn_symbols
from fastiam.analysis.proof.resource_policies import SPECIAL_ACTIONS
from fastiam.analysis.proof.search import Applied, Scope
from fastiam.analysis.proof.statement_formulas import BoundStatement
from fastiam.model.decision import Layer, Reason
from fastiam.model.key_registry import fold
from fastiam.model.policy import Effect, Policy, PolicyKind, Statement
from fastiam.model.profile import OF_SERVICES, ROLES, ROOTS, PrincipalKind, ResourceProfile
from fastiam.model.request import ContextValue
from fastiam.spec.actions import split_action
from fastiam.spec.evaluate import decision_inputs
from fastiam.spec.layers import LayerInput, applicable_layers
from fastiam.spec.principal_entries import CLASSES
from fastiam.spec.service_rules import FORBIDDEN_CHANGES, credential_forbids
from fastiam.spec.three_valued import F, T

_ALGEBRA: allow_formula.Algebra[Formula] = allow_formula.Algebra(every, some, negation)
# names and forms of ARNs with rules of their own (6.3, 7.4, D14)
_SPECIAL_ELEMENTS: tuple[Element, ...] = (*SPECIAL_ACTIONS, ("kms:retiregrant",))
_SPECIAL_ARNS = (
    arn_symbols("*", "kms", "*", "*", "key/*"),
    arn_symbols("*", "iam", "*", "*", "role/*"),
    arn_symbols("*", "iam", "*", "*", "role/aws-service-role/*"),
)
# changes that AWS forbids (D17), where a proof is about requests that are denied
_FORBIDDEN_ELEMENTS = tuple(tuple(f"{prefix}:{name}" for name in sorted(names)) for prefix, names in FORBIDDEN_CHANGES)
_FORBIDDEN_ARNS = (
    arn_symbols("*", "iam", "*", "aws", "policy/*"),
    arn_symbols("*", "iam", "*", "*", "role/aws-reserved/*"),
    arn_symbols("*", "kms", "*", "*", "alias/aws/*"),
)
_OWNER = ("aws:resourceaccount", "aws:resourceorgid", "aws:resourceorgpaths")


@dataclass(frozen=True, slots=True)
class Part:
    """A statement of a case, with the classes of its principal match."""

    bound: BoundStatement
    layer: Layer
    level: int = 0
    letters: str = ""


_ROUTE, _SOURCE = Route(), Source()
_SCOPE = Layer.CREDENTIAL  # of statements of the invariant, which are in no layer


class Case:
    """All requests of a subject on resources of an owner and place, by a route.

    Attributes
    ----------
    any_policy
        the resource has any policy: no record says which (4.2).
    may_deny
        a policy that no record has decides; where the proof is about denied requests, it denies (T58).
    limits_only
        all layers but SCPs, RCPs and endpoints allow everything (level 1).
    split
        records whose resources are places of their own.
    everywhere
        the policies of each resource, where they do not come from records.
    assumed
        values of keys that make a request of a candidate with variables: some requests of the case have them.
    """

    def __init__(
        self,
        world: World,
        relevant: Callable[[Statement], bool],
        subject: Subject,
        home: Home | None,
        owner: Home,
        *,
        place: Place | None = None,
        tags: Mapping[str, ContextValue] | None = None,
        route: Route = _ROUTE,
        source: Source = _SOURCE,
        any_policy: bool = False,
        may_deny: bool = False,
        limits_only: bool = False,
        split: Mapping[str, Place] = {},
        assumed: Mapping[str, ContextValue | None] = {},
        everywhere: tuple[Policy, ...] | None = None,
    ) -> None:
        self.assumed, self.everywhere, self.may_deny = assumed, everywhere, may_deny
        self.world, self.subject, self.home, self.owner = world, subject, home, owner
        self.place, self.route, self.source, self.tags = place, route, source, tags
        self.any_policy, self.limits_only, self.split = any_policy, limits_only, split
        self.same_account = home is not None and home.account == owner.account
        self._relevant = relevant
        self._parts: dict[int, Part] = {}
        self._asked: dict[int, str] = {}
        self._resource_choices: list[list[int]] = []
        self._excepted_resources: list[list[int]] = []
        self._clauses: list[list[int]] = []
        self._resource_policies: frozenset[int] = frozenset()
        self.statements: list[BoundStatement] = []
        self._keys: set[str] = set()
        self._known: dict[str, tuple[ContextValue | None] | None] = {}
        self._add_policies()
        self._add_in_scope()
        self._add_clauses()

    def again(self, split: Mapping[str, Place], assumed: Mapping[str, ContextValue | None]) -> Case:
        """Return the case with other records split off, or with values of keys that are assumed."""
        return Case(
            self.world, self._relevant, self.subject, self.home, self.owner,
            place=self.place, tags=self.tags, route=self.route, source=self.source, any_policy=self.any_policy,
            may_deny=self.may_deny, limits_only=self.limits_only, split=split, assumed=assumed, everywhere=self.everywhere,
        )  # fmt: skip

    # -- keys ---------------------------------------------------------------------------------------------------------

    def known(self, key: str) -> tuple[ContextValue | None] | None:
        """Return the value of a key in all requests of the case; None if it differs."""
        try:
            return self._known[key]
        except KeyError:
            found = self._known[key] = self._known_value(key)
            return found

    def _known_value(self, key: str) -> tuple[ContextValue | None] | None:
        if key in self.assumed:
            return (self.assumed[key],)
        if key in _OWNER:
            if key == "aws:resourceorgpaths" and self.owner.paths_vary:
                return None
            return (self.owner.keys("resource").get(key),)
        if not self.world.aws_keys:
            return self.subject.known(key) if key.startswith("aws:principal") else None
        if key in self.route.fixed:
            return (self.route.fixed[key],)
        return self.subject.known(key)

    def domain(self, key: str) -> KeyDomain:
        """Return the values of a key that differs."""
        if not self.world.aws_keys:
            return self.subject.domain(key) if key.startswith("aws:principal") else keys_of_aws.ANY
        if key == SOURCE_IP:
            return KeyDomain(absent=self._may_lack_address, forms=keys_of_aws.readable(key))
        found = self.route.domains.get(key) or self.source.domain(key)
        if found is None and self.tags is not None and key.startswith(RESOURCE_TAGS):
            value = self.tags.get("aws:" + key.partition(":")[2])
            if value is not None and not value.conflict:
                found = KeyDomain(forms=(keys_of_aws.form("StringEquals", key, *value.values),))
        return found or self.subject.domain(key)

    @property
    def _may_lack_address(self) -> bool:
        """Whether a request can be without `aws:SourceIp`: of a service, or one that a service forwards (T59)."""
        return self.subject.kind in OF_SERVICES or self.subject.known(VIA) is None

    def _bound(self, policy: Policy, statement: Statement, layer: Layer, level: int) -> BoundStatement | None:
        """Return a statement with the values of its keys; None if one of them excludes that it applies."""
        known: list[tuple[str, ContextValue | None]] = []
        starts: list[tuple[str, str]] = []
        for key in keys_of(policy, statement):
            value = self.known(key)
            if value is not None:
                known.append((key, value[0]))
            elif key in self.subject.starts:
                starts.append((key, self.subject.starts[key]))
        one = BoundStatement(
            policy, statement, tuple(known), tuple(starts), layer, level, self.world.opened and layer is not _SCOPE
        )
        names = {key for key, _ in known}
        for entry in statement.conditions:
            if fold(entry.key) in names:
                test = one.key_test(entry)
                if all(name in names for name in unresolved_variables(test.entry, policy.variables)):
                    value = one.known_value(test.key)
                    result = test.check(value[0] if value else None)
                    if not (result is T if one.needs_truth else result is not F):
                        return None
        return one

    # -- statements ---------------------------------------------------------------------------------------------------

    def _add(self, policy: Policy, statement: Statement, layer: Layer, level: int = 0, letters: str = "") -> None:
        bound = self._bound(policy, statement, layer, level)
        if bound is not None:
            self._parts[id(bound)] = Part(bound, layer, level, letters)
            self.statements.append(bound)
            self._keys.update(keys_of(policy, statement))

    def _add_policies(self) -> None:
        profile = self.subject.profile
        for level, policies in enumerate(profile.scps or ()):
            self._add_all(policies, Layer.SCP, level)
        for policies in self.owner.rcps or ():
            self._add_named(policies, Layer.RCP)
        endpoint = self.route.endpoint
        if endpoint is not None and endpoint.policies is not None:
            self._add_named(endpoint.policies, Layer.VPCE, endpoint.gateway)
        if self.limits_only:
            return
        self._add_all(profile.identity_policies, Layer.IDENTITY)
        self._add_all(profile.boundary or (), Layer.BOUNDARY)
        if self._needs_session_allow:
            self._add_all(profile.session_policies or (), Layer.SESSION)
        if self.everywhere is not None:
            self._resource_policies = frozenset(map(id, self.everywhere))
            self._add_named(self.everywhere, Layer.RESOURCE)
        if self.place is not None and not self.any_policy:
            records = self.world.records
            policies = tuple(one for arn in records.related(self.place.arn) for one in records.policies(arn))
            self._resource_policies = frozenset(map(id, policies))
            self._add_named(policies, Layer.RESOURCE)

    @property
    def _needs_session_allow(self) -> bool:
        """Whether the session policies of a role session or of AssumeRoot have to allow; those of others allow everything."""
        kind = self.subject.kind
        return kind is PrincipalKind.AROOT or kind in ROLES and self.subject.profile.session_policies is not None

    def _add_all(self, policies: Iterable[Policy], layer: Layer, level: int = 0) -> None:
        for policy in policies:
            for statement in policy.statements:
                if self._relevant(statement):
                    self._add(policy, statement, layer, level)

    def _add_named(self, policies: Iterable[Policy], layer: Layer, gateway: bool = False) -> None:
        for policy in policies:
            for statement in policy.statements:
                if self._relevant(statement):
                    letters = self.world.letters(self.subject, self.home, policy, statement, gateway)
                    if letters and not (layer is Layer.RCP and statement.effect is Effect.ALLOW):
                        self._add(policy, statement, layer, 0, letters)

    def _add_in_scope(self) -> None:
        scope = self.world.scope
        self._ask("actions", action_policy(scope.actions))
        if scope.except_actions:
            self._ask("except_actions", action_policy(scope.except_actions))
        for name, policies in (("given", scope.given), ("only_if", scope.only_if)):
            for policy in policies:
                self._ask(name, policy)
        self._resource_choices = [self._patterns(choice) for choice in scope.owner_choices(self.owner, scope.resources)]
        self._excepted_resources = [self._patterns(choice) for choice in scope.owner_choices(self.owner, scope.except_resources)]

    def _ask(self, name: str, policy: Policy) -> None:
        bound = self._bound(policy, policy.statements[0], _SCOPE, 0)
        if bound is not None:
            self._asked[id(bound)] = name
            self.statements.append(bound)
            self._keys.update(keys_of(policy, policy.statements[0]))

    def _patterns(self, choice: Sequence[str]) -> list[int]:
        """Add a statement for each pattern of a choice, and return them."""
        found = []
        for text in choice:
            policy = resource_policy(text)
            bound = BoundStatement(policy, policy.statements[0], layer=_SCOPE)
            self.statements.append(bound)
            found.append(id(bound))
        return found

    def _add_clauses(self) -> None:
        if not self.world.aws_keys:
            return
        needs_address = self._may_lack_address and self.subject.kind not in OF_SERVICES
        extra = [HAS_ADDRESS] if needs_address and not self.route.is_unknown and self.route.endpoint is None else []
        for clause in keys_of_aws.clauses(self._keys, extra):
            self._clauses.append(self._blocks(clause))

    def _blocks(self, clause: Clause) -> list[int]:
        found = []
        for block in clause.blocks:
            statement = Statement(0, None, Effect.ALLOW, ("*",), resources=("*",), conditions=block)
            policy = Policy(PolicyKind.IDENTITY, False, (statement,))
            bound = self._bound(policy, statement, _SCOPE, 0)
            if bound is not None:
                self.statements.append(bound)
                found.append(id(bound))
        return found

    # -- the search ---------------------------------------------------------------------------------------------------

    @property
    def is_in_scope(self) -> bool:
        """Whether the owner has resources in scope."""
        return bool(self._resource_choices) and not any(not one for one in self._excepted_resources)

    def search_scope(self, *, known_actions: bool) -> Scope:
        """Return the requests of the case for the search."""
        settings, home = self.world.settings, self.home
        has_rcps = any(part.layer is Layer.RCP for part in self._parts.values())
        with_rcps = settings.rcp_services if has_rcps else ()
        unsigned = settings.anonymous_services if self.subject.kind is PrincipalKind.ANON else ()
        services = [
            tuple(f"{name}:*" for name in sorted(names)) for names in (with_rcps, unsigned, settings.resource_policy_services)
        ]
        exempt = tuple((text,) for text in sorted(settings.scp_exempt_actions))
        partitions = (home.partition,) if home is not None else self.world.partitions
        if self.place is not None:
            within = self.place.patterns
        elif self.limits_only:
            within = ()
        else:
            fields = (self.owner.account, "", "aws")
            within = tuple(arn_symbols(one, "*", "*", field, "*") for one in partitions for field in fields)
        apart = self.split.values() if self.place is None else self.world.records.below(self.place.arn)
        more: tuple[Symbols, ...] = tuple(one for place in apart for one in place.patterns)
        elements = _SPECIAL_ELEMENTS
        if self.world.denied:
            more, elements = (*more, *_FORBIDDEN_ARNS), (*elements, *_FORBIDDEN_ELEMENTS)
        return Scope(
            partitions,
            action_elements=(*elements, *exempt, *filter(None, services)),
            resource_patterns=(*(_SPECIAL_ARNS if not self.limits_only or has_rcps else ()), *more),
            covers_action=self._covers,
            has_star=self.limits_only or self.same_account and self.place is None,
            known_actions=known_actions,
            within=within,
            domain_of=self.domain,
            cells_of=self.world.cells.of,
        )

    def _covers(self, call: tuple[str, str]) -> bool:
        if call in ALWAYS_ALLOWED and call not in self.world.scope.literal_calls():
            return False
        if self.limits_only:  # the subject stands for others, with other credentials
            return True
        if self.subject.calls is not None and call not in self.subject.calls:
            return False
        return self.world.denied or not credential_forbids(self.subject.profile, call)

    def gain(self, old: Applied, applied: Applied, action: str, resource: str) -> Sequence[Formula]:
        """Return when a request is in scope, not excepted, and allowed or denied; `resource` is "" if it is not known yet."""
        formulas = {id(one): formula for one, formula in applied}
        in_scope = self._in_scope(formulas, resource)
        if in_scope is False:
            return (False,)
        if not self.world.denied:
            return (every((in_scope, self._allowed(applied, action, resource))),)
        if not resource:
            return (in_scope,)  # an upper bound
        return (every((in_scope, negation(self._allowed(applied, action, resource)))),)

    def scope_gain(self, old: Applied, applied: Applied, action: str, resource: str) -> Sequence[Formula]:
        """Return when a request is in scope and not excepted, whatever its decision."""
        return (self._in_scope({id(one): formula for one, formula in applied}, resource),)

    def _in_scope(self, formulas: Mapping[int, Formula], resource: str) -> Formula:
        named: dict[str, list[Formula]] = {}
        for number, name in self._asked.items():
            if number in formulas:
                named.setdefault(name, []).append(formulas[number])
        parts: list[Formula] = [some(named.get("actions", ())), negation(some(named.get("except_actions", ())))]
        if self.world.scope.given:
            parts.append(some(named.get("given", ())))
        parts.append(negation(some(named.get("only_if", ()))))
        parts.append(self._matches(self._resource_choices, formulas))
        parts.append(negation(self._matches(self._excepted_resources, formulas)))
        parts += [some(formulas.get(number, False) for number in clause) for clause in self._clauses]
        if resource and self.place is None and self.split and not self._is_unrecorded(resource):
            return False
        if resource and self.place is not None and self.world.records.owner(resource) not in (None, self.owner.account):
            return False  # a place of its own
        return every(parts)

    @staticmethod
    def _matches(choices: Sequence[Sequence[int]], formulas: Mapping[int, Formula]) -> Formula:
        return some(every(formulas.get(number, False) for number in choice) for choice in choices)

    def _is_unrecorded(self, resource: str) -> bool:
        return resource == "*" or not any(one in self.split for one in self.world.records.of(resource))

    def target(self, resource: str, policies: tuple[Policy, ...] | None) -> ResourceProfile:
        """Return the profile of a resource of the owner."""
        return ResourceProfile(
            resource or "*",
            None if resource in ("", "*") else resource.split(":", 2)[1],
            self.owner.account,
            policies=policies,
            rcps=self.owner.rcps,
            rcp_note=self.owner.rcp_note,
            keys=self.owner.keys("resource"),
        )

    def _policies_of(self, resource: str, call: tuple[str, str]) -> frozenset[int] | None:
        """Return the policies in force at a resource of the place; None: all that the case has."""
        if not resource:
            return None
        facts = self.world.records.facts(resource)
        if self.place is not None and self.place.arn not in self.world.records.of(resource):
            raise ProofLimitError(f"`{resource}` is near `{self.place.arn}`, whose policy does not apply to it")
        found = facts.policies or ()
        if not self._resource_policies.issuperset(map(id, found)):
            raise ProofLimitError("a resource whose policies come from several records")
        is_service = self.subject.kind is PrincipalKind.SVC
        is_trust = call[0] == "sts" and (call[1].startswith("assume") or call[1] in ("tagsession", "setsourceidentity"))
        counts = facts.governs == "always" or (is_service if facts.governs == "service" else is_trust)
        return frozenset(map(id, found)) if counts else frozenset()

    def _allowed(self, applied: Applied, action: str, resource: str) -> Formula:
        call, profile, settings = split_action(action), self.subject.profile, self.world.settings
        target = self.target(resource, None)
        if self.place is not None and resource and self.world.records.facts(resource).blocks_public:
            target = replace(target, blocks_public=True)
        inputs = decision_inputs(profile, target, call, settings)
        if self.may_deny and self.world.denied or inputs.credential_forbids and not self.limits_only:
            return False
        if inputs.service_refusal is Reason.HARD_RULE and not self.world.denied:  # other actions of the cell may be possible
            inputs = replace(inputs, service_refusal=None)
        if not resource:  # not known yet: whatever it is
            inputs = replace(inputs, required=False, service_refusal=None)
        if inputs.always_allowed:
            return True
        layers = {one.layer: one for one in applicable_layers(profile, target, self.route.endpoint, call, settings)}
        in_force: frozenset[int] | None = self._resource_policies
        if self.place is not None and not self.any_policy:
            in_force = self._policies_of(resource, call)
        allows: dict[tuple[Layer, int], list[Formula]] = {}
        match: dict[str, list[Formula]] = {}
        denies: list[Formula] = []
        for one, formula in applied:
            part = self._parts.get(id(one))
            if part is None:
                continue
            layer = layers[part.layer]
            if part.layer is Layer.RESOURCE:
                if call == ("iam", "passrole") or in_force is not None and id(one.policy) not in in_force:
                    continue
            elif layer.levels is None:
                if resource or part.layer is not Layer.RCP:
                    continue
            if not one.is_allow:
                denies.append(formula)
            elif part.layer is Layer.RESOURCE:
                for letter in self._letters(part, call):
                    match.setdefault(letter, []).append(formula)
            elif layer.grants:
                allows.setdefault((part.layer, part.level), []).append(formula)
        verdicts = self._verdicts(layers, allows, match, denies)
        if self.limits_only:
            return every((negation(verdicts["denied"]), verdicts["scp"], verdicts["vpce"]))
        return allow_formula.allowed(inputs, verdicts, _ALGEBRA)

    def _letters(self, part: Part, call: tuple[str, str]) -> str:
        if self.subject.calls is None or self.home is not None:
            return part.letters
        bound = part.bound  # of identity providers (V36)
        return self.world.letters(self.subject, self.home, bound.policy, bound.statement, call=call)

    def _verdicts(
        self,
        layers: Mapping[Layer, LayerInput],
        allows: Mapping[tuple[Layer, int], list[Formula]],
        match: Mapping[str, list[Formula]],
        denies: list[Formula],
    ) -> dict[str, Formula]:
        profile = self.subject.profile
        scps = layers[Layer.SCP].levels
        has_endpoint = layers[Layer.VPCE].levels is not None

        def allowed(layer: Layer, level: int = 0) -> Formula:
            return some(allows.get((layer, level), ()))

        found: dict[str, Formula] = {
            "denied": some(denies),
            "scp": True if scps is None else bool(scps) and every(allowed(Layer.SCP, level) for level in range(len(scps))),
            "vpce": allowed(Layer.VPCE) if has_endpoint else True,
            "identity": True if self.limits_only else allowed(Layer.IDENTITY),
            "boundary": True if self.limits_only or profile.boundary is None else allowed(Layer.BOUNDARY),
            "session": allowed(Layer.SESSION) if self._needs_session_allow and not self.limits_only else True,
        }
        if self.limits_only or self.any_policy:
            return {**found, **dict.fromkeys(CLASSES, True)}
        return {**found, **{letter: some(parts) for letter, parts in match.items()}}

    # -- what could be ------------------------------------------------------------------------------------------------

    @property
    def is_limited(self) -> bool:
        """Whether SCPs, RCPs or an endpoint can exclude anything."""
        if any(not part.bound.is_allow or part.layer is Layer.VPCE for part in self._parts.values()):
            return True
        levels = range(len(self.subject.profile.scps or ()))
        full = {part.level for part in self._parts.values() if part.layer is Layer.SCP and _is_full(part.bound.statement)}
        return not full.issuperset(levels)

    @property
    def can_be_allowed(self) -> bool:
        """Whether some layers can allow: false without an Allow that a decision needs (level 0)."""
        if self.limits_only or self.any_policy:
            return True
        has_resource_allow = any(part.layer is Layer.RESOURCE and part.bound.is_allow for part in self._parts.values())
        if has_resource_allow or any(call in ALWAYS_ALLOWED for call in self.world.scope.literal_calls()):
            return True
        if not self.same_account:
            return False
        if self.subject.kind in ROOTS or self.subject.profile.issuer_root:
            return True
        return any(part.layer is Layer.IDENTITY and part.bound.is_allow for part in self._parts.values())


def _is_full(statement: Statement) -> bool:
    everything = (("*",), None)
    return not statement.conditions and statement.actions in everything and statement.resources in everything
