"""`fastiam prove`: proofs over all requests, for policy documents and for whole sets of policies."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from fastiam.cli import exit_codes as exits
from fastiam.cli.console import note, write
from fastiam.cli.file_arguments import read_bytes
from fastiam.cli.html_report import HTML, chosen_form, write_report
from fastiam.cli.options import chained, report_formats
from fastiam.cli.planned_changes import Sides, sides
from fastiam.cli.policy_sources import check_stdin
from fastiam.cli.progress import Steps
from fastiam.cli.render import cell_text, is_json, write_json
from fastiam.errors import Finding, Severity, SourceError
from fastiam.model.policy import PolicyKind

if TYPE_CHECKING:
    from fastiam.analysis.proof.candidate_requests import ProofRequest
    from fastiam.analysis.proof.result import Proof
    from fastiam.api.validation import ValidatedDocument
    from fastiam.model.profile import Policies
    from fastiam.model.session import Session

COLUMNS = ("result", "about", "reason", "principal", "action", "resource", "context", "statement", "stronger")
KINDS = ("identity", "boundary", "session", "resource", "trust", "scp", "rcp")
_STYLES = {"proved": "bold green", "new_access": "bold red", "undecided": "bold yellow"}

_shared = chained(
    click.option("--kind", type=click.Choice(KINDS), default="identity", show_default=True, help="Where documents are attached."),
    click.option("--partition", "partitions", multiple=True, metavar="NAME", help="Partition of resources. Default: aws."),
    click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Number of combinations. Default: 300000."),
    click.option("--timeout", type=click.FloatRange(min=0), metavar="SECONDS", help="Default: 10."),
    click.option("--lenient", is_flag=True, help="Reject only fatal errors, as for existing policies."),
    report_formats("json", "jsonl", "sarif"),
    click.option("--exit-zero", is_flag=True, help="Exit with 0 for each result."),
)


@click.group("prove")
def command() -> None:
    """Prove that no request is newly allowed, or that some access is not granted.

    Exits with 0 if it is proved, 2 with a request that shows the contrary, 3 if a document is rejected, 4 if undecided.
    """


@command.command("no-new-access")
@sides
@click.option("--actions", type=click.Choice(["any", "known"]), default="any", show_default=True, help="All names, or AWS's.")
@_shared
def no_new_access(
    sides: Sides,
    actions: str,
    kind: str,
    partitions: tuple[str, ...],
    limit: int | None,
    timeout: float | None,
    lenient: bool,
    form: str | None,
    out: str | None,
    exit_zero: bool,
) -> int:
    """Prove that the new policies allow no request that the old ones do not.

    Documents are compared as one layer. Folders, exports, stores and files of fastiam are compared for all of their principals,
    and so is a planned change of --policies: --terraform, --cloudformation or --replace.
    """
    from fastiam.analysis.proof.layer_proofs import prove
    from fastiam.api.change_proofs import prove_change

    form = chosen_form(form, out, *sides.paths)
    options: dict[str, Any] = {"actions": actions, **_limits(partitions, limit, timeout)}
    old, new = sides.given["old"], sides.given["new"]
    if not (old and new) or not all(map(_is_document, (*old, *new))):
        compared = sides.open(None)
        undecided = compared.undecided_lines()
        engines = compared.old, compared.new
        policies = tuple(policy for engine in engines for policy in engine.snapshot.policies())
        output = Output(form, out, exit_zero, policies, tuple(undecided))
        return _report(lambda: prove_change(*engines, compared.undecided, compared.unknown, **options), "new access", output)
    before, after = (_read_all(paths, kind, lenient) for paths in (old, new))
    output = Output(form, out, exit_zero, (*before, *after))
    return _report(lambda: prove(before, after, PolicyKind(kind), **options), "new access", output)


@command.command("access-not-granted")
@click.option("--policy", "paths", multiple=True, required=True, metavar="PATH", help="The document; several are one layer.")
@click.option("--action", "actions", multiple=True, metavar="PATTERN", help="Actions, as in policies. Default: all.")
@click.option("--resource", "resources", multiple=True, metavar="PATTERN", help="Resources, as in policies. Default: all.")
@_shared
def access_not_granted(
    paths: tuple[str, ...],
    actions: tuple[str, ...],
    resources: tuple[str, ...],
    kind: str,
    partitions: tuple[str, ...],
    limit: int | None,
    timeout: float | None,
    lenient: bool,
    form: str | None,
    out: str | None,
    exit_zero: bool,
) -> int:
    """Prove that policies allow none of some actions on some resources."""
    from fastiam.analysis.proof.layer_proofs import prove_not_granted

    check_stdin(*paths)
    form = chosen_form(form, out, *paths)
    policies = _read_all(paths, kind, lenient)
    options = _limits(partitions, limit, timeout)
    output = Output(form, out, exit_zero, policies)
    return _report(lambda: prove_not_granted(policies, actions, resources, kind, **options), "access granted", output)


def _is_document(path: str) -> bool:
    """Whether a path is one policy document, not a set of policies."""
    if path == "-":
        return True
    if os.path.isdir(path):
        return False
    from fastiam.sources.files import File

    try:
        roots = [root.value for root in File(path, read_bytes(path)).values({})]
    except SourceError:
        return True  # reading it as a document reports the error
    return len(roots) == 1 and isinstance(roots[0], dict) and ("Statement" in roots[0] or not roots[0])


def _read_all(paths: Sequence[str], kind: str, lenient: bool) -> Policies:
    """The documents of some files as one layer."""
    from fastiam.policy.document import read_policy

    mode = "lenient" if lenient else "strict"
    names = ("<stdin>" if path == "-" else path for path in paths)
    return tuple(
        read_policy(read_bytes(path), PolicyKind(kind), mode=mode, name=name)  # type: ignore[arg-type]
        for path, name in zip(paths, names, strict=True)
    )


def _limits(partitions: tuple[str, ...], limit: int | None, timeout: float | None) -> dict[str, Any]:
    """The arguments of options that are given."""
    found: dict[str, Any] = {"partitions": partitions or ("aws",)}
    return found | {name: value for name, value in (("limit", limit), ("timeout", timeout)) if value is not None}


@dataclass(frozen=True, slots=True)
class Output:
    """Where and how a proof is written. `policies` have its statements; `undecided` is what a planned change does not say."""

    form: str
    out: str | None
    exit_zero: bool
    policies: Policies
    undecided: tuple[str, ...] = ()


def _report(prove: Callable[[], Proof], title: str, output: Output) -> int:
    with Steps() as steps:
        steps.begin("proving")
        proof = prove()
    for line in output.undecided:
        note(line)
    if output.form == "sarif":
        from fastiam.cli.sarif import sarif_log

        write(json.dumps(sarif_log(list(_as_findings(proof)), None), indent=2))
    elif is_json(output.form):
        write_json(proof.to_dict(), output.form)
    elif output.form == HTML:
        _write_html(proof, title, output)
    else:
        _write_text(proof, title)
    codes = {"proved": exits.OK, "new_access": exits.DENIED, "undecided": exits.UNKNOWN}
    return exits.OK if output.exit_zero else codes[proof.result.value]


def _as_findings(proof: Proof) -> Iterator[ValidatedDocument]:
    """The result as a finding at the statement that allows the request; none for a proof."""
    from fastiam.api.validation import ValidatedDocument

    statement, request = proof.statement, proof.request
    if proof.proved:
        return
    if request is None:
        finding = Finding("UNDECIDED", Severity.WARN, proof.reason or "undecided", "policies", "$")
    else:
        keys = "".join(f", {text}" for text in _asked_with(request))
        message = f"allows {request.principal} the action {request.action} on {request.resource}{keys}"
        finding = Finding("NEW-ACCESS", Severity.ERROR, message, "policies", "$")
        if statement is not None:
            line, column, sid = statement.line or 0, statement.column or 0, statement.sid or ""
            source, path = statement.file or statement.policy, statement.path or "$"
            finding = replace(finding, source=source, path=path, line=line, column=column, sid=sid)
    yield ValidatedDocument(finding.source, None, "", 1, (finding,))


def _write_html(proof: Proof, title: str, output: Output) -> None:
    rows = [_row(name, one) for name, one in (proof.by_principal or {"": proof}).items()]
    summary = [
        f"{proof.result.replace('_', ' ')}{f': {proof.reason}' if proof.reason else ''}",
        f"{proof.combinations:,} combinations",
    ]
    tables = {"Results": (COLUMNS, rows)}
    write_report(f"Proof: {title}", tables, output.out, summary=[*summary, *output.undecided], policies=output.policies)


def _row(name: str, proof: Proof) -> dict[str, Any]:
    request = proof.request
    context = () if request is None else tuple(_asked_with(request))
    return {
        "result": proof.result.replace("_", " "),
        "about": name,
        "reason": proof.reason,
        "principal": request and request.principal,
        "action": request and request.action,
        "resource": request and request.resource,
        "context": context,
        "statement": proof.statement,
        "stronger": proof.stronger or None,
    }


def _asked_with(request: ProofRequest) -> Iterator[str]:
    """The keys of a request, and its session."""
    yield from _keys_text(request.context)
    if request.session is not None:
        yield f"session {_session_text(request.session)}"


def _keys_text(keys: Mapping[str, Any]) -> Iterator[str]:
    return (f"{key} = {cell_text(value, ', ')}" for key, value in keys.items())


def _session_text(session: Session) -> str:
    """A session with what it adds to its principal."""
    issuer = f" of {session.issuer}" if session.issuer else ""
    tags = {f"tag {key}": value for key, value in session.tags.items()}
    return ", ".join((f"{session.kind}{issuer}", *_keys_text({**tags, **session.context})))


def _write_text(proof: Proof, title: str) -> None:
    style = _STYLES[proof.result.value]
    request, statement = proof.request, proof.statement
    if request is None:
        write([(proof.result.value, style), (f": {proof.reason}" if proof.reason else "", "")])
    else:
        place = "" if statement is None else f": {statement.label} of {statement.position or statement.policy}"
        write([("stronger grant" if proof.stronger else title, style), (place, "")])
        for name in ("principal", "action", "resource"):
            write(f"  {name:<10}{getattr(request, name)}")
        for text in _keys_text(request.context):
            write(f"  {'context':<10}{text}")
        if request.session is not None:
            write(f"  {'session':<10}{_session_text(request.session)}")
        if request.resource_account is not None:
            write(f"  {'owner':<10}{request.resource_account}")
        if request.now is not None:
            write(f"  {'now':<10}{request.now.isoformat()}")
        if proof.reason:
            note(f"note: {proof.reason}")
    if proof.by_principal:
        counts = Counter(one.result.value for one in proof.by_principal.values())
        shown = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items())
        note(f"principals with different policies or keys: {shown}")
    note(f"{proof.combinations:,} combinations")
