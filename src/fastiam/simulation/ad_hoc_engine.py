"""Decisions for ad-hoc policies: the profiles of one request are compiled into an engine of its own."""

from __future__ import annotations

from dataclasses import replace

from fastiam.compile.compiler import Compiler
from fastiam.compile.layout import NONE
from fastiam.compile.pattern_text import utf8
from fastiam.engine.resolving import ResolvingCore
from fastiam.kernel.plan.names import Names
from fastiam.model.decision import Decision, Layer
from fastiam.model.profile import CACHE_BYTES, EndpointProfile, PrincipalKind, PrincipalProfile, ResourceProfile, Settings
from fastiam.model.request import ContextValue, Request

_REQUEST_PRINCIPAL = "arn:asker"  # the name of the only principal


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
    names.principal(utf8(_REQUEST_PRINCIPAL), request_principal)
    record = compiler.ad_hoc_record(resource)
    number = None
    if endpoint is not None:
        number = compiler.endpoint(names, endpoint) if endpoint.known else -1
    for name in request.context:
        compiler.keys.number(name)
    symbols = [None if text is None else compiler.tables.symbol(utf8(text)) for text in (resource.account, resource.partition)]
    rcps = compiler.levels(Layer.RCP, resource.rcps)
    compiler.match_actions()
    compiler.freeze(names)
    engine = ResolvingCore._over(None, compiler, names, {"cache_bytes": CACHE_BYTES, "settings": settings}, {})
    engine._bind_profiles(
        record,
        owner=symbols[0],
        assumed_owner=resource.assumed_owner,
        owner_override=resource.owner_override,
        unknown_owner=resource.unknown_owner,
        rcp_set=rcps,
        partition=NONE if symbols[1] is None else symbols[1],
        endpoint=number,
    )
    # with ad-hoc policies, `decide` takes a context of `ContextValue`s, and epoch seconds
    given = {**request.context, **{key: ContextValue(()) for key in request.absent - request.context.keys()}}
    return engine.decide(
        _REQUEST_PRINCIPAL,
        request.action,
        resource.arn,
        given,  # type: ignore[arg-type]
        unknown=request.unknown,
        now=request.now,  # type: ignore[arg-type]
    )


def _is_unclear(given: ContextValue | None) -> bool:
    return given is not None and len(given.values) > 1


def _with_given_id(principal: PrincipalProfile, given: ContextValue | None) -> PrincipalProfile:
    """Return the profile with the unique id of a given `aws:userid`, which principal elements compare (K1)."""
    if given is None or principal.kind is PrincipalKind.FED:
        return principal
    return replace(principal, unique_id=given.values[0].partition(":")[0])
