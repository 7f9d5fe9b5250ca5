"""Readers of files: account exports, organisations, logs and the directory format. A format is detected by its content.

A reader knows a format, and the directory knows IAM. A reader passes located values to the directory in stages, so that a policy
in one file can be attached to a role in another.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from fastiam.directory.account_model import AccountModel
from fastiam.errors import Finding, Hint, Severity, SourceError
from fastiam.model.source_map import Source
from fastiam.sources import directory_format
from fastiam.sources.files import File
from fastiam.sources.gaad import AccountExportReader
from fastiam.sources.iam_collect import IamCollectReader
from fastiam.sources.located_values import LocatedValue, ParsedPolicies, SourceFile
from fastiam.sources.managed_policies import KnownPolicies, ManagedPolicyReader
from fastiam.sources.organization_builder import OrganizationBuilder
from fastiam.sources.organization_outputs import OrganizationsReader
from fastiam.sources.policy_outputs import PolicyOutputReader
from fastiam.sources.resource_of import ResourceOf

if TYPE_CHECKING:
    from fastiam.sources.cloudtrail import CloudTrail

# A reader has `is_format(node)` and those of these functions that it needs. They run over all files in this order, so that a
# reference follows the record that it names: first those of documents, `(model, node)`, then those of readers, `(model)`.
_STAGES_OF_DOCUMENTS = ("gather", "read_policies"), ("read_groups",), ("read_principals",), ("read_trust",), ("read_rest",)
_STAGES_OF_READERS = ("add_known_policies", "check_policies"), (), (), (), ("finish",)
_Found = list[tuple[Any, LocatedValue]]


def known_format(node: LocatedValue) -> bool:
    """Whether a value has a format that `load` reads."""
    return any(reader.is_format(node) for reader in _readers(OrganizationBuilder(), ResourceOf()))


def _readers(builder: OrganizationBuilder, resource_of: ResourceOf) -> tuple[Any, ...]:
    known = KnownPolicies()
    return (
        IamCollectReader(known, builder),
        OrganizationsReader(builder),
        ManagedPolicyReader(known, resource_of),
        PolicyOutputReader(resource_of),
        AccountExportReader(known),
        directory_format,
    )


def read_into(
    model: AccountModel,
    files: Iterable[File],
    name: str,
    resource_of: ResourceOf,
    *,
    skip_unknown: bool,
    may_be_empty: bool = False,
) -> list[Any]:
    """Read files into a model, in its transaction; return the parts of their documents, which are no longer needed.

    `name` stands for all files in errors. `skip_unknown` skips files of unknown formats; `may_be_empty` : all may be skipped.
    """
    builder = OrganizationBuilder()
    readers = _readers(builder, resource_of)
    found: _Found = []
    parsed: ParsedPolicies = {}
    for file in files:
        found += _documents(model, file, readers, parsed, skip_unknown=skip_unknown)
    if not found and not may_be_empty:
        of_names = [note for note in model.notes if note.code == _SKIPPED]
        skipped = next((note for note in of_names if note.hint), of_names[0] if of_names else None)
        because = f"; `{skipped.source}`: {skipped.message}" if skipped else ""
        raise SourceError(f"nothing to load{because}", source=name, hint=(skipped and skipped.hint) or _KNOWN)
    for of_documents, of_readers in zip(_STAGES_OF_DOCUMENTS, _STAGES_OF_READERS, strict=True):
        for stage in of_documents:
            for reader, node in found:
                _run(reader, stage, model, node)
        for stage in of_readers:
            for reader in readers:
                _run(reader, stage, model)
    builder.write(model)
    resource_of.check_used()
    lists = [value for _, node in found if isinstance(node.value, dict) for value in node.value.values()]
    return [part for value in lists if isinstance(value, list) for part in value]


def _run(reader: object, stage: str, *arguments: object) -> None:
    run: Callable[..., None] | None = getattr(reader, stage, None)
    if run is not None:
        run(*arguments)


def _documents(model: AccountModel, file: File, readers: Sequence[Any], parsed: ParsedPolicies, *, skip_unknown: bool) -> _Found:
    """Return the documents of a file with their readers: its value, the items of a list, or several values."""
    if file.skipped:
        model.notes.append(_skipped_file(file.name, file.skipped))
        return []
    roots = _values(model, file, parsed)
    nodes = roots if isinstance(readers[0], IamCollectReader) and readers[0].is_format(roots[0]) else _items(roots)
    read = [(next((reader for reader in readers if reader.is_format(node)), None), node) for node in nodes]
    unknown = [node for reader, node in read if reader is None]
    if unknown:
        is_policy = isinstance(unknown[0].value, dict) and "Statement" in unknown[0].value
        why = (
            "a policy document does not name the user, role or resource that has it"
            if is_policy
            else "the format of the content is unknown"
        )
        hint = _OF_POLICIES if is_policy else _KNOWN
        if not skip_unknown or len(unknown) < len(read):
            raise unknown[0].error(why, hint=hint)
        model.notes.append(_skipped_file(file.name, why, hint))
        return []
    return read


def _values(model: AccountModel, file: File, parsed: ParsedPolicies) -> list[LocatedValue]:
    """Return the values of a file. A syntax error in a file of one document is reported for that document."""
    is_document = IamCollectReader.is_document(file.name)
    try:
        roots = file.values(parsed)
        if is_document and len(roots) > 1:
            raise roots[1].error("the file of one document has a second value")
    except SourceError as error:
        if not is_document or model.mode == "strict":
            raise
        return [LocatedValue(None, SourceFile(Source(file.name), broken=error.message))]
    return roots


def _items(roots: list[LocatedValue]) -> list[LocatedValue]:
    """Replace lists of documents, such as the pages of an export, by their items."""
    return [item for root in roots for item in ((isinstance(root.value, list) and root.items()) or [root])]


def read_cloudtrail(*paths: str | os.PathLike[str], assume_no_session_policies: bool = False) -> CloudTrail:
    """Read a CloudTrail log as batches of calls for `Engine.replay` (docs/replay.md). Iteration reads the files.

    Parameters
    ----------
    paths
        files as CloudTrail writes them, one record a line, or the output of `lookup-events`; folders of them; `-`. `.gz` files
        are decompressed.
    assume_no_session_policies
        assume that sessions have no session policies if the log does not contain the call that issued them. Without this, calls
        of such sessions never have the outcome ALLOW.

    Raises
    ------
    SourceError
        the packages of the extra `logs` are missing; while iterating, a file is broken or not a log.
    """
    from fastiam.sources.cloudtrail import CloudTrail  # PERF: only logs need it, and its packages

    return CloudTrail(*paths, assume_no_session_policies=assume_no_session_policies)


def _skipped_file(name: str, why: str, hint: str = "") -> Finding:
    return Finding(_SKIPPED, Severity.WARN, f"the file is skipped: {why}", name, "$", hint=hint)


_SKIPPED = "SOURCE-SKIPPED"
_FORMATS = (
    "known formats: outputs of `aws iam get-account-authorization-details`, of `aws organizations ...` and of calls for one "
    "policy such as `aws s3api get-bucket-policy`, folders of "
    'iam-collect, files of AWS managed policies, and documents with `"format": "fastiam-directory"` (docs/sources.md); '
    "{skip} skips other files"
)
_KNOWN = Hint(_FORMATS.format(skip="`skip_unknown=True`"), _FORMATS.format(skip="`--skip-unknown`"))
_PLACES = (
    "for the policy of a resource, {of} names it; put one of a user, group or role into an export, a store, or the directory "
    "format (docs/directory-format.md); {simulate} decides with documents, {validate} checks them, {compare}, "
    "and {skip} skips them"
)
_OF_POLICIES = Hint(
    _PLACES.format(
        of="`resource_of={file: arn}`",
        simulate="`fastiam.simulate`",
        validate="`fastiam.lint`",
        compare="`fastiam.no_new_access` compares two",
        skip="`skip_unknown=True`",
    ),
    _PLACES.format(
        of="`--resource-of FILE=ARN`",
        simulate="`fastiam simulate`",
        validate="`fastiam validate`",
        compare="`fastiam prove no-new-access --old FILE --new FILE` compares two, each repeated for all of one principal, "
        "`fastiam diff --policies PATH --replace ARN=FILE` one with the policy that it replaces",
        skip="`--skip-unknown`",
    ),
)

__all__ = ["read_cloudtrail", "read_into"]
