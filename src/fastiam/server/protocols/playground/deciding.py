"""What the pages show: decisions of pasted policies, findings, and the difference of two versions. Nothing is kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from markupsafe import Markup

from fastiam.analysis.access.decision_changes import GAINING
from fastiam.analysis.access.diff import diff
from fastiam.analysis.lint.document import lint_document
from fastiam.api.directory import Directory
from fastiam.aws_data.catalog import AwsData
from fastiam.errors import FastiamError, Finding
from fastiam.model.decision import Layer, Outcome
from fastiam.model.explanation import Explanation, NearMiss
from fastiam.model.explanation_text import NOTES, RESULTS, WAYS, explanation_lines
from fastiam.model.policy import Effect, PolicyKind
from fastiam.model.source_map import Origin, Source
from fastiam.report.highlighting import Span, highlighted
from fastiam.server.protocols.playground.forms import LAYERS, DecideForm, context_of, documents_of
from fastiam.simulation.profiles import profiles_from_documents
from fastiam.spec import decide

_KINDS: Final = {
    "identity": PolicyKind.IDENTITY,
    "resource": PolicyKind.RESOURCE,
    "trust": PolicyKind.TRUST,
    "scp": PolicyKind.SCP,
    "rcp": PolicyKind.RCP,
}
KIND_NAMES: Final = tuple(_KINDS)
_NAMES: Final = {  # how the simulator names the documents of a text area
    "identity": "identity_policies[{i}]",
    "resource_policy": "resource_policy",
    "boundary": "permissions_boundary[{i}]",
    "session": "session_policies[{i}]",
    "scps": "scps[{i}][0]",
    "rcps": "rcps[{i}][0]",
    "endpoint": "vpc_endpoint_policies",
}
_VERDICTS: Final = {
    Outcome.ALLOW: ("allow", "✓", "Allowed"),
    Outcome.IMPLICIT_DENY: ("deny", "✗", "Denied: nothing allows it"),
    Outcome.EXPLICIT_DENY: ("deny", "✗", "Denied by a statement"),
    Outcome.DEPENDS: ("depends", "?", "Depends on unknown keys"),
}
_TESTER: Final = "arn:aws:iam::111111111111:user/anyone"


@dataclass(frozen=True, slots=True)
class ShownDocument:
    """A pasted document with its statements highlighted."""

    title: str
    html: Markup


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer of the page Decide."""

    kind: str
    icon: str
    text: str
    explanation: Explanation
    layers: list[tuple[str, str, str]]
    changes: list[str]
    documents: list[ShownDocument] = field(default_factory=list)

    @property
    def lines(self) -> str:
        """The whole record as text."""
        return "\n".join("".join(text for text, _ in line) for line in explanation_lines(self.explanation))


def decided(form: DecideForm, now: datetime) -> Verdict:
    """Decide the request of a form over its documents, and nothing else.

    Raises
    ------
    FastiamError
        a document, or another field, cannot be read.
    """
    split = form.split()
    several = {name: documents for name, documents in split.items() if documents}
    principal, resource, endpoint, request = profiles_from_documents(
        form.principal,
        form.action,
        form.resource,
        context=context_of(form.context),
        now=now,
        resource_account=form.resource_account or None,
        identity_policies=split["identity"],
        resource_policy=_single(several, "resource_policy"),
        permissions_boundary=several.get("boundary"),
        session_policies=several.get("session"),
        scps=[[document] for document in several["scps"]] if "scps" in several else None,
        rcps=[[document] for document in several["rcps"]] if "rcps" in several else None,
        vpc_endpoint_policies=_single(several, "endpoint"),
        unknown=form.unknown.replace(",", " ").split(),
        mode="strict" if form.is_strict else "lenient",
    )
    explanation = decide(principal, resource, request, endpoint=endpoint)
    kind, icon, text = _VERDICTS[explanation.decision.outcome]
    return Verdict(kind, icon, text, explanation, _layers(explanation), _changes(explanation), _documents(split, explanation))


def _single(documents: dict[str, list[str]], name: str) -> str | None:
    found = documents.get(name, [])
    if len(found) > 1:
        raise FastiamError(f"{LAYERS[name]}: {len(found)} documents, and there is at most one")
    return found[0] if found else None


