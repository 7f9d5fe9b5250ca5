"""Engines for tests: each takes a `Check` and returns an `Answer`.

`reference` is the specification evaluator. `directory` is the same over a directory made of the ad-hoc policies of a case
(`as_directory`), if a directory can express them. `compiled` decides one request: ad-hoc policies by `fastiam.simulate`, a
directory by `Engine.decide`. `numpy` and `arrow` decide a batch over a directory, in which the row of the case is between others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import case_files as casefile
from case_files import Answer, Check, Json, document, documents
from specification import decisions_only

import fastiam
from fastiam.errors import DirectoryError, PolicyError, RequestValueError

REFERENCES = ("reference", "directory")
ENGINES = (*REFERENCES, "compiled", "numpy", "arrow")
HAS_ENGINE = find_spec("fastiam.api.engine") is not None
ERRORS = (PolicyError, RequestValueError, DirectoryError)


def can_run(check: Check, engine: str) -> bool:
    """Whether the engine can run the case."""
    if engine == "reference":
        return True
    if engine == "directory":
        return check.directory is None and check.expect["outcome"] != "ERR" and as_directory(check) is not None
    return (
        engine == "compiled"
        or check.expect["outcome"] != "ERR"
        and (check.directory is not None or as_directory(check) is not None)
    )


def case_for_engine(check: Check, engine: str) -> Check:
    """The case as the engine sees it: names of policies differ where ad-hoc policies became a directory."""
    return replace(check, translated=check.directory is None and engine not in ("reference", "compiled"))


def run(check: Check, engine: str) -> Answer:
    """The engine's answer; an error that it raised on purpose is an answer too."""
    try:
        if engine == "directory":
            return _directory_reference(_translated(check))
        if engine in ("numpy", "arrow"):
            return _batch(check if check.directory is not None else _translated(check), engine)
        if check.directory is not None:
            return (_directory_reference if engine == "reference" else _directory_compiled)(check)
        return (_ad_hoc_reference if engine == "reference" else _ad_hoc_compiled)(check)
    except ERRORS as error:
        return Answer(error=error)


# -- ad-hoc policies ---------------------------------------------------------------------------------------------------


def _ad_hoc_reference(check: Check) -> Answer:
    from fastiam.simulation.profiles import profiles_from_documents
    from fastiam.spec import decide

    arguments = casefile.simulate_arguments(check)
    principal, resource, endpoint, request = profiles_from_documents(**arguments)
    with decisions_only():
        explanation = decide(principal, resource, request, endpoint=endpoint)
        simulated = fastiam.simulate(**arguments, engine="reference") if "now" in check.request else explanation.decision
    assert simulated == explanation.decision, "simulate and the reference disagree"
    return Answer(explanation.decision, explanation)


def _ad_hoc_compiled(check: Check) -> Answer:
    arguments = casefile.simulate_arguments(check)
    if check.index_from == casefile.INDEX_FROM:
        return Answer(fastiam.simulate(**arguments, engine="compiled"))
    from fastiam.simulation.ad_hoc_engine import decide_profiles
    from fastiam.simulation.profiles import profiles_from_documents

    principal, resource, endpoint, request = profiles_from_documents(**arguments)
    return Answer(decide_profiles(principal, resource, request, endpoint, settings_of(check), index_from=check.index_from))


# -- directories --------------------------------------------------------------------------------------------------------


def build_directory(arguments: Mapping[str, Json], mode: str = "strict") -> fastiam.Directory:
    """Build a directory from the arguments of each method, in an order in which names resolve."""
    directory = fastiam.Directory(mode=mode, quotas=None)  # cases are about decisions
    fill_directory(directory, arguments)
    return directory


def fill_directory(directory: fastiam.Directory, arguments: Mapping[str, Json]) -> None:
    """Add what the arguments of each method describe."""
    for entry in arguments.get("accounts", ()):
        directory.add_account(entry["id"], canonical_id=entry.get("canonical_id"))
    if "organization" in arguments:
        directory.set_organization(**arguments["organization"])
    for entry in arguments.get("groups", ()):
        directory.add_group(entry["name"], account=entry["account"], identity_policies=documents(entry["policies"]))
    principals = [_with_documents(e, "identity_policies", "permissions_boundary") for e in arguments.get("principals", ())]
    trusts = {e["arn"]: e.pop("trust_policy", None) for e in principals}
    for entry in principals:
        directory.add_principal(**entry)
    for role, trust in trusts.items():  # a trust policy may name any of the principals (N32)
        if trust is not None:
            directory.set_trust_policy(role, document(trust))
    for entry in arguments.get("resources", ()):
        directory.add_resource(**_with_documents(entry, "policy"))
    for account, levels in arguments.get("scps", {}).items():
        directory.set_scps(account, documents(levels))
    for account, levels in arguments.get("rcps", {}).items():
        directory.set_rcps(account, documents(levels))
    for entry in arguments.get("endpoints", ()):
        directory.add_endpoint(**_with_documents(entry, "policy"))


