"""The documents of statements, each with these statements highlighted."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from markupsafe import Markup

from fastiam.errors import Finding, Severity
from fastiam.model.decision import StatementRef
from fastiam.model.policy import Effect, Policy
from fastiam.model.source_map import Origin, Source, json_path, locate
from fastiam.policy.json_text import BrokenJson, JsonObject, Number, decode, is_url_encoded, read_json, url_decode
from fastiam.policy.json_types import walk
from fastiam.report.highlighting import Span, highlighted
from fastiam.report.places import Place, place_of

MAX_DOCUMENTS = 200
_MAX_CHARACTERS = 131_072  # of a document that is shown
_WIDE = 80  # characters of a line, above which a document of one line is indented


@dataclass(frozen=True, slots=True)
class ShownDocument:
    """A document with its statements highlighted. `is_indented`: the text is not as written."""

    title: str
    file: str
    html: Markup
    is_indented: bool


@dataclass(slots=True)
class _Found:
    policy: Policy
    labels: dict[int, str] = field(default_factory=dict)


def documents_of(
    refs: Iterable[tuple[StatementRef, str]], policies: Iterable[Policy]
) -> tuple[list[ShownDocument], dict[Place, int]]:
    """Return the documents of statements, and the position of each document by its place.

    Parameters
    ----------
    refs
        statements with what to say about each.
    policies
        their policies, among others.
    """
    refs = list(refs)
    known = _by_place(policies, {ref.policy for ref, _ in refs})
    found: dict[Place, _Found] = {}
    for ref, label in refs:
        place = place_of(ref)
        policy = known.get(place)
        if policy is None or (place not in found and len(found) == MAX_DOCUMENTS):
            continue
        entry = found.setdefault(place, _Found(policy))
        labels = entry.labels.get(ref.index, "")
        entry.labels[ref.index] = labels if label in labels.split("; ") else "; ".join(filter(None, (labels, label)))
    shown = {place: document for place, entry in found.items() if (document := _shown(entry)) is not None}
    return list(shown.values()), {place: i for i, place in enumerate(shown)}


def _by_place(policies: Iterable[Policy], names: set[str]) -> dict[Place, Policy]:
    """Return policies by file and path. Two documents with one place and different texts are left out."""
    found: dict[Place, Policy] = {}
    unclear: set[Place] = set()
    for policy in policies:
        origin = policy.origin
        if origin is None or (policy.name or policy.arn or "") not in names:
            continue
        place = origin.source.name, json_path(origin.path)
        other = found.setdefault(place, policy)
        if other.origin is not None and other.origin.source.text != origin.source.text:
            unclear.add(place)
    return {place: policy for place, policy in found.items() if place not in unclear}


def document_with_findings(file: str, text: str, findings: Iterable[Finding]) -> ShownDocument | None:
    """Return a file with the values of findings highlighted; None for a long file."""
    if len(text) > _MAX_CHARACTERS:
        return None
    starts = [0, *(found.end() for found in re.finditer("\n", text))]
    spans = []
    for finding in findings:
        if 0 < finding.line <= len(starts):
            start = starts[finding.line - 1] + finding.column - 1
            kind = "deny" if finding.severity is Severity.ERROR else "near"
            spans.append(Span(start, min(start + finding.width, len(text)), kind, f"{finding.message} [{finding.code}]"))
    return ShownDocument(file, "", highlighted(text, spans), False)


def _shown(found: _Found) -> ShownDocument | None:
    origin = found.policy.origin
    text = None if origin is None else _text(origin)
    if origin is None or text is None or len(text) > _MAX_CHARACTERS:
        return None
    indented = _indented(text)
    text = indented or text
    effects = {statement.index: statement.effect for statement in found.policy.statements}
    spans = []
    for index, label in found.labels.items():
        place = Origin(Source("", text), ("Statement", index)).position()
        if place is not None and index in effects:
            spans.append(Span(place.start, place.end, "deny" if effects[index] is Effect.DENY else "allow", label))
    title = found.policy.name or found.policy.arn or "policy"
    return ShownDocument(title, origin.source.name, highlighted(text, spans), indented is not None)


def _text(origin: Origin) -> str | None:
    """Return the text of a document: a part of its file, or the content of a string in it."""
    whole = origin.source.text
    span = None if whole is None else locate(whole, origin.path)
    if whole is None or span is None:
        return None
    text = whole[span[0] : span[1]]
    if text.startswith('"'):
        try:
            text = str(json.loads(text, strict=False))
        except ValueError:
            return None
        text = url_decode(text) if is_url_encoded(text) else text
    return decode(text)


def _indented(text: str) -> str | None:
    """Return a document of one long line with indentation; None if it has lines, or if a member occurs twice."""
    if len(text) <= _WIDE or "\n" in text.strip():
        return None
    try:
        value = read_json(text)
    except BrokenJson:
        return None
    # Python could write a number in another way than the document does
    is_same = not any(isinstance(each, Number | JsonObject) for _, each in walk(value))
    return json.dumps(value, indent=2, ensure_ascii=False) if is_same else None
