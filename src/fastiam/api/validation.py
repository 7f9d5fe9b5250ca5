"""Findings of files and folders with policy documents: `fastiam validate` and `fastiam lint`.

A file contains one document, several documents (JSON lines, a list), records of managed policies, or a format of `load`. Formats
of `load` are read leniently, so that all documents are checked. With AWS's data, each document also has the findings of `lint`,
except the policies of AWS in exports.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

from fastiam.analysis.lint.document import aws_findings, lint_document
from fastiam.api.directory import Directory
from fastiam.api.loading import load, load_files
from fastiam.aws_data.catalog import AwsData
from fastiam.directory.readers import PolicyDocument
from fastiam.errors import Finding, SourceError
from fastiam.model.policy import PolicyKind
from fastiam.model.source_map import Origin, Source
from fastiam.policy.document import Document, guess_kind, read_policy, validate_policy
from fastiam.sources import known_format
from fastiam.sources.files import File, read_files
from fastiam.sources.iam_collect import IamCollectReader
from fastiam.sources.located_values import LocatedValue
from fastiam.sources.policy_outputs import policy_output


@dataclass(frozen=True, slots=True)
class ValidatedDocument:
    """A document, or a file or folder of documents, with its findings.

    Attributes
    ----------
    source
        the file.
    kind
        the kind of the document; None for several documents.
    path
        the JSON path of a document inside a file, or the owner of a document in a store; otherwise "".
    n_documents
        number of documents.
    """

    source: str
    kind: PolicyKind | None
    path: str
    n_documents: int
    findings: tuple[Finding, ...]


_OF_AWS = re.compile(r"arn:[^:]+:(?:iam|organizations)::aws:policy/").match


def check_store(path: str | os.PathLike[str], data: AwsData | None = None) -> list[ValidatedDocument]:
    """Check each document of a store."""
    found = []
    for document in load(path).documents():
        at = _label(document)
        of_document = None if _OF_AWS(document.owner) else data
        findings = _findings(document.text, document.kind, of_document, f"{path}, {at}")
        found.append(ValidatedDocument(str(path), document.kind, at, 1, tuple(findings)))
    return found


def check_folder(path: str | os.PathLike[str], kind: PolicyKind | None, data: AwsData | None = None) -> list[ValidatedDocument]:
    """Check a folder: single documents one by one, all other files together, as `load` reads them."""
    files = list(read_files([path]))
    alone = [file for file in files if not file.skipped and not _is_loaded(file)]
    found = [checked for file in alone for checked in check_file(file, kind, data)]
    rest = [file for file in files if file not in alone]
    if not alone or any(not file.skipped for file in rest):
        found.append(_checked(str(path), load_files(rest, str(path), may_be_empty=bool(alone)), data))
    return found


def _is_loaded(file: File) -> bool:
    """Whether a file has a format of `load` and is not a single document."""
    try:
        nodes = _nodes(file)
    except SourceError:
        return IamCollectReader.is_document(file.name)
    found = [node for node in nodes if isinstance(node.value, dict) and "Statement" not in node.value and not _is_output(node)]
    return bool(found) or any(known_format(node) for node in nodes if not _is_output(node))


def _is_output(node: LocatedValue) -> bool:
    """Whether a value is the output of a call for one policy, whose document is checked alone: it may lack its resource."""
    output = policy_output(node)
    return output is not None and output.document is not None


def check_file(file: File, kind: PolicyKind | None, data: AwsData | None = None) -> list[ValidatedDocument]:
    """Check a file. `kind` is the kind of its documents; None detects it from the content."""
    try:
        nodes = _nodes(file)
    except SourceError:  # the check of the document reports more than this error
        nodes = []
    documents = [_document(node) for node in nodes]
    if len(nodes) > 1 or any(document is not node for document, node in zip(documents, nodes, strict=True)):
        if all(document is not None for document in documents):
            return [_check_node(file.name, document, kind, data) for document in documents if document is not None]
    if any(known_format(node) and not _is_output(node) for node in nodes):
        return [_checked(file.name, load_files([file], file.name), data)]
    chosen = kind or guess_kind(file.data)
    return [ValidatedDocument(file.name, chosen, "", 1, tuple(_findings(file.data, chosen, data, file.name)))]


def _nodes(file: File) -> list[LocatedValue]:
    """Return the values of a file; a list of objects is replaced by its items."""
    nodes: list[LocatedValue] = []
    for root in file.values({}):
        is_list = isinstance(root.value, list) and root.value and all(isinstance(item, dict) for item in root.value)
        nodes += root.items() if is_list else [root]
    return nodes


def _document(node: LocatedValue) -> LocatedValue | None:
    """Return the document of a value: itself, or the document of a policy record."""
    if not isinstance(node.value, dict):
        return None
    if "Statement" in node.value:
        return node
    output = policy_output(node)
    if output is not None:
        return output.document
    return node.child("document", node.value["document"]) if "document" in node.value and "format" not in node.value else None


def _check_node(name: str, node: LocatedValue, kind: PolicyKind | None, data: AwsData | None) -> ValidatedDocument:
    chosen = kind or guess_kind(node.value)  # type: ignore[arg-type]  # validation reports another type
    findings = _findings(node.value, chosen, data, name, node.origin)  # type: ignore[arg-type]
    return ValidatedDocument(name, chosen, node.path, 1, tuple(findings))


def _findings(
    document: Document, kind: PolicyKind, data: AwsData | None, name: str, origin: Origin | None = None
) -> list[Finding]:
    if data is None:
        return validate_policy(document, kind, name=name, origin=origin)
    return lint_document(document, kind, data, name=name, origin=origin)


def _checked(name: str, directory: Directory, data: AwsData | None) -> ValidatedDocument:
    documents = directory.documents()
    findings = list(directory.findings)
    if data is not None:
        findings += _of_documents(name, documents, data)
    return ValidatedDocument(name, None, "", len(documents), tuple(findings))


def _of_documents(name: str, documents: tuple[PolicyDocument, ...], data: AwsData) -> Iterator[Finding]:
    """The findings of AWS's data about the documents of a directory, except those of AWS's policies."""
    for document in documents:
        if not _OF_AWS(document.owner):
            origin = document.origin or Origin(Source(f"{name}, {_label(document)}", document.text))
            policy = read_policy(document.text, document.kind, mode="lenient", name=document.name, origin=origin)
            yield from aws_findings(policy, document.parsed(), data)


def _label(document: PolicyDocument) -> str:
    return document.owner if document.name == document.owner else f"{document.owner}, {document.name}"