def _with_documents(entry: Mapping[str, Json], *names: str) -> dict[str, Any]:
    return {k: documents(v) if k in names else v for k, v in entry.items()}


def settings_of(check: Check) -> Any:
    """The settings of a case, with lists as sets."""
    from fastiam.model.profile import Settings

    return Settings(**{name: frozenset(values) for name, values in (check.settings or {}).items()})


def _directory_reference(check: Check) -> Answer:
    snapshot = build_directory(check.directory or {}, check.mode).snapshot()
    request = check.request
    return explain_over(snapshot, check, request, casefile.context_of(request), casefile.instant(request.get("now")))


def explain_over(snapshot: Any, check: Check, row: Mapping[str, Json], context: Mapping[str, Json], now: Any) -> Answer:
    """The reference over a snapshot, called as `Engine.explain` calls it. Raises the errors of invalid requests."""
    from fastiam.model.profile import PrincipalKind
    from fastiam.model.request import (
        Request,
        absent_keys,
        check_action,
        check_root,
        epoch_seconds,
        is_declared,
        read_context,
        read_unknown,
    )
    from fastiam.spec import decide

    unknown, absent = read_unknown(row.get("unknown", ()), context), absent_keys(context)
    request = Request(check_action(row["action"]), read_context(context), epoch_seconds(now), unknown, absent)
    names_endpoint = "aws:sourcevpce" in request.context or "aws:sourcevpce" in absent
    principal, resource, endpoint = snapshot.profiles(
        casefile.principal_of(row),
        row["action"],
        row["resource"],
        request.context,
        resource_account=row.get("resource_account"),
        unknown_owner=check.unknown_owner,
        endpoint_unknown=not names_endpoint and is_declared(unknown, "aws:sourcevpce"),
    )
    if principal.kind in (PrincipalKind.ROOT, PrincipalKind.AROOT):
        check_root(unknown)
    settings, sources = settings_of(check), snapshot.account_facts
    with decisions_only():
        explanation = decide(principal, resource, request, endpoint=endpoint, settings=settings, sources=sources)
    return Answer(explanation.decision, explanation)


def compile_check(check: Check) -> Any:
    """The `Engine` of a directory case."""
    return compile_snapshot(build_directory(check.directory or {}, check.mode).snapshot(), check)


def compile_snapshot(snapshot: Any, check: Check) -> Any:
    """The `Engine` over a snapshot, with the options of the case."""
    from fastiam.api.engine import Engine

    return Engine.from_snapshot(
        snapshot, unknown_owner=check.unknown_owner, settings=settings_of(check), index_from=check.index_from
    )


def _directory_compiled(check: Check) -> Answer:
    request = check.request
    decision = compile_check(check).decide(
        casefile.principal_of(request),
        request["action"],
        request["resource"],
        casefile.context_of(request),
        unknown=request.get("unknown", ()),
        resource_account=request.get("resource_account"),
        now=casefile.instant(request.get("now")),
    )
    return Answer(decision)


def _batch(check: Check, form: str) -> Answer:
    """The case as the middle row of three; the other rows are different requests to the same engine."""
    request = check.request
    subject = casefile.principal_of(request)
    name = subject if isinstance(subject, str) else "the session"
    beside = "nothing:Else"
    column = COLUMNS[form]
    context = {key: column([None, value, None]) for key, value in casefile.context_of(request).items()}
    owner = request.get("resource_account")
    engine = compile_check(check)
    for _ in range(2):  # the second call finds all plans, and takes the vectorised path
        decisions = engine.decide_many(
            column([name] * 3),
            column([beside, request["action"], beside]),
            column([request["resource"]] * 3),
            context,
            unknown=request.get("unknown", ()),
            resource_accounts=None if owner is None else column([owner] * 3),
            sessions=None if isinstance(subject, str) else {name: subject},
            now=casefile.instant(request.get("now")),
            reasons=True,
        )
    return Answer(list(decisions)[1])


