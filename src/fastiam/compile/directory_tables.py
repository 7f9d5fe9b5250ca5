"""Compilation of a snapshot of a directory: all of it, or the changes since another one."""

from __future__ import annotations

from fastiam.compile.compiler import Compiler
from fastiam.compile.layout import NONE, ServiceMode
from fastiam.compile.pattern_text import utf8
from fastiam.kernel.plan.names import Names
from fastiam.model.arn import Arn, split_arn
from fastiam.resolve.changes import Changes
from fastiam.resolve.snapshot import Snapshot
from fastiam.runtime.gc_pause import collection_paused

# How records are found (6.10). A service without a line is found by the exact ARN of the request.
_MODES = {
    **dict.fromkeys(("logs", "apigateway", "execute-api", "glue"), ServiceMode.FACTS),
    **dict.fromkeys(("lambda", "dynamodb", "kinesis", "es", "codeartifact", "acm-pca"), ServiceMode.PARTED),
    "sns": ServiceMode.WHOLE,
    "secretsmanager": ServiceMode.SECRET,
}
_ONE_API = frozenset({"apigateway", "execute-api"})  # one governing resource under either name


def compile_all(compiler: Compiler, names: Names, snapshot: Snapshot) -> None:
    """Compile a snapshot."""
    with collection_paused():
        _compile_all(compiler, names, snapshot)


def _compile_all(compiler: Compiler, names: Names, snapshot: Snapshot) -> None:
    for facts in snapshot.accounts():
        compiler.account(names, facts)
    for endpoint in snapshot.endpoints():
        compiler.endpoint(names, endpoint)
    names.judge_endpoints(snapshot.has_endpoint_policies)
    for profile in snapshot.principals():
        names.principal(utf8(profile.name), compiler.principal(names, profile))
    for arn in dict.fromkeys((*(arn for arn, _ in snapshot.resources()), *snapshot.entity_resources())):
        _resource(compiler, names, snapshot, arn)


def compile_changes(compiler: Compiler, names: Names, snapshot: Snapshot, changes: Changes) -> None:
    """Compile changes into names that have everything else.

    The lock is taken for each entry, so that decisions do not wait for it long.
    """
    for id_ in changes.accounts:
        with compiler.lock:
            compiler.account(names, snapshot.account_facts(id_))
    for id_ in changes.endpoints:
        with compiler.lock:
            endpoint = snapshot.endpoint(id_)
            if endpoint is not None and endpoint.known:
                compiler.endpoint(names, endpoint)
            else:
                names.no_endpoint(utf8(id_))
    with compiler.lock:
        names.judge_endpoints(snapshot.has_endpoint_policies)
    for name in changes.principals:
        if not snapshot.has_principal(name):
            with compiler.lock:
                names.no_principal(utf8(name))  # whom it means now, another role by that name (N11), may change without it
            continue
        profile = snapshot.principal(name)
        with compiler.lock:
            names.principal(utf8(name), compiler.principal(names, profile))
    for arn in changes.resources:
        with compiler.lock:
            _change_resource(compiler, names, snapshot, arn)


def _resource(compiler: Compiler, names: Names, snapshot: Snapshot, arn: str) -> None:
    """A record under the ARN that it is stored under, and how those of its service are found."""
    parts = split_arn(arn)
    if parts is None:
        return
    is_bucket = _is_of_bucket(parts) and "/" not in parts.rest
    mode = _mode_of(parts, names.find_service(utf8(parts.service)))
    number = compiler.record(snapshot.facts(arn), is_parent=is_bucket)
    if _is_fact(parts):
        names.fact(utf8(arn), number)
    else:
        names.record(utf8(arn), number)
    for service in _ONE_API if parts.service in _ONE_API else (parts.service,):
        names.service(utf8(service), mode)


def _change_resource(compiler: Compiler, names: Names, snapshot: Snapshot, arn: str) -> None:
    parts = split_arn(arn)
    if parts is None:
        return
    if snapshot.has_record(arn):
        _resource(compiler, names, snapshot, arn)
    elif _is_fact(parts):
        names.no_fact(utf8(arn))  # what governs it now may change without it
    else:
        names.record(utf8(arn), NONE)


def _mode_of(parts: Arn, before: int | None) -> ServiceMode:
    """How resources of the service of a stored ARN are found, where they were found in a way before, or None."""
    if parts.service == "s3":
        has_object = _is_of_bucket(parts) and "/" in parts.rest
        return ServiceMode.OBJECT if has_object or before == ServiceMode.OBJECT else ServiceMode.BUCKET
    return _MODES.get(parts.service, ServiceMode.EXACT)


def _is_of_bucket(parts: Arn) -> bool:
    """A bucket, or an object in one; other ARNs of S3 are of access points and similar resources."""
    return parts.service == "s3" and not parts.account and not parts.region


def _is_fact(parts: Arn) -> bool:
    """Whether what is stored under an ARN is looked up among the directory's answers, as `find_record` does."""
    if parts.service == "s3":
        return not _is_of_bucket(parts)
    return _mode_of(parts, None) >= ServiceMode.FACTS
