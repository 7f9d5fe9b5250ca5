"""Documents: text or mapping to `Policy` (spec 1.2, 1.4; V1, V2, V4, V5, V10, G20, G24).

The model after a lenient reading:

- `Statement.undetermined` lists the rules among V4, V7, V8, V9, V12 that were broken; the element concerned is None.
- `ConditionEntry.undetermined` marks V15 and V17. An unknown operator keeps its text as `operator`; with an empty map it is an
  entry without key and values.
- Every other text stays as written, and the evaluators interpret it: malformed actions (V24), resources (V25, V26),
  principals (V32, V35, V41) and values (V18, V20, V22), and variables that are misplaced or malformed (V28 to V30).
- A policy without statements (V5) is an empty tuple. If it has unknown top-level elements, which may be misspelled or
  wrapped statements, it has one statement that denies everything and is undetermined (V4, F7).
- A Sid is kept as written (G21).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from fastiam.errors import Finding, PolicyError, Severity
from fastiam.model.arguments import check_choice
from fastiam.model.policy import Policy, PolicyKind, Statement
from fastiam.model.source_map import Origin, Path, Source
from fastiam.policy.characters import check_characters
from fastiam.policy.findings import Reading, quote
from fastiam.policy.json_text import (
    LARGE,
    BrokenJson,
    broken_json_finding,
    decode,
    is_url_encoded,
    read_json,
    url_decode,
)
from fastiam.policy.json_types import check_unknown, is_text, json_type, read_object, read_text
from fastiam.policy.statement import FREE_SIDS, read_statement
from fastiam.policy.substitutes import denying_statement
from fastiam.policy.trust_policies import check_trust
from fastiam.runtime.gc_pause import collection_paused

Mode = Literal["strict", "lenient"]
Document = str | bytes | Mapping[str, object]

ELEMENTS = ("Version", "Id", "Statement")
_KNOWN = frozenset(ELEMENTS)
_WITH_VARIABLES, _WITHOUT = "2012-10-17", "2008-10-17"
_IDENTITY_KINDS = (PolicyKind.IDENTITY, PolicyKind.BOUNDARY, PolicyKind.SESSION)
_ORGANIZATION_KINDS = (PolicyKind.SCP, PolicyKind.RCP)


def read_policy(
    document: Document,
    kind: PolicyKind,
    *,
    mode: Mode = "strict",
    name: str = "",
    arn: str | None = None,
    origin: Origin | None = None,
    findings: list[Finding] | None = None,
    text: str | None = None,
) -> Policy:
    """Parse a policy document (F5).

    Parameters
    ----------
    document
        JSON text, UTF-8 bytes, URL-encoded JSON (detected by its first character, `%`), or a parsed mapping A mapping of
        `parse_json` keeps its duplicate names; a plain one has lost them.
    kind
        what the document is attached to; it determines which elements the document can have (spec 1.1).
    mode
        `strict` rejects on any ERROR, `lenient` on the fatal ones only (F5).
    name, arn
        the name of the policy in decisions.
    origin
        position of the document, if it is a value inside a larger file.
    findings
        a list to which every finding is appended, also when the document is rejected.
    text
        the JSON text of a mapping, if available: it excludes V39 for most documents without a search.

    Raises
    ------
    PolicyError
        the document is rejected; its `findings` are all findings, errors first.

    Notes
    -----
    O(size of the document). Positions are computed only if findings are requested or the document is rejected.
    """
    check_choice(mode, "mode", "mode", "strict", "lenient")
    with collection_paused(when=isinstance(document, (str, bytes)) and len(document) > LARGE):
        policy, reading, broken = _read(document, kind, name, arn, origin, text)
    rejected = policy is None or reading.is_fatal or (mode == "strict" and reading.has_error)
    if rejected or findings is not None:
        found = broken or reading.findings()
        if findings is not None:
            findings.extend(found)
        if rejected or policy is None:
            raise PolicyError(sorted(found, key=lambda finding: (finding.severity is Severity.WARN, not finding.fatal)))
    return policy  # type: ignore[return-value]  # it is None only if it is rejected


def validate_policy(document: Document, kind: PolicyKind, *, name: str = "", origin: Origin | None = None) -> list[Finding]:
    """All findings of a document in the order of reading. Nothing is raised if the document is rejected."""
    _, reading, broken = _read(document, kind, name, None, origin)
    return broken or reading.findings()


def guess_kind(document: Document) -> PolicyKind:
    """The kind of a document, guessed from its content.

    A statement with a principal makes it a trust policy if every action is one of STS and no statement names a resource,
    else a resource policy. All other documents count as identity policies: boundaries, session policies and SCPs have the
    same form, as RCPs and endpoint policies have the form of resource policies. Unreadable text counts as an identity policy.
    """
    value: object = document
    if isinstance(document, (str, bytes)):
        try:
            value = parse_document(document)
        except BrokenJson:
            return PolicyKind.IDENTITY
    raw = value.get("Statement", ()) if isinstance(value, Mapping) else ()
    statements = [item for item in (raw if isinstance(raw, (list, tuple)) else (raw,)) if isinstance(item, Mapping)]
    if not any("Principal" in item or "NotPrincipal" in item for item in statements):
        return PolicyKind.IDENTITY
    if any("Resource" in item or "NotResource" in item for item in statements):
        return PolicyKind.RESOURCE
    return PolicyKind.TRUST if all(map(_is_about_sts, statements)) else PolicyKind.RESOURCE


def _is_about_sts(statement: Mapping[str, object]) -> bool:
    actions = statement.get("Action", statement.get("NotAction", ()))
    items = actions if isinstance(actions, (list, tuple)) else (actions,)
    return all(isinstance(item, str) and item.lower().startswith("sts:") for item in items)


def parse_document(document: str | bytes) -> object:
    """The JSON value of a document.

    Raises
    ------
    BrokenJson
        the text is not JSON, or the bytes are not UTF-8.
    """
    text = decode(document).removeprefix("\ufeff")
    return read_json(url_decode(text) if is_url_encoded(text) else text)


def _read(
    document: object, kind: PolicyKind, name: str, arn: str | None, origin: Origin | None, text: str | None = None
) -> tuple[Policy | None, Reading, list[Finding]]:
    """The policy of a lenient reading (None if there is none), the reading, and the finding of broken JSON."""
    try:
        if isinstance(document, (str, bytes)):
            text = decode(document).removeprefix("\ufeff")
            origin = _origin_of_text(name, text, origin)
            document = parse_document(text)
    except BrokenJson as error:
        return None, Reading(kind, origin or Origin(Source(name or "policy"))), [_broken(error, name, text, origin)]
    reading = Reading(kind, origin or Origin(Source(name or "policy")))
    if text is not None and is_url_encoded(text):
        text = None  # the encoding hides escapes: search the values
    return _read_document(reading, document, text, name, arn), reading, []


def _origin_of_text(name: str, text: str, origin: Origin | None) -> Origin:
    """The source of a document that is text and not part of a larger file is the document."""
    if origin is None:
        return Origin(Source(name or "policy", text))
    if origin.source.text is None and not origin.path:
        return Origin(Source(origin.source.name, text))
    return origin


def _broken(error: BrokenJson, name: str, text: str | None, origin: Origin | None) -> Finding:
    """Broken JSON at its position in the text, or at the document if this is part of a larger file or URL-encoded (V1)."""
    whole = origin is None or (not origin.path and origin.source.text in (None, text))
    if origin is None or (whole and not (text and is_url_encoded(text))):
        return broken_json_finding(error, origin.source if origin else Source(name or "policy"))
    reading = Reading(PolicyKind.IDENTITY, origin)
    line = error.text.count("\n", 0, error.offset) + 1
    column = error.offset - error.text.rfind("\n", 0, error.offset)
    reading.add("V1", (), f"{error.message} (line {line}, column {column} of the document)")
    return reading.findings()[0]


def _read_document(reading: Reading, value: object, text: str | None, name: str, arn: str | None) -> Policy | None:
    if type(value) is not dict and not isinstance(value, Mapping):
        hint = "the document is text within text: pass the inner text" if is_text(value) else ""
        reading.add("V1", (), f"a policy must be an object, not {json_type(value)}", hint)
        return None
    raw = read_object(reading, value, ())
    if raw is None:
        return None
    _read_version(reading, raw)
    identifier = _read_id(reading, raw)
    if not raw.keys() <= _KNOWN:
        _check_unknown_elements(reading, raw)
    check_characters(reading, raw, text)
    statements = _read_statements(reading, raw)
    _check_sids(reading, statements)
    check_trust(reading, statements)
    if reading.undetermined and not statements:
        statements = _substitute(reading)
    policy_statements = tuple(statement for _, statement in statements)
    return Policy(reading.kind, reading.variables, policy_statements, name, arn, identifier, reading.origin)


def _read_version(reading: Reading, raw: Mapping[str, object]) -> None:
    """The version (V10, G20), and whether the document has variables (1.4)."""
    organization = reading.kind in _ORGANIZATION_KINDS
    hint = f'add `"Version": "{_WITH_VARIABLES}"`'
    if "Version" not in raw:
        reading.add("G20", (), "the document has no `Version`: its variables are literal text", hint)
        return
    version = read_text(reading, raw["Version"], ("Version",))
    reading.variables = version == _WITH_VARIABLES
    if version == _WITHOUT and organization:
        reading.add("G20", ("Version",), f"an organization's policy must be of version {_WITH_VARIABLES}", hint)
    elif version not in (None, _WITH_VARIABLES, _WITHOUT):
        reading.add("V10", ("Version",), f"unknown version {quote(str(version))}", f"write `{_WITH_VARIABLES}`")


def _read_id(reading: Reading, raw: Mapping[str, object]) -> str | None:
    if "Id" not in raw:
        return None
    if reading.kind in _IDENTITY_KINDS:
        reading.add("G24", ("Id",), "an `Id` has no effect in an identity policy", at_name=True)
    return read_text(reading, raw["Id"], ("Id",))


def _check_unknown_elements(reading: Reading, raw: Mapping[str, object]) -> None:
    for name in raw:
        if name not in _KNOWN:
            hint = reading.did_you_mean(name, ELEMENTS)
            reading.add("V4", (name,), f"unknown element {quote(name)}", hint, at_name=True)
            check_unknown(reading, raw[name], (name,))
    reading.undetermined = ("V4",)


def _read_statements(reading: Reading, raw: Mapping[str, object]) -> list[tuple[Path, Statement]]:
    """The statements with their paths: one object and a list of one are the same (G10)."""
    if "Statement" not in raw:
        reading.add("V5", (), "the document has no `Statement`")
        return []
    value = raw["Statement"]
    if isinstance(value, (list, tuple)):
        items: list[tuple[Path, object]] = [(("Statement", i), item) for i, item in enumerate(value)]
    elif isinstance(value, Mapping):
        items = [(("Statement",), value)]
    else:
        reading.add("V1", ("Statement",), f"`Statement` must be an object or a list of objects, not {json_type(value)}")
        return []
    if not items:
        reading.add("V5", ("Statement",), "the list of statements is empty")
    read = [(path, read_statement(reading, item, i, path)) for i, (path, item) in enumerate(items)]
    return [(path, statement) for path, statement in read if statement is not None]


def _substitute(reading: Reading) -> list[tuple[Path, Statement]]:
    """The statements of a document whose unknown elements may be misspelled statements: all is denied, undetermined (V4, V5)."""
    without_findings = Reading(reading.kind, reading.origin)
    raw = denying_statement(reading.kind, "the document has unknown elements and no statements")
    statement = read_statement(without_findings, raw, 0, ("Statement",))
    return [] if statement is None else [(("Statement",), statement)]


def _check_sids(reading: Reading, statements: list[tuple[Path, Statement]]) -> None:
    """A Sid that two statements have (G21, G22). Empty ones do not count (G23)."""
    code = "G22" if reading.kind in FREE_SIDS else "G21"
    seen: set[str] = set()
    for path, statement in statements:
        sid = statement.sid
        if sid and sid in seen:
            reading.add(code, (*path, "Sid"), f"two statements have the `Sid` {quote(sid)}", "give each its own")
        elif sid:
            seen.add(sid)