def _numpy_column(values: list[Any], order: list[int] | None = None) -> Any:
    import numpy as np

    out = np.empty(len(values), dtype=object)
    for row, value in enumerate(values):  # not `out[:] = values`, which takes lists of one length for a table
        out[row] = value
    return out if order is None else out[order]


def _arrow_column(values: list[Any], order: list[int] | None = None) -> Any:
    import pyarrow as pa

    column = pa.array(values)
    return column if order is None else column.take(pa.array(order))


def _dictionary_column(values: list[Any], order: list[int] | None = None) -> Any:
    """Three chunks, two with a common dictionary, where the values are texts."""
    import pyarrow as pa

    whole = _arrow_column(values, order)
    half = len(whole) // 2
    if not pa.types.is_string(whole.type):
        return whole
    shared = whole[:half].dictionary_encode()
    return pa.chunked_array([shared[: half // 2], shared[half // 2 :], whole[half:].dictionary_encode()])


# form of a column -> what makes one of values: of all, or of those in an order of positions
COLUMNS: dict[str, Callable[..., Any]] = {
    "numpy": _numpy_column,
    "arrow": _arrow_column,
    "dictionary": _dictionary_column,
}


# -- ad-hoc policies as a directory ---------------------------------------------------------------------------------


def _translated(check: Check) -> Check:
    directory = as_directory(check)
    assert directory is not None
    request = dict(check.request)
    policies = check.policies.get("session_policies")
    if policies is not None:
        request["principal"] = {"session": {**request["principal"]["session"], "policies": policies}}
    return replace(check, directory=directory, policies={}, request=request, translated=True)


_DERIVED = ("aws:principal", "aws:userid", "aws:username", "aws:resource", "aws:source", "aws:multifactor", "aws:token",
            "aws:federated", "aws:currenttime", "aws:epochtime")  # fmt: skip


def as_directory(check: Check) -> dict[str, Json] | None:
    """A case of ad-hoc policies as a directory, or None if a directory cannot express it.

    Not expressible: keys that a directory derives, and prefixes of unknown keys, which would stand for them too; service-owned
    governing resources, bare sessions, layers that a kind cannot have, and an endpoint that the context does not name.
    """
    request, policies = check.request, check.policies
    if any(key.lower().startswith(_DERIVED) for key in (*request.get("context", {}), *request.get("unknown", ()))):
        return None
    if any(key.endswith("*") for key in request.get("unknown", ())):
        return None
    subject = _record_of(request["principal"], has_session_policies="session_policies" in policies)
    owner = request.get("resource_account") or _account_of(request["resource"]) or (subject and _account_of(subject))
    if subject is None or policies.get("vpc_endpoint_policies") is not None or "rcps" in policies and owner is None:
        return None
    out: dict[str, Json] = {"principals": [], "resources": []}
    layers = {name: policies[name] for name in ("identity_policies", "permissions_boundary") if name in policies}
    if subject:
        out["principals"].append({"arn": subject, **layers})
    if "resource_policy" in policies:
        governing = _governing_resource(request["resource"])
        if governing is None or owner is None:
            return None
        out["resources"].append({"arn": governing, "account": owner, "policy": policies["resource_policy"]})
    for name, account in (("scps", subject and _account_of(subject)), ("rcps", owner)):
        if name in policies and account:
            out[name] = {account: policies[name]}
    return out


def _record_of(principal: Json, *, has_session_policies: bool) -> str | None:
    """The ARN of the record with the principal's policies, "" if it needs none, None if it is unknown."""
    if isinstance(principal, Mapping):
        session = principal["session"]
        issuer = session.get("issuer")
        is_distinct = session.get("policies") is not None and has_session_policies
        return None if issuer is None or is_distinct else str(issuer)
    if has_session_policies or ":assumed-role/" in principal or ":federated-user/" in principal:
        return None
    return principal if principal.startswith("arn:") and "-provider/" not in principal else ""


def _account_of(arn: str) -> str | None:
    parts = arn.split(":")
    return parts[4] if len(parts) > 5 and parts[4].isdigit() else None


def _governing_resource(resource: str) -> str | None:
    """The resource whose policy governs a resource (6.10), for the services of the ad-hoc cases."""
    parts = resource.split(":", 5)
    if len(parts) < 6:
        return None
    if parts[2] == "s3":
        return ":".join([*parts[:5], parts[5].split("/")[0]])
    if parts[2] in ("sqs", "kms"):
        return resource
    return None