def _layers(explanation: Explanation) -> list[tuple[str, str, str]]:
    """Layer, result and reason, in the order of evaluation."""
    limits = {limit.layer: (limit.result, limit.reason) for limit in explanation.limits}
    rows = []
    for layer in Layer:
        if layer in limits:
            result, reason = limits[layer]
        elif layer in (Layer.RESOURCE, Layer.IDENTITY):
            effects = {statement.effect for statement in explanation.statements if statement.ref.layer is layer}
            result = "explicit_deny" if Effect.DENY in effects else "allow" if effects else "implicit_deny"
            reason = ""
        elif layer is explanation.decision.layer:
            result, reason = "allow" if explanation.decision.allowed else "implicit_deny", str(explanation.decision.reason or "")
        else:
            continue
        rows.append((str(layer), RESULTS[result], NOTES.get(reason, reason.replace("_", " "))))
    return rows


def _changes(explanation: Explanation) -> list[str]:
    """What it would take to allow the request."""
    if explanation.decision.allowed:
        return []
    if explanation.denies:
        names = [f"{statement.ref.policy}, statement {statement.ref.label}" for statement in explanation.denies]
        return [f"no longer be denied by {name}" for name in dict.fromkeys(names)]
    ways = [" and ".join(WAYS.get(layer, layer) for layer in layers) for layers in explanation.missing]
    return [*(f"an Allow in {way}" for way in ways), *map(_near, explanation.near_misses)]


def _near(miss: NearMiss) -> str:
    where = f"{miss.ref.policy}, statement {miss.ref.label}"
    expected = ", ".join(miss.expected) + (", ..." if miss.n_expected > len(miss.expected) else "")
    if miss.element == "Condition":
        actual = "absent" if miss.actual is None else ", ".join(miss.actual)
        return f"{where} would allow it if {miss.operator} {miss.key} {expected} were satisfied; it is {actual}"
    return f"{where} would allow it if its {miss.element} covered the request; it has {expected}"


def _documents(split: dict[str, list[str]], explanation: Explanation) -> list[ShownDocument]:
    spans: dict[str, dict[int, tuple[str, str]]] = {}
    for miss in explanation.near_misses:
        spans.setdefault(miss.ref.policy, {})[miss.ref.index] = ("near", f"would allow it, except for {miss.key or miss.element}")
    for statement in (*explanation.statements, *explanation.denies):
        kind = "deny" if statement.effect is Effect.DENY else "allow"
        spans.setdefault(statement.ref.policy, {})[statement.ref.index] = (kind, f"{statement.effect} applies")
    shown = []
    for name, documents in split.items():
        for i, text in enumerate(documents):
            policy = _NAMES[name].format(i=i)
            title = LAYERS[name].partition(",")[0] + (f" {i + 1}" if len(documents) > 1 else "")
            shown.append(ShownDocument(title, highlighted(text, _spans(policy, text, spans.get(policy, {})))))
    return shown


def _spans(policy: str, text: str, of: dict[int, tuple[str, str]]) -> list[Span]:
    spans = []
    for index, (kind, label) in of.items():
        place = Origin(Source(policy, text), ("Statement", index)).position()
        if place is not None:
            spans.append(Span(place.start, place.end, kind, label))
    return spans


# -- findings and changes ---------------------------------------------------------------------------------------------


def findings_of(text: str, kind: str) -> list[Finding]:
    """The findings of `lint` about the documents of a text area, also of those that are rejected."""
    data = AwsData.installed()
    documents = enumerate(documents_of(text), 1)
    return [finding for i, text in documents for finding in lint_document(text, _KINDS[kind], data, name=f"document {i}")]


@dataclass(frozen=True, slots=True)
class ShownChange:
    """One group of requests that two versions decide differently."""

    kind: str
    change: str
    side: str
    statement: str
    rows: int
    principal: str
    action: str
    resource: str


def changed(before: str, after: str, side: str) -> tuple[list[ShownChange], int, tuple[str, ...]]:
    """The requests that two versions of a policy decide differently, for a user that has it.

    Returns the groups, the number of compared requests, and what no request can show.

    Raises
    ------
    FastiamError
        a document cannot be read.
    """
    old, new = (_with(documents_of(text), side) for text in (before, after))
    found = diff(old.compile(), new.compile())
    groups = []
    for group in found.groups:
        label = "" if group.statement is None else f"{group.statement.policy}, statement {group.statement.label}"
        kind = "gained" if group.change in GAINING else "lost"
        request = found.request(group.example)
        groups.append(ShownChange(kind, str(group.change.value).replace("_", " "), group.side, label, group.rows, *request))
    return groups, found.n_rows, tuple(found.unseen)


def _with(documents: list[str], side: str) -> Directory:
    directory = Directory(quotas=None)
    if side == "scp":
        everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
        directory.add_principal(_TESTER, identity_policies=[everything])
        directory.set_scps(_TESTER.split(":")[4], [[everything], documents])
    else:
        directory.add_principal(_TESTER, identity_policies=documents)
    return directory
