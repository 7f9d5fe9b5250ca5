"""`load`: a directory from files of all known formats, or a copy of a store. The readers are in `sources`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from fastiam.api.directory import Directory
from fastiam.directory.stored_policies import Mode
from fastiam.engine.engine_file import is_saved
from fastiam.errors import Hint, SourceError
from fastiam.model.arguments import as_path
from fastiam.runtime.freeing import free
from fastiam.runtime.gc_pause import collection_paused
from fastiam.sources import read_into
from fastiam.sources.files import File, read_files
from fastiam.sources.resource_of import ResourceOf
from fastiam.storage import is_sqlite


def load(
    *paths: str | os.PathLike[str],
    mode: Mode = "lenient",
    into: Directory | None = None,
    resource_of: Mapping[str | os.PathLike[str], str] = {},
    skip_unknown: bool = False,
) -> Directory:
    """Read a directory from files and folders of all known formats (docs/sources.md).

    Formats: exports of `get-account-authorization-details`, outputs of `aws organizations ...` and of calls for one policy such
    as `aws s3api get-bucket-policy`, folders of iam-collect, AWS managed policies, and the directory format. The order of paths
    does not matter, except if two files contradict each other.

    Parameters
    ----------
    paths
        files, or folders, which are searched for `.json`, `.jsonl`, `.ndjson`, `.yaml` and `.yml`. `.gz` files are decompressed,
        `-` is standard input. Or one store (`Directory.open`), which is copied into memory.
    mode
        `lenient` reads documents that AWS has accepted and lists findings in `directory.findings`; `strict` refuses them.
    into
        a directory that the files are added to, in one transaction and in its own mode.
    resource_of
        the ARN of the resource, role, user, group or managed policy that has the policy in a file, by the file's path. It is
        needed where neither the output of a call nor its statements name it.
    skip_unknown
        skip files of unknown formats, each with the finding `SOURCE-SKIPPED`. They may contain a Deny. Files in a folder whose
        names are those of no data, such as `README.md`, are always skipped.

    Raises
    ------
    SourceError
        a file is broken or has an unknown format, or no resource for its policy is known; it has file, line, column and path.
        Nothing is loaded then.
    PolicyError
        in mode strict, a policy document is rejected (F5). In mode lenient, an invalid document is the finding `POLICY-NOT-READ`,
        and denies everything that it could deny.
    """
    if not paths:
        raise SourceError("no file to load", source="load", hint="pass the path of a file or folder")
    for path in map(as_path, paths):
        if not is_saved(path):
            continue
        hint = Hint("`fastiam.Engine.load` maps it", "pass it as `--engine`")
        raise SourceError("is an engine file, not a file of policies", source=str(path), path="", hint=hint)
    if into is None and any(map(is_sqlite, paths)):
        ResourceOf.of(resource_of).check_used()
        return _load_store(paths, mode)
    directory = Directory(mode) if into is None else into
    with collection_paused(), directory.transaction():  # PERF: garbage collection takes a third of the time
        name = ", ".join(map(str, paths))
        free(read_into(directory, read_files(paths), name, ResourceOf.of(resource_of), skip_unknown=skip_unknown))
    return directory


def load_files(files: Iterable[File], name: str, *, skip_unknown: bool = True, may_be_empty: bool = False) -> Directory:
    """Read a directory from files in memory, leniently. Arguments as in `sources.read_into`."""
    directory = Directory("lenient")
    with collection_paused(), directory.transaction():
        free(read_into(directory, files, name, ResourceOf(), skip_unknown=skip_unknown, may_be_empty=may_be_empty))
    return directory


def _load_store(paths: Sequence[str | os.PathLike[str]], mode: Mode) -> Directory:
    """Read a copy of a store into memory. Writes to the copy are not written to the store."""
    if len(paths) > 1:
        store = next(path for path in paths if is_sqlite(path))
        hint = Hint(
            "read the files into the store: `fastiam.load(*files, into=directory)`", "read them into it: `fastiam import`"
        )
        raise SourceError("a store cannot be combined with other files", source=str(store), path="", hint=hint)
    with Directory.open(paths[0], mode=mode, read_only=True) as directory:
        return directory.detached()
