"""Decisions for ad-hoc policies: the profiles of one request are compiled into an engine of its own."""

from __future__ import annotations

from dataclasses import replace

from fastiam._core import Core, decide_ad_hoc
from fastiam.compile.compiler import Compiler
from fastiam.compile.pattern_text import utf8
from fastiam.engine.resolving import Resolver
from fastiam.kernel.plan.names import Names
from fastiam.model.decision import Decision, Layer
from fastiam.model.profile import CACHE_BYTES, EndpointProfile, PrincipalKind, PrincipalProfile, ResourceProfile, Settings
from fastiam.model.request import ContextValue, Request


def decide_profiles(
    principal: PrincipalProfile,
    resource: ResourceProfile,
    request: Request,
    endpoint: EndpointProfile | None,
    settings: Settings,
    *,
    index_from: int = 8,
) -> Decision:
    """Compile the profiles of one request, and decide it."""
    compiler = Compiler(settings, index_from=index_from)
    names = Names(compiler.tables)
    given_id = request.context.get("aws:userid")
    request_principal = compiler.principal(names, _with_given_id(principal, given_id), unclear_id=_is_unclear(given_id))
    record = compiler.ad_hoc_record(resource)
    number = None
    if endpoint is not None:
        number = compiler.endpoint(names, endpoint) if endpoint.known else -1
    for name in request.context:
        compiler.keys.number(name)
    symbol = compiler.tables.symbol
    owner, partition = [None if text is None else symbol(utf8(text)) for text in (resource.account, resource.partition)]
    rcps = compiler.levels(Layer.RCP, resource.rcps)
    compiler.match_actions()
    compiler.freeze(names)
    core = Core(Resolver(None, compiler, names, {"cache_bytes": CACHE_BYTES, "settings": settings}, {}))
    return decide_ad_hoc(
        core, resource, request,
        principal=request_principal, record=record, owner=owner, partition=partition, rcp_set=rcps, endpoint=number,
    )  # fmt: skip


def _is_unclear(given: ContextValue | None) -> bool:
    return given is not None and len(given.values) > 1


def _with_given_id(principal: PrincipalProfile, given: ContextValue | None) -> PrincipalProfile:
    """Return the profile with the unique id of a given `aws:userid`, which principal elements compare (K1)."""
    if given is None or principal.kind is PrincipalKind.FED:
        return principal
    return replace(principal, unique_id=given.values[0].partition(":")[0])
