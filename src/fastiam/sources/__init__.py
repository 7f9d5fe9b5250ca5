"""Readers of what exists outside: exports of accounts, and our own format. `load` tells them by content.

A reader knows a format, the account model knows IAM: a reader finds values with their places in a file and hands them
over, in stages, so that a policy in one file may be attached to a role in another.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from fastiam.account import AccountModel, Mode
from fastiam.directory import Directory
from fastiam.errors import Finding, Severity, SourceError
from fastiam.sources import gaad, native
from fastiam.sources.files import File, read_files
from fastiam.sources.nodes import Node

Stage = Callable[[AccountModel, Node], None]

# In this order over all files: whatever names something comes after what it names.
_STAGES = ("read_policies", "read_groups", "read_principals", "read_trust", "read_rest")
_READERS = (gaad, native)


def load(*paths: str | os.PathLike[str], mode: Mode = "lenient") -> Directory:
    """A directory from files: `get-account-authorization-details` exports, one or several pages or accounts, and our format.

    Parameters
    ----------
    paths : files, or folders, which are searched for `.json`, `.yaml` and `.yml`. `.gz` files are unpacked.
    mode : `lenient` reads what AWS has accepted already and lists what it finds in `directory.findings`; `strict` refuses it.

    Raises
    ------
    SourceError: a file is broken or is of no known format; names file, line, column and path. Nothing is half-loaded.
    PolicyError: a policy document is rejected (F5).
    """
    if not paths:
        raise SourceError("no file to load", source="load", hint="pass the path of a file or folder")
    model = AccountModel(mode)
    with _collecting_nothing():
        _load_into(model, paths)
    return Directory.from_model(model)


@contextmanager
def _collecting_nothing() -> Iterator[None]:
    """PERF: millions of values are made and all are kept; looking for garbage among them takes a third of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _load_into(model: AccountModel, paths: Sequence[str | os.PathLike[str]]) -> None:
    found: list[tuple[object, Node]] = []
    for file in read_files(paths):
        found += _documents(model, file)
    if not found:
        raise SourceError("nothing to load", source=", ".join(map(str, paths)), hint=_KNOWN)
    for stage in _STAGES:
        for reader, node in found:
            run: Stage | None = getattr(reader, stage, None)
            if run is not None:
                run(model, node)
    gaad.check_pages(model, [node for reader, node in found if reader is gaad])


def _documents(model: AccountModel, file: File) -> list[tuple[object, Node]]:
    """The documents of a file with their readers: one, or a list of pages."""
    if file.skipped:
        model.findings.append(_skipped(file.name, file.skipped))
        return []
    root = file.root()
    nodes = root.items() if isinstance(root.value, list) else [root]
    told = [(next((reader for reader in _READERS if reader.is_format(node)), None), node) for node in nodes]
    unknown = [node for reader, node in told if reader is None]
    if unknown or not nodes:
        if file.named or (told and len(unknown) < len(told)):
            raise (unknown or [root])[0].error("the content is of no known format", hint=_KNOWN)
        model.findings.append(_skipped(file.name, "its content is of no known format"))
        return []
    return [(reader, node) for reader, node in told if reader is not None]


def _skipped(name: str, why: str) -> Finding:
    return Finding("SOURCE-SKIPPED", Severity.WARN, f"the file is skipped: {why}", name, "$")


_KNOWN = (
    "known are the output of `aws iam get-account-authorization-details`, and a document with "
    '`"format": "fastiam-directory"` (docs/directory-format.md)'
)

__all__ = ["load"]
