"""Findings of files and folders with policy documents: `fastiam validate`.

A file contains one document, several documents (JSON lines, a list), records of managed policies, or a format of `load`. Formats
of `load` are read leniently, so that all documents are checked.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from fastiam.api.directory import Directory
from fastiam.errors import Finding, SourceError
from fastiam.model.policy import PolicyKind
from fastiam.policy.document import guess_kind, validate_policy
from fastiam.sources import known_format, load, load_files
from fastiam.sources.files import File, read_files
from fastiam.sources.iam_collect import IamCollectReader
from fastiam.sources.located_values import LocatedValue


@dataclass(frozen=True, slots=True)
class ValidatedDocument:
    """A document, or a file or folder of documents, with its findings.

    Attributes
    ----------
    source : the file.
    kind : the kind of the document; None for several documents.
    path : the JSON path of a document inside a file, or the owner of a document in a store; otherwise "".
    n_documents : number of documents.
    """

    source: str
    kind: PolicyKind | None
    path: str
    n_documents: int
    findings: tuple[Finding, ...]


def check_store(path: str | os.PathLike[str]) -> list[ValidatedDocument]:
    """Check each document of a store."""
    found = []
    for document in load(path).documents():
        at = document.owner if document.name == document.owner else f"{document.owner}, {document.name}"
        findings = validate_policy(document.text, document.kind, name=f"{path}, {at}")
        found.append(ValidatedDocument(str(path), document.kind, at, 1, tuple(findings)))
    return found


def check_folder(path: str | os.PathLike[str], kind: PolicyKind | None) -> list[ValidatedDocument]:
    """Check a folder: single documents one by one, all other files together, as `load` reads them."""
    files = list(read_files([path]))
    alone = [file for file in files if not file.skipped and not _is_loaded(file)]
    found = [checked for file in alone for checked in check_file(file, kind)]
    rest = [file for file in files if file not in alone]
    if not alone or any(not file.skipped for file in rest):
        found.append(_checked(str(path), load_files(rest, str(path))))
    return found


def _is_loaded(file: File) -> bool:
    """Whether a file has a format of `load` and is not a single document."""
    try:
        nodes = _nodes(file)
    except SourceError:
        return IamCollectReader.is_document(file.name)
    return not all("Statement" in node.value for node in nodes if isinstance(node.value, dict)) or any(map(known_format, nodes))


def check_file(file: File, kind: PolicyKind | None) -> list[ValidatedDocument]:
    """Check a file. `kind` is the kind of its documents; None detects it from the content."""
    try:
        nodes = _nodes(file)
    except SourceError:  # the check of the document reports more than this error
        nodes = []
    documents = [_document(node) for node in nodes]
    if len(nodes) > 1 or any(document is not node for document, node in zip(documents, nodes, strict=True)):
        if all(document is not None for document in documents):
            return [_check_node(file.name, document, kind) for document in documents if document is not None]
    if nodes and any(known_format(node) for node in nodes):
        return [_checked(file.name, load_files([file], file.name))]
    return [_check(file.name, "", file.data, kind)]


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
    return node.child("document", node.value["document"]) if "document" in node.value and "format" not in node.value else None


def _check_node(name: str, node: LocatedValue, kind: PolicyKind | None) -> ValidatedDocument:
    chosen = kind or guess_kind(node.value)  # type: ignore[arg-type]  # validation reports another type
    findings = validate_policy(node.value, chosen, name=name, origin=node.origin)  # type: ignore[arg-type]
    return ValidatedDocument(name, chosen, node.path, 1, tuple(findings))


def _check(name: str, path: str, document: bytes, kind: PolicyKind | None) -> ValidatedDocument:
    chosen = kind or guess_kind(document)
    return ValidatedDocument(name, chosen, path, 1, tuple(validate_policy(document, chosen, name=name)))


def _checked(name: str, directory: Directory) -> ValidatedDocument:
    return ValidatedDocument(name, None, "", len(directory.documents()), tuple(directory.findings))
